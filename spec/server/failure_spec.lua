-- What a client sees of a host that is in trouble: an error or a reply in
-- time, never silence; and nobody else sees anything.

local support = require("support")
local pair = require("support.pair")

local PONG = { PING = "+PONG\r\n" }

describe("failure", function()
  describe("a host that refuses connections", function()
    it("fails its commands at once and by name, and leaves the others alone", function()
      local nydus = pair.nydus(pair.nobody(), support.redis())
      local client = nydus:client()
      local start = support.now()
      for _ = 1, 20 do
        assert.equal("ERR host alpha is down: Connection refused", pair.error(client:call("GET", "a")))
        assert.equal("OK", client:call("SET", "b", "1"))
      end
      assert.is_true(support.now() - start < 1)
    end)

    it("stands beside good replies in one pipeline, in order", function()
      local client = pair.nydus(pair.nobody(), support.redis()):client()
      client:call("SET", "b", "1")
      local replies = client:pipeline({ { "GET", "b" }, { "GET", "a" }, { "PING" }, { "GET", "a2" }, { "INCR", "b" } })
      assert.equal("1", replies[1])
      assert.matches("^ERR host alpha is down: ", pair.error(replies[2]))
      assert.equal("PONG", replies[3])
      assert.matches("^ERR host alpha is down: ", pair.error(replies[4]))
      assert.equal(2, replies[5])
    end)

    it("makes one error of a command for two hosts, and says what was done", function()
      local client = pair.nydus(pair.nobody(), support.redis()):client()
      local text = pair.error(client:call("MSET", "a", "1", "b", "2", "b2", "3"))
      assert.matches("^ERR host alpha is down: .*%('mset' was done for 2 of 3 keys%)$", text)
      assert.matches("^ERR host alpha is down", pair.error(client:call("MGET", "a", "b")))
      assert.equal("2", client:call("GET", "b"))
    end)
  end)

  describe("a host that is stopped", function()
    it("fails what waits for it in time, while the other host serves", function()
      local a, b = support.redis(), support.redis()
      local nydus = pair.nydus(a, b, { timeout = 1.5 })
      local client, other = nydus:client(), nydus:client()
      client:call("SET", "a", "1")
      a:pause()
      local start = support.now()
      client:command("GET", "a")
      for i = 1, 50 do assert.equal(i, other:call("INCR", "b")) end
      assert.is_true(support.now() - start < 1.4)
      assert.equal("ERR host alpha did not answer within 1.5 s; the command may still run", pair.error(client:read()))
      assert.is_true(support.now() - start < 2.6)
      a:resume()
      pair.until_reply(client, { "GET", "a" }, "1")
    end)

    it("is known to be down before anybody asks again, and is used when it goes on", function()
      local a, b = support.redis(), support.redis()
      local nydus = pair.nydus(a, b, { timeout = 0.6, connect_timeout = 0.6 })
      local client = nydus:client()
      client:call("SET", "a", "1")
      a:pause()
      client:call("GET", "a")
      nydus:wait_log("link to host alpha of cluster main: it has been silent for too long", 3)
      nydus:wait_log("link to host alpha of cluster main: no answer to the greeting in time", 3)
      local start = support.now()
      assert.matches("^ERR host alpha is down: ", pair.error(client:call("GET", "a")))
      assert.is_true(support.now() - start < 0.5)
      a:resume()
      pair.until_reply(client, { "GET", "a" }, "1")
    end)

    it("is found out, also under steady traffic", function()
      local a, b = support.redis(), support.redis()
      local nydus = pair.nydus(a, b, { timeout = 0.3, connect_timeout = 0.2 })
      local client = nydus:client()
      client:call("SET", "a", "1")
      a:pause()
      local lost = false
      support.wait_until(function()
        client:command("GET", "a")
        lost = lost or nydus:log():find("silent for too long", 1, true)
        return lost
      end, 2, "the link to be given up")
    end)
  end)

  describe("a host that takes no connection", function()
    it("fails its commands when connect_timeout is over, and then at once", function()
      local host, close = pair.blackhole()
      local nydus = pair.nydus(host, support.redis(), { timeout = 5, connect_timeout = 1 })
      local client, other = nydus:client(), nydus:client()
      local start = support.now()
      client:command("GET", "a")
      assert.equal("OK", other:call("SET", "b", "1"))
      assert.equal("ERR host alpha is down: connect timed out", pair.error(client:read()))
      assert.is_true(support.now() - start < 2)
      local slowest, first = 0, support.now()
      support.wait_until(function() -- long enough for further attempts to connect
        start = support.now()
        assert.matches("^ERR host alpha is down: ", pair.error(client:call("GET", "a")))
        slowest = math.max(slowest, support.now() - start)
        return support.now() - first > 2
      end)
      close()
      assert.is_true(slowest < 0.7, "waited " .. slowest)
    end)
  end)

  describe("a host that breaks the connection", function()
    it("fails what was sent, by RST and by FIN, and what follows works", function()
      for _, how in ipairs({ "reset_link", "close_link" }) do
        local fake = support.fake({ auto = PONG })
        local client = pair.nydus(fake, support.redis()):client()
        client:command("INCR", "a")
        client:command("GET", "b")
        client:command("GET", "a")
        fake:expect("INCR a")
        fake:expect("GET a")
        fake[how](fake)
        assert.matches("^ERR host alpha is down: .*; the command may have run$", pair.error(client:read()))
        assert.equal(support.null, (client:read()))
        assert.matches("^ERR host alpha is down: ", pair.error(client:read()))
        pair.until_up(client, fake, "a")
      end
    end)

    it("is asked again with the next command, when it closes after each request", function()
      local fake = support.fake({ auto = PONG })
      local client = pair.nydus(fake, support.redis()):client()
      for i = 1, 10 do
        client:command("INCR", "a")
        fake:expect("INCR a")
        fake:answer((":%d\r\n"):format(i))
        fake:close_link()
        assert.equal(i, (client:read()))
        fake:accept() -- it is back by itself
        fake:expect_silence(0.01)
      end
    end)
  end)

  describe("a host that answers garbage", function()
    local garbage = {
      { "HTTP/1.1 400 Bad Request\r\n\r\n", "garbled reply" },
      { "$-2\r\n", "garbled reply" },
      { "*1\r\n$3\r\nabcd\r\n", "garbled reply" },
      { ":12a\r\n", "garbled reply" },
      { ">2\r\n+a\r\n+b\r\n", "nobody asked for" },
    }

    it("is left, and no byte of it reaches a client", function()
      for _, case in ipairs(garbage) do
        local fake = support.fake({ auto = PONG })
        local client = pair.nydus(fake, support.redis()):client()
        client:command("GET", "a")
        fake:expect("GET a")
        fake:answer(case[1])
        local text = pair.error(client:read())
        assert.matches("^ERR host alpha is down: it sent a ", text)
        assert.matches(case[2], text)
        assert.equal(support.null, client:call("GET", "b"))
      end
    end)

    it("is left, when it says one thing too many", function()
      local fake = support.fake({ auto = PONG })
      local nydus = pair.nydus(fake, support.redis())
      local client = nydus:client()
      client:command("GET", "a")
      fake:expect("GET a")
      fake:answer("$3\r\none\r\n$3\r\ntwo\r\n")
      assert.equal("one", (client:read()))
      nydus:wait_log("a reply that nobody asked for")
      pair.until_up(client, fake, "a")
    end)
  end)

  describe("a host that a reload has taken away", function()
    local port = support.free_port()
    local function config(hosts)
      return { listen = "127.0.0.1:" .. port, router = { "first", eject = false }, hosts = hosts,
        defaults = { timeout = 0.8, connect_timeout = 0.2 } }
    end

    it("fails what it still owes, in whatever way it ends, and is forgotten", function()
      local b = support.redis()
      for _, ending in ipairs({ "silence", "reset_link", "close_link", "answer" }) do
        local a, idle = support.fake({ auto = PONG }), support.fake({ auto = PONG })
        local nydus = support.nydus({ port = port, config = config({ a, idle, b }) })
        local client, gone = nydus:client(), nydus:client()
        for _ = 1, 3 do
          for _, one in ipairs({ client, gone }) do
            one:command("GET", "k")
            a:expect("GET k")
          end
        end
        gone:reset()
        nydus:write("config.lua", config({ b }))
        nydus:hup()
        nydus:wait_log("generation 2")
        if ending == "answer" then
          a:answer(("$1\r\nv\r\n"):rep(6))
        elseif ending ~= "silence" then
          a[ending](a)
        end
        for _ = 1, 3 do
          local reply = client:read()
          assert.is_true(ending == "answer" and reply == "v" or pair.error(reply):find("^ERR host redis://") ~= nil)
        end
        assert.equal(support.null, client:call("GET", "k"))
        support.wait_until(function() return #a:links() == 0 and #idle:links() == 0 end, 3, "the links to be closed")
        nydus:stop()
      end
    end)
  end)

  describe("an error of one command", function()
    local errors = {
      "LOADING Redis is loading the dataset in memory", "OOM command not allowed when used memory > 'maxmemory'.",
      "BUSY Redis is busy running a script.", "MASTERDOWN Link with MASTER is down", "NOREPLICAS Not enough",
      "READONLY You can't write against a read only replica.", "CLUSTERDOWN Hash slot not served",
      "TRYAGAIN Multiple keys request during rehashing of slot", "MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381",
      "ERR anything",
    }

    it("goes to its client only, and the link stays", function()
      local fake = support.fake({ auto = PONG })
      local nydus = support.nydus({ config = { router = "ketama", hosts = { fake } } })
      local one, two = nydus:client(), nydus:client()
      for _, text in ipairs(errors) do
        one:command("SET", "a", "1")
        local link = fake:expect("SET a 1")
        two:command("GET", "a")
        assert.equal(link, fake:expect("GET a"))
        fake:answer("-" .. text .. "\r\n$1\r\nv\r\n")
        assert.same({ err = text }, (one:read()))
        assert.equal("v", (two:read()))
      end
      assert.equal(1, #fake:links())
    end)

    it("of a real host out of memory is one, too", function()
      local redis = support.redis({ maxmemory = 1 })
      local nydus = support.nydus({ config = { router = "ketama", hosts = { redis } } })
      local one, two = nydus:client(), nydus:client()
      assert.matches("^OOM ", pair.error(one:call("SET", "k", ("x"):rep(100))))
      assert.equal(support.null, two:call("GET", "k"))
      assert.equal(support.null, one:call("GET", "k"))
    end)

    it("of a real replica is one, too", function()
      local redis = support.redis({ fresh = true, replicaof = "127.0.0.1 1" })
      local nydus = support.nydus({ config = { router = "ketama", hosts = { redis } } })
      local one, two = nydus:client(), nydus:client()
      assert.matches("^READONLY ", pair.error(one:call("SET", "k", "v")))
      assert.equal(support.null, two:call("GET", "k"))
    end)
  end)

  describe("the counters", function()
    it("add up after all kinds of trouble", function()
      local a, b = support.redis(), support.redis()
      local nydus = pair.nydus(a, b, { timeout = 0.2, connect_timeout = 0.2 })
      local client = nydus:client()
      client:pipeline({ { "SET", "a", "1" }, { "SET", "b", "1" }, { "MGET", "a", "b" }, { "NOSUCH" }, { "GET" } })
      a:pause()
      local gone = nydus:client()
      for _ = 1, 10 do gone:command("GET", "a") end
      support.wait_until(function() return pair.stats(client).requests >= 15 end, 1, "its requests")
      gone:reset()
      client:pipeline({ { "GET", "a" }, { "GET", "b" }, { "MSET", "a", "1", "b", "2" } })
      local bad = nydus:client()
      bad:send("*x\r\n")
      bad:read_to_end()
      local http = nydus:client()
      http:send("POST / HTTP/1.0\r\n\r\n")
      http:read_to_end()
      a:kill()
      client:call("GET", "a")
      support.wait_until(function()
        local field = pair.stats(client)
        -- the INFO itself is not answered yet; a protocol error is a reply without a command
        field.sum = field.requests - 1 + field.protocol_errors == field.replies + field.orphaned
        return field.sum and field.timeouts >= 2 and field.orphaned == 11 and field.protocol_errors == 1
      end, 3, "requests = replies + orphaned")
    end)
  end)
end)
