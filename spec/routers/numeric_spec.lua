local testing = require("nydus.testing")

describe("routers/numeric", function()
  local t
  after_each(function() if t then t:close() end t = nil end)

  local function load(options)
    t = testing.load("routers/numeric.lua", { hosts = { "a", "b", "c" }, options = options })
  end

  local function routes(expected)
    for key, host in pairs(expected) do
      local found = t:route("GET", key)
      assert.equal(host, found and found.identifier or "none", key)
    end
  end

  it("sends numbers to the host of their range, the end included", function()
    load({ ranges = { { 99, "a" }, { 199, 2 }, { "c" } } })
    routes({ ["user:0"] = "a", ["user:99:name"] = "a", ["user:100"] = "b", ["0199"] = "b", ["x200y7"] = "c",
      ["k123456789012345678901234567890"] = "c", ["user:"] = "none", [""] = "none" })
  end)

  it("looks behind the prefix, and needs it, when there is one", function()
    load({ ranges = { { 9, 1 }, { 19, 2 } }, prefix = "v2:", default = 3 })
    routes({ ["v2:1"] = "a", ["v2:12"] = "b", ["v2:20"] = "none", ["v2:x"] = "c", ["12"] = "c", ["v2:"] = "c" })
  end)

  it("has no route for what is in no range, and asks all hosts of the ranges without a key", function()
    load({ ranges = { { 9, 1 }, { 19, 2 } } })
    assert.matches("^ERR no route", t:call("GET", "20").err)
    t:call("SET", "1", "x")
    t:call("SET", "11", "x")
    assert.equal(2, t:call("DBSIZE"))
    assert.same({ "x", "x" }, t:call("MGET", "1", "11"))
  end)

  it("is refused with a reason", function()
    for expected, options in pairs({
      ["numeric: unknown option 'range'"] = { range = {} },
      ["numeric: `ranges` names none"] = {},
      ["numeric: range 2: its number is not above that of the one before"] = { ranges = { { 9, 1 }, { 9, 2 } } },
      ["cluster main has no host with the key 7"] = { ranges = { { 9, 7 } } },
    }) do
      local ok, text = pcall(load, options)
      assert.is_false(ok)
      assert.is_truthy(text:find(expected, 1, true), text)
    end
  end)
end)
