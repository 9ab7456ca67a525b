-- How often commands ran, how long they took and how they ended: INFO
-- commandstats, latencystats and errorstats, LATENCY HISTOGRAM, CONFIG RESETSTAT.

local support = require("support")

-- "cmdstat_get:calls=1,usec=0,…" lines as { get = { calls = 1, usec = 0 } }.
local function stats_of(client, section, prefix)
  local stats = {}
  for name, line in client:call("INFO", section):gmatch(prefix .. "([^:\r\n]+):([^\r\n]*)") do
    stats[name] = {}
    for field, value in line:gmatch("([%w_.]+)=([%d.]+)") do stats[name][field] = tonumber(value) end
  end
  return stats
end

local function commands_of(client) return stats_of(client, "commandstats", "cmdstat_") end
local function errors_of(client) return stats_of(client, "errorstats", "errorstat_") end

local function map_of(list)
  local map = {}
  for i = 1, #list, 2 do map[list[i]] = list[i + 1] end
  return map
end

local function counters_of(client) return map_of(client:call("NYDUS", "STATS")) end

describe("commandstats", function()
  local nydus, client

  before_each(function()
    nydus = support.nydus({ config = { router = "ketama", hosts = { support.redis(), support.redis() }, workers = 2 } })
    client = nydus:client()
  end)

  it("count calls, whichever worker ran them", function()
    for i = 1, 10 do
      local other = nydus:client()
      other:call("SET", "k" .. i, "v")
      other:call("CONFIG", "GET", "save")
    end
    client:call("MGET", "k1", "k2", "k3", "k4", "k5")
    for _ = 1, 2 do -- whoever is asked
      for _, asked in ipairs({ client, nydus:client(), nydus:client() }) do
        local stats = commands_of(asked)
        assert.equal(10, stats.set.calls)
        assert.equal(10, stats["config|get"].calls)
        assert.equal(1, stats.mget.calls)
        assert.is_nil(stats.get)
      end
    end
  end)

  it("tell what ran and failed from what was refused before", function()
    client:call("SET", "k", "v")
    client:call("LPUSH", "k", "x")
    client:call("GET")
    client:call("GET", "a", "b")
    client:call("RENAME", "a", "b")
    client:call("RENAME", "a", "c")
    client:call("SHUTDOWN")
    client:call("CLIENT", "SETNAME", "a b")
    client:call("NOSUCH")
    local stats = commands_of(client)
    assert.same({ 1, 0, 1 }, { stats.lpush.calls, stats.lpush.rejected_calls, stats.lpush.failed_calls })
    assert.same({ 0, 2, 0 }, { stats.get.calls, stats.get.rejected_calls, stats.get.failed_calls })
    assert.same({ 0, 1, 0 }, { stats.shutdown.calls, stats.shutdown.rejected_calls, stats.shutdown.failed_calls })
    local name = stats["client|setname"]
    assert.same({ 1, 0, 1 }, { name.calls, name.rejected_calls, name.failed_calls })
    local errors = errors_of(client)
    assert.equal(1, errors.WRONGTYPE.count)
    assert.is_true(errors.ERR.count >= 5)
    local total = client:call("INFO", "stats"):match("total_error_replies:(%d+)")
    local sum = 0
    for _, error in pairs(errors) do sum = sum + error.count end
    assert.equal(sum, tonumber(total))
  end)

  it("begin anew with CONFIG RESETSTAT, for all workers", function()
    for i = 1, 8 do nydus:client():call("LPUSH", "l", i) end
    client:call("GET", "l")
    assert.equal("OK", client:call("CONFIG", "RESETSTAT"))
    for _ = 1, 4 do
      local other = nydus:client()
      local stats = commands_of(other)
      assert.is_nil(stats.lpush)
      assert.is_nil(stats.get)
      assert.is_nil(errors_of(other).WRONGTYPE)
      assert.is_nil(map_of(other:call("LATENCY", "HISTOGRAM")).lpush)
      assert.is_true(counters_of(other).requests < 30)
    end
    client:call("LPUSH", "l", "x")
    client:call("GET", "l")
    assert.equal(1, commands_of(nydus:client()).lpush.calls)
    assert.equal(1, errors_of(nydus:client()).WRONGTYPE.count)
    assert.equal(1, map_of(map_of(client:call("LATENCY", "HISTOGRAM", "lpush")).lpush).calls)
  end)

  it("do not touch connected_clients and max_clients when they begin anew", function()
    local others = {}
    for i = 1, 5 do
      others[i] = nydus:client()
      others[i]:call("PING")
    end
    client:call("CONFIG", "RESETSTAT")
    assert.equal("6", client:call("INFO", "clients"):match("connected_clients:(%d+)"))
  end)

  it("stay over a reload and a worker's death", function()
    for i = 1, 20 do nydus:client():call("SET", "k", i) end
    assert.equal("OK", client:call("NYDUS", "RELOAD"))
    assert.equal(20, commands_of(client).set.calls)
    local pids = nydus:workers()
    assert.equal(0, (support.run({ "sh", "-c", "kill -KILL " .. pids[1] })))
    support.wait_until(function()
      local now = nydus:workers()
      return #now == 2 and now[1] ~= pids[1] and now[2] ~= pids[1]
    end, 5, "a new worker")
    support.wait_until(function()
      local ok, calls = pcall(function() return commands_of(nydus:client()).set.calls end)
      return ok and calls == 20
    end, 5, "the counters of the worker that died")
  end)

  it("have commands that were learned from the hosts, by name whichever worker learned them first", function()
    local function row(name) return ("*6\r\n$%d\r\n%s\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n"):format(#name, name) end
    local host = support.fake({ auto = {
      PING = "+PONG\r\n", COMMAND = "*2\r\n" .. row("my.first") .. row("my.second"),
      ["MY.FIRST"] = "+OK\r\n", ["MY.SECOND"] = "-WRONGTYPE no\r\n",
    } })
    local two = support.nydus({ config = { hosts = { host }, workers = 2 } })
    local function ask(by, ...)
      by:command(...)
      support.wait_until(function()
        host:expect_silence(0.002)
        return by:pending() ~= ""
      end, 5, "a reply")
      return (by:read())
    end
    for i = 1, 12 do
      local by = two:client()
      ask(by, i % 2 == 0 and "MY.FIRST" or "my.second", "k")
      ask(by, i % 2 == 0 and "MY.SECOND" or "my.first", "k")
    end
    local stats = stats_of({ call = function(_, ...) return ask(two:client(), ...) end }, "commandstats", "cmdstat_")
    assert.same({ 12, 0 }, { stats["my.first"].calls, stats["my.first"].failed_calls })
    assert.same({ 12, 12 }, { stats["my.second"].calls, stats["my.second"].failed_calls })
    local named = ask(two:client(), "LATENCY", "HISTOGRAM", "my.second", "my")
    assert.same({ 2, "my.second" }, { #named, named[1] })
  end)

  it("never show an argument", function()
    client:call("AUTH", "hush-hush")
    client:call("HELLO", "2", "AUTH", "x", "hush-hush")
    assert.is_nil(client:call("INFO", "everything"):find("hush", 1, true))
  end)
end)

describe("latency", function()
  local host, nydus, client

  before_each(function()
    host = support.fake({ auto = { PING = "+PONG\r\n" } })
    nydus = support.nydus({ config = { hosts = { host } } })
    client = nydus:client()
  end)

  local function slowly(words, seconds)
    client:command(unpack(words))
    host:expect(words)
    local start = support.now()
    support.wait_until(function() return support.now() - start > seconds end, 5, "time to pass")
    host:answer("+OK\r\n")
    client:read()
  end

  it("is from the arrival of a command to its reply", function()
    for _ = 1, 3 do slowly({ "GET", "k" }, 0.02) end
    local stats = commands_of(client).get
    assert.equal(3, stats.calls)
    assert.is_true(stats.usec >= 60000 and stats.usec < 1e7)
    assert.is_true(math.abs(stats.usec / 3 - stats.usec_per_call) < 1)
    local shares = stats_of(client, "latencystats", "latency_percentiles_usec_").get
    for _, share in ipairs({ "p50", "p99", "p99.9" }) do assert.is_true(shares[share] >= 20000, share) end
    assert.is_true(shares.p50 <= shares["p99.9"])
  end)

  it("is given as a histogram, as Redis gives it", function()
    slowly({ "GET", "k" }, 0.02)
    slowly({ "SET", "k", "v" }, 0.001)
    slowly({ "GET", "k" }, 0.04)
    local all = map_of(client:call("LATENCY", "HISTOGRAM"))
    assert.is_truthy(all.get and all.set)
    local get = map_of(all.get)
    assert.equal(2, get.calls)
    local previous = { 0, 0 }
    for i = 1, #get.histogram_usec, 2 do
      local edge, seen = get.histogram_usec[i], get.histogram_usec[i + 1]
      assert.is_true(edge > previous[1] and seen > previous[2])
      assert.equal(0, select(2, math.modf(math.log(edge) / math.log(2) + 1e-9)) > 1e-6 and 1 or 0)
      assert.is_true(edge > 16384)
      previous = { edge, seen }
    end
    assert.equal(2, previous[2])
  end)

  it("is given for the commands that are named, and those below a container", function()
    client:call("CONFIG", "GET", "save")
    client:call("CLIENT", "ID")
    local named = client:call("LATENCY", "HISTOGRAM", "config", "nosuch", "client|id", "CLIENT|GETNAME")
    assert.same({ "config|get", "client|id" }, { named[1], named[3] })
    assert.equal(4, #named)
    assert.same({}, client:call("LATENCY", "HISTOGRAM", "nosuch"))
  end)
end)

describe("counters", function()
  it("add up after every kind of fault", function()
    local silent, lost = support.fake({ auto = { PING = "+PONG\r\n" } }), support.fake({ auto = { PING = "+PONG\r\n" } })
    local nydus = support.nydus({ config = {
      router = { "modulus", eject = false },
      hosts = { silent:address({ timeout = 0.2 }), lost, { host = "127.0.0.1", port = support.free_port() } },
    } })
    local client = nydus:client()
    local function spread(by)
      for i = 1, 60 do by:command("GET", "k" .. i) end
    end
    local gone = nydus:client() -- leaves with requests in flight
    spread(gone)
    silent:request()
    lost:request()
    gone:reset()
    spread(client)
    lost:close_link()
    for _ = 1, 60 do assert.is_string(client:read().err) end
    local garbled = nydus:client()
    garbled:send("*1\r\n$4\r\nPING\r\n*x\r\n")
    assert.equal("PONG", garbled:read())
    assert.is_string(garbled:read().err)
    for _, words in ipairs({ { "NOSUCH" }, { "GET" }, { "SHUTDOWN" }, { "RENAME", "k1", "k2" } }) do
      client:call(unpack(words))
    end
    support.wait_until(function()
      local counters = counters_of(client)
      -- the question itself is read, and not answered yet
      return counters.requests + counters.protocol_errors - 1 == counters.replies + counters.orphaned
    end, 5, "requests to be replies and orphans")
    local counters = counters_of(client)
    assert.is_true(counters.timeouts > 0 and counters.links_lost > 0)
    assert.is_true(counters.orphaned > 0)
    assert.equal(1, counters.protocol_errors)
    local errors, stats = 0, commands_of(client)
    for _, error in pairs(errors_of(client)) do errors = errors + error.count end
    assert.equal(errors, counters.errors)
    assert.equal(121, stats.get.calls + stats.get.rejected_calls)
  end)
end)
