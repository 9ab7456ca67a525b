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
    local all = sections_of(client:call("INFO"))
    for _, name in ipairs({ "all", "everything", "default" }) do
      assert.same(all, sections_of(client:call("INFO", name)))
    end
    assert.same({
      "server", "clients", "memory", "persistence", "stats", "replication", "cpu", "hosts", "nydus", "cluster",
      "keyspace",
    }, all)
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
