local testing = require("nydus.testing")

describe("routers/deny_big", function()
  local t
  after_each(function() if t then t:close() end t = nil end)

  local counts = { hlen = 11, scard = 3, llen = 50, zcard = 10 }

  local function load(options)
    t = testing.load("routers/deny_big.lua", { hosts = { "a" }, options = options })
    t:on("a", function(command)
      if command == "hgetall" or command == "smembers" or command == "lrange" then return { "x" } end
      return counts[command]
    end)
  end

  it("refuses what may take long, and what writes much", function()
    load({ size = 100 })
    for _, name in ipairs({ "FLUSHALL", "FLUSHDB" }) do
      assert.matches("^ERR deny_big: this command", t:call(name).err)
    end
    assert.matches("^ERR deny_big: this command", t:call("KEYS", "*").err)
    assert.matches("^ERR deny_big: the command has more than 100 bytes", t:call("SET", "k", ("x"):rep(100)).err)
    assert.equal(0, #t:requests("a"))
    assert.equal("OK", t:call("SET", "k", "v"))
    assert.equal(testing.null, t:call("GET", ("x"):rep(100)))
  end)

  it("asks how many items there are, before they are read", function()
    load({ items = 10 })
    assert.matches("^ERR deny_big: the reply has more than 10 items", t:call("HGETALL", "h").err)
    assert.same({ { "HLEN", "h" } }, t:requests("a"))
    assert.same({ "x" }, t:call("SMEMBERS", "s"))
    assert.same({ { "SCARD", "s" }, { "SMEMBERS", "s" } }, t:requests("a"))
  end)

  it("does not ask for a few places of a list", function()
    load({ items = 10 })
    assert.same({ "x" }, t:call("LRANGE", "l", 0, 9))
    assert.same({ { "LRANGE", "l", "0", "9" } }, t:requests("a"))
    for _, range in ipairs({ { 0, 10 }, { 0, -1 }, { -5, 2 } }) do
      assert.matches("^ERR deny_big: the reply", t:call("LRANGE", "l", range[1], range[2]).err)
    end
  end)

  it("answers with the error of a host that cannot say", function()
    load()
    t:on("a", function() return testing.error("WRONGTYPE no hash") end)
    assert.equal("WRONGTYPE no hash", t:call("HGETALL", "k").err)
    assert.same({ { "HLEN", "k" } }, t:requests("a"))
  end)

  it("does not look at items, when it is told so", function()
    load({ items = false, deny = { "DBSIZE" } })
    assert.same({ "x" }, t:call("HGETALL", "h"))
    assert.is_string(t:call("DBSIZE").err)
    assert.equal("OK", t:call("FLUSHALL"))
  end)

  it("is refused with a reason", function()
    for expected, options in pairs({
      ["deny_big: unknown option 'bytes'"] = { bytes = 1 },
      ["deny_big: size and items: numbers are expected"] = { size = "1mb" },
      ["there is no command 'keyz'"] = { deny = { "keyz" } },
    }) do
      local ok, text = pcall(load, options)
      assert.is_false(ok)
      assert.is_truthy(text:find(expected, 1, true), text)
    end
  end)
end)
