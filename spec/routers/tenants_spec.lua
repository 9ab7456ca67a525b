local support = require("support")
local testing = require("nydus.testing")

describe("routers/tenants", function()
  local t
  after_each(function() if t then t:close() end t = nil end)

  local function load(options, extra)
    local given = { hosts = { "a", "b", "c" }, options = options, clusters = { bell = { hosts = { "x" } } } }
    for key, value in pairs(extra or {}) do given[key] = value end
    t = testing.load("routers/tenants.lua", given)
  end

  it("gives each prefix its hosts, and refuses who is no tenant", function()
    load({ tenants = { acme = { to = "a" }, corp = { to = { 2, "c" } }, bell = { to = "bell" } } })
    assert.equal("a", t:route("GET", "acme:1").identifier)
    local seen = {}
    for i = 1, 40 do seen[t:route("GET", "corp:" .. i).identifier] = true end
    assert.same({ b = true, c = true }, seen)
    assert.equal("OK", t:call("SET", "bell:1", "v"))
    assert.equal("v", t:client("bell"):call("GET", "bell:1"))
    assert.equal("v", t:call("GET", "bell:1"))
    for _, words in ipairs({ { "GET", "other:1" }, { "GET", "acm" }, { "DBSIZE" }, { "FLUSHALL" } }) do
      assert.matches("^ERR tenants: the key begins with no", t:call(unpack(words)).err)
    end
  end)

  it("counts the commands of each tenant", function()
    load({ tenants = { acme = { to = "a", rate = 0.01, burst = 2 }, corp = {} } })
    for i = 1, 4 do
      local reply = t:call("SET", "acme:k", "v")
      assert.equal(i <= 2, reply == "OK")
      assert.equal("OK", t:call("SET", "corp:k", "v"))
    end
  end)

  it("is refused with a reason", function()
    for expected, options in pairs({
      ["tenants: unknown option 'tenant'"] = { tenant = {} },
      ["tenants: `tenants` names none"] = {},
      ["tenants: by: \"prefix\" or \"user\" is expected"] = { by = "addr" },
      ["tenants: acme: unknown option 'host'"] = { tenants = { acme = { host = 1 } } },
      ["nydus.limit: rate: 0 is no number"] = { tenants = { acme = { rate = 0 } } },
    }) do
      local ok, text = pcall(load, options)
      assert.is_false(ok)
      assert.is_truthy(text:find(expected, 1, true), text)
    end
  end)

  it("knows users, and keeps their keys apart on one host", function()
    local host = support.redis()
    local path = require("lfs").currentdir() .. "/routers/tenants.lua"
    local nydus = support.nydus({ config = { hosts = { host }, users = { acme = { password = "pa" },
      bell = { password = "pb" }, other = { password = "po" } },
      router = { path, by = "user", own_keys = true, tenants = { acme = {}, bell = {} } } } })
    local clients = {}
    for name, password in pairs({ acme = "pa", bell = "pb", other = "po" }) do
      clients[name] = nydus:client()
      assert.equal("OK", clients[name]:call("AUTH", name, password))
    end
    assert.equal("OK", clients.acme:call("SET", "k", "1"))
    assert.equal("OK", clients.bell:call("SET", "k", "2"))
    assert.equal("1", clients.acme:call("GET", "k"))
    assert.same({ "k" }, clients.bell:call("KEYS", "*"))
    assert.equal("2", host:call("GET", "bell:k"))
    assert.matches("^ERR tenants: this user is no tenant", clients.other:call("GET", "k").err)
  end)
end)
