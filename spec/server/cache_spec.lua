-- nydus.cache: replies kept in the worker, dropped when their key is written, whoever writes.

local support = require("support")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\") local h = cluster.hosts\n"

local function start(body, hosts, extra)
  local config = { router = "main.lua", hosts = hosts, workers = 1, defaults = { timeout = 2, connect_timeout = 0.5 } }
  for key, value in pairs(extra or {}) do config[key] = value end
  return support.nydus({ config = config, files = { ["main.lua"] = HEAD .. body } })
end

local RING = "return nydus.cache{ next = nydus.ketama(cluster) }"

local function stat(client, name)
  return tonumber(client:call("INFO", "stats"):match("nydus_cache_" .. name .. ":(%d+)"))
end

local function calls(host, command)
  return tonumber((host:call("INFO", "commandstats"):match("cmdstat_" .. command .. ":calls=(%d+)"))) or 0
end

-- Reads until the reply came from the cache: then it was asked for while the host told what changes.
local function warm(client, ...)
  local words, reply = { ... }, nil
  support.wait_until(function()
    local hits = stat(client, "hits")
    reply = client:call(unpack(words))
    return stat(client, "hits") == hits + 1
  end, 5, "a hit of " .. table.concat(words, " "))
  return reply
end

local function until_reads(client, expected, ...)
  local words = { ... }
  support.wait_until(function() return client:call(unpack(words)) == expected end, 5, "another reply")
end

describe("nydus.cache", function()
  local redis, nydus, client

  setup(function()
    redis = support.redis()
    nydus = start(RING, { redis })
    client = nydus:client()
  end)
  before_each(function() redis:call("FLUSHALL") end)

  it("answers what it has kept, and the host is not asked", function()
    redis:call("SET", "k", "v")
    assert.equal("v", warm(client, "GET", "k"))
    local before = calls(redis, "get")
    for _ = 1, 20 do assert.equal("v", client:call("GET", "k")) end
    assert.same({ "v", "v", "PONG", "v" }, client:pipeline({ { "GET", "k" }, { "GET", "k" }, { "PING" }, { "GET", "k" } }))
    assert.equal("v", nydus:client():call("GET", "k")) -- it is for all clients of the worker
    assert.equal(before, calls(redis, "get"))
    assert.equal(support.null, warm(client, "GET", "nothing"))
  end)

  it("keeps replies apart by command, database and protocol", function()
    redis:call("HSET", "h", "f", "1", "g", "2")
    assert.equal("1", warm(client, "HGET", "h", "f"))
    assert.equal("2", warm(client, "HGET", "h", "g"))
    assert.same({ "f", "1", "g", "2" }, warm(client, "HGETALL", "h"))
    local other, three = nydus:client(), nydus:client()
    other:call("SELECT", "1")
    three:call("HELLO", "3")
    assert.same({}, other:call("HGETALL", "h"))
    assert.is_table(three:call("HGETALL", "h").map)
    assert.same({ "f", "1", "g", "2" }, client:call("HGETALL", "h"))
  end)

  it("keeps what only reads one key, says the same until that is written, and is no error", function()
    redis:call("SET", "s", "value")
    redis:call("RPUSH", "l", "a", "b", "c")
    redis:call("SADD", "set", "a", "b")
    redis:call("ZADD", "z", "1", "a", "2", "b")
    redis:call("HSET", "h", "f", "1")
    redis:call("XADD", "x", "1-1", "a", "b")
    local function kept(words)
      client:call(unpack(words))
      local hits = stat(client, "hits")
      client:call(unpack(words))
      return stat(client, "hits") > hits
    end
    warm(client, "GET", "s")
    for _, line in ipairs({
      "STRLEN s", "GETRANGE s 0 1", "EXISTS s", "TYPE s", "LRANGE l 0 -1", "LINDEX l 0", "SMEMBERS set", "SISMEMBER set a",
      "ZRANGE z 0 -1", "ZSCORE z a", "HGET h f", "HMGET h f g", "XRANGE x - +", "XLEN x", "GETBIT s 1", "BITCOUNT s",
      "EXPIRETIME s", "ZUNION 1 z", "PFCOUNT p",
    }) do
      local words = {}
      for word in line:gmatch("%S+") do words[#words + 1] = word end
      assert.is_true(kept(words), line)
    end
    for _, line in ipairs({
      "TTL s", "PTTL s", "TOUCH s", "DUMP s", "OBJECT ENCODING s", "MEMORY USAGE s", "SRANDMEMBER set", "HRANDFIELD h", "HSCAN h 0",
      "SSCAN set 0", "ZSCAN z 0", "ZRANDMEMBER z", "XINFO STREAM x", "XREAD STREAMS x 0", "SORT_RO l ALPHA", "SINTER set set", "KEYS *",
      "DBSIZE", "RANDOMKEY", "HGET s f", "GETEX s", "PING", "LPOS l", "EVAL_RO return(1) 1 s", "MGET s", "PUBSUB CHANNELS",
    }) do
      local words = {}
      for word in line:gmatch("%S+") do words[#words + 1] = word end
      if line ~= "MGET s" then assert.is_false(kept(words), line) end
    end
  end)

  it("drops a key with the write that passes, before the writer has its reply", function()
    for _, write in ipairs({
      { "SET", "k", "new" }, { "APPEND", "k", "+" }, { "DEL", "k" }, { "MSET", "a", "1", "k", "2" }, { "UNLINK", "b", "k" },
      { "RENAME", "other", "k" }, { "GETSET", "k", "x" }, { "EVAL", "redis.call('SET', KEYS[1], 'y')", "1", "k" },
      { "EVAL", "redis.call('SET', 'k', 'z')", "0" }, { "FLUSHALL" }, { "FLUSHDB" }, { "RESTORE", "k", "0", "", "REPLACE" },
      { "COPY", "other", "k", "REPLACE" }, { "SORT", "list", "STORE", "k" }, { "SET", "k", "v", "GET" },
    }) do
      redis:call("SET", "k", "old")
      redis:call("SET", "other", "moved")
      if write[1] == "RESTORE" then write[4] = redis:call("DUMP", "other") end
      assert.equal("old", warm(client, "GET", "k"), write[1])
      local replies = client:pipeline({ write, { "GET", "k" } })
      local name = table.concat(write, " ", 1, math.min(2, #write))
      assert.is_falsy(type(replies[1]) == "table" and replies[1].err, name)
      assert.same(redis:call("GET", "k"), replies[2], name)
      assert.same(redis:call("GET", "k"), client:call("GET", "k"), name)
    end
  end)

  it("drops a key that somebody else writes, or that is written past it", function()
    local direct = redis:client()
    local function through(...) return client:call(...) end
    local function at_host(...) return direct:call(...) end
    local function transaction(...)
      client:pipeline({ { "MULTI" }, { ... }, { "EXEC" } })
    end
    for _, case in ipairs({
      { at_host, "SET", "k", "new" }, { at_host, "DEL", "k" }, { at_host, "FLUSHALL" }, { at_host, "FLUSHDB" },
      { at_host, "PEXPIRE", "k", "60" }, { transaction, "SET", "k", "new" }, { transaction, "FLUSHALL" },
      { transaction, "EVAL", "redis.call('SET', 'k', 'y')", "0" }, { through, "BLMOVE", "list", "k", "LEFT", "LEFT", "1" },
      { through, "EVAL", "redis.call('SET', 'k', 'y')", "1", "other" },
    }) do
      redis:call("DEL", "k")
      redis:call("RPUSH", "list", "a")
      if case[2] ~= "BLMOVE" then redis:call("SET", "k", "old") end
      local read = case[2] == "BLMOVE" and { "LRANGE", "k", "0", "-1" } or { "GET", "k" }
      local old = warm(client, unpack(read))
      case[1](unpack(case, 2))
      support.wait_until(function()
        local now = client:call(unpack(read))
        return support.encode({ tostring(now), #now }) ~= support.encode({ tostring(old), #old })
      end, 5, case[2])
    end
  end)

  it("drops a key for all databases, as hosts do not say of which one they tell", function()
    local other = nydus:client()
    other:call("SELECT", "2")
    other:call("SET", "k", "two")
    client:call("SET", "k", "zero")
    assert.equal("two", warm(other, "GET", "k"))
    assert.equal("zero", warm(client, "GET", "k"))
    local direct = redis:client()
    direct:call("SELECT", "2")
    direct:call("SET", "k", "changed")
    until_reads(other, "changed", "GET", "k")
    assert.equal("zero", client:call("GET", "k"))
  end)

  it("keeps to the order of a pipeline, whatever others read meanwhile", function()
    local many = start(RING, { redis:address({ connections = 4 }) })
    local writer, readers = many:client(), {}
    for i = 1, 4 do readers[i] = many:client() end
    warm(writer, "GET", "k")
    for round = 1, 30 do
      for _, reader in ipairs(readers) do
        reader:send(support.encode({ "GET", "k" }):rep(20), true)
      end
      local commands = {}
      for i = 1, 20 do
        commands[2 * i - 1] = { "SET", "k", round .. "." .. i }
        commands[2 * i] = { "GET", "k" }
      end
      local replies = writer:pipeline(commands)
      for i = 1, 20 do assert.equal(round .. "." .. i, replies[2 * i]) end
      for _, reader in ipairs(readers) do
        for _ = 1, 20 do reader:read() end
        assert.equal(round .. ".20", reader:call("GET", "k"))
      end
    end
  end)

  it("sends one request for many that ask the same, and all get its reply", function()
    redis:call("SET", "k", "v")
    warm(client, "GET", "other")
    local clients, before = {}, calls(redis, "get")
    for i = 1, 10 do clients[i] = nydus:client() end
    redis:pause()
    for _, one in ipairs(clients) do one:pipeline({}) one:send(support.encode({ "GET", "k" }):rep(3)) end
    clients[10]:close()
    support.wait_until(function() return stat(client, "shared") >= 29 end)
    redis:resume()
    for i = 1, 9 do
      for _ = 1, 3 do assert.equal("v", (clients[i]:read())) end
    end
    assert.equal(before + 1, calls(redis, "get"))
  end)

  it("says how much it holds", function()
    local before = stat(client, "bytes")
    client:call("SET", "big", ("x"):rep(1000000))
    warm(client, "GET", "big")
    assert.is_true(stat(client, "bytes") > before + 900000)
    client:call("CONFIG", "RESETSTAT")
    assert.is_true(stat(client, "bytes") > before + 900000)
    assert.equal(0, stat(client, "evicted"))
    client:call("SET", "big", "")
    assert.is_true(stat(client, "bytes") < before + 100000)
    assert.is_true(stat(client, "invalidated") >= 1)
  end)
end)

describe("nydus.cache and its host", function()
  it("keeps nothing of one that refuses to tell", function()
    local redis = support.redis({ user = { name = "nydus", password = "x", rules = "~* &* +@all -client|tracking" } })
    local nydus = start(RING, { redis:address({ user = "nydus", password = "x" }) })
    local client = nydus:client()
    redis:call("SET", "k", "v")
    for _ = 1, 20 do assert.equal("v", client:call("GET", "k")) end
    nydus:wait_log("does not tell what changes, so nothing of it is cached: NOPERM")
    assert.equal(0, stat(client, "hits"))
  end)

  it("drops all of one that is lost, and begins again when it is back", function()
    local redis = support.redis({ fresh = true })
    local client = start(RING, { redis }, { retry_timeout = 0.1 }):client()
    redis:call("SET", "k", "old")
    assert.equal("old", warm(client, "GET", "k"))
    redis:stop()
    support.wait_until(function() return type(client:call("GET", "k")) == "table" end, 5, "an error")
    redis:restart()
    redis:call("SET", "k", "new")
    until_reads(client, "new", "GET", "k")
    assert.equal("new", warm(client, "GET", "k"))
    local links = 0
    for line in redis:call("CLIENT", "LIST"):gmatch("[^\n]+") do
      links = links + (line:find("flags=[^ ]*[tB]") and 1 or 0)
    end
    assert.equal(1, links)
  end)

  it("forgets all when a host is marked down, for its keys go to another one", function()
    local redis, gone = support.redis(), support.redis({ fresh = true })
    local nydus = start("return nydus.cache{ next = nydus.ketama(cluster, { eject = true }) }", { redis, gone },
      { retry_timeout = 0.5 })
    local client, keys = nydus:client(), {}
    for i = 1, 40 do client:call("SET", "k" .. i, "v") end
    for i = 1, 40 do
      if gone:call("EXISTS", "k" .. i) == 1 then keys[#keys + 1] = "k" .. i end
    end
    warm(client, "GET", keys[1])
    gone:stop()
    until_reads(client, support.null, "GET", keys[1])
    redis:call("SET", keys[1], "here")
    until_reads(client, "here", "GET", keys[1])
    warm(client, "GET", keys[1])
    gone:restart()
    gone:call("SET", keys[1], "back")
    until_reads(client, "back", "GET", keys[1])
  end)

end)

describe("nydus.cache, its host played by the spec,", function()
  local GREETED = { PING = "+PONG\r\n", HELLO = "%1\r\n$5\r\nproto\r\n:3\r\n" }
  local INVALIDATE = ">2\r\n$10\r\ninvalidate\r\n"
  local host, nydus, client, watcher, told, reading

  -- To when the first reply is kept.
  before_each(function()
    host = support.fake({ auto = GREETED })
    nydus = start(RING, { host }, { retry_timeout = 0.1 })
    client, watcher = nydus:client(), nydus:client()
    local n = 0
    repeat
      n = n + 1
      client:command("GET", "warm" .. n)
      local words, link = host:request()
      if words[1] == "CLIENT" then
        assert.same({ "CLIENT", "TRACKING", "ON", "BCAST" }, words)
        told = link
        host:answer("+OK\r\n", link)
        words, link = host:request()
      end
      assert.equal("GET", words[1])
      reading = link
      host:answer("$1\r\nw\r\n", link)
      client:read()
    until stat(watcher, "stored") > 0
  end)

  local function ask(...)
    client:command(...)
    host:expect({ ... })
  end

  local function answer(bytes)
    host:answer(bytes, reading)
    return (client:read())
  end

  local function tell(message)
    local before = stat(watcher, "invalidated")
    host:answer(message .. INVALIDATE .. "*1\r\n$4\r\nkept\r\n", told)
    support.wait_until(function() return stat(watcher, "invalidated") > before end)
  end

  it("does not keep a reply whose key has changed while it was on its way", function()
    for key, message in pairs({ k = "*2\r\n$1\r\nj\r\n$1\r\nk\r\n", n = "_\r\n" }) do
      ask("GET", "kept")
      answer("$1\r\n1\r\n")
      ask("GET", key)
      tell(INVALIDATE .. message)
      assert.equal("old", answer("$3\r\nold\r\n"))
      ask("GET", key)
      assert.equal("new", answer("$3\r\nnew\r\n"))
      assert.equal("new", client:call("GET", key))
    end
  end)

  it("lets nobody wait for a reply that was asked for before the key changed", function()
    local other = nydus:client()
    ask("GET", "kept")
    answer("$1\r\n1\r\n")
    ask("GET", "k")
    tell(INVALIDATE .. "*1\r\n$1\r\nk\r\n")
    other:command("GET", "k")
    host:expect("GET k")
    assert.equal("old", answer("$3\r\nold\r\n"))
    host:answer("$3\r\nnew\r\n", reading)
    assert.equal("new", other:read())
    assert.equal("new", client:call("GET", "k"))
  end)

  it("keeps nothing of a key while a write is on its way", function()
    local other = nydus:client()
    ask("SET", "k", "new")
    other:command("GET", "k")
    host:expect("GET k")
    other:command("GET", "k")
    host:expect("GET k")
    assert.equal("OK", answer("+OK\r\n"))
    host:answer("$3\r\nnew\r\n$3\r\nnew\r\n", reading)
    assert.equal("new", other:read())
    assert.equal("new", other:read())
    ask("GET", "k")
    answer("$3\r\nnew\r\n")
    assert.equal("new", other:call("GET", "k"))
  end)

  it("keeps no errors, and nothing of what came when the link to tell by was lost", function()
    ask("GET", "k")
    assert.equal("LOADING wait", answer("-LOADING wait\r\n").err)
    ask("GET", "k")
    local before = stat(watcher, "stored")
    host:close_link(told)
    nydus:wait_log("what was cached of it is dropped")
    assert.equal("v", answer("$1\r\nv\r\n"))
    assert.equal(before, stat(watcher, "stored"))
    client:command("GET", "k")
    local words = host:request()
    assert.same({ "GET", "k" }, words)
    answer("$1\r\nv\r\n")
  end)

  it("gives every one that waits the error, when the host is lost", function()
    local others = {}
    for i = 1, 5 do
      others[i] = nydus:client()
      others[i]:command("GET", "k")
    end
    host:expect("GET k")
    support.wait_until(function() return stat(watcher, "shared") == 4 end)
    others[5]:close()
    host:down()
    for i = 1, 4 do assert.matches("host", others[i]:read().err) end
  end)
end)

describe("nydus.cache and its options", function()
  local redis
  setup(function() redis = support.redis() end)
  before_each(function() redis:call("FLUSHALL") end)

  it("without tracking sees only the writes that pass, and what is older than ttl is asked for again", function()
    local client = start("return nydus.cache{ next = h[1], ttl = 0.3, tracking = false }", { redis }):client()
    client:call("SET", "k", "one")
    assert.equal("one", client:call("GET", "k"))
    redis:call("SET", "k", "two")
    assert.equal("one", client:call("GET", "k"))
    until_reads(client, "two", "GET", "k")
    client:call("SET", "k", "three")
    assert.equal("three", client:call("GET", "k"))
    assert.is_nil(redis:call("CLIENT", "LIST"):match("flags=[^ ]*[tB]"))
  end)

  it("asks for the keys that begin so, and keeps no others", function()
    local client = start("return nydus.cache{ next = h[1], prefix = { 'a:', 'b:' } }", { redis }):client()
    redis:call("MSET", "a:1", "x", "b:1", "y", "c:1", "z")
    warm(client, "GET", "a:1")
    warm(client, "GET", "b:1")
    local hits = stat(client, "hits")
    for _ = 1, 3 do assert.equal("z", client:call("GET", "c:1")) end
    assert.equal(hits, stat(client, "hits"))
    redis:call("SET", "b:1", "new")
    until_reads(client, "new", "GET", "b:1")
  end)

  it("holds no more than its size", function()
    local client = start("return nydus.cache{ next = h[1], size = 1048576 }", { redis }):client()
    math.randomseed(3)
    for i = 1, 300 do redis:call("SET", "k" .. i, ("x"):rep(math.random(20000))) end
    warm(client, "GET", "k1")
    for _ = 1, 1500 do
      local key = "k" .. math.random(300)
      local replies = client:pipeline({ { "GET", key }, { "STRLEN", key } })
      assert.equal(#replies[1], replies[2])
    end
    assert.is_true(stat(client, "bytes") <= 1048576)
    assert.is_true(stat(client, "evicted") > 100)
    assert.is_true(stat(client, "hits") > 100)
  end)

  it("stands above actions and functions, and keeps nothing where it cannot be told", function()
    local other = support.redis()
    local nydus = start([[
      local ring = nydus.ketama(cluster)
      return nydus.prefix{
        ["f:"] = nydus.cache{ next = nydus.failover{ h[1], h[2] } },
        ["l:"] = nydus.cache{ next = function(req) return ring end },
        ["w:"] = nydus.cache{ next = nydus.failover{ function(req) return h[1] end, h[2] } },
        ["b:"] = nydus.cache{ next = nydus.all{ h[1], h[2] } },
        default = nydus.cache{ next = nydus.reply("made here") },
      }
    ]], { redis, other })
    local client = nydus:client()
    client:call("SET", "f:1", "v")
    client:call("SET", "l:1", "v")
    assert.equal("v", warm(client, "GET", "f:1"))
    assert.equal("v", warm(client, "GET", "l:1"))
    redis:call("SET", "f:1", "new")
    until_reads(client, "new", "GET", "f:1")
    local hits = stat(client, "hits")
    for _ = 1, 3 do
      assert.equal(support.null, client:call("GET", "w:1"))
      assert.same({ support.null, support.null }, client:call("GET", "b:1"))
      assert.equal("made here", client:call("GET", "x"))
    end
    assert.is_true(stat(client, "hits") <= hits + 1)
  end)

  it("stands below a rewrite, by whose names the host tells", function()
    local client = start([[return nydus.rewrite{ add = "v2:", next = nydus.cache{ next = h[1] } }]], { redis }):client()
    client:call("SET", "k", "old")
    assert.equal("old", warm(client, "GET", "k"))
    redis:call("SET", "v2:k", "new")
    until_reads(client, "new", "GET", "k")
    assert.equal("OK", client:call("SET", "k", "newer"))
    assert.equal("newer", client:call("GET", "k"))
  end)

  it("lets through what needs a host of its own", function()
    local client = start(RING, { redis }):client()
    warm(client, "GET", "k")
    local out = client:pipeline({ { "WATCH", "k" }, { "MULTI" }, { "SET", "k", "1" }, { "GET", "k" }, { "EXEC" }, { "RPUSH", "l", "a" },
      { "BLPOP", "l", "1" }, { "MGET", "k", "k2" }, { "MSET", "k", "2", "k2", "3" }, { "MGET", "k", "k2" } })
    assert.same({ "OK", "1" }, out[5])
    assert.same({ "l", "a" }, out[7])
    assert.same({ "2", "3" }, out[10])
    local pubsub = client
    pubsub:call("SUBSCRIBE", "c")
    redis:call("PUBLISH", "c", "hello")
    assert.same({ "message", "c", "hello" }, (pubsub:read()))
  end)

  it("begins empty after a reload, with one link to be told by", function()
    local nydus = start(RING, { redis })
    local client = nydus:client()
    for round = 1, 4 do
      redis:call("SET", "k", round)
      assert.equal(tostring(round), warm(client, "GET", "k"))
      nydus:forget_log()
      nydus:hup()
      nydus:wait_log("generation %d+")
    end
    support.wait_until(function()
      local links = 0
      for line in redis:call("CLIENT", "LIST"):gmatch("[^\n]+") do
        links = links + (line:find("cmd=client|tracking", 1, true) and 1 or 0)
      end
      return links <= 1
    end)
    assert.equal("4", warm(client, "GET", "k"))
    assert.is_true(stat(client, "bytes") < 2 * 4300000)
  end)

  it("is refused at load when it is misused, in words that help", function()
    for body, words in pairs({
      ["nydus.cache()"] = "nydus.cache: a table is expected, got nil",
      ["nydus.cache{}"] = "next: a target is expected .*, got nil",
      ["nydus.cache{ h[1] }"] = "it takes named fields, as in { next = t }",
      ["nydus.cache{ next = 1 }"] = "next: a target is expected .*, got a number",
      ["nydus.cache{ next = h[1], tll = 1 }"] = "unknown option 'tll'.* did you mean 'ttl'",
      ["nydus.cache{ next = h[1], ttl = 0 }"] = "ttl: 0 is no time in seconds",
      ["nydus.cache{ next = h[1], ttl = 0/0 }"] = "ttl: %-?nan is no time in seconds",
      ["nydus.cache{ next = h[1], size = 1 }"] = "size: 1 is no number of bytes %(65536 or more%)",
      ["nydus.cache{ next = h[1], size = '1mb' }"] = "size: '1mb' is no number of bytes",
      ["nydus.cache{ next = h[1], size = 1/0 }"] = "size: inf is no number of bytes",
      ["nydus.cache{ next = h[1], tracking = 1 }"] = "tracking: true or false is expected, got 1",
      ["nydus.cache{ next = h[1], prefix = 'a' }"] = "prefix: a list of strings is expected, got 'a'",
      ["nydus.cache{ next = h[1], prefix = {} }"] = "prefix: a list of strings is expected, got none",
      ["nydus.cache{ next = h[1], prefix = { 'a', 1 } }"] = "prefix: item 2 is no prefix of keys",
      ["nydus.cache{ next = h[1], prefix = { 'user:', 'u' } }"] = "prefix: 'user:' and 'u' are the same, or one begins with the other",
      ["nydus.cache{ next = nydus.cache{ next = h[1] } }"] = "there is another cache below it",
      ["nydus.cache{ next = nydus.split{ { h[1], 1 }, by = 'client' } }"] = "there is a split by client below it",
      ["nydus.cache{ next = nydus.rewrite{ add = 'v2:', next = h[1] } }"] = "put the cache below the rewrite",
    }) do
      local code, _, err = support.nydus_run({ "--check", "config.lua", files = {
        ["config.lua"] = "return { listen = '127.0.0.1:6380', router = 'main.lua', hosts = { [1] = 'redis://127.0.0.1:6379' } }",
        ["main.lua"] = HEAD .. "return " .. body,
      } })
      assert.equal(1, code, body)
      assert.matches(words, err)
    end
  end)
end)

-- Each key holds a number that only grows. No client ever reads an older number than it has read or written
-- before, whoever writes and however; and in the end all read the newest.
describe("nydus.cache under random reads and writes", function()
  it("never goes back, and ends with what was written last", function()
    math.randomseed(11)
    local redis = support.redis()
    local nydus = start(RING, { redis:address({ connections = 3 }) }, { workers = 2 })
    local clients, seen, newest, keys = {}, {}, {}, {}
    for i = 1, 6 do clients[i], seen[i] = nydus:client(), {} end
    for i = 1, 5 do keys[i] = "k" .. i newest[keys[i]] = 0 redis:call("SET", keys[i], 0) end
    for _, client in ipairs(clients) do warm(client, "GET", "k1") end

    local function read(i, key)
      local value = tonumber((clients[i]:read()))
      assert.is_true(value >= (seen[i][key] or 0), ("client %d read %s of %s after %s"):format(i, value, key, seen[i][key]))
      assert.is_true(value <= newest[key])
      seen[i][key] = value
    end

    local writes = {
      function(i, key, value) clients[i]:call("SET", key, value) seen[i][key] = value end,
      function(i, key, value) clients[i]:call("EVAL", "redis.call('SET', KEYS[1], ARGV[1])", 1, key, value) seen[i][key] = value end,
      function(i, key, value)
        clients[i]:pipeline({ { "MULTI" }, { "SET", key, value }, { "EXEC" } })
      end,
      function(_, key, value) redis:call("SET", key, value) end,
    }
    for _ = 1, 400 do
      local asked = {}
      for i = 1, #clients do
        asked[i] = keys[math.random(#keys)]
        clients[i]:send(support.encode({ "GET", asked[i] }):rep(3), true)
      end
      for i = 1, #clients do
        for _ = 1, 3 do read(i, asked[i]) end
      end
      local key = keys[math.random(#keys)]
      newest[key] = newest[key] + 1
      writes[math.random(#writes)](math.random(#clients), key, newest[key])
    end
    for i in ipairs(clients) do
      for _, key in ipairs(keys) do until_reads(clients[i], tostring(newest[key]), "GET", key) end
    end
    assert.is_true(stat(clients[1], "hits") > 500)
  end)
end)
