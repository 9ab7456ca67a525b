-- The hook check of router scripts, and the test that it gets.

local script = require("support.script")

local HEAD = [[local cluster = ... local nydus = require("nydus")
local a, b, c = cluster.hosts[1], cluster.hosts[2], cluster.hosts[3]
local ring = nydus.first{ a, b }
local tree = nydus.prefix{ ["ring:"] = ring, ["b:"] = b, ["c:"] = c, ["all:"] = { a, b, a, { c } },
  ["over:"] = nydus.failover{ { c, b }, a }, ["reply:"] = nydus.reply("hi"), ["no:"] = nydus.error("NO way") }
]]
local ROUTE = "route = function(req) if req:prefix('loop:') then while true do end end return tree end"

-- What check says that has this body.
local function check(body)
  local s = script.new({ router = HEAD .. "return { " .. ROUTE .. ", check = function(test)\n" .. body .. "\nend }" })
  local problem = s:check()
  s:close()
  return problem
end

local function accepts(body)
  assert.is_nil(check(body), body)
end

describe("the hook check", function()
  it("refuses by raising, and by nothing else", function()
    accepts("")
    accepts("return false")
    accepts("return nil, 'no'")
    for body, expected in pairs({
      ["error('no')"] = "main.lua:7: no",
      ["error('no', 0)"] = "no",
      ["assert(false, 'b is gone')"] = "main.lua:7: b is gone",
      ["error({})"] = "main.lua: it raised a table, not a message",
      ["error()"] = "main.lua: it raised nil",
      ["local x = nil + 1"] = "main.lua:7: attempt to perform arithmetic on a nil value",
    }) do
      assert.equal(expected, check(body), body)
    end
  end)

  it("sees which host gets a command", function()
    accepts("assert(test:route('GET', 'b:1') == b) assert(test:route('set', 'c:1', 'v') == c)")
    accepts("assert(test:route('GET', 'b:1').identifier == 'b')")
    accepts("assert(test:route('MGET', 'b:1', 'b:2') == b) assert(test:route('EVAL', 'x', 1, 'c:1') == c)")
    accepts("assert(test:route('GET', 'over:1')[1] == c) assert(#test:route('GET', 'over:1') == 2)")
  end)

  it("sees the hosts that get it, each once", function()
    accepts([[local list = test:route('GET', 'all:1')
      assert(#list == 3 and list[1] == a and list[2] == b and list[3] == c)
      list = test:route('MGET', 'b:1', 'c:1', 'b:2')
      assert(#list == 2 and list[1] == b and list[2] == c)]])
  end)

  it("sees what has no host, and why", function()
    for command, expected in pairs({
      ["'GET', 'none'"] = "no route for 'get'",
      ["'GET', 'reply:1'"] = "hi",
      ["'GET', 'no:1'"] = "NO way",
      ["'GET', 'loop:1'"] = "-ERR router: main.lua:6: stopped: it ran for more than 15 ms",
      ["'RENAME', 'b:1', 'c:1'"] = "-CROSSSLOT",
      ["'PING'"] = "by Nydus itself",
      ["'SHUTDOWN'"] = "refused",
      ["'NOSUCH', 'k'"] = "unknown command",
      ["'GET'"] = "wrong number of arguments",
      ["'GET', 'b:1', 'b:2'"] = "wrong number of arguments",
    }) do
      local said = check("local host, why = test:route(" .. command .. ") assert(host == nil) error(why, 0)")
      assert.is_truthy(said:find(expected, 1, true), command .. ": " .. said)
    end
  end)

  it("may mark hosts down: that ends with it", function()
    local s = script.new({ router = HEAD .. [[return { route = tree, check = function(test)
      assert(test:route("GET", "ring:1") == a)
      test:down(a)
      assert(a.state == "down" and test:route("GET", "ring:1") == b)
      test:up(a)
      assert(test:route("GET", "ring:1") == a)
      test:down(a)
    end }]] })
    assert.is_nil(s:check())
    assert.equal("host a", s:route("GET", "ring:1"))
    s:close()
  end)

  it("reads the decision step by step", function()
    accepts("assert(test:explain('GET', 'b:1'):find('the key begins with \"b:\"', 1, true))")
  end)

  it("is stopped although each of its decisions is quick", function()
    assert.equal("main.lua:7: stopped: it ran for more than 1 s",
      check("repeat pcall(test.route, test, 'GET', 'b:1') until false"))
  end)

  it("has a test that says how it is used", function()
    for body, expected in pairs({
      ["test.route('GET', 'k')"] = "write test:route(…), with a colon",
      ["test.down()"] = "write test:down(…), with a colon",
      ["test:route()"] = "bad argument #1 to 'route' (a command is expected, got nil)",
      ["test:route('GET', nil, 'x')"] = "bad argument #2 to 'route' (a string is expected, got nil)",
      ["test:route('GET', {})"] = "bad argument #2 to 'route' (a string is expected, got a table)",
      ["test:explain(true)"] = "bad argument #1 to 'explain' (a string is expected, got a boolean)",
      ["test:down('a')"] = "bad argument #1 to 'down' (a host is expected, got a string)",
      ["test:up(cluster)"] = "bad argument #1 to 'up' (a host is expected, got cluster main)",
      ["test:call('GET', 'k')"] = "a test has no method 'call' (it has route, explain, down and up)",
      ["test.x = 1"] = "a test cannot be changed (field 'x')",
    }) do
      assert.equal("main.lua:7: " .. expected, check(body), body)
    end
    assert.equal("main.lua: check: a function is expected, got a string",
      script.refused({ router = HEAD .. "return { route = tree, check = 'x' }" }))
  end)

  it("has a test that is over with it", function()
    local s = script.new({ router = HEAD .. [[local kept
      return { check = function(test) kept = test end, route = function() return kept:route("GET", "b:1") end }]] })
    assert.is_nil(s:check())
    assert.matches("the test is over: it is good while check runs", s:route("GET", "k"))
    s:close()
  end)
end)
