-- Targets that do something with a command beside naming a host.

local support = require("support")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\") local h = cluster.hosts\n"
local PONG = { PING = "+PONG\r\n" }

local function start(body, hosts, extra)
  local config = { router = "main.lua", hosts = hosts, workers = 1, defaults = { timeout = 2, connect_timeout = 0.5 } }
  for key, value in pairs(extra or {}) do config[key] = value end
  return support.nydus({ config = config, files = { ["main.lua"] = HEAD .. body } })
end

-- A fake does something only while one of its functions runs.
local function until_up(client, fake)
  support.wait_until(function()
    fake:expect_silence(0.005)
    return client:call("INFO", "hosts"):match("state=up.*state=up")
  end)
end

-- A client of a server whose two hosts are up.
local function ready(nydus, fake)
  local client = nydus:client()
  until_up(client, fake)
  return client
end

local function stat(client, name)
  return tonumber(client:call("INFO", "stats"):match(name .. ":(%d+)"))
end

describe("nydus.all", function()
  local hosts, nydus, client
  setup(function() hosts = { support.redis(), support.redis(), support.redis() } end)

  local function all(reply)
    nydus = start(("return nydus.all({ h[1], h[2], h[3] }, { reply = %q })"):format(reply), hosts)
    client = nydus:client()
  end

  it("joins the replies as it is told", function()
    for i, host in ipairs(hosts) do
      host:call("SET", "n", i * 10)
      host:call("RPUSH", "l", "a" .. i, "b" .. i)
    end
    all("array")
    assert.same({ "10", "20", "30" }, client:call("GET", "n"))
    for reply, expected in pairs({ sum = 63, min = 11, max = 31 }) do
      all(reply)
      assert.equal(expected, client:call("INCR", "n"), reply)
      for i, host in ipairs(hosts) do host:call("SET", "n", i * 10) end
    end
    all("merge")
    assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, client:call("LRANGE", "l", 0, -1))
    all("all_succeeded")
    assert.equal("OK", client:call("SET", "x", "1"))
    hosts[2]:call("RPUSH", "y", "1")
    assert.matches("^WRONGTYPE .*'incr' was done on 2 of 3 hosts", client:call("INCR", "y").err)
    all("one_succeeded")
    assert.equal(2, client:call("INCR", "y"))
  end)

  it("answers with what most say, or says that they disagree", function()
    all("quorum")
    hosts[1]:call("SET", "q", "old")
    hosts[2]:call("SET", "q", "new")
    hosts[3]:call("SET", "q", "new")
    assert.equal("new", client:call("GET", "q"))
    hosts[3]:call("SET", "q", "other")
    assert.matches("^ERR no quorum: only 1 of 3 targets gave the same reply$", client:call("GET", "q").err)
    assert.equal("OK", client:call("SET", "q", "same"))
    assert.equal("same", client:call("GET", "q"))
  end)

  it("sends to all, also when those in front know the answer at once", function()
    local body = "local function f() return nydus.reply('here') end return nydus.all({ f, f, h[1] }, { reply = %q })"
    for _, reply in ipairs({ "first", "quorum" }) do
      local two = start(body:format(reply), hosts):client()
      assert.equal("here", two:call("RPUSH", reply, "v"))
      support.wait_until(function() return hosts[1]:call("LLEN", reply) == 1 end)
    end
  end)

  it("answers as soon as it can, and the late reply is nobody's", function()
    local slow = support.fake({ auto = PONG })
    local two = start("return nydus.all({ h[1], h[2] }, { reply = 'first' })", { slow, hosts[1] })
    client = ready(two, slow)
    hosts[1]:call("SET", "k", "v")
    assert.equal("v", client:call("GET", "k"))
    slow:expect("GET k")
    slow:answer("$4\r\nlate\r\n")
    assert.equal("v", client:call("GET", "k"))
    slow:expect("GET k")
    slow:answer("-ERR no\r\n")
    assert.equal("PONG", client:call("PING"))
  end)
end)

describe("nydus.split", function()
  local hosts
  setup(function() hosts = { support.redis(), support.redis() } end)

  local function counts(client, send)
    for _, host in ipairs(hosts) do host:call("FLUSHALL") end
    for i = 1, 2000 do client:command("SET", send(i), "v") end
    for _ = 1, 2000 do assert.equal("OK", (client:read())) end
    return hosts[1]:call("DBSIZE"), hosts[2]:call("DBSIZE")
  end

  it("shares the commands by weight, and a key keeps its way when a later weight grows", function()
    local some = start("return nydus.split{ { h[1], 90 }, { h[2], 10 }, by = 'key' }", hosts):client()
    local _, few = counts(some, function(i) return "k" .. i end)
    assert.is_true(few > 120 and few < 290, few)
    local kept = hosts[2]:call("KEYS", "*")
    local more = start("return nydus.split{ { h[1], 70 }, { h[2], 30 }, by = 'key' }", hosts):client()
    local _, many = counts(more, function(i) return "k" .. i end)
    assert.is_true(many > 480 and many < 720, many)
    for _, key in ipairs(kept) do assert.equal(1, hosts[2]:call("EXISTS", key), key) end
  end)

  it("by random chooses once for all keys of a command, by client once for its connection", function()
    local client = start("return nydus.split{ { h[1], 1 }, { h[2], 1 } }", hosts):client()
    local one, two = counts(client, function(i) return "k" .. i end)
    assert.is_true(one > 800 and two > 800, one)
    for _ = 1, 50 do assert.equal(0, client:call("SINTERCARD", 2, "x", "y")) end
    local nydus = start("return nydus.split{ { h[1], 1 }, { h[2], 1 }, by = 'client' }", hosts)
    local seen = {}
    for _ = 1, 40 do
      for _, host in ipairs(hosts) do host:call("FLUSHALL") end
      client = nydus:client()
      for i = 1, 10 do client:call("SET", "k" .. i, "v") end
      client:close()
      one, two = hosts[1]:call("DBSIZE"), hosts[2]:call("DBSIZE")
      assert.equal(10, math.max(one, two))
      seen[one] = true
    end
    assert.same({ [0] = true, [10] = true }, seen)
  end)
end)

describe("nydus.failover", function()
  it("goes on to the next target when a host is down", function()
    local gone, redis = support.fake({ auto = PONG }), support.redis()
    gone:down()
    local client = start("return nydus.failover{ h[1], h[2] }", { gone, redis }):client()
    assert.equal("OK", client:call("SET", "a", "1"))
    assert.equal("1", redis:call("GET", "a"))
    assert.same({ "1", support.null }, client:call("MGET", "a", "b"))
    assert.equal(1, client:call("DBSIZE"))
    local out = client:pipeline({ { "INCR", "n" }, { "INCR", "n" }, { "GET", "n" } })
    assert.same({ 1, 2, "2" }, out)
  end)

  it("never sends again what may have run and does not only read", function()
    local first, redis = support.fake({ auto = PONG }), support.redis()
    local client = ready(start("return nydus.failover{ h[1], h[2] }", { first, redis }, { retry_timeout = 0.1 }), first)
    client:command("SET", "a", "1")
    first:expect("SET a 1")
    first:reset_link(first.link)
    assert.matches("^ERR host .* is down: .*; the command may have run$", client:read().err)
    assert.equal(0, redis:call("EXISTS", "a"))
    until_up(client, first)
    client:command("GET", "a")
    first:expect("GET a")
    first:reset_link(first.link)
    assert.equal(support.null, client:read())
  end)

  it("goes on for a host that says it cannot serve, and after a time, if it is told so", function()
    local first, redis = support.fake({ auto = PONG }), support.redis()
    redis:call("SET", "k", "v")
    local client = start("return nydus.failover{ h[1], h[2], on = { 'error', 'timeout' }, timeout = 0.05 }",
      { first, redis })
    client = ready(client, first)
    client:command("SET", "k", "w")
    first:expect("SET k w")
    first:answer("-READONLY You can't write against a read only replica.\r\n")
    assert.equal("OK", client:read())
    client:command("GET", "k")
    first:expect("GET k")
    assert.equal("w", client:read())
    first:answer("$4\r\nlate\r\n")
    client:command("GET", "k")
    first:expect("GET k")
    first:answer("-WRONGTYPE no\r\n")
    assert.same({ err = "WRONGTYPE no" }, client:read())
  end)

  it("keeps the order of a pipeline, whatever becomes of its commands, and may lose its client", function()
    local first, redis = support.fake({ auto = PONG }), support.redis()
    redis:call("SET", "k", "v")
    local nydus = start("return nydus.failover{ h[1], h[2], on = { 'down', 'timeout', 'error' } }", { first, redis })
    local client, other = ready(nydus, first), nydus:client()
    for _, words in ipairs({ { "GET", "k" }, { "GET", "k" }, { "SET", "k", "w" }, { "GET", "k" }, { "SET", "j", "w" } }) do
      client:command(unpack(words))
      first:expect(table.concat(words, " "))
    end
    other:command("GET", "k")
    first:expect("GET k")
    other:close()
    first:answer("$1\r\nx\r\n-LOADING Redis is loading\r\n-WRONGTYPE no\r\n")
    assert.equal("x", client:read())
    assert.equal("v", client:read())
    assert.same({ err = "WRONGTYPE no" }, client:read())
    first:reset_link(first.link)
    assert.equal("v", client:read())
    assert.matches("; the command may have run$", client:read().err)
    assert.equal(0, redis:call("EXISTS", "j"))
  end)

  it("leads on from what another one could not do", function()
    local one, two, redis = support.fake({ auto = PONG }), support.fake({ auto = PONG }), support.redis()
    local nydus = start([[local on = { "error" }
      return nydus.failover{ nydus.failover{ h[1], h[2]; on = on }, h[3]; on = on }]], { one, two, redis })
    local client = ready(nydus, one)
    client:command("SET", "k", "v")
    one:expect("SET k v")
    one:answer("-LOADING one\r\n")
    two:expect("SET k v")
    two:answer("-LOADING two\r\n")
    assert.equal("OK", client:read())
    assert.equal("v", redis:call("GET", "k"))
  end)

  it("keeps nothing of the way to a host that is down", function()
    local gone = { host = "127.0.0.1", port = support.free_port() }
    local nydus = start([[return nydus.failover{ nydus.prefix{ k = h[1], default = h[2] }, function() end }]],
      { gone, support.redis() }, { failure_limit = 1, retry_timeout = 60 })
    local client = nydus:client()
    support.wait_until(function() return client:call("INFO", "hosts"):match("state=down") end)
    assert.matches("no route", client:call("GET", "k").err)
  end)

  it("answers with the last error, when nobody can", function()
    local one, two = support.fake(), support.fake()
    one:down()
    two:down()
    local client = start("return nydus.failover{ h[1], h[2] }", { one, two:address({ identifier = "second" }) }):client()
    assert.matches("^ERR host second is down: ", client:call("GET", "k").err)
  end)

  it("is not in the way of what needs one host", function()
    local one, two = support.redis(), support.redis()
    local client = start("return nydus.failover{ h[1], h[2] }", { one, two }):client()
    assert.same({ "OK", "QUEUED", { 1 } }, client:pipeline({ { "MULTI" }, { "INCR", "n" }, { "EXEC" } }))
    one:call("RPUSH", "l", "v")
    assert.same({ "l", "v" }, client:call("BLPOP", "l", "1"))
  end)
end)

describe("nydus.hedge", function()
  it("asks the next one when there is no reply in time, and the first good reply counts", function()
    local slow, redis = support.fake({ auto = PONG }), support.redis()
    redis:call("SET", "k", "v")
    local client = ready(start("return nydus.hedge{ h[1], h[2], after = 0.02 }", { slow, redis }), slow)
    client:command("GET", "k")
    slow:expect("GET k")
    assert.equal("v", client:read())
    slow:answer("$4\r\nlate\r\n")
    client:command("GET", "k")
    slow:expect("GET k")
    slow:answer("$4\r\nsoon\r\n")
    assert.is_truthy(({ soon = true, v = true })[client:read()])
    client:command("SET", "k", "w")
    slow:expect("SET k w")
    slow:answer("+OK\r\n")
    assert.equal("OK", client:read())
    assert.equal("v", redis:call("GET", "k"))
  end)

  it("asks a function for nobody, when the client has gone meanwhile", function()
    local slow, redis = support.fake({ auto = PONG }), support.redis()
    local server = start([[
      local function f(req)
        nydus.log.warn(req.client and "asked for " .. req.client.id or "asked for nobody")
        return h[2]
      end
      return nydus.all({ nydus.hedge{ h[1], f, after = 0.2 }, h[2] }, { reply = "array" })]], { slow, redis })
    local other, client = ready(server, slow), server:client()
    local id = client:call("CLIENT", "ID")
    client:command("GET", "k")
    slow:expect("GET k")
    assert.equal(1, other:call("CLIENT", "KILL", "ID", id))
    server:wait_log("asked for")
    assert.is_nil(server:log():match("asked for %d"))
  end)
end)

describe("nydus.shadow", function()
  it("copies commands, and neither waits for the copies nor shows their replies", function()
    local main, other = support.redis(), support.fake({ auto = PONG })
    local client = ready(start("return nydus.shadow{ h[1], h[2], pending = 2 }", { main, other }), other)
    local sent = {}
    for i = 1, 10 do sent[i] = { "INCR", "n" } end
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, client:pipeline(sent))
    assert.equal(2, stat(client, "shadows"))
    assert.equal(8, stat(client, "shadows_dropped"))
    for i = 1, 2 do
      other:expect("INCR n")
      other:answer((":%d\r\n"):format(100 + i))
    end
    support.wait_until(function() -- both answers may still be under way
      assert.equal("10", client:call("GET", "n"))
      return stat(client, "shadows") == 3
    end)
    other:expect("GET n")
  end)

  it("splits and joins both, each in its way", function()
    local hosts = { support.redis(), support.redis(), support.redis() }
    local client = start("return nydus.shadow{ nydus.modulus({ h[1], h[2] }), h[3] }", hosts):client()
    local set, get = { "MSET" }, { "MGET" }
    for i = 1, 20 do
      set[2 * i], set[2 * i + 1], get[i + 1] = "k" .. i, "v" .. i, "k" .. i
    end
    assert.equal("OK", client:call(unpack(set)))
    assert.equal("v7", client:call(unpack(get))[7])
    assert.equal(20, hosts[1]:call("DBSIZE") + hosts[2]:call("DBSIZE"))
    support.wait_until(function() return hosts[3]:call("DBSIZE") == 20 end)
  end)

  it("does not care whether the host of the copies is there", function()
    local main, gone = support.redis(), support.fake()
    gone:down()
    local client = start("return nydus.shadow{ h[1], h[2] }", { main, gone }):client()
    for i = 1, 100 do assert.equal(i, client:call("INCR", "n")) end
  end)
end)

describe("a target that acts", function()
  it("is refused with a sentence when it is wrong", function()
    for body, expected in pairs({
      ["return nydus.failover{ h[1] }"] = "nydus.failover: 2 or more targets are expected, got 1",
      ["return nydus.failover{ h[1], 3 }"] = "nydus.failover: item 2: a target is expected .*, got a number",
      ["return nydus.failover{ h[1], h[1], onn = {} }"] = "unknown option 'onn'; did you mean 'on'%?",
      ["return nydus.failover{ h[1], h[1], on = { 'dwn' } }"] = "on: 'dwn' is none of down, timeout, error",
      ["return nydus.hedge{ h[1], h[1] }"] = "after: nil is no time in seconds",
      ["return nydus.hedge{ h[1], h[1], after = 0/0 }"] = "after: %-?nan is no time in seconds",
      ["return nydus.shadow{ h[1], h[1], h[1] }"] = "nydus.shadow: 2 targets are expected, got 3",
      ["return nydus.shadow{ h[1], h[1], sample = 2 }"] = "sample: 2 is no share",
      ["return nydus.split{ h[1], h[1] }"] = "nydus.split: item 1: { target, weight } is expected, got host",
      ["return nydus.split{ { h[1], 0 } }"] = "all weights are 0",
      ["return nydus.split{ { h[1], 1 }, by = 'moon' }"] = "by: 'moon' is none of random, key, client",
      ["return nydus.all({}, {})"] = "nydus.all: 1 or more targets are expected, got 0",
      ["return nydus.all({ h[1] }, { reply = 'summ' })"] = "reply: 'summ' is none of",
      ["return nydus.all({ h[1] }, { replies = 'sum' })"] = "unknown option 'replies'",
      ["local t = { h[1] } t[3] = h[1] return nydus.failover(t)"] = "item 2 is missing",
      ["return function() return nydus.hedge{ h[1], h[1], after = 1 } end"] = false,
    }) do
      local run = { config = { router = "main.lua", hosts = { support.redis() } }, files = { ["main.lua"] = HEAD .. body } }
      if expected then
        local _, text = support.nydus_fails(run)
        assert.matches(expected, text, nil, nil, body)
      else
        assert.matches("make it at load", support.nydus(run):client():call("GET", "k").err)
      end
    end
  end)

  it("may stand in others, as deep as one likes", function()
    local hosts = { support.redis(), support.redis(), support.redis() }
    local client = start([[
      local ring = nydus.ketama({ h[1], h[2] })
      return nydus.prefix{
        ["a:"] = nydus.shadow{ nydus.failover{ nydus.hedge{ ring, h[1], after = 1 }, h[2] }, nydus.split{ { h[3], 1 } } },
        default = nydus.command{ read = nydus.hedge{ ring, ring, after = 1 }, default = ring },
      }]], hosts):client()
    for i = 1, 50 do
      assert.equal("OK", client:call("SET", "a:" .. i, i))
      assert.equal(tostring(i), client:call("GET", "a:" .. i))
      assert.equal("OK", client:call("SET", i, i))
      assert.same({ tostring(i), tostring(i) }, client:call("MGET", i, "a:" .. i))
    end
    support.wait_until(function() return hosts[3]:call("DBSIZE") == 50 end)
  end)
end)
