-- Whose reply is whose: order, deadlines, stray replies, clients that leave.

local support = require("support")
local sys = require("support.sys")

local null, encode = support.null, support.encode
local PONG = { auto = { PING = "+PONG\r\n" } }

local function bulk(text)
  return ("$%d\r\n%s\r\n"):format(#text, text)
end

local function server(hosts, more)
  local config = { router = "modulus", hosts = hosts }
  for key, value in pairs(more or {}) do config[key] = value end
  return support.nydus({ config = config })
end

describe("ordering", function()
  it("is the client's, when one of three hosts is slow", function()
    local slow, b, c = support.redis({ databases = 1 }), support.redis(), support.redis()
    local client = server({ slow, b, c }):client()
    local expected, gets = {}, {}
    for i = 1, 1000 do
      client:command("SET", "key:" .. i, "value " .. i)
      gets[i] = encode({ "GET", "key:" .. i })
      expected[i] = "value " .. i
    end
    for _ = 1, 1000 do client:read() end
    local direct = slow:client()
    direct:command("DEBUG", "SLEEP", "0.2")
    client:send(table.concat(gets), true)
    for i = 1, 1000 do assert.equal(expected[i], (client:read())) end
    assert.is_true(tonumber(slow:call("DBSIZE")) > 100)
  end)

  it("holds for two identical commands in one pipeline: each gets its own reply", function()
    local host = support.fake(PONG)
    local client = server({ host }):client()
    client:send(encode({ "LPOP", "list" }) .. encode({ "LPOP", "list" }) .. encode({ "LPOP", "list" }))
    for i = 1, 3 do
      host:expect("LPOP list")
      host:answer(bulk("element " .. i))
    end
    assert.same({ "element 1", "element 2", "element 3" }, { client:read(), client:read(), (client:read()) })
  end)

  it("does not keep a reply back for long, when the next of its pipeline is late", function()
    local host = support.fake(PONG)
    local client = server({ host }):client()
    client:send(encode({ "LPOP", "list" }) .. encode({ "LPOP", "list" }) .. encode({ "LPOP", "list" }))
    for _ = 1, 3 do host:expect("LPOP list") end
    for i = 1, 3 do
      host:answer(bulk("element " .. i))
      assert.equal("element " .. i, (client:read()))
    end
  end)

  it("survives clients that leave while a reply is kept back for them", function()
    local host = support.fake(PONG)
    local nydus = server({ host })
    for _ = 1, 20 do
      local client = nydus:client()
      client:send(encode({ "LPOP", "list" }) .. encode({ "LPOP", "list" }))
      host:expect("LPOP list")
      host:expect("LPOP list")
      host:answer(bulk("first"))
      client:close()
      host:answer(bulk("second"))
    end
    assert.equal("PONG", nydus:client():call("PING"))
  end)

  it("lets a client read what it wrote, over several links to one host", function()
    local redis = support.redis()
    local nydus = server({ redis:address({ connections = 4 }) })
    for _ = 1, 8 do
      local client, commands = nydus:client(), {}
      for i = 1, 100 do
        commands[2 * i - 1] = { "SET", "mine", i }
        commands[2 * i] = { "GET", "mine" }
      end
      local replies = client:pipeline(commands)
      for i = 1, 100 do assert.equal(tostring(i), replies[2 * i]) end
      client:close()
    end
  end)

  describe("a reply that comes after its deadline", function()
    it("is swallowed, and the others on the link get theirs", function()
      local host = support.fake(PONG)
      local nydus = server({ host:address({ timeout = 0.3 }) })
      local late, patient = nydus:client(), nydus:client()
      late:command("GET", "late")
      local link = host:expect("GET late")
      local _, raw = late:read()
      assert.matches("^%-ERR host .* did not answer within 0.3 s", raw)
      patient:command("GET", "patient")
      host:expect("GET patient")
      host:answer(bulk("too late") .. bulk("in time"), link)
      assert.equal("in time", (patient:read()))
      late:command("GET", "again")
      assert.equal(link, host:expect("GET again"))
      host:answer(bulk("new"))
      assert.equal("new", (late:read()))
      assert.equal("", late:pending())
    end)

    it("in the middle of its bytes: its rest is never taken for another reply", function()
      local host = support.fake(PONG)
      local nydus = server({ host:address({ timeout = 0.3 }) })
      local late, patient = nydus:client(), nydus:client()
      local reply = bulk(("+OK\r\n$1\r\nx\r\n"):rep(80000))
      late:command("GET", "big")
      local link = host:expect("GET big")
      host:answer(reply:sub(1, 500000), link)
      assert.matches("^ERR host ", (late:read()).err)
      patient:command("GET", "small")
      if pcall(host.expect, host, "GET small", 1) and host.link == link then
        pcall(link.send, link, reply:sub(500001) .. bulk("mine"))
      end
      local got = patient:read()
      assert.is_true(got == "mine" or (type(got) == "table" and got.err ~= nil), tostring(got))
      assert.equal("PONG", late:call("PING"))
      assert.equal("PONG", patient:call("PING"))
    end)
  end)

  it("gives an answer that comes before the request is all written to its own client", function()
    local host = support.fake(PONG)
    local nydus = server({ host:address({ timeout = 5 }) })
    local big, small = nydus:client(), nydus:client()
    small:command("GET", "warm")
    local link = host:expect("GET warm")
    host:answer("$-1\r\n")
    assert.equal(null, (small:read()))
    local value = ("v"):rep(16 * 1024 * 1024)
    big:command("SET", "big", value)
    sys.poll(link.fd, "r", 5) -- it has begun to come
    small:command("GET", "behind")
    link:send("-OOM too big\r\n") -- and the host has read nothing of it
    assert.same({ err = "OOM too big" }, (big:read()))
    link:collect(#encode({ "SET", "big", value }))
    local words = host:request()
    assert.same({ "SET", "big", #value }, { words[1], words[2], #words[3] })
    host:expect("GET behind")
    host:answer(bulk("mine"))
    assert.equal("mine", (small:read()))
    assert.equal(link, host.link)
  end)

  describe("a reply nobody asked for", function()
    -- The host answers one GET with `bytes`; the client gets `value` and nothing else.
    local function surplus(bytes, value)
      local host = support.fake(PONG)
      local nydus = server({ host })
      local client = nydus:client()
      client:command("GET", "one")
      local link = host:expect("GET one")
      host:answer(bytes)
      assert.equal(value, (client:read()))
      support.wait_until(function()
        host:links()
        return link.ended
      end, 5, "the link to be closed")
      local other = nydus:client()
      support.wait_until(function()
        other:command("GET", "two")
        local ok = pcall(host.expect, host, "GET two", 0.1)
        if not ok then other:read() end
        return ok
      end, 5, "a new link")
      assert.are_not.equal(link, host.link)
      host:answer(bulk("second"))
      assert.equal("second", (other:read()))
      assert.equal("", client:pending())
      assert.equal("", other:pending())
    end

    it("closes the link behind a reply", function()
      surplus(bulk("first") .. bulk("surplus"), "first")
    end)

    it("closes the link when it is a push", function()
      surplus(bulk("first") .. ">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n", "first")
    end)

    it("closes the link when it is no RESP at all", function()
      surplus(bulk("first") .. "HTTP/1.1 200 OK\r\n", "first")
    end)

    it("closes an idle link, and the next request has a new one", function()
      local host = support.fake(PONG)
      local nydus = server({ host })
      local client = nydus:client()
      client:command("GET", "a")
      local link = host:expect("GET a")
      host:answer("$-1\r\n")
      client:read()
      link:send("+surprise\r\n")
      support.wait_until(function()
        host:links()
        return link.ended
      end, 5, "the link to be closed")
      assert.equal("", client:pending())
    end)

    it("is not taken for the reply of a request that waits behind it", function()
      local host = support.fake(PONG)
      local nydus = server({ host })
      local client = nydus:client()
      client:command("GET", "a")
      host:expect("GET a")
      host:answer(">1\r\n$4\r\npush\r\n")
      assert.matches("^ERR host .* is down: it sent a reply that nobody asked for", client:read().err)
    end)
  end)

  it("outlives a host that a reload has dropped, and that never answers", function()
    local dropped, kept = support.fake(PONG), support.redis()
    local nydus = server({ dropped:address({ timeout = 0.6 }) })
    local client = nydus:client()
    client:command("GET", "a")
    dropped:expect("GET a")
    nydus:write("config.lua", { router = "modulus", hosts = { kept } })
    nydus:hup()
    local other = nydus:client()
    support.wait_until(function()
      other:command("SET", "b", "1")
      local reply = other:read()
      return reply == "OK"
    end, 5, "the new configuration")
    assert.matches("^ERR host .* did not answer within 0.6 s", client:read().err)
    assert.equal("1", client:call("GET", "b"))
    support.wait_until(function() return #dropped:links() == 0 end, 5, "the old links to be closed")
    assert.equal("1", client:call("GET", "b"))
  end)

  describe("a client that leaves", function()
    for _, how in ipairs({ "close", "reset" }) do
      it(("by %s with 50 requests in flight leaves the next one's replies intact"):format(how), function()
        local host = support.fake(PONG)
        local nydus = server({ host })
        local stays = nydus:client()
        for round = 1, 5 do -- the kernel gives the same descriptor to the next client
          local leaves, gets = nydus:client(), {}
          for i = 1, 50 do gets[i] = encode({ "GET", "lost:" .. i }) end
          leaves:send(table.concat(gets))
          for i = 1, 50 do host:expect("GET lost:" .. i) end
          leaves[how](leaves)
          support.wait_until(function() -- a FIN may be a half-close: what it is owed is waited for
            return how == "close" or stays:call("INFO", "clients"):find("worker_clients:1\r\n", 1, true)
          end, 5, "the client to be gone")
          local follows = nydus:client()
          follows:command("GET", "mine")
          host:expect("GET mine")
          local replies = {}
          for i = 1, 50 do replies[i] = bulk("lost " .. i) end
          host:answer(table.concat(replies) .. bulk("mine " .. round))
          assert.equal("mine " .. round, (follows:read()))
          assert.equal("", follows:pending())
          assert.equal("PONG", follows:call("PING"))
          follows:close()
        end
      end)
    end

    it("in the middle of a request leaves nothing behind", function()
      local redis = support.redis()
      local nydus = server({ redis })
      local stays = nydus:client()
      local halves = { "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nhalf", "*", "SET k", "*2\r\n$3\r\nGET\r\n" }
      for _, bytes in ipairs(halves) do
        local leaves = nydus:client()
        leaves:send(bytes)
        leaves:reset()
      end
      assert.same({ "OK", "v" }, stays:pipeline({ { "SET", "k2", "v" }, { "GET", "k2" } }))
      assert.equal(null, stays:call("GET", "k"))
    end)
  end)
end)
