-- Commands that block: on a private link each, and only their client waits.

local support = require("support")
local pair = require("support.pair")

local LIMIT = 256

describe("blocking", function()
  local redis, nydus, client, other

  before_each(function()
    redis = support.redis()
    nydus = support.nydus({ config = { hosts = { redis:address({ timeout = 0.4 }) }, workers = 1 } })
    client, other = nydus:client(), nydus:client()
  end)

  -- Command, then what ends it, then the reply.
  local cases = {
    { "BLPOP k 0", "RPUSH k v", { "k", "v" } },
    { "BRPOP k1 k 0", "RPUSH k v", { "k", "v" } },
    { "BLMOVE k l LEFT RIGHT 0", "RPUSH k v", "v" },
    { "BRPOPLPUSH k l 0", "RPUSH k v", "v" },
    { "BLMPOP 0 1 k LEFT", "RPUSH k v", { "k", { "v" } } },
    { "BZPOPMIN z 0", "ZADD z 1 v", { "z", "v", "1" } },
    { "BZPOPMAX z 0", "ZADD z 1 v", { "z", "v", "1" } },
    { "BZMPOP 0 1 z MIN", "ZADD z 1 v", { "z", { { "v", "1" } } } },
    { "XREAD BLOCK 0 STREAMS s $", "XADD s 1-1 f v", { { "s", { { "1-1", { "f", "v" } } } } } },
    { "XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS t >", "XADD t 1-1 f v", { { "t", { { "1-1", { "f", "v" } } } } } },
  }

  local function words(line)
    local out = {}
    for word in line:gmatch("%S+") do out[#out + 1] = word end
    return out
  end

  it("ends with what another client brings, for each command", function()
    redis:call("XGROUP", "CREATE", "t", "g", "$", "MKSTREAM")
    for _, case in ipairs(cases) do
      client:command(unpack(words(case[1])))
      redis:until_blocked(1)
      assert.matches("blocked_clients:1\r\n", other:call("INFO", "clients"))
      other:call(unpack(words(case[2])))
      assert.same(case[3], (client:read()), case[1])
      assert.matches("blocked_clients:0\r\n", other:call("INFO", "clients"))
      other:call("DEL", "k", "l", "z", "s")
    end
  end)

  it("does not wait, when there is something", function()
    redis:call("RPUSH", "k", "v")
    assert.same({ "k", "v" }, client:call("BLPOP", "k", "0"))
  end)

  it("ends at its timeout, which may be a fraction and may be longer than the host's own", function()
    for _, seconds in ipairs({ 0.05, 1.2 }) do
      local begin = support.now()
      assert.equal(support.null, client:call("BLPOP", "k", seconds))
      local passed = support.now() - begin
      assert.is_true(passed >= seconds * 0.9 and passed < seconds + 2, passed)
    end
    assert.equal(support.null, client:call("XREAD", "BLOCK", "50", "STREAMS", "s", "$"))
  end)

  it("may be for ever", function()
    client:command("BLPOP", "k", "0")
    assert.equal(support.null, other:call("BLPOP", "other", "1.5"))
    other:call("RPUSH", "k", "v")
    assert.same({ "k", "v" }, (client:read()))
  end)

  it("fails in Redis's words", function()
    local plain = redis:client()
    for _, line in ipairs({
      "BLPOP k -1", "BLPOP k x", "BLPOP k", "BLPOP k 1e400", "BLPOP k nan", "BLPOP k inf", "BLMPOP 0 0 k LEFT",
      "BLMPOP x 1 k LEFT", "BLMPOP 0.1 1 k UP", "XREAD BLOCK x STREAMS s $", "XREAD BLOCK -1 STREAMS s $",
      "BLMOVE a b UP DOWN 0", "XREADGROUP GROUP no no BLOCK 0 STREAMS s >",
    }) do
      assert.same(plain:call(unpack(words(line))), client:call(unpack(words(line))), line)
    end
  end)

  it("holds up nobody else", function()
    client:command("BLPOP", "k", "0")
    redis:until_blocked(1)
    local begin = support.now()
    for i = 1, 1000 do other:command("SET", "n", i) end
    for _ = 1, 1000 do assert.equal("OK", other:read()) end
    assert.is_true(support.now() - begin < 2)
  end)

  it("is followed by later commands, in order", function()
    client:send(table.concat({
      support.encode({ "SET", "a", "1" }), support.encode({ "BLPOP", "k", "0" }), support.encode({ "INCR", "a" }),
      support.encode({ "BLPOP", "k", "0" }), support.encode({ "INCR", "a" }), support.encode({ "PING" }),
    }))
    redis:until_blocked(1)
    assert.equal("1", other:call("GET", "a"))
    other:call("RPUSH", "k", "x")
    support.wait_until(function() return other:call("GET", "a") == "2" end, 5, "the next command")
    client:command("ECHO", "late")
    other:call("RPUSH", "k", "y")
    local got = {}
    for i = 1, 7 do got[i] = client:read() end
    assert.same({ "OK", { "k", "x" }, 2, { "k", "y" }, 3, "PONG", "late" }, got)
  end)

  it("sees what its own client has written before, at once", function()
    for i = 1, 100 do
      assert.same({ 1, { "k", tostring(i) }, 0 }, client:pipeline({
        { "RPUSH", "k", i }, { "BLPOP", "k", "0" }, { "EXISTS", "k" },
      }))
    end
  end)

  it("takes megabytes behind it", function()
    client:command("BLPOP", "k", "0")
    redis:until_blocked(1)
    local big = ("x"):rep(1000000)
    client:try_send(support.encode({ "SET", "big", big }))
    other:call("RPUSH", "k", "v")
    assert.same({ "k", "v" }, (client:read()))
    other:call("SET", "done", "1")
    assert.equal("1", other:call("GET", "done"))
  end)

  it("uses its link again, and is in the client's database", function()
    for i = 1, 20 do
      local one = nydus:client()
      assert.equal("OK", one:call("SELECT", i % 2))
      one:command("BLPOP", "k", "0")
      redis:call("SELECT", i % 2)
      redis:call("RPUSH", "k", i)
      assert.same({ "k", tostring(i) }, (one:read()))
      one:close()
    end
    redis:call("SELECT", 0)
    assert.is_true(tonumber(redis:call("INFO", "clients"):match("connected_clients:(%d+)")) < 8)
  end)

  it("is no more when its client leaves: nothing is popped for nobody", function()
    for i = 1, 100 do
      local leaver = nydus:client()
      leaver:command("BLPOP", "k" .. i, "0")
      redis:until_blocked(1)
      if i % 2 == 0 then leaver:reset() else leaver:close() end
      assert.equal(1, other:call("RPUSH", "k" .. i, i)) -- at this very moment
      redis:until_blocked(0)
      assert.equal(i, redis:call("DBSIZE"))
    end
  end)

  it("is no more when its client leaves with much unread behind it", function()
    client:command("BLPOP", "k", "0")
    redis:until_blocked(1)
    client:send(support.encode({ "SET", "x", ("x"):rep(300000) }))
    client:close()
    redis:until_blocked(0)
    assert.equal(1, other:call("RPUSH", "k", "v"))
    assert.equal(0, other:call("EXISTS", "x"))
  end)

  it("ends by CLIENT UNBLOCK, in Redis's words", function()
    local plain = redis:client()
    for _, line in ipairs({ "BLPOP k 0", "BLMOVE a b LEFT LEFT 0", "BRPOPLPUSH a b 0", "BLMPOP 0 1 k LEFT", "BZPOPMIN z 0",
      "XREAD BLOCK 0 STREAMS s $" }) do
      for _, reason in ipairs({ "TIMEOUT", "ERROR" }) do
        local function end_of(one, by)
          local id = one:call("CLIENT", "ID")
          assert.equal(0, by:call("CLIENT", "UNBLOCK", id))
          one:command(unpack(words(line)))
          redis:until_blocked(1)
          assert.equal(1, by:call("CLIENT", "UNBLOCK", id, reason))
          local _, bytes = one:read()
          redis:until_blocked(0)
          return bytes
        end
        assert.equal(end_of(plain, redis), end_of(client, other), line)
        assert.equal("PONG", client:call("PING"))
      end
    end
  end)

  it("is limited, and says so", function()
    local many = {}
    for i = 1, LIMIT do
      many[i] = nydus:client()
      many[i]:command("BLPOP", "k", "0")
    end
    redis:until_blocked(LIMIT)
    assert.matches("^ERR all 256 private links to host .* are in use$", client:call("BLPOP", "k", "0").err)
    assert.equal("PONG", client:call("PING"))
    many[1]:close()
    redis:until_blocked(LIMIT - 1)
    client:command("BLPOP", "k", "0")
    redis:until_blocked(LIMIT)
    for i = 1, LIMIT do other:command("RPUSH", "k", i) end
    for i = 2, LIMIT do assert.equal("k", (many[i]:read())[1]) end
    assert.same({ "k", tostring(LIMIT) }, (client:read()))
  end)

  it("goes on over a reload that takes its host away", function()
    local new = support.redis()
    client:command("BLPOP", "k", "0")
    redis:until_blocked(1)
    nydus:write("config.lua", { hosts = { new }, workers = 1 })
    nydus:hup()
    support.wait_until(function()
      other:call("SET", "probe", "x")
      return new:call("GET", "probe") == "x"
    end, 5, "the new host to be used")
    redis:call("RPUSH", "k", "v")
    assert.same({ "k", "v" }, (client:read()))
    client:command("BLPOP", "k", "0")
    new:until_blocked(1)
    other:call("RPUSH", "k", "w")
    assert.same({ "k", "w" }, (client:read()))
  end)

  it("does not keep a worker that has to leave", function()
    client:command("BLPOP", "k", "0")
    redis:until_blocked(1)
    nydus:stop(3)
    client:expect_end()
  end)

  it("is an error, when the host is lost", function()
    local private = support.redis({ fresh = true })
    local server = support.nydus({ config = { hosts = { private }, workers = 1 } })
    local one = server:client()
    one:command("BLPOP", "k", "0")
    private:until_blocked(1)
    private:stop()
    assert.matches("^ERR host .* is down: ", one:read().err)
    assert.matches("^ERR host .* is down: ", one:call("BLPOP", "k", "0").err)
    private:restart()
    pair.until_reply(one, { "SET", "a", "1" }, "OK")
    one:command("BLPOP", "k", "0")
    private:until_blocked(1)
    private:call("RPUSH", "k", "v")
    assert.same({ "k", "v" }, (one:read()))
  end)

  it("goes on at a host that is marked down but there", function()
    local host = support.fake({ auto = { PING = "+PONG\r\n" } })
    local one = support.nydus({ config = { failure_limit = 1,
      hosts = { host:address({ timeout = 0.1 }) } } }):client()
    host:accept()
    one:command("GET", "late")
    local shared = host:expect("GET late")
    assert.matches("did not answer within", one:read().err)
    host:answer("$-1\r\n", shared)
    one:command("BLPOP", "k", "0")
    local link = host:expect("BLPOP k 0")
    host:expect_silence(0.3)
    host:answer("*2\r\n$1\r\nk\r\n$1\r\nv\r\n", link)
    assert.same({ "k", "v" }, (one:read()))
  end)

  it("is late, when the host does not answer past its timeout", function()
    local host = support.fake({ auto = { PING = "+PONG\r\n" } })
    local one = support.nydus({ config = { hosts = { host:address({ timeout = 0.2 }) } } }):client()
    one:command("BLPOP", "k", "0.1")
    host:accept()
    local link = host:expect("BLPOP k 0.1")
    assert.matches("did not answer within", one:read().err)
    support.wait_until(function()
      for _, open in ipairs(host:links()) do
        if open == link then return false end
      end
      return true
    end, 3, "the link to be closed")
  end)

  describe("over two hosts", function()
    it("is for keys of one of them", function()
      local alpha, beta = support.redis(), support.redis()
      local two = pair.nydus(alpha, beta):client()
      assert.same({ err = "CROSSSLOT Keys in request don't hash to the same host" }, two:call("BLPOP", "a", "b", "0"))
      two:command("BLPOP", "b1", "b2", "0")
      beta:until_blocked(1)
      beta:call("RPUSH", "b2", "v")
      assert.same({ "b2", "v" }, (two:read()))
      assert.matches("^ERR no route", two:call("BLPOP", "c", "0").err)
    end)

    it("is refused, when the router names several hosts", function()
      local every = support.nydus({ config = { hosts = { support.redis(), support.redis() } } }):client()
      assert.same({ err = "ERR 'blpop' needs one host here, but the router names several" },
        every:call("BLPOP", "a", "0"))
    end)
  end)
end)
