local testing = require("nydus.testing")

describe("routers/read_your_writes", function()
  local t
  after_each(function() if t then t:close() end t = nil end)

  local function load(options, hosts)
    t = testing.load("routers/read_your_writes.lua", { hosts = hosts or { "p", "r1", "r2" }, options = options })
  end

  local function got()
    local out = {}
    for _, host in pairs(t.hosts) do out[host.identifier] = #t:requests(host) end
    return out
  end

  it("reads from the primary for some seconds after a write, from replicas else", function()
    load({ replicas = { p = { "r1", "r2" } }, window = 3 })
    for _ = 1, 4 do t:call("GET", "k") end
    assert.same({ p = 0, r1 = 2, r2 = 2 }, got())
    t:call("SET", "k", "v")
    for _ = 1, 4 do assert.equal("v", t:call("GET", "k")) end
    assert.same({ p = 5, r1 = 0, r2 = 0 }, got())
    t:advance(2)
    t:call("GET", "k")
    assert.same({ p = 1, r1 = 0, r2 = 0 }, got())
    t:advance(2)
    t:call("GET", "k")
    assert.equal(0, got().p)
  end)

  it("sees a write that stands before it in the same pipeline", function()
    load({ replicas = { p = "r1" } }, { "p", "r1" })
    t:call("GET", "k")
    got()
    t:client():raw("SET k v\r\nGET k\r\n")
    assert.same({ p = 2, r1 = 0 }, got())
  end)

  it("knows each client for itself", function()
    load({ replicas = { p = "r1" } }, { "p", "r1" })
    local writer, reader = t:client(), t:client()
    writer:call("INCR", "n")
    reader:call("GET", "n")
    assert.same({ p = 1, r1 = 1 }, got())
  end)

  it("asks the primary when no replica is left", function()
    load({ replicas = { p = { "r1", "r2" } } })
    t:down("r1")
    t:down("r2")
    for _ = 1, 4 do assert.equal(testing.null, t:call("GET", "k")) end
  end)

  it("spreads keys over several primaries, each with its replicas", function()
    load({ replicas = { a = "a1", b = "b1" } }, { "a", "b", "a1", "b1", "c" })
    for i = 1, 60 do t:call("GET", "k" .. i) end
    local reads = got()
    assert.same({ 0, 0 }, { reads.a, reads.b })
    for i = 1, 60 do t:call("SET", "k" .. i, "v") end
    local writes = got()
    assert.same({ reads.a1, reads.b1, reads.c }, { writes.a, writes.b, writes.c })
  end)

  it("is refused with a reason", function()
    for expected, options in pairs({
      ["read_your_writes: unknown option 'seconds'"] = { seconds = 1 },
      ["read_your_writes: `replicas` names none"] = {},
      ["read_your_writes: window: seconds above 0 are expected"] = { replicas = { p = "r1" }, window = 0 },
      ["read_your_writes: r1 is a primary and a replica"] = { replicas = { p = "r1", r1 = "r2" } },
    }) do
      local ok, text = pcall(load, options)
      assert.is_false(ok)
      assert.is_truthy(text:find(expected, 1, true), text)
    end
  end)
end)
