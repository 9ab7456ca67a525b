-- Bad router scripts under traffic: each ends in an error for its own request or in a refused reload; nobody
-- else notices, the worker stays, and so does its memory.

local support = require("support")
local pair = require("support.pair")

local MB = 1024 * 1024
local HEAD = "local cluster = ... local nydus = require(\"nydus\") local kept, up = {}\n"
local STOPPED, MEMORY, DEEP = "stopped: it ran for more than 15 ms", "not enough memory", "stack overflow"
local LOOP = "function() while true do end end"
local TABLE = "local t t = setmetatable({}, { %s }) "

-- What is done for a key that begins with "bad", and what its client is told. Where a list is given, one of them.
local DECISIONS = {
  -- loops
  { "while true do end", STOPPED },
  { "repeat until false", STOPPED },
  { "for i = 1, math.huge do end", STOPPED },
  { "::top:: goto top", STOPPED },
  { "for _ in function() return 1 end do end", STOPPED },
  { "local function f() return f() end f()", STOPPED },
  { "local function f(...) return f(1, ...) end f()", STOPPED },
  { "local g local function f() return g() end function g() return f() end f()", STOPPED },
  { "local function f() return 1 + f() end f()", DEEP },
  { "local function f() return 'x' .. f() end f()", DEEP },
  { "local function f() pcall(f) pcall(f) f() end f()", { STOPPED, DEEP } },
  { "while true do pcall(error, 'x') end", STOPPED },
  { "while true do pcall(" .. LOOP .. ") end", STOPPED },
  { "pcall(" .. LOOP .. ")", "stopped" },
  { "xpcall(" .. LOOP .. ", " .. LOOP .. ")", "stopped" },
  { "local t = { 1 } for k, v in pairs(t) do t[#t + 1] = v end", { STOPPED, MEMORY } },
  { "local t = { 1 } for i, v in ipairs(t) do t[i + 1] = v end", { STOPPED, MEMORY } },
  { "while true do req:key() end", STOPPED },
  { "while true do req.client:slot('a').n = 1 end", STOPPED },
  { "while true do pcall(cluster.host, cluster, 'nobody') end", STOPPED },
  { "while true do nydus.reply('x') end", STOPPED },
  { "return load('while true do end')()", STOPPED },
  { "return load(os.date)()", "load: more than 10000 pieces" },
  { "load(('x = x + 1 '):rep(60000))", STOPPED },
  -- loops in C, and recursion through it
  { "table.sort({ 3, 2, 1 }, " .. LOOP .. ")", STOPPED },
  { "table.sort({ 3, 1, 2, 5, 4 }, function() return true end) error('sorted')", { "invalid order", "sorted" } },
  { "local t = {} for i = 1, 20000 do t[i] = i end table.sort(t)", "table.sort: more than 10000 items" },
  { "local function f() table.sort({ 2, 1 }, f) end f()", "table.sort: called within itself too often" },
  { "table.move({}, 1, 1e10, 2)", "table.move: more than 100000 items" },
  { "table.concat({}, '', 1, 1e9)", "table.concat: more than 100000 items" },
  { "(('x'):rep(1000)):gsub('.', " .. LOOP .. ")", STOPPED },
  { "(('x'):rep(1e6)):gsub('.', os.date)", STOPPED },
  { "local function f() ('x'):gsub('x', f) end f()", "string.gsub: called within itself too often" },
  { "string.find(('a'):rep(100000), ('a-'):rep(50) .. 'b')", { "the pattern takes too long", STOPPED } },
  { "for _ in (('a'):rep(100)):gmatch(('a?'):rep(90) .. 'b') do end", { "the pattern takes too long", STOPPED } },
  { "('x'):rep(1e9)", "string.rep: 1000000000 bytes are too many" },
  { "os.date(('%c'):rep(500000))", "os.date: a format of more than 1000 bytes" },
  { "unpack({}, 1, 1e8)", "too many results to unpack" },
  -- metamethods
  { TABLE:format("__index = " .. LOOP) .. "return t.x", STOPPED },
  { TABLE:format("__index = function(_, k) return t[k] end") .. "return t.x", DEEP },
  { TABLE:format("__newindex = function(_, k) t[k] = 1 end") .. "t.x = 1", DEEP },
  { TABLE:format("__call = function() return t() end") .. "t()", STOPPED },
  { TABLE:format("__lt = " .. LOOP) .. "return t < t", STOPPED },
  { TABLE:format("__concat = function() return t .. 'x' end") .. "return t .. 'x'", DEEP },
  { TABLE:format("__tostring = " .. LOOP) .. "error(tostring(t))", STOPPED },
  { TABLE:format("__tostring = function() return ('%s'):format(t) end") .. "tostring(t)", "called within itself" },
  { TABLE:format("__gc = " .. LOOP) .. "t = nil error('gone')", "gone" },
  { "local t = {} setmetatable(t, { __index = t }) return t.x", "loop in gettable" },
  -- memory
  { "local t = {} for i = 1, 1e9 do t[i] = i end", { MEMORY, STOPPED } },
  { "local t = {} while true do t[#t + 1] = {} end", { MEMORY, STOPPED } },
  { "local t = {} while true do t = { t } end", { MEMORY, STOPPED } },
  { "local t = {} while true do t[#t + 1] = function() return t end end", { MEMORY, STOPPED } },
  { "local s = 'x' while true do s = s .. s end", { MEMORY, STOPPED } },
  { "local t = {} while true do t[#t + 1] = ('x'):rep(60000) .. #t end", { MEMORY, STOPPED } },
  { "local t = {} while true do t[#t + 1] = load('return ' .. #t) end", { MEMORY, STOPPED } },
  { "local t = {} while true do t[#t + 1] = nydus.reply(('x'):rep(9999) .. #t) end", { MEMORY, STOPPED } },
  { "local n = 0 while true do n = n + 1 req.client:slot('x')[n] = ('x'):rep(9999) .. n end", { MEMORY, STOPPED },
    alone = true },
  { "while true do kept[#kept + 1] = ('x'):rep(99999) .. #kept end", { MEMORY, STOPPED }, alone = true },
  { "local t = {} for i = 1, 200 do t[i] = ('x'):rep(1e6) end ('%s'):rep(200):format(unpack(t))", MEMORY },
  -- errors that are no messages
  { "error()", "it raised nil" },
  { "error(false)", "it raised a boolean" },
  { "error({})", "it raised a table" },
  { "error(7)", "7" },
  { "error(('x'):gmatch('.'))", "it raised something that is no message" },
  { "error(req)", "it raised something that is no message" },
  { "error(setmetatable({}, { __tostring = error, __index = error }))", "it raised a table" },
  { "error('a\\r\\n+OK\\r\\n')", "a  %+OK" },
  { "error(('x'):rep(1e6))", "xxx" },
  -- what is no target
  { "return 0 / 0", "returned a number, not a target" },
  { "return 'x'", "returned a string, not a target" },
  { "return req", "returned a request, not a target" },
  { "return {}", "returned an empty list" },
  { "return nydus", "got a table" },
  { "return tostring", "got a function of the Lua library" },
  { "return cluster", "returned its own cluster" },
  { "return function() return cluster end", "functions return functions without end" },
  { "local function f() return f end return f", "functions return functions without end" },
  { "return { cluster.hosts[1], 0 / 0 }", "item 2 is wrong" },
  { "local t = {} t[1] = t return t", "a list whose item 1 is wrong" },
  { "local t = {} for i = 1, 1e5 do t[i] = cluster.hosts[1] end return t", "a list of more than 4096 targets" },
  { "local t = { cluster.hosts[1] } for i = 1, 9 do local u = {} for k = 1, 99 do u[k] = t end t = u end return t",
    "a list whose item 1 is wrong" },
  { "local t = { 1 } for i = 1, 30 do t = { t, t } end return nydus.reply(t)", { "more than 50000 values", STOPPED } },
  { "local t = {} t[1] = t return nydus.reply(t)", "lists in lists, more than 32 deep" },
  { "return nydus.error('x\\r\\n+OK')", "an error is one line" },
  -- what is kept for too long, or not there
  { "local old = up up = req if old then return old:key() end", "request is over", again = true },
  { "local old = up up = req.client if old then return nydus.reply(old.id) end", "request is over", again = true },
  { "os.exit()", "attempt to call field 'exit'" },
  { "io.open('/etc/passwd')", "undefined variable 'io'" },
  { "debug.sethook()", "undefined variable 'debug'" },
  { "coroutine.yield()", "undefined variable 'coroutine'" },
  { "require('ffi')", "module 'ffi' not found" },
  { "assert(load(string.char(27) .. 'LJ'))", "bytecode is not allowed" },
  { "assert(string.dump)", "assertion failed" },
  { "setfenv(1, {})", "undefined variable 'setfenv'" },
  { "x = 1", "assignment to the undeclared variable 'x'" },
  -- what is not the script's to change
  { "getmetatable('').__index = {}", "attempt to index a nil value" },
  { "setmetatable(nydus, {})", "protected metatable" },
  { "setmetatable(cluster.hosts, {})", "protected metatable" },
  { "rawset(nydus, 'reply', 1)", "this table cannot be changed" },
  { "rawset(cluster.hosts, 1, nil)", "this table cannot be changed" },
  { "table.remove(cluster.hosts)", "this table cannot be changed" },
  { "table.insert(cluster.hosts, 1)", "this table cannot be changed" },
  { "table.sort(cluster.hosts, function() return true end)", "this table cannot be changed" },
  { "cluster.hosts[9] = 1", "the hosts of a cluster cannot be changed" },
  { "cluster.hosts[1].id_ = 7", "attempt to write to constant location" },
  { "req.command = 'x'", "a request cannot be changed" },
  { "req.client.id = 1", "a client cannot be changed" },
  { "nydus.ketama(cluster)", "make it at load" },
}

-- One script for all that do not spoil it for the others.
local function decide_for(cases)
  local parts = { "local cases = {}" }
  for i, case in ipairs(cases) do
    parts[#parts + 1] = ("cases['bad:%d'] = function(req) do %s end end"):format(i, case[1])
  end
  parts[#parts + 1] = [[return function(req)
    local case = cases[req:key()]
    if case then return case(req) end
    return cluster.hosts[1]
  end]]
  return table.concat(parts, "\n")
end

-- Scripts that cannot be loaded, and what the reload says.
local SCRIPTS = {
  { "return function(", "expected near '<eof>'" },
  { "retrun cluster", "'=' expected" },
  { "", "it returns nothing" },
  { "return 0 / 0", "a target is expected" },
  { "return cluster", "it leads back to itself" },
  { "while true do end", "stopped: it ran for more than 1 s" },
  { "local t = {} while true do t[#t + 1] = ('x'):rep(60000) .. #t end", { MEMORY, "stopped" } },
  { "local function f() return 1 + f() end f()", DEEP },
  { "error()", "it raised nil" },
  { "error(setmetatable({}, { __tostring = error }))", "it raised a table" },
  { "local t = {} t[1] = t return t", "lists in lists, more than 32 deep" },
  { "local t = { cluster.hosts[1] } for i = 1, 9 do local u = {} for k = 1, 99 do u[k] = t end t = u end return t",
    "with more than 100000 targets" },
  { "return coroutine.wrap(function() end)", "undefined variable 'coroutine'" },
  { "return require('main')", "require each other in a circle" },
  { "return load('\\27LJ')()", "attempt to call a nil value" },
  { "os.exit(1)", "attempt to call field 'exit'" },
}

describe("a bad router script under traffic", function()
  local nydus, ports, worker, good, bad, host

  local function write(body)
    nydus:write("main.lua", HEAD .. body)
  end

  setup(function()
    host, ports = support.redis(), { support.free_port(), support.free_port() }
    nydus = support.nydus({ wait = ports[2], files = { ["main.lua"] = HEAD .. "return cluster.hosts[1]" },
      config = { workers = 1, router_memory = "8mb", log = { level = "error" }, clusters = {
        bad = { listen = "127.0.0.1:" .. ports[1], router = "main.lua", hosts = { host } },
        good = { listen = "127.0.0.1:" .. ports[2], router = "ketama", hosts = { host } },
      } } })
    worker = pair.worker(nydus)
    good, bad = nydus:client({ port = ports[2], timeout = 20 }), nydus:client({ port = ports[1], timeout = 20 })
    good:call("SET", "k", "v")
  end)

  local function is_one_of(text, expected)
    for _, pattern in ipairs(type(expected) == "table" and expected or { expected }) do
      if text:find(pattern) then return true end
    end
  end

  local PLAIN = { { "GET", "k" }, { "SET", "k", "v" }, { "GET", "k" } }
  local ANSWERS = { "v", "OK", "v" }

  -- The bad command and plain ones of the same client, while another client has its own.
  local function ask_badly(case, i)
    for _, key in ipairs({ "k", "bad:" .. i, "k" }) do bad:command("GET", key) end
    assert.same(ANSWERS, good:pipeline(PLAIN))
    local answers = { bad:read(), bad:read(), bad:read() }
    assert.same({ "v", "v" }, { answers[1], answers[3] }, case[1])
    return answers[2]
  end

  -- What is wrong with the answer, or nil.
  local function problem_of(case, i)
    if case.again then ask_badly(case, i) end
    local answer = ask_badly(case, i)
    local text = type(answer) == "table" and answer.err or tostring(answer)
    -- On a slow machine anything may take 15 ms.
    local right = text:find("^ERR router: ") and (is_one_of(text, case[2]) or text:find(STOPPED, 1, true))
    return (not right or #text > 400) and case[1] .. ": " .. text or nil
  end

  it("ends in an error for its own request", function()
    local wrong = {}
    write(decide_for(DECISIONS))
    assert.equal("OK", good:call("NYDUS", "RELOAD"))
    for i, case in ipairs(DECISIONS) do
      if not case.alone then wrong[#wrong + 1] = problem_of(case, i) end
    end
    for _, case in ipairs(DECISIONS) do
      if case.alone then
        write(decide_for({ case }))
        assert.equal("OK", good:call("NYDUS", "RELOAD"))
        wrong[#wrong + 1] = problem_of(case, 1)
      end
    end
    assert.equal("", table.concat(wrong, "\n"))
    assert.equal(worker, pair.worker(nydus))
  end)

  it("or in a reload that is refused, with everything as it was", function()
    local wrong = {}
    write("return cluster.hosts[1]")
    assert.equal("OK", good:call("NYDUS", "RELOAD"))
    for _, case in ipairs(SCRIPTS) do
      write(case[1])
      good:command("NYDUS", "RELOAD")
      assert.same(ANSWERS, bad:pipeline(PLAIN))
      local text = good:read().err or "accepted"
      if not is_one_of(text, case[2]) then wrong[#wrong + 1] = case[1] .. ": " .. text end
      assert.same(ANSWERS, bad:pipeline(PLAIN))
    end
    assert.equal("", table.concat(wrong, "\n"))
    assert.equal(worker, pair.worker(nydus))
  end)

  it("leaves no memory behind", function()
    write("return cluster.hosts[1]")
    assert.equal("OK", good:call("NYDUS", "RELOAD"))
    assert.same(ANSWERS, bad:pipeline(PLAIN))
    if pair.sanitized then return end
    local rss = support.rss(worker)
    assert.is_true(rss < 80 * MB, ("%.1f MB"):format(rss / MB)) -- some forms of memory get four times 8 MB
  end)
end)
