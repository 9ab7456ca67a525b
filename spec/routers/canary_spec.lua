local testing = require("nydus.testing")

describe("routers/canary", function()
  local t
  after_each(function() if t then t:close() end t = nil end)

  local function load(options, hosts, clusters)
    t = testing.load("routers/canary.lua", { hosts = hosts or { "a", "b" }, options = options, clusters = clusters })
  end

  local function new_keys(percent)
    load({ to = "b", percent = percent })
    local keys = {}
    for i = 1, 400 do
      t:call("GET", "k" .. i)
      if #t:requests("b") == 1 then keys["k" .. i] = true end
    end
    t:close()
    return keys
  end

  local function count(set)
    local n = 0
    for _ in pairs(set) do n = n + 1 end
    return n
  end

  it("sends a share of the keys to what is new, and these stay when the share grows", function()
    local few, more = new_keys(10), new_keys(40)
    assert.is_true(count(few) > 12 and count(few) < 80, count(few))
    assert.is_true(count(more) > 110 and count(more) < 210, count(more))
    for key in pairs(few) do assert.is_true(more[key], key) end
    assert.equal(0, count(new_keys(0)))
    assert.equal(400, count(new_keys(100)))
  end)

  it("chooses once for a client, or for each command, as it is told", function()
    load({ to = "next", percent = 50, by = "client" }, { "a" }, { next = { hosts = { "n" } } })
    local sides = {}
    for _ = 1, 40 do
      local client = t:client()
      for _ = 1, 3 do client:call("GET", "k") end
      local got = #t:requests("a")
      assert.is_true(got == 0 or got == 3)
      sides[got] = true
      client:close()
    end
    assert.same({ [0] = true, [3] = true }, sides)
    t:close()
    load({ to = 2, percent = 50, by = "random" })
    for _ = 1, 60 do t:call("GET", "k") end
    local a, b = #t:requests("a"), #t:requests("b")
    assert.is_true(a + b == 60 and a > 8 and b > 8)
  end)

  it("leaves writes where they are, when only reads are to go", function()
    load({ to = "b", percent = 100, only = "read" })
    t:call("SET", "k", "v")
    t:call("GET", "k")
    assert.same({ { "SET", "k", "v" } }, t:requests("a"))
    assert.same({ { "GET", "k" } }, t:requests("b"))
  end)

  it("gives errors to its share, and to no other, when what is new is away", function()
    load({ to = "b", percent = 30 })
    t:call("GET", "k")
    t:down("b")
    local bad = 0
    for i = 1, 100 do
      local reply = t:call("GET", "k" .. i)
      bad = bad + (reply ~= testing.null and reply.err and 1 or 0)
    end
    assert.is_true(bad > 5 and bad < 65, bad)
    assert.equal(100 - bad, #t:requests("a"))
  end)

  it("is refused with a reason", function()
    for expected, options in pairs({
      ["canary: unknown option 'share'"] = { share = 1 },
      ["canary: the option `to` is missing"] = { percent = 1 },
      ["canary: percent: a number from 0 to 100 is expected"] = { to = "b", percent = 101 },
      ["canary: only: \"read\" is expected"] = { to = "b", percent = 1, only = "write" },
      ["canary: no host is left for the rest"] = { to = { 1, 2 }, percent = 1 },
      ["nydus.split: by: 'user' is none of random, key, client"] = { to = "b", percent = 1, by = "user" },
    }) do
      local ok, text = pcall(load, options)
      assert.is_false(ok)
      assert.is_truthy(text:find(expected, 1, true), text)
    end
  end)
end)
