-- nydus.shared in one process: what scripts may do with it, and may do wrong.

local support = require("support")
local script = require("support.script")

support.header("base/log.h")
local C = support.lib()

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\")\n"
local round = 0

setup(function() C.log_set_level(C.LOG_ERROR) end)
teardown(function() C.log_set_level(C.LOG_INFO) end)
before_each(function() round = round + 1 end)

-- The answer of a decision; d is a dictionary that is new in every test.
local function run(body, before)
  local s = script.new({ router = HEAD .. ("local d = nydus.shared('d%d', { size = '64kb' }) %s\n"):format(round,
    before or "") .. "return function(req) " .. body .. " end" })
  local answer = s:route("GET", "k")
  s:close()
  return answer
end

-- What an expression makes in a decision; values as a list.
local function result(expression, before)
  return run(([[local function pack(...) return { n = select("#", ...), ... } end
    local out = pack(%s)
    for i = 1, out.n do out[i] = tostring(out[i]) end
    return nydus.reply(table.concat(out, " "))]]):format(expression), before):match("\r\n(.*)\r\n$")
end

local function problem(statement)
  return run(statement):match("^error ERR router: main%.lua:3: (.*)$")
end

describe("nydus.shared", function()
  it("keeps strings, numbers and booleans", function()
    assert.equal("nil", result("d:get('k')"))
    assert.equal("v 2.5 true false  nil", result("d:get('s'), d:get('n'), d:get('t'), d:get('f'), d:get('e'), d:get('x')",
      "d:set('s', 'v') d:set('n', 2.5) d:set('t', true) d:set('f', false) d:set('e', '')"))
    assert.equal("true", result("d:get(('k'):rep(500)) == ('v'):rep(5000)", "d:set(('k'):rep(500), ('v'):rep(5000))"))
    assert.equal("6", result("d:count()"))
  end)

  it("adds what is not there, counts, deletes, and is emptied", function()
    assert.equal("true", result("d:set('a', 1)"))
    assert.equal("true", result("d:add('b', 1)", "d:delete('b')"))
    assert.equal("false exists", result("d:add('a', 2)"))
    assert.equal("1", result("d:get('a')"))
    assert.equal("true false", result("d:delete('a'), d:delete('zzz')", "d:set('a', 1)"))
    assert.equal("0", result("d:count()", "d:flush()"))
  end)

  it("counts up, from init where there is nothing", function()
    local function steps(...)
      local out = {}
      for i, expression in ipairs({ ... }) do out[i] = run(("local a, b = %s return nydus.reply(tostring(a) .. ' ' .. tostring(b))")
        :format(expression)):match("\r\n(.*)\r\n$") end
      return out
    end
    assert.same({ "nil not found", "11 nil", "12 nil", "9.5 nil", "true nil", "nil not a number", "nil too large" }, steps(
      "d:incr('n')", "d:incr('n', 1, 10)", "d:incr('n')", "d:incr('n', -2.5, 100)", "d:set('s', 'x')", "d:incr('s', 1, 1)",
      "d:incr(('k'):rep(50000), 1, 1)"))
  end)

  it("forgets after a time", function()
    local s = script.new({ router = HEAD .. ([[local d = nydus.shared("t%d")
      return function(req)
        if req.command == "set" then d:set("k", "v", 0.05) d:add("a", 1, 0.05) d:incr("n", 1, 0, 0.05) d:set("long", 1, 1000) end
        return nydus.reply(("%%s %%s %%s %%s"):format(d:get("k"), d:get("a"), d:get("n"), d:get("long")))
      end]]):format(round) })
    local function ask(...) return s:route(...):match("\r\n(.*)\r\n$") end
    assert.equal("v 1 1 1", ask("SET", "k", "v"))
    support.wait_until(function() return ask("GET", "k") == "nil nil nil 1" end, 5, "the end of a ttl")
    s:close()
  end)

  it("says when something is too large, and keeps what was there", function()
    assert.equal("nil too large", result("d:set('k', ('x'):rep(40000))", "d:set('k', 1)"))
    assert.equal("1", result("d:get('k')"))
    assert.equal("nil too large", result("d:add(('k'):rep(40000), 1)"))
  end)

  it("gives way where it was not used for longest", function()
    assert.equal("nil 1000 true", result("d:get('k1'), d:get('k1000'), d:count() < 600",
      "for i = 1, 1000 do d:set('k' .. i, i) end"))
  end)

  it("is one object for one name", function()
    assert.equal("true false", result("nydus.shared('x') == nydus.shared('x'), nydus.shared('x') == nydus.shared('y')"))
  end)

  it("refuses misuse", function()
    for statement, expected in pairs({
      ["d:get()"] = "bad argument #1 to 'get' (a string is expected, got nil)",
      ["d:get(1)"] = "bad argument #1 to 'get' (a string is expected, got 1)",
      ["d.get('k')"] = "write dictionary:get(…), with a colon",
      ["d.set('k', 1)"] = "write dictionary:set(…), with a colon",
      ["d.count()"] = "write dictionary:count(…), with a colon",
      ["d.flush(1)"] = "write dictionary:flush(…), with a colon",
      ["d:set('k')"] = "bad argument #2 to 'set' (a string, number or boolean is expected, got nil)",
      ["d:set('k', {})"] = "bad argument #2 to 'set' (a string, number or boolean is expected, got a table)",
      ["d:set('k', req)"] = "bad argument #2 to 'set' (a string, number or boolean is expected, got a request)",
      ["d:set(nil, 1)"] = "bad argument #1 to 'set' (a string is expected, got nil)",
      ["d:set('k', 1, 0)"] = "bad argument #3 to 'set' (a time in seconds above 0 is expected, got 0)",
      ["d:set('k', 1, -1)"] = "bad argument #3 to 'set' (a time in seconds above 0 is expected, got -1)",
      ["d:set('k', 1, 0/0)"] = "bad argument #3 to 'set' (a time in seconds above 0 is expected, got nan)",
      ["d:set('k', 1, math.huge)"] = "bad argument #3 to 'set' (a time in seconds above 0 is expected, got inf)",
      ["d:add('k', 1, 'x')"] = "bad argument #3 to 'add' (a time in seconds above 0 is expected, got a string)",
      ["d:incr('k', 'x')"] = "bad argument #2 to 'incr' (a number is expected, got a string)",
      ["d:incr('k', 0/0)"] = "bad argument #2 to 'incr' (a number is expected, got nan)",
      ["d:incr('k', 1, {})"] = "bad argument #3 to 'incr' (a number is expected, got a table)",
      ["d:incr('k', 1, 1, {})"] = "bad argument #4 to 'incr' (a time in seconds above 0 is expected, got a table)",
      ["d:delete({})"] = "bad argument #1 to 'delete' (a string is expected, got a table)",
      ["d:push('k')"] = "a shared dictionary has no method 'push'",
      ["d:gett('k')"] = "a shared dictionary has no method 'gett'; did you mean 'get'?",
      ["d.k = 1"] = "write dictionary:set(key, value); a shared dictionary has no field 'k'",
      ["nydus.shared()"] = "bad argument #1 to 'shared' (a name is expected, got nil)",
      ["nydus.shared('')"] = "nydus.shared: : a name has 1 to 127 bytes",
      ["nydus.shared(('x'):rep(128))"] = "nydus.shared: " .. ("x"):rep(40) .. ": a name has 1 to 127 bytes",
      ["nydus.shared('x', 1)"] =
        "bad argument #2 to 'shared' (a table is expected, as in { size = \"1mb\" }, got a number)",
      ["nydus.shared('x', { sise = 1 })"] = "nydus.shared: unknown option 'sise'; did you mean 'size'?",
      ["nydus.shared('x1', { size = 100 })"] = "nydus.shared: x1: a size of at least 16384 bytes is expected",
    }) do
      assert.equal(expected, problem(statement), statement)
    end
    for _, size in ipairs({ "-1", "0/0", "'much'", "'10 apples'", "{}", "true", "2^40", "1.5", "'1tb'" }) do
      assert.matches("^nydus%.shared: size: bytes or a text like \"10mb\" are expected, up to 256mb, got ",
        problem("nydus.shared('x2', { size = " .. size .. " })"))
    end
  end)

  it("gives nothing away that a script could do harm with", function()
    for _, statement in ipairs({ "return d.it_[0]", "d.it_[0] = 1", "return d.it_ + 1", "d.it_ = nil", "return #d",
      "return d .. d", "return d()", "setmetatable(d, {})", "return d.it_.name", "d.get = print" }) do
      assert.equal("false", result("(pcall(function() " .. statement .. " end))"), statement)
    end
    assert.equal("0", result("d:count()"))
    assert.equal("error ERR router: main.lua:3: returned a shared dictionary, not a target", run("return d"))
    assert.equal("bad argument #1 to 'get' (a string is expected, got a counter)", problem("d:get(nydus.counter('x'))"))
  end)

  it("survives whatever it is called with, as do its neighbours", function()
    local s = script.new({ router = HEAD .. ([[local d = nydus.shared("d%d", { size = "64kb" })
      local objects = { d, nydus.counter("m_c"), nydus.gauge("m_g"), nydus.histogram("m_h"),
        nydus.limiter{ name = "m_l", rate = 10, burst = 5 } }
      local methods = { "get", "set", "add", "incr", "delete", "flush", "count", "value", "observe", "sum", "quantile",
        "allow", "nothing", "it_", "place_", "buckets_" }
      local values = { "", "k", ("x"):rep(70000), 0, -1, 1.5, 1e308, -1e308, 0/0, math.huge, 2^53, true, false, {}, print,
        cluster, cluster.hosts[1], d, objects[2], objects[5], nydus.null, { name = "m_l", rate = 5, burst = 3 },
        { rate = 0/0 }, { size = "20kb" }, { size = {} }, "%%d", "%%s %%q", "m_c", "m_x", "\0\r\n" }
      local makers = { "counter", "gauge", "histogram", "shared", "limiter", "random", "now", "reply" }
      local function any(list) return list[nydus.random(#list)] end
      local function value() if nydus.random(8) > 1 then return any(values) end end
      local fine = 0
      for i = 1, 8000 do
        local ok
        if nydus.random(4) > 1 then
          ok = pcall(function() local o = any(objects) return o[any(methods)](nydus.random(20) > 1 and o or value(),
            value(), value(), value(), value()) end)
        else
          ok = pcall(function() return nydus[any(makers)](value(), value()) end)
        end
        fine = fine + (ok and 1 or 0)
      end
      assert(fine > 800)
      d:flush() d:set("k", "v") assert(d:get("k") == "v" and d:count() == 1)
      local counted = objects[2]:value()
      assert(counted >= 0 and counted < math.huge)
      return cluster.hosts[1] ]]):format(round) })
    s:close()
  end)

  it("ends at a bound", function()
    assert.matches("^error ERR router: main%.lua:3: nydus%.shared: z%d+: .* are too many: %d+ of %d+ are left for all",
      run("for i = 1, 300 do nydus.shared('z' .. i, { size = '30mb' }) end return nydus.reply('x')"))
  end)

  it("costs little", function()
    local times = run("return nydus.reply(text)", [[d:set("k", "value") d:set("n", 0)
      local clock, count = os.clock, 1e5
      local function time(step)
        local best = math.huge
        for i = 1, 3 do local start = clock() step() best = math.min(best, clock() - start) end
        return best / count * 1e9
      end
      local text = ("%.0f %.0f %.0f"):format(time(function() for i = 1, count do d:get("k") end end),
        time(function() for i = 1, count do d:set("k", "value") end end),
        time(function() for i = 1, count do d:incr("n") end end))]])
    local get, set, incr = times:match("(%d+) (%d+) (%d+)\r\n$")
    print(("          dictionary:get %s ns, :set %s, :incr %s"):format(get, set, incr))
    assert.is_true(tonumber(get) < 2000)
  end)
end)
