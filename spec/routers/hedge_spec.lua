local testing = require("nydus.testing")

describe("routers/hedge", function()
  local t
  after_each(function() if t then t:close() end t = nil end)

  local function load(options, hosts)
    t = testing.load("routers/hedge.lua", { hosts = hosts or { "a", "b" }, options = options })
  end

  it("asks the replica, too, when the primary takes long, and nobody else before", function()
    load({ replicas = { a = "b" }, after = 1 })
    t:call("SET", "k", "v")
    assert.equal("v", t:call("GET", "k"))
    assert.equal(0, #t:requests("b"))
    t:on("a", function() return testing.silence end)
    t:on("b", function() return "from b" end)
    t:send("GET", "k")
    t:advance(0.3)
    assert.equal(0, #t:requests("b"))
    t:advance(1)
    assert.equal("from b", t:reply())
  end)

  it("never sends a write twice", function()
    load({ replicas = { a = "b" }, after = 1 })
    t:on("a", function() return testing.silence end)
    t:send("SET", "k", "v")
    t:advance(1)
    assert.same({ 1, 0 }, { #t:requests("a"), #t:requests("b") })
  end)

  it("asks the replica for a primary that is away or cannot serve now", function()
    load({ replicas = { a = "b" } })
    t:on("a", function() return testing.error("LOADING Redis is loading the dataset in memory") end)
    assert.equal(testing.null, t:call("GET", "k"))
    t:down("a")
    assert.equal(testing.null, t:call("GET", "k"))
    assert.is_string(t:call("SET", "k", "v").err)
  end)

  it("spreads keys over the primaries", function()
    load({ replicas = { [1] = { 3 } } }, { "a", "b", "a2" })
    for i = 1, 40 do t:call("GET", "k" .. i) end
    local a, b = #t:requests("a"), #t:requests("b")
    assert.equal(40, a + b)
    assert.is_true(a > 0 and b > 0)
  end)

  it("is refused with a reason", function()
    for expected, options in pairs({
      ["hedge: unknown option 'before'"] = { before = 1 },
      ["hedge: `replicas` names none"] = {},
      ["hedge: b is a primary and a replica"] = { replicas = { a = "b", b = "c" } },
      ["nydus.hedge: after: 0 is no time in seconds"] = { replicas = { a = "b" }, after = 0 },
    }) do
      local ok, text = pcall(load, options, { "a", "b", "c" })
      assert.is_false(ok)
      assert.is_truthy(text:find(expected, 1, true), text)
    end
  end)
end)
