-- NYDUS: what an operator asks.

local support = require("support")

-- A flat list of RESP2 as a table.
local function map_of(list)
  local map = {}
  for i = 1, #list, 2 do map[list[i]] = list[i + 1] end
  return map
end

local function hosts_of(client)
  local hosts = {}
  for i, host in ipairs(client:call("NYDUS", "HOSTS")) do hosts[i] = map_of(host) end
  return hosts
end

local function generation_of(client) return map_of(client:call("NYDUS", "GENERATION")) end

describe("NYDUS", function()
  local redis, nydus, client

  setup(function()
    redis = support.redis()
    nydus = support.nydus({ config = {
      router = { "ketama", eject = false }, workers = 2,
      hosts = { redis:address({ identifier = "one" }),
        { host = "127.0.0.1", port = support.free_port(), db = 3, weight = 2, identifier = "gone" } },
    } })
  end)

  before_each(function() client = nydus:client() end)

  describe("HOSTS", function()
    it("tells of each host how it is, and why", function()
      support.wait_until(function() return hosts_of(client)[1].state == "up" end, 5, "the host")
      support.wait_until(function() return hosts_of(client)[2].failures > 0 end, 5, "a failure")
      local one, gone = unpack(hosts_of(client))
      assert.same({ identifier = "one", address = "127.0.0.1:" .. redis.port, db = 0, weight = 1, state = "up",
        reason = "", links = 1, pending = 0, failures = 0 }, one)
      assert.equal("gone", gone.identifier)
      assert.same({ 3, 2, 0 }, { gone.db, gone.weight, gone.links })
      support.wait_until(function() return hosts_of(client)[2].reason == "Connection refused" end, 5, "the reason")
    end)
  end)

  describe("ROUTE", function()
    it("says what --route says, line by line", function()
      local code, out = support.nydus_run({ "--route", "MGET user:1 user:2", nydus.dir .. "/config.lua" })
      assert.equal(0, code)
      local lines = {}
      for line in out:gmatch("[^\n]+") do lines[#lines + 1] = line end
      table.remove(lines, 1) -- the command, as it was written
      local said = {} -- all but what only the server can know
      for _, line in ipairs(client:call("NYDUS", "ROUTE", "MGET", "user:1", "user:2")) do
        if not line:find("marked down: ", 1, true) then said[#said + 1] = line end
      end
      assert.same(lines, said)
    end)

    it("says why a host on the way is marked down", function()
      support.wait_until(function()
        for i = 1, 10 do client:call("GET", "key:" .. i) end
        return hosts_of(client)[2].state == "down"
      end, 5, "the host to be marked down")
      local found = 0
      for i = 1, 10 do
        local text = table.concat(client:call("NYDUS", "ROUTE", "GET", "key:" .. i), "\n")
        assert.equal(text:find("host gone ", 1, true) ~= nil, text:find("marked down: Connection refused$") ~= nil, text)
        found = found + (text:find("host gone ", 1, true) and 1 or 0)
      end
      assert.is_true(found > 0)
    end)

    it("names refusals and what is no command", function()
      assert.same({ "    answer   -ERR unknown command or subcommand" }, client:call("NYDUS", "ROUTE", "NOSUCH", "1"))
      assert.matches("refused  ERR 'shutdown' is not allowed", client:call("NYDUS", "ROUTE", "shutdown")[2])
      assert.matches("by Nydus itself", client:call("NYDUS", "ROUTE", "nydus", "hosts")[2])
    end)

    it("keeps keys with newlines on one line, and sends nothing", function()
      local before = redis:call("INFO", "commandstats")
      local lines = client:call("NYDUS", "ROUTE", "INCR", "a\r\nb")
      assert.matches('key      "a\\r\\nb"', lines[3])
      assert.equal(before:match("cmdstat_incr[^\n]*"), redis:call("INFO", "commandstats"):match("cmdstat_incr[^\n]*"))
    end)
  end)

  describe("STATS", function()
    it("has every counter, over all workers", function()
      local clients, requests = {}, map_of(client:call("NYDUS", "STATS")).requests
      for i = 1, 8 do
        clients[i] = nydus:client()
        clients[i]:call("PING")
      end
      local stats = map_of(client:call("NYDUS", "STATS"))
      assert.is_true(stats.requests >= requests + 9)
      for line in io.lines("src/base/stats.def") do
        local name = line:match("^STAT%(([%w_]+)")
        if name then assert.is_number(stats[name], name) end
      end
    end)
  end)

  describe("HELP", function()
    it("names every subcommand", function()
      local text = table.concat(client:call("NYDUS", "HELP"), "\n")
      for _, row in ipairs(client:call("COMMAND", "INFO", "NYDUS")[1][10]) do
        assert.is_truthy(text:find("\n" .. row[1]:match("|(.*)"):upper(), 1, true), row[1])
      end
    end)
  end)
end)

describe("NYDUS RELOAD", function()
  local redis, nydus, client

  local function config(more)
    local text = { router = "ketama", workers = 2, hosts = { redis }, listen = "127.0.0.1:" .. nydus.port }
    for key, value in pairs(more or {}) do text[key] = value end
    nydus:write("config.lua", text)
  end

  before_each(function()
    redis = support.redis()
    nydus = support.nydus({ config = { router = "ketama", workers = 2, hosts = { redis } } })
    client = nydus:client()
  end)

  it("answers when the new configuration is in force", function()
    local before = generation_of(client)
    assert.same({ 1, 0, 0 }, { before.generation, before.reloads, before["last-reload-at"] })
    config({ max_clients = 77 })
    assert.equal("OK", client:call("NYDUS", "RELOAD"))
    assert.same({ "maxclients", "77" }, client:call("CONFIG", "GET", "maxclients"))
    local after = generation_of(client)
    assert.same({ 2, 1, 1, "" },
      { after.generation, after.reloads, after["last-reload-success"], after["last-reload-error"] })
    assert.is_true(after["config-hash"] ~= before["config-hash"] and #after["config-hash"] == 16)
    assert.is_true(math.abs(os.time() - after["last-reload-at"]) < 100)
  end)

  it("answers with the reason when it is refused, and everything stays", function()
    config({ max_clients = 77, max_request = "much" })
    local reply = client:call("NYDUS", "RELOAD")
    assert.matches("^ERR the reload was refused, everything stays as it was: .*max_request", reply.err)
    local after = generation_of(client)
    assert.same({ 1, 1, 0 }, { after.generation, after.reloads, after["last-reload-success"] })
    assert.matches("max_request", after["last-reload-error"])
    assert.same({ "maxclients", "10000" }, client:call("CONFIG", "GET", "maxclients"))
  end)

  it("keeps the order of what its client sends behind it", function()
    config({ max_clients = 78 })
    local replies = client:pipeline({ { "SET", "k", "1" }, { "NYDUS", "RELOAD" }, { "CONFIG", "GET", "maxclients" },
      { "GET", "k" } })
    assert.same({ "OK", "OK", { "maxclients", "78" }, "1" }, replies)
  end)

  it("answers all who ask at once, and does not mind one who leaves", function()
    local clients = {}
    for i = 1, 10 do
      clients[i] = nydus:client()
      clients[i]:command("NYDUS", "RELOAD")
    end
    clients[1]:close()
    for i = 2, 10 do assert.equal("OK", clients[i]:read()) end
    assert.equal("PONG", client:call("PING"))
    assert.equal("OK", client:call("NYDUS", "RELOAD"))
  end)

  it("sees what was written before it, while another reload runs", function()
    for limit = 50, 60 do
      nydus:hup()
      config({ max_clients = limit })
      assert.equal("OK", client:call("NYDUS", "RELOAD"))
      assert.same({ "maxclients", tostring(limit) }, client:call("CONFIG", "GET", "maxclients"))
    end
  end)

  it("is answered by a worker that the new configuration does not want any more", function()
    config({ workers = 1 })
    local clients = {}
    for i = 1, 8 do
      clients[i] = nydus:client()
      clients[i]:command("NYDUS", "RELOAD")
    end
    for i = 1, 8 do assert.equal("OK", clients[i]:read()) end
  end)
end)
