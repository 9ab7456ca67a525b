-- nydus.flow: functions of router scripts that may wait.

local support = require("support")

local null = support.null
local HEAD = [[local cluster, options = ... local nydus = require("nydus") local h = cluster.hosts
local ring = nydus.modulus(cluster) ]]
local PONG = { auto = { PING = "+PONG\r\n" } }

local function start(body, hosts, extra)
  local config = { router = "main.lua", hosts = hosts, workers = 1, defaults = { timeout = 3, connect_timeout = 3 } }
  for key, value in pairs(extra or {}) do config[key] = value end
  return support.nydus({ config = config, files = { ["main.lua"] = HEAD .. body } })
end

-- A router that is one flow with this body.
local function flow(body, hosts, extra)
  return start("return nydus.flow(function(req) " .. body .. "\nend)", hosts, extra)
end

local function stat(client, name)
  return tonumber(client:call("INFO", "stats"):match(name .. ":(%d+)"))
end

describe("a flow", function()
  local hosts
  setup(function() hosts = { support.redis(), support.redis() } end)

  it("sends what came to any target, and passes the reply on", function()
    local client = flow([[
      if req:prefix("list") then return req:send({ h[1], h[2] }) end
      if req:prefix("fn") then return req:send(function(r) return h[r:arg(2) == "x" and 1 or 2] end) end
      if req:prefix("on") then return ring end
      return req:send(ring)]], hosts):client()
    assert.same({ "OK", "1", { "OK", "OK" }, { "v", "v" }, "OK", "PONG", "OK", "2", 5 }, client:pipeline({
      { "SET", "a", "1" }, { "GET", "a" }, { "SET", "list", "v" }, { "GET", "list" }, { "SET", "fn", "x" }, { "PING" },
      { "SET", "on", "2" }, { "GET", "on" }, { "DBSIZE" } }))
    assert.equal("x", hosts[1]:call("GET", "fn"))
    client:pipeline({ { "MSET", "k1", "1", "k2", "2", "k3", "3" } })
    assert.same({ "1", "2", "3", null }, client:call("MGET", "k1", "k2", "k3", "k4"))
    assert.equal(4, client:call("DEL", "k1", "k2", "k3", "on"))
    assert.matches("^ERR wrong number", client:call("GET").err)
    local big = ("x"):rep(3000000)
    assert.same({ "OK", big, 3000000 }, client:pipeline({ { "SET", "big", big }, { "GET", "big" }, { "STRLEN", "big" } }))
    client:call("HELLO", "3")
    client:call("HSET", "h", "f", "v")
    client:command("HGETALL", "h")
    assert.equal("%1\r\n$1\r\nf\r\n$1\r\nv\r\n", (select(2, client:read())))
  end)

  it("may return what it makes itself, or nothing", function()
    local client = flow([[local how = req:key()
      if how == "text" then return "plain" elseif how == "number" then return 7 elseif how == "null" then return nydus.null
      elseif how == "status" then return nydus.status("FINE") elseif how == "reply" then return nydus.reply({ 1, "x", nydus.null })
      elseif how == "error" then return nydus.error("DENIED " .. req.command) elseif how == "no" then return true
      elseif how == "bad" then return req end]], hosts):client()
    assert.same({ "plain", 7, null, "FINE", { 1, "x", null }, { err = "DENIED get" }, 1, { err = "ERR no route for 'get'" } },
      client:pipeline({ { "GET", "text" }, { "GET", "number" }, { "GET", "null" }, { "GET", "status" }, { "GET", "reply" },
        { "GET", "error" }, { "GET", "no" }, { "GET", "nothing" } }))
    assert.matches("^ERR router: .*main.lua:2: returned a request, not a reply", client:call("GET", "bad").err)
    client:call("HELLO", "3")
    client:command("GET", "null")
    assert.equal("_\r\n", (select(2, client:read())))
  end)

  it("has replies that tell what they are, in both protocols", function()
    local client = flow([[
      local out = {}
      local function see(r)
        out[#out + 1] = ("%s %s %d %s %s"):format(r.type, tostring(r.ok), #r, tostring(r:str()), tostring(r:int()))
        return r
      end
      see(nydus.call(h[1], "SET", "s", "text"))
      see(nydus.call(h[1], "GET", "s"))
      see(nydus.call(h[1], "GET", "none"))
      see(nydus.call(h[1], "INCRBY", "n", 9007199254740991))
      see(nydus.call(h[1], "GET", "n"))
      see(nydus.call(h[1], "LPUSH", "s", 1))
      nydus.call(h[1], "HSET", "h", "a", 1, "b", "-2")
      local map = see(nydus.call(h[1], "HGETALL", "h"))
      for i = 0, 5 do out[#out + 1] = tostring(map[i]) end
      local nested = nydus.call(h[1], "EVAL", "return {1, {'x', {2}}, false}", 0)
      out[#out + 1] = tostring(nested[2][2][1]:int() + nested[1]:int()) .. tostring(nested[3].is_null)
      see(nydus.call(h[1], "ZADD", "z", 1.5, "m"))
      see(nydus.call(h[1], "ZSCORE", "z", "m"))
      see(nydus.call(h[1], "SADD", "set", "one"))
      see(nydus.call(h[1], "SMEMBERS", "set"))
      see(nydus.call(h[1], "PING"))
      nydus.call(h[1], "SET", "copy", map[4])
      see(nydus.call(h[1], "GET", "copy"))
      return nydus.reply(out)]], hosts):client()
    local two = { "status true 2 OK nil", "string true 4 text nil", "null true 0 nil nil",
      "integer true 16 9007199254740991 9.007199254741e+15", "string true 16 9007199254740991 9.007199254741e+15",
      "error false 65 WRONGTYPE Operation against a key holding the wrong kind of value nil", "array true 4 nil nil",
      "nil", "a", "1", "b", "-2", "nil", "3true", "integer true 1 1 1", "string true 3 1.5 nil", "integer true 1 1 1",
      "array true 1 nil nil", "status true 4 PONG nil", "string true 2 -2 -2" }
    assert.same(two, client:call("GET", "k"))
    hosts[1]:call("FLUSHALL")
    client:call("HELLO", "3")
    two[7], two[16], two[18] = "map true 4 nil nil", "double true 3 1.5 nil", "set true 1 nil nil"
    assert.same(two, client:call("GET", "k"))
  end)

  it("spawns, and waits for the first or for all", function()
    local slow = support.fake(PONG)
    local client = flow([[
      local a, b = req:spawn(h[1]), req:spawn(h[2])
      if req:prefix("any") then
        local first = nydus.any({ a, b }, 2)
        return nydus.reply({ first:str(), tostring(a.done), tostring(first == b) })
      elseif req:prefix("late") then
        local replies, all = nydus.wait_all({ a, b }, 0.05)
        local none, why = a:wait(0.01)
        return nydus.reply({ tostring(replies[1]), replies[2]:str(), tostring(all), tostring(none), why, tostring(pcall(a.str, a)) })
      end
      local replies, all = nydus.wait_all({ a, b, a }, 2)
      return nydus.reply({ replies[1]:str(), replies[2]:str(), replies[3]:str(), tostring(all), tostring(nydus.any({ a }) == a) })]],
      { slow, hosts[2] }):client()
    for _, key in ipairs({ "any", "all", "late" }) do hosts[2]:call("SET", key, "quick") end
    client:command("GET", "any")
    slow:expect("GET any")
    assert.same({ "quick", "false", "true" }, (client:read()))
    slow:answer("$3\r\nold\r\n")
    client:command("GET", "all")
    slow:expect("GET all")
    slow:answer("$4\r\nslow\r\n")
    assert.same({ "slow", "quick", "slow", "true", "true" }, (client:read()))
    client:command("GET", "late")
    slow:expect("GET late")
    assert.same({ "nil", "quick", "false", "nil", "timeout", "false" }, (client:read()))
    slow:answer("$3\r\nold\r\n")
    client:command("GET", "all")
    slow:expect("GET all")
    slow:answer("$4\r\nslow\r\n")
    assert.same("slow", (client:read())[1])
  end)

  it("gives up after its timeout, and nobody gets the late reply", function()
    local slow = support.fake(PONG)
    local client = flow([[local r = req:send(h[1], { timeout = 0.03 })
      return r.is_error and r or req:send(h[2])]], { slow, hosts[2] }):client()
    client:command("GET", "a")
    slow:expect("GET a")
    assert.matches("^ERR 'get' timed out after 0.03 s", client:read().err)
    client:command("GET", "b")
    slow:answer("$3\r\nold\r\n")
    slow:expect("GET b")
    slow:answer("$3\r\nnew\r\n")
    assert.equal(null, (client:read()))
  end)

  it("hears of hosts that fail by error replies", function()
    local gone = support.fake(PONG)
    gone:down()
    local client = flow([[local r = req:send(h[1])
      return r.is_error and nydus.reply("instead of: " .. r:str()) or r]], { gone }):client()
    assert.matches("^instead of: ERR host .* is down", client:call("GET", "a"))
    assert.matches("^instead of: ERR host .* is down", client:call("SET", "a", "1"))
  end)

  it("answers now and goes on, and its client may leave", function()
    local nydus = flow([[if req.read then return req:send(h[1]) end
      local client = req.client
      req:reply(nydus.status("LATER"))
      local twice, message = pcall(req.reply, req, "again")
      nydus.sleep(0.03)
      nydus.call(h[1], "RPUSH", "seen", req:key(), req:arg(2), tostring(req.client), message,
        ("%s %s %s %s"):format(client.id, client.user, client.addr, client.name))
      req:send(h[1])]], hosts)
    local client = nydus:client()
    assert.equal("LATER", client:call("SET", "behind", "v"))
    client:close()
    support.wait_until(function() return hosts[1]:call("GET", "behind") == "v" end)
    assert.same({ "behind", "v", "nil", "the request has been answered already", "nil nil nil nil" },
      hosts[1]:call("LRANGE", "seen", 0, -1))
  end)

  it("sends other commands, in its request's database and protocol", function()
    local nydus = flow([[
      local known = nydus.spawn(h[1], "GET", "known", { timeout = 1 })
      nydus.cast(h[2], "SET", req:key() .. ":cast", req.client.id)
      return nydus.reply({ tostring(known:wait(1):str()), tostring(nydus.call(ring, "MSET", "x", 1, "y", 2)),
        tostring(nydus.call(ring, "MGET", "x", "y")[2]), tostring(nydus.call(cluster.hosts, "SET", "a", "b")) })]], hosts)
    local client = nydus:client()
    client:call("SELECT", 3)
    hosts[1]:client():pipeline({ { "SELECT", 3 }, { "SET", "known", "three" } })
    assert.same({ "three", "OK", "2", "array of 2" }, client:call("GET", "k"))
    local direct = hosts[2]:client()
    direct:call("SELECT", 3)
    support.wait_until(function() return tonumber(direct:call("GET", "k:cast")) == client:call("CLIENT", "ID") end)
  end)

  it("cannot send what would block or change a shared link", function()
    local client = flow([[local r
      if req:prefix("BLPOP") then r = nydus.call(h[1], "BLPOP", "l", 0) else r = nydus.call(h[1], req:key(), "a", "b") end
      return r.is_error and nydus.reply(r:str()) or "sent"]], hosts):client()
    for _, name in ipairs({ "BLPOP", "SUBSCRIBE", "WATCH" }) do
      assert.equal(("ERR '%s' is not possible in a flow"):format(name:lower()), client:call("GET", name))
    end
    assert.matches("^ERR wrong number of arguments for 'multi'", client:call("GET", "MULTI"))
    assert.equal("ERR unknown command 'NOSUCH'", client:call("GET", "NOSUCH"))
    assert.equal("sent", client:call("GET", "SET"))
    local others = flow([[local r = nydus.call(h[1], req:key(), req:arg(2))
      return r.is_error and nydus.reply(r:str()) or "sent"]], hosts):client()
    for _, name in ipairs({ "SELECT", "MONITOR", "CLIENT", "CONFIG", "DEBUG", "PSYNC" }) do
      assert.matches("^ERR ", others:call("SET", name, "KILL"), name)
    end
    for _, words in ipairs({ { "SAVE" }, { "MULTI" }, { "RESET" }, { "QUIT" }, { "SHUTDOWN" } }) do
      local one = flow(("return nydus.call(h[1], %q)"):format(words[1]), hosts):client()
      assert.equal(("ERR '%s' is not possible in a flow"):format(words[1]:lower()), one:call("GET", "x").err)
    end
    local stream = flow([[return nydus.call(h[1], "XREAD", "BLOCK", 0, "STREAMS", "s", "$")]], hosts):client()
    assert.matches("not possible", stream:call("GET", "x").err)
    stream = flow([[return nydus.call(h[1], "XREAD", "STREAMS", "stream", "0")]], hosts):client()
    assert.equal(null, stream:call("GET", "x"))
  end)

  it("is in the way of what needs one host, and that is said", function()
    local client = flow("return req:send(ring)", hosts):client()
    assert.equal("ERR 'blpop' needs one host here, but the router has a flow for it", client:call("BLPOP", "l", 0).err)
    assert.equal("ERR 'wait' needs one host here, but the router has a flow for it", client:call("WAIT", 0, 1).err)
    local out = client:pipeline({ { "MULTI" }, { "SET", "a", "1" }, { "EXEC" }, { "GET", "none" } })
    assert.matches("needs one host here", out[2].err)
    assert.matches("^EXECABORT", out[3].err)
    assert.equal(null, out[4])
    assert.equal("ERR a subscription needs one host, but the router has a flow for it", client:call("SUBSCRIBE", "c").err)
  end)

  it("leads to other flows, but not without end", function()
    local client = start([[
      local inner = nydus.flow(function(req) nydus.sleep(0.001) return req:send(ring) end)
      local first
      local again = nydus.flow(function(req) return req:send(first) end)
      first = nydus.prefix{ ["loop"] = again, ["back"] = nydus.flow(function(req) return again end),
        default = nydus.flow(function(req) local a, b = req:spawn(inner), req:spawn(h[2]) nydus.wait_all({ a, b }, 1) return a end) }
      return first]], hosts):client()
    assert.same({ "OK", "v" }, client:pipeline({ { "SET", "k", "v" }, { "GET", "k" } }))
    assert.equal("ERR router: flows lead to flows without end", client:call("GET", "loop").err)
    assert.equal("ERR router: flows lead to flows without end", client:call("GET", "back").err)
    assert.equal("v", client:call("GET", "k"))
  end)

  it("keeps its errors to its own request", function()
    local nydus = flow([[local how = req:key()
      if how == "raise" then nydus.sleep(0.001) error("oops") end
      if how == "loop" then nydus.sleep(0.001) while true do end end
      if how == "catch" then while true do pcall(function() nydus.sleep(0) while true do end end) end end
      if how == "eat" then local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end end
      if how == "pcall" then
        local ok, r = pcall(function() local r = req:send(h[1]) error({ r }) end)
        return r[1]
      end
      if how == "sort" then table.sort({ 3, 2, 1 }, function() nydus.sleep(0.001) end) end
      return req:send(h[1])]], hosts, { router_memory = "8mb" })
    local client = nydus:client()
    local out = client:pipeline({ { "SET", "k", "v" }, { "GET", "raise" }, { "GET", "k" }, { "GET", "loop" }, { "GET", "k" },
      { "GET", "catch" }, { "GET", "k" }, { "SET", "pcall", "1" }, { "GET", "pcall" }, { "GET", "k" } })
    assert.same({ "OK", "v", "v", "v", "OK", "1", "v" }, { out[1], out[3], out[5], out[7], out[8], out[9], out[10] })
    assert.matches("^ERR router: .*main.lua:3: oops$", out[2].err)
    assert.matches("^ERR router: .*main.lua:4: stopped: it ran for more than 50 ms$", out[4].err)
    assert.matches("^ERR router: .*main.lua:5: stopped", out[6].err)
    assert.matches("main.lua:3: oops: the client got this", nydus:wait_log("(main.lua:3: oops[^\n]*)"))
    assert.matches("^ERR router: .*C%-call boundary", client:call("GET", "sort").err)
    assert.matches("^ERR router: .*main.lua:", client:call("GET", "eat").err)
    assert.equal("v", client:call("GET", "k"))
  end)

  it("refuses misuse with a sentence at the script's line", function()
    local nydus = start([[
      local outside = { sleep = function() nydus.sleep(1) end, call = function() nydus.call(h[1], "GET", "x") end,
        send = function(req) req:send(h[1]) end, spawn = function(req) req:spawn(h[1]) end, reply = function(req) req:reply("x") end,
        lock = function() nydus.lock("a", "b", 1) end, any = function(req) nydus.any({}, 1) end }
      return function(req)
        if outside[req:key()] then outside[req:key()](req) end
        return nil
      end]], hosts)
    local client = nydus:client()
    for _, name in ipairs({ "sleep", "call", "send", "spawn", "lock", "any" }) do
      assert.matches("^ERR router: .*main.lua:%d: only inside nydus.flow", client:call("GET", name).err, name)
    end
    assert.matches("^ERR router: .*main.lua:%d: only inside nydus.flow", client:call("GET", "reply").err)
  end)

  it("says what is wrong with what it asks for", function()
    local bodies = {
      { "kept = req return 'kept'", "kept" },
      { "return kept.command", "main.lua:%d: request is over" },
      { "return kept:send(h[1])", "main.lua:%d: request is over" },
      { "return req:send('nowhere')", "bad argument #1 to 'send' %(a target is expected" },
      { "return req:send(h[1], { timeout = 0 / 0 })", "send: timeout: %-?nan is no time" },
      { "return req:send(h[1], { timout = 1 })", "unknown option 'timout'; did you mean 'timeout'" },
      { "nydus.sleep(-1)", "bad argument #1 to 'sleep' %(seconds" },
      { "nydus.sleep(math.huge)", "bad argument #1 to 'sleep'" },
      { "nydus.sleep('1')", "bad argument #1 to 'sleep'" },
      { "nydus.call(h[1])", "a command is expected" },
      { "nydus.call(h[1], 'SET', 'a', {}, 'b')", "word 3 of the command is no string" },
      { "nydus.call(h[1], 'SET', 'a', nil)", "word 3 of the command is no string" },
      { "nydus.call(h[1], 'GET', 'a', { timeout = 'x' })", "timeout: x is no time" },
      { "nydus.any({}, 1)", "bad argument #1 to 'any' %(the list is empty%)" },
      { "nydus.any({ 1 }, 1)", "item 1 is a number, not what req:spawn gave" },
      { "nydus.wait_all('x', 1)", "bad argument #1 to 'wait_all'" },
      { "nydus.lock(1, 2, 3)", "bad argument #1 to 'lock' %(a name is expected" },
      { "nydus.lock('a', 'b', 0)", "bad argument #3 to 'lock'" },
      { "return nydus.call(h[1], 'GET', 'x').tpye", "a reply has no field 'tpye'" },
      { "nydus.call(h[1], 'GET', 'x').type = 1", "a reply cannot be changed" },
      { "nydus.call(h[1], 'GET', 'x').str()", "write reply:str%(%), with a colon" },
      { "nydus.lock('a', 'b', 1).unlock()", "write lock:unlock%(%), with a colon" },
      { "return req:spawn(h[1]):str()", "the reply has not come" },
      { "return req:spawn(h[1])", "returned a reply that has not come" },
      { "req:reply({ a = 1 })", "bad argument #1 to 'reply'" },
      { "return nydus.flow(function() end)", "nydus.flow: make it at load" },
    }
    local lines = {}
    for i, body in ipairs(bodies) do lines[i] = ("function(req) %s end,"):format(body[1]) end
    local client = start("local kept local all = {" .. table.concat(lines, " ") .. "}\n" ..
      "return nydus.flow(function(req) return all[tonumber(req:key())](req) end)", hosts):client()
    for i, body in ipairs(bodies) do
      local reply = client:call("GET", tostring(i))
      assert.matches(body[2], type(reply) == "table" and reply.err or reply, body[1])
    end
    for body, problem in pairs({
      ["nydus.flow()"] = "bad argument #1 to 'flow'", ["nydus.flow(math.floor)"] = "bad argument #1 to 'flow'",
      ["nydus.flow(function() end, { order = 'all' })"] = "order: 'all' is none of client, key, none",
      ["nydus.flow(function() end, { reads = 1 })"] = "nydus.flow: reads: true or false is expected, got",
      ["nydus.flow(function() end, { odrer = 'key' })"] = "unknown option 'odrer'; did you mean 'order'",
      ["nydus.sleep(1)"] = "only inside nydus.flow", ["nydus.cast(h[1], 'GET', 'a')"] = "nothing is sent at load",
      ["nydus.task(1)"] = "bad argument #1 to 'task'",
    }) do
      local code, _, err = support.nydus_run({ "--check", "config.lua", files = {
        ["config.lua"] = 'return { listen = ":1", router = "main.lua", hosts = { "127.0.0.1:1" } }',
        ["main.lua"] = HEAD .. "return " .. body,
      } })
      assert.equal(1, code, body)
      assert.matches(problem, err, 1, true)
    end
  end)

  it("runs ten thousand times at once, and then its memory is free again", function()
    local nydus = flow([[if req:prefix("quick") then return req:send(ring) end
      nydus.sleep(0.05)
      local r = req:send(ring)
      nydus.sleep(0.01)
      return r]], hosts)
    local clients, commands = {}, {}
    for i = 1, 1000 do commands[i] = { "GET", "k" .. i } end
    hosts[1]:call("SET", "k1", "v")
    local text = {}
    for i, words in ipairs(commands) do text[i] = support.encode(words) end
    text = table.concat(text)
    for round = 1, 3 do
      for i = 1, 10 do
        clients[i] = clients[i] or nydus:client({ timeout = 30 })
        clients[i]:send(text)
      end
      for i = 1, 10 do
        for _ = 1, 1000 do assert.is_nil((clients[i]:read()).err) end
      end
      assert.equal("PONG", clients[1]:call("PING"), round)
    end
    local worker = nydus:workers()[1]
    local quick = support.encode({ "GET", "quick" }):rep(1000)
    local function burst()
      for _ = 1, support.sanitized and 5 or 50 do
        clients[1]:send(quick)
        for _ = 1, 1000 do clients[1]:read() end
      end
    end
    burst()
    local before = support.rss(worker)
    burst()
    assert.is_true(support.rss(worker) < before + 6 * 1024 * 1024 * (support.sanitized and 10 or 1))
    assert.equal(0, stat(clients[1], "nydus_script_errors") or 0)
  end)
end)

describe("nydus.lock", function()
  it("is held by one flow of all workers, and given back at its end", function()
    local hosts = { support.redis() }
    local nydus = flow([[
      if req.read then
        local lock, why = nydus.lock("l", req:key(), 0.05)
        return lock and "got" or why
      end
      if req:prefix("keep") then nydus.lock("l", "held", 5) nydus.sleep(0.15) return "kept" end
      if req:prefix("lapse") then
        local lock = nydus.lock("l", "lapse", 0.02)
        nydus.sleep(0.04)
        return nydus.reply(lock:unlock() and 1 or 0)
      end
      local lock = nydus.lock("counter", "c", 20)
      local n = nydus.call(h[1], "GET", "c"):int() or 0
      nydus.sleep(0.001)
      nydus.call(h[1], "SET", "c", n + 1)
      return nydus.reply(lock:unlock() and 1 or 0)]], hosts, { workers = 2 })
    local clients = {}
    for i = 1, 8 do
      clients[i] = nydus:client({ timeout = 30 })
      for _ = 1, 10 do clients[i]:command("INCR", "x") end
    end
    for i = 1, 8 do
      for _ = 1, 10 do assert.equal(1, (clients[i]:read())) end
    end
    assert.equal("80", hosts[1]:call("GET", "c"))
    clients[1]:command("SET", "keep", "1")
    local held
    support.wait_until(function()
      held = clients[2]:call("GET", "held")
      return held == "timeout"
    end)
    assert.equal("got", clients[3]:call("GET", "other"))
    assert.equal("kept", (clients[1]:read()))
    assert.equal("got", clients[4]:call("GET", "held"))
    assert.equal(0, clients[5]:call("SET", "lapse", "1"))
  end)

  it("is free when the worker that had it is gone", function()
    local hosts = { support.redis() }
    local nydus = flow([[local lock, why = nydus.lock("l", "k", req.read and 3 or 60)
      if req.write then nydus.call(h[1], "SET", "held", "1") nydus.sleep(60) end
      return lock and "got" or why]], hosts, { workers = 2 })
    local client = nydus:client()
    client:command("SET", "k", "1")
    support.wait_until(function() return hosts[1]:call("GET", "held") == "1" end)
    for _, pid in ipairs(nydus:workers()) do support.run({ "kill", "-9", tostring(pid) }) end
    support.wait_until(function()
      local ok, reply = pcall(function() return nydus:client():call("GET", "k") end)
      return ok and reply == "got"
    end, 10)
  end)
end)

describe("nydus.task", function()
  it("runs while its configuration is in force", function()
    local hosts = { support.redis() }
    local function router(name)
      return HEAD .. ([[
        nydus.task(function() while true do nydus.call(h[1], "INCR", %q) nydus.sleep(0.005) end end)
        nydus.task(function() nydus.sleep(0.001) error("a task failed") end)
        return nydus.flow(function(req)
          if req:prefix("start") then nydus.task(function() nydus.call(h[1], "SET", "begun", req and "1") end) return "started" end
          if req:prefix("slow") then nydus.sleep(0.1) return "slow" end
          return req:send(h[1])
        end)]]):format(name)
    end
    local nydus = support.nydus({ config = { router = "main.lua", hosts = hosts }, files = { ["main.lua"] = router("one") } })
    local client = nydus:client()
    support.wait_until(function() return (tonumber(client:call("GET", "one")) or 0) > 3 end)
    nydus:wait_log("main.lua:%d+: a task failed")
    assert.equal("started", client:call("GET", "start"))
    support.wait_until(function() return client:call("GET", "begun") == "1" end)
    client:command("GET", "slow")
    nydus:write("main.lua", router("two"))
    nydus:hup()
    assert.equal("slow", (client:read()))
    support.wait_until(function() return (tonumber(client:call("GET", "two")) or 0) > 3 end)
    local one, two = hosts[1]:call("GET", "one"), tonumber(hosts[1]:call("GET", "two"))
    support.wait_until(function() return tonumber(hosts[1]:call("GET", "two")) > two + 5 end)
    assert.equal(one, hosts[1]:call("GET", "one"))
  end)
end)
