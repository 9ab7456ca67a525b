-- WAIT: how many replicas have what this client has written, on whatever link.

local support = require("support")

local function replicated(redis, count)
  support.wait_until(function()
    local online = 0
    for _ in redis:call("INFO", "replication"):gmatch("state=online") do online = online + 1 end
    return online == count
  end, 20, count .. " replicas")
end

local function master()
  return support.redis({ repl_diskless_sync_delay = 0 })
end

local function replica_of(redis)
  return support.redis({ args = { "--replicaof", "127.0.0.1", redis.port } })
end

describe("WAIT", function()
  local first, second, replica, other_replica, third

  setup(function()
    first, second = master(), master()
    replica, third, other_replica = replica_of(first), replica_of(first), replica_of(second)
    replicated(first, 2)
    replicated(second, 1)
  end)

  describe("over one host", function()
    local nydus, client, other

    before_each(function()
      nydus = support.nydus({ config = { hosts = { first:address({ timeout = 0.4 }) }, workers = 1 } })
      client, other = nydus:client(), nydus:client()
    end)

    it("counts replicas that have everything", function()
      for i = 1, 20 do
        assert.same({ "OK", 2 }, client:pipeline({ { "SET", "k", i }, { "WAIT", 2, 5000 } }))
        assert.equal(tostring(i), replica:call("GET", "k"))
        assert.equal(tostring(i), third:call("GET", "k"))
      end
    end)

    it("does not count one that has stopped, and ends at its timeout", function()
      assert.equal(2, client:call("WAIT", 2, 5000))
      replica:pause()
      finally(function() replica:resume() end)
      assert.equal("OK", client:call("SET", "k", "late"))
      assert.equal(1, client:call("WAIT", 1, 5000))
      assert.equal(1, client:call("WAIT", 2, 700)) -- longer than the host's timeout
      assert.equal("OK", nydus:client():call("SET", "k", "later"))
    end)

    it("waits for ever, and holds up nobody, until the replica goes on", function()
      replica:pause()
      finally(function() replica:resume() end)
      client:command("SET", "k", "slow")
      client:command("WAIT", 2, 0)
      client:command("INCR", "after")
      assert.equal("OK", (client:read()))
      first:until_blocked(1)
      for i = 1, 200 do assert.equal("OK", other:call("SET", "n", i)) end
      assert.equal(0, other:call("EXISTS", "after"))
      replica:resume()
      assert.equal(2, (client:read()))
      assert.equal(1, (client:read()))
      first:call("DEL", "after")
    end)

    it("ends with CLIENT UNBLOCK, and with its client", function()
      local id = client:call("CLIENT", "ID")
      client:command("WAIT", 9, 0)
      first:until_blocked(1)
      assert.equal(1, other:call("CLIENT", "UNBLOCK", id))
      assert.equal(0, (client:read()))
      first:until_blocked(0)
      client:command("WAIT", 9, 0)
      first:until_blocked(1)
      assert.equal(1, other:call("CLIENT", "UNBLOCK", id, "ERROR"))
      assert.equal("UNBLOCKED client unblocked via CLIENT UNBLOCK", (client:read()).err)
      client:command("WAIT", 9, 0)
      first:until_blocked(1)
      client:close()
      first:until_blocked(0)
    end)

    it("fails in Redis's words", function()
      local plain = first:client()
      for _, words in ipairs({
        { "WAIT", "x", "0" }, { "WAIT", "1", "x" }, { "WAIT", "1", "-1" }, { "WAIT", "1" }, { "WAIT", "-1", "1" },
        { "WAITAOF", "0", "1", "10" },
      }) do
        assert.same(plain:call(unpack(words)), client:call(unpack(words)), table.concat(words, " "))
      end
    end)

    it("waits for nothing inside a transaction", function()
      assert.same({ "OK", "QUEUED", "QUEUED" }, client:pipeline({ { "MULTI" }, { "SET", "k", 1 }, { "WAIT", 9, 0 } }))
      local replies = client:call("EXEC")
      assert.equal("OK", replies[1])
      assert.is_true(replies[2] <= 2)
    end)

    it("uses its link again", function()
      for _ = 1, 30 do assert.equal(2, client:call("WAIT", 2, 5000)) end
      assert.is_true(tonumber(first:call("INFO", "clients"):match("connected_clients:(%d+)")) < 8)
    end)
  end)

  describe("over several hosts", function()
    it("counts the fewest", function()
      local nydus = support.nydus({ config = { router = "ketama", hosts = { first, second }, workers = 1 } })
      local client = nydus:client()
      for i = 1, 20 do client:call("SET", "k" .. i, i) end
      assert.equal(1, client:call("WAIT", 1, 5000))
      other_replica:pause()
      finally(function() other_replica:resume() end)
      for i = 1, 20 do client:call("SET", "k" .. i, i) end
      assert.equal(0, client:call("WAIT", 1, 200))
      client:command("WAIT", 1, 0)
      second:until_blocked(1)
      client:close()
      second:until_blocked(0)
      client = nydus:client()
      assert.matches("for all hosts", (client:pipeline({ { "MULTI" }, { "WAIT", 1, 0 } }))[2].err)
      client = nydus:client()
      second.plain = false
      client:command("WAIT", 1, 0)
      second:until_blocked(1)
      second:call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
      assert.matches("wait' was done on 1 of 2 hosts", (client:read()).err)
    end)

    it("gives the router's own broadcast an array", function()
      local nydus = support.nydus({ config = { router = "all", hosts = { first, second }, workers = 1 } })
      local client = nydus:client()
      assert.same({ 2, 1 }, client:call("WAIT", 2, 500))
    end)
  end)
end)

describe("WAITAOF", function()
  it("is joined number by number", function()
    local auto = { PING = "+PONG\r\n" }
    local fakes = { support.fake({ auto = auto }), support.fake({ auto = auto }) }
    local nydus = support.nydus({ config = { router = "ketama", hosts = fakes, workers = 1 } })
    local client = nydus:client()
    client:command("WAITAOF", 1, 1, 100)
    for i, fake in ipairs(fakes) do
      fake:expect("SPUBLISH nydus:wait ")
      fake:answer(":0\r\n")
      fake:expect("WAITAOF 1 1 100")
      fake:answer(("*2\r\n:1\r\n:%d\r\n"):format(i))
    end
    assert.same({ 1, 1 }, (client:read()))
  end)
end)
