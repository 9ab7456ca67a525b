-- How connections end: QUIT, half-close, RST.

local support = require("support")

local encode = support.encode

local function bulk(text)
  return ("$%d\r\n%s\r\n"):format(#text, text)
end

describe("quit", function()
  local host, nydus, client

  before_each(function()
    host = support.fake({ auto = { PING = "+PONG\r\n" } })
    nydus = support.nydus({ config = { hosts = { host } } })
    client = nydus:client()
  end)

  it("answers after what is pending, and the rest of the pipeline is not run", function()
    client:send(encode({ "GET", "a" }) .. encode({ "QUIT" }) .. encode({ "SET", "b", "1" }) .. "GARBAGE\r\n*x\r\n")
    host:expect("GET a")
    host:expect_silence(0.05)
    assert.equal("", client:pending())
    host:answer(bulk("A"))
    client:expect_end("$1\r\nA\r\n+OK\r\n")
  end)

  it("is known inline, in any case, and as the first command", function()
    client:send("quit\r\nSET b 1\r\n")
    client:expect_end("+OK\r\n")
    host:expect_silence(0.05)
  end)

  it("in its own packet ends the reading, too", function()
    client:command("GET", "a")
    host:expect("GET a")
    client:command("QUIT")
    client:command("SET", "b", "1")
    host:expect_silence(0.05)
    host:answer(bulk("A"))
    client:expect_end("$1\r\nA\r\n+OK\r\n")
  end)

  it("delivers a big reply whole, before the connection ends", function()
    local big = bulk(("x"):rep(5 * 1024 * 1024))
    client:send(encode({ "GET", "big" }) .. encode({ "QUIT" }))
    host:expect("GET big")
    host:answer(big)
    client:expect_end(big .. "+OK\r\n")
  end)

  it("is not needed: a client that closes its sending half gets all replies", function()
    local gets, replies = {}, {}
    for i = 1, 200 do gets[i], replies[i] = encode({ "GET", "k" .. i }), bulk("v" .. i) end
    client:send(table.concat(gets))
    client:shutdown_write()
    for i = 1, 200 do host:expect("GET k" .. i) end
    assert.equal("", client:pending())
    host:answer(table.concat(replies))
    client:expect_end(table.concat(replies))
  end)

  it("leaves half a command unanswered, when the client has closed", function()
    client:send(encode({ "GET", "a" }) .. "*2\r\n$3\r\nGET\r\n$1\r\n")
    client:shutdown_write()
    host:expect("GET a")
    host:answer(bulk("A"))
    client:expect_end("$1\r\nA\r\n")
  end)

  it("gets all replies after a half-close behind a SELECT that is not answered yet", function()
    local redis = support.redis()
    local other = support.nydus({ config = { hosts = { redis } } }):client()
    other:send(encode({ "SELECT", "5" }) .. encode({ "SET", "k", "5" }) .. encode({ "GET", "k" }))
    other:shutdown_write()
    other:expect_end("+OK\r\n+OK\r\n$1\r\n5\r\n")
  end)

  it("survives a client that resets while replies are on their way to it", function()
    local redis = support.redis()
    local server = support.nydus({ config = { hosts = { redis } } })
    redis:call("SET", "big", ("x"):rep(4 * 1024 * 1024))
    for _ = 1, 10 do
      local reader = server:client({ receive_buffer = 4096 })
      reader:send(encode({ "GET", "big" }):rep(4))
      reader:read_raw(1000)
      reader:reset()
    end
    local stays = server:client()
    support.wait_until(function()
      return stays:call("INFO", "clients"):find("worker_clients:1\r\n", 1, true)
    end, 5, "all of them to be gone")
  end)
end)
