-- WATCH: on a private link until EXEC, DISCARD or UNWATCH.

local support = require("support")
local pair = require("support.pair")

local LIMIT = 256
local UNUSED = { err = "EXECABORT Transaction discarded because of previous errors." }

-- Each is one connection's life; `other:` is another client's command.
local scripts = {
  { "WATCH a", "MULTI", "SET a 1", "EXEC", "GET a" },
  { "WATCH a", "other: SET a 2", "MULTI", "SET a 1", "EXEC", "GET a", "MULTI", "SET a 3", "EXEC" },
  { "WATCH a", "SET a 2", "MULTI", "GET a", "EXEC" },
  { "WATCH a b c", "WATCH d", "other: SET d 2", "MULTI", "GET a", "EXEC" },
  { "WATCH a", "UNWATCH", "other: SET a 2", "MULTI", "GET a", "EXEC" },
  { "WATCH a", "other: SET a 2", "UNWATCH", "MULTI", "GET a", "EXEC" },
  { "WATCH a", "other: SET a 2", "MULTI", "DISCARD", "MULTI", "GET a", "EXEC" },
  { "WATCH a", "other: SET a 2", "MULTI", "NOSUCH", "EXEC", "MULTI", "GET a", "EXEC" },
  { "WATCH a", "other: SET a 2", "MULTI", "EXEC" },
  { "WATCH a", "MULTI", "EXEC" },
  { "WATCH a", "other: SET a 2", "RESET", "MULTI", "GET a", "EXEC" },
  { "MULTI", "WATCH a", "SET a 1", "EXEC" }, { "MULTI", "UNWATCH", "EXEC" },
  { "UNWATCH", "UNWATCH x", "WATCH" }, { "WATCH a", "EXEC", "DISCARD" },
  { "WATCH a", "other: SET b 2", "MULTI", "INCR a", "EXEC" },
  { "WATCH a", "other: DEL a", "MULTI", "PING", "EXEC" },
}

local function words_of(line)
  local words = {}
  for word in line:gmatch("%S+") do words[#words + 1] = word end
  return words
end

local function replies(client, other, script)
  local out = {}
  for i, line in ipairs(script) do
    local rest = line:match("^other: (.*)")
    local who = rest and other or client
    who:command(unpack(words_of(rest or line)))
    local _, bytes = who:read()
    out[i] = line .. " => " .. bytes
  end
  return out
end

local function connections(redis)
  return tonumber(redis:call("INFO", "clients"):match("connected_clients:(%d+)"))
end

describe("watch", function()
  describe("in front of one Redis", function()
    local redis, nydus, client, other

    before_each(function()
      redis = support.redis()
      nydus = support.nydus({ config = { hosts = { redis:address({ timeout = 0.5 }) }, workers = 1 } })
      client, other = nydus:client(), nydus:client()
    end)

    it("is answered byte for byte as by Redis, for a table of scripts", function()
      local plain = support.redis()
      for _, script in ipairs(scripts) do
        redis:call("FLUSHALL")
        plain:call("FLUSHALL")
        assert.same(replies(plain:client(), plain:client(), script), replies(nydus:client(), other, script))
      end
    end)

    it("makes counting by reading and writing safe, in pipelines", function()
      local clients, done = {}, 0
      for i = 1, 5 do clients[i] = nydus:client() end
      redis:call("SET", "n", "0")
      for _ = 1, 60 do
        local seen = {}
        for i, one in ipairs(clients) do
          one:send(support.encode({ "WATCH", "n" }) .. support.encode({ "GET", "n" }))
          one:read()
          seen[i] = one:read()
        end
        for i, one in ipairs(clients) do
          one:send(support.encode({ "MULTI" }) .. support.encode({ "SET", "n", seen[i] + 1 }) ..
            support.encode({ "EXEC" }))
        end
        for _, one in ipairs(clients) do
          one:read()
          one:read()
          if one:read() ~= support.null then done = done + 1 end
        end
      end
      assert.equal(tostring(done), redis:call("GET", "n"))
      assert.equal(60, done)
    end)

    it("keeps the order of a pipeline", function()
      for i = 1, 50 do
        assert.same({ "OK", "OK", tostring(i), "OK", "QUEUED", { i + 1 }, tostring(i + 1) }, client:pipeline({
          { "SET", "k", i }, { "WATCH", "k" }, { "GET", "k" }, { "MULTI" }, { "INCR", "k" }, { "EXEC" },
          { "GET", "k" },
        }))
      end
    end)

    it("uses its link again, clean", function()
      for i = 1, 30 do
        local one = nydus:client()
        one:call("WATCH", "k")
        other:call("SET", "k", i)
        if i % 3 == 0 then one:call("UNWATCH") elseif i % 3 == 1 then one:pipeline({ { "MULTI" }, { "DISCARD" } }) end
        one:close()
        local two = nydus:client()
        assert.same({ "OK", "OK", "QUEUED", { "OK" } },
          two:pipeline({ { "WATCH", "other" }, { "MULTI" }, { "SET", "other", "1" }, { "EXEC" } }))
      end
      assert.is_true(connections(redis) < 8)
    end)

    it("works for python3-redis, whose transactions begin again when they have to", function()
      local python = [[
import redis, sys, threading
port = int(sys.argv[1])
def count():
    c = redis.Redis(port=port)
    def change(p):
        n = int(p.get("n") or 0)
        p.multi()
        p.set("n", n + 1)
    for _ in range(20):
        c.transaction(change, "n")
threads = [threading.Thread(target=count) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
assert redis.Redis(port=port).get("n") == b"80"
]]
      local code, out, err = support.run({ "/usr/bin/python3", "-c", python, tostring(nydus.port) })
      assert.equal(0, code, tostring(out) .. tostring(err))
    end)

    it("does not let the database change under it", function()
      client:call("WATCH", "k")
      assert.matches("^ERR SELECT has to wait", client:call("SELECT", "1").err)
      client:call("UNWATCH")
      assert.equal("OK", client:call("SELECT", "1"))
      client:call("WATCH", "k")
      other:call("SET", "k", "in 0")
      assert.same({ "OK", "QUEUED", { "OK" } }, client:pipeline({ { "MULTI" }, { "SET", "k", "in 1" }, { "EXEC" } }))
      assert.equal("in 0", other:call("GET", "k"))
    end)

    it("may block meanwhile", function()
      client:call("WATCH", "k")
      client:command("BLPOP", "l", "0")
      other:call("RPUSH", "l", "v")
      assert.same({ "l", "v" }, (client:read()))
      other:call("SET", "k", "1")
      assert.same({ "OK", "QUEUED", support.null }, client:pipeline({ { "MULTI" }, { "GET", "k" }, { "EXEC" } }))
    end)

    it("is limited, and says so", function()
      local many = {}
      for i = 1, LIMIT do
        many[i] = nydus:client()
        assert.equal("OK", many[i]:call("WATCH", "k"))
      end
      assert.matches("^ERR all 256 private links to host .* are in use$", client:call("WATCH", "k").err)
      assert.same({ "OK", "QUEUED", { "OK" } }, client:pipeline({ { "MULTI" }, { "SET", "k", "1" }, { "EXEC" } }))
      many[1]:close()
      pair.until_reply(client, { "WATCH", "k" }, "OK")
    end)

    it("goes on over a reload that takes its host away", function()
      local new = support.redis()
      client:call("WATCH", "k")
      nydus:write("config.lua", { hosts = { new }, workers = 1 })
      nydus:hup()
      support.wait_until(function()
        other:call("SET", "probe", "x")
        return new:call("GET", "probe") == "x"
      end, 5, "the new host to be used")
      assert.same({ "OK", "QUEUED", { "OK" } }, client:pipeline({ { "MULTI" }, { "SET", "k", "old" }, { "EXEC" } }))
      assert.equal("old", redis:call("GET", "k"))
      client:pipeline({ { "WATCH", "k" }, { "MULTI" }, { "SET", "k", "new" }, { "EXEC" } })
      assert.equal("new", new:call("GET", "k"))
    end)
  end)

  it("fixes the host for the transaction, over two", function()
    local alpha, beta = support.redis(), support.redis()
    local client = pair.nydus(alpha, beta):client()
    local crossed = { err = "CROSSSLOT Keys in request don't hash to the same host" }
    assert.same(crossed, client:call("WATCH", "a", "b"))
    assert.same({ "OK", crossed, "OK", crossed, UNUSED },
      client:pipeline({ { "WATCH", "b" }, { "WATCH", "a" }, { "MULTI" }, { "GET", "a" }, { "EXEC" } }))
    assert.same({ "OK", "OK", "QUEUED", { "OK" } },
      client:pipeline({ { "WATCH", "a" }, { "MULTI" }, { "SET", "a", "1" }, { "EXEC" } }))
    assert.equal("1", alpha:call("GET", "a"))
  end)

  describe("and a host that fails", function()
    local host, nydus, client, link

    before_each(function()
      host = support.fake({ auto = { PING = "+PONG\r\n", UNWATCH = "+OK\r\n" } })
      nydus = support.nydus({ config = { hosts = { host:address({ timeout = 0.3 }) }, workers = 1 } })
      client = nydus:client()
      host:accept()
      client:command("WATCH", "k")
      link = host:expect("WATCH k")
      host:answer("+OK\r\n")
      assert.equal("OK", client:read())
    end)

    local lost = "^ERR host .* was lost since WATCH"

    it("is an error at EXEC, once, when the link was lost", function()
      host:close_link(link)
      support.wait_until(function() return client:call("WATCH", "k").err ~= nil end, 3, "the loss")
      local got = client:pipeline({ { "MULTI" }, { "SET", "k", "1" }, { "EXEC" } })
      assert.matches(lost, got[3].err)
      assert.equal("OK", client:call("MULTI"))
      assert.same({}, client:call("EXEC"))
    end)

    it("is an error, when the host is lost after EXEC", function()
      client:send(support.encode({ "MULTI" }) .. support.encode({ "SET", "k", "1" }) .. support.encode({ "EXEC" }))
      host:expect("MULTI")
      host:expect("SET k 1")
      assert.equal(link, host:expect("EXEC"))
      host:reset_link(link)
      client:read()
      client:read()
      assert.matches("^ERR host .* is down: .*the command may have run$", client:read().err)
    end)

    it("is over, when its client leaves: the link is clean for the next", function()
      client:reset()
      local next_one = nydus:client()
      next_one:command("WATCH", "j")
      support.wait_until(function()
        local words = host:request()
        return words[1] == "WATCH" and words[2] == "j"
      end, 3, "the next WATCH")
      host:answer("+OK\r\n")
      assert.equal("OK", next_one:read())
    end)

    it("is an error, when a further WATCH fails, and EXEC then too", function()
      client:command("WATCH", "j")
      host:expect("WATCH j")
      assert.matches("did not answer within", client:read().err)
      local got = client:pipeline({ { "MULTI" }, { "SET", "k", "1" }, { "EXEC" } })
      assert.matches(lost, got[3].err)
    end)

    it("is held while the host is asked, and lets its client leave", function()
      client:send(support.encode({ "WATCH", "j" }) .. support.encode({ "GET", "j" }))
      host:expect("WATCH j")
      host:expect_silence(0.05)
      client:reset()
      host:answer("+OK\r\n", link)
      local other = nydus:client()
      other:command("GET", "x")
      support.wait_until(function()
        local words = host:request()
        if words[2] == "x" then return true end
        host:answer("$1\r\nj\r\n") -- the held command went out, for nobody
      end, 3, "GET x")
      host:answer("$1\r\nx\r\n")
      assert.equal("x", other:read())
    end)
  end)
end)
