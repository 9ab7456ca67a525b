-- Clients that do not read, or read slowly: their business, at bounded memory,
-- and nobody else waits for them.

local support = require("support")
local sys = require("support.sys")
local pair = require("support.pair")

local MB = 1024 * 1024
local COMMANDS = 2000000
-- A sanitizer keeps what has been freed, and each request is an allocation of its own then.
local MOST = (pair.sanitized and 800 or 16) * MB
local INCR = support.encode({ "INCR", "n" })

-- Sends as much of `bytes` (from `at`) as goes before nothing moves for a while.
local function send_until_stuck(client, bytes, at, seconds)
  local moved = support.now()
  while at <= #bytes and support.now() - moved < seconds do
    local put = sys.write(client.fd, bytes, at)
    if put then
      at, moved = at + put, support.now()
    else
      sys.poll(client.fd, "w", 0.01)
    end
  end
  return at
end

-- Takes the integers of `text` that must go on after `last`; returns the last
-- and the unfinished rest.
local function take_numbers(text, last)
  local from = 1
  while true do
    local expected = (":%d\r\n"):format(last + 1)
    if text:sub(from, from + #expected - 1) ~= expected then break end
    last, from = last + 1, from + #expected
  end
  local rest = text:sub(from)
  if #rest > 24 then error(("after %d comes %q"):format(last, rest:sub(1, 60)), 2) end
  return last, rest
end

-- Sends the rest of `bytes` and reads all replies.
local function finish(client, bytes, at, count)
  local last, rest = 0, ""
  local deadline = support.now() + 60
  while last < count do
    sys.poll(client.fd, at <= #bytes and "rw" or "r", 1)
    if at <= #bytes then at = at + (sys.write(client.fd, bytes, at) or 0) end
    local text, why = sys.read(client.fd)
    if text then last, rest = take_numbers(rest .. text, last) end
    if why and why ~= "again" or support.now() > deadline then
      error(("only %d replies, %s"):format(last, why), 2)
    end
  end
  assert.equal("", rest)
end

describe("backpressure", function()
  it("holds a client that pipelines 2,000,000 commands and does not read, at bounded memory", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis }, max_reply_buffer = "4mb" } })
    local worker = pair.worker(nydus)
    local client, other = nydus:client({ receive_buffer = 65536 }), nydus:client()
    assert.equal("PONG", other:call("PING"))
    local before = support.rss(worker)
    local bytes = INCR:rep(COMMANDS)
    local at = send_until_stuck(client, bytes, 1, 0.3)
    assert.is_true(at < #bytes, "everything was taken")
    assert.is_true(support.rss(worker) - before < MOST, "grew by " .. support.rss(worker) - before)

    local cpu, start = support.cpu(worker), support.now()
    for _ = 1, 100 do assert.equal(support.null, other:call("GET", "none")) end
    assert.is_true(support.now() - start < 4, "others wait")
    assert.is_true(support.cpu(worker) - cpu < 0.5, "it spins")

    finish(client, bytes, at, COMMANDS)
    assert.equal(tostring(COMMANDS), redis:call("GET", "n"))
    assert.equal("PONG", client:call("PING"))
    assert.is_true(support.rss(worker) - before < MOST, "kept " .. support.rss(worker) - before)
  end)

  it("sends 200 MB to a slow reader while others are served at once", function()
    local redis = support.redis({ fresh = true })
    local nydus = support.nydus({ config = { hosts = { redis }, defaults = { timeout = 10 } } })
    local slow, other = nydus:client({ receive_buffer = 65536 }), nydus:client()
    local size = 200 * MB
    redis:call("SETRANGE", "big", tostring(size - 3), "end")
    slow:command("GET", "big")
    local header = ("$%d\r\n"):format(size)
    assert.equal(header, slow:read_raw(#header, 20))
    local got, last, slowest = #slow.buffer - slow.at + 1, slow.buffer, 0
    local function take(most) -- reads and forgets; keeps only the last piece
      local piece = got < size + 2 and sys.read(slow.fd, most)
      if piece then
        got, last = got + #piece, #piece >= 5 and piece or last .. piece
      end
    end
    local start = support.now()
    while support.now() - start < 1 do
      local sent = support.now()
      assert.equal("OK", other:call("SET", "k", "v"))
      slowest = math.max(slowest, support.now() - sent)
      take(4096)
    end
    assert.is_true(got < size, "it was not slow")
    assert.is_true(slowest < 1.5, "others waited " .. slowest)
    support.wait_until(function()
      for _ = 1, 200 do take() end
      return got >= size + 2
    end, 20, "the rest")
    assert.equal(size + 2, got)
    assert.equal("end\r\n", last:sub(-5))
  end)

  it("keeps the replies of others apart from those of a client that left while it was owed 4,000", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis } } })
    local other = nydus:client()
    redis:call("SET", "big", ("x"):rep(10000))
    for round = 1, 3 do
      local client = nydus:client({ receive_buffer = 65536 })
      for _ = 1, 4000 do client:command("GET", "big") end
      client:reset()
      for i = 1, 50 do assert.equal((round - 1) * 50 + i, other:call("INCR", "n")) end
    end
    support.wait_until(function()
      local field = pair.stats(other)
      return field.requests - 1 == field.replies + field.orphaned
    end, 5, "every request to end")
  end)

  it("does not let a client with a deep pipeline starve one with a single command", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis }, defaults = { timeout = 10 } } })
    local deep, single = nydus:client(), nydus:client()
    local bytes, count = INCR:rep(50000), 50000
    local at, got, slowest = 1, 0, 0
    while got < count do
      if at <= #bytes then at = at + (sys.write(deep.fd, bytes, at) or 0) end
      local start = support.now()
      assert.equal("PONG", single:call("PING"))
      slowest = math.max(slowest, support.now() - start)
      for _ in (sys.read(deep.fd) or ""):gmatch("\n") do got = got + 1 end
    end
    assert.is_true(slowest < 1.5, "waited " .. slowest)
  end)
end)
