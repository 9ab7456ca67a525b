-- What programs ask to find out what they are connected to.

local support = require("support")

describe("probe", function()
  local nydus, client

  setup(function()
    nydus = support.nydus({ config = { router = "ketama", hosts = { support.redis(), support.redis() }, workers = 2 } })
  end)

  before_each(function() client = nydus:client() end)

  describe("CLUSTER", function()
    it("INFO and SLOTS tell of one shard at the address of the connection", function()
      local info = client:call("CLUSTER", "INFO")
      assert.matches("cluster_state:ok\r\n", info)
      assert.matches("cluster_slots_ok:16384\r\n", info)
      assert.matches("cluster_known_nodes:1\r\n", info)
      local id = client:call("CLUSTER", "MYID")
      assert.matches("^%x+$", id)
      assert.equal(40, #id)
      assert.same({ { 0, 16383, { "127.0.0.1", nydus.port, id, {} } } }, client:call("CLUSTER", "SLOTS"))
      assert.same({ { "slots", { 0, 16383 }, "nodes", { { "id", id, "port", nydus.port, "ip", "127.0.0.1",
        "endpoint", "127.0.0.1", "role", "master", "replication-offset", 0, "health", "online" } } } },
        client:call("CLUSTER", "SHARDS"))
    end)

    it("MYID is the same from every worker and over a reload", function()
      local id = client:call("CLUSTER", "MYID")
      assert.equal("OK", client:call("NYDUS", "RELOAD"))
      for _ = 1, 8 do assert.equal(id, nydus:client():call("CLUSTER", "MYID")) end
    end)

    it("KEYSLOT is Redis's", function()
      local slots = { ["123456789"] = 12739, ["foo{bar}baz"] = 5061, bar = 5061, ["{}x"] = 10595, [""] = 0 }
      for key, slot in pairs(slots) do assert.equal(slot, client:call("CLUSTER", "KEYSLOT", key), key) end
    end)

    it("has nothing to say that would make a client deal with slots itself", function()
      local disabled = { err = "ERR This instance has cluster support disabled" }
      for _, words in ipairs({ { "CLUSTER", "NODES" }, { "CLUSTER", "COUNTKEYSINSLOT", "1" }, { "READONLY" },
        { "READWRITE" }, { "ASKING" } }) do
        assert.same(disabled, client:call(unpack(words)))
      end
      assert.matches("cluster_enabled:0", client:call("INFO", "cluster"))
    end)
  end)

  describe("LATENCY", function()
    it("answers as a Redis that watches no events", function()
      local redis = support.redis():client()
      for _, words in ipairs({ { "LATEST" }, { "HISTORY", "x" }, { "RESET" }, { "RESET", "x" }, { "GRAPH", "x" } }) do
        local reply = redis:call("LATENCY", unpack(words))
        assert.same(reply, client:call("LATENCY", unpack(words)))
      end
      assert.is_string(client:call("LATENCY", "DOCTOR"))
    end)
  end)

  describe("MEMORY", function()
    it("DOCTOR and PURGE are about Nydus, STATS is a host's", function()
      assert.matches("^Nydus keeps no data", client:call("MEMORY", "DOCTOR"))
      assert.equal("OK", client:call("MEMORY", "PURGE"))
      assert.matches("^ERR 'memory|stats' is not allowed", client:call("MEMORY", "STATS").err)
    end)
  end)

  it("is answered with RESP3's own types in RESP3", function()
    client:call("HELLO", "3")
    assert.equal("identifier", client:call("NYDUS", "HOSTS")[1].map[1])
    assert.is_table(client:call("NYDUS", "STATS").map)
    local generation, success = client:call("NYDUS", "GENERATION").map, nil
    for i = 1, #generation, 2 do
      if generation[i] == "last-reload-success" then success = generation[i + 1] end
    end
    assert.same({ bool = true }, success)
    assert.is_string(client:call("NYDUS", "ROUTE", "GET", "k")[1])
    assert.equal("OK", client:call("NYDUS", "RELOAD"))
    assert.same({}, client:call("NYDUS", "SLOWLOG"))
    assert.same({ map = {} }, client:call("LATENCY", "HISTOGRAM", "nosuch"))
    local shown = client:call("LATENCY", "HISTOGRAM", "hello").map
    assert.equal("hello", shown[1])
    assert.same({ "calls", 1, "histogram_usec" }, { unpack(shown[2].map, 1, 3) })
    assert.is_table(shown[2].map[4].map)
    assert.matches("^txt:# Keyspace\r\n", client:call("INFO", "keyspace").verbatim)
    assert.matches("^txt:cluster_state:ok", client:call("CLUSTER", "INFO").verbatim)
    assert.equal("slots", client:call("CLUSTER", "SHARDS")[1].map[1])
    assert.equal("slowlog-max-len", client:call("CONFIG", "GET", "slowlog-max*").map[1])
  end)
end)
