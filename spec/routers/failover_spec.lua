local testing = require("nydus.testing")

describe("routers/failover", function()
  local t
  after_each(function() if t then t:close() end t = nil end)

  local function load(options, hosts)
    t = testing.load("routers/failover.lua", { hosts = hosts or { "a", "b" }, options = options })
  end

  it("goes to those that stand by, in order, while a host is away", function()
    load({ standby = { a = { "b", 3 } } }, { "a", "b", "c" })
    t:call("SET", "k", "v")
    assert.equal(1, #t:requests("a"))
    t:down("a")
    assert.equal(testing.null, t:call("GET", "k"))
    assert.equal("OK", t:call("SET", "k", "w"))
    assert.equal(2, #t:requests("b"))
    t:down("b")
    assert.equal("OK", t:call("SET", "k", "x"))
    assert.equal(1, #t:requests("c"))
    t:down("c")
    assert.is_string(t:call("GET", "k").err)
  end)

  it("spreads keys over the hosts that do not stand by", function()
    load({ standby = { [1] = 3, [2] = { 4 } } }, { "a", "b", "a2", "b2", "c" })
    local seen = {}
    for i = 1, 60 do
      local host = t:route("GET", "k" .. i)
      seen[(host[1] or host).identifier] = true
    end
    assert.same({ a = true, b = true, c = true }, seen)
    t:call("DBSIZE")
    assert.same({ 1, 1, 1, 0, 0 }, { #t:requests("a"), #t:requests("b"), #t:requests("c"),
      #t:requests("a2"), #t:requests("b2") })
  end)

  it("leaves writes where they are, when only reads are to move", function()
    load({ standby = { a = "b" }, only_reads = true })
    t:call("GET", "k")
    t:down("a")
    assert.equal(testing.null, t:call("GET", "k"))
    assert.is_string(t:call("SET", "k", "v").err)
    assert.equal(1, #t:requests("b"))
  end)

  it("leaves a host that is silent or cannot serve, as it is told", function()
    load({ standby = { a = "b" }, on = { "timeout", "error" }, timeout = 0.1 })
    t:on("a", function() return testing.error("LOADING Redis is loading the dataset in memory") end)
    assert.equal("OK", t:call("SET", "k", "v"))
    t:on("a", function() return testing.silence end)
    assert.equal("v", t:call("GET", "k"))
  end)

  it("is refused with a reason", function()
    for expected, options in pairs({
      ["failover: unknown option 'standbys'"] = { standbys = {} },
      ["failover: `standby` names none"] = {},
      ["failover: b stands by and has a stand-by"] = { standby = { a = "b", b = "c" } },
      ["nydus.failover: on: 'slow' is none of down, timeout, error"] = { standby = { a = "b" }, on = { "slow" } },
    }) do
      local ok, text = pcall(load, options, { "a", "b", "c" })
      assert.is_false(ok)
      assert.is_truthy(text:find(expected, 1, true), text)
    end
  end)
end)
