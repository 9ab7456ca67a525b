-- Who clients are and what they may do: as a real Redis with the same users
-- answers, but for what is said below.

local lfs = require("lfs")
local support = require("support")

local SECRET = "s3cret-hush"
local RULES = "+@read +@connection +@transaction +config|get -keys +set +sort +eval +command"
local NOAUTH = { err = "NOAUTH Authentication required." }
local WRONGPASS = { err = "WRONGPASS invalid username-password pair or user is disabled." }
local NOKEY = { err = "NOPERM this user has no permissions to access one of the keys used as arguments" }

local function nocommand(name)
  return { err = ("NOPERM this user has no permissions to run the '%s' command"):format(name) }
end

local function words_of(line)
  local words = {}
  for word in line:gmatch("%S+") do words[#words + 1] = word end
  return words
end

local function quoted(rules)
  return (rules:gsub("%S+", '"%0",'))
end

-- Two servers with the same users: a real one, and Nydus before another.
local function pair_of_servers()
  local redis = support.redis({ fresh = true })
  redis:call("ACL", "SETUSER", "ann", "on", ">pw", "~user:*", unpack(words_of(RULES)))
  redis:call("CONFIG", "SET", "requirepass", SECRET)
  local nydus = support.nydus({
    config = ([[return { listen = $port, workers = 1, hosts = { "127.0.0.1:$host" }, password = "%s",
      users = { ann = { password = "pw", commands = { %s }, keys = { "user:*" } } } }]])
      :format(SECRET, quoted(RULES)),
    vars = { host = support.redis().port },
  })
  return redis, nydus
end

-- Sends the lines one by one; the replies as they came.
local function talk(port, lines)
  local client, replies = support.client(port), {}
  for i, line in ipairs(lines) do
    local words = type(line) == "table" and line or words_of(line)
    client:command(unpack(words))
    local _, raw = client:read()
    replies[i] = table.concat(words, " ") .. " -> " .. raw
  end
  return replies
end

local function reload(nydus, config)
  nydus:write("config.lua", config)
  nydus:forget_log()
  nydus:hup()
  nydus:wait_log("master info generation %d+: .- reloaded in %d+ ms", 15)
end

describe("auth", function()
  local redis, nydus

  setup(function() redis, nydus = pair_of_servers() end)

  local function same(lines)
    assert.same(talk(redis.port, lines), talk(nydus.port, lines))
  end

  describe("before AUTH", function()
    it("answers as Redis does, in its order of checks", function()
      same({
        "GET a", "PING", "SET a 1", "MULTI", "INFO", "CLIENT ID", "COMMAND", "CONFIG GET *", "SUBSCRIBE c", "SHUTDOWN",
        "FOO", "FOO a b", "GET", "GET a b c", "CONFIG FOO", "CONFIG", "ECHO", "AUTH", "AUTH a b c",
        "EXEC", "RESET", "GET a", "HELLO", "HELLO 3", "HELLO 4", "HELLO x", "HELLO 2", "HELLO 2 SETNAME", "HELLO 2 SETNAME foo",
        "AUTH bad", "AUTH ann bad", "AUTH nobody pw", "AUTH default", "HELLO 2 AUTH default bad", "GET a",
      })
    end)

    it("runs nothing, inline or behind QUIT", function()
      local client = nydus:client()
      client:send("SET smuggled 1\r\nPING\r\n")
      assert.same({ NOAUTH, NOAUTH }, { client:read(), (client:read()) })
      client:send("QUIT\r\nSET smuggled 1\r\n" .. support.encode({ "AUTH", SECRET }))
      client:expect_end("+OK\r\n")
      client = nydus:client()
      client:send(support.encode({ "QUIT" }) .. support.encode({ "SET", "smuggled", "1" }))
      client:expect_end("+OK\r\n")
      client = nydus:client()
      client:call("AUTH", SECRET)
      assert.equal(support.null, client:call("GET", "smuggled"))
    end)

    it("lets AUTH in the middle of a pipeline cover only what follows", function()
      local client = nydus:client()
      local replies = client:pipeline({
        { "SET", "user:p", "1" }, { "AUTH", SECRET }, { "GET", "user:p" }, { "SET", "user:p", "2" }, { "RESET" },
        { "GET", "user:p" }, { "AUTH", "ann", "pw" }, { "GET", "user:p" }, { "DEL", "user:p" }, { "AUTH", "wrong" },
        { "GET", "user:p" },
      })
      assert.same({
        NOAUTH, "OK", support.null, "OK", "RESET", NOAUTH, "OK", "2", nocommand("del"), WRONGPASS, NOAUTH,
      }, replies)
    end)

    it("takes small requests only, as Redis does", function()
      local function ends(bytes)
        local got = {}
        for i, port in ipairs({ redis.port, nydus.port }) do
          local client = support.client(port)
          client:send(bytes)
          got[i] = client:read_to_end()
        end
        assert.equal(got[1], got[2])
        assert.matches("unauthenticated", got[1])
      end
      ends("*11\r\n")
      ends("*11\r\n" .. ("$1\r\na\r\n"):rep(11))
      ends("*2\r\n$4\r\nAUTH\r\n$16385\r\n")
      ends("*3\r\n$4\r\nAUTH\r\n$16385\r\n" .. ("x"):rep(16385) .. "\r\n$1\r\n")
      ends(support.encode({ "GET", ("x"):rep(16385) }))

      local client = nydus:client()
      assert.same(NOAUTH, client:call("ECHO", ("x"):rep(16384)))
      client:send("ECHO a" .. (" a"):rep(20) .. "\r\n")
      assert.matches("wrong number", client:read().err)
      client:send(support.encode({ "AUTH", SECRET })
        .. support.encode({ "EXISTS", ("x"):rep(20000), unpack(words_of(("y "):rep(20))) }))
      assert.same({ "OK", 0 }, { client:read(), (client:read()) })
    end)

    it("makes no host busy with HELLO 3", function()
      local fake = support.fake({ auto = { PING = "+PONG\r\n" } })
      local client = support.nydus({ config = { hosts = { fake }, password = SECRET } }):client()
      assert.matches("^NOAUTH HELLO must", client:call("HELLO", "3").err)
      assert.same(WRONGPASS, client:call("HELLO", "3", "AUTH", "default", "bad"))
      fake:expect_silence(0.02)
    end)

    it("sends nothing to a host", function()
      local fake = support.fake({ auto = { PING = "+PONG\r\n" } })
      local client = support.nydus({ config = { hosts = { fake }, password = SECRET } }):client()
      for _, line in ipairs({ "GET k", "MGET a b", "WATCH k", "BLPOP k 0", "FLUSHALL", "EVAL x 0", "PUBLISH a b" }) do
        assert.same(NOAUTH, client:call(unpack(words_of(line))), line)
      end
      client:call("AUTH", SECRET)
      client:command("GET", "k")
      fake:expect("GET k")
      fake:answer("$1\r\nv\r\n")
      assert.equal("v", (client:read()))
    end)
  end)

  describe("AUTH and HELLO", function()
    it("log in by password, by user, and with a digest in the configuration", function()
      for _, words in ipairs({
        { "AUTH", SECRET }, { "AUTH", "default", SECRET }, { "AUTH", "ann", "pw" }, { "auth", "ann", "pw" },
      }) do
        local client = nydus:client()
        assert.equal("OK", client:call(unpack(words)))
        assert.equal("PONG", client:call("PING"))
        assert.matches("user=" .. (words[3] == "pw" and "ann" or "default") .. " ", client:call("CLIENT", "INFO"))
      end
      local client = nydus:client()
      assert.equal("table", type(client:call("HELLO", "2", "AUTH", "ann", "pw", "SETNAME", "joe")))
      assert.matches("name=joe .* user=ann ", client:call("CLIENT", "LIST"))
      client = nydus:client()
      client:command("HELLO", "3", "AUTH", "default", SECRET)
      assert.matches("^%%7\r\n", select(2, client:read()))
    end)

    it("drop the right again, when the password is wrong: Redis would keep it", function()
      local client = nydus:client()
      for _, words in ipairs({
        { "AUTH", "bad" }, { "AUTH", "ann", SECRET }, { "AUTH", "nobody", "pw" }, { "HELLO", "2", "AUTH", "ann", "bad" },
      }) do
        assert.equal("OK", client:call("AUTH", SECRET))
        assert.same(WRONGPASS, client:call(unpack(words)))
        assert.same(NOAUTH, client:call("GET", "user:1"))
      end
      assert.equal("OK", client:call("AUTH", SECRET))
      assert.equal("ERR syntax error", client:call("AUTH", "a", "b", "c").err)
      assert.equal("PONG", client:call("PING"))
    end)

    it("answer as a Redis without passwords, where there are none", function()
      local plain, open = support.redis({ fresh = true }), support.nydus({ config = { hosts = { support.redis() } } })
      local lines = {
        "AUTH x", "AUTH default x", "AUTH ann pw", "AUTH", "AUTH a b c", "HELLO 2 AUTH ann pw", "GET user:1",
      }
      assert.same(talk(plain.port, lines), talk(open.port, lines))
    end)

    it("know no default user, when only others are there", function()
      local other = support.nydus({ config = [[return { listen = $port, workers = 1,
        hosts = { "127.0.0.1:$host" }, users = { ann = { password = "pw" } } }]], vars = { host = support.redis().port } })
      assert.same({
        "PING -> -NOAUTH Authentication required.\r\n", "AUTH pw -> -" .. WRONGPASS.err .. "\r\n",
        "AUTH default pw -> -" .. WRONGPASS.err .. "\r\n", "AUTH ann pw -> +OK\r\n", "PING -> +PONG\r\n",
      }, talk(other.port, { "PING", "AUTH pw", "AUTH default pw", "AUTH ann pw", "PING" }))
    end)

    it("let in without a password whom the configuration lets in", function()
      local host = support.redis()
      local open = support.nydus({ config = [[return { listen = $port, workers = 1, hosts = { "127.0.0.1:$host" },
        users = { default = { password = false, commands = { "+@read" } }, ann = { password = "pw" } } }]],
        vars = { host = host.port } })
      local client = open:client()
      assert.equal(support.null, client:call("GET", "k"))
      assert.same(nocommand("set"), client:call("SET", "k", "v"))
      assert.equal("OK", client:call("AUTH", "ann", "pw"))
      assert.equal("OK", client:call("SET", "k", "v"))
      assert.same(WRONGPASS, client:call("AUTH", "ann", "bad"))
      assert.same(nocommand("set"), client:call("SET", "k", "v"))
    end)
  end)

  describe("a user", function()
    it("may do what its rules say, in the words of Redis", function()
      same({
        "AUTH ann pw", "GET user:1", "GET x", "SET user:1 a", "SET x a", "DEL user:1", "KEYS *", "CONFIG GET nosuch",
        "CONFIG SET a b", "CONFIG RESETSTAT", "MGET user:1 user:2", "MGET user:1 x", "FOO", "GET", "SAVE", "ACL WHOAMI",
        "ACL LIST", "MSET a", "MSET a b c", "XREAD STREAMS x 0", "XREAD STREAMS user:x 0", "MIGRATE a b x 0 1",
        "COMMAND GETKEYS GET x", "SELECT 1", "EXISTS x", "EXISTS user:1 x", "OBJECT ENCODING x", "LCS user:1 x",
        { "GET", "" }, { "GET", "User:1" }, { "GET", "user:\0\255" }, "SINTERCARD 2 user:1 x", "SINTERCARD 9 user:1",
      })
    end)

    it("may name only its keys to a script and to SORT", function()
      same({
        "AUTH ann pw", { "EVAL", "return 1", "1", "x" }, { "EVAL", "return 1", "2", "user:1", "x" },
        { "EVAL", "return 1", "1", "user:1" }, { "EVAL", "return 1", "0", "x" }, { "EVAL", "return 1", "a", "x" },
        "SORT user:9", "SORT user:9 STORE x", "SORT user:9 STORE user:8", "SORT user:9 BY nosort", "SORT user:9 BY w_*",
        "SORT user:9 GET #", "SORT user:9 GET x_*", "SORT user:9 LIMIT 0 1 ALPHA DESC GET x_*", "SORT x",
        "SORT_RO user:9 BY w_*", "SORT_RO user:9 LIMIT 0 1",
      })
    end)

    it("spoils a transaction with what it may not do", function()
      same({
        "AUTH ann pw", "MULTI", "GET x", "EXEC", "MULTI", "DEL user:1", "GET user:1", "EXEC", "MULTI", "SET user:1 b",
        "GET user:1", "EXEC", "MULTI", "GET x", "DISCARD", "GET user:1", "WATCH x", "WATCH user:1", "MULTI", "SAVE",
        "KEYS *", "EXEC",
      })
    end)

    it("aborts the transaction, when EXEC itself is denied", function()
      redis:call("AUTH", SECRET)
      redis:call("ACL", "SETUSER", "bob", "on", ">pw", "~*", "+@all", "-exec", "-discard")
      local other = support.nydus({ config = [[return { listen = $port, workers = 1, hosts = { "127.0.0.1:$host" },
        users = { bob = { password = "pw", commands = { "-exec", "-discard" } } } }]],
        vars = { host = support.redis().port } })
      local lines = { "AUTH bob pw", "MULTI", "GET x", "EXEC", "EXEC", "MULTI", "DISCARD", "EXEC", "PING" }
      assert.same(talk(redis.port, lines), talk(other.port, lines))
    end)

    it("publishes and listens to any channel: those are no keys", function()
      local client = support.nydus({ config = [[return { listen = $port, workers = 1, hosts = { "127.0.0.1:$host" },
        users = { bob = { password = "pw", commands = { "+@pubsub" }, keys = { "b:*" } } } }]],
        vars = { host = support.redis().port } }):client()
      client:call("AUTH", "bob", "pw")
      assert.same({ 0, 0 }, { client:call("PUBLISH", "x", "1"), client:call("SPUBLISH", "x", "1") })
    end)

    it("is known to router scripts, each command under the user that sent it", function()
      local scripted = support.nydus({
        config = [[return { listen = $port, workers = 1, hosts = { "127.0.0.1:1" }, router = "routers/who.lua",
          users = { default = { password = false }, ann = { password = "pw" }, bob = { password = "wp" } } }]],
        files = { ["routers/who.lua"] = [[
          local nydus = require("nydus")
          return function(req) return nydus.reply(req.client.user) end
        ]] },
      })
      assert.same({ "default", "OK", "ann", "ann", "OK", "bob", "RESET", "default" }, scripted:client():pipeline({
        { "GET", "k" }, { "AUTH", "ann", "pw" }, { "GET", "k" }, { "GET", "k" }, { "AUTH", "bob", "wp" }, { "GET", "k" },
        { "RESET" }, { "GET", "k" },
      }))
    end)
  end)

  describe("CLIENT KILL", function()
    it("finds the clients of a user", function()
      local client, ann, stranger = nydus:client(), nydus:client(), nydus:client()
      client:call("AUTH", SECRET)
      ann:call("AUTH", "ann", "pw")
      assert.matches("^ERR No such user 'nobody'", client:call("CLIENT", "KILL", "USER", "nobody").err)
      assert.is_true(client:call("CLIENT", "KILL", "USER", "ann") >= 1)
      ann:expect_end()
      assert.same({ NOAUTH, "PONG" }, { stranger:call("PING"), client:call("PING") })
    end)
  end)

  describe("a command that hosts have taught", function()
    local TAUGHT = "*1\r\n*10\r\n$8\r\njson.get\r\n:-2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n"
      .. "*1\r\n+@read\r\n*0\r\n*0\r\n*0\r\n"
    local UNKNOWN = { err = "ERR unknown command 'JSON.GET', with args beginning with: 'k' " }
    local fake, client

    before_each(function()
      fake = support.fake({ auto = { PING = "+PONG\r\n" } })
      client = support.nydus({ config = [[return { listen = $port, workers = 1, hosts = { "127.0.0.1:$host" },
        users = {
          all = { password = "pw" }, named = { password = "pw", commands = { "+json.get" } },
          read = { password = "pw", commands = { "+@read" } }, less = { password = "pw", commands = { "-@read" } },
          keyed = { password = "pw", keys = { "a*" } },
          nox = { password = "pw", commands = { "-xinfo" } }, onlyx = { password = "pw", commands = { "+xinfo" } },
        } }]], vars = { host = fake.port } }):client()
    end)

    it("is refused to whom only some keys are allowed, when its keys are not told in full", function()
      local INCOMPLETE = "*6\r\n$5\r\nflags\r\n*1\r\n+incomplete\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n"
        .. "$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n"
        .. "*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n"
      local taught = "*2\r\n*6\r\n$8\r\njson.old\r\n:-2\r\n*1\r\n+movablekeys\r\n:0\r\n:0\r\n:0\r\n"
        .. "*10\r\n$9\r\njson.some\r\n:-2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n*0\r\n*0\r\n*1\r\n" .. INCOMPLETE .. "*0\r\n"
      client:call("AUTH", "keyed", "pw")
      client:command("JSON.OLD", "a1", "secret")
      fake:expect("COMMAND")
      fake:answer(taught)
      assert.same({ NOKEY, NOKEY }, { client:read(), (client:call("JSON.SOME", "a1", "secret")) })
      client:call("AUTH", "all", "pw")
      client:command("JSON.SOME", "a1", "secret")
      fake:expect("JSON.SOME a1 secret")
    end)

    it("is refused as a subcommand, when the rules name the command that it belongs to", function()
      local taught = "*1\r\n*10\r\n$5\r\nxinfo\r\n:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n"
        .. "*1\r\n*10\r\n$9\r\nxinfo|age\r\n:3\r\n*1\r\n+readonly\r\n:2\r\n:2\r\n:1\r\n*0\r\n*0\r\n*0\r\n*0\r\n"
      client:call("AUTH", "nox", "pw")
      client:command("XINFO", "AGE", "a1")
      fake:expect("COMMAND")
      fake:answer(taught)
      assert.same(nocommand("xinfo|age"), (client:read()))
      client:call("AUTH", "onlyx", "pw")
      client:command("XINFO", "AGE", "a1")
      fake:expect("XINFO AGE a1")
    end)

    it("is not asked for by who has not logged in", function()
      assert.same(UNKNOWN, client:call("JSON.GET", "k"))
      fake:expect_silence(0.02)
    end)

    it("may be run by who may run everything, or it by name, with the keys that he may use", function()
      local function answers(key)
        fake:expect("JSON.GET " .. key)
        fake:answer("+json\r\n")
        assert.equal("json", (client:read()))
      end
      client:call("AUTH", "all", "pw")
      client:command("JSON.GET", "k")
      fake:expect("COMMAND")
      fake:answer(TAUGHT)
      answers("k")
      client:call("AUTH", "named", "pw")
      client:command("JSON.GET", "k")
      answers("k")
      for _, name in ipairs({ "read", "less" }) do
        client:call("AUTH", name, "pw")
        assert.same(nocommand("json.get"), client:call("JSON.GET", "k"), name)
      end
      client:call("AUTH", "keyed", "pw")
      assert.same(NOKEY, client:call("JSON.GET", "k"))
      client:command("JSON.GET", "a1")
      answers("a1")
    end)
  end)

  describe("a cluster", function()
    it("does not show its clients to those of another, nor lets them be ended", function()
      local other_port, host = support.free_port(), support.redis().port
      local two = support.nydus({ config = ([[return { workers = 2, clusters = {
        a = { listen = $port, hosts = { "127.0.0.1:$host" } },
        b = { listen = %d, hosts = { "127.0.0.1:$host" }, password = "%s" } } }]]):format(other_port, SECRET),
        vars = { host = host } })
      local one, other = two:client(), support.client(other_port)
      other:call("AUTH", SECRET)
      other:call("CLIENT", "SETNAME", "hidden")
      local id = other:call("CLIENT", "ID")
      assert.is_nil(one:call("CLIENT", "LIST"):find("hidden", 1, true))
      assert.matches("name=hidden", other:call("CLIENT", "LIST"))
      assert.equal(0, one:call("CLIENT", "KILL", "ID", id))
      other:command("BLPOP", "list", "0")
      local redis_client = support.client(host)
      support.wait_until(function()
        return redis_client:call("INFO", "clients"):find("blocked_clients:1", 1, true)
      end, 5, "it to block")
      assert.equal(0, one:call("CLIENT", "UNBLOCK", id))
      redis_client:call("RPUSH", "list", "x")
      assert.same({ "list", "x" }, (other:read()))
    end)
  end)

  describe("deny", function()
    it("holds for everybody, and says that it is Nydus's", function()
      local guarded = support.nydus({ config = [[return { listen = $port, workers = 1, hosts = { "127.0.0.1:$host" },
        deny = { "flushall", "config|set", "@scripting", "keys" } }]], vars = { host = support.redis().port } })
      local client = guarded:client()
      for name, line in pairs({
        flushall = "FLUSHALL", ["config|set"] = "CONFIG SET a b", eval = "EVAL x 0", keys = "KEYS *",
        ["script|load"] = "SCRIPT LOAD x",
      }) do
        assert.same({ err = ("NOPERM the '%s' command is denied to everybody by `deny` in the configuration of Nydus")
          :format(name) }, client:call(unpack(words_of(line))))
      end
      assert.equal("OK", client:call("SET", "k", "v"))
      assert.equal("OK", client:call("MULTI"))
      assert.matches("^NOPERM ", client:call("FLUSHALL").err)
      assert.matches("^EXECABORT ", client:call("EXEC").err)
      assert.equal("v", client:call("GET", "k"))
    end)

    it("is told by --route", function()
      local code, out = support.nydus_run({ "--route", "FLUSHALL", "--route", "GET k", "config.lua",
        config = [[return { listen = 6380, hosts = { {} }, deny = { "@dangerous" } }]] })
      assert.equal(0, code)
      assert.matches("refused  to everybody, by `deny` in the configuration\n", out)
      assert.equal(1, select(2, out:gsub("refused", "")))
    end)
  end)

  describe("a reload", function()
    local HEAD = [[return { listen = $port, workers = 1, hosts = { "127.0.0.1:$host" }, ]]
    local one, client

    local function start(users)
      one = support.nydus({ config = HEAD .. users .. " }", vars = { host = support.redis().port } })
      client = one:client()
    end

    it("makes everybody log in, where there was no password before", function()
      start("")
      assert.equal("PONG", client:call("PING"))
      reload(one, HEAD .. [[password = "pw" }]])
      assert.same(NOAUTH, client:call("PING"))
      assert.equal("OK", client:call("AUTH", "pw"))
      reload(one, HEAD .. "}")
      assert.equal("PONG", client:call("PING"))
    end)

    it("keeps the login of whose name and password stay", function()
      start([[password = "pw", users = { ann = { password = "pw" } }]])
      local ann = one:client()
      client:call("AUTH", "pw")
      ann:call("AUTH", "ann", "pw")
      reload(one, HEAD .. ([[users = { ann = { password = "sha256:%s" }, default = { password = "pw" } } }]])
        :format("30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4"))
      assert.same({ "PONG", "PONG" }, { client:call("PING"), ann:call("PING") })
      assert.matches("user=ann ", ann:call("CLIENT", "INFO"))
    end)

    it("drops the login of whose user has gone or whose password has changed", function()
      start([[users = { ann = { password = "pw" }, bob = { password = "pw" } }]])
      local bob = one:client()
      client:call("AUTH", "ann", "pw")
      bob:call("AUTH", "bob", "pw")
      reload(one, HEAD .. [[users = { bob = { password = "new" }, default = { password = false } } }]])
      assert.same({ NOAUTH, NOAUTH }, { client:call("PING"), bob:call("PING") })
      assert.equal("OK", bob:call("AUTH", "bob", "new"))
      assert.equal("PONG", bob:call("PING"))
      client:call("RESET")
      assert.equal("PONG", client:call("PING"))
    end)

    it("changes what a user may do at once", function()
      start([[users = { ann = { password = "pw", commands = { "+get" }, keys = { "a" } } }]])
      client:call("AUTH", "ann", "pw")
      assert.same({ support.null, NOKEY, nocommand("set") },
        { client:call("GET", "a"), client:call("GET", "b"), client:call("SET", "a", "1") })
      reload(one, HEAD .. [[users = { ann = { password = "pw", commands = { "+set" }, keys = { "b" } } } }]])
      assert.same({ nocommand("get"), NOKEY, "OK" },
        { client:call("GET", "a"), client:call("SET", "a", "1"), client:call("SET", "b", "1") })
    end)

    it("spoils a transaction that was queued under other rules", function()
      start([[users = { ann = { password = "pw" } }]])
      client:call("AUTH", "ann", "pw")
      client:call("MULTI")
      assert.equal("QUEUED", client:call("SET", "k", "v"))
      reload(one, HEAD .. [[users = { ann = { password = "pw", commands = { "-set" } } } }]])
      assert.matches("^EXECABORT ", client:call("EXEC").err)
      client:call("MULTI")
      assert.equal("QUEUED", client:call("GET", "k"))
      reload(one, HEAD .. [[users = { bob = { password = "pw" } } }]])
      assert.same(NOAUTH, client:call("GET", "k"))
      assert.equal("EXECABORT Transaction discarded because of: NOAUTH Authentication required.",
        client:call("EXEC").err)
      assert.equal("OK", client:call("AUTH", "bob", "pw"))
      assert.equal(support.null, client:call("GET", "k"))
    end)

    it("holds for commands that a pause had held back", function()
      start([[users = { ann = { password = "pw" }, bob = { password = "pw" } }]])
      local bob = one:client()
      client:call("AUTH", "ann", "pw")
      bob:call("AUTH", "bob", "pw")
      assert.equal("OK", client:call("CLIENT", "PAUSE", "100000", "WRITE"))
      bob:command("SET", "k", "v")
      support.wait_until(function()
        return client:call("INFO", "clients"):find("blocked_clients:1", 1, true)
      end, 5, "the command to be held")
      reload(one, HEAD .. [[users = { ann = { password = "pw" }, bob = { password = "pw", commands = { "-set" } } } }]])
      assert.equal("OK", client:call("CLIENT", "UNPAUSE"))
      assert.same(nocommand("set"), (bob:read()))
    end)

    it("keeps a transaction, when the rules stay", function()
      start([[users = { ann = { password = "pw", keys = { "k*" } } }]])
      client:call("AUTH", "ann", "pw")
      client:call("MULTI")
      client:call("SET", "k", "v")
      reload(one, HEAD .. [[users = { ann = { password = "pw", keys = { "k*" } }, bob = { password = "x" } } }]])
      assert.same({ "OK" }, client:call("EXEC"))
    end)

    it("closes a subscriber, when its user has gone", function()
      start([[users = { ann = { password = "pw" }, bob = { password = "pw" } }]])
      local bob = one:client()
      client:call("AUTH", "ann", "pw")
      bob:call("AUTH", "bob", "pw")
      assert.same({ "subscribe", "news", 1 }, client:call("SUBSCRIBE", "news"))
      assert.same({ "subscribe", "news", 1 }, bob:call("SUBSCRIBE", "news"))
      reload(one, HEAD .. [[users = { bob = { password = "pw" }, default = { password = false } } }]])
      client:expect_end()
      assert.equal(1, one:client():call("PUBLISH", "news", "x"))
      assert.same({ "message", "news", "x" }, (bob:read()))
    end)

    it("closes a client that blocks, when its user has gone", function()
      start([[users = { ann = { password = "pw" }, bob = { password = "pw" } }]])
      local bob = one:client()
      client:call("AUTH", "ann", "pw")
      bob:call("AUTH", "bob", "pw")
      client:command("BLPOP", "list", "0")
      bob:command("BLPOP", "list", "0")
      local host = support.client(one.vars.host)
      support.wait_until(function() return host:call("INFO", "clients"):find("blocked_clients:2", 1, true) end, 5,
        "both to block")
      reload(one, HEAD .. [[users = { bob = { password = "pw" } } }]])
      client:expect_end()
      host:call("RPUSH", "list", "x")
      assert.same({ "list", "x" }, (bob:read()))
    end)
  end)

  describe("a secret", function()
    it("is shown nowhere", function()
      local one = support.nydus({ config = ([[return { listen = $port, workers = 1, hosts = { "127.0.0.1:$host" },
        log = { level = "debug" }, password = "%s", users = { ann = { password = "%s2" } } }]]):format(SECRET, SECRET),
        vars = { host = support.redis().port } })
      local client = one:client()
      client:call("AUTH", SECRET .. "3")
      client:call("AUTH", SECRET, SECRET)
      one:wait_log("worker 1 warn client %S+ gave a (wrong user or password)")
      assert.equal("OK", client:call("AUTH", SECRET))
      for _, line in ipairs({
        "INFO", "INFO all", "CONFIG GET *", "CONFIG GET requirepass", "CLIENT LIST", "CLIENT INFO", "AUTH " .. SECRET .. "4",
      }) do
        client:command(unpack(words_of(line)))
        local _, raw = client:read()
        assert.is_nil(raw:find(SECRET, 1, true), line)
      end
      one:hup()
      one:wait_log("(reloaded in)")
      assert.is_nil(one:log():find(SECRET, 1, true))
    end)

    it("is not shown by --check, which says how many users there are", function()
      local code, out, err = support.nydus_run({ "--check", "config.lua", config = ([[return { listen = 6380,
        hosts = { {} }, users = { ann = { password = "%s" }, bob = { password = "%s" } }, deny = { "keys" } }]])
        :format(SECRET, SECRET) })
      assert.equal(0, code)
      assert.is_nil((out .. err):find(SECRET, 1, true))
      assert.matches("  users   2; clients have to log in, the user default is off\n  deny    1 rule for everybody\n", out)
    end)
  end)

  describe("real clients", function()
    it("log in: redis-cli", function()
      local function cli(...)
        return (select(2, support.run({ "timeout", "20", "redis-cli", "-p", nydus.port, "--no-auth-warning", ... })))
      end
      assert.equal("PONG\n", cli("-a", SECRET, "ping"))
      assert.equal("PONG\n", cli("--user", "ann", "--pass", "pw", "ping"))
      assert.matches("^NOAUTH ", cli("ping"))
      assert.matches("NOPERM this user has no permissions to run the 'del' command", cli("--user", "ann", "-a", "pw",
        "del", "user:1"))
      assert.equal("PONG\n", cli("-u", ("redis://ann:pw@127.0.0.1:%d"):format(nydus.port), "ping"))
    end)

    it("log in: python3-redis", function()
      local python = "/usr/bin/python3" -- Debian's, which Debian's modules are for
      if support.run({ python, "-c", "import redis" }) ~= 0 then pending("no python3-redis") end
      local code, out, err = support.run({ "timeout", "20", python, "-c", ([[
import redis
port = %d
r = redis.Redis(port=port, username="ann", password="pw")
assert r.set("user:py", "1") and r.get("user:py") == b"1"
for kind, fn in ((redis.exceptions.NoPermissionError, lambda: r.delete("user:py")),
                 (redis.exceptions.NoPermissionError, lambda: r.get("x")),
                 (redis.exceptions.AuthenticationError, lambda: redis.Redis(port=port).ping()),
                 (redis.exceptions.ResponseError,
                  lambda: redis.Redis(port=port, username="ann", password="bad").ping())):
    try:
        fn()
    except kind:
        continue
    raise AssertionError(kind)
assert redis.Redis(port=port, password="%s").ping()
assert redis.from_url("redis://ann:pw@localhost:%%d" %% port).ping()
]]):format(nydus.port, SECRET) })
      assert.equal(0, code, out .. err)
    end)

    local function node(library, program)
      local modules = lfs.currentdir() .. "/build/npm/node_modules"
      if not support.has("node") then pending("no node") end
      if not lfs.attributes(modules .. "/" .. library, "mode") then pending(library .. " is not in build/npm") end
      local script = support.write_file(support.temp_dir() .. "/login.js", ([[
        const assert = require("node:assert/strict");
        const port = %d, secret = "%s";
        async function main() { %s process.exit(0); }
        main().catch((error) => { console.log(error); process.exit(1); });
      ]]):format(nydus.port, SECRET, program))
      local code, out, err = support.run({ "timeout", "20", "node", script, env = { NODE_PATH = modules } })
      assert.equal(0, code, out .. err)
    end

    it("log in: ioredis", function()
      node("ioredis", [[
        const Redis = require("ioredis");
        const ann = new Redis({ port, username: "ann", password: "pw" });
        assert.equal(await ann.set("user:io", "1"), "OK");
        await assert.rejects(ann.get("x"), /NOPERM/);
        assert.equal(await new Redis({ port, password: secret }).ping(), "PONG");
        const stranger = new Redis({ port, retryStrategy: null, maxRetriesPerRequest: 0 });
        stranger.on("error", () => {});
        await assert.rejects(stranger.get("x"), /NOAUTH/);
      ]])
    end)

    it("log in: node-redis", function()
      node("redis", [[
        const { createClient } = require("redis");
        const ann = await createClient({ url: `redis://ann:pw@127.0.0.1:${port}` }).connect();
        assert.equal(await ann.set("user:node", "1"), "OK");
        await assert.rejects(ann.get("x"), /NOPERM/);
        const bad = createClient({ url: `redis://ann:bad@127.0.0.1:${port}`, socket: { reconnectStrategy: false } });
        bad.on("error", () => {});
        await assert.rejects(bad.connect(), /WRONGPASS/);
      ]])
    end)
  end)
end)
