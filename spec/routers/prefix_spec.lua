local support = require("support")
local script = require("support.script")

local SOURCE = support.read_file("routers/prefix.lua")

local CONFIG = [[return { clusters = {
  main = { listen = ":1", router = %s, hosts = { [0] = "10.0.0.1", [1] = "10.0.0.2",
    [2] = { host = "10.0.0.3", identifier = "third" } } },
  sessions = { hosts = { { host = "10.0.0.9", identifier = "s" } } },
} }]]

local function open(router)
  return { router = SOURCE, config = CONFIG:format("{ \"main.lua\", " .. router .. " }") }
end

local function routes(router, commands)
  local s = script.new(open(router))
  local out = s:routes(commands)
  s:close()
  return out
end

local ZERO, ONE = "host redis://10.0.0.1:6379/0", "host redis://10.0.0.2:6379/0"

describe("routers/prefix", function()
  it("sends every prefix to its hosts, the longest first", function()
    local router = [[map = { ["user:"] = 0, ["user:x"] = "third", ["session:"] = "sessions", ["cache:"] = { 1, 2 } }]]
    assert.same({ ZERO, "host third", "host s" },
      routes(router, { { "GET", "user:1" }, { "GET", "user:xy" }, { "GET", "session:1" } }))
    local commands, seen = {}, {}
    for i = 1, 100 do commands[i] = { "GET", "cache:" .. i } end
    for _, answer in ipairs(routes(router, commands)) do seen[answer] = true end
    assert.same({ [ONE] = true, ["host third"] = true }, seen)
  end)

  it("has no route for other keys, unless there is a default", function()
    assert.same({ "none" }, routes([[map = { ["user:"] = 0 }]], { { "GET", "x" } }))
    assert.same({ ONE }, routes([[map = { ["user:"] = 0 }, default = 1]], { { "GET", "x" } }))
  end)

  it("sends commands without a key to all hosts of its cluster", function()
    local all = "list [" .. ZERO .. ", " .. ONE .. ", host third]"
    assert.same({ all }, routes([[map = { ["user:"] = 0 }, default = 1]], { { "DBSIZE" } }))
  end)

  it("is refused with a reason", function()
    for router, expected in pairs({
      [""] = "prefix: the option map",
      ["map = {}"] = "prefix: the option map",
      ["mapp = {}"] = "prefix: unknown option 'mapp'",
      ["map = { x = 7 }"] = "cluster main has no host with the key 7 (it has 0, 1, 2)",
      ["map = { x = 'session' }"] = "nydus.cluster: there is no cluster 'session'; did you mean 'sessions'?",
      ["map = { x = true }"] = "prefix: a host, a list of hosts or a cluster is expected, got a boolean",
      ["map = { default = 1 }"] = "prefix: default stands beside map, not in it",
      ["map = { x = { 'fourth' } }"] = "cluster main has no host 'fourth'",
    }) do
      local text = script.refused(open(router))
      assert.is_truthy(text:find(expected, 1, true), text)
    end
  end)
end)
