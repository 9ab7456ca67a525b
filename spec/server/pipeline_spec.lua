-- Long pipelines, huge values, slow readers; and the long random one that must
-- be answered byte for byte as by a single redis-server.

local support = require("support")

local null, encode = support.null, support.encode

-- Random commands over few keys, so that types meet and clash. Replies of
-- these do not depend on which keys live together.
local function word(list)
  return list[math.random(#list)]
end

local function key()
  return "key:" .. math.random(60)
end

local function number()
  return math.random(-20, 20)
end

local kinds = {
  function() return { "SET", key(), word({ "", "1", "x", ("long "):rep(30), "a\r\nb\0" }) } end,
  function() return { "SET", key(), number(), "NX" } end,
  function() return { "SET", key(), number(), "XX", "GET" } end,
  function() return { "GET", key() } end,
  function() return { "GETSET", key(), number() } end,
  function() return { "GETDEL", key() } end,
  function() return { "SETNX", key(), number() } end,
  function() return { "APPEND", key(), "tail" } end,
  function() return { "STRLEN", key() } end,
  function() return { "INCR", key() } end,
  function() return { "INCRBY", key(), number() } end,
  function() return { "INCRBYFLOAT", key(), "0.5" } end,
  function() return { "SETRANGE", key(), math.random(0, 9), "zz" } end,
  function() return { "GETRANGE", key(), number(), number() } end,
  function() return { "SETBIT", key(), math.random(0, 99), "1" } end,
  function() return { "BITCOUNT", key() } end,
  function() return { "MGET", key(), key(), key(), key() } end,
  function() return { "MSET", key(), number(), key(), number(), key(), number() } end,
  function() return { "DEL", key(), key(), key() } end,
  function() return { "UNLINK", key(), key() } end,
  function() return { "EXISTS", key(), key(), key(), key() } end,
  function() return { "TOUCH", key(), key() } end,
  function() return { "TYPE", key() } end,
  function() return { "EXPIRE", key(), "1000" } end,
  function() return { "PERSIST", key() } end,
  function() return { "LPUSH", key(), number(), number() } end,
  function() return { "RPUSH", key(), number() } end,
  function() return { "LPOP", key(), "2" } end,
  function() return { "RPOP", key() } end,
  function() return { "LRANGE", key(), number(), number() } end,
  function() return { "SADD", key(), number(), number() } end,
  function() return { "SREM", key(), number() } end,
  function() return { "SISMEMBER", key(), number() } end,
  function() return { "SMEMBERS", key() } end,
  function() return { "HSET", key(), word({ "a", "b" }), number() } end,
  function() return { "HGETALL", key() } end,
  function() return { "HINCRBY", key(), "a", number() } end,
  function() return { "ZADD", key(), number(), word({ "a", "b", "c" }) } end,
  function() return { "ZRANGE", key(), "0", "-1", "WITHSCORES" } end,
  function() return { "ZINCRBY", key(), "1.5", "a" } end,
  function() return { "XADD", key(), math.random(1, 999) .. "-1", "f", "v" } end,
  function() return { "XRANGE", key(), "-", "+", "COUNT", "3" } end,
  function() return { "PFADD", key(), number() } end,
  function() return { "EVAL", "return {redis.call('TYPE', KEYS[1]), ARGV[1]}", "1", key(), number() } end,
  function() return { "OBJECT", "ENCODING", key() } end,
  function() return { "DUMP", key() } end,
  function() return { "SORT", key(), "ALPHA" } end,
  function() return { "COPY", key() } end,
  function() return { "ECHO", ("e"):rep(math.random(0, 200)) } end,
  function() return { word({ "NOSUCH", "GET", "MSET", "HSET" }), key() } end,
  function() return { "PING" } end,
  function() return { "SELECT", "0" } end,
}

local function random_pipeline(count)
  local bytes = {}
  for i = 1, count do bytes[i] = encode(word(kinds)()) end
  return table.concat(bytes)
end

describe("pipeline", function()
  local redis

  setup(function()
    redis = support.redis({ databases = 32 })
  end)

  before_each(function()
    redis:call("FLUSHALL")
  end)

  local function server(hosts, more)
    local config = { router = "ketama", hosts = {} }
    for i = 1, hosts do config.hosts[i] = redis:address({ db = i }) end
    for name, value in pairs(more or {}) do config[name] = value end
    return support.nydus({ config = config })
  end

  for _, router in ipairs({ "ketama", "modulus", "slots" }) do
    it(("of 20,000 random commands is answered as by one Redis: %s"):format(router), function()
      local nydus = server(3, { router = router })
      math.randomseed(#router)
      local bytes = random_pipeline(20000)
      local replies = {}
      for i, client in ipairs({ redis:client(), nydus:client() }) do
        client.timeout = 20
        client:send(bytes, true)
        client:shutdown_write()
        replies[i] = client:read_to_end()
      end
      if replies[1] ~= replies[2] then
        local at = 1
        while replies[1]:byte(at) == replies[2]:byte(at) do at = at + 1 end
        local from = math.max(1, at - 200)
        error(("they differ at byte %d of %d:\nRedis %q\nNydus %q"):format(at, #replies[1],
          replies[1]:sub(from, at + 100), replies[2]:sub(from, at + 100)))
      end
    end)
  end

  it("is answered the same, however its bytes are cut", function()
    local client = server(3):client()
    math.randomseed(7)
    local bytes = random_pipeline(2000)
    local plain = redis:client()
    plain:send(bytes, true)
    plain:shutdown_write()
    local expected, at = plain:read_to_end(), 1
    while at <= #bytes do
      local size = math.random(1, 3000)
      client:send(bytes:sub(at, at + size - 1), true)
      if size % 5 == 0 then client:pending() end
      at = at + size
    end
    client:shutdown_write()
    assert.is_true(expected == client:read_to_end())
  end)

  it("may be 100,000 commands deep", function()
    local client = server(3):client()
    local count = 100000
    client:send(encode({ "INCR", "n" }):rep(count), true)
    for i = 1, count do
      if client:read() ~= i then error("reply " .. i) end
    end
  end)

  it("may be written whole before anything is read, with replies larger than it", function()
    local client = server(3):client({ receive_buffer = 8192 })
    client:call("SET", "big", ("x"):rep(100000))
    local count = 300
    client:send(encode({ "GET", "big" }):rep(count)) -- reads nothing meanwhile
    for _ = 1, count do assert.equal(100000, #client:read()) end
  end)

  it("carries 100 MB in and out", function()
    local nydus = server(1, { max_reply_buffer = "300mb" })
    local client = nydus:client({ timeout = 20 })
    local value = ("0123456789abcdef"):rep(100 * 1024 * 1024 / 16)
    client:send(encode({ "SET", "huge", value }), true)
    assert.equal("OK", (client:read()))
    client:send(encode({ "STRLEN", "huge" }) .. encode({ "GET", "huge" }) .. encode({ "PING" }), true)
    assert.equal(#value, (client:read()))
    assert.is_true(client:read() == value)
    assert.equal("PONG", (client:read()))
    redis:call("FLUSHALL")
  end)

  it("carries values without bytes, and the largest and smallest integers", function()
    local client = server(3):client()
    assert.same({ "OK", "", 0, "OK", "9223372036854775807", null }, client:pipeline({
      { "SET", "empty", "" }, { "GET", "empty" }, { "STRLEN", "empty" }, { "SET", "max", "9223372036854775806" },
      { "INCR", "max" }, { "GET", "none" },
    }))
    assert.equal("ERR increment or decrement would overflow", client:call("INCR", "max").err)
    client:call("SET", "min", "-9223372036854775807")
    client:command("DECR", "min")
    local _, raw = client:read()
    assert.equal(":-9223372036854775808\r\n", raw)
  end)

  it("sends a key of any size to one and the same host", function()
    local client = server(3):client()
    for _, edge in ipairs({ 16 * 1024, 64 * 1024, 128 * 1024 }) do
      for by = -25, 5, 3 do
        local long, longer = ("l"):rep(edge + by), ("m"):rep(edge - by)
        client:send(encode({ "SET", long, "1" }) .. encode({ "MSET", longer, "2", "s", "3" })
          .. encode({ "MGET", longer, "s", long }) .. encode({ "DEL", long, longer, "s" }), true)
        for _, expected in ipairs({ "OK", "OK", { "2", "3", "1" }, 3 }) do assert.same(expected, (client:read())) end
      end
    end
  end)

  -- Keys of a pipeline, or of an MGET, are hashed together, one by one they are not.
  it("goes to the hosts that its commands go to one by one", function()
    math.randomseed(11)
    local keys, sets, gets = {}, {}, {}
    for i = 1, 500 do
      local name = ("%d:%s:%d"):format(i, ("k"):rep(math.random(0, 70)), math.random(1e6))
      keys[i] = i % 5 == 0 and "{" .. i % 7 .. "}" .. name or i % 9 == 0 and ("p%d:%s"):format(i % 4, name) or name
      sets[i], gets[i] = encode({ "SET", keys[i], i }), encode({ "GET", keys[i] })
    end
    keys[1], sets[1], gets[1] = "", encode({ "SET", "", 1 }), encode({ "GET", "" })
    local hosts = {}
    for i = 1, 4 do hosts[i] = redis:address({ db = i, identifier = "h" .. i, weight = i }) end
    for name, router in pairs({
      ring = { "ketama", hash_tag = "{}" },
      twemproxy = { "modulus", hash = "md5", compat = "twemproxy" },
      ["a script's ring"] = [[
        local ring = nydus.ketama(cluster)
        return function() return ring end
      ]],
      ["rings below prefixes, rings and functions"] = [=[
        local h = cluster.hosts
        local small = nydus.ketama({ h[1], h[2] })
        local big = nydus.ketama(cluster, { to = { [h[3]] = small, [h[4]] = h[1] } })
        return nydus.prefix{ p1 = small, p2 = h[3], p3 = function() return big end, ["{"] = nydus.modulus(cluster),
          default = function() return big end }
      ]=],
    }) do
      redis:call("FLUSHALL")
      local script = type(router) == "string"
      local client = support.nydus({
        config = { workers = 1, router = script and "main.lua" or router, hosts = hosts },
        files = script and { ["main.lua"] = 'local cluster, nydus = ..., require("nydus")\n' .. router },
      }):client()
      client:send(table.concat(sets), true)
      for _ = 1, #keys do assert.equal("OK", (client:read())) end
      for i = 1, #keys do assert.equal(tostring(i), client:call("GET", keys[i]), name .. ": " .. keys[i]) end
      client:send(table.concat(gets), true)
      for i = 1, #keys do assert.equal(tostring(i), (client:read()), name .. ": " .. keys[i]) end
      local all = client:call("MGET", unpack(keys))
      for i = 1, #keys do assert.equal(tostring(i), all[i], name .. ": MGET of " .. keys[i]) end
    end
  end)

  it("does not hold up other clients, while one reads slowly", function()
    local nydus = server(1)
    local slow, quick = nydus:client({ receive_buffer = 4096 }), nydus:client()
    quick:call("SET", "big", ("x"):rep(8 * 1024 * 1024))
    for _ = 1, 4 do slow:command("GET", "big") end
    for i = 1, 200 do assert.equal(i, quick:call("INCR", "n")) end
    for _ = 1, 4 do assert.equal(8 * 1024 * 1024, #slow:read()) end
  end)
end)

describe("commands that would change a shared link", function()
  it("never reach a host", function()
    local redis = support.redis({ databases = 4 })
    local nydus = support.nydus({ config = { router = "ketama", hosts = { redis } } })
    local client, monitor = nydus:client(), redis:client()
    assert.equal("OK", client:call("SET", "before", "1"))
    assert.equal("OK", monitor:call("MONITOR"))
    for _, line in ipairs({
      "MULTI", "EXEC", "DISCARD", "UNWATCH", "UNSUBSCRIBE",
      "CLIENT REPLY OFF", "CLIENT REPLY SKIP", "CLIENT TRACKING ON", "CLIENT SETNAME me", "CLIENT KILL TYPE normal",
      "CLIENT PAUSE 1", "CLIENT NO-EVICT ON", "CLIENT UNPAUSE", "MONITOR", "SYNC", "PSYNC ? -1", "REPLCONF x y",
      "DEBUG SLEEP 1",
      "SHUTDOWN NOSAVE", "READONLY", "READWRITE", "ASKING", "SELECT 0", "AUTH x", "HELLO 3", "HELLO 2", "RESET",
      "FAILOVER", "REPLICAOF NO ONE", "SLAVEOF NO ONE", "CONFIG SET maxmemory 1", "ACL SETUSER x", "SAVE",
      "BGSAVE", "BGREWRITEAOF", "MODULE LIST", "SWAPDB 0 1", "MIGRATE h 1 k 0 1", "CLUSTER RESET", "QUIT",
    }) do
      client:send(line .. "\r\n")
      if line ~= "CLIENT REPLY OFF" and line ~= "CLIENT REPLY SKIP" then client:read() end
      if line:find("^CLIENT REPLY") then
        client:close()
        client = nydus:client()
      end
    end
    client = nydus:client()
    assert.equal("1", client:call("GET", "before"))
    assert.equal("OK", client:call("SET", "after", "1"))
    local seen = {}
    repeat
      local line = monitor:read()
      seen[#seen + 1] = line:match('%] (".*)$')
    until seen[#seen]:find('"after"', 1, true)
    for i, line in ipairs(seen) do
      local ours = line:find('^"GET" "before"') or line:find('^"SET" "after"') or line:find('^"PING"$')
        or line == '"HELLO" "3"' -- the greeting of a link for RESP3
      assert.is_truthy(ours, i .. ": " .. line)
    end
  end)
end)
