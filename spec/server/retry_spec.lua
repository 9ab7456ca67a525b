-- Routers that leave a host that is down out of the choice, try its commands
-- elsewhere where that is safe, and take it back.

local support = require("support")
local pair = require("support.pair")

local PONG = { PING = "+PONG\r\n" }

local function start(router, hosts, more)
  local config = {
    router = router, hosts = hosts, retry_timeout = 1,
    defaults = { timeout = 0.4, connect_timeout = 0.3 },
  }
  for key, value in pairs(more or {}) do config[key] = value end
  return support.nydus({ config = config })
end

local function names(hosts)
  local out = {}
  for i, host in ipairs(hosts) do out[i] = host:address({ identifier = "host" .. i }) end
  return out
end

-- Which of the hosts has each of the keys k1 … kN, once they are all set.
local function places(client, hosts, count)
  local out = {}
  for i = 1, count do assert.equal("OK", client:call("SET", "k" .. i, "v")) end
  for number, host in ipairs(hosts) do
    for _, key in ipairs(host:call("KEYS", "*")) do out[key] = number end
    host:call("FLUSHALL")
  end
  return out
end

local function alive(client)
  local up = 0
  for _ in client:call("INFO", "hosts"):gmatch("state=up") do up = up + 1 end
  return up
end

-- Two fakes on a ring, and a key of the first.
local function fakes(more)
  local one, two = support.fake({ auto = PONG }), support.fake({ auto = PONG })
  local nydus = start("ketama", { one, two }, more)
  local client = nydus:client()
  one:accept()
  two:accept()
  support.wait_until(function()
    one:expect_silence(0.005)
    two:expect_silence(0.005)
    return alive(client) == 2
  end)
  for i = 1, 50 do
    client:command("GET", "k" .. i)
    local words = pcall(one.request, one, 0.05)
    if words then
      one:answer("$-1\r\n")
      client:read()
      return one, two, client, "k" .. i, nydus
    end
    two:request()
    two:answer("$-1\r\n")
    client:read()
  end
  error("no key for the first host")
end

describe("retry", function()
  describe("ketama", function()
    it("serves every key while a host is gone, and places them as before when it is back", function()
      local hosts = { support.redis(), support.redis(), support.redis() }
      local nydus = start("ketama", names(hosts))
      local client = nydus:client()
      local before = places(client, hosts, 60)
      hosts[2]:stop()
      local without = places(client, { hosts[1], hosts[3] }, 60)
      for key, place in pairs(before) do
        if place ~= 2 then assert.equal(place, place == 1 and without[key] or without[key] + 1, key) end
      end
      hosts[2]:restart()
      local back = support.now()
      nydus:wait_log("host host2 of cluster main is taken back", 5)
      assert.is_true(support.now() - back < 3)
      assert.same(before, places(client, hosts, 60))
    end)

    it("tries a command elsewhere that has not been sent, be it read or write", function()
      local one, two, client, key = fakes()
      one:down()
      client:command("SET", key, "1")
      client:command("GET", key)
      two:expect("SET " .. key .. " 1")
      two:expect("GET " .. key)
      two:answer("+OK\r\n$1\r\n1\r\n")
      assert.equal("OK", (client:read()))
      assert.equal("1", (client:read()))
    end)

    it("tries a read elsewhere that was sent, but never a write", function()
      local one, two, client, key = fakes()
      client:command("INCR", key)
      client:command("GET", key)
      one:expect("INCR " .. key)
      one:expect("GET " .. key)
      one:reset_link()
      one:down()
      two:expect("GET " .. key)
      two:answer("$4\r\nread\r\n")
      assert.matches("; the command may have run$", pair.error(client:read()))
      assert.equal("read", (client:read()))
      two:expect_silence(0.05)
      assert.equal("1", pair.stats(client).retries .. "")
    end)

    it("tries nothing elsewhere that timed out", function()
      local one, two, client, key = fakes()
      client:command("GET", key)
      one:expect("GET " .. key)
      assert.matches("did not answer within", pair.error(client:read()))
      two:expect_silence(0.05)
    end)

    it("tries the parts of a split command elsewhere", function()
      local hosts = { support.redis(), support.redis(), support.redis() }
      local client = start("ketama", names(hosts)):client()
      places(client, hosts, 1)
      hosts[1]:stop()
      local words, values = { "MSET" }, { "MGET" }
      for i = 1, 30 do
        words[#words + 1], words[#words + 2] = "k" .. i, tostring(i)
        values[i + 1] = "k" .. i
      end
      assert.equal("OK", client:call(unpack(words)))
      for i, value in ipairs(client:call(unpack(values))) do assert.equal(tostring(i), value) end
    end)

    it("takes a silent host out, too", function()
      local one, two, client, key, nydus = fakes()
      client:command("GET", key)
      one:expect("GET " .. key)
      assert.matches("did not answer within", pair.error(client:read()))
      nydus:wait_log("marked down for 1 s: it does not answer in time")
      client:command("GET", key)
      two:expect("GET " .. key)
      two:answer("$-1\r\n")
      assert.equal(support.null, (client:read()))
    end)

    it("says HostListExhausted when no host is left, and goes on with the first that returns", function()
      local hosts = { support.redis(), support.redis() }
      local client = start("ketama", names(hosts)):client()
      places(client, hosts, 1)
      for _, host in ipairs(hosts) do host:stop() end
      support.wait_until(function()
        return pair.error(client:call("SET", "k", "v")):find("HostListExhausted", 1, true)
      end)
      for _, words in ipairs({ { "GET", "k" }, { "MGET", "a", "b", "c" }, { "MSET", "a", "1", "b", "2" } }) do
        assert.equal("ERR HostListExhausted: no host of cluster main is up (2 of 2 are down)",
          pair.error(client:call(unpack(words))))
      end
      hosts[2]:restart()
      pair.until_reply(client, { "SET", "k", "v" }, "OK", 5)
    end)

    it("stays with one host, when there is only one", function()
      local host = support.redis()
      local client = start("ketama", { host }):client()
      assert.equal("OK", client:call("SET", "k", "v"))
      host:stop()
      client:call("GET", "k")
      assert.matches("^ERR HostListExhausted: .*1 of 1", pair.error(client:call("GET", "k")))
      host:restart()
      pair.until_reply(client, { "SET", "k", "v" }, "OK", 5)
    end)

    it("keeps a host until failure_limit failures have come in a row", function()
      local hosts = { support.redis(), support.redis() }
      local nydus = start("ketama", names(hosts), { failure_limit = 3 })
      local client = nydus:client()
      local before = places(client, hosts, 40)
      hosts[1]:stop()
      local failed = 0
      for key, place in pairs(before) do
        if place == 1 and pair.error(client:call("GET", key)):find("host1 is down", 1, true) then
          failed = failed + 1
        end
      end
      assert.is_true(failed > 0)
      nydus:wait_log("host1 of cluster main is marked down")
      for key in pairs(before) do assert.equal(support.null, client:call("GET", key)) end
    end)

    it("forgets a failure when the link works again", function()
      local fake = support.fake({ auto = PONG })
      local nydus = start("ketama", { fake }, { failure_limit = 2 })
      local client = nydus:client()
      for _ = 1, 3 do
        client:command("INCR", "k")
        fake:expect("INCR k")
        fake:reset_link()
        assert.matches("; the command may have run$", pair.error(client:read()))
        pair.until_up(client, fake, "k")
      end
      assert.is_nil(nydus:log():find("marked down", 1, true))
    end)

    it("raises instead, with eject = false", function()
      local hosts = { support.redis(), support.redis() }
      local client = start({ "ketama", eject = false }, names(hosts)):client()
      local before = places(client, hosts, 40)
      hosts[1]:stop()
      for key, place in pairs(before) do
        local reply = client:call("GET", key)
        if place == 1 then
          assert.matches("^ERR host host1 is down: ", pair.error(reply))
        else
          assert.equal(support.null, reply)
        end
      end
    end)
  end)

  describe("round_robin", function()
    it("passes over a host that is gone, and takes it back", function()
      local hosts = { support.redis(), support.redis(), support.redis() }
      local nydus = start("round_robin", names(hosts))
      local client = nydus:client()
      hosts[3]:stop()
      for _ = 1, 30 do assert.equal("OK", client:call("SET", "k", "v")) end
      hosts[3]:restart()
      nydus:wait_log("host host3 of cluster main is taken back", 5)
      support.wait_until(function()
        client:call("SET", "k", "v")
        return hosts[3]:call("GET", "k") == "v"
      end, 3, "a command for the third host")
    end)
  end)

  describe("modulus", function()
    it("raises, as Nydus does", function()
      local hosts = { support.redis(), support.redis() }
      local client = start("modulus", names(hosts)):client()
      local before = places(client, hosts, 20)
      hosts[1]:stop()
      for key, place in pairs(before) do
        local reply = client:call("SET", key, "v")
        if place == 1 then
          assert.matches("^ERR host host1 is down: ", pair.error(reply))
        else
          assert.equal("OK", reply)
        end
      end
      hosts[1]:restart()
      for key in pairs(before) do pair.until_reply(client, { "SET", key, "v" }, "OK", 3) end
    end)
  end)

  describe("no router", function()
    it("puts the error of the host that is gone beside the others' replies", function()
      local hosts = { support.redis(), support.redis(), support.redis() }
      local client = start("all", names(hosts)):client()
      hosts[2]:stop()
      local reply = client:call("INCR", "foo")
      assert.equal(1, reply[1])
      assert.matches("^ERR host host2 is down: ", pair.error(reply[2]))
      assert.equal(1, reply[3])
    end)
  end)
end)
