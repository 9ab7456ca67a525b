-- SCAN over several hosts: one after the other, the cursor knows which.

local support = require("support")

local PONG = { auto = { PING = "+PONG\r\n" } }

local function databases(redis, count)
  local hosts = {}
  for i = 1, count do hosts[i] = redis:address({ db = i - 1 }) end
  return hosts
end

local function server(hosts, router, files)
  return support.nydus({ config = { router = router or "ketama", hosts = hosts }, files = files })
end

-- Everything from cursor to cursor; how often each key was seen, and the number of pages.
local function scan(client, ...)
  local seen, pages, cursor = {}, 0, "0"
  repeat
    local reply = client:call("SCAN", cursor, ...)
    assert.is_nil(reply.err)
    assert.matches("^%d+$", reply[1])
    cursor, pages = reply[1], pages + 1
    for _, key in ipairs(reply[2]) do seen[key] = (seen[key] or 0) + 1 end
    assert.is_true(pages < 5000, "it has no end")
  until cursor == "0"
  return seen, pages
end

local function keys_of(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  table.sort(list)
  return list
end

local function fill(client, count, prefix)
  local words, keys = { "MSET" }, {}
  for i = 1, count do
    keys[i] = (prefix or "key:") .. i
    words[2 * i], words[2 * i + 1] = keys[i], "v"
  end
  assert.equal("OK", client:call(unpack(words)))
  table.sort(keys)
  return keys
end

describe("scan", function()
  describe("over several hosts", function()
    for _, count in ipairs({ 1, 2, 3, 16 }) do
      it(("gives the union of %d, and 0 at the end"):format(count), function()
        local redis = support.redis()
        local client = server(databases(redis, count)):client()
        local keys = fill(client, 500)
        assert.same(keys, keys_of((scan(client))))
        assert.same(keys, keys_of((scan(client, "COUNT", "7"))))
        assert.same(keys, keys_of((scan(client, "COUNT", "100000"))))
      end)
    end

    for _, router in ipairs({ "modulus", "jump", "rendezvous", "round_robin", "random", "first", "slots" }) do
      it("walks the hosts of " .. router, function()
        local a, b = support.redis(), support.redis()
        local client = server({ a, b }, router):client()
        a:call("SET", "one", "1")
        b:call("SET", "two", "2")
        assert.same({ "one", "two" }, keys_of((scan(client))))
      end)
    end

    it("keeps MATCH, COUNT and TYPE", function()
      local client = server(databases(support.redis(), 3)):client()
      fill(client, 100)
      for i = 1, 20 do client:call("LPUSH", "list:" .. i, "x") end
      assert.equal(20, #keys_of((scan(client, "TYPE", "list"))))
      assert.equal(11, #keys_of((scan(client, "MATCH", "list:1*"))))
      assert.equal(0, #keys_of((scan(client, "MATCH", "key:*", "COUNT", "50", "TYPE", "list"))))
      local _, many = scan(client, "COUNT", "1")
      local _, few = scan(client, "COUNT", "1000")
      assert.equal(3, few)
      assert.is_true(many > 60)
    end)

    it("passes over empty hosts with empty pages", function()
      local redis = support.redis()
      local client = server(databases(redis, 5)):client()
      local _, pages = scan(client)
      assert.equal(5, pages)
      client:call("SET", "only", "1")
      assert.same({ "only" }, keys_of((scan(client))))
    end)

    it("keeps its cursors when hosts are added behind the others", function()
      local redis = support.redis()
      local three, four = server(databases(redis, 3)):client(), server(databases(redis, 4)):client()
      fill(three, 300)
      local seen, cursor = {}, "0"
      local turn = 0
      repeat
        turn = turn + 1
        local reply = (turn % 2 == 0 and three or four):call("SCAN", cursor)
        cursor = reply[1]
        for _, key in ipairs(reply[2]) do seen[key] = 1 end
      until cursor == "0" or tonumber(cursor) % 1024 == 3
      assert.equal(300, #keys_of(seen))
    end)

    it("stands while keys come and go: what was there all the time is seen", function()
      local client = server(databases(support.redis(), 3)):client()
      local keys = fill(client, 400)
      local seen, cursor, turn = {}, "0", 0
      repeat
        turn = turn + 1
        client:call("SET", "other:" .. turn, "x")
        client:call("DEL", "other:" .. turn - 5)
        local reply = client:call("SCAN", cursor, "MATCH", "key:*")
        cursor = reply[1]
        for _, key in ipairs(reply[2]) do seen[key] = 1 end
      until cursor == "0"
      assert.same(keys, keys_of(seen))
    end)
  end)

  describe("cursor", function()
    local a, b, client

    before_each(function()
      a, b = support.fake(PONG), support.fake(PONG)
      client = server({ a, b }):client()
    end)

    -- Asks with one cursor; the host must get and gives others.
    local function page(cursor, host, gets, gives)
      client:command("SCAN", cursor, "COUNT", "3")
      host:expect({ "SCAN", gets, "COUNT", "3" })
      host:answer(("*2\r\n$%d\r\n%s\r\n*1\r\n$1\r\nk\r\n"):format(#gives, gives))
      local reply = client:read()
      if reply.err then return reply.err end
      assert.same({ "k" }, reply[2])
      return reply[1]
    end

    it("carries the place of the host and the host's own cursor", function()
      assert.equal(tostring(17 * 1024), page("0", a, "0", "17"))
      assert.equal("1", page(tostring(17 * 1024), a, "17", "0"))
      assert.equal(tostring(5 * 1024 + 1), page("1", b, "0", "5"))
      assert.equal("0", page("0000" .. 5 * 1024 + 1, b, "5", "0"))
    end)

    it("uses 64 bits, and is an error where these do not do", function()
      assert.equal("18446744073709550592", page("0", a, "0", "18014398509481983"))
      assert.equal("0", page("18446744073709550593", b, "18014398509481983", "0"))
      assert.matches("^ERR the cursor of host redis://.* leaves no room for the number of the host$",
        page("0", a, "0", "18014398509481984"))
    end)

    it("is invalid, when it is no number or names no host", function()
      for _, cursor in ipairs({ "", "x", "-1", "1.0", " 1", "0x10", "18446744073709551616", "2", "1023" }) do
        assert.same({ err = "ERR invalid cursor" }, client:call("SCAN", cursor), cursor)
      end
      a:expect_silence(0.02)
    end)

    it("leaves errors of the host and strange replies as they are", function()
      for _, reply in ipairs({ "-ERR syntax error\r\n", "*0\r\n", "+OK\r\n", "*2\r\n$1\r\nx\r\n*0\r\n",
        "*2\r\n$-1\r\n*0\r\n", "*2\r\n:1\r\n*0\r\n" }) do
        client:command("SCAN", "0")
        a:expect("SCAN 0")
        a:answer(reply)
        local _, raw = client:read()
        assert.equal(reply, raw)
      end
    end)

    it("keeps its place between other replies", function()
      local pipeline = { { "SCAN", "0" }, { "ECHO", "x" }, { "SCAN", "1" }, { "SCAN", "y" } }
      local bytes = ""
      for _, words in ipairs(pipeline) do bytes = bytes .. support.encode(words) end
      client:send(bytes)
      b:expect("SCAN 0")
      b:answer("*2\r\n$1\r\n0\r\n*0\r\n")
      a:expect("SCAN 0")
      a:answer("*2\r\n$1\r\n0\r\n*0\r\n")
      assert.same({ { "1", {} }, "x", { "0", {} }, { err = "ERR invalid cursor" } },
        { client:read(), client:read(), client:read(), (client:read()) })
    end)

    it("is swallowed when the client has left", function()
      client:command("SCAN", "0")
      a:expect("SCAN 0")
      client:reset()
      a:answer("*2\r\n$1\r\n0\r\n*0\r\n")
    end)
  end)

  describe("with a host away", function()
    it("is an error when it comes to that host, and never a gap", function()
      local a, b, c = support.redis(), support.redis(), support.redis()
      local client = server({ a, b, c }):client()
      fill(client, 60)
      b:stop()
      assert.equal("1", client:call("SCAN", "0", "COUNT", "1000")[1])
      support.wait_until(function() return client:call("SCAN", "1").err end, 5, "the host to be missed")
      for _ = 1, 20 do
        assert.matches("^ERR host .* is down: ", client:call("SCAN", "1", "COUNT", "1000").err)
      end
      assert.equal("0", client:call("SCAN", "2", "COUNT", "1000")[1])
      b:restart()
      support.wait_until(function() return not client:call("SCAN", "1").err end, 5, "the host to be back")
    end)
  end)

  describe("elsewhere", function()
    it("is an array of the replies under all, and plain at a single host", function()
      local redis = support.redis()
      assert.same({ { "0", {} }, { "0", {} } }, server(databases(redis, 2), "all"):client():call("SCAN", "0"))
      assert.same({ "0", {} }, server({ redis }, "all"):client():call("SCAN", "0"))
    end)

    it("goes where a script without a key leads: to a host, or over a router's hosts", function()
      local redis = support.redis()
      local client = server(databases(redis, 3), "tree.lua", { ["tree.lua"] = [[
        local cluster = ...
        local nydus = require("nydus")
        local ring = nydus.ketama({ cluster.hosts[1], cluster.hosts[3] })
        return function(req)
          if req.command == "scan" and req:arg(2) == "MATCH" then return cluster.hosts[2] end
          return ring
        end
      ]] }):client()
      local keys = fill(client, 50)
      assert.same(keys, keys_of((scan(client))))
      assert.same({ "0", {} }, client:call("SCAN", "0", "MATCH", "*"))
    end)

    it("is left to the key for HSCAN, SSCAN and ZSCAN", function()
      local client = server(databases(support.redis(), 3)):client()
      client:call("HSET", "h", "f", "v")
      client:call("SADD", "s", "m")
      client:call("ZADD", "z", "1", "m")
      assert.same({ "0", { "f", "v" } }, client:call("HSCAN", "h", "0"))
      assert.same({ "0", { "m" } }, client:call("SSCAN", "s", "0"))
      assert.same({ "0", { "m", "1" } }, client:call("ZSCAN", "z", "0"))
    end)
  end)
end)
