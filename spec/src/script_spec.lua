local support = require("support")
local script = require("support.script")
local sys = require("support.sys")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\")\n"

-- A script that does `body` for keys that begin with "x", else answers host a.
local function with(body, options)
  options = options or {}
  options.router = HEAD .. "return function(req) if req:prefix(\"x\") then\n" .. body ..
    "\nend return cluster.hosts[1] end"
  return script.new(options)
end

-- The answer to GET x1; those before and behind it in the batch must not notice.
local function answer(body, options)
  local s = with(body, options)
  local out = s:routes({ { "GET", "before" }, { "GET", "x1" }, { "GET", "behind" } })
  assert.equal("host a", out[1])
  assert.equal("host a", out[3])
  assert.equal("host a", s:route("GET", "later"))
  s:close()
  return (out[2]:gsub("^error ERR router: ", ""))
end

describe("script", function()
  describe("decide", function()
    it("asks once for all queries of a batch", function()
      local s = with("return cluster.hosts[2]")
      local commands, expected = {}, {}
      for i = 1, 128 do
        commands[i] = { "GET", (i % 3 == 0 and "x" or "y") .. i }
        expected[i] = i % 3 == 0 and "host b" or "host a"
      end
      assert.same(expected, s:routes(commands))
      assert.equal(1, s:counters().batches)
      assert.equal(128, s:counters().queries)
      s:close()
    end)

    it("asks a function that a function returned", function()
      local s = script.new({ router = HEAD .. [[
        local inner = function(req) return req:prefix("a") and cluster.hosts[1] or cluster.hosts[2] end
        return nydus.command{ GET = function(req) return inner end, default = inner }]] })
      assert.same({ "host a", "host b", "host a" }, s:routes({ { "GET", "a" }, { "GET", "b" }, { "SET", "a", "1" } }))
      s:close()
    end)

    it("says nothing when there is no route: that is the dispatcher's to word", function()
      assert.equal("none", answer("return nil"))
    end)

    it("answers an error for the request that raised it, and for no other", function()
      for body, expected in pairs({
        ["error('oops')"] = "main.lua:3: oops",
        ["error('oops', 0)"] = "oops",
        ["error()"] = "main.lua:2: it raised nil",
        ["error(nil)"] = "main.lua:2: it raised nil",
        ["error({ code = 1 })"] = "main.lua:2: it raised a table, not a message",
        ["error(setmetatable({}, { __tostring = function() error('deep') end }))"] =
          "main.lua:2: it raised a table, not a message",
        ["error(print)"] = "main.lua:2: it raised a function, not a message",
        ["error(cluster)"] = "main.lua:2: it raised something that is no message",
        ["error('two\\r\\nlines', 0)"] = "two  lines",
        ["local x = nil + 1"] = "main.lua:3: attempt to perform arithmetic on a nil value",
        ["return req.nothing.more"] = "main.lua:3: a request has no field 'nothing'",
        ["return 7"] = "main.lua:2: returned a number, not a target",
        ["return 0 / 0"] = "main.lua:2: returned a number, not a target",
        ["return 'b'"] = "main.lua:2: returned a string, not a target",
        ["return true"] = "main.lua:2: returned a boolean, not a target",
        ["return req"] = "main.lua:2: returned a request, not a target",
        ["return {}"] = "main.lua:2: returned an empty list",
        ["return { 7 }"] = "main.lua:2: returned a list whose item 1 is wrong: a target is expected (a host, a " ..
          "cluster, a router, a list, a reply or a function), got a number",
        ["return { route = cluster.hosts[1] }"] = "main.lua:2: returned a list of targets is expected, got a table " ..
          "with the key route",
        ["return cluster.hosts[4]"] = "main.lua:3: cluster main has no host with the key 4 (it has 1, 2, 3)",
        ["return cluster:host('z')"] = "main.lua:2: cluster main has no host 'z'; did you mean 'a'?",
        ["return nydus.cluster('z')"] = "main.lua:2: nydus.cluster: there is no cluster 'z'",
        ["return cluster"] = "main.lua:2: returned its own cluster, which would ask it again",
        ["return nydus.null"] = "main.lua:2: returned nydus.null (write nydus.reply(nydus.null)), not a target",
        ["y = 1"] = "main.lua:3: assignment to the undeclared variable 'y', write: local y",
        ["local f f = function() return 1 + f() end f()"] = "main.lua:3: stack overflow",
        ["return unpack({}, 1, 1e8)"] = "main.lua:2: too many results to unpack",
        ["return string.rep('x', 1e9)"] = "main.lua:2: string.rep: 1000000000 bytes are too many (1048576 at most)",
        ["return ('x'):rep(1e9)"] = "main.lua:2: string.rep: 1000000000 bytes are too many (1048576 at most)",
        ["return string.format('%0999999d', 1)"] = "main.lua:2: invalid option '%0999' to 'format'",
        ["local t = {} for i = 1, 20000 do t[i] = -i end table.sort(t)"] =
          "main.lua:3: table.sort: more than 10000 items",
      }) do
        assert.equal(expected, answer(body), body)
      end
    end)

    it("cuts long messages", function()
      assert.equal(200, #answer("error(('m'):rep(1000), 0)"))
    end)

    it("counts and logs errors at a limited rate", function()
      local s = with("error('often')")
      local commands = {}
      for i = 1, 100 do commands[i] = { "GET", "x" .. i } end
      for _, line in ipairs(s:routes(commands)) do assert.equal("error ERR router: main.lua:3: often", line) end
      assert.equal(100, s:counters().errors)
      s:close()
    end)
  end)

  describe("lists and replies of decisions", function()
    it("are made once for every content", function()
      local s = with("return { cluster.hosts[1], { cluster.hosts[2], nydus.reply('same') } }")
      local expected = "list [host a, list [host b, reply $4\r\nsame\r\n]]"
      assert.equal(expected, s:route("GET", "x"))
      local count = s.generation.set.count
      for _ = 1, 500 do assert.equal(expected, s:route("GET", "x")) end
      assert.equal(count, s.generation.set.count)
      s:close()
    end)

    it("of ever new content come to an end", function()
      local s = with("return { cluster.hosts[1], nydus.reply(req:key()) }")
      local last
      for i = 1, 6000 do
        last = s:route("GET", "x" .. i)
        if last:find("^error") then break end
      end
      assert.equal("error ERR router: main.lua:2: returned more than 10000 different lists; " ..
        "make them at load", last)
      assert.is_true(s.generation.set.count < 20000)
      s:close()
    end)

    it("alone may be new every time", function()
      local s = with("return nydus.reply(req:key())")
      local count = s.generation.set.count
      for i = 1, 2000 do assert.equal(("reply $%d\r\nx%d\r\n"):format(#("x" .. i), i), s:route("GET", "x" .. i)) end
      assert.equal(count, s.generation.set.count)
      s:close()
    end)

    it("may be functions, but not a new one every time", function()
      local s = with("return function() return cluster.hosts[2] end")
      local last
      for i = 1, 101 do last = s:route("GET", "x" .. i) end
      assert.equal("error ERR router: main.lua:2: returned more than 100 different functions; make them at load", last)
      s:close()
    end)
  end)

  describe("a loop", function()
    local LIMIT = "stopped: it ran for more than 15 ms"
    local MOST = require("support.pair").sanitized and 150 or 50 -- milliseconds

    -- CPU time of this process: on a busy machine the wall clock says nothing.
    local function stopped(body)
      local s = with(body)
      s:routes({ { "GET", "warm" } })
      local start = os.clock()
      local out = s:routes({ { "GET", "a" }, { "GET", "x" }, { "GET", "b" } })
      local took = (os.clock() - start) * 1000
      assert.same({ "host a", "host a" }, { out[1], out[3] }, body)
      assert.is_truthy(out[2]:find(LIMIT, 1, true), body .. ": " .. out[2])
      assert.equal(1, s:counters().stops)
      s:close()
      return took
    end

    it("of every form is stopped within 50 ms", function()
      for _, body in ipairs({
        "while true do end",
        "repeat until false",
        "for i = 1, math.huge do end",
        "for _ in function() return 1 end do end",
        "for i = 1, 1e9 do for j = 1, 1e9 do end end",
        "::top:: goto top",
        "local x = 0 ::top:: x = x + 1 if x < 0 then return end goto top",
        "local function f() return f() end f()",
        "local function f(n) return f(n + 1) end f(0)",
        "local function f(...) return f(...) end f(1, 2, 3)",
        "local g local function f() return g() end function g() return f() end f()",
        "local t = {} function t.a() return t.b() end function t.b() return t.a() end t.a()",
        "local t t = setmetatable({}, { __call = function() return t() end }) t()",
        "local t = setmetatable({}, { __index = function() while true do end end }) return t[1]",
        "while true do pcall(error, 'x') end",
        "while true do pcall(function() while true do end end) end",
        "pcall(function() while true do end end) return cluster.hosts[2]",
        "xpcall(function() while true do end end, function() while true do end end)",
        "local t = {} for i = 1, 10 do t[i] = i end while true do for k, v in pairs(t) do end end",
        "table.sort({ 3, 2, 1 }, function() while true do end end)",
        "return load('while true do end')()",
        "while true do if req:prefix('zz') then break end end",
        "while true do if req:key(1) == 'zz' then break end end",
        "while true do string.match('abc', 'b') end",
        "while true do (('x'):rep(100000)):gsub('.', 'y') end",
        "while true do (('x'):rep(1000)):gsub('.', function() end) end",
        "local s = '' while true do s = ('x'):rep(1000000) end",
        "local x = 0.5 while x ~= 0 do x = x * 1.0000001 end",
        "while true do tostring({}) end",
        "local x = 1 while true do x = bit.bxor(x, 3) end",
        "while true do table.concat({ 'a', 'b' }) end",
        "for c in ('x'):rep(1000000):gmatch('.') do for d in ('x'):rep(1000000):gmatch('.') do end end",
      }) do
        local took = stopped(body)
        assert.is_true(took < MOST, ("%s: %.0f ms"):format(body, took))
      end
    end)

    it("is stopped when it is compiled already", function()
      local s = script.new({ router = HEAD .. [[
        local turns = 10
        return function(req)
          if req:prefix("x") then turns = math.huge end
          for i = 1, turns do end
          return cluster.hosts[1]
        end]] })
      for _ = 1, 300 do s:routes({ { "GET", "a" }, { "GET", "b" } }) end
      assert.is_truthy(s:route("GET", "x"):find(LIMIT, 1, true))
      s:close()
    end)

    it("does not make the functions behind it suspicious", function()
      local s = with("while true do end")
      for _ = 1, 5 do
        assert.is_truthy(s:route("GET", "x"):find(LIMIT, 1, true))
        assert.equal("host a", s:route("GET", "a"))
      end
      assert.equal(5, s:counters().stops)
      s:close()
    end)

    it("is stopped without the compiler too", function()
      local s = with("while true do end")
      s:eval("require('jit').off() return 1")
      local out = s:routes({ { "GET", "a" }, { "GET", "x" }, { "GET", "b" } })
      assert.same({ "host a", "host a" }, { out[1], out[3] })
      assert.is_truthy(out[2]:find(LIMIT, 1, true))
      s:close()
    end)

    it("in many requests of one batch does not hold up the worker for long", function()
      local s = with("while true do end")
      local commands = {}
      for i = 1, 128 do commands[i] = { "GET", (i % 2 == 0 and "x" or "a") .. i } end
      local start = os.clock()
      local out = s:routes(commands)
      assert.is_true(os.clock() - start < 1)
      assert.equal("error ERR router: main.lua:2: not asked, it was stopped 8 times just before", out[128])
      assert.equal(8, s:counters().stops)
      s:close()
    end)
  end)

  describe("memory", function()
    local FULL = "main.lua:2: not enough memory (router_memory is 8388608 bytes)"

    it("has a limit, whatever it is filled with", function()
      for _, body in ipairs({
        "local t = {} for i = 1, 4e6 do t[i] = i end",
        "local t = {} for i = 1, 4e5 do t['k' .. i] = i end",
        "local t = {} for i = 1, 4e5 do t[i] = {} end",
        "local s = 'x' for i = 1, 40 do s = s .. s end",
        "local t = {} for i = 1, 100 do t[i] = ('x'):rep(1000000) .. i end",
        "local t = {} for i = 1, 4e5 do t[i] = function() return i end end",
      }) do
        local text = answer(body, { memory = 8 * 1024 * 1024 })
        assert.is_truthy(text:find("not enough memory", 1, true) or text:find("stopped", 1, true), body .. ": " .. text)
      end
    end)

    it("is free again for the requests behind, and garbage does not count", function()
      local s = with("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(60000) .. i end", { memory = 8 * 1024 * 1024 })
      for _ = 1, 3 do
        local out = s:routes({ { "GET", "x" }, { "GET", "a" } })
        assert.equal("error ERR router: " .. FULL, out[1])
        assert.equal("host a", out[2])
      end
      assert.equal(3, s:counters().memory_errors)
      assert.is_true(tonumber(support.lib().script_memory_used(s.c)) < 6 * 1024 * 1024)
      s:close()
    end)

    it("that grows a little with every request comes to an end, too", function()
      local s = script.new({ memory = 8 * 1024 * 1024, router = HEAD .. [[
        local kept = {}
        return function(req)
          if req:prefix("leak") then kept[#kept + 1] = ("x"):rep(20000) .. #kept end
          return cluster.hosts[1]
        end]] })
      local served = 0
      for _ = 1, 1000 do
        served = served + (s:routes({ { "GET", "leak" }, { "GET", "a" } })[2] == "host a" and 1 or 0)
      end
      assert.is_true(served > 400)
      assert.is_true(tonumber(support.lib().script_memory_used(s.c)) < 13 * 1024 * 1024)
      assert.matches("is quarantined since .* not enough memory", s:route("GET", "a"))
      s:close()
    end)

    it("that a script keeps full is refused without a collection each time", function()
      local s = script.new({ memory = 8 * 1024 * 1024, router = HEAD .. [[
        local kept = {}
        return function(req)
          if req:prefix("x") then for i = 1, 1e9 do kept[#kept + 1] = i end end
          return cluster.hosts[1]
        end]] })
      for _ = 1, 20 do
        assert.matches("^error", s:route("GET", "x"))
        assert.equal("host a", s:route("GET", "a"))
      end
      s:close()
    end)
  end)

  describe("a req", function()
    it("that is kept raises, also when its place holds another request", function()
      local s = script.new({ router = HEAD .. [[
        local kept
        return function(req)
          if req:prefix("keep") then kept = req return cluster.hosts[1] end
          if req:prefix("field") then return nydus.reply(kept.command) end
          if req:prefix("client") then return nydus.reply(kept.client.id) end
          return nydus.reply(kept:key())
        end]] })
      local over = "error ERR router: main.lua:7: request is over"
      assert.same({ "host a", over }, s:routes({ { "GET", "keep" }, { "GET", "x" } }))
      assert.equal(over, s:route("GET", "x"))
      for _ = 1, 200 do -- compiled as well
        assert.same({ over, over }, s:routes({ { "GET", "x" }, { "GET", "y" } }))
      end
      assert.equal("error ERR router: main.lua:5: request is over", s:route("GET", "field"))
      assert.equal("error ERR router: main.lua:6: request is over", s:route("GET", "client"))
      assert.same({ "host a", "error ERR router: main.lua:5: request is over" },
        s:routes({ { "GET", "keep" }, { "GET", "field" } }))
      s:close()
    end)

    it("is over when its decision raised", function()
      local s = script.new({ router = HEAD .. [[
        local kept
        return function(req)
          if req:prefix("keep") then kept = req error("x") end
          return nydus.reply(kept:key())
        end]] })
      local out = s:routes({ { "GET", "keep" }, { "GET", "x" } })
      assert.equal("error ERR router: main.lua:5: request is over", out[2])
      s:close()
    end)

    it("has the attempt and the database of its query", function()
      local s = script.new({ router = HEAD .. "return function(req) return nydus.reply({ req.attempt, req.db }) end" })
      assert.same({ "reply *2\r\n:3\r\n:5\r\n" }, s:routes({ { "GET", "k" } }, { attempt = 3, db = 5 }))
      s:close()
    end)
  end)

  describe("the driver", function()
    local function traces(s)
      return tonumber(s:eval([[local util, count = require("jit.util"), 0
        for i = 1, 8000 do
          local info = util.traceinfo(i)
          if info and info.linktype == "loop" then count = count + 1 end
        end
        return count]]))
    end

    it("compiles, and makes no garbage per request", function()
      for _, body in ipairs({
        "return function(req) return ring end",
        "return function(req) if req.write then return hot end return ring end",
        "return function(req) if req:prefix('hot:') then return hot end return ring end",
        "return function(req) if req:prefix('a') then return hot elseif req:prefix('b') then return ring end " ..
          "if req:prefix('c') then return hot end return ring end",
        "return function(req) return by[req.command] end",
        "return function(req) return list[req:hash() % 3 + 1] end",
      }) do
        local s = script.new({ router = HEAD .. "local ring, hot = nydus.ketama(cluster), cluster.hosts[1]\n" ..
          "local by, list = { get = ring, set = hot }, { ring, hot, ring }\n" .. body })
        local commands = {}
        for i = 1, 64 do
          commands[i] = i % 2 == 0 and { "GET", ("hot:"):sub(1, i % 5) .. i } or { "SET", "cab" .. i, "v" }
        end
        local batch = s:queries(commands)
        local root = s.generation.clusters[0].root
        local function run(rounds)
          for _ = 1, rounds do
            for i = 0, batch.count - 1 do batch.c[i].target = root end
            s:decide(batch)
          end
        end
        run(300)
        assert.is_true(traces(s) >= 1, body)
        -- LuaJIT gives up some ways through the code, at random: the few requests of a batch that go there
        -- are interpreted, and make some. One value for each request would be 16 bytes and more.
        local requests, least = 100 * batch.count, math.huge
        for _ = 1, 5 do
          local before = tonumber(support.lib().script_memory_used(s.c))
          run(100)
          local after = tonumber(support.lib().script_memory_used(s.c))
          least = math.min(least, math.abs(after - before))
        end
        assert.is_true(least < requests * 8, ("%s: %.1f bytes per request"):format(body, least / requests))
        s:close()
      end
    end)
  end)

  describe("pack", function()
    it("holds every file, so that nothing is read twice", function()
      local lib, ffi = support.lib(), require("ffi")
      local s = script.new({ router = "return require('more')(...)",
        files = { ["more.lua"] = "return function(cluster) return cluster.hosts[2] end" } })
      local size, problem = ffi.new("size_t[1]"), ffi.new("char *[1]")
      local packed = lib.script_pack(s.c, size)
      local path = s.dir .. "/config.lua"
      for _, name in ipairs({ "config.lua", "main.lua", "more.lua" }) do os.remove(s.dir .. "/" .. name) end
      local o = ffi.new("struct script_options")
      o.lua_dir = "lua"
      local other, third = lib.script_create(o), lib.script_create(o)
      assert.is_true(script.finish(lib.script_open_step, other, problem))
      assert.is_true(script.finish(lib.script_load_step, other, path, packed, size[0], problem))
      lib.script_destroy(other)
      assert.is_true(script.finish(lib.script_open_step, third, problem))
      assert.is_false(script.finish(lib.script_load_step, third, path, "rubbish", 7, problem))
      assert.equal(path .. ": not a bundle", ffi.string(problem[0]))
      ffi.C.free(problem[0])
      lib.script_destroy(third)
      ffi.C.free(packed)
      s:close()
    end)
  end)

  -- As short as can be: every look at the clock ends one.
  describe("slices", function()
    local lib, ffi = support.lib(), require("ffi")

    it("open a state in many steps", function()
      local o, problem = ffi.new("struct script_options"), ffi.new("char *[1]")
      o.lua_dir, o.slice = os.getenv("NYDUS_LUA_PATH") or "lua", 1
      local s = lib.script_create(o)
      local done, count = script.finish(lib.script_open_step, s, problem)
      assert.is_true(done and count > 10, count)
      lib.script_destroy(s)
      o.slice = 0
      s = lib.script_create(o)
      assert.same({ true, 2 }, { script.finish(lib.script_open_step, s, problem) })
      lib.script_destroy(s)
    end)

    local BUSY = HEAD .. [[
      local sum, words = 0, {}
      for i = 1, 3000 do
        local ok, value = pcall(function(...)
          for j = 1, 10 do sum = sum + j * select("#", ...) end
          return i % 3 == 0 and error("no " .. i, 0) or tostring(i):gsub("%d", function(d) return d .. d end)
        end, 1, nil, i)
        words[i % 50 + 1] = (ok and "yes " or "") .. value
      end
      table.sort(words, function(a, b) for _ = 1, 20 do sum = sum + 1 end return a < b end)
      local text = sum .. " " .. table.concat(words, ",")
      return function(req) return nydus.reply(text) end]]

    it("change nothing in what a script does while it is loaded", function()
      local whole, sliced = script.new({ router = BUSY }), script.new({ router = BUSY, slice = 1 })
      assert.equal(whole:route("GET", "x"), sliced:route("GET", "x"))
      assert.matches("^reply .-no 2991", sliced:route("GET", "x"))
      whole:close()
      sliced:close()
    end)

    it("change nothing in the words of an error", function()
      for _, text in ipairs({
        "local x = nil\nfor _ = 1, 1000 do end\nreturn x.y",
        "for i = 1, 2000 do if i == 1999 then error('late') end end",
        "nydus.ketama(cluster, { hash = 'md6' })",
        "return 5",
        "return",
        "x = 1",
      }) do
        local taken, expected = pcall(script.new, { router = HEAD .. text })
        local _, got = pcall(script.new, { router = HEAD .. text, slice = 1 })
        assert.is_false(taken)
        assert.equal(expected, got)
      end
    end)

    it("leave it to the compiler to make a script's loops fast", function()
      local busy = HEAD .. "local list, n = {}, 0\nfor i = 1, 900 do list[i] = i * 7919 % 10007 end\n" ..
        "table.sort(list, function(a, b) for _ = 1, 300 do n = n + 1 end return a < b end)\nreturn cluster.hosts[1]"
      script.new({ router = busy, slice = 1 }):close()
    end)

    it("are stopped where a script holds them up", function()
      local loop = HEAD .. "local list = { 2, 1 }\ntable.sort(list, function() while true do end end)"
      local _, problem = pcall(script.new, { router = loop, slice = 1 })
      assert.matches("stopped: it ran for more than 1 s", problem, 1, true)
    end)
  end)

  describe("create", function()
    it("names the folder that has no modules", function()
      local lib, ffi = support.lib(), require("ffi")
      local o, problem = ffi.new("struct script_options"), ffi.new("char *[1]")
      o.lua_dir = "/nowhere"
      local s = lib.script_create(o)
      assert.is_false(script.finish(lib.script_open_step, s, problem))
      lib.script_destroy(s)
      assert.matches("^the Lua modules in /nowhere: cannot open /nowhere/nydus/require%.lua", ffi.string(problem[0]))
      ffi.C.free(problem[0])
    end)

    it("leaves nothing behind, a hundred times", function()
      local size
      for i = 1, 100 do
        local s = with("return cluster.hosts[2]")
        s:routes({ { "GET", "x" }, { "GET", "a" } })
        s:close()
        if i == 20 then size = support.rss(sys.getpid()) end
      end
      local limit = support.sanitized and 256 or 8 -- MB; a sanitizer keeps what was freed
      assert.is_true(support.rss(sys.getpid()) - size < limit * 1024 * 1024)
    end)
  end)
end)
