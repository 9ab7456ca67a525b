local support = require("support")
local testing = require("nydus.testing")

describe("routers/near_cache", function()
  it("spreads keys as its router does, and passes on what it has not kept", function()
    local t = testing.load("routers/near_cache.lua", { hosts = { "a", "b" }, options = { router = "modulus" } })
    local plain = testing.load("modulus", { hosts = { "a", "b" } })
    for i = 1, 20 do
      assert.equal(plain:route("GET", "k" .. i).identifier, t:route("GET", "k" .. i).identifier)
      assert.is_truthy(t:call("GET", "k" .. i))
    end
    t:close()
    plain:close()
  end)

  it("answers reads of the keys with its prefixes, until they are written", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = {
      router = { "near_cache.lua", prefix = { "page:" }, ttl = 10 }, hosts = { redis },
    }, files = { ["near_cache.lua"] = support.read_file("routers/near_cache.lua") } })
    local client = nydus:client()
    local function hits() return tonumber(client:call("INFO", "stats"):match("cache_hits:(%d+)")) end
    redis:call("MSET", "page:1", "old", "other", "x")
    support.wait_until(function()
      assert.equal("old", client:call("GET", "page:1"))
      return hits() > 0
    end)
    local before = hits()
    for _ = 1, 5 do assert.equal("x", client:call("GET", "other")) end
    assert.equal(before, hits())
    redis:call("SET", "page:1", "new")
    support.wait_until(function() return client:call("GET", "page:1") == "new" end)
    assert.equal("OK", client:call("SET", "page:1", "newer"))
    assert.equal("newer", client:call("GET", "page:1"))
  end)

  it("refuses options that it does not know", function()
    assert.has_error(function()
      testing.load("routers/near_cache.lua", { hosts = { "a" }, options = { sise = 1 } })
    end)
  end)
end)
