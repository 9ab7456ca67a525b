-- Commands whose keys live on several hosts: taken apart, and put together again.

local support = require("support")

local null, encode = support.null, support.encode

local function bulk(text)
  return ("$%d\r\n%s\r\n"):format(#text, text)
end

-- Keys that begin with a, b or c go to hosts[1], [2] or [3].
local BY_LETTER = [[
local cluster = ...
return require("nydus").prefix{ a = cluster.hosts[1], b = cluster.hosts[2], c = cluster.hosts[3] }
]]

local function by_letter(hosts, more)
  local config = { router = "by_letter.lua", hosts = hosts }
  for key, value in pairs(more or {}) do config[key] = value end
  return support.nydus({ config = config, files = { ["by_letter.lua"] = BY_LETTER } })
end

local function databases(redis, count)
  local hosts = {}
  for i = 1, count do hosts[i] = redis:address({ db = i - 1 }) end
  return hosts
end

describe("split", function()
  describe("MGET", function()
    it("keeps its places when the parts finish in reverse order, with null, empty and WRONGTYPE", function()
      local a, b, c = support.fake(), support.fake(), support.fake()
      for _, host in ipairs({ a, b, c }) do host.auto.PING = "+PONG\r\n" end
      local client = by_letter({ a, b, c }):client()
      client:command("MGET", "c1", "a1", "b1", "a2", "c2", "b2", "a1")
      c:expect("MGET c1 c2")
      b:expect("MGET b1 b2")
      a:expect("MGET a1 a2 a1")
      c:answer("*2\r\n" .. bulk("C1") .. "$-1\r\n")
      b:answer("*2\r\n$0\r\n\r\n" .. bulk("B\r\n2"))
      a:answer("*3\r\n$-1\r\n$-1\r\n" .. bulk("A"))
      assert.same({ "C1", null, "", null, null, "B\r\n2", "A" }, (client:read()))
    end)

    it("gives null for a key of another type, as Redis does", function()
      local redis = support.redis()
      local client = by_letter(databases(redis, 3)):client()
      client:call("LPUSH", "a1", "x")
      client:call("SET", "b1", "1")
      assert.same({ "1", null, null }, client:call("MGET", "b1", "a1", "c1"))
    end)

    it("leaves the replies behind a big part whole", function()
      local a, b = support.fake({ auto = { PING = "+PONG\r\n" } }), support.fake({ auto = { PING = "+PONG\r\n" } })
      local c = support.redis()
      local client = by_letter({ a, b, c }):client()
      local big = ("x"):rep(40000)
      client:send(encode({ "MGET", "a1", "b1" }) .. encode({ "GET", "a2" }) .. encode({ "GET", "a3" }))
      b:expect("MGET b1")
      b:answer("*1\r\n" .. bulk("b"))
      a:expect("MGET a1")
      a:expect("GET a2")
      a:expect("GET a3")
      local replies = "*1\r\n" .. bulk(big) .. bulk("second") .. bulk("third")
      a:answer(replies:sub(1, 35000))
      a:expect_silence(0.02) -- so that the rest comes with another read
      a:answer(replies:sub(35001))
      assert.same({ { big, "b" }, "second", "third" }, { client:read(), client:read(), (client:read()) })
    end)

    it("gives every value its place, whatever the sizes of keys and values and however many are missing", function()
      local redis = support.redis()
      local client = support.nydus({ config = { router = "ketama", hosts = databases(redis, 3) } }):client()
      local sizes = { 0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 32, 33, 59, 60, 63, 64, 65, 100, 1000, 9000 }
      for round = 1, 40 do
        local ask, set, values = { "MGET" }, { "MSET" }, {}
        for i = 1, math.random(2, 120) do
          local key = ("%d:%s:%d"):format(round, ("k"):rep(round % 2 == 0 and 9 or math.random(0, 70)), i)
          local value = ("v"):rep(round % 3 == 0 and 32 or sizes[math.random(#sizes)])
          local missing = math.random(4) == 1
          ask[i + 1], values[i] = key, missing and null or value
          if not missing then set[#set + 1], set[#set + 2] = key, value end
        end
        if #set > 1 then assert.equal("OK", client:call(unpack(set))) end
        assert.same(values, client:call(unpack(ask)))
      end
    end)

    it("is answered in its turn, or not at all when its client wants no reply", function()
      local a, b = support.fake({ auto = { PING = "+PONG\r\n" } }), support.fake({ auto = { PING = "+PONG\r\n" } })
      local client = by_letter({ a, b, support.redis() }):client()
      local function ask(...) client:send(encode({ ... })) end
      ask("GET", "a1")
      ask("MGET", "a2", "b2")
      ask("CLIENT", "REPLY", "SKIP")
      ask("MGET", "a3", "b3")
      ask("MGET", "a4", "b4")
      b:expect("MGET b2")
      b:expect("MGET b3")
      b:expect("MGET b4")
      b:answer(("*1\r\n" .. bulk("b")):rep(3))
      a:expect("GET a1")
      a:expect("MGET a2")
      a:expect("MGET a3")
      a:expect("MGET a4")
      a:answer(bulk("a1") .. ("*1\r\n" .. bulk("a")):rep(3))
      assert.equal("a1", (client:read()))
      assert.same({ "a", "b" }, (client:read()))
      assert.same({ "a", "b" }, (client:read()))
      assert.equal("PONG", client:call("PING"))
    end)

    it("is an error when a host is away, and the connection stays usable", function()
      local gone = { host = "127.0.0.1", port = support.free_port() }
      local redis = support.redis()
      local client = by_letter({ redis, gone, redis:address({ db = 1 }) }):client()
      client:call("MSET", "a1", "1", "c1", "2")
      assert.matches("^ERR host .* is down: .*%('mget' was done for 2 of 3 keys%)$",
        client:call("MGET", "a1", "b1", "c1").err)
      assert.same({ "1", "2" }, client:call("MGET", "a1", "c1"))
    end)
  end)

  describe("a key named twice", function()
    local redis, client

    setup(function()
      redis = support.redis()
    end)

    before_each(function()
      redis:call("FLUSHALL")
      client = by_letter(databases(redis, 3)):client()
    end)

    it("is got twice", function()
      client:call("MSET", "a1", "1", "b1", "2")
      assert.same({ "1", "2", "1", "2", "1" }, client:call("MGET", "a1", "b1", "a1", "b1", "a1"))
    end)

    it("is set in order: the last value stays", function()
      assert.equal("OK", client:call("MSET", "a1", "1", "b1", "x", "a1", "2", "c1", "y", "a1", "3"))
      assert.same({ "3", "x", "y" }, client:call("MGET", "a1", "b1", "c1"))
    end)

    it("is counted as Redis counts: EXISTS and TOUCH twice, DEL and UNLINK once", function()
      client:call("MSET", "a1", "1", "b1", "2")
      assert.equal(3, client:call("EXISTS", "a1", "b1", "a1", "c1"))
      assert.equal(3, client:call("TOUCH", "a1", "b1", "a1", "c1"))
      assert.equal(2, client:call("DEL", "a1", "b1", "a1", "c1"))
      client:call("MSET", "a1", "1", "b1", "2")
      assert.equal(2, client:call("UNLINK", "b1", "a1", "b1"))
    end)
  end)

  describe("ten thousand keys", function()
    local redis

    setup(function()
      redis = { support.redis(), support.redis(), support.redis(), support.redis() }
    end)

    -- Up to 16 databases of each Redis.
    local function databases_of_all(count)
      local hosts = {}
      for i = 0, count - 1 do hosts[i + 1] = redis[i % 4 + 1]:address({ db = math.floor(i / 4) }) end
      return hosts
    end

    local function commands(count)
      local set, get, del, values = { "MSET" }, { "MGET" }, { "DEL" }, {}
      for i = 1, count do
        local key = ("key:%d:%d"):format(i * 7919 % count, i)
        values[i] = i % 10 == 0 and "" or ("value %d"):format(i)
        set[2 * i], set[2 * i + 1], get[i + 1], del[i + 1] = key, values[i], key, key
      end
      return { set, get, del }, values
    end

    -- Sets, gets and deletes them; returns the seconds this took.
    local function run(client, count)
      local all, values = commands(count)
      local bytes = {}
      for i, words in ipairs(all) do bytes[i] = encode(words) end
      local begin = support.now()
      for i, expected in ipairs({ "OK", values, count }) do
        client:send(bytes[i], true)
        assert.same(expected, (client:read()))
      end
      return support.now() - begin
    end

    for _, hosts in ipairs({ 1, 3, 20, 64 }) do
      it(("go over %d hosts and come back in their places"):format(hosts), function()
        local nydus = support.nydus({ config = { router = "ketama", hosts = databases_of_all(hosts) } })
        local client = nydus:client()
        run(client, 10000)
        local keys = {}
        for i = 1, hosts do keys[i] = "x" .. i end
        assert.equal(0, client:call("EXISTS", unpack(keys)))
        assert.equal(0, client:call("DBSIZE"))
      end)
    end

    for _, hosts in ipairs({ 3, 64 }) do
      it(("take time in proportion to their number, over %d hosts"):format(hosts), function()
        local nydus = support.nydus({ config = { router = "ketama", hosts = databases_of_all(hosts) } })
        local client = nydus:client()
        local worker = support.wait_until(function() return nydus:workers()[1] end, 5, "a worker")
        local function cpu(count)
          local before = support.cpu(worker)
          run(client, count)
          return support.cpu(worker) - before
        end
        cpu(1000)
        local few, many = cpu(10000), cpu(80000)
        assert.is_true(many < 8 * 4 * (few + 0.02), ("%.2f s for 10,000 keys, %.2f s for 80,000"):format(few, many))
      end)
    end
  end)

  describe("a part that fails", function()
    it("fails the command, and the error says how many keys were done", function()
      local a, b = support.fake({ auto = { PING = "+PONG\r\n" } }), support.fake({ auto = { PING = "+PONG\r\n" } })
      local client = by_letter({ a, b, support.redis() }):client()
      for _, words in ipairs({ "MSET a1 1 b1 2 a2 3", "DEL a1 b1 a2", "EXISTS a1 b1 a2", "MGET a1 b1 a2" }) do
        local list = {}
        for word in words:gmatch("%S+") do list[#list + 1] = word end
        client:command(unpack(list))
        a:request()
        b:request()
        b:answer("-OOM command not allowed\r\n")
        a:answer(list[1] == "MSET" and "+OK\r\n" or list[1] == "MGET" and "*2\r\n$-1\r\n$-1\r\n" or ":2\r\n")
        assert.same({ err = ("OOM command not allowed ('%s' was done for 2 of 3 keys)"):format(list[1]:lower()) },
          (client:read()), words)
      end
    end)
  end)

  describe("a host that is lost in the middle", function()
    local PONG = { auto = { PING = "+PONG\r\n" } }

    for _, words in ipairs({
      { "MSET", "a1", "1", "b1", "2", "c1", "3", "c2", "4" }, { "DEL", "a1", "b1", "c1", "c2" },
    }) do
      it("makes one error of " .. words[1] .. " that counts what was done, and nothing is sent twice", function()
        local a, b, c = support.fake(PONG), support.fake(PONG), support.fake(PONG)
        local client = by_letter({ a, b, c }):client()
        client:command(unpack(words))
        c:request()
        c:answer(words[1] == "MSET" and "+OK\r\n" or ":2\r\n") -- one part is done, one is lost, one is under way
        b:request()
        b:reset_link()
        a:request()
        client:command("GET", "a2")
        a:expect("GET a2")
        a:answer((words[1] == "MSET" and "+OK\r\n" or ":1\r\n") .. "$1\r\nv\r\n")
        assert.matches(("^ERR host .* is down: .*; the command may have run %%('%s' was done for 3 of 4 keys%%)$")
          :format(words[1]:lower()), client:read().err)
        assert.equal("v", (client:read()))
        for _, host in ipairs({ a, b, c }) do host:expect_silence(0.01) end
      end)
    end
  end)

  describe("commands that may not be split", function()
    it("go whole to the one host of all their keys, else they are refused", function()
      local redis = support.redis()
      local client = by_letter(databases(redis, 3)):client()
      client:call("SADD", "a1", "x")
      client:call("SADD", "a2", "y")
      assert.equal(2, client:call("SUNIONSTORE", "a3", "a1", "a2"))
      assert.equal("OK", client:call("RENAME", "a1", "a4"))
      for _, words in ipairs({
        { "SUNION", "a2", "b1" }, { "RENAME", "a2", "b1" }, { "MSETNX", "a5", "1", "b5", "2" },
        { "PFMERGE", "a6", "b6" }, { "BITOP", "AND", "a7", "b7", "c7" }, { "LMOVE", "a8", "b8", "LEFT", "LEFT" },
        { "SINTERSTORE", "a3", "b1", "a2" }, { "EVAL", "return 1", "2", "a1", "b1" }, { "COPY", "a2", "c2" },
        { "ZUNIONSTORE", "a9", "2", "a9", "b9" }, { "SORT", "a2", "ALPHA", "STORE", "b1" },
      }) do
        assert.same({ err = "CROSSSLOT Keys in request don't hash to the same host" }, client:call(unpack(words)),
          words[1])
      end
      assert.equal(null, client:call("GET", "b1"))
      assert.equal(2, #client:call("SUNION", "a4", "a2"))
    end)

    it("go whole to the one host, when all keys are there: MGET too", function()
      local a = support.fake({ auto = { PING = "+PONG\r\n" } })
      local other = support.redis()
      local client = by_letter({ a, other, other:address({ db = 1 }) }):client()
      client:command("mget", "a1", "a2", "a3")
      a:expect("mget a1 a2 a3")
      a:answer("*-1\r\n")
      assert.equal(null, (client:read()))
    end)
  end)

  describe("MSET", function()
    it("with a value missing is refused in Redis's words, and nothing is set", function()
      local redis = support.redis()
      local client = by_letter(databases(redis, 3)):client()
      for _, words in ipairs({ { "MSET", "a1", "1", "b1" }, { "MSETNX", "a1", "1", "b1" }, { "MSET", "a1" } }) do
        assert.same(redis:call(unpack(words)), client:call(unpack(words)))
      end
      assert.equal(0, client:call("EXISTS", "a1", "b1"))
    end)
  end)
end)
