local support = require("support")
local script = require("support.script")

local SOURCE = support.read_file("routers/hot_keys.lua")

local function routes(options, commands)
  local s = script.new({ router = SOURCE, options = options, hosts = { "a", "b", "c", "d" } })
  local out = s:routes(commands)
  s:close()
  return out
end

describe("routers/hot_keys", function()
  local commands = {}
  for i = 1, 200 do commands[i] = { "GET", "key" .. i } end

  it("sends hot keys to the first host, and no others", function()
    assert.same({ "host a", "host a" }, routes({}, { { "GET", "hot:1" }, { "SET", "hot:2", "v" } }))
    local seen = {}
    for _, answer in ipairs(routes({}, commands)) do seen[answer] = true end
    assert.same({ ["host b"] = true, ["host c"] = true, ["host d"] = true }, seen)
  end)

  it("takes prefixes, keys and hosts as options", function()
    local options = { prefixes = { "h:", "x:" }, keys = { "front" }, hosts = { "d" } }
    assert.same({ "host d", "host d", "host d" },
      routes(options, { { "GET", "h:1" }, { "GET", "x:" }, { "GET", "front" } }))
    for i, answer in ipairs(routes(options, { { "GET", "hot:1" }, { "GET", "frontier" }, { "GET", "fron" } })) do
      assert.are_not.equal("host d", answer, i)
    end
  end)

  it("keeps a hot key hot, when it begins with a hot prefix too", function()
    local options = { prefixes = { "h:" }, keys = { "h:1" } }
    assert.same({ "host a", "host a" }, routes(options, { { "GET", "h:1" }, { "GET", "h:12" } }))
  end)

  it("shares the hot keys among several hosts", function()
    local seen, hot = {}, {}
    for i = 1, 100 do hot[i] = { "GET", "hot:" .. i } end
    for _, answer in ipairs(routes({ hosts = { 2, 4 } }, hot)) do seen[answer] = true end
    assert.same({ ["host b"] = true, ["host d"] = true }, seen)
  end)

  it("spreads the other keys as the router it is told", function()
    local s = script.new({ hosts = { "b", "c", "d" }, name = "modulus" })
    local expected = s:routes(commands)
    s:close()
    assert.same(expected, routes({ router = "modulus" }, commands))
  end)

  it("sends commands without a key to all hosts", function()
    assert.same({ "list [host a, host b, host c, host d]" }, routes({}, { { "DBSIZE" } }))
  end)

  it("is refused with a reason", function()
    for expected, options in pairs({
      ["hot_keys: unknown option 'prefix'"] = { prefix = "x" },
      ["hot_keys: there have to be hot hosts and others"] = { hosts = { 1, 2, 3, 4 } },
      ["cluster main has no host with the key 9 (it has 1, 2, 3, 4)"] = { hosts = { 9 } },
      ["nydus.ketma: no such function; did you mean 'ketama'?"] = { router = "ketma" },
      ["nydus.ketama: hsah: unknown field; did you mean 'hash'?"] = { options = { hsah = "md5" } },
    }) do
      local text = script.refused({ router = SOURCE, options = options, hosts = { "a", "b", "c", "d" } })
      assert.is_truthy(text:find(expected, 1, true), text)
    end
  end)
end)
