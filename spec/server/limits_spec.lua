-- What one client may do, so that it cannot take from the others.

local support = require("support")
local pair = require("support.pair")

local PONG = { PING = "+PONG\r\n" }
local MB = 1024 * 1024

describe("limits", function()
  describe("max_clients", function()
    it("refuses one client more in Redis's words, and takes the next when one has left", function()
      local nydus = support.nydus({ config = { hosts = { support.redis() }, max_clients = 3 } })
      local clients = {}
      support.wait_until(function()
        clients[1] = nydus:client() -- the probe that waited for the port may still be there
        return pcall(clients[1].call, clients[1], "PING")
      end)
      for i = 2, 3 do
        clients[i] = nydus:client()
        assert.equal("PONG", clients[i]:call("PING"))
      end
      for _ = 1, 5 do nydus:client():expect_end("-ERR max number of clients reached\r\n") end
      assert.equal("PONG", clients[3]:call("PING"))
      assert.equal(5, pair.stats(clients[3]).clients_refused)
      clients[2]:close()
      support.wait_until(function()
        local one = nydus:client()
        return pcall(one.call, one, "PING")
      end)
    end)

    it("counts the clients of all workers together", function()
      local nydus = support.nydus({ config = { hosts = { support.redis() }, max_clients = 6, workers = 3 } })
      local clients, served = {}, 0
      for i = 1, 12 do
        clients[i] = nydus:client()
        local ok, reply = pcall(clients[i].call, clients[i], "PING")
        served = served + (ok and reply == "PONG" and 1 or 0)
      end
      assert.equal(6, served)
    end)
  end)

  describe("max_request", function()
    it("ends a client that sends more, having answered what came before; others go on", function()
      local redis = support.redis()
      local nydus = support.nydus({ config = { hosts = { redis }, max_request = "64kb" } })
      local client, other = nydus:client(), nydus:client()
      assert.equal("OK", client:call("SET", "k", ("x"):rep(65000)))
      client:command("GET", "none")
      client:send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$70000\r\n" .. ("y"):rep(1000))
      assert.equal(support.null, (client:read()))
      assert.matches("^ERR Protocol error: ", pair.error(client:read()))
      client:expect_end()
      assert.equal(65000, other:call("STRLEN", "k"))
    end)

    it("counts the whole request, not only its longest argument", function()
      local nydus = support.nydus({ config = { hosts = { support.redis() }, max_request = "64kb" } })
      local words = { "RPUSH", "k" }
      for i = 3, 100 do words[i] = ("x"):rep(1000) end
      local client = nydus:client()
      client:command(unpack(words))
      assert.matches("^ERR Protocol error: ", pair.error(client:read()))
      client:expect_end()
    end)
  end)

  describe("client_timeout", function()
    it("ends who is silent, be it in the middle of a request, and spares who waits for a host", function()
      local fake = support.fake({ auto = PONG })
      local nydus = pair.nydus(fake, support.redis(), { timeout = 4 }, { client_timeout = 1 })
      local idle, half, waiting, busy = nydus:client(), nydus:client(), nydus:client(), nydus:client()
      half:send("*2\r\n$3\r\nGET\r\n$1000\r\nabc")
      waiting:command("GET", "a")
      fake:expect("GET a")
      support.wait_until(function()
        assert.equal("PONG", busy:call("PING"))
        return idle:is_ended() and half:is_ended()
      end, 4, "the silent ones to be ended")
      fake:answer("$4\r\nlate\r\n")
      assert.equal("late", (waiting:read()))
    end)

    it("is off at 0: half a request costs little and may take its time", function()
      local nydus = support.nydus({ config = { hosts = { support.redis() } } })
      local worker = pair.worker(nydus)
      local before, slow = support.rss(worker), {}
      for i = 1, 200 do -- each promises 512 MB
        slow[i] = nydus:client()
        slow[i]:send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nx")
      end
      local client = nydus:client()
      support.wait_until(function() return client:call("INFO", "clients"):find("connected_clients:201", 1, true) end)
      local grown = support.rss(worker) - before
      assert.is_true(grown < (pair.sanitized and 100 or 16) * MB, "grew by " .. grown)
      slow[1]:send("yz")
      assert.equal("PONG", client:call("PING"))
    end)
  end)

  describe("max_reply_buffer", function()
    it("ends a client that asks for more than it reads, and nobody else", function()
      local redis = support.redis()
      local nydus = support.nydus({ config = { hosts = { redis }, max_reply_buffer = "8mb" } })
      local greedy, other = nydus:client({ receive_buffer = 65536 }), nydus:client()
      assert.equal("OK", other:call("SET", "big", ("x"):rep(MB)))
      -- in one write: what Nydus has read when the first reply comes is answered, what it has not, waits
      greedy:send(("*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n"):rep(64))
      support.wait_until(function()
        return other:call("INFO", "clients"):find("connected_clients:1\r", 1, true)
      end, 5, "the greedy one to be ended")
      assert.equal(MB, other:call("STRLEN", "big"))
    end)

    it("lets one reply pass that is larger", function()
      local redis = support.redis()
      local nydus = support.nydus({ config = { hosts = { redis }, max_reply_buffer = "1mb" } })
      local client = nydus:client()
      local value = ("0123456789"):rep(500000)
      redis:call("SET", "big", value)
      for _ = 1, 3 do assert.is_true(client:call("GET", "big") == value) end
    end)
  end)

  describe("a link's queue", function()
    it("is full at 512 MB; what is more is refused, the rest arrives", function()
      local a = support.redis({ fresh = true })
      local nydus = pair.nydus(a, support.redis(), { timeout = 30 })
      local worker = pair.worker(nydus)
      local client, other = nydus:client(), nydus:client()
      client.timeout = 20
      other:call("SET", "a", "1")
      a:pause()
      local value, count = ("v"):rep(8 * MB), 72
      for _ = 1, count do client:command("SETRANGE", "a:big", "0", value) end
      assert.equal("OK", other:call("SET", "b", "1"))
      support.wait_until(function() return pair.stats(other).errors > 0 end, 15, "a refusal")
      local rss = support.rss(worker)
      assert.is_true(rss < (pair.sanitized and 1100 or 700) * MB, ("has %d MB"):format(rss / MB))
      a:resume()
      local done, refused = 0, 0
      for _ = 1, count do
        local reply = client:read()
        if reply == #value then
          done = done + 1
        else
          assert.equal("ERR host alpha is busy: its queue is full", pair.error(reply))
          refused = refused + 1
        end
      end
      assert.equal(count, done + refused)
      assert.is_true(refused >= 4 and done >= 60, ("%d done, %d refused"):format(done, refused))
      assert.equal("1", other:call("GET", "a"))
    end)
  end)
end)
