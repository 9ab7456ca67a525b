-- RANDOMKEY over several hosts.

local support = require("support")

local null = support.null
local PONG = { auto = { PING = "+PONG\r\n" } }

local function server(hosts, router, more)
  return support.nydus({ config = { router = router or "ketama", hosts = hosts, defaults = more } })
end

describe("randomkey", function()
  it("is null only when all hosts are empty", function()
    local redis, hosts = support.redis(), {}
    for i = 1, 10 do hosts[i] = redis:address({ db = i - 1 }) end
    local client = server(hosts):client()
    assert.equal(null, client:call("RANDOMKEY"))
    client:call("SET", "only", "1")
    for _ = 1, 50 do assert.equal("only", client:call("RANDOMKEY")) end
    client:call("DEL", "only")
    assert.equal(null, client:call("RANDOMKEY"))
  end)

  it("comes from every host that has keys", function()
    local a, b, c = support.redis(), support.redis(), support.redis()
    local client = server({ a, b, c }):client()
    a:call("SET", "a", "1")
    c:call("SET", "c", "1")
    local seen = { a = 0, c = 0 }
    for _ = 1, 200 do
      local key = client:call("RANDOMKEY")
      seen[key] = seen[key] + 1
    end
    assert.is_true(seen.a > 20 and seen.c > 20)
  end)

  it("asks each host once, before what is pipelined behind it", function()
    local a, b = support.fake(PONG), support.fake(PONG)
    local client = server({ a, b }):client()
    client:send(support.encode({ "RANDOMKEY" }) .. support.encode({ "FLUSHALL" }))
    for _, host in ipairs({ a, b }) do
      host:expect("RANDOMKEY")
      host:expect("FLUSHALL")
    end
    b:answer("$1\r\nk\r\n")
    a:answer("$-1\r\n")
    assert.equal("k", client:read())
    for _, host in ipairs({ a, b }) do
      host:answer("+OK\r\n")
      host:expect_silence(0.02)
    end
    assert.equal("OK", client:read())
  end)

  it("passes over a host that is away, but cannot call it empty", function()
    local a, b = support.redis(), support.redis()
    local client = server({ a, b }):client()
    a:call("SET", "k", "1")
    b:stop()
    for _ = 1, 20 do assert.equal("k", client:call("RANDOMKEY")) end
    a:call("DEL", "k")
    for _ = 1, 20 do assert.matches("^ERR host .* is down: ", client:call("RANDOMKEY").err) end
  end)

  it("is every host's under all, and the one host's under one", function()
    local redis = support.redis()
    redis:call("SET", "k", "1")
    assert.same({ "k", null }, server({ redis, redis:address({ db = 1 }) }, "all"):client():call("RANDOMKEY"))
    assert.equal("k", server({ redis }):client():call("RANDOMKEY"))
  end)

  it("keeps the order of replies, when the client goes on or leaves", function()
    local a, b = support.redis(), support.redis()
    local nydus = server({ a, b })
    local client = nydus:client()
    a:call("SET", "k", "1")
    local words, expected = {}, {}
    for i = 1, 100 do
      words[2 * i - 1], expected[2 * i - 1] = { "RANDOMKEY" }, "k"
      words[2 * i], expected[2 * i] = { "ECHO", tostring(i) }, tostring(i)
    end
    assert.same(expected, client:pipeline(words))
    local gone = nydus:client()
    for _ = 1, 50 do gone:command("RANDOMKEY") end
    gone:reset()
    assert.equal("k", client:call("RANDOMKEY"))
  end)
end)
