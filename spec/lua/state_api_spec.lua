-- What scripts share with all workers, the clock and chance; here in one process.

local support = require("support")
local script = require("support.script")

support.header("base/log.h")
local C = support.lib()

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\")\n"
local round = 0

-- The answers of a script whose second line on is `body`; NAME in it is new in every test.
local function open(body)
  return script.new({ router = HEAD .. body:gsub("NAME", "s" .. round .. "_") })
end

local function show(answer)
  return (answer:gsub("^reply ", ""):gsub("\r\n", " "):gsub(" $", ""))
end

local function value(body, ...)
  local s = open(body)
  local answer = select("#", ...) > 0 and s:route(...) or s:route("GET", "k")
  s:close()
  return show(answer)
end

local function refused(body)
  return script.refused({ router = HEAD .. body:gsub("NAME", "s" .. round .. "_") })
end

-- What an expression makes in a decision; values as a list.
local function result(expression)
  return value(([[return function(req)
    local out = { %s }
    for i = 1, #out do out[i] = tostring(out[i]) end
    return nydus.reply(table.concat(out, " "))
  end]]):format(expression)):match("^%$%d+ (.*)$")
end

-- The error of a statement in a decision, without its place.
local function problem(statement, before)
  return value(("%s return function(req) %s end"):format(before or "", statement))
    :match("^error ERR router: main%.lua:2: (.*)$")
end

before_each(function() round = round + 1 end)
setup(function() C.log_set_level(C.LOG_ERROR) end)
teardown(function() C.log_set_level(C.LOG_INFO) end)

local BUCKETS = "nydus.histogram: buckets: a list of up to 255 ascending numbers is expected"

describe("a counter", function()
  it("adds up over decisions and over scripts, by its name", function()
    local body = [[local c = nydus.counter("NAMEhits")
      return function(req) c:add() c:add(2.5) return nydus.reply(c:value() * 10) end]]
    assert.same({ ":35", ":70" }, { value(body), value(body) })
  end)

  it("is one object for one name, also when it is made late", function()
    assert.equal("true true false", result([[nydus.counter("NAMEa") == nydus.counter("NAMEa"),
      nydus.gauge("NAMEb") == nydus.gauge("NAMEb"), nydus.counter("NAMEc") == nydus.counter("NAMEd")]]))
    assert.equal(":1", value([[return function(req)
      nydus.counter("NAME" .. req:key()):add()
      return nydus.reply(nydus.counter("NAMEk"):value())
    end]]))
  end)

  it("refuses what is no amount, and what is no counter", function()
    local before = "local c, g, h = nydus.counter('NAMEc'), nydus.gauge('NAMEg'), nydus.histogram('NAMEh')"
    for statement, expected in pairs({
      ["c:add(-1)"] = "bad argument #1 to 'add' (a number from 0 to 2^53 is expected, got -1)",
      ["c:add(0/0)"] = "bad argument #1 to 'add' (a number from 0 to 2^53 is expected, got nan)",
      ["c:add(math.huge)"] = "bad argument #1 to 'add' (a number from 0 to 2^53 is expected, got inf)",
      ["c:add('1')"] = "bad argument #1 to 'add' (a number from 0 to 2^53 is expected, got a string)",
      ["c.add(1)"] = "write counter:add(…), with a colon",
      ["c.value()"] = "write counter:value(…), with a colon",
      ["c.add(g, 1)"] = "write counter:add(…), with a colon",
      ["c.count = 1"] = "a counter cannot be changed (field 'count')",
      ["c:inc()"] = "a counter has no method 'inc'",
      ["c:valu()"] = "a counter has no method 'valu'; did you mean 'value'?",
      ["g:set()"] = "bad argument #1 to 'set' (a number is expected, got nil)",
      ["g:set(0/0)"] = "bad argument #1 to 'set' (a number is expected, got nan)",
      ["g:add({})"] = "bad argument #1 to 'add' (a number is expected, got a table)",
      ["g.set(1)"] = "write gauge:set(…), with a colon",
      ["h:observe()"] = "bad argument #1 to 'observe' (a number is expected, got nil)",
      ["h:quantile(2)"] = "bad argument #1 to 'quantile' (a number from 0 to 1 is expected, got 2)",
      ["h:quantile()"] = "bad argument #1 to 'quantile' (a number from 0 to 1 is expected, got nil)",
      ["h.count()"] = "write histogram:count(…), with a colon",
      ["nydus.counter()"] = "bad argument #1 to 'counter' (a name is expected, got nil)",
      ["nydus.counter(1)"] = "bad argument #1 to 'counter' (a name is expected, got a number)",
      ["nydus.counter('my-hits')"] =
        "nydus.counter: 'my-hits' is no name: up to 100 letters, digits and _, no digit first",
      ["nydus.counter('')"] = "nydus.counter: '' is no name: up to 100 letters, digits and _, no digit first",
      ["nydus.counter(('x'):rep(101))"] = "nydus.counter: '" .. ("x"):rep(40) ..
        "' is no name: up to 100 letters, digits and _, no digit first",
      ["nydus.counter('NAMEx', { buckets = {} })"] = "bad argument #2 to 'counter' (nothing is expected, got a table)",
      ["nydus.histogram('NAMEx', 5)"] = "bad argument #2 to 'histogram' " ..
        "(a table is expected, as in { buckets = { 0.1, 1, 10 } }, got a number)",
      ["nydus.histogram('NAMEx', { bucket = {} })"] =
        "nydus.histogram: unknown option 'bucket'; did you mean 'buckets'?",
      ["nydus.histogram('NAMEx', { buckets = {} })"] = BUCKETS,
      ["nydus.histogram('NAMEx', { buckets = { 1, 1 } })"] = BUCKETS,
      ["nydus.histogram('NAMEx', { buckets = { 1, 0/0 } })"] = BUCKETS,
      ["nydus.histogram('NAMEx', { buckets = { 1, math.huge } })"] = BUCKETS,
      ["nydus.histogram('NAMEx', { buckets = { 1, 'x' } })"] = BUCKETS,
      ["local t = {} for i = 1, 256 do t[i] = i end nydus.histogram('NAMEx', { buckets = t })"] = BUCKETS,
    }) do
      assert.equal(expected, problem(statement, before), statement)
    end
    assert.matches("nydus.gauge: s%d+_c: there is a counter of that name", problem("nydus.gauge('NAMEc')", before))
    assert.matches("nydus.histogram: s%d+_g: there is a gauge of that name", refused(before .. " nydus.histogram('NAMEg')"))
  end)

  it("survives what a script does with it", function()
    local body = [[local c = nydus.counter("NAMEc") c:add(7)
      for _, f in ipairs{ function() c.place_ = 99999999 end, function() c[1] = 1 end, function() setmetatable(c, {}) end,
        function() c.add(nil, 1) end, function() c.add(req, 1) end, function() return c + 1 end } do pcall(f) end
      return function(req) return nydus.reply(c:value()) end]]
    assert.equal(":7", value(body))
  end)

  it("costs a few instructions", function()
    local s = open([[local c, h = nydus.counter("NAMEc"), nydus.histogram("NAMEh")
      local l = nydus.limiter{ rate = 1e7, burst = 1e7 }
      local clock, count = os.clock, 5e5
      local function time(step)
        local best = math.huge
        for i = 1, 3 do local start = clock() step() best = math.min(best, clock() - start) end
        return best / count * 1e9
      end
      local function empty() local n = 0 for i = 1, count do n = n + 1 end return n end
      local function add() for i = 1, count do c:add() end end
      local function observe() for i = 1, count do h:observe(i) end end
      local function allow() for i = 1, count do l:allow() end end
      local function allow_key() for i = 1, count do l:allow("tenant") end end
      empty() add()
      local text = ("%.1f %.1f %.1f %.1f %.1f"):format(time(empty), time(add), time(observe), time(allow),
        time(allow_key))
      return function() return nydus.reply(text) end]])
    local empty, add, observe, allow, key = show(s:route("GET", "k")):match("^%$%d+ (%S+) (%S+) (%S+) (%S+) (%S+)$")
    s:close()
    print(("          a loop %s ns, with counter:add %s, histogram:observe %s, limiter:allow %s, with a key %s")
      :format(empty, add, observe, allow, key))
    assert.is_true(tonumber(add) < 100 and tonumber(allow) < 400)
  end)
end)

describe("a gauge", function()
  it("is set and added to", function()
    assert.equal("$5 3.25", (value([[local g = nydus.gauge("NAMEg") g:set(10) g:set(2) g:add(2.25) g:add(-1)
      return function(req) return nydus.reply(tostring(g:value())) end]]):gsub("^%$4 ", "$5 ")))
  end)
end)

describe("a histogram", function()
  it("counts values in buckets and knows its quantiles", function()
    local answer = value([[local h = nydus.histogram("NAMEh")
      for i = 1, 1000 do h:observe(i / 1000) end
      return function(req) return nydus.reply(("%d %.4f %.3f %.3f %.3f %.3f"):format(h:count(), h:sum(), h:quantile(0.5),
        h:quantile(0.9), h:quantile(0.99), h:quantile(1))) end]])
    local count, sum, median, ninety, most, last = answer:match("^%$%d+ (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$")
    assert.same({ "1000", "500.5000" }, { count, sum })
    assert.near(0.5, tonumber(median), 0.06)
    assert.near(0.9, tonumber(ninety), 0.11)
    assert.near(0.99, tonumber(most), 0.12)
    assert.is_true(tonumber(last) >= 1 and tonumber(last) < 1.26)
  end)

  it("has other buckets if they are given", function()
    assert.equal("4 15.5 1", result([[(function()
      local h = nydus.histogram("NAMEb", { buckets = { 1, 5, 10 } })
      h:observe(0.5) h:observe(1) h:observe(4) h:observe(10)
      return h
    end)():count(), nydus.histogram("NAMEb"):sum(), nydus.histogram("NAMEb"):quantile(0.5)]]))
  end)

  it("takes any number, and is 0 when it is empty", function()
    assert.equal("0 0 0", result([[nydus.histogram("NAMEe"):count(), nydus.histogram("NAMEe"):sum(),
      nydus.histogram("NAMEe"):quantile(0.5)]]))
    local answer = value([[local h = nydus.histogram("NAMEh")
      for _, v in ipairs{ -5, 0, -0, 1e-300, 1e300, 1e-9, 2^31, 0.001 } do h:observe(v) end
      return function(req) return nydus.reply(("%d %g %g"):format(h:count(), h:quantile(0), h:quantile(1))) end]])
    local count, least, most = answer:match("^%$%d+ (%S+) (%S+) (%S+)$")
    assert.equal("8", count)
    assert.near(0, tonumber(least), 1e-9)
    assert.is_true(tonumber(most) > 2 ^ 31)
  end)
end)

describe("a limiter of a script", function()
  it("gives what there is, and says how long to wait", function()
    assert.equal("true true false 100", result([[nydus.limiter{ name = "NAMEl", rate = 0.01, burst = 2 }:allow(),
      nydus.limiter{ name = "NAMEl", rate = 0.01, burst = 2 }:allow(),
      nydus.limiter{ name = "NAMEl", rate = 0.01, burst = 2 }:allow()]]):gsub("(%d%d%d)%.?%d*$", "%1"), nil)
    assert.same({ ":1", ":1", ":0" }, (function()
      local s, out = open([[local l = nydus.limiter{ rate = 0.01, burst = 2, name = "NAMEl2" }
        return function(req) return nydus.reply(l:allow(req:key()) and 1 or 0) end]]), {}
      for i = 1, 3 do out[i] = show(s:route("GET", "k")) end
      assert.equal(":1", show(s:route("GET", "other")))
      s:close()
      return out
    end)())
  end)

  it("refuses misuse", function()
    for statement, expected in pairs({
      ["nydus.limiter()"] =
        "bad argument #1 to 'limiter' (a table is expected, as in { rate = 100, burst = 20 }, got nil)",
      ["nydus.limiter(cluster)"] = "bad argument #1 to 'limiter' " ..
        "(a table is expected, as in { rate = 100, burst = 20 }, got cluster main)",
      ["nydus.limiter{}"] = "nydus.limiter: rate is missing (so many a second)",
      ["nydus.limiter{ rat = 1 }"] = "nydus.limiter: unknown option 'rat'; did you mean 'rate'?",
      ["nydus.limiter{ 5 }"] = "nydus.limiter: unknown option '1'",
      ["nydus.limiter{ rate = '5' }"] = "nydus.limiter: rate: a number is expected, got a string",
      ["nydus.limiter{ rate = 0, name = 'NAMEx' }"] = "rate is up to 10000000 a second, burst from 1",
      ["nydus.limiter{ rate = 0/0, name = 'NAMEx' }"] = "rate is up to 10000000 a second, burst from 1",
      ["nydus.limiter{ rate = 1, burst = 1e300, name = 'NAMEx' }"] = "rate is up to 10000000 a second, burst from 1",
      ["nydus.limiter{ rate = 1 }"] = "nydus.limiter: give it a name, or make it at load",
      ["nydus.limiter{ rate = 1, name = '' }"] = "nydus.limiter: : a name has 1 to 127 bytes",
      ["l:allow(1)"] = "bad argument #1 to 'allow' (a string or nil is expected, got a number)",
      ["l:allow('k', -1)"] = "bad argument #2 to 'allow' (a number that is not negative is expected, got -1)",
      ["l:allow('k', 'x')"] = "bad argument #2 to 'allow' (a number that is not negative is expected, got a string)",
      ["l.allow('k')"] = "write limiter:allow(…), with a colon",
      ["l:check('k')"] = "a limiter has no method 'check'",
      ["l.rate = 1"] = "a limiter cannot be changed (field 'rate')",
    }) do
      local got = problem(statement, "local l = nydus.limiter{ rate = 1, name = 'NAMEl' }")
      assert.is_true(got ~= nil and got:find(expected, 1, true) ~= nil, statement .. " → " .. tostring(got))
    end
    assert.matches("the second one that is made at main.lua:2: give each a name",
      refused("local l = {} for i = 1, 2 do l[i] = nydus.limiter{ rate = i } end return cluster.hosts[1]"))
  end)
end)

describe("the clock of scripts", function()
  it("is Unix time with a fraction, one for all decisions of a batch", function()
    local s = open("return function(req) return nydus.reply(tostring(nydus.now() == options.t) .. " ..
      "' ' .. ('%.6f'):format(nydus.now())) end")
    local out = s:routes({ { "GET", "a" }, { "GET", "b" } })
    s:close()
    assert.equal(out[1], out[2])
    assert.near(os.time(), tonumber(out[1]:match("(%d+%.%d+)\r\n$")), 2)
  end)
end)

describe("random numbers of scripts", function()
  it("do not hide the router of that name", function()
    assert.matches("^host [abc]$", value("return nydus.random(cluster)"))
    assert.matches("^host [ab]$", value("return nydus.random{ cluster.hosts[1], cluster.hosts[2] }"))
    assert.matches("^main%.lua:2: bad argument #1 to 'random' %(item 1 is a number, not a host%)",
      refused("local r = nydus.random{ 1 } return r"))
  end)

  it("are those of math.random's habits", function()
    assert.equal("ok", result([[(function()
      local seen, sum = {}, 0
      for i = 1, 4000 do
        local u, a, b = nydus.random(), nydus.random(6), nydus.random(-2, 2)
        if not (u >= 0 and u < 1 and a >= 1 and a <= 6 and a % 1 == 0 and b >= -2 and b <= 2 and b % 1 == 0) then
          return "bad"
        end
        seen[a], seen[b - 10], sum = true, true, sum + u
      end
      for a = 1, 6 do if not seen[a] then return a end end
      for b = -2, 2 do if not seen[b - 10] then return b end end
      if math.abs(sum / 4000 - 0.5) > 0.03 then return sum end
      return nydus.random(5, 5) == 5 and nydus.random(1) == 1 and "ok"
    end)()]]))
    for statement, expected in pairs({
      ["nydus.random(0)"] = "bad argument to 'random' (there is no number from 1 to 0)",
      ["nydus.random(2, 1)"] = "bad argument to 'random' (there is no number from 2 to 1)",
      ["nydus.random(1.5)"] = "bad argument #1 to 'random' (a whole number is expected, got 1.5)",
      ["nydus.random(nil, 2)"] = "bad argument #1 to 'random' (a whole number is expected, got nil)",
      ["nydus.random(1, 'x')"] = "bad argument #2 to 'random' (a whole number is expected, got a string)",
      ["nydus.random(0/0)"] = "bad argument #1 to 'random' (a whole number is expected, got nan)",
    }) do
      assert.equal(expected, problem(statement), statement)
    end
  end)
end)
