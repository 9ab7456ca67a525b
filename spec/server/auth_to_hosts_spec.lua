-- What Nydus says to a host before the first command, and what happens when
-- the host does not like it.

local support = require("support")
local pair = require("support.pair")

local SECRET = "s3cret-hush"

local function nydus_with(host, options, more)
  local config = { hosts = { host:address(options) } }
  for key, value in pairs(more or {}) do config[key] = value end
  return support.nydus({ config = config })
end

-- Answers the greeting word by word.
local function greet(fake, ...)
  for _, words in ipairs({ ... }) do fake:expect(words) end
end

describe("auth to hosts", function()
  describe("the greeting", function()
    local cases = {
      { {}, { "PING" } },
      { { password = "pw" }, { "AUTH pw", "PING" } },
      { { user = "me", password = "pw" }, { "AUTH me pw", "PING" } },
      { { db = 3 }, { "SELECT 3", "PING" } },
      { { user = "me", password = "p w\r\n", db = 7 }, { "AUTH me p w\r\n", "SELECT 7", "PING" } },
    }

    it("is AUTH, SELECT, PING in that order, and no command goes before its last reply", function()
      for _, case in ipairs(cases) do
        local fake = support.fake()
        local nydus = nydus_with(fake, case[1])
        local client = nydus:client()
        client:command("GET", "k")
        greet(fake, unpack(case[2]))
        fake:expect_silence(0.02)
        for i = 1, #case[2] do
          fake:answer(i == #case[2] and "+PONG\r\n" or "+OK\r\n")
          if i < #case[2] then fake:expect_silence(0.02) end
        end
        fake:expect("GET k")
        fake:answer("$1\r\nv\r\n")
        assert.equal("v", (client:read()))
      end
    end)

    it("is said again on every new link", function()
      local fake = support.fake()
      local nydus = nydus_with(fake, { password = "pw", db = 2 })
      for i = 1, 3 do
        greet(fake, "AUTH pw", "SELECT 2", "PING")
        fake:answer("+OK\r\n+OK\r\n+PONG\r\n")
        local client = nydus:client()
        client:command("INCR", "k")
        fake:expect("INCR k")
        fake:answer((":%d\r\n"):format(i))
        assert.equal(i, (client:read()))
        fake:close_link()
      end
    end)

    it("does not mind a host that is loading: that is for the commands to hear", function()
      local fake = support.fake({ auto = { PING = "-LOADING Redis is loading the dataset in memory\r\n" } })
      local client = nydus_with(fake):client()
      client:command("GET", "k")
      fake:expect("GET k")
      fake:answer("-LOADING Redis is loading the dataset in memory\r\n")
      assert.same({ err = "LOADING Redis is loading the dataset in memory" }, (client:read()))
    end)
  end)

  describe("a real host", function()
    it("lets Nydus in by password, by user, and into the database", function()
      local plain = support.redis({ requirepass = SECRET })
      local acl = support.redis({ user = { name = "nydus", password = SECRET, rules = "~* +@all" } })
      for _, case in ipairs({
        { plain, { password = SECRET } }, { plain, { password = SECRET, db = 5 } },
        { plain, { user = "default", password = SECRET } }, { acl, { user = "nydus", password = SECRET, db = 4 } },
      }) do
        local client = nydus_with(case[1], case[2]):client()
        assert.equal("OK", client:call("SET", "where", "here"))
        case[1]:call("SELECT", tostring(case[2].db or 0))
        assert.equal("here", case[1]:call("GET", "where"))
        assert.equal(1, case[1]:call("DBSIZE"))
        case[1]:call("FLUSHALL")
        case[1]:call("SELECT", "0")
      end
    end)

    it("is given the password again after a restart", function()
      local redis = support.redis({ requirepass = SECRET })
      local client = nydus_with(redis, { password = SECRET }):client()
      assert.equal("OK", client:call("SET", "k", "1"))
      redis:restart()
      pair.until_reply(client, { "GET", "k" }, support.null, 3)
      assert.equal("OK", client:call("SET", "k", "2"))
    end)

    it("that has a new password keeps the old links and refuses new ones", function()
      local redis = support.redis({ requirepass = SECRET })
      local client = nydus_with(redis, { password = SECRET }):client()
      assert.equal("OK", client:call("SET", "k", "1"))
      redis:call("CONFIG", "SET", "requirepass", "other")
      assert.equal("1", client:call("GET", "k"))
      redis:call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
      local text
      support.wait_until(function()
        text = client:call("GET", "k").err
        return text and text:find("AUTH refused: WRONGPASS", 1, true)
      end, 3, "the refusal")
      redis:call("CONFIG", "SET", "requirepass", SECRET)
      pair.until_reply(client, { "GET", "k" }, "1", 3)
    end)
  end)

  describe("a refusal", function()
    local cases = {
      { "a wrong password", { requirepass = SECRET }, { password = "wr0ng-" .. SECRET }, "AUTH refused: WRONGPASS" },
      { "no password", { requirepass = SECRET }, {}, "PING refused: NOAUTH" },
      { "no password, with a database", { requirepass = SECRET }, { db = 2 }, "SELECT refused: NOAUTH" },
      { "a password too many", {}, { user = "who", password = SECRET }, "AUTH refused: WRONGPASS" },
      { "a database too high", { databases = 2 }, { db = 9 }, "SELECT refused: ERR DB index is out of range" },
    }

    it("is a clear error, at once, without a hot loop and without a secret", function()
      for _, case in ipairs(cases) do
        local redis = support.redis(case[2])
        local nydus = nydus_with(redis, case[3])
        local client = nydus:client()
        local text = pair.error(client:call("SET", "k", "v"))
        assert.matches("^ERR host redis://127%.0%.0%.1:%d+/%d is down: ", text, case[1])
        assert.is_truthy(text:find(case[4], 1, true), case[1] .. ": " .. text)
        nydus:wait_log(case[4]:match("^%u+ refused"))
        assert.equal(0, redis:call("DBSIZE"), case[1])
        local everything = text .. nydus:log() .. client:call("INFO", "everything")
        assert.is_nil(everything:find(SECRET, 1, true), case[1])
      end
    end)

    it("is tried again with back-off", function()
      local redis = support.redis({ requirepass = SECRET })
      local nydus = nydus_with(redis, { password = "wrong" })
      local client = nydus:client()
      local function connects()
        return tonumber(redis:call("INFO", "stats"):match("total_connections_received:(%d+)"))
      end
      local before, start = connects(), support.now()
      support.wait_until(function()
        client:call("GET", "k")
        return support.now() - start > 1
      end)
      assert.is_true(connects() - before <= 8, connects() - before .. " connects in a second")
    end)

    it("of SELECT never lets a command through to database 0", function()
      local fake = support.fake({ auto = { AUTH = "+OK\r\n", PING = "+PONG\r\n",
        SELECT = "-ERR DB index is out of range\r\n" } })
      local client = nydus_with(fake, { db = 3, password = "pw" }):client()
      for _ = 1, 20 do
        client:command("SET", "k", "v")
        support.wait_until(function()
          fake:expect_silence(0.005)
          return client:pending() ~= ""
        end)
        assert.matches("SELECT refused: ERR DB index is out of range$", pair.error(client:read()))
      end
    end)

    it("does not hold back other hosts", function()
      local locked, open = support.redis({ requirepass = SECRET }), support.redis()
      local client = pair.nydus(locked, open):client()
      assert.matches("NOAUTH", pair.error(client:call("GET", "a")))
      assert.equal("OK", client:call("SET", "b", "1"))
    end)
  end)
end)
