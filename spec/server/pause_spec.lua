-- CLIENT PAUSE: commands wait, those of all workers.

local support = require("support")

local function is_silent(client)
  return client:pending() == ""
end

for _, workers in ipairs({ 1, 2 }) do
  describe(("CLIENT PAUSE with %d worker(s)"):format(workers), function()
    local redis, nydus, clients, boss

    -- Clients of every worker, and one more that pauses.
    before_each(function()
      redis = support.redis()
      nydus = support.nydus({ config = { hosts = { redis }, workers = workers } })
      local seen, count = {}, 0
      clients = {}
      support.wait_until(function()
        local client = nydus:client()
        clients[#clients + 1] = client
        local worker = client:call("CLIENT", "ID") % 1024
        count = count + (seen[worker] and 0 or 1)
        seen[worker] = true
        return count == workers
      end, 10, "a client of each worker")
      boss = nydus:client()
      boss:call("SET", "k", "0")
    end)

    local function blocked()
      return tonumber(boss:call("INFO", "clients"):match("blocked_clients:(%d+)"))
    end

    local function until_blocked(count)
      support.wait_until(function() return blocked() == count end, 5, count .. " waiting clients")
    end

    local function lines(word)
      local count = 0
      for _ in boss:call("CLIENT", "LIST"):gmatch(word) do count = count + 1 end
      return count
    end

    it("lets writes wait, and reads through", function()
      assert.equal("OK", boss:call("CLIENT", "PAUSE", 60000, "WRITE"))
      for _, client in ipairs(clients) do
        assert.equal("0", client:call("GET", "k"))
        client:send(support.encode({ "GET", "k" }) .. support.encode({ "INCR", "k" }) .. support.encode({ "GET", "k" })
          .. support.encode({ "ECHO", "end" }))
        assert.equal("0", (client:read()))
      end
      until_blocked(#clients)
      assert.equal(#clients, lines("flags=b"))
      assert.equal("0", redis:call("GET", "k"))
      for _, client in ipairs(clients) do assert.is_true(is_silent(client)) end
      assert.equal("OK", boss:call("CLIENT", "UNPAUSE"))
      for _, client in ipairs(clients) do
        assert.is_number((client:read()))
        assert.is_string((client:read()))
        assert.equal("end", (client:read()))
      end
      assert.equal(tostring(#clients), redis:call("GET", "k"))
      assert.equal(0, blocked())
    end)

    it("ends by itself", function()
      local start = support.now()
      boss:call("CLIENT", "PAUSE", 300, "write")
      for _, client in ipairs(clients) do client:command("INCR", "k") end
      for _, client in ipairs(clients) do assert.is_number((client:read())) end
      assert.is_true(support.now() - start >= 0.28)
      assert.equal("OK", boss:call("CLIENT", "PAUSE", 0))
      assert.equal("PONG", clients[1]:call("PING"))
    end)

    it("is not for ever, where Redis would count over the end of its numbers", function()
      local too_long = { err = "ERR timeout is out of range" }
      assert.same(too_long, boss:call("CLIENT", "PAUSE", "9223372036854775807"))
      assert.same(too_long, boss:call("CLIENT", "PAUSE", "9223372036854770000", "WRITE"))
      for _, client in ipairs(clients) do assert.is_number(client:call("INCR", "k")) end
    end)

    it("lets everything wait, if it shall", function()
      local start = support.now()
      boss:send(support.encode({ "CLIENT", "PAUSE", 400 }) .. support.encode({ "PING" }))
      assert.equal("OK", (boss:read()))
      for _, client in ipairs(clients) do client:command("GET", "k") end
      for _, client in ipairs(clients) do assert.equal("0", (client:read())) end
      assert.is_true(support.now() - start >= 0.38)
      assert.equal("PONG", (boss:read()))
    end)

    it("gets longer and stricter, never shorter", function()
      local start = support.now()
      boss:call("CLIENT", "PAUSE", 600, "WRITE")
      boss:call("CLIENT", "PAUSE", 1, "WRITE")
      clients[1]:command("INCR", "k")
      clients[1]:read()
      assert.is_true(support.now() - start >= 0.58)
    end)

    it("knows which commands may write", function()
      boss:call("CLIENT", "PAUSE", 60000, "WRITE")
      local one, count = clients[1], 0
      assert.same({ "OK", "QUEUED", { "0" } }, one:pipeline({ { "MULTI" }, { "GET", "k" }, { "EXEC" } }))
      assert.same({ "OK", "OK" }, one:pipeline({ { "WATCH", "k" }, { "UNWATCH" } }))
      assert.equal(1, one:call("EVAL_RO", "return 1", 0))
      for _, words in ipairs({
        { "PUBLISH", "c", "m" }, { "EVAL", "return 1", 0 }, { "PFCOUNT", "p" }, { "FLUSHALL" }, { "BLPOP", "l", 0.1 },
        { "MULTI" },
      }) do
        local client = nydus:client()
        client:command(unpack(words))
        if words[1] == "MULTI" then
          assert.equal("OK", (client:read()))
          client:command("SET", "k", "1")
        end
        count = count + 1
        until_blocked(count)
        clients[#clients + 1] = client
      end
      assert.equal("OK", boss:call("CLIENT", "UNPAUSE"))
      for i = #clients - count + 1, #clients do clients[i]:read() end
    end)

    it("lets a transaction wait that writes", function()
      local one = clients[#clients]
      one:pipeline({ { "MULTI" }, { "INCR", "k" } })
      boss:call("CLIENT", "PAUSE", 60000, "WRITE")
      one:command("EXEC")
      one:command("GET", "k")
      until_blocked(1)
      assert.equal("0", redis:call("GET", "k"))
      boss:call("CLIENT", "UNPAUSE")
      assert.same({ 1 }, (one:read()))
      assert.equal("1", (one:read()))
    end)

    it("notices clients that leave: nothing of theirs is run", function()
      boss:call("CLIENT", "PAUSE", 60000, "WRITE")
      for _, client in ipairs(clients) do client:command("INCR", "k") end
      until_blocked(#clients)
      for _, client in ipairs(clients) do client:close() end
      until_blocked(0)
      boss:call("CLIENT", "UNPAUSE")
      assert.equal("1", boss:call("INCR", "k") and boss:call("GET", "k"))
      assert.matches("nydus_orphaned:" .. #clients .. "\r", boss:call("INFO", "stats"))
    end)

    it("closes who is killed meanwhile", function()
      boss:call("CLIENT", "PAUSE", 60000, "WRITE")
      for _, client in ipairs(clients) do client:command("INCR", "k") end
      until_blocked(#clients)
      assert.equal(#clients, boss:call("CLIENT", "KILL", "TYPE", "normal"))
      for _, client in ipairs(clients) do client:expect_end() end
      assert.equal("0", redis:call("GET", "k"))
    end)

    it("takes much behind a waiting command", function()
      boss:call("CLIENT", "PAUSE", 60000, "WRITE")
      local one = clients[1]
      one:command("SET", "big", ("x"):rep(300000))
      one:try_send(support.encode({ "SET", "bigger", ("y"):rep(2000000) }))
      until_blocked(1)
      boss:call("CLIENT", "UNPAUSE")
      assert.equal("OK", (one:read()))
      assert.equal(300000, boss:call("STRLEN", "big"))
    end)

    it("fails in Redis's words", function()
      local plain = redis:client()
      redis.plain = false
      for _, words in ipairs({
        { "PAUSE" }, { "PAUSE", "x" }, { "PAUSE", "-1" }, { "PAUSE", "1", "x" }, { "PAUSE", "99999999999999999999" },
        { "UNPAUSE", "x" }, { "PAUSE", "1", "ALL", "x" },
      }) do
        assert.same(plain:call("CLIENT", unpack(words)), boss:call("CLIENT", unpack(words)), table.concat(words, " "))
      end
    end)
  end)
end

describe("CLIENT PAUSE and a worker that starts meanwhile", function()
  it("go together", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis }, workers = 2 } })
    local boss, old
    support.wait_until(function()
      local client = nydus:client()
      if client:call("CLIENT", "ID") % 1024 == 1 then boss = client else old = client end
      return boss and old
    end, 10, "a client of each worker")
    assert.equal("OK", boss:call("CLIENT", "PAUSE", 60000, "WRITE"))
    local pid = nydus:log():match("worker 2 is ready %(pid (%d+)%)")
    assert.equal(0, (support.run({ "sh", "-c", "kill -KILL " .. pid })))
    old:expect_end()
    local new
    support.wait_until(function()
      local client = nydus:client()
      client.timeout = 0.5
      local ok, id = pcall(client.call, client, "CLIENT", "ID")
      new = ok and id % 1024 == 2 and client
      return new
    end, 10, "a client of the new worker")
    new.timeout = 5
    new:command("INCR", "k")
    support.wait_until(function() return boss:call("CLIENT", "LIST"):find("flags=b", 1, true) end, 5, "a waiting client")
    assert.equal("OK", boss:call("CLIENT", "UNPAUSE"))
    assert.equal(1, (new:read()))
  end)
end)

describe("CLIENT PAUSE of one cluster", function()
  it("leaves the clients of others alone", function()
    local port, host = support.free_port(), support.redis().port
    local nydus = support.nydus({ config = ([[return { workers = 2, clusters = {
      a = { listen = $port, hosts = { "127.0.0.1:$host" } },
      b = { listen = %d, hosts = { "127.0.0.1:$host" } } } }]]):format(port), vars = { host = host } })
    local one, two = nydus:client(), support.client(port)
    assert.equal("OK", one:call("CLIENT", "PAUSE", 60000))
    assert.equal("OK", two:call("SET", "k", "1"))
    assert.equal("OK", two:call("CLIENT", "UNPAUSE"))
    one:command("GET", "k")
    assert.equal("1", two:call("GET", "k"))
    assert.equal("", one:pending())
  end)

  it("that a reload has dropped meanwhile ends in words", function()
    local port, host = support.free_port(), support.redis()
    local config = [[return { workers = 1, clusters = {
      a = { listen = $port, hosts = { "127.0.0.1:$host" } }, %s } }]]
    local b = ('b = { listen = %d, hosts = { "127.0.0.1:$host" } }'):format(port)
    local nydus = support.nydus({ config = config:format(b), vars = { host = host.port } })
    local staying, pauses, clients = nydus:client(), support.client(port), {}
    assert.equal("OK", pauses:call("CLIENT", "PAUSE", 60000, "WRITE"))
    for i, command in ipairs({ { "SET", "k", "1" }, { "BLPOP", "q", "0" }, { "MSET", "k", "1", "l", "2" }, { "FLUSHALL" } }) do
      clients[i] = support.client(port)
      clients[i]:command(unpack(command))
    end
    support.wait_until(function() return staying:call("INFO", "clients"):find("blocked_clients:4", 1, true) end, 5, "them to wait")
    nydus:write("config.lua", config:format(""))
    assert.equal("OK", staying:call("NYDUS", "RELOAD"))
    for _, client in ipairs(clients) do
      assert.same({ err = "ERR cluster 'b' is no longer configured" }, client:read())
    end
    assert.matches("blocked_clients:0", staying:call("INFO", "clients"))
  end)
end)
