-- Links that broke come back by themselves, soon and without knocking too often.

local support = require("support")
local pair = require("support.pair")

local PONG = { PING = "+PONG\r\n" }

-- A host that counts connections and refuses to talk.
local function counting_host(seconds)
  local fake = support.fake()
  return fake, function()
    local start, count = support.now(), 0
    while support.now() - start < seconds do
      if pcall(fake.accept, fake, 0.05) then
        count = count + 1
        for _, link in ipairs(fake:links()) do fake:close_link(link) end
      end
    end
    return count
  end
end

describe("reconnect", function()
  it("finds a host that was restarted, within 1.5 s of its return", function()
    local a, b = support.redis(), support.redis()
    local nydus = pair.nydus(a, b)
    local client = nydus:client()
    client:call("SET", "a", "1")
    a:stop()
    assert.matches("^ERR host alpha is down: ", pair.error(client:call("GET", "a")))
    support.wait_until(function() return pair.stats(client).links_lost >= 5 end, 5, "back-off to grow")
    a:restart()
    local start = support.now()
    pair.until_reply(client, { "GET", "a" }, support.null, 3)
    assert.is_true(support.now() - start < 2, "took " .. support.now() - start)
    assert.equal("OK", client:call("SET", "a", "2"))
  end)

  it("finds a host that was away when Nydus started", function()
    local a, b = support.redis(), support.redis()
    a:stop()
    local nydus = pair.nydus(a, b)
    local client = nydus:client()
    assert.matches("^ERR host alpha is down: ", pair.error(client:call("GET", "a")))
    assert.equal(support.null, client:call("GET", "b"))
    a:restart()
    pair.until_reply(client, { "GET", "a" }, support.null, 3)
  end)

  it("finds a host behind a unix socket again", function()
    local a, b = support.redis({ unix = true }), support.redis()
    local nydus = pair.nydus(a, b)
    local client = nydus:client()
    assert.equal("OK", client:call("SET", "a", "1"))
    a:stop()
    assert.matches("^ERR host alpha is down: ", pair.error(client:call("GET", "a")))
    a:restart()
    pair.until_reply(client, { "GET", "a" }, support.null, 3)
  end)

  it("does not connect for every request to a dead host", function()
    local fake, count = counting_host(1)
    local nydus = pair.nydus(fake, support.redis())
    local client = nydus:client()
    local commands = {}
    for i = 1, 1000 do commands[i] = { "GET", "a" .. i } end
    for _, words in ipairs(commands) do client:command(unpack(words)) end
    local connects = count()
    for _ = 1, 1000 do assert.matches("^ERR host alpha is down: ", pair.error(client:read())) end
    assert.is_true(connects >= 2 and connects <= 10, connects .. " connects in a second")
  end)

  it("backs off from a host that takes every connection and ends it", function()
    local fake, count = counting_host(1.5)
    pair.nydus(fake, support.redis())
    local connects = count()
    assert.is_true(connects >= 2 and connects <= 10, connects .. " connects")
  end)

  it("opens a link again that a host closed for being idle, and nobody notices", function()
    local a, b = support.redis(), support.redis()
    local nydus = pair.nydus(a, b)
    local client = nydus:client()
    for i = 1, 5 do
      assert.equal(i, client:call("INCR", "a"))
      local opened = pair.stats(client).links_opened
      assert.is_true(a:call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") >= 1)
      support.wait_until(function() return pair.stats(client).links_opened > opened end, 3, "the new link")
    end
    assert.is_nil(nydus:log():find("alpha", 1, true))
  end)

  it("holds nothing back that has not been sent, when a link ends with more behind it", function()
    local fake = support.fake({ auto = PONG })
    local nydus = pair.nydus(fake, support.redis())
    local client = nydus:client()
    for i = 1, 3 do client:command("SET", "a" .. i, "x") end
    fake:expect("SET a1 x")
    fake:answer("+OK\r\n")
    fake:reset_link()
    local start = support.now()
    client:read()
    for _ = 2, 3 do assert.matches("^ERR host alpha is down: ", pair.error(client:read())) end
    assert.is_true(support.now() - start < 0.9)
    pair.until_up(client, fake, "a")
  end)

  it("keeps one link per host, worker and database over many breaks", function()
    local a, b = support.redis(), support.redis()
    local nydus = pair.nydus(a, b)
    local client = nydus:client()
    client:call("GET", "a")
    local fds = support.fds(pair.worker(nydus))
    for _ = 1, 5 do
      a:restart()
      pair.until_reply(client, { "GET", "a" }, support.null, 3)
    end
    assert.equal(fds, support.fds(pair.worker(nydus)))
  end)
end)
