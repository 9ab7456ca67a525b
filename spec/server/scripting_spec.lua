-- EVAL, FCALL, SCRIPT and FUNCTION over several hosts.

local support = require("support")
local pair = require("support.pair")

local PONG = { auto = { PING = "+PONG\r\n" } }
local LIBRARY = "#!lua name=mylib\nredis.register_function{function_name='set', callback=function(k, a) "
  .. "return redis.call('SET', k[1], a[1]) end}\n"
  .. "redis.register_function{function_name='hi', callback=function() return 'hi' end, flags={'no-writes'}}"

local function server(hosts, router, files)
  return support.nydus({ config = { router = router or "ketama", hosts = hosts }, files = files })
end

describe("scripting", function()
  local a, b, c, client

  before_each(function()
    a, b, c = support.redis(), support.redis(), support.redis()
    client = server({ a, b, c }):client()
  end)

  it("may answer thousands of arrays in each other, and nobody else notices", function()
    client:command("EVAL", "local one, two = {}, {}; one[1], two[1] = two, one; return one", "0")
    client:command("ECHO", "here")
    client:command("GET", "k")
    local rest = "-ERR reached lua stack limit\r\n$4\r\nhere\r\n$-1\r\n"
    client:wait_for("the replies", function() return client:pending():sub(-#rest) == rest end)
    local nested = client:pending():sub(1, -#rest - 1)
    assert.equal(("*1\r\n"):rep(#nested / 4), nested)
    assert.is_true(#nested / 4 > 1000)
  end)

  describe("by keys", function()
    it("goes to the host of the keys", function()
      local body = "return redis.call('SET', KEYS[1], ARGV[1])"
      local sha = client:call("SCRIPT", "LOAD", body)
      client:call("FUNCTION", "LOAD", LIBRARY)
      for i = 1, 20 do
        local key = "k" .. i
        assert.equal("OK", client:call("EVAL", body, "1", key, "eval"))
        assert.equal("eval", client:call("GET", key))
        assert.equal("OK", client:call("EVALSHA", sha, "1", key, "evalsha"))
        assert.equal("evalsha", client:call("GET", key))
        assert.equal("OK", client:call("FCALL", "set", "1", key, "fcall"))
        assert.equal("fcall", client:call("GET", key))
        assert.equal("fcall", client:call("EVAL_RO", "return redis.call('GET', KEYS[1])", "1", key))
        assert.equal("hi", client:call("FCALL_RO", "hi", "1", key))
      end
      for _, host in ipairs({ a, b, c }) do assert.is_true(host:call("DBSIZE") < 20) end
    end)

    it("is refused over two hosts, or with a wrong number of keys", function()
      for _, name in ipairs({ "EVAL", "EVAL_RO", "EVALSHA", "EVALSHA_RO", "FCALL", "FCALL_RO" }) do
        local words = { name, "return 1", "20" }
        for i = 1, 20 do words[i + 3] = "k" .. i end
        assert.same({ err = "CROSSSLOT Keys in request don't hash to the same host" }, client:call(unpack(words)))
        for _, count in ipairs({ "-1", "2", "x", "99999999999999999999" }) do
          assert.matches("^ERR ", client:call(name, "return 1", count, "k").err)
        end
      end
      assert.equal("PONG", client:call("PING"))
    end)
  end)

  describe("without keys", function()
    it("runs once, on the first host", function()
      client:call("FUNCTION", "LOAD", LIBRARY)
      assert.equal("OK", client:call("EVAL", "return redis.call('SET', 'here', '1')", "0"))
      assert.equal("1", a:call("GET", "here"))
      assert.equal(0, b:call("DBSIZE") + c:call("DBSIZE"))
      local sha = client:call("SCRIPT", "LOAD", "return 7")
      assert.equal(7, client:call("EVALSHA", sha, "0"))
      assert.equal(7, client:call("EVALSHA_RO", sha, "0"))
      assert.equal(7, client:call("EVAL_RO", "return 7", "0"))
      assert.equal("hi", client:call("FCALL", "hi", "0"))
      assert.equal("hi", client:call("FCALL_RO", "hi", "0"))
    end)

    it("runs on the first host that is up", function()
      a:stop()
      pair.until_reply(client, { "EVAL", "return 'up'", "0" }, "up")
      for _ = 1, 20 do assert.equal("up", client:call("EVAL", "return 'up'", "0")) end
      b:stop()
      pair.until_reply(client, { "EVAL", "return 'up'", "0" }, "up")
      c:stop()
      support.wait_until(function() return client:call("EVAL", "return 'up'", "0").err end, 5, "all to be down")
      assert.matches("is down", client:call("EVAL", "return 'up'", "0").err)
    end)

    it("goes where a router script without a key leads", function()
      local scripted = server({ a, b, c }, "tree.lua", { ["tree.lua"] = [[
        local cluster = ...
        local ring = require("nydus").ketama(cluster)
        return function(req)
          if req.command == "eval" and req.nkeys == 0 then return cluster.hosts[3] end
          return ring
        end
      ]] }):client()
      scripted:call("EVAL", "return redis.call('SET', 'here', '1')", "0")
      assert.equal("1", c:call("GET", "here"))
      local sha = scripted:call("SCRIPT", "LOAD", "return redis.call('SET', 'there', '1')")
      assert.equal("OK", scripted:call("EVALSHA", sha, "0"))
      assert.equal("1", a:call("GET", "there"))
    end)

    it("is every host's under all", function()
      local all = server({ a, b, c }, "all"):client()
      assert.same({ 5, 5, 5 }, all:call("EVAL", "return 5", "0"))
    end)
  end)

  describe("SCRIPT", function()
    it("loads, asks and flushes everywhere", function()
      local sha = client:call("SCRIPT", "LOAD", "return 1")
      assert.same({ 1 }, client:call("SCRIPT", "EXISTS", sha))
      for _, host in ipairs({ a, b, c }) do assert.same({ 1 }, host:call("SCRIPT", "EXISTS", sha)) end
      assert.equal("OK", client:call("SCRIPT", "FLUSH"))
      assert.same({ 0 }, client:call("SCRIPT", "EXISTS", sha))
      for _, host in ipairs({ a, b, c }) do assert.same({ 0 }, host:call("SCRIPT", "EXISTS", sha)) end
    end)
  end)

  describe("FUNCTION", function()
    it("loads, dumps, deletes, restores and flushes everywhere", function()
      assert.equal("mylib", client:call("FUNCTION", "LOAD", LIBRARY))
      assert.same({ err = "ERR Library 'mylib' already exists" }, client:call("FUNCTION", "LOAD", LIBRARY))
      assert.equal("mylib", client:call("FUNCTION", "LOAD", "REPLACE", LIBRARY))
      local names = {}
      for i, host in ipairs({ a, b, c }) do names[i] = host:call("FUNCTION", "LIST")[1][2] end
      assert.same({ "mylib", "mylib", "mylib" }, names)
      assert.same(a:call("FUNCTION", "LIST"), client:call("FUNCTION", "LIST"))
      assert.equal(#a:call("FUNCTION", "STATS"), #client:call("FUNCTION", "STATS"))
      local dump = client:call("FUNCTION", "DUMP")
      assert.equal(a:call("FUNCTION", "DUMP"), dump)
      assert.equal("OK", client:call("FUNCTION", "DELETE", "mylib"))
      for _, host in ipairs({ a, b, c }) do assert.same({}, host:call("FUNCTION", "LIST")) end
      assert.equal("OK", client:call("FUNCTION", "RESTORE", dump))
      for _, host in ipairs({ a, b, c }) do assert.equal("hi", host:call("FCALL", "hi", "0")) end
      assert.equal("OK", client:call("FUNCTION", "FLUSH"))
      for _, host in ipairs({ a, b, c }) do assert.same({}, host:call("FUNCTION", "LIST")) end
    end)
  end)

  describe("a host that has lost a script", function()
    local function forget()
      for _, host in ipairs({ a, b, c }) do host:call("SCRIPT", "FLUSH") end
    end

    it("is given it again, when Nydus has seen it by SCRIPT LOAD", function()
      local sha = client:call("SCRIPT", "LOAD", "return 'loaded'")
      for _, name in ipairs({ "EVALSHA", "EVALSHA_RO" }) do
        forget()
        assert.equal("loaded", client:call(name, sha:upper(), "0"))
        for i = 1, 20 do assert.equal("loaded", client:call(name, sha, "1", "k" .. i)) end
      end
      assert.equal("6", client:call("INFO", "stats"):match("nydus_scripts_loaded:(%d+)"))
    end)

    it("is given it again, when Nydus has seen it by EVAL", function()
      for _, name in ipairs({ "EVAL", "EVAL_RO" }) do
        local body = "return {KEYS[1], ARGV[1], '" .. name .. "'}"
        assert.same({ "k1", "x", name }, client:call(name, body, "1", "k1", "x"))
        local sha = support.redis():call("SCRIPT", "LOAD", body)
        for i = 1, 20 do
          assert.same({ "k" .. i, "y", name }, client:call("EVALSHA", sha, "1", "k" .. i, "y"))
        end
      end
    end)

    it("is given it again after its restart", function()
      local sha = client:call("SCRIPT", "LOAD", "return 'again'")
      a:restart()
      for i = 1, 30 do
        pair.until_reply(client, { "EXISTS", "k" .. i }, 0)
        assert.equal("again", client:call("EVALSHA", sha, "1", "k" .. i))
      end
    end)

    it("is given it again under all, each host for itself", function()
      local all = server({ a, b, c }, "all"):client()
      local sha = all:call("SCRIPT", "LOAD", "return 'all'")[1]
      b:call("SCRIPT", "FLUSH")
      assert.same({ "all", "all", "all" }, all:call("EVALSHA", sha, "0"))
    end)

    it("keeps replies in order, with large arguments and in a long pipeline", function()
      local sha = client:call("SCRIPT", "LOAD", "return ARGV[1]")
      forget()
      local words, expected = {}, {}
      for i = 1, 300 do
        local value = (i % 50 == 0) and ("v"):rep(50000) .. i or "v" .. i
        words[2 * i - 1], expected[2 * i - 1] = { "EVALSHA", sha, "1", "k" .. i, value }, value
        words[2 * i], expected[2 * i] = { "ECHO", tostring(i) }, tostring(i)
      end
      assert.same(expected, client:pipeline(words))
    end)

    it("is given it again ahead of a transaction, which then runs once", function()
      local bodies, shas = { "return redis.call('INCR', KEYS[1])", "return 'INCR'" }, {}
      client = server({ a }):client()
      for i, body in ipairs(bodies) do shas[i] = client:call("SCRIPT", "LOAD", body) end
      a:call("SCRIPT", "FLUSH")
      assert.same({ "OK", "QUEUED", "QUEUED", "QUEUED", "QUEUED", { "OK", 1, "INCR", 2 } }, client:pipeline({
        { "MULTI" }, { "SET", "k", "0" }, { "EVALSHA", shas[1], "1", "k" }, { "EVALSHA_RO", shas[2]:upper(), "0" },
        { "EVALSHA", shas[1], "1", "k" }, { "EXEC" },
      }))
      assert.equal("2", a:call("GET", "k"))
      a:call("SCRIPT", "FLUSH")
      assert.same({ "OK", "OK", "QUEUED", { 3 }, "3" }, client:pipeline({
        { "WATCH", "k" }, { "MULTI" }, { "EVALSHA", shas[1], "1", "k" }, { "EXEC" }, { "GET", "k" },
      }))
      a:call("SCRIPT", "FLUSH")
      assert.same({ "OK", "QUEUED", "OK", "PONG" }, client:pipeline({
        { "MULTI" }, { "EVALSHA", shas[1], "1", "k" }, { "DISCARD" }, { "PING" },
      }))
      assert.same({ 0 }, a:call("SCRIPT", "EXISTS", shas[1]))
    end)

    it("is given what Nydus has seen in a transaction, over three hosts", function()
      local body = "return redis.call('INCR', KEYS[1])"
      assert.same({ "OK", "QUEUED", { 1 } }, client:pipeline({ { "MULTI" }, { "EVAL", body, "1", "k" }, { "EXEC" } }))
      local sha
      for _, host in ipairs({ a, b, c }) do
        sha = host:call("SCRIPT", "LOAD", body)
        host:call("SCRIPT", "FLUSH")
      end
      for i = 1, 9 do
        local key = "key" .. i
        assert.same({ "OK", "QUEUED", { 1 } }, client:pipeline({ { "MULTI" }, { "EVALSHA", sha, "1", key }, { "EXEC" } }))
      end
    end)

    it("is given none in a transaction that Nydus has not seen, or that has been flushed", function()
      local sha = a:call("SCRIPT", "LOAD", "return 1")
      client = server({ a }):client()
      a:call("SCRIPT", "FLUSH")
      local pipeline = { { "MULTI" }, { "EVALSHA", sha, "0" }, { "SET", "k", "1" }, { "EXEC" } }
      assert.matches("^NOSCRIPT", client:pipeline(pipeline)[4][1].err)
      client:call("SCRIPT", "LOAD", "return 1")
      client:call("SCRIPT", "FLUSH")
      assert.matches("^NOSCRIPT", client:pipeline(pipeline)[4][1].err)
    end)

    it("keeps to itself what Nydus has not seen, and what has been flushed", function()
      assert.matches("^NOSCRIPT ", client:call("EVALSHA", ("0"):rep(40), "0").err)
      assert.matches("^NOSCRIPT ", client:call("EVALSHA", "short", "0").err)
      local sha = client:call("SCRIPT", "LOAD", "return 'gone'")
      assert.equal("OK", client:call("SCRIPT", "FLUSH"))
      assert.matches("^NOSCRIPT ", client:call("EVALSHA", sha, "0").err)
    end)

    it("is asked again once, whatever it says", function()
      local fake = support.fake(PONG)
      local other = server({ fake }):client()
      other:command("EVAL", "return 1", "0")
      fake:expect({ "EVAL", "return 1", "0" })
      fake:answer(":1\r\n")
      other:read()
      local sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
      other:send(support.encode({ "EVALSHA", sha, "0" }) .. support.encode({ "GET", "k" }))
      fake:expect({ "EVALSHA", sha, "0" })
      fake:expect("GET k")
      fake:answer("-NOSCRIPT No matching script.\r\n$1\r\nv\r\n")
      fake:expect({ "SCRIPT", "LOAD", "return 1" })
      fake:expect({ "EVALSHA", sha, "0" })
      fake:answer("-OOM no room\r\n-NOSCRIPT No matching script.\r\n")
      assert.same({ { err = "NOSCRIPT No matching script." }, "v" }, { other:read(), (other:read()) })
      fake:expect_silence(0.02)
    end)

    it("may be lost, or the client, before it has answered", function()
      local fake = support.fake(PONG)
      local nydus = server({ fake })
      local sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
      for _, leaves in ipairs({ true, false }) do
        local other = nydus:client()
        other:send(support.encode({ "EVAL", "return 1", "0" }) .. support.encode({ "EVALSHA", sha, "0" }))
        fake:expect({ "EVAL", "return 1", "0" })
        fake:expect({ "EVALSHA", sha, "0" })
        fake:answer(":1\r\n-NOSCRIPT No matching script.\r\n")
        fake:expect({ "SCRIPT", "LOAD", "return 1" })
        fake:expect({ "EVALSHA", sha, "0" })
        if leaves then
          other:reset()
          fake:answer("$40\r\n" .. sha .. "\r\n:1\r\n")
        else
          fake:reset_link(fake.link)
          assert.equal(1, other:read())
          assert.matches("^ERR host .* is down: .*the command may have run", other:read().err)
        end
      end
    end)
  end)
end)
