-- nydus.rewrite: keys have another prefix at the hosts.

local differential = require("compat.differential")
local random = require("support.random")
local support = require("support")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\") local h = cluster.hosts\n"
local null = support.null

local function start(body, hosts, extra)
  local config = { router = "main.lua", hosts = hosts, workers = 1, defaults = { timeout = 5 } }
  for key, value in pairs(extra or {}) do config[key] = value end
  return support.nydus({ config = config, files = { ["main.lua"] = HEAD .. body } })
end

local function sorted(list)
  table.sort(list)
  return list
end

describe("nydus.rewrite with add", function()
  local redis, nydus, client
  setup(function()
    redis = support.redis()
    nydus = start("return nydus.rewrite{ add = 't1:', next = h[1] }", { redis })
  end)
  before_each(function()
    redis:call("FLUSHALL")
    redis:call("MSET", "foreign", "f", "t1", "t", "t2:a", "b")
    client = nydus:client()
  end)

  it("puts it in front of every key of a command", function()
    assert.equal("OK", client:call("SET", "a", "1"))
    assert.equal("OK", client:call("MSET", "b", "2", "", "empty", "t1:c", "3"))
    assert.equal("1", redis:call("GET", "t1:a"))
    assert.equal("2", redis:call("GET", "t1:b"))
    assert.equal("empty", redis:call("GET", "t1:"))
    assert.equal("3", redis:call("GET", "t1:t1:c"))
    assert.same({ "1", "2", null, "empty" }, client:call("MGET", "a", "b", "foreign", ""))
    assert.equal(1, client:call("COPY", "a", "d"))
    assert.equal("1", redis:call("GET", "t1:d"))
    assert.equal("int", client:call("OBJECT", "ENCODING", "b"))
    assert.same({ "t1:a", "t1:b" }, client:call("EVAL", "return KEYS", 2, "a", "b"))
  end)

  it("shows only the keys that begin with it, by their own names", function()
    for i = 1, 30 do client:call("SET", "k" .. i, "v") end
    client:call("SET", "other", "v")
    assert.equal(31, #client:call("KEYS", "*"))
    assert.same({ "k1", "k10", "k11", "k12", "k13", "k14", "k15", "k16", "k17", "k18", "k19" }, sorted(client:call("KEYS", "k1*")))
    assert.same({}, client:call("KEYS", "foreign"))
    assert.same({ "other" }, client:call("KEYS", "[on]ther"))
    local found, cursor = {}, "0"
    repeat
      local reply = client:call("SCAN", cursor, "COUNT", "7")
      cursor = reply[1]
      for _, key in ipairs(reply[2]) do found[#found + 1] = key end
    until cursor == "0"
    assert.equal(31, #found)
    assert.same({ "k12", "k2", "k22", "other" },
      sorted(client:call("SCAN", "0", "match", "[ko]*[2r]", "COUNT", "1000", "TYPE", "string")[2]))
    assert.same({ "k7" }, client:call("SCAN", "0", "COUNT", "1000", "MATCH", "k7")[2])
    assert.same({ err = "ERR syntax error" }, client:call("SCAN", "0", "COUNT"))
    assert.same({ err = "ERR syntax error" }, client:call("SCAN", "0", "MATCH"))
  end)

  it("finds a random key of its own, or none", function()
    assert.equal(null, client:call("RANDOMKEY"))
    client:call("MSET", "a", "1", "b", "2")
    for _ = 1, 20 do assert.is_truthy(({ a = true, b = true })[client:call("RANDOMKEY")]) end
    local list = {}
    for i = 1, 50 do list[i] = { "RANDOMKEY" } end
    for _, key in ipairs(client:pipeline(list)) do assert.is_truthy(({ a = true, b = true })[key]) end
  end)

  it("refuses what deletes keys of others", function()
    for _, name in ipairs({ "FLUSHALL", "FLUSHDB" }) do
      assert.matches("^ERR '" .. name:lower() .. "' would delete what is not seen here", client:call(name).err)
      local replies = client:pipeline({ { "MULTI" }, { name }, { "EXEC" } })
      assert.matches("would delete what", replies[2].err)
      assert.matches("^EXECABORT", replies[3].err)
    end
    assert.equal("f", redis:call("GET", "foreign"))
    local all = start("return nydus.rewrite{ add = 't1:', all = true, next = h[1] }", { redis }):client()
    assert.equal("OK", all:call("FLUSHALL"))
    assert.equal(0, redis:call("DBSIZE"))
  end)

  it("leaves channels alone", function()
    local listener = redis:client()
    listener:call("SUBSCRIBE", "news")
    assert.equal(1, client:call("PUBLISH", "news", "m"))
    assert.same({ "message", "news", "m" }, listener:read())
    local own = nydus:client()
    assert.same({ "subscribe", "news", 1 }, own:call("SUBSCRIBE", "news"))
    redis:call("PUBLISH", "news", "n")
    assert.same({ "message", "news", "n" }, own:read())
    assert.equal(0, client:call("SPUBLISH", "shard", "m"))
  end)

  it("changes keys in patterns of SORT", function()
    client:call("RPUSH", "l", "1", "2")
    client:call("MSET", "w1", "2", "w2", "1", "v1", "one", "v2", "two")
    client:call("HSET", "h1", "f", "x")
    assert.same({ "two", "2", null, "one", "1", "x" },
      client:call("SORT", "l", "BY", "w*", "GET", "v*", "GET", "#", "GET", "h*->f"))
    assert.equal(2, client:call("SORT", "l", "BY", "nosort", "STORE", "out"))
    assert.same({ "1", "2" }, redis:call("LRANGE", "t1:out", 0, -1))
  end)

  for _, version in ipairs({ 2, 3 }) do
    it("gives the client's keys back in replies, RESP" .. version, function()
      client:call("HELLO", version)
      client:call("RPUSH", "l", "1", "2", "3", "4")
      client:call("ZADD", "z", 1, "a", 2, "b", 3, "c", 4, "d")
      client:call("XADD", "s", "1-1", "f", "v")
      client:call("XADD", "s2", "1-1", "f", "w")
      client:call("XGROUP", "CREATE", "s", "g", "0")
      assert.same({ "l", "1" }, client:call("BLPOP", "none", "l", "1"))
      assert.same({ "l", "4" }, client:call("BRPOP", "l", "1"))
      assert.same({ "l", { "2" } }, client:call("LMPOP", 2, "none", "l", "LEFT"))
      assert.same({ "l", { "3" } }, client:call("BLMPOP", 1, 1, "l", "LEFT"))
      assert.equal("z", client:call("BZPOPMIN", "z", 1)[1])
      assert.equal("z", client:call("BZPOPMAX", "z", 1)[1])
      assert.equal("z", client:call("ZMPOP", 1, "z", "MIN")[1])
      assert.equal("z", client:call("BZMPOP", 1, 1, "z", "MAX")[1])
      local pages = client:command("XREAD", "STREAMS", "s", "s2", "0", "0"):read()
      assert.equal(version == 2 and "s" or nil, pages[1] and pages[1][1])
      local _, raw = client:command("XREAD", "BLOCK", "100", "STREAMS", "s2", "s", "0", "0"):read()
      assert.matches(version == 2 and "^%*2\r\n%*2\r\n%$2\r\ns2\r\n.*%*2\r\n%$1\r\ns\r\n" or "^%%2\r\n%$2\r\ns2\r\n.*%$1\r\ns\r\n", raw)
      _, raw = client:command("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"):read()
      assert.matches("%$1\r\ns\r\n", raw)
      assert.is_nil(raw:find("t1:", 1, true))
      assert.equal("NOGROUP No such key 's' or consumer group 'x' in XREADGROUP with GROUP option",
        client:call("XREADGROUP", "GROUP", "x", "c", "STREAMS", "s", ">").err)
      assert.equal("NOGROUP No such consumer group 'x' for key name 's'", client:call("XINFO", "CONSUMERS", "s", "x").err)
      assert.equal(null, client:call("BLPOP", "none", "0.01"))
    end)
  end

  it("holds for commands that wait, and for a client that gives up", function()
    local other = nydus:client()
    client:command("BLPOP", "x", "y", "0")
    support.wait_until(function() return tonumber(redis:call("INFO", "clients"):match("blocked_clients:(%d+)")) == 1 end)
    assert.equal(1, other:call("RPUSH", "y", "v"))
    assert.same({ "y", "v" }, client:read())
    client:command("XREAD", "BLOCK", "0", "STREAMS", "st", "$")
    support.wait_until(function() return tonumber(redis:call("INFO", "clients"):match("blocked_clients:(%d+)")) == 1 end)
    client:close()
    support.wait_until(function() return tonumber(redis:call("INFO", "clients"):match("blocked_clients:(%d+)")) == 0 end)
  end)

  it("holds in transactions, and WATCH", function()
    client:call("RPUSH", "l", "1", "2")
    client:call("SET", "k", "v")
    local replies = client:pipeline({ { "WATCH", "k" }, { "MULTI" }, { "GET", "k" }, { "LMPOP", "1", "l", "LEFT" }, { "KEYS", "*" },
      { "SET", "n", "1" }, { "BLPOP", "l", "0" }, { "SCAN", "0", "COUNT", "100" }, { "XREAD", "STREAMS", "none", "0" },
      { "EVAL", "return 1", "0" }, { "EVAL", "return redis.call('GET', KEYS[1])", "1", "k" }, { "EXEC" } })
    local done = replies[12]
    assert.equal("v", done[1])
    assert.same({ "l", { "1" } }, done[2])
    assert.same({ "k", "l" }, sorted(done[3]))
    assert.same({ "l", "2" }, done[5])
    assert.same({ "k", "n" }, sorted(done[6][2]))
    assert.equal("v", done[9])
    assert.equal("1", redis:call("GET", "t1:n"))
    client:call("WATCH", "k")
    redis:call("SET", "t1:k", "changed")
    assert.same({ "OK", "QUEUED", null }, client:pipeline({ { "MULTI" }, { "LMPOP", "1", "l", "LEFT" }, { "EXEC" } }))
    assert.same({ "OK", "QUEUED", "OK" }, client:pipeline({ { "MULTI" }, { "LMPOP", "1", "l", "LEFT" }, { "DISCARD" } }))
    client:call("MULTI")
    client:call("LMPOP", "1", "l", "LEFT")
    client:close()
  end)

  it("is linear and binary safe", function()
    local source = random.new(7)
    local set, get, want = { "MSET" }, { "MGET" }, {}
    for i = 1, 10000 do
      local bytes = {}
      for j = 1, source:between(0, 20) do bytes[j] = string.char(source:between(0, 255)) end
      local key = table.concat(bytes) .. i
      set[2 * i], set[2 * i + 1], get[i + 1], want[i] = key, "v" .. i, key, "v" .. i
    end
    local replies = client:pipeline({ set, get })
    assert.equal("OK", replies[1])
    for i, value in ipairs(replies[2]) do
      if value ~= want[i] then assert.equal(want[i], value, get[i + 1]) end
    end
    assert.equal(10000, #replies[2])
    assert.equal(10000, #client:call("KEYS", "*"))
    assert.equal(10003, redis:call("DBSIZE"))
    for i = 1, 50 do assert.equal("v" .. i, redis:call("GET", "t1:" .. get[i + 1])) end
  end)
end)

describe("nydus.rewrite with strip", function()
  local redis, client
  setup(function() redis = support.redis() end)
  before_each(function() redis:call("FLUSHALL") end)

  it("takes it away, and lets other keys be", function()
    client = start("return nydus.rewrite{ strip = 'x:', next = h[1] }", { redis }):client()
    assert.equal("OK", client:call("MSET", "x:a", "1", "b", "2", "x", "3"))
    assert.same({ "1", "2", "3" }, redis:call("MGET", "a", "b", "x"))
    assert.same({ "x:a", "x:b", "x:x" }, sorted(client:call("KEYS", "*")))
    assert.same({ "x:a" }, client:call("KEYS", "x:a"))
    assert.same({}, client:call("KEYS", "a"))
    assert.same({}, client:call("KEYS", ""))
    assert.same({ "x:a", "x:b" }, sorted(client:call("KEYS", "?:[ab]")))
    redis:call("RPUSH", "l", "1", "2")
    assert.same({ "x:l", "1" }, client:call("BLPOP", "x:l", "1"))
    assert.same({ "l", "2" }, client:call("BLPOP", "l", "1"))
    assert.matches("^ERR 'blpop' has keys of which some begin with 'x:' and some do not", client:call("BLPOP", "x:l", "l", "1").err)
  end)

  it("and add change one prefix into another", function()
    client = start("return nydus.rewrite{ strip = 'x:', add = 'v[2*:', next = h[1] }", { redis }):client()
    assert.equal("OK", client:call("MSET", "x:a", "1", "b", "2"))
    assert.same({ "1", "2" }, redis:call("MGET", "v[2*:a", "b"))
    redis:call("SET", "v[2zz:", "3")
    assert.same({ "x:a" }, client:call("KEYS", "*"))
    assert.same({ "x:a" }, client:call("KEYS", "x:*"))
    assert.same({ "x:a" }, client:call("SCAN", "0", "COUNT", "100")[2])
    assert.same({ "x:a" }, client:call("SCAN", "0", "COUNT", "100", "MATCH", "[x]:?")[2])
    assert.equal("1", client:call("GET", "x:a"))
  end)
end)

describe("nydus.rewrite", function()
  local hosts
  setup(function() hosts = { support.redis(), support.redis(), support.redis() } end)
  before_each(function() for _, host in ipairs(hosts) do host:call("FLUSHALL") end end)

  it("changes the key before the next target sees it, and nests", function()
    local nydus = start([[
      local ring = nydus.ketama(cluster)
      return nydus.prefix{
        ["old:"] = nydus.rewrite{ strip = "old:", add = "new:", next = nydus.prefix{ ["new:a"] = h[1], default = ring } },
        ["in:"] = nydus.rewrite{ add = "b:", next = nydus.rewrite{ strip = "b:in:", add = "c:", next = h[2] } },
        ["fn:"] = nydus.rewrite{ add = "f", next = function(req) return req:key(1):sub(1, 1) == "f" and req:arg(1) == req:key(1)
          and h[3] or nil end },
        default = nydus.failover{ nydus.rewrite{ add = "d:", next = ring }, h[1] } }]], hosts)
    local client = nydus:client()
    assert.equal("OK", client:call("SET", "old:a1", "v"))
    assert.equal("v", hosts[1]:call("GET", "new:a1"))
    assert.equal("OK", client:call("SET", "in:k", "v"))
    assert.equal("v", hosts[2]:call("GET", "c:k"))
    client:call("RPUSH", "in:l", "1", "2", "3")
    assert.same({ "in:l", "1" }, client:call("BLPOP", "in:l", "1"))
    assert.same({ "in:l", { "2" } }, client:call("LMPOP", "1", "in:l", "LEFT"))
    assert.same({ "OK", "QUEUED", { { "in:l", { "3" } } } }, client:pipeline({ { "MULTI" }, { "LMPOP", "1", "in:l", "LEFT" }, { "EXEC" } }))
    client:call("SET", "fn:k", "v")
    assert.equal("v", hosts[3]:call("GET", "ffn:k"))
    local set, get, want = { "MSET" }, { "MGET" }, {}
    for i = 1, 60 do
      local key = (i % 3 == 0 and "old:" or i % 3 == 1 and "in:" or "") .. i
      set[2 * i], set[2 * i + 1], get[i + 1], want[i] = key, "v" .. i, key, "v" .. i
    end
    assert.equal("OK", client:call(unpack(set)))
    assert.same(want, client:call(unpack(get)))
    for i = 1, 20 do client:call("RPUSH", "q" .. i, i) end
    for i = 1, 20 do assert.same({ "q" .. i, tostring(i) }, client:call("BLPOP", "q" .. i, "1")) end
  end)

  it("shows the keys of all hosts", function()
    local client = start("return nydus.rewrite{ add = 'p:', next = nydus.ketama(cluster) }", hosts):client()
    for i = 1, 200 do
      client:call("SET", "k" .. i, i)
      hosts[i % 3 + 1]:call("SET", "foreign" .. i, i)
    end
    assert.equal(200, #client:call("KEYS", "*"))
    local seen, cursor, count = {}, "0", 0
    repeat
      local reply = client:call("SCAN", cursor, "COUNT", "20")
      cursor = reply[1]
      for _, key in ipairs(reply[2]) do
        assert.matches("^k%d+$", key)
        if not seen[key] then count = count + 1 end
        seen[key] = true
      end
    until cursor == "0"
    assert.equal(200, count)
    for _ = 1, 20 do assert.matches("^k%d+$", client:call("RANDOMKEY")) end
  end)

  it("stands among other targets that act, and below hooks", function()
    local client = start([[
      local seen = nydus.counter("seen")
      return {
        route = nydus.rewrite{ add = "p:", next = nydus.cache{ tracking = false, next = nydus.limit{ rate = 1e6, key = "key",
          next = nydus.hedge{ nydus.rewrite{ add = "q:", next = nydus.ketama(cluster) }, h[1], after = 1 } } } },
        on_reply = function(req, reply)
          if req.command == "keys" then return nydus.reply(#reply .. reply[1]:str()) end
          if req.command == "get" and req:key(1) == "a" then seen:add(1) end
        end,
        retry = function(req) return h[2] end,
      }]], hosts):client()
    assert.equal("OK", client:call("MSET", "a", "1", "b", "2", "c", "3"))
    for _ = 1, 3 do assert.equal("1", client:call("GET", "a")) end
    assert.equal("4", client:call("SET", "a", "4") == "OK" and client:call("GET", "a"))
    assert.same({ "4", "2", "3", null }, client:call("MGET", "a", "b", "c", "d"))
    client:call("DEL", "b", "c")
    assert.equal("1a", client:call("KEYS", "*"))
    assert.same({ "OK", "QUEUED", "QUEUED", { "4", 1 } }, client:pipeline({ { "MULTI" }, { "GET", "a" }, { "DEL", "a" }, { "EXEC" } }))
  end)

  it("answers whatever happens to the client, the host or the other requests", function()
    local fake = support.fake({ auto = { PING = "+PONG\r\n" } })
    local nydus = start("return nydus.rewrite{ add = 'p:', next = h[1] }", { fake })
    local client = nydus:client()
    support.wait_until(function()
      fake:expect_silence(0.005)
      return client:call("INFO", "hosts"):match("state=up")
    end)
    local leaver = nydus:client()
    leaver:command("KEYS", "*")
    fake:expect("KEYS p:*")
    leaver:close()
    client:command("RANDOMKEY")
    client:command("GET", "a")
    fake:answer("*1\r\n$3\r\np:x\r\n")
    fake:expect("RANDOMKEY")
    fake:expect("GET p:a")
    fake:answer("$1\r\nx\r\n")
    fake:answer("$1\r\n1\r\n")
    fake:expect("RANDOMKEY")
    fake:answer("$3\r\np:k\r\n")
    assert.equal("k", client:read())
    assert.equal("1", client:read())
    client:command("KEYS", "*")
    fake:expect("KEYS p:*")
    fake:answer("*4\r\n$3\r\np:k\r\n:1\r\n*1\r\n$3\r\np:k\r\n$-1\r\n")
    assert.same({ "k" }, client:read())
    client:command("KEYS", "*")
    fake:expect("KEYS p:*")
    fake:reset_link(fake.link)
    assert.matches("^ERR host", client:read().err)
  end)

  it("is refused with a sentence when it is wrong", function()
    for options, expected in pairs({
      ["next = h[1]"] = "add, strip or both are expected",
      ["add = 'a', strip = 'a', next = h[1]"] = "add, strip or both are expected",
      ["add = 1, next = h[1]"] = "add: a string of at most 1024 bytes is expected, got a number",
      ["strip = ('x'):rep(1025), next = h[1]"] = "strip: a string of at most 1024 bytes",
      ["add = 'a'"] = "next: a target is expected .*, got nil",
      ["add = 'a', next = h[1], all = 1"] = "all: true or false is expected, got 1",
      ["add = 'a', next = h[1], ad = 1"] = "unknown option 'ad'; did you mean 'add'%?",
      ["add = 'a', h[1]"] = "it takes named fields",
    }) do
      local _, text = support.nydus_fails({ config = { router = "main.lua", hosts = hosts },
        files = { ["main.lua"] = HEAD .. "return nydus.rewrite{ " .. options .. " }" } })
      assert.matches(expected, text, nil, nil, options)
    end
  end)

  it("is told with the key as it becomes", function()
    local client = start("return nydus.rewrite{ strip = 'x:', add = 'y:', next = nydus.prefix{ ['y:'] = h[2], default = h[1] } }",
      hosts):client()
    local text = client:call("NYDUS", "ROUTE", "MGET", "x:a", "x:b")
    text = type(text) == "table" and table.concat(text, "\n") or text
    assert.matches('rewrite, strip "x:", add "y:"', text)
    assert.matches('the key becomes "y:a"', text)
    assert.matches('the key becomes "y:b"', text)
    assert.matches('the key begins with "y:"', text)
  end)
end)

describe("what hosts answer through nydus.rewrite", function()
  -- Lines that look at what has no prefix, or show it on purpose.
  local OTHER = { "^EVAL", "^FCALL", "^DUMP", "^RESTORE", "^FLUSH", "^DBSIZE", "^MEMORY USAGE", "^DEBUG", "^OBJECT FREQ",
    "^SUBSCRIBE", "^PSUBSCRIBE", "^SCRIPT", "^FUNCTION", "^COMMAND", "^RANDOMKEY" }
  local WAITS = { "^BL", "^BRPOP", "^BZ", "BLOCK" } -- they take their time; see above

  local function is_plain(line)
    if line.different or line.replies ~= 1 then return false end
    for _, list in ipairs({ OTHER, WAITS }) do
      for _, pattern in ipairs(list) do
        if line.text:upper():find(pattern) then return false end
      end
    end
    return true
  end

  for _, version in ipairs({ 2, 3 }) do
    it("is what they answer without it, RESP" .. version, function()
      local plain, behind = support.redis(), support.redis()
      local nydus = start("return nydus.rewrite{ add = 'p:', next = h[1] }", { behind })
      local compared = 0
      for _, family in ipairs(differential.families()) do
        if ("bits geo hashes keys lists sets sorted_sets streams strings several_keys"):find(family.name, 1, true) then
          for _, server in ipairs({ plain, behind }) do server:call("FLUSHALL") end
          for _, section in ipairs(family.sections) do
            local lines = {}
            for _, line in ipairs(section) do if is_plain(line) then lines[#lines + 1] = line end end
            local one, two = plain:client(), nydus:client()
            one:call("HELLO", version)
            two:call("HELLO", version)
            local want, got = differential.run(one, lines, "{t}"), differential.run(two, lines, "{t}")
            for i, line in ipairs(lines) do
              if not line.loose then
                assert.equal(want[i], got[i], line.text)
                compared = compared + 1
              elseif line.loose.rule == "walk" then
                assert.equal(want[i], got[i], line.text)
              end
            end
            one:close()
            two:close()
          end
        end
      end
      assert.is_true(compared > 500, compared)
    end)
  end
end)
