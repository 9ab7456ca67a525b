local testing = require("nydus.testing")

describe("routers/read_write", function()
  local t
  after_each(function() if t then t:close() end t = nil end)

  local function load(options, hosts)
    t = testing.load("routers/read_write.lua", { hosts = hosts or { "p", "r1", "r2" }, options = options })
    return t
  end

  local function got()
    local out = {}
    for _, host in pairs(t.hosts) do out[host.identifier] = #t:requests(host) end
    return out
  end

  it("reads from replicas in turn, and writes to the primary", function()
    load({ replicas = { [1] = { 2, 3 } } })
    for _ = 1, 10 do t:call("GET", "k") end
    assert.same({ p = 0, r1 = 5, r2 = 5 }, got())
    t:call("SET", "k", "v")
    t:call("INCR", "n")
    t:call("DBSIZE")
    assert.same({ p = 3, r1 = 0, r2 = 0 }, got())
  end)

  it("passes replicas over that are down, and asks the primary when none is left", function()
    load({ replicas = { p = { "r1", "r2" } } })
    t:down("r1")
    for _ = 1, 10 do assert.equal(testing.null, t:call("GET", "k")) end
    t:down("r2")
    t:call("SET", "k", "v")
    for _ = 1, 10 do assert.equal("v", t:call("GET", "k")) end
  end)

  it("asks the primary for a replica that cannot serve now", function()
    load({ replicas = { p = "r1" } }, { "p", "r1" })
    t:call("SET", "k", "v")
    t:on("r1", function() return testing.error("LOADING Redis is loading the dataset in memory") end)
    assert.equal("v", t:call("GET", "k"))
  end)

  it("spreads keys over several primaries, each with its replicas", function()
    load({ replicas = { a = { "a1" }, b = { "b1" } } }, { "a", "a1", "b", "b1", "c" })
    for i = 1, 60 do
      t:call("SET", "k" .. i, "v")
      t:call("GET", "k" .. i)
    end
    local of = got()
    assert.equal(of.a, of.a1)
    assert.equal(of.b, of.b1)
    assert.equal(120, of.a + of.a1 + of.b + of.b1 + of.c)
    assert.is_true(of.a > 0 and of.b > 0 and of.c > 0)
    assert.equal(5, #t:call("MGET", "k1", "k2", "k3", "k4", "k5"))
  end)

  it("never moves keys to other primaries, when theirs is down", function()
    load({ replicas = { a = "a1", b = "b1" } }, { "a", "b", "a1", "b1" })
    t:call("GET", "k1")
    t:down("a")
    local failed = 0
    for round = 1, 2 do
      for i = 1, 20 do
        assert.equal(testing.null, t:call("GET", "k" .. i))
        local reply = t:call("SET", "n" .. i, "v")
        failed = failed + (round == 2 and type(reply) == "table" and 1 or 0)
      end
    end
    local of = got()
    assert.is_true(failed > 0 and failed < 20 and of.a1 > 0 and of.b1 > 0)
    assert.equal(40 - 2 * failed, of.b)
  end)

  it("is refused with a reason", function()
    for expected, options in pairs({
      ["read_write: unknown option 'replica'"] = { replica = {} },
      ["read_write: `replicas` names none"] = {},
      ["cluster main has no host 'x'"] = { replicas = { x = { "r1" } } },
      ["read_write: r1 is a primary and a replica"] = { replicas = { p = { "r1" }, r1 = { "r2" } } },
    }) do
      local ok, text = pcall(load, options)
      assert.is_false(ok)
      assert.is_truthy(text:find(expected, 1, true), text)
    end
  end)
end)
