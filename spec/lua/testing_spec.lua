-- require("nydus.testing"): routers under test without a server.

local support = require("support")
local testing = require("nydus.testing")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\") local h = cluster.hosts\n"

describe("nydus.testing", function()
  local open, dir

  before_each(function() open, dir = {}, support.temp_dir() end)
  after_each(function() for _, t in ipairs(open) do t:close() end end)

  local function load(body, options)
    local path = dir .. "/router.lua"
    support.write_file(path, HEAD .. body)
    local t = testing.load(path, options or { hosts = { "a", "b", "c" } })
    open[#open + 1] = t
    return t
  end

  it("routes as the server does", function()
    local t = load("return nydus.prefix{ ['x:'] = h[2], ['all:'] = { h[1], h[3] }, ['no:'] = nydus.error('ERR no'), "
      .. "default = nydus.failover{ h[3], h[1] } }")
    assert.equal(t.hosts[2], t:route("GET", "x:1"))
    assert.equal("b", t:route("GET", "x:1").identifier)
    assert.same({ t.hosts[1], t.hosts[3] }, t:route("SET", "all:1", "v"))
    assert.equal(t.hosts[3], t:route("GET", "k"))
    local host, why = t:route("GET", "no:1")
    assert.is_nil(host)
    assert.matches('reply "%-ERR no', why)
    assert.matches('the key begins with "x:"', t:explain("GET", "x:1"))
  end)

  it("agrees with the placement of real addresses", function()
    local hosts = { [0] = { host = "10.0.0.1", port = 7001 }, { host = "10.0.0.2", port = 7002, weight = 3 },
      { host = "10.0.0.3", port = 7003, identifier = "named" } }
    local t = testing.load("ketama", { hosts = hosts })
    open[1] = t
    local config = dir .. "/config.lua"
    support.write_file(config, [[return { listen = ":1", router = "ketama", hosts = { [0] = { host = "10.0.0.1", port = 7001 },
      { host = "10.0.0.2", port = 7002, weight = 3 }, { host = "10.0.0.3", port = 7003, identifier = "named" } } }]])
    local lines = {}
    for i = 1, 50 do lines[i] = "GET key" .. i end
    local _, out = support.nydus_run({ "--route", "-", config, stdin = table.concat(lines, "\n") .. "\n" })
    local i = 0
    for name in out:gmatch("C +host (%S+) ") do
      i = i + 1
      assert.equal(name, t:route("GET", "key" .. i).identifier, "key" .. i)
    end
    assert.equal(50, i)
  end)

  it("has hosts that keep values, or answer as they are told", function()
    local t = load("return cluster.hosts[1]")
    assert.equal("OK", t:call("SET", "k", "v"))
    assert.equal("v", t:call("GET", "k"))
    assert.same({ "v", testing.null }, t:call("MGET", "k", "none"))
    assert.equal(1, t:call("INCR", "n"))
    assert.same({ { "SET", "k", "v" }, { "GET", "k" }, { "MGET", "k", "none" }, { "INCR", "n" } }, t:requests("a"))
    assert.same({}, t:requests("a"))
    assert.matches("does not know 'lpush'", t:call("LPUSH", "l", "x").err)
    local seen
    t:on("a", function(command, ...)
      seen = { command, ... }
      if command == "lpush" then return 7 end
      if command == "lrange" then return { "a", 1, testing.null, testing.status("S") } end
      if command == "hget" then return testing.error("WRONGTYPE no") end
    end)
    assert.equal(7, t:call("LPUSH", "l", "x"))
    assert.same({ "lpush", "l", "x" }, seen)
    assert.same({ "a", 1, testing.null, "S" }, t:call("LRANGE", "l", 0, -1))
    assert.same({ err = "WRONGTYPE no" }, t:call("HGET", "h", "f"))
    assert.equal("v", t:call("GET", "k"))
  end)

  it("lets hosts go and come back, in time that takes no time", function()
    local t = load("return nydus.modulus({ h[1] }, { })", { hosts = { "a" }, cluster = { retry_timeout = 30 } })
    t:down("a")
    assert.matches("^ERR host a is down", t:call("GET", "k").err)
    t:up(t.hosts[1])
    local began = support.now()
    t:advance(60)
    assert.equal("OK", t:call("SET", "k", "v"))
    t:on("a", function() return testing.silence end)
    assert.matches("^ERR host a did not answer within 1 s", t:call("GET", "k").err)
    assert.is_true(support.now() - began < 5)
  end)

  it("sees what time does", function()
    local t = load("return nydus.hedge{ h[1], h[2], after = 0.2 }")
    t:on("a", function() return testing.silence end)
    t:on("b", function() return "from b" end)
    t:send("GET", "k")
    assert.is_nil((t:reply()))
    t:advance(0.1)
    assert.is_nil((t:reply()))
    assert.equal(0, #t:requests("b"))
    t:advance(0.2)
    assert.equal("from b", (t:reply()))
    assert.same({ { "GET", "k" } }, t:requests("b"))
    local ticking = load("local n = 0 nydus.every(10, function() n = n + 1 end) return function() return nydus.reply(n) end")
    assert.equal(0, ticking:call("GET", "k"))
    ticking:advance(35)
    assert.equal(3, ticking:call("GET", "k"))
    local clock = load("return function() return nydus.reply(nydus.now()) end")
    local before = tonumber(clock:call("GET", "k"))
    clock:advance(1000)
    local passed = tonumber(clock:call("GET", "k")) - before
    assert.is_true(passed >= 1000 and passed < 1010, passed)
  end)

  it("runs flows, whose waiting takes no time", function()
    local began = support.now()
    local t = load([[return nydus.flow(function(req)
      if req:prefix("sleep") then nydus.sleep(30) return "slept" end
      if req:prefix("lock") then
        local lock = nydus.lock("testing", req:key(), 20)
        nydus.sleep(10)
        lock:unlock()
        return "done"
      end
      return nydus.any({ req:spawn(h[1]), req:spawn(h[2]) }, 1) or nydus.error("ERR none")
    end, { order = "none" })]])
    t:on("a", function() return testing.silence end)
    t:on("b", function() return "B" end)
    assert.equal("B", t:call("GET", "k"))
    assert.equal("slept", t:call("GET", "sleep"))
    t:send("GET", "lock")
    local other = t:client()
    other:send("GET", "lock")
    t:advance(11)
    assert.equal("done", (t:reply()))
    assert.is_nil((other:reply()))
    t:advance(11)
    assert.equal("done", (other:reply()))
    assert.is_true(support.now() - began < 5)
  end)

  it("gives each load locks of its own, also after another has ended", function()
    local body = [[return nydus.flow(function(req)
      local lock = nydus.lock("testing", req:key(), 20)
      nydus.sleep(10)
      lock:unlock()
      return "done"
    end, { order = "none" })]]
    local one, two = load(body), load(body)
    for _, t in ipairs({ one, two }) do t:send("GET", "k") end
    for _, t in ipairs({ one, two }) do
      t:advance(11)
      assert.equal("done", (t:reply()))
      t:close()
    end
    local three = load(body)
    three:send("GET", "k")
    three:advance(11)
    assert.equal("done", (three:reply()))
  end)

  it("has as many clients as one wants, and transactions", function()
    local t = load("return h[1]")
    t:on("a", function(command) if command == "multi" or command == "exec" then return testing.status("OK") end end)
    local one, two = t:client(), t:client()
    one:send("GET", "a")
    two:send("PING")
    assert.equal("PONG", (two:reply()))
    assert.equal(testing.null, (one:reply()))
    assert.is_true(one:call("CLIENT", "ID") ~= two:call("CLIENT", "ID"))
    assert.equal("OK", one:call("QUIT"))
    assert.same({ nil, "the connection is closed" }, { one:reply() })
  end)

  it("reloads", function()
    local t = load("return h[1]", { hosts = { "a", "b" } })
    t:call("SET", "k", "v")
    support.write_file(dir .. "/other.lua", HEAD .. "return h[2]")
    t:reload(dir .. "/other.lua", { hosts = { "a", "b" } })
    assert.equal(testing.null, t:call("GET", "k"))
    assert.has_error(function() t:reload(dir .. "/none.lua") end)
    assert.equal(testing.null, t:call("GET", "k"))
  end)

  it("gives each load what scripts share, apart from others and kept over reloads", function()
    local body = [[
      local c, g, h, d = nydus.counter("c"), nydus.gauge("g"), nydus.histogram("h"), nydus.shared("d")
      local l = nydus.limiter{ rate = 1, burst = 2 }
      return function(req)
        c:add() g:add(2) h:observe(3) d:set("ttl", "here", 5)
        return nydus.reply(("%d %d %d %d %s %s"):format(c:value(), g:value(), h:count(), d:incr("n", 1, 0),
          tostring(l:allow()), tostring(d:get("long"))), d:add("long", "x", 10))
      end]]
    local one, two = load(body), load(body)
    assert.equal("1 2 1 1 true nil", one:call("GET", "k"))
    assert.equal("1 2 1 1 true nil", two:call("GET", "k"))
    assert.equal("2 4 2 2 true x", one:call("GET", "k"))
    assert.equal("3 6 3 3 false x", one:call("GET", "k"))
    one:reload(dir .. "/router.lua", { hosts = { "a", "b", "c" } })
    assert.equal("4 8 4 4 false x", one:call("GET", "k"))
    one:advance(1)
    assert.equal("5 10 5 5 true x", one:call("GET", "k"))
    one:advance(10)
    assert.equal("6 12 6 6 true nil", one:call("GET", "k"))
    two:close()
    assert.equal("7 14 7 7 true x", one:call("GET", "k"))
    assert.equal("1 2 1 1 true nil", load(body):call("GET", "k"))
  end)

  it("says what is wrong", function()
    for expected, body in pairs({
      ["router.lua:2: nydus.ketma: no such function; did you mean 'ketama'?"] = "return nydus.ketma(cluster)",
      ["it returns nothing"] = "",
      ["unexpected symbol"] = "return (",
    }) do
      local ok, message = pcall(load, body)
      assert.is_false(ok)
      assert.is_truthy(message:find(expected, 1, true), message)
    end
    assert.has_error(function() testing.load("nowhere.lua") end, "nowhere.lua: there is no such file")
    local t = load("return h[1]")
    for call, expected in pairs({
      [function() t:down("z") end] = "there is no host 'z'",
      [function() t:on("a", 3) end] = "a function is expected, got number",
      [function() t:advance("x") end] = "seconds are expected",
      [function() t:call("GET", {}) end] = "word 2 of the command is table",
    }) do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.is_truthy(message:find(expected, 1, true), message)
    end
  end)

  it("runs timers, tells of hosts, and runs the hooks around a reload", function()
    local body = [[
      local kept, said, ticks = nydus.kept, {}, 0
      kept.n = (kept.n or 0) + 1
      nydus.every(10, function() ticks = ticks + 1 end)
      nydus.on_host(function(host, state) said[#said + 1] = host.identifier .. " " .. state end)
      return { keep = { "n" }, check = function(test) assert(test:route("GET", "k") == h[1]) end,
        route = function(req)
          if req.write then h[2]:down(20) end
          if req:prefix("said") then return nydus.reply({ kept.n, ticks, h[2].state, table.concat(said, ", ") }) end
          return h[1]
        end }]]
    local t = load(body)
    t:advance(35)
    assert.same({ 1, 3, "up", "a up, b up, c up" }, t:call("GET", "said"))
    t:call("SET", "k", "v")
    assert.same({ 1, 3, "down", "a up, b up, c up, b down" }, t:call("GET", "said"))
    t:down("c")
    t:advance(21)
    assert.same({ 1, 5, "up", "a up, b up, c up, b down, c down, b up" }, t:call("GET", "said"))
    t:reload(dir .. "/router.lua", { hosts = { "a", "b", "c" } })
    t:advance(11)
    assert.same({ 2, 1, "up", "" }, t:call("GET", "said"))
    assert.has_error(function() load((body:gsub("== h%[1%]", "== h[2]"))) end)
  end)
end)
