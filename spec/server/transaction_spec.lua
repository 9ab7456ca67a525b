-- MULTI EXEC DISCARD: kept until EXEC, then sent to one host in one piece.

local support = require("support")
local pair = require("support.pair")

local ABORTED = { err = "EXECABORT Transaction discarded because of previous errors." }
local CROSSED = { err = "CROSSSLOT Keys in request don't hash to the same host" }

-- Each is one connection's life; Redis and Nydus must answer all of it alike.
local scripts = {
  { "MULTI", "SET a 1", "INCR a", "GET a", "EXEC", "GET a" },
  { "MULTI", "EXEC" },
  { "MULTI", "SET a 1", "DISCARD", "GET a", "EXEC", "DISCARD" },
  { "EXEC" }, { "DISCARD" }, { "EXEC x" }, { "MULTI x", "EXEC" },
  { "MULTI", "MULTI", "SET a 1", "EXEC" },
  { "MULTI", "MULTI x", "SET a 1", "EXEC" },
  { "MULTI", "EXEC x", "SET a 1", "EXEC" },
  { "MULTI", "DISCARD x", "EXEC", "EXEC" },
  { "MULTI", "NOSUCH a", "SET a 1", "EXEC", "GET a", "MULTI", "GET a", "EXEC" },
  { "MULTI", "GET", "GET a b c", "SET a 1", "EXEC" },
  { "MULTI", "OBJECT nonsense a", "EXEC" },
  { "MULTI", "NOSUCH", "DISCARD", "MULTI", "SET a 2", "EXEC" },
  { "SET a text", "MULTI", "INCR a", "LPUSH a x", "SET b 2", "EXEC", "GET b" },
  { "MULTI", "PING", "PING hello", "ECHO x", "EXEC" },
  { "MULTI", "BLPOP l 0", "BRPOPLPUSH l m 0", "BLMOVE l m LEFT RIGHT 0", "BZPOPMIN z 0", "EXEC" },
  { "MULTI", "XREAD BLOCK 0 STREAMS s $", "RPUSH l 1", "BLPOP l 0", "EXEC" },
  { "MULTI", "EVAL return{KEYS[1],ARGV[1]} 1 a x", "EVAL return{1,{2,nil},'x'} 0", "EXEC" },
  { "MULTI", "MSET a 1 b 2 c 3", "MGET a b c d", "DEL a b", "EXISTS a b c c", "EXEC" },
  { "MULTI", "DBSIZE", "FLUSHALL", "RANDOMKEY", "KEYS *", "SCAN 0", "EXEC" },
  { "MULTI", "SET a 1", "QUIT" }, { "MULTI", "QUIT x" },
  { "MULTI", "SET a 1", "RESET", "GET a", "EXEC" },
  { "MULTI", "OBJECT HELP", "COMMAND COUNT", "UNWATCH", "EXEC" },
  { "MULTI", "SORT a", "SPUBLISH c x", "PUBLISH c x", "EXEC" },
  { "MULTI", "HSET h a 1 b 2", "HGETALL h", "ZADD z 1.5 a", "ZRANGE z 0 -1 WITHSCORES", "EXEC" },
}

local function send_all(client, script)
  for _, line in ipairs(script) do
    local words = {}
    for word in line:gmatch("%S+") do words[#words + 1] = word end
    client:command(unpack(words))
  end
end

local function replies(client, script)
  send_all(client, script)
  local out = {}
  for i = 1, #script do
    local _, bytes = client:read()
    out[i] = script[i] .. " => " .. bytes
  end
  return out
end

local function transact(client, ...)
  local commands = { { "MULTI" } }
  for _, words in ipairs({ ... }) do commands[#commands + 1] = words end
  commands[#commands + 1] = { "EXEC" }
  local all = client:pipeline(commands)
  return all[#all], all
end

describe("transaction", function()
  describe("in front of one Redis", function()
    it("is answered byte for byte as by Redis, for a table of scripts", function()
      local redis, plain = support.redis(), support.redis()
      local nydus = support.nydus({ config = { hosts = { redis } } })
      for _, script in ipairs(scripts) do
        redis:call("FLUSHALL")
        plain:call("FLUSHALL")
        assert.same(replies(plain:client(), script), replies(nydus:client(), script))
      end
    end)

    it("is whole: nothing of another client comes between", function()
      local redis = support.redis()
      local nydus = support.nydus({ config = { hosts = { redis } } })
      local one, other = nydus:client(), nydus:client()
      for _ = 1, 200 do
        one:command("MULTI")
        one:command("SET", "k", "1")
        other:command("INCR", "k")
        one:command("GET", "k")
        one:command("EXEC")
        other:command("INCR", "k")
        for _ = 1, 3 do one:read() end
        assert.same({ "OK", "1" }, (one:read()))
        other:read()
        other:read()
      end
    end)

    it("keeps its place in a pipeline", function()
      local redis = support.redis()
      local client = support.nydus({ config = { hosts = { redis } } }):client()
      for i = 1, 50 do
        assert.same({ "OK", "OK", "QUEUED", "QUEUED", { tostring(i), i + 1 }, tostring(i + 1) }, client:pipeline({
          { "SET", "k", i }, { "MULTI" }, { "GET", "k" }, { "INCR", "k" }, { "EXEC" }, { "GET", "k" },
        }))
      end
    end)

    it("takes big values and thousands of commands", function()
      local client = support.nydus({ config = { hosts = { support.redis() } } }):client()
      local big = ("x"):rep(300000)
      assert.same({ "OK", 300000, big }, (transact(client, { "SET", "b", big }, { "STRLEN", "b" }, { "GET", "b" })))
      local many = {}
      for i = 1, 5000 do many[i] = { "INCR", "n" } end
      assert.equal(5000, #transact(client, unpack(many)))
      assert.equal("5000", client:call("GET", "n"))
    end)

    it("works for python3-redis as its pipelines are by default", function()
      local nydus = support.nydus({ config = { hosts = { support.redis() } } })
      local python = [[
import redis, sys
c = redis.Redis(port=int(sys.argv[1]))
p = c.pipeline()
p.set("a", 1).incr("a").get("a").lpush("l", "x")
assert p.execute() == [True, 2, b"2", 1]
p = c.pipeline()
p.set("a", "text").incr("a")
try:
    p.execute()
    assert False
except redis.ResponseError as e:
    assert "not an integer" in str(e), e
assert c.get("a") == b"text"
]]
      local code, out, err = support.run({ "/usr/bin/python3", "-c", python, tostring(nydus.port) })
      assert.equal(0, code, tostring(out) .. tostring(err))
    end)

    it("is refused where a command would change the link that all share", function()
      local host = support.fake({ auto = { PING = "+PONG\r\n" } })
      local client = support.nydus({ config = { hosts = { host } } }):client()
      for _, words in ipairs({
        { "SELECT", "1" }, { "AUTH", "x" }, { "HELLO", "3" }, { "CLIENT", "REPLY", "OFF" }, { "CLIENT", "ID" },
        { "CONFIG", "GET", "*" }, { "SUBSCRIBE", "c" }, { "MONITOR" }, { "SHUTDOWN" }, { "DEBUG", "SLEEP", "1" },
        { "CONFIG", "SET", "a", "b" }, { "SYNC" },
      }) do
        local result, all = transact(client, { "SET", "a", "1" }, words)
        assert.equal("QUEUED", all[2])
        assert.is_string(all[3].err, words[1])
        assert.same(ABORTED, result)
      end
      host:accept()
      host:expect_silence(0.05)
    end)

    it("is bounded by max_request", function()
      local nydus = support.nydus({ config = { hosts = { support.redis() }, max_request = 2000000 } })
      local client, big = nydus:client(), ("x"):rep(900000)
      local result, all = transact(client, { "SET", "a", big }, { "SET", "b", big }, { "SET", "c", big })
      assert.equal("QUEUED", all[3])
      assert.matches("^ERR the transaction is larger than max_request", all[4].err)
      assert.same(ABORTED, result)
      assert.same({ "OK" }, (transact(client, { "SET", "a", big })))
    end)
  end)

  describe("over two hosts", function()
    local alpha, beta, nydus, client

    before_each(function()
      alpha, beta = support.redis(), support.redis()
      nydus = pair.nydus(alpha, beta)
      client = nydus:client()
    end)

    it("goes to the host of its first key", function()
      assert.same({ "PONG", "OK", "1" }, (transact(client, { "PING" }, { "SET", "b1", "1" }, { "GET", "b1" })))
      assert.equal("1", beta:call("GET", "b1"))
      assert.same({ "OK" }, (transact(client, { "SET", "a1", "1" })))
      assert.equal("1", alpha:call("GET", "a1"))
    end)

    it("is refused with CROSSSLOT, when a key is of another host, and at EXEC", function()
      local result, all = transact(client, { "SET", "a1", "1" }, { "SET", "b1", "1" }, { "SET", "a2", "1" })
      assert.same({ "OK", "QUEUED", CROSSED, "QUEUED", ABORTED }, all)
      assert.same(ABORTED, result)
      assert.equal(0, alpha:call("DBSIZE") + beta:call("DBSIZE"))
      result, all = transact(client, { "MSET", "a1", "1", "b1", "1" })
      assert.same(CROSSED, all[2])
      assert.same(ABORTED, result)
    end)

    it("has the host's error in its reply, when a command says wrongly how many keys it has", function()
      local result = transact(client, { "SET", "b1", "1" }, { "LMPOP", "x", "b1", "LEFT" }, { "GET", "b1" })
      assert.same({ "OK", { err = "ERR numkeys should be greater than 0" }, "1" }, result)
      result = transact(client, { "EVAL", "return 1", "5", "b1" }, { "MSETNX", "b1", "1", "b2" })
      assert.same({ err = "ERR Number of keys can't be greater than number of args" }, result[1])
      assert.same({ err = "ERR wrong number of arguments for 'msetnx' command" }, result[2])
    end)

    it("goes to a host that is there, when it has no key", function()
      assert.same({ "PONG", "x" }, (transact(client, { "PING" }, { "ECHO", "x" })))
    end)

    it("refuses what is for all hosts", function()
      for _, words in ipairs({ { "DBSIZE" }, { "FLUSHALL" }, { "KEYS", "*" }, { "SCAN", "0" } }) do
        local result, all = transact(client, { "SET", "a1", "1" }, words)
        assert.is_string(all[3].err)
        assert.same(ABORTED, result)
      end
    end)

    it("passes on what the router answers, and is refused then", function()
      local result, all = transact(client, { "SET", "c1", "1" })
      assert.matches("^ERR no route", all[2].err)
      assert.same(ABORTED, result)
    end)

    it("says that a router which names several hosts is no place for it", function()
      local every = support.nydus({ config = { hosts = { alpha, beta } } }):client()
      local result, all = transact(every, { "SET", "a1", "1" })
      assert.same({ err = "ERR 'set' needs one host here, but the router names several" }, all[2])
      assert.same(ABORTED, result)
    end)
  end)

  describe("and a host that fails", function()
    local host, nydus, client

    before_each(function()
      host = support.fake({ auto = { PING = "+PONG\r\n" } })
      nydus = support.nydus({ config = { hosts = { host:address({ timeout = 0.3 }) } } })
      client = nydus:client()
      host:accept()
    end)

    local function exec_is_out()
      client:send(table.concat({
        support.encode({ "MULTI" }), support.encode({ "SET", "a", "1" }), support.encode({ "EXEC" }),
      }))
      assert.equal("OK", client:read())
      assert.equal("QUEUED", client:read())
      host:expect("MULTI")
      host:expect("SET a 1")
      host:expect("EXEC")
    end

    it("hears nothing before EXEC, and nothing of a client that leaves", function()
      client:pipeline({ { "MULTI" }, { "SET", "a", "1" } })
      client:reset()
      local other = nydus:client()
      other:command("GET", "a")
      host:expect("GET a")
      host:answer("$-1\r\n")
      assert.equal(support.null, other:read())
    end)

    it("is not sent again, when the host is lost after EXEC", function()
      exec_is_out()
      host:answer("+OK\r\n+QUE")
      host:reset_link()
      assert.matches("^ERR host .* is down: .*; the command may have run$", client:read().err)
      host:accept()
      host:expect_silence(0.1)
    end)

    it("passes on the host's own EXECABORT", function()
      exec_is_out()
      host:answer("+OK\r\n-ERR unknown command\r\n-EXECABORT Transaction discarded because of previous errors.\r\n")
      assert.same(ABORTED, client:read())
    end)

    it("keeps its replies from others, when EXEC is late", function()
      local other = nydus:client()
      exec_is_out()
      assert.matches("^ERR host .* did not answer within", client:read().err)
      other:command("GET", "b")
      host:expect("GET b")
      host:answer("+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n$1\r\nb\r\n")
      assert.equal("b", other:read())
    end)

    it("keeps its replies from others, when the client leaves after EXEC", function()
      local other = nydus:client()
      exec_is_out()
      client:reset()
      other:command("GET", "b")
      host:expect("GET b")
      host:answer("+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n$1\r\nb\r\n")
      assert.equal("b", other:read())
    end)
  end)

  it("ends on the hosts where it began, when the configuration is reloaded in the middle", function()
    local old, new = support.redis(), support.redis()
    local nydus = support.nydus({ config = { hosts = { old } } })
    local client = nydus:client()
    client:pipeline({ { "MULTI" }, { "SET", "a", "1" } })
    nydus:write("config.lua", { hosts = { new } })
    nydus:hup()
    support.wait_until(function()
      nydus:client():call("SET", "probe", "x")
      return new:call("GET", "probe") == "x"
    end, 5, "the new host to be used")
    assert.same({ "QUEUED", { "OK", 2 } }, client:pipeline({ { "INCR", "a" }, { "EXEC" } }))
    assert.equal("2", old:call("GET", "a"))
    assert.equal("OK", client:call("SET", "a", "new"))
    assert.equal("new", new:call("GET", "a"))
  end)

  it("is for thousands of clients over one link", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis }, workers = 1 } })
    local clients = {}
    for i = 1, 300 do
      clients[i] = nydus:client()
      clients[i]:send(support.encode({ "MULTI" }) .. support.encode({ "INCR", "n" }))
    end
    for i = 1, 300 do clients[i]:command("EXEC") end
    for i = 1, 300 do
      clients[i]:read()
      clients[i]:read()
      assert.equal("table", type((clients[i]:read())))
    end
    assert.equal("300", redis:call("GET", "n"))
    assert.is_true(tonumber(redis:call("INFO", "clients"):match("connected_clients:(%d+)")) <= 3)
  end)
end)
