-- Deadlines of replies: who is late fails alone, and a late reply reaches nobody.

local support = require("support")
local pair = require("support.pair")

local PONG = { PING = "+PONG\r\n" }

local function fake_pair(timeout)
  local fake = support.fake({ auto = PONG })
  local nydus = pair.nydus(fake, support.redis(), { timeout = timeout })
  return fake, nydus
end

-- The time that a host works.
local function take(seconds)
  local start = support.now()
  support.wait_until(function() return support.now() - start >= seconds end)
end

describe("timeout", function()
  it("comes when timeout is over, not much earlier and not much later", function()
    for _, timeout in ipairs({ 0.2, 0.6 }) do
      local fake, nydus = fake_pair(timeout)
      local client = nydus:client()
      client:command("GET", "a")
      fake:expect("GET a")
      local start = support.now()
      assert.equal(("ERR host alpha did not answer within %g s; the command may still run"):format(timeout),
        pair.error(client:read()))
      local waited = support.now() - start
      assert.is_true(waited > timeout - 0.1 and waited < timeout + 0.4, "waited " .. waited)
    end
  end)

  it("fails only the late request, and its reply is swallowed", function()
    local fake, nydus = fake_pair(0.3)
    local one, two = nydus:client(), nydus:client()
    one:command("GET", "a:late")
    fake:expect("GET a:late")
    assert.matches("did not answer within", pair.error(one:read()))
    two:command("GET", "a:two")
    fake:expect("GET a:two")
    one:command("GET", "a:one")
    fake:expect("GET a:one")
    fake:answer("$4\r\nlate\r\n$3\r\ntwo\r\n$3\r\none\r\n")
    assert.equal("two", (two:read()))
    assert.equal("one", (one:read()))
    assert.equal("1", pair.stats(one).timeouts .. "")
    assert.equal(1, #fake:links())
  end)

  it("keeps the order of a pipeline, when one in its middle is late", function()
    local fake, nydus = fake_pair(0.3)
    local client = nydus:client()
    for _, key in ipairs({ "b1", "a:late", "b2" }) do client:command("SET", key, "x") end
    fake:expect("SET a:late x")
    assert.equal("OK", (client:read()))
    assert.matches("did not answer within", pair.error(client:read()))
    assert.equal("OK", (client:read()))
  end)

  it("swallows a late reply that comes in pieces", function()
    local fake, nydus = fake_pair(0.3)
    local client = nydus:client()
    client:command("GET", "a:late")
    fake:expect("GET a:late")
    assert.matches("did not answer within", pair.error(client:read()))
    client:command("GET", "a:next")
    fake:expect("GET a:next")
    fake:drip("*2\r\n$4\r\n+OK\r\r\n$3\r\n:1\n\r\n$4\r\nnext\r\n")
    assert.equal("next", (client:read()))
  end)

  it("does not befall a reply that is on its way, however long it takes", function()
    local fake, nydus = fake_pair(0.2)
    local client = nydus:client()
    client:command("GET", "a")
    fake:expect("GET a")
    fake:answer("$12\r\n")
    for i = 1, 4 do
      take(0.12)
      fake:answer(("%02d."):format(i))
    end
    fake:answer("\r\n")
    assert.equal("01.02.03.04.", (client:read()))
  end)

  it("gives up a link that stays silent, and the host is asked on a new one", function()
    local fake, nydus = fake_pair(0.2)
    local client = nydus:client()
    client:command("GET", "a")
    fake:expect("GET a")
    assert.matches("did not answer within", pair.error(client:read()))
    nydus:wait_log("silent for too long", 2)
    pair.until_up(client, fake, "a")
  end)

  it("does not blame a host that works through a long queue", function()
    local fake = support.fake({ auto = PONG })
    local nydus = support.nydus({
      config = { router = "ketama", hosts = { fake }, defaults = { timeout = 0.4 } },
    })
    local clients, late, served = {}, 0, 0
    for i = 1, 60 do
      clients[i] = nydus:client()
      clients[i]:command("GET", "k" .. i)
    end
    for _ = 1, 60 do -- about 20 ms each: more than 0.4 s together
      fake:request()
      take(0.015)
      fake:answer("$1\r\nv\r\n")
    end
    for _, client in ipairs(clients) do
      local reply = client:read()
      if reply == "v" then
        served = served + 1
      else
        assert.matches("did not answer within", pair.error(reply))
        late = late + 1
      end
    end
    assert.is_true(served >= 10 and late >= 10, ("%d served, %d late"):format(served, late))
    assert.is_nil(nydus:log():find("marked down", 1, true))
    assert.equal(1, #fake:links())
  end)

  it("of a slow command in a real host leaves the commands behind it alone", function()
    local a = support.redis()
    local nydus = pair.nydus(a, support.redis(), { timeout = 1 })
    local slow, quick = nydus:client(), nydus:client()
    quick:call("SET", "a", "1")
    slow:command("EVAL", "local t = redis.call('TIME') local s = t[1] * 1e6 + t[2] repeat t = redis.call('TIME')"
      .. " until t[1] * 1e6 + t[2] > s + 1500000 return 'slow'", "1", "a")
    support.wait_until(function() return pair.stats(quick).parts >= 2 end)
    take(0.75)
    quick:command("GET", "a") -- 0.75 s later than the slow one: has until 1.75 s
    assert.matches("did not answer within", pair.error(slow:read()))
    assert.equal("1", (quick:read()))
    assert.equal("1", slow:call("GET", "a"))
  end)

  it("fails one part of a joined command with words for the whole", function()
    local fake, nydus = fake_pair(0.2)
    local client = nydus:client()
    client:command("MSET", "a", "1", "b", "2")
    fake:expect("MSET a 1")
    assert.equal("ERR host alpha did not answer within 0.2 s; the command may still run"
      .. " ('mset' was done for 1 of 2 keys)", pair.error(client:read()))
    assert.equal("2", client:call("GET", "b"))
  end)
end)
