-- Pub/sub: the channel is the key, a worker's clients share one subscription at
-- the host, and nobody who has read a confirmation misses a message.

local support = require("support")
local pair = require("support.pair")

local function words(line)
  local out = {}
  for word in line:gmatch("%S+") do out[#out + 1] = word == "''" and "" or word end
  return out
end

-- The bytes of each reply to the lines, `replies` of them for a line (1).
local function bytes_of(client, lines)
  local out = {}
  for _, line in ipairs(lines) do
    local count, text = 1, line
    if type(line) == "table" then count, text = line[2], line[1] end
    client:command(unpack(words(text)))
    for _ = 1, count do
      local _, bytes = client:read()
      out[#out + 1] = text .. ": " .. bytes
    end
  end
  return out
end

local function silent(client)
  return client:call("PING", "still there")
end
local quiet = { "pong", "still there" }

describe("a subscriber", function()
  local redis, nydus, client, other

  before_each(function()
    redis = support.redis()
    nydus = support.nydus({ config = { router = "ketama", hosts = { redis }, workers = 2 } })
    client, other = nydus:client(), nydus:client()
  end)

  it("gets the confirmations of Redis, in order", function()
    local lines = {
      { "SUBSCRIBE a b c", 3 }, { "SUBSCRIBE a a", 2 }, { "PSUBSCRIBE a* b*", 2 }, { "SSUBSCRIBE s t", 2 },
      "UNSUBSCRIBE b", "UNSUBSCRIBE nothing", "PUNSUBSCRIBE b*", "PUNSUBSCRIBE b*", "SUNSUBSCRIBE s", "SUBSCRIBE ''",
      "UNSUBSCRIBE ''", { "UNSUBSCRIBE x y", 2 }, "PING", "PING text", "PUNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE",
      "SUNSUBSCRIBE", { "UNSUBSCRIBE a c", 2 }, "UNSUBSCRIBE", "PING", "PING text", "GET nothing",
    }
    assert.same(bytes_of(redis:client(), lines), bytes_of(client, lines))
    lines = { { "SUBSCRIBE a", 1 }, "UNSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE a", "GET x" }
    assert.same(bytes_of(redis:client(), lines), bytes_of(client, lines))
    lines = { "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE" }
    assert.same(bytes_of(redis:client(), lines), bytes_of(client, lines))
  end)

  it("may do nothing else, in Redis's words", function()
    local lines = {
      "SUBSCRIBE a", "GET k", "SET k v", "PUBLISH a x", "SPUBLISH a x", "PUBSUB CHANNELS", "MULTI", "EXEC", "SELECT 1",
      "HELLO 2", "CLIENT ID", "NONSENSE", "GET", "PING a b", "PING", "BLPOP k 0", "INFO", "AUTH x", "RESET", "GET k",
      "SSUBSCRIBE s", "GET k", "SUNSUBSCRIBE", "GET k", "PSUBSCRIBE p", "GET k", "UNSUBSCRIBE", "GET k", "QUIT",
    }
    assert.same(bytes_of(redis:client(), lines), bytes_of(client, lines))
    client:expect_end()
  end)

  it("has its confirmations in their place among the replies of a pipeline", function()
    for i = 1, 20 do
      local one = nydus:client()
      one:send(table.concat({
        support.encode({ "SET", "k", i }), support.encode({ "GET", "k" }), support.encode({ "SUBSCRIBE", "a", "b" }),
        support.encode({ "PING" }), support.encode({ "GET", "k" }), support.encode({ "UNSUBSCRIBE" }),
        support.encode({ "GET", "k" }),
      }))
      local got = {}
      for n = 1, 9 do got[n] = one:read() end
      assert.same({ "OK", tostring(i), { "subscribe", "a", 1 }, { "subscribe", "b", 2 }, { "pong", "" } },
        { unpack(got, 1, 5) })
      assert.matches("^ERR Can't execute 'get'", got[6].err)
      assert.same({ { "unsubscribe", "a", 1 }, { "unsubscribe", "b", 0 }, tostring(i) }, { unpack(got, 7, 9) })
    end
  end)

  it("hears what is published once it has read the confirmation, for channels, patterns and shards", function()
    for i = 1, 50 do
      local one = nydus:client()
      assert.same({ "subscribe", "c" .. i, 1 }, one:call("SUBSCRIBE", "c" .. i))
      redis:call("PUBLISH", "c" .. i, "first")
      assert.same({ "message", "c" .. i, "first" }, (one:read()))
      assert.same({ "psubscribe", "d" .. i .. "?", 2 }, one:call("PSUBSCRIBE", "d" .. i .. "?"))
      redis:call("PUBLISH", "d" .. i .. "x", "second")
      assert.same({ "pmessage", "d" .. i .. "?", "d" .. i .. "x", "second" }, (one:read()))
      assert.same({ "ssubscribe", "c" .. i, 1 }, one:call("SSUBSCRIBE", "c" .. i))
      redis:call("SPUBLISH", "c" .. i, "third")
      assert.same({ "smessage", "c" .. i, "third" }, (one:read()))
    end
  end)

  it("gets a message once for each way in which it listens, as from Redis", function()
    local plain = redis:client()
    for _, one in ipairs({ client, plain }) do
      for _, line in ipairs({ "SUBSCRIBE news", "PSUBSCRIBE n*", "PSUBSCRIBE *s" }) do one:call(unpack(words(line))) end
    end
    redis:call("PUBLISH", "news", "x")
    for _, one in ipairs({ client, plain }) do
      local got = {}
      for i = 1, 3 do got[i] = one:read()[1] end
      table.sort(got)
      assert.same({ "message", "pmessage", "pmessage" }, got)
      assert.same(quiet, silent(one))
    end
  end)

  it("gets any bytes, of any size", function()
    local name = "any\r\n\0bytes"
    client:call("SUBSCRIBE", name)
    for _, size in ipairs({ 0, 1, 100, 16000, 70000, 3000000 }) do
      local text = ("\0\r\n$"):rep(size / 4)
      other:call("PUBLISH", name, text)
      assert.is_true(client:read()[3] == text)
    end
  end)

  it("keeps the order of what one client publishes", function()
    client:call("SUBSCRIBE", "c")
    local commands = {}
    for i = 1, 2000 do commands[i] = { "PUBLISH", "c", i } end
    other:pipeline(commands)
    for i = 1, 2000 do assert.equal(tostring(i), client:read()[3]) end
  end)

  it("shares its channel with the others of its worker", function()
    local single = support.nydus({ config = { hosts = { redis } } })
    local many = {}
    for i = 1, 100 do
      many[i] = single:client()
      many[i]:call("SUBSCRIBE", "c")
    end
    assert.same({ "c", 1 }, redis:call("PUBSUB", "NUMSUB", "c"))
    redis:call("PUBLISH", "c", "x")
    for i = 1, 100 do assert.same({ "message", "c", "x" }, (many[i]:read())) end
    for i = 1, 99 do
      many[i]:close()
      if i == 98 then assert.same({ "unsubscribe", "c", 0 }, many[99]:call("UNSUBSCRIBE", "c")) end
    end
    redis:call("PUBLISH", "c", "y")
    assert.same({ "message", "c", "y" }, (many[100]:read()))
    assert.equal("RESET", many[100]:call("RESET"))
    support.wait_until(function() return redis:call("PUBSUB", "NUMSUB", "c")[2] == 0 end, 5, "the channel to be left")
  end)

  it("takes its channels along when it leaves", function()
    for i = 1, 50 do
      local one = nydus:client()
      one:call("SUBSCRIBE", "a" .. i)
      one:call("PSUBSCRIBE", "p" .. i)
      if i % 2 == 0 then one:reset() else one:close() end
    end
    support.wait_until(function()
      return #redis:call("PUBSUB", "CHANNELS") == 0 and redis:call("PUBSUB", "NUMPAT") == 0
    end, 5, "all channels to be left")
  end)

  it("may come and go while others publish", function()
    for i = 1, 200 do
      client:command("SUBSCRIBE", "c" .. i % 3)
      other:command("PUBLISH", "c" .. i % 3, i)
      client:command("UNSUBSCRIBE", "c" .. i % 3)
    end
    for _ = 1, 200 do other:read() end
    client:command("SUBSCRIBE", "end")
    local confirmed = 0
    repeat
      local reply = client:read()
      if reply[1] ~= "message" then confirmed = confirmed + 1 end
    until reply[2] == "end"
    assert.equal(401, confirmed)
  end)

  it("may have a thousand channels, in one command and one by one", function()
    local names, lines = { "SUBSCRIBE" }, {}
    for i = 1, 1000 do
      names[i + 1] = "c" .. i
      lines[i] = { "SUBSCRIBE", "d" .. i }
    end
    client:command(unpack(names))
    for i = 1, 1000 do assert.same({ "subscribe", "c" .. i, i }, (client:read())) end
    local replies = client:pipeline(lines)
    for i = 1, 1000 do assert.same({ "subscribe", "d" .. i, 1000 + i }, replies[i]) end
    other:pipeline({ { "PUBLISH", "c500", "x" }, { "PUBLISH", "d500", "y" } })
    assert.same({ "message", "c500", "x" }, (client:read()))
    assert.same({ "message", "d500", "y" }, (client:read()))
    client:command("UNSUBSCRIBE")
    for i = 1, 2000 do assert.equal(2000 - i, client:read()[3]) end
    assert.equal("PONG", client:call("PING"))
  end)

  it("is not idle for client_timeout", function()
    local strict = support.nydus({ config = { hosts = { redis }, client_timeout = 1 } })
    local listener, idle = strict:client(), strict:client()
    listener:call("SUBSCRIBE", "c")
    idle:call("PING")
    idle:expect_end()
    assert.same(quiet, silent(listener))
  end)

  it("is refused inside a transaction, which goes no further", function()
    assert.equal("OK", client:call("MULTI"))
    assert.matches("^ERR 'subscribe' is not allowed inside a transaction", client:call("SUBSCRIBE", "a").err)
    assert.matches("^EXECABORT", client:call("EXEC").err)
    assert.equal("PONG", client:call("PING"))
  end)

  it("that leaves at once leaves nothing behind", function()
    for i = 1, 50 do
      local one = nydus:client()
      one:command("SUBSCRIBE", "gone" .. i, "gone")
      if i % 2 == 0 then one:reset() else one:close() end
    end
    support.wait_until(function() return #redis:call("PUBSUB", "CHANNELS") == 0 end, 5, "all channels to be left")
  end)

  it("does not keep a server that has to leave", function()
    client:call("SUBSCRIBE", "c")
    nydus:stop(3)
    client:expect_end()
  end)
end)

describe("in RESP3", function()
  local redis, nydus, client, other

  before_each(function()
    redis = support.redis()
    nydus = support.nydus({ config = { router = "ketama", hosts = { redis, support.redis() }, workers = 2 } })
    client, other = nydus:client(), nydus:client()
    client:call("HELLO", "3")
  end)

  it("confirmations and messages are pushes, the same as Redis's", function()
    local plain = redis:client()
    plain:call("HELLO", "3")
    local lines = {
      { "SUBSCRIBE a b", 2 }, "PSUBSCRIBE p*", "SSUBSCRIBE s", "PING", "PING text", "GET nothing", "UNSUBSCRIBE b", "UNSUBSCRIBE x",
      "SUNSUBSCRIBE", "SUNSUBSCRIBE", "PUNSUBSCRIBE", "PUNSUBSCRIBE", "UNSUBSCRIBE", "UNSUBSCRIBE", "MULTI", "SET k v", "EXEC",
    }
    assert.same(bytes_of(plain, lines), bytes_of(client, lines))
    local function heard(one, host)
      for _, line in ipairs({ "SUBSCRIBE a", "PSUBSCRIBE b*", "SSUBSCRIBE c" }) do one:call(unpack(words(line))) end
      local out = {}
      for i, line in ipairs({ "PUBLISH a x", "PUBLISH bb y", "SPUBLISH c z" }) do
        host:call(unpack(words(line)))
        out[i] = select(2, one:read())
      end
      return out
    end
    local expected = heard(plain, redis)
    assert.same({ ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n" }, { expected[1] })
    assert.same(expected, heard(client, other))
  end)

  it("everything else is allowed, and no message comes inside of a reply", function()
    client:call("SUBSCRIBE", "c")
    client:call("HSET", "h", "f", ("v"):rep(5000))
    for i = 1, 300 do
      other:command("PUBLISH", "c", i)
      client:command("HGETALL", "h")
      client:command("GET", "none")
    end
    local replies, messages = 0, 0
    while replies < 600 or messages < 300 do
      local value, bytes = client:read()
      if bytes:sub(1, 1) == ">" then
        messages = messages + 1
        assert.equal(tostring(messages), value.push[3])
      else
        replies = replies + 1
        assert.equal(replies % 2 == 1 and "%" or "_", bytes:sub(1, 1))
      end
    end
  end)

  it("each client hears in its own version", function()
    local second = nydus:client()
    client:call("SUBSCRIBE", "c")
    second:call("SUBSCRIBE", "c")
    for _ = 1, 2 do
      other:call("PUBLISH", "c", ("x"):rep(100000))
      assert.equal(">", select(2, client:read()):sub(1, 1))
      assert.equal("*", select(2, second:read()):sub(1, 1))
    end
    second:call("UNSUBSCRIBE")
    second:call("HELLO", "3")
    assert.equal("PONG", client:call("PING"))
    assert.equal("RESET", client:call("RESET"))
    assert.same({ "subscribe", "c", 1 }, client:call("SUBSCRIBE", "c"))
    silent(client)
  end)

  it("HELLO 2 brings a subscriber back to the rules of RESP2", function()
    client:call("SUBSCRIBE", "c")
    client:call("HELLO", "2")
    assert.matches("^ERR Can't execute 'get'", client:call("GET", "k").err)
    other:call("PUBLISH", "c", "x")
    assert.equal("*", select(2, client:read()):sub(1, 1))
    assert.matches("^ERR Can't execute 'hello'", client:call("HELLO", "3").err)
  end)
end)

describe("redis-cli", function()
  it("listens until it is ended", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis } } })
    for _, case in ipairs({ { "-2", "SUBSCRIBE" }, { "-3", "SUBSCRIBE" }, { "-3", "PSUBSCRIBE" }, { "-2", "SSUBSCRIBE" } }) do
      local program = support.start({ name = "redis-cli", argv = {
        "timeout", "30", "redis-cli", case[1], "-p", nydus.port, case[2], "news",
      } })
      local publish = case[2] == "SSUBSCRIBE" and "SPUBLISH" or "PUBLISH"
      support.wait_until(function() return redis:call(publish, "news", "hello") == 1 end, 5, "a subscriber")
      support.wait_until(function() return program:log():find("hello", 1, true) end, 5, "the message")
      program:close()
      support.wait_until(function() return redis:call(publish, "news", "hello") == 0 end, 5, "it to be gone")
    end
  end)
end)

describe("over several hosts", function()
  it("a channel is listened to where its messages go, a pattern everywhere", function()
    local hosts = { support.redis(), support.redis(), support.redis() }
    local nydus = support.nydus({ config = { router = "ketama", hosts = hosts } })
    local client, other = nydus:client(), nydus:client()
    client:call("PSUBSCRIBE", "c*")
    for i = 1, 30 do
      assert.same({ "subscribe", "c" .. i, i + 1 }, client:call("SUBSCRIBE", "c" .. i))
      other:call("PUBLISH", "c" .. i, i)
      local got = { client:read()[1], client:read()[1] }
      table.sort(got)
      assert.same({ "message", "pmessage" }, got)
    end
    local all, least = 0, 30
    for _, host in ipairs(hosts) do
      local here = #host:call("PUBSUB", "CHANNELS")
      all, least = all + here, math.min(least, here)
      assert.equal(1, host:call("PUBSUB", "NUMPAT"))
    end
    assert.equal(30, all)
    assert.is_true(least > 0)
    assert.same(quiet, silent(client))
  end)

  it("that all get each message, it comes once", function()
    local hosts = { support.redis(), support.redis(), support.redis() }
    local nydus = support.nydus({ config = { router = "all", hosts = hosts } })
    local client, other = nydus:client(), nydus:client()
    client:call("SUBSCRIBE", "a")
    client:call("PSUBSCRIBE", "b*")
    for i = 1, 20 do
      other:call("PUBLISH", "a", i)
      other:call("PUBLISH", "b", i)
      local got = {}
      for _ = 1, 2 do
        local message = client:read()
        got[message[1]] = message[#message]
      end
      assert.same({ message = tostring(i), pmessage = tostring(i) }, got)
    end
    assert.same(quiet, silent(client))
  end)

  it("that are databases of one server give a message once", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { router = "round_robin", hosts = {
      redis:address({ identifier = "one" }), redis:address({ identifier = "two", db = 1 }) } } })
    local client, publisher = nydus:client(), nydus:client()
    client:call("PSUBSCRIBE", "c*")
    client:call("SUBSCRIBE", "c")
    for i = 1, 10 do
      for _ = 1, 2 do publisher:call("PUBLISH", "c", i) end -- the same words may be said again
      local kinds = {}
      for _ = 1, 4 do
        local message = client:read()
        assert.equal(tostring(i), message[#message])
        kinds[message[1]] = (kinds[message[1]] or 0) + 1
      end
      assert.same({ message = 2, pmessage = 2 }, kinds)
    end
    assert.same({ "pong", "" }, client:call("PING"))
  end)

  it("of which any gets a message, it comes from each", function()
    for _, router in ipairs({ "round_robin", "random" }) do
      local hosts = { support.redis(), support.redis(), support.redis() }
      local nydus = support.nydus({ config = { router = router, hosts = hosts } })
      local client, other = nydus:client(), nydus:client()
      client:call("SUBSCRIBE", "a")
      for i = 1, 30 do
        other:call("PUBLISH", "a", i)
        assert.equal(tostring(i), client:read()[3])
      end
      assert.same(quiet, silent(client))
    end
  end)

  it("a router script decides where", function()
    local alpha, beta = support.redis(), support.redis()
    local nydus = pair.nydus(alpha, beta)
    local client = nydus:client()
    assert.same({ "subscribe", "a1", 1 }, client:call("SUBSCRIBE", "a1"))
    client:command("SUBSCRIBE", "b1", "c1", "a2")
    assert.same({ "subscribe", "b1", 2 }, (client:read()))
    assert.matches("^ERR no route", client:read().err)
    assert.same({ "subscribe", "a2", 3 }, (client:read()))
    assert.same({ "b1" }, beta:call("PUBSUB", "CHANNELS"))
    beta:call("PUBLISH", "b1", "x")
    assert.same({ "message", "b1", "x" }, (client:read()))
  end)

  it("the keyspace's events come from each of them", function()
    local hosts = {}
    for i = 1, 3 do hosts[i] = support.redis({ fresh = true, notify_keyspace_events = "KEA" }) end
    local nydus = support.nydus({ config = { router = "ketama", hosts = hosts } })
    local client, other, plain = nydus:client(), nydus:client(), nydus:client()
    client:call("PSUBSCRIBE", "__key*__:*")
    plain:call("SUBSCRIBE", "__keyevent@0__:del")
    for i = 1, 20 do
      other:call("SET", "k" .. i, "v")
      local got = { client:read()[3], client:read()[3] }
      table.sort(got)
      assert.same({ "__keyevent@0__:set", "__keyspace@0__:k" .. i }, got)
    end
    for i = 1, 20 do
      other:call("DEL", "k" .. i)
      assert.same({ "message", "__keyevent@0__:del", "k" .. i }, (plain:read()))
    end
  end)

  it("the keyspace's databases are numbered as clients number them", function()
    local host = support.redis({ fresh = true, notify_keyspace_events = "KEA" })
    local nydus = support.nydus({ config = { hosts = { host:address({ db = 3 }) } } })
    local client, every, other = nydus:client(), nydus:client(), nydus:client()
    client:call("SUBSCRIBE", "__keyspace@1__:k", "__keyevent@1__:set")
    client:read()
    client:call("PSUBSCRIBE", "__keyspace@1__:*")
    every:call("PSUBSCRIBE", "__keyspace@*__:k")
    other:call("SELECT", "1")
    other:call("SET", "k", "v")
    local got = {}
    for i = 1, 3 do
      local message = client:read()
      got[i] = table.concat(message, " ")
    end
    table.sort(got)
    assert.same({
      "message __keyevent@1__:set k", "message __keyspace@1__:k set", "pmessage __keyspace@1__:* __keyspace@1__:k set",
    }, got)
    assert.same({ "pmessage", "__keyspace@*__:k", "__keyspace@1__:k", "set" }, (every:read()))
    host:call("SET", "k", "in a database that clients do not know")
    assert.same(quiet, silent(every))
  end)
end)
