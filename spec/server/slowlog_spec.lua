-- SLOWLOG and NYDUS SLOWLOG: what was slow, on which host, and where the time went.

local support = require("support")

-- Time passes.
local function pass(seconds)
  local start = support.now()
  support.wait_until(function() return support.now() - start > seconds end, 5, "time to pass")
end

local function map_of(list)
  local map = {}
  for i = 1, #list, 2 do map[list[i]] = list[i + 1] end
  return map
end

local function detailed(client, ...)
  local entries = client:call("NYDUS", "SLOWLOG", ...)
  for i, entry in ipairs(entries) do entries[i] = map_of(entry) end
  return entries
end

describe("slowlog", function()
  local host, nydus, client

  before_each(function()
    host = support.fake({ auto = { PING = "+PONG\r\n" } })
    nydus = support.nydus({ config = { hosts = { host:address({ identifier = "snail" }) }, workers = 2 } })
    client = nydus:client()
    client:call("CLIENT", "SETNAME", "worker-7")
  end)

  -- The host thinks for so long (seconds), then answers what it was asked.
  local function slowly(words, seconds, by)
    by = by or client
    by:command(unpack(words))
    host:expect(words)
    pass(seconds)
    host:answer("+OK\r\n")
    assert.equal("OK", by:read())
  end

  it("has Redis's six fields, newest first, of all workers", function()
    local before = os.time()
    slowly({ "SET", "k", "v" }, 0.03)
    for i = 1, 6 do slowly({ "GET", "k" .. i }, 0.015, nydus:client()) end
    local entries = nydus:client():call("SLOWLOG", "GET", "-1")
    assert.equal(7, #entries)
    for i, entry in ipairs(entries) do assert.same({ 6, 7 - i }, { #entry, entry[1] }) end
    assert.same({ "GET", "k6" }, entries[1][4])
    local id, time, usec, words, address, name = unpack(entries[7])
    assert.equal(0, id)
    assert.is_true(time >= before and time <= os.time() + 1)
    assert.is_true(usec >= 30000 and usec < 5e6)
    assert.same({ "SET", "k", "v" }, words)
    assert.matches("^127%.0%.0%.1:%d+$", address)
    assert.equal("worker-7", name)
    assert.equal(7, client:call("SLOWLOG", "LEN"))
    assert.equal(2, #client:call("SLOWLOG", "GET", "2"))
    assert.equal(0, #client:call("SLOWLOG", "GET", "0"))
  end)

  it("tells the host, and its time from that in the queue", function()
    local second = nydus:client()
    slowly({ "GET", "k" }, 0.03)
    local entry = detailed(client)[1]
    assert.equal("snail", entry.host)
    assert.is_true(entry["usec-at-host"] >= 30000)
    assert.equal(entry.usec, entry["usec-in-queue"] + entry["usec-at-host"])
    assert.same({ "GET", "k" }, entry.arguments)
    assert.equal(second:call("SLOWLOG", "GET")[1][3], entry.usec)
  end)

  it("does not blame a command for one before it", function()
    client:command("GET", "first")
    client:command("GET", "behind")
    host:expect({ "GET", "first" })
    host:expect({ "GET", "behind" })
    pass(0.04)
    host:answer("+OK\r\n+OK\r\n")
    for _ = 1, 2 do assert.equal("OK", client:read()) end
    for _, entry in ipairs(detailed(client)) do
      local behind = entry.arguments[2] == "behind"
      assert.is_true(entry[behind and "usec-in-queue" or "usec-at-host"] >= 40000)
      assert.is_true(entry[behind and "usec-at-host" or "usec-in-queue"] < 40000)
    end
  end)

  it("cuts arguments as Redis does", function()
    local words = { "RPUSH" }
    for i = 2, 40 do words[i] = ("x"):rep(i == 3 and 200 or 4) end
    slowly(words, 0.015)
    local cut = client:call("SLOWLOG", "GET")[1][4]
    assert.equal(32, #cut)
    assert.equal(("x"):rep(128) .. "... (72 more bytes)", cut[3])
    assert.equal("... (9 more arguments)", cut[32])
    local redis = support.redis()
    redis:call("CONFIG", "SET", "slowlog-log-slower-than", "0")
    redis:call(unpack(words))
    assert.same(redis:call("SLOWLOG", "GET", "1")[1][4], cut)
  end)

  it("keeps the newest 128, and RESET forgets all of them", function()
    for _ = 1, 130 do slowly({ "GET", "k" }, 0.0102) end
    assert.equal(128, client:call("SLOWLOG", "LEN"))
    local entries = client:call("SLOWLOG", "GET", "1000")
    assert.equal(128, #entries)
    assert.equal(129, entries[1][1])
    assert.equal("OK", nydus:client():call("SLOWLOG", "RESET"))
    assert.equal(0, client:call("SLOWLOG", "LEN"))
    assert.same({}, client:call("SLOWLOG", "GET"))
    slowly({ "GET", "k" }, 0.015)
    assert.equal(130, client:call("SLOWLOG", "GET")[1][1])
  end)

  it("refuses counts as Redis does", function()
    local redis = support.redis()
    for _, words in ipairs({ { "GET", "-2" }, { "GET", "x" }, { "GET", "1", "2" }, { "LEN", "1" } }) do
      assert.same(redis:call("SLOWLOG", unpack(words)), client:call("SLOWLOG", unpack(words)))
    end
  end)

  it("is for the clients of the cluster", function()
    local one, two = nydus.port, support.free_port()
    nydus:write("config.lua", { workers = 2, clusters = {
      main = { listen = "127.0.0.1:" .. one, hosts = { host:address({ identifier = "snail" }) } },
      other = { listen = "127.0.0.1:" .. two, hosts = { support.redis() } },
    } })
    assert.equal("OK", client:call("NYDUS", "RELOAD"))
    slowly({ "GET", "k" }, 0.015)
    local other = support.client(two)
    assert.same({}, other:call("SLOWLOG", "GET"))
    assert.same({}, other:call("NYDUS", "SLOWLOG"))
    assert.equal(0, other:call("SLOWLOG", "LEN"))
    assert.equal("OK", other:call("SLOWLOG", "RESET"))
    assert.equal(1, client:call("SLOWLOG", "LEN"))
  end)

  it("stays over a reload", function()
    slowly({ "GET", "k" }, 0.015)
    assert.equal("OK", client:call("NYDUS", "RELOAD"))
    assert.equal(1, client:call("SLOWLOG", "LEN"))
  end)
end)

describe("slowlog", function()
  it("does not count the time that a command blocks, nor show passwords", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis, support.redis() }, router = "ketama" } })
    local client = nydus:client()
    assert.same(support.null, client:call("BLPOP", "empty", "0.05"))
    client:call("AUTH", "hush-hush")
    client:call("HELLO", "2", "AUTH", "default", "hush-hush")
    assert.same({}, client:call("SLOWLOG", "GET"))
    assert.matches("cmdstat_blpop:calls=1,usec=0,", client:call("INFO", "commandstats"))
  end)

  it("shows a part of a command that was taken apart, and a transaction", function()
    local slow, quick = support.fake({ auto = { PING = "+PONG\r\n" } }), support.redis()
    local nydus = support.nydus({ config = {
      router = "modulus", hosts = { slow:address({ identifier = "slow" }), quick:address({ identifier = "quick" }) },
    } })
    local client, keys = nydus:client(), { slow = {}, quick = {} }
    for i = 1, 40 do
      local where = client:call("NYDUS", "ROUTE", "GET", "k" .. i)
      local name = where[#where]:match("host (%a+)")
      table.insert(keys[name], "k" .. i)
    end
    client:command("MGET", keys.quick[1], keys.slow[1])
    slow:expect({ "MGET", keys.slow[1] })
    pass(0.02)
    slow:answer("*1\r\n$1\r\nv\r\n")
    assert.same({ support.null, "v" }, client:read())
    local entry = detailed(client)[1]
    assert.same({ "MGET", keys.slow[1] }, entry.arguments)
    assert.equal("slow", entry.host)
    assert.matches("^127", entry.client)

    assert.equal("OK", client:call("MULTI"))
    assert.equal("QUEUED", client:call("INCR", keys.slow[1]))
    client:command("EXEC")
    slow:expect({ "MULTI" })
    slow:expect({ "INCR", keys.slow[1] })
    slow:expect({ "EXEC" })
    pass(0.02)
    slow:answer("+OK\r\n+QUEUED\r\n*1\r\n:1\r\n")
    assert.same({ 1 }, client:read())
    assert.same({ "MULTI", "INCR", keys.slow[1], "EXEC" }, detailed(client)[1].arguments)
  end)
end)
