-- Links that speak RESP3: when they are opened, what they say first, what hosts
-- may send over them, and hosts that do not speak it.

local support = require("support")

local HELLO = "%1\r\n$5\r\nproto\r\n:3\r\n"
local GREETED = { PING = "+PONG\r\n", HELLO = HELLO, SELECT = "+OK\r\n", AUTH = "+OK\r\n" }
local UNKNOWN = "ERR unknown command `HELLO`, with args beginning with: `3`, "

-- Hosts do something only while they are asked: until the client has a reply.
local function wait_reply(client, ...)
  local hosts = { ... }
  support.wait_until(function()
    for _, host in ipairs(hosts) do host:expect_silence(0.005) end
    return #client:pending() > 0
  end, 5, "the reply")
  return client:read()
end

local function resp3(nydus, ...)
  local client = nydus:client()
  client:command("HELLO", "3")
  assert.is_table(wait_reply(client, ...).map)
  return client
end

-- Asks until a host that has been lost answers again.
local function wait_back(client, host)
  support.wait_until(function()
    client:command("GET", "back")
    if pcall(host.expect, host, "GET back", 0.05) then host:answer("_\r\n") end
    return client:read() == support.null
  end, 5, "the host to be back")
end

local function over(...)
  return support.nydus({ config = { router = { "modulus", hash = "crc32" }, hosts = { ... } } })
end

-- A key whose command goes to the host, found by trying.
local function key_of(client, host, others)
  for i = 1, 100 do
    local key = "k" .. i
    client:command("GET", key)
    local other = others[1]
    local found
    support.wait_until(function()
      for _, one in ipairs({ host, other }) do
        local ok = pcall(one.expect, one, "GET " .. key, 0.01)
        if ok then
          one:answer("_\r\n")
          found = one
          return true
        end
      end
    end, 5, "the command")
    client:read()
    if found == host then return key end
  end
end

describe("resp3 link", function()
  describe("to a host", function()
    it("is opened when a client needs it, and greets in order", function()
      local host = support.fake()
      local nydus = support.nydus({ config = { hosts = { host:address({ db = 2, user = "u", password = "p" }) } } })
      for _, words in ipairs({ "AUTH u p", "SELECT 2", "PING" }) do
        host:expect(words)
        host:answer("+OK\r\n")
      end
      local client = nydus:client()
      assert.equal("PONG", client:call("PING"))
      host:expect_silence()
      client:command("HELLO", "3")
      local link = host:expect("AUTH u p")
      assert.equal(2, #host:links())
      assert.equal(link, host:expect("HELLO 3"))
      assert.equal(link, host:expect("SELECT 2"))
      assert.equal(link, host:expect("PING"))
      host:answer("+OK\r\n" .. HELLO .. "+OK\r\n+PONG\r\n")
      assert.equal(link, host:expect("PING")) -- the probe
      host:answer("+PONG\r\n")
      assert.is_table(client:read().map)
      client:command("GET", "k")
      assert.equal(link, host:expect("GET k"))
      host:answer("_\r\n")
      assert.equal(support.null, client:read())
      assert.is_table(nydus:client():call("HELLO", "3").map) -- known by now
      host:expect_silence()
    end)

    it("waits until what came before HELLO is answered", function()
      local host = support.fake({ auto = GREETED })
      local client = over(host):client()
      client:command("SET", "k", "v")
      local first = host:expect("SET k v")
      client:command("HELLO", "3")
      client:command("GET", "k")
      host:expect_silence()
      host:answer("+OK\r\n", first)
      assert.equal("OK", client:read())
      assert.not_equal(first, host:expect("GET k"))
      host:answer("$1\r\nv\r\n")
      assert.is_table(client:read().map)
      assert.equal("v", client:read())
    end)

    it("waits at RESET and SELECT in the same way", function()
      local host = support.fake({ auto = GREETED })
      local nydus = over(host)
      for _, words in ipairs({ { "RESET" }, { "SELECT", "1" }, { "HELLO", "2" } }) do
        local client = resp3(nydus, host)
        client:command("SET", "k", "v")
        client:command(unpack(words))
        client:command("GET", "k")
        host:expect("SET k v")
        host:expect_silence(0.05)
        host:answer("+OK\r\n")
        host:expect("GET k")
        host:answer("$1\r\nv\r\n")
        assert.equal("OK", client:read())
        client:read()
        assert.equal("v", client:read())
      end
    end)

    it("survives a client that leaves while the host is asked", function()
      local host = support.fake()
      local nydus = over(host)
      host:expect("PING")
      host:answer("+PONG\r\n")
      local client = nydus:client()
      client:command("HELLO", "3")
      host:expect("HELLO 3")
      client:reset()
      host:expect("PING")
      host:answer(HELLO .. "+PONG\r\n")
      host:expect("PING")
      host:answer("+PONG\r\n")
      assert.is_table(nydus:client():call("HELLO", "3").map)
    end)
  end)

  describe("to a host without RESP3", function()
    for _, words in ipairs({ UNKNOWN, "NOPROTO unsupported protocol version" }) do
      it("makes HELLO 3 fail in the host's words: " .. words:match("^%S+"), function()
        local host = support.fake({ auto = { PING = "+PONG\r\n", HELLO = "-" .. words .. "\r\n" } })
        local client = over(host):client()
        client:command("HELLO", "3", "SETNAME", "x")
        assert.same({ err = words }, wait_reply(client, host))
        assert.matches(" name= .* resp=2 ", client:call("CLIENT", "INFO"))
        client:command("GET", "k")
        host:expect("GET k")
        host:answer("$-1\r\n")
        assert.equal("$-1\r\n", (select(2, client:read())))
        assert.equal(2, client:call("HELLO", "2")[6])
      end)
    end

    it("fails its commands only, when another host speaks it", function()
      local new, old = support.fake({ auto = GREETED }), support.fake({ auto = { PING = "+PONG\r\n" } })
      local nydus = over(new, old)
      local plain = nydus:client()
      local key = key_of(plain, old, { new })
      old.auto.HELLO = "-" .. UNKNOWN .. "\r\n"
      local client = resp3(nydus, new)
      client:command("GET", key)
      assert.matches("^ERR host %S+ is down: HELLO 3 refused: ERR unknown command", wait_reply(client, old).err)
      plain:command("GET", key)
      old:expect("GET " .. key)
      old:answer("$1\r\nv\r\n")
      assert.equal("v", plain:read())
      assert.matches("host1:[^\r\n]*state=up", plain:call("INFO", "hosts"))
    end)

    it("lets HELLO 3 pass, when it cannot be asked", function()
      local host = support.fake({ auto = GREETED })
      local nydus = over(host)
      host:down()
      local client = nydus:client()
      support.wait_until(function() return client:call("GET", "k").err end, 5, "the host to be away")
      assert.is_table(client:call("HELLO", "3").map)
      assert.matches("^ERR host %S+ is down: ", client:call("GET", "k").err)
      host:up()
      wait_back(client, host)
    end)
  end)

  describe("passes", function()
    local host, client

    before_each(function()
      host = support.fake({ auto = GREETED })
      client = resp3(over(host), host)
    end)

    local replies = {
      "_\r\n", "#t\r\n", "#f\r\n", ",1.5\r\n", ",inf\r\n", ",-inf\r\n", ",nan\r\n", ",-1e+300\r\n",
      "(-3492890328409238509324850943850943825024385\r\n", "=16\r\ntxt:Some\r\nstring\r\n", "!9\r\nSYNTAX x\n\r\n",
      "~3\r\n:1\r\n$1\r\na\r\n_\r\n", "%2\r\n+k\r\n*1\r\n~1\r\n#t\r\n*2\r\n:1\r\n:2\r\n,0.5\r\n", "%0\r\n", "~0\r\n",
      "|1\r\n+ttl\r\n:3600\r\n$1\r\nv\r\n", "*2\r\n|1\r\n+a\r\n%1\r\n:1\r\n:2\r\n$1\r\nv\r\n:2\r\n",
      "|1\r\n$3\r\nkey\r\n|1\r\n+deep\r\n#t\r\n:1\r\n_\r\n", "*-1\r\n", "$-1\r\n",
    }

    it("every type, whole and byte by byte", function()
      for _, bytes in ipairs(replies) do
        client:command("GET", "k")
        client:command("GET", "l")
        host:expect("GET k")
        host:answer(bytes)
        host:expect("GET l")
        host:drip(bytes)
        assert.equal(bytes .. bytes, client:read_raw(2 * #bytes))
      end
    end)

    for name, bytes in pairs({
      ["a push"] = ">2\r\n+message\r\n+x\r\n", ["a streamed string"] = "$?\r\n;1\r\na\r\n;0\r\n",
      ["a streamed array"] = "*?\r\n:1\r\n.\r\n", ["a push inside a reply"] = "*1\r\n>1\r\n+x\r\n",
      ["a boolean that is none"] = "#x\r\n", ["an attribute behind nothing"] = "+OK\r\n|1\r\n+a\r\n+b\r\n+c\r\n",
    }) do
      it("nothing of a host that sends " .. name, function()
        client:command("INCR", "k")
        host:expect("INCR k")
        local link = host.link
        host:answer(bytes)
        local reply = client:read()
        if reply ~= "OK" then
          assert.matches("^ERR host %S+ is down: it sent a .*; the command may have run", reply.err)
        end
        support.wait_until(function()
          for _, one in ipairs(host:links()) do
            if one == link then return false end
          end
          return true
        end, 5, "the link to be closed")
        wait_back(client, host)
      end)
    end
  end)

  describe("of several hosts", function()
    local a, b, client

    before_each(function()
      a, b = support.fake({ auto = GREETED }), support.fake({ auto = GREETED })
      client = resp3(over(a, b), a, b)
    end)

    -- What the client gets when all hosts are asked and answer so.
    local function joined(words, first, second)
      client:command(unpack(words))
      a:expect(words)
      a:answer(first)
      b:expect(words)
      b:answer(second)
      return (select(2, client:read()))
    end

    it("joins sets, maps and arrays end to end", function()
      assert.equal("~3\r\n+a\r\n+b\r\n+c\r\n", joined({ "KEYS", "*" }, "~2\r\n+a\r\n+b\r\n", "~1\r\n+c\r\n"))
      assert.equal("%2\r\n+a\r\n:1\r\n+b\r\n_\r\n", joined({ "KEYS", "*" }, "%1\r\n+a\r\n:1\r\n", "%1\r\n+b\r\n_\r\n"))
      assert.equal("*1\r\n_\r\n", joined({ "KEYS", "*" }, "*0\r\n", "*1\r\n_\r\n"))
      assert.equal("*2\r\n~0\r\n%0\r\n", joined({ "KEYS", "*" }, "~0\r\n", "%0\r\n"))
    end)

    it("joins without the attributes of single hosts", function()
      local attribute = "|1\r\n+ttl\r\n*1\r\n:1\r\n"
      assert.equal(":5\r\n", joined({ "DBSIZE" }, attribute .. ":2\r\n", attribute .. attribute .. ":3\r\n"))
      assert.equal("*2\r\n+a\r\n+b\r\n", joined({ "KEYS", "*" }, attribute .. "*1\r\n+a\r\n", "*1\r\n+b\r\n"))
      assert.equal("*2\r\n:1\r\n:0\r\n", joined({ "SCRIPT", "EXISTS", "x", "y" }, "*2\r\n:1\r\n:1\r\n",
        attribute .. "*2\r\n:1\r\n:0\r\n"))
    end)

    it("knows errors of any bytes", function()
      assert.equal("-ERR bad ('keys' was done on 1 of 2 hosts)\r\n",
        joined({ "KEYS", "*" }, "!12\r\nERR bad\nmore\r\n", "*0\r\n"))
    end)

    it("gives all replies, when they do not fit", function()
      assert.equal("*2\r\n,1.5\r\n:1\r\n", joined({ "DBSIZE" }, ",1.5\r\n", ":1\r\n"))
      assert.equal("*2\r\n*1\r\n$1\r\n1\r\n*1\r\n:1\r\n",
        joined({ "SCRIPT", "EXISTS", "x" }, "*1\r\n$1\r\n1\r\n", "*1\r\n:1\r\n"))
    end)
  end)
end)
