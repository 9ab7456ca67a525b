local testing = require("nydus.testing")

describe("routers/broadcast", function()
  local t
  after_each(function() if t then t:close() end t = nil end)

  local function load(options, hosts)
    t = testing.load("routers/broadcast.lua", { hosts = hosts or { "a", "b", "c" }, options = options })
  end

  local function got()
    return { #t:requests("a"), #t:requests("b"), #t:requests("c") }
  end

  it("writes to all hosts, and reads from one", function()
    load({ reads = "round_robin" })
    assert.equal("OK", t:call("SET", "k", "v"))
    assert.same({ 1, 1, 1 }, got())
    for _ = 1, 6 do assert.equal("v", t:call("GET", "k")) end
    assert.same({ 2, 2, 2 }, got())
    assert.equal(1, t:call("DBSIZE"))
  end)

  it("is told which hosts", function()
    load({ hosts = { "a", 3 } })
    t:call("SET", "k", "v")
    assert.same({ 1, 0, 1 }, got())
  end)

  it("reads from hosts that are up, and says where a write was done", function()
    load()
    t:call("SET", "k", "v")
    t:down("a")
    for _ = 1, 6 do assert.equal("v", t:call("GET", "k")) end
    assert.equal(1, t:call("DBSIZE"))
    assert.is_string(t:call("SET", "k", "w").err)
  end)

  it("is content with what most hosts say, as it is told", function()
    load({ reply = "quorum", reads = "quorum" })
    t:call("SET", "k", "v")
    t:down("b")
    assert.equal("OK", t:call("SET", "k", "w"))
    assert.equal("w", t:call("GET", "k"))
    t:down("c")
    assert.is_string(t:call("SET", "k", "x").err)
  end)

  it("is refused with a reason", function()
    for expected, options in pairs({
      ["broadcast: unknown option 'host'"] = { host = 1 },
      ["broadcast: two or more hosts are expected"] = { hosts = { "a" } },
      ["nydus.all: reply: 'most' is none of"] = { reply = "most" },
      ["cluster main has no host 'x'"] = { hosts = { "a", "x" } },
    }) do
      local ok, text = pcall(load, options)
      assert.is_false(ok)
      assert.is_truthy(text:find(expected, 1, true), text)
    end
  end)
end)
