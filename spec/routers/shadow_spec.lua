local testing = require("nydus.testing")

describe("routers/shadow", function()
  local t
  after_each(function() if t then t:close() end t = nil end)

  local function load(options, hosts, clusters)
    t = testing.load("routers/shadow.lua", { hosts = hosts or { "a", "b" }, options = options, clusters = clusters })
  end

  it("copies what the others are asked, and nobody sees the replies", function()
    load({ to = "b" })
    t:on("b", function() return testing.error("ERR never seen") end)
    assert.equal("OK", t:call("SET", "k", "v"))
    assert.equal("v", t:call("GET", "k"))
    assert.same({ { "SET", "k", "v" }, { "GET", "k" } }, t:requests("b"))
    t:on("b", function() return testing.silence end)
    assert.equal("v", t:call("GET", "k"))
    t:down("b")
    assert.equal("v", t:call("GET", "k"))
  end)

  it("copies to hosts of this cluster or to another cluster", function()
    load({ to = { 2, "c" } }, { "a", "b", "c" })
    for i = 1, 40 do t:call("SET", "k" .. i, "v") end
    local b, c = #t:requests("b"), #t:requests("c")
    assert.equal(40, #t:requests("a"))
    assert.is_true(b + c == 40 and b > 0 and c > 0)
    t:close()
    load({ to = "next" }, { "a" }, { next = { hosts = { "n" } } })
    t:call("SET", "k", "v")
    assert.equal(1, #t:client("next"):call("MGET", "k"))
    assert.equal("v", t:client("next"):call("GET", "k"))
  end)

  it("copies writes only, or a share, as it is told", function()
    load({ to = "b", only = "write" })
    t:call("SET", "k", "v")
    t:call("GET", "k")
    assert.same({ { "SET", "k", "v" } }, t:requests("b"))
    t:close()
    load({ to = "b", sample = 0.25 })
    for i = 1, 400 do t:call("GET", "k" .. i) end
    local copies = #t:requests("b")
    assert.is_true(copies > 40 and copies < 180, copies)
  end)

  it("is refused with a reason", function()
    for expected, options in pairs({
      ["shadow: unknown option 'copy'"] = { copy = "b" },
      ["shadow: the option `to` is missing"] = {},
      ["shadow: no host is left to serve"] = { to = { "a", "b" } },
      ["shadow: only: \"read\" or \"write\" is expected"] = { to = "b", only = "reads" },
      ["nydus.cluster: there is no cluster 'x'"] = { to = "x" },
      ["cluster main has no host with the key 9"] = { to = 9 },
    }) do
      local ok, text = pcall(load, options)
      assert.is_false(ok)
      assert.is_truthy(text:find(expected, 1, true), text)
    end
  end)
end)
