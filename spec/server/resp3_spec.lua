-- RESP3: clients that say HELLO 3 get, byte for byte, what one Redis says, over
-- links of their own; others beside them notice nothing.

local rows = require("support.rows")
local support = require("support")

-- "@" stands for a tag: keys that share it share a host. The lines run in
-- order; each begins with what Redis's own reply begins with in RESP3.
local TABLE = [[
+OK     SET @s value
$5      GET @s
_       GET @nothing
_       GETDEL @nothing
:1      APPEND @new x
_       SET @s other NX
$5      SET @s more GET
_       OBJECT ENCODING @nothing
:2      HSET @h a 1 b 2
%2      HGETALL @h
%0      HGETALL @nothing
_       HGET @h c
*2      HMGET @h a c
$1      HRANDFIELD @one
*1      HRANDFIELD @one 5
*1      HRANDFIELD @one 5 WITHVALUES
$3      HINCRBYFLOAT @h a 1.5
*2      HSCAN @h 0
:3      SADD @set 1 2 3
~3      SMEMBERS @set
~0      SMEMBERS @nothing
~3      SUNION @set @nothing
~0      SINTER @set @nothing
~3      SDIFF @set @nothing
*2      SMISMEMBER @set 1 9
~0      SPOP @nothing 2
_       SPOP @nothing
_       SRANDMEMBER @nothing
*0      SRANDMEMBER @nothing 3
:5      ZADD @z 1.5 a 2 b -inf low inf high 0.1 c
,1.5    ZSCORE @z a
,inf    ZSCORE @z high
,-inf   ZSCORE @z low
_       ZSCORE @z none
*2      ZMSCORE @z a none
,2.75   ZINCRBY @z 1.25 a
,3.25   ZADD @z INCR 0.5 a
_       ZADD @z XX INCR 1 none
*5      ZRANGE @z 0 -1
*5      ZRANGE @z 0 -1 WITHSCORES
*5      ZREVRANGE @z 0 -1 WITHSCORES
*3      ZRANGEBYSCORE @z 0 5 WITHSCORES
*5      ZUNION 2 @z @nothing WITHSCORES
*0      ZINTER 2 @z @nothing WITHSCORES
*5      ZDIFF 2 @z @nothing WITHSCORES
_       ZRANK @z none
*2      ZPOPMAX @z
*1      ZPOPMIN @z 1
*2      ZMPOP 1 @z MIN
_       ZMPOP 1 @nothing MIN
*2      ZSCAN @z 0
*0      ZPOPMIN @nothing
:3      RPUSH @l a b c
_       LPOP @nothing
_       LPOP @nothing 2
*2      LPOP @l 2
_       LPOS @l none
_       LMPOP 1 @nothing LEFT
_       LMOVE @nothing @l LEFT LEFT
*2      BLPOP @l 1
$3      XADD @x 1-1 f v
$3      XADD @x 2-1 f w
%1      XREAD COUNT 1 STREAMS @x 0
_       XREAD STREAMS @x $
*2      XRANGE @x - +
+OK     XGROUP CREATE @x g 0
%9      XINFO STREAM @x FULL
%1      XREADGROUP GROUP g bob COUNT 1 STREAMS @x >
%10     XINFO STREAM @x
*1      XINFO GROUPS @x
_       XADD @nothing NOMKSTREAM * f v
:1      GEOADD @g 13.5 38.25 here
*2      GEOPOS @g here none
_       GEODIST @g here none
$6      GEODIST @g here here
*1      GEOSEARCH @g FROMMEMBER here BYRADIUS 1 km WITHCOORD WITHDIST
%2      LCS @s @new IDX
$       DUMP @s
_       DUMP @nothing
:1      COPY @s @copy
+string TYPE @s
-WRONGT LPUSH @s x
*2      MGET @s @nothing
:-2     PTTL @nothing
+OK     MULTI
-ERR    MULTI
+QUEUED GET @nothing
+QUEUED HGETALL @h
+QUEUED ZSCORE @g here
*3      EXEC
_       EVAL return(nil) 1 @s
%1      EVAL redis.setresp(3)return(redis.call('hgetall',KEYS[1])) 1 @one
*2      EVAL return(redis.call('hgetall',KEYS[1])) 1 @one
,3.5    EVAL return{double=3.5} 1 @s
,inf    EVAL return{double=1/0} 1 @s
,       EVAL return{double=0/0} 1 @s
%1      EVAL return{map={k={double=1}}} 1 @s
~1      EVAL return{set={k=true}} 1 @s
(1234   EVAL return{big_number='123456789012345678901234567890'} 1 @s
=8      EVAL return{verbatim_string={format='txt',string='text'}} 1 @s
#t      EVAL redis.setresp(3)return(true) 1 @s
#f      EVAL redis.setresp(3)return(false) 1 @s
*4      EVAL redis.setresp(3)return{{map={a={set={b=true}}}},{double=-0.5},true,'x'} 1 @s
-ERR    EVAL return{err='ERR'..KEYS[1]} 1 @s
:1      PFADD @p a
_       MEMORY USAGE @nothing
*1      COMMAND GETKEYS GET @s
]]

-- Keys on several hosts at once: "@1" to "@9" lie anywhere.
local SPREAD = [[
+OK     MSET @1 a @2 b @3 c @4 d @5 e
*7      MGET @1 @9 @2 @3 @1 @4 @5
*2      MGET @8 @9
:5      EXISTS @1 @2 @3 @4 @5 @9
:5      TOUCH @1 @2 @3 @4 @5
:3      DEL @1 @2 @3 @9
:2      UNLINK @4 @5 @8
:0      DBSIZE
*0      KEYS *
_       RANDOMKEY
+OK     SET @1 x
$       RANDOMKEY
*1      KEYS *
*2      SCRIPT EXISTS aa bb
+OK     FLUSHALL
]]

-- What Nydus answers itself as Redis does, with nothing of its own in it.
local OWN = [[
+PONG   PING
$2      PING hi
$2      ECHO hi
%3      CLIENT TRACKINGINFO
_       CLIENT GETNAME
%1      CONFIG GET save
%0      CONFIG GET nosuch
*3      ROLE
*1      COMMAND INFO nosuch
*0      COMMAND LIST FILTERBY MODULE none
=4      INFO nosuch
=4      CLIENT LIST ID 99999999
-ERR    HELLO x
-NOPRO  HELLO 4
-ERR    HELLO 3 NONSENSE
-ERR    HELLO 3 SETNAME
-ERR    HELLO 3 AUTH x
-WRONG  HELLO 3 AUTH nobody x
-ERR    NOSUCH a b
-ERR    GET
]]

-- The bytes of each reply to a pipeline of a new client.
local function raw_pipeline(server, commands)
  local client, replies = server:client(), {}
  for _, words in ipairs(commands) do client:command(unpack(words)) end
  for i = 1, #commands do replies[i] = select(2, client:read()) end
  return replies
end

local function resp3(server)
  local client = server:client()
  assert.is_table(client:call("HELLO", "3").map)
  return client
end

describe("resp3", function()
  local plain, hosts

  setup(function()
    plain, hosts = support.redis(), { support.redis(), support.redis(), support.redis() }
  end)

  before_each(function()
    plain:call("FLUSHALL")
    for _, host in ipairs(hosts) do host:call("FLUSHALL") end
  end)

  local function server(count, more)
    local config = { router = { "ketama", hash_tag = "{}" }, hosts = { unpack(hosts, 1, count) } }
    for key, value in pairs(more or {}) do config[key] = value end
    return support.nydus({ config = config })
  end

  local function same(client, direct, list)
    for _, row in ipairs(list) do
      local expected = rows.raw(direct, row.words)
      assert.equal(row.begins, expected:sub(1, #row.begins), row.line .. " at Redis: " .. expected)
      assert.equal(expected, rows.raw(client, row.words), row.line)
    end
  end

  for _, count in ipairs({ 1, 3 }) do
    describe(("over %d hosts"):format(count), function()
      it("is what one Redis says, byte for byte", function()
        local client, direct = resp3(server(count)), resp3(plain)
        for _, tag in ipairs({ "{a}", "{b}", "{c}", "{d}" }) do
          for _, one in ipairs({ client, direct }) do one:call("HSET", tag .. "one", "f", "v") end
          same(client, direct, rows.parse(TABLE, tag))
        end
      end)

      it("joins the replies of several hosts as one Redis would", function()
        same(resp3(server(count)), resp3(plain), rows.parse(SPREAD, "k"))
      end)
    end)
  end

  it("is what Redis says, where Nydus answers itself", function()
    same(resp3(server(3)), resp3(plain), rows.parse(OWN, ""))
    local client, direct = resp3(server(1)), resp3(plain)
    for _, words in ipairs({ { "CLIENT", "INFO" }, { "CLIENT", "LIST" }, { "INFO" }, { "COMMAND", "INFO", "mget" } }) do
      assert.equal(rows.raw(direct, words):sub(1, 1), rows.raw(client, words):sub(1, 1), words[2])
    end
    assert.matches(" resp=3 ", client:call("CLIENT", "INFO").verbatim)
    local ours, theirs = client:call("COMMAND", "INFO", "config")[1], direct:call("COMMAND", "INFO", "config")[1]
    for i = 1, 9 do assert.equal(type(theirs[i]), type(ours[i])) end
    assert.same(theirs[9], ours[9])
    assert.same(theirs[10][1][10], ours[10][1][10])
    assert.is_table(client:call("COMMAND", "INFO", "mget")[1][9].set[1].map)
  end)

  describe("HELLO", function()
    it("says who answers, and in which version", function()
      local client = server(1):client()
      local id = client:call("CLIENT", "ID")
      local facts = { "server", "redis", "version", "7.0.15", "proto", 3, "id", id, "mode", "standalone",
                      "role", "master", "modules", {} }
      assert.same({ map = facts }, client:call("HELLO", "3"))
      assert.same({ map = facts }, client:call("HELLO"))
      facts[6] = 2
      assert.same(facts, client:call("HELLO", "2"))
      assert.same(facts, client:call("HELLO"))
    end)

    it("changes nothing when an option is wrong", function()
      local client = server(1):client()
      client:call("CLIENT", "SETNAME", "before")
      for _, words in ipairs({
        { "SETNAME", "after", "AUTH", "nobody", "x" }, { "AUTH", "default", "x", "SETNAME", "a b" },
        { "SETNAME", "after", "NONSENSE" }, { "SETNAME", "a b", "SETNAME", "after" }, { "SETNAME" },
      }) do
        assert.is_string(client:call("HELLO", "3", unpack(words)).err)
        assert.matches(" name=before .* resp=2 ", client:call("CLIENT", "INFO"))
      end
      assert.is_table(client:call("hello", "3", "setname", "x", "auth", "default", "y", "Setname", "after").map)
      assert.equal("after", client:call("CLIENT", "GETNAME"))
      assert.is_table(client:call("HELLO", "3", "SETNAME", "").map)
      assert.equal(support.null, client:call("CLIENT", "GETNAME"))
    end)

    it("applies to what comes behind it in a pipeline", function()
      for _, count in ipairs({ 1, 3 }) do
        local pipeline = {
          { "HMSET", "h", "f", "v" }, { "HGETALL", "h" }, { "GET", "no" }, { "HELLO", "3" }, { "HGETALL", "h" },
          { "GET", "no" }, { "MGET", "no", "a", "b" }, { "HELLO", "2" }, { "HGETALL", "h" }, { "GET", "no" },
          { "HELLO", "3" }, { "RESET" }, { "HGETALL", "h" }, { "HELLO", "3", "FOO" }, { "GET", "no" },
        }
        local expected, replies = raw_pipeline(plain, pipeline), raw_pipeline(server(count), pipeline)
        for _, i in ipairs({ 4, 8, 11 }) do expected[i], replies[i] = nil, nil end -- the ids differ
        assert.same(expected, replies)
        plain:call("FLUSHALL")
      end
    end)

    it("keeps the order of what came before and behind it", function()
      local nydus = server(3)
      local client = nydus:client()
      local pipeline, expected = {}, {}
      for i = 1, 200 do
        pipeline[#pipeline + 1] = { "SET", "k" .. i % 7, i }
        pipeline[#pipeline + 1] = { "HELLO", 2 + i % 2 }
        pipeline[#pipeline + 1] = { "GET", "k" .. i % 7 }
        expected[i] = tostring(i)
      end
      local replies, got = client:pipeline(pipeline), {}
      for i = 1, 200 do got[i] = replies[3 * i] end
      assert.same(expected, got)
    end)

    it("has to wait while something is watched", function()
      local client = server(1):client()
      client:call("WATCH", "k")
      assert.matches("^ERR HELLO has to wait until nothing is watched", client:call("HELLO", "3").err)
      assert.equal(2, client:call("HELLO", "2")[6])
      client:call("UNWATCH")
      assert.is_table(client:call("HELLO", "3").map)
    end)
  end)

  it("is the business of one client alone", function()
    local nydus = server(3)
    local old, new = nydus:client(), resp3(nydus)
    old:call("HSET", "h", "f", "v")
    for _ = 1, 20 do
      local commands = { { "HGETALL", "h" }, { "GET", "none" }, { "MGET", "h", "none", "x", "y" }, { "DBSIZE" } }
      for _, words in ipairs(commands) do
        old:command(unpack(words))
        new:command(unpack(words))
      end
      assert.same({ "f", "v" }, old:read())
      assert.same({ map = { "f", "v" } }, new:read())
      for _, bytes in ipairs({ "$-1\r\n", "*4\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n", ":1\r\n" }) do
        assert.equal(bytes, (select(2, old:read())))
        assert.equal((bytes:gsub("%$%-1", "_")), (select(2, new:read())))
      end
    end
  end)

  it("ends with RESET", function()
    local client = resp3(server(1))
    client:pipeline({ { "SELECT", "3" }, { "CLIENT", "SETNAME", "x" }, { "MULTI" } })
    assert.equal("RESET", client:call("RESET"))
    assert.matches(" name= .* db=0 .* resp=2 ", client:call("CLIENT", "INFO"))
    assert.equal("$-1\r\n", rows.raw(client, { "GET", "none" }))
    assert.same({ "OK", { map = { "f", "v" } }, "RESET", {} }, (function()
      client:call("HELLO", "3")
      client:pipeline({ { "SELECT", "2" }, { "HSET", "h", "f", "v" } })
      return client:pipeline({ { "SELECT", "2" }, { "HGETALL", "h" }, { "RESET" }, { "HGETALL", "h" } })
    end)())
  end)

  it("goes through databases", function()
    local client = resp3(server(3))
    assert.same({ "OK", 1, { map = { "f", "3" } }, "OK", { map = {} }, "OK", { map = { "f", "3" } } }, client:pipeline({
      { "SELECT", "3" }, { "HSET", "h", "f", "3" }, { "HGETALL", "h" }, { "SELECT", "0" }, { "HGETALL", "h" },
      { "SELECT", "3" }, { "HGETALL", "h" },
    }))
    assert.same({ err = "ERR DB index is out of range" }, client:call("SELECT", "99"))
    assert.equal("OK", client:call("SELECT", "0"))
  end)

  it("watches, runs and aborts transactions", function()
    local nydus = server(3)
    local client, other = resp3(nydus), nydus:client()
    client:call("HSET", "h", "f", "v")
    client:call("WATCH", "h")
    assert.same({ "OK", "QUEUED", "QUEUED", { { map = { "f", "v" } }, support.null } },
      client:pipeline({ { "MULTI" }, { "HGETALL", "h" }, { "HGET", "h", "no" }, { "EXEC" } }))
    client:call("WATCH", "h")
    other:call("HSET", "h", "f", "w")
    client:pipeline({ { "MULTI" }, { "HGETALL", "h" } })
    assert.equal("_\r\n", rows.raw(client, { "EXEC" }))
    client:call("WATCH", "h")
    client:call("MULTI")
    assert.equal("*0\r\n", rows.raw(client, { "EXEC" }))
    client:pipeline({ { "MULTI" }, { "NOSUCH" } })
    assert.matches("^EXECABORT", client:call("EXEC").err)
    assert.matches("^ERR 'hello' is not allowed inside a transaction", client:pipeline({ { "MULTI" }, { "HELLO", "2" } })[2].err)
  end)

  it("blocks", function()
    local nydus = server(3)
    local client, other = resp3(nydus), nydus:client()
    assert.equal("_\r\n", rows.raw(client, { "BLPOP", "l", "0.05" }))
    assert.equal("_\r\n", rows.raw(client, { "XREAD", "BLOCK", "30", "STREAMS", "x", "$" }))
    client:command("BZPOPMIN", "z", "5")
    support.wait_until(function() return other:call("INFO", "clients"):find("blocked_clients:1", 1, true) end, 5, "it to block")
    other:call("ZADD", "z", "1.5", "m")
    assert.same({ "z", "m", { double = "1.5" } }, client:read())
    local id = client:call("CLIENT", "ID")
    client:command("BLPOP", "l", "5")
    support.wait_until(function() return other:call("CLIENT", "UNBLOCK", id) == 1 end, 5, "it to block")
    assert.equal("_\r\n", (select(2, client:read())))
    assert.equal("PONG", client:call("PING"))
  end)

  it("scans all hosts", function()
    local client = resp3(server(3))
    local wanted, found, cursor = {}, {}, "0"
    for i = 1, 50 do
      client:call("SET", "key" .. i, i)
      wanted["key" .. i] = true
    end
    repeat
      local reply = client:call("SCAN", cursor, "COUNT", "7")
      cursor = reply[1]
      for _, key in ipairs(reply[2]) do found[key] = true end
    until cursor == "0"
    assert.same(wanted, found)
  end)

  it("heals scripts that a host has lost", function()
    local client = resp3(server(3))
    local sha = client:call("SCRIPT", "LOAD", "return {double=0.5}")
    for _, host in ipairs(hosts) do host:call("SCRIPT", "FLUSH") end
    assert.same({ double = "0.5" }, client:call("EVALSHA", sha, "1", "k"))
  end)

  it("outlives a reload", function()
    local nydus = support.nydus({ config = { hosts = { hosts[1] } } })
    local client = resp3(nydus)
    nydus:write("config.lua", { hosts = { hosts[2] } })
    nydus:hup()
    nydus:wait_log("reloaded in")
    client:call("HSET", "h", "f", "v")
    assert.same({ map = { "f", "v" } }, client:call("HGETALL", "h"))
    assert.same({ "f", "v" }, hosts[2]:call("HGETALL", "h"))
  end)

  it("has what router scripts answer, with nulls of its own", function()
    local nydus = support.nydus({
      config = { router = "own.lua", hosts = hosts },
      files = { ["own.lua"] = [[
        local nydus = require("nydus")
        return nydus.prefix{ null = nydus.reply(nydus.null), list = nydus.reply{ "a", nydus.null, { 1, false } } }
      ]] },
    })
    local old, new = nydus:client(), resp3(nydus)
    assert.equal("$-1\r\n", rows.raw(old, { "GET", "null" }))
    assert.equal("_\r\n", rows.raw(new, { "GET", "null" }))
    assert.equal("*3\r\n$1\r\na\r\n$-1\r\n*2\r\n:1\r\n$-1\r\n", rows.raw(old, { "GET", "list" }))
    assert.equal("*3\r\n$1\r\na\r\n_\r\n*2\r\n:1\r\n_\r\n", rows.raw(new, { "GET", "list" }))
  end)

  it("gives each reply as it came, when every host is asked", function()
    local client = resp3(support.nydus({ config = { router = "all", hosts = hosts } }))
    assert.same({ 1, 1, 1 }, client:call("HSET", "h", "f", "v"))
    local one = { map = { "f", "v" } }
    assert.same({ one, one, one }, client:call("HGETALL", "h"))
    assert.equal("*3\r\n_\r\n_\r\n_\r\n", rows.raw(client, { "GET", "none" }))
  end)
end)
