local support = require("support")

-- "field:value" lines of a reply as a table.
local function fields_of(text)
  local fields = {}
  for name, value in text:gmatch("([%w_%.]+):([^\r\n]*)\r\n") do fields[name] = value end
  return fields
end

local function sections_of(text)
  local sections = {}
  for name in text:gmatch("# (%w+)\r\n") do sections[#sections + 1] = name:lower() end
  return sections
end

describe("info", function()
  local redis, nydus, client

  setup(function()
    redis = support.redis({ requirepass = "hush-hush", databases = 4 })
    nydus = support.nydus({
      config = { hosts = { redis:address({ password = "hush-hush", db = 1, identifier = "one" }) }, max_clients = 55 },
    })
  end)

  before_each(function()
    client = nydus:client()
  end)

  it("has the fields that clients look for", function()
    local fields = fields_of(client:call("INFO"))
    assert.equal("7.0.15", fields.redis_version)
    assert.equal("standalone", fields.redis_mode)
    assert.equal("0", fields.loading)
    assert.equal("master", fields.role)
    assert.equal("0", fields.cluster_enabled)
    assert.equal("55", fields.maxclients)
    assert.equal(tostring(nydus.port), fields.tcp_port)
    assert.is_truthy(tonumber(fields.used_memory_rss) > 100000)
    assert.is_truthy(tonumber(fields.uptime_in_seconds) < 1000)
    assert.is_truthy(fields.nydus_version)
    assert.equal("1", fields.nydus_config_generation)
  end)

  it("gives the sections that are asked for, in any case, in its own order", function()
    assert.same({ "server" }, sections_of(client:call("INFO", "server")))
    assert.same({ "server", "clients" }, sections_of(client:call("INFO", "CLIENTS", "Server")))
    assert.equal("", client:call("INFO", "nonsense"))
    assert.same({}, sections_of(client:call("INFO", "nonsense", "more")))
    local default = {
      "server", "clients", "memory", "persistence", "stats", "replication", "cpu", "modules", "errorstats", "cluster",
      "keyspace", "hosts", "nydus",
    }
    assert.same(default, sections_of(client:call("INFO")))
    assert.same(default, sections_of(client:call("INFO", "Default")))
    assert.same({
      "server", "clients", "memory", "persistence", "stats", "replication", "cpu", "modules", "commandstats",
      "errorstats", "latencystats", "cluster", "keyspace", "hosts", "nydus", "router",
    }, sections_of(client:call("INFO", "all")))
    assert.equal(table.concat(sections_of(client:call("INFO", "all"))),
      table.concat(sections_of(client:call("INFO", "server", "everything"))))
  end)

  it("has Redis's sections in Redis's order", function()
    local plain = support.redis()
    for _, asked in ipairs({ {}, { "all" }, { "everything" }, { "keyspace", "server" }, { "modules" } }) do
      local ours = sections_of(client:call("INFO", unpack(asked)))
      local own = { hosts = true, nydus = true, router = true }
      while own[ours[#ours]] do ours[#ours] = nil end
      assert.same(sections_of(plain:call("INFO", unpack(asked))), ours)
    end
  end)

  it("sums the keys of all hosts, database by database as clients count them", function()
    local one, two = support.redis({ databases = 8 }), support.redis({ databases = 8 })
    local sum = support.nydus({ config = { router = "ketama", workers = 2, hosts = {
      one:address({ db = 0 }), two:address({ db = 2 }),
    } } })
    local asker = sum:client()
    local function fill(host, db, keys, expiring)
      host:call("SELECT", db)
      for i = 1, keys do host:call("SET", "k" .. i, "v") end
      for i = 1, expiring do host:call("PEXPIRE", "k" .. i, 100000) end
    end
    assert.equal("# Keyspace\r\n", asker:call("INFO", "keyspace"))
    fill(one:client(), 0, 3, 0)
    fill(one:client(), 3, 1, 1)
    fill(two:client(), 1, 9, 0) -- below its base: nobody's
    fill(two:client(), 2, 4, 2)
    fill(two:client(), 7, 1, 0)
    local fields = fields_of(asker:call("INFO", "keyspace"))
    assert.matches("^keys=7,expires=2,avg_ttl=%d+$", fields.db0)
    assert.matches("^keys=1,expires=1,avg_ttl=%d+$", fields.db3)
    assert.equal("keys=1,expires=0,avg_ttl=0", fields.db5)
    assert.is_nil(fields.db1)
    assert.equal(fields.db0:match("keys=%d+"), fields_of(asker:call("INFO")).db0:match("keys=%d+"))
    asker:call("SELECT", "1")
    assert.matches("keys=7", fields_of(asker:call("INFO")).db0)
  end)

  it("weighs the time that keys have left by how many have one, in both protocols", function()
    local one, two = support.fake({ auto = { PING = "+PONG\r\n" } }), support.fake({ auto = { PING = "+PONG\r\n" } })
    local asker = support.nydus({ config = { router = "ketama", hosts = { one, two } } }):client()
    local function bulk(type, text) return ("%s%d\r\n%s\r\n"):format(type, #text, text) end
    asker:command("INFO", "keyspace")
    one:expect("INFO keyspace")
    one:answer(bulk("$", "# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=100\r\ndb9:keys=1,expires=0,avg_ttl=0,x=5\r\n"))
    two:expect("INFO keyspace")
    two:answer(bulk("=", "txt:# Keyspace\r\ndb0:keys=2,expires=3,avg_ttl=500,subexpiry=0\r\n"))
    assert.equal("# Keyspace\r\ndb0:keys=5,expires=4,avg_ttl=400\r\ndb9:keys=1,expires=0,avg_ttl=0\r\n", asker:read())
  end)

  it("answers when hosts do not, and says how many are missing", function()
    local silent = support.fake({ auto = { PING = "+PONG\r\n" } })
    local mixed = support.nydus({ config = { router = "ketama", hosts = {
      support.redis(), silent:address({ timeout = 0.1 }), { host = "127.0.0.1", port = support.free_port() },
    } } })
    local asker = mixed:client()
    asker:command("INFO")
    silent:expect("INFO keyspace")
    local fields = fields_of(asker:read())
    assert.equal("2", fields.hosts_missing)
    assert.equal("0", fields.cluster_enabled)
    assert.equal("master", fields_of(asker:call("INFO", "replication")).role)
  end)

  it("is answered in its turn, and for a client that has gone", function()
    local silent = support.fake({ auto = { PING = "+PONG\r\n" } })
    local one = support.nydus({ config = { hosts = { silent } } })
    local first, second = one:client(), one:client()
    first:command("INFO", "keyspace")
    first:command("PING")
    silent:expect("INFO keyspace")
    second:command("INFO")
    silent:expect("INFO keyspace")
    second:reset()
    silent:answer("$12\r\n# Keyspace\r\n\r\n")
    silent:answer("$12\r\n# Keyspace\r\n\r\n")
    assert.equal("# Keyspace\r\n", first:read())
    assert.equal("PONG", first:read())
    assert.equal("PONG", one:client():call("PING"))
  end)

  it("counts what passes, over all workers", function()
    local two = support.nydus({ config = { hosts = { support.redis() }, workers = 2 } })
    local clients = {}
    for i = 1, 8 do
      clients[i] = two:client()
      assert.equal("OK", clients[i]:call("SET", "k", "v"))
    end
    local fields = fields_of(clients[1]:call("INFO", "stats"))
    assert.is_true(tonumber(fields.total_commands_processed) >= 9)
    assert.equal("8", fields_of(clients[8]:call("INFO", "clients")).connected_clients)
    assert.is_true(tonumber(fields.nydus_parts) >= 8)
  end)

  it("shows each host with its state, and why it is away", function()
    support.wait_until(function() return client:call("INFO", "hosts"):find("state=up", 1, true) end, 5, "the host")
    assert.matches("host0:identifier=one,address=127%.0%.0%.1:" .. redis.port .. ",db=1,weight=1,state=up,links=1,",
      client:call("INFO", "hosts"))
    local gone = support.nydus({
      config = { hosts = { { host = "127.0.0.1", port = support.free_port(), identifier = "gone" } } },
    }):client()
    gone:call("GET", "k")
    assert.matches("identifier=gone,.*,state=%a+,links=0,.*,reason=Connection refused\r\n",
      gone:call("INFO", "hosts"))
  end)

  it("never shows a password", function()
    assert.is_nil(client:call("INFO", "everything"):find("hush", 1, true))
  end)
end)
