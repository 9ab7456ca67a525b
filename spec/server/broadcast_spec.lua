-- Commands that go to several hosts at once, and how their replies become one.

local support = require("support")

local null = support.null

describe("broadcast", function()
  local a, b, c

  before_each(function()
    a, b, c = support.redis(), support.redis(), support.redis()
  end)

  local function server(router, more)
    local config = { router = router, hosts = { a, b, c } }
    for key, value in pairs(more or {}) do config[key] = value end
    return support.nydus({ config = config })
  end

  describe("under a router that picks by key", function()
    local client

    before_each(function()
      client = server("ketama"):client()
      for i = 1, 30 do client:call("SET", "key:" .. i, i) end
    end)

    it("adds numbers up: DBSIZE", function()
      assert.equal(30, client:call("DBSIZE"))
      assert.is_true(a:call("DBSIZE") < 30)
    end)

    it("puts arrays end to end: KEYS", function()
      local keys = client:call("KEYS", "key:*")
      assert.equal(30, #keys)
      table.sort(keys)
      for i = 2, 30 do assert.not_equal(keys[i - 1], keys[i]) end
      assert.same({}, client:call("KEYS", "nothing:*"))
    end)

    it("says OK when all have done it: FLUSHALL, FLUSHDB, SCRIPT LOAD", function()
      local sha = client:call("SCRIPT", "LOAD", "return 'loaded'")
      assert.equal(40, #sha)
      for _, redis in ipairs({ a, b, c }) do assert.equal("loaded", redis:call("EVALSHA", sha, "0")) end
      assert.equal("OK", client:call("FLUSHALL"))
      for _, redis in ipairs({ a, b, c }) do assert.equal(0, redis:call("DBSIZE")) end
      assert.equal("OK", client:call("FLUSHDB", "ASYNC"))
    end)

    it("joins arrays of numbers place by place: SCRIPT EXISTS", function()
      local both = client:call("SCRIPT", "LOAD", "return 1")
      local some = b:call("SCRIPT", "LOAD", "return 2")
      assert.same({ 1, 0, 0 }, client:call("SCRIPT", "EXISTS", both, some, ("0"):rep(40)))
    end)

    it("is an error when one has failed, and says on how many it was done", function()
      b:call("CONFIG", "SET", "maxmemory", "1")
      b:call("CONFIG", "SET", "min-replicas-to-write", "1")
      local reply = client:call("FLUSHALL")
      assert.equal("NOREPLICAS Not enough good replicas to write. ('flushall' was done on 2 of 3 hosts)", reply.err)
      assert.equal("PONG", client:call("PING"))
    end)

    it("is an error when one refuses, and no part of the array: KEYS", function()
      b:call("ACL", "SETUSER", "default", "-keys")
      assert.matches("^NOPERM .*'keys' command %('keys' was done on 2 of 3 hosts%)$", client:call("KEYS", "*").err)
    end)

    it("is Redis's own error when all say the same", function()
      assert.matches("near 'here'$", client:call("SCRIPT", "LOAD", "nonsense here").err)
      assert.same({ err = "ERR syntax error" }, client:call("FLUSHALL", "NOW"))
    end)

    it("is an error when one is away", function()
      c:stop()
      support.wait_until(function() return client:call("DBSIZE").err end, 5, "the host to be missed")
      assert.matches("^ERR host .* is down: .*%('dbsize' was done on 2 of 3 hosts%)$", client:call("DBSIZE").err)
    end)
  end)

  describe("with one host", function()
    it("gives the bare reply", function()
      local config = { router = "ketama", hosts = { a } }
      local client = support.nydus({ config = config }):client()
      client:call("SET", "k", "v")
      assert.equal(1, client:call("DBSIZE"))
      assert.same({ "k" }, client:call("KEYS", "*"))
      assert.equal("OK", client:call("FLUSHALL"))
      assert.matches("^Redis ver", client:call("LOLWUT"):sub(-30):match("Redis ver.*"))
    end)
  end)

  describe("by a list in a router script", function()
    it("gives the array, also nested, with errors beside results", function()
      local nydus = support.nydus({
        config = { router = "lists.lua", hosts = { a, b, c } },
        files = { ["lists.lua"] = [[
          local cluster = ...
          local one, two, three = cluster.hosts[1], cluster.hosts[2], cluster.hosts[3]
          return { one, { two, three }, require("nydus").reply("local") }
        ]] },
      })
      local client = nydus:client()
      b:call("SET", "k", "text")
      assert.same({ 1, { { err = "WRONGTYPE Operation against a key holding the wrong kind of value" }, 1 }, "local" },
        client:call("LPUSH", "k", "x"))
      assert.same({ { null, null }, { { "text", null }, { null, null } }, "local" }, client:call("MGET", "k", "no"))
    end)
  end)
end)
