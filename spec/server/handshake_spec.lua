-- What a client says first: HELLO, AUTH, and the programs that people use.

local support = require("support")

describe("handshake", function()
  local redis, nydus

  setup(function()
    redis = support.redis()
    nydus = support.nydus({ config = { hosts = { redis } } })
  end)

  describe("HELLO and AUTH", function()
    local lines = {
      "HELLO 4", "HELLO x", "HELLO 1", "HELLO 2 NONSENSE", "HELLO 2 AUTH x", "HELLO 2 AUTH u p", "HELLO 2 SETNAME",
      { "HELLO", "2", "SETNAME", "a b" }, "AUTH", "AUTH x", "AUTH default x", "AUTH nobody x", "AUTH a b c",
    }

    it("fail in Redis's words", function()
      local client, peer = nydus:client(), redis:client()
      for _, line in ipairs(lines) do
        local words = line
        if type(line) == "string" then
          words = {}
          for word in line:gmatch("%S+") do words[#words + 1] = word end
        end
        assert.same(peer:call(unpack(words)), client:call(unpack(words)), table.concat(words, " "))
      end
    end)

    it("say who answers, in RESP2", function()
      local client = nydus:client()
      local id = client:call("CLIENT", "ID")
      local expected = {
        "server", "redis", "version", "7.0.15", "proto", 2, "id", id, "mode", "standalone", "role", "master",
        "modules", {},
      }
      assert.same(expected, client:call("HELLO"))
      assert.same(expected, client:call("HELLO", "2"))
      assert.same(expected, client:call("hello", "2", "auth", "default", "x", "setname", "me"))
      assert.equal("me", client:call("CLIENT", "GETNAME"))
    end)
  end)

  describe("HTTP", function()
    it("is dropped and logged, when a page in a browser tries", function()
      for _, line in ipairs({ "POST / HTTP/1.1\r\nHost: x\r\n\r\nSET a b\r\n", "GET / HTTP/1.1\r\nHost: x\r\n" }) do
        nydus:forget_log()
        local client = nydus:client()
        client:send(line)
        assert.is_nil(client:read_to_end():find("+OK", 1, true))
        nydus:wait_log("HTTP")
      end
    end)
  end)

  describe("programs", function()
    local function output(words)
      local code, out, err = support.run(words)
      assert.equal(0, code, (out or "") .. (err or ""))
      return out
    end

    it("redis-cli talks", function()
      local out = support.run({ "redis-cli", "-p", nydus.port, stdin = "SET cli 1\nGET cli\nSELECT 3\nGET cli\n" })
      assert.equal(0, out)
      assert.equal("1", redis:call("GET", "cli"))
    end)

    it("redis-benchmark runs", function()
      local out = output({ "redis-benchmark", "-p", nydus.port, "-n", 200, "-c", 5, "-q", "-t", "ping,set,get,mset" })
      assert.matches("SET: [%d%.]+ requests per second", out)
      assert.is_nil(out:find("WARNING", 1, true))
    end)

    it("python3-redis works", function()
      if not support.has("python3") then
        pending("no python3")
        return
      end
      local code, out, err = support.run({
        "/usr/bin/python3", "-c", [[
import sys
try:
    import redis
except ImportError:
    sys.exit(77)
r = redis.Redis(port=int(sys.argv[1]), db=2, client_name="py", decode_responses=True)
r.set("py", "v")
with r.pipeline(transaction=False) as p:
    for i in range(50):
        p.incr("n")
    n = p.execute()
print(r.get("py"), n[-1], r.info()["redis_version"], r.client_getname(), r.config_get("save"), r.ping())
]], nydus.port,
      })
      if code == 77 then
        pending("no python3-redis")
        return
      end
      assert.equal(0, code, err)
      assert.equal("v 50 7.0.15 py {'save': ''} True\n", out)
      redis:call("SELECT", "2")
      assert.equal("v", redis:call("GET", "py"))
      redis:call("SELECT", "0")
    end)
  end)
end)
