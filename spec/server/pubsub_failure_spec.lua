-- Pub/sub when hosts are lost, moved or slow, and when subscribers are.

local support = require("support")
local pair = require("support.pair")
local sys = require("support.sys")

local function silent(client)
  assert.same({ "pong", "still there" }, client:call("PING", "still there"))
end

-- Publishes until the message arrives: what is lost while a host is away is lost.
local function until_heard(client, publish, channel)
  local heard
  support.wait_until(function()
    publish("again")
    heard = pcall(function()
      client.timeout = 0.05
      repeat local message = client:read() until message[2] == channel and message[3] == "again"
    end)
    client.timeout = 5
    return heard
  end, 5, "a message")
end

local function numsub(redis, channel)
  return redis:call("PUBSUB", "NUMSUB", channel)[2]
end

describe("a host that is lost", function()
  it("is subscribed to again when it is back", function()
    local redis = support.redis({ fresh = true })
    local nydus = support.nydus({ config = { hosts = { redis } } })
    local client, second = nydus:client(), nydus:client()
    client:call("SUBSCRIBE", "c")
    client:call("PSUBSCRIBE", "p*")
    client:call("SSUBSCRIBE", "s")
    second:call("SUBSCRIBE", "c")
    redis:stop()
    nydus:wait_log("host .* of cluster main: 3 subscriptions wait for it")
    redis:restart()
    nydus:wait_log("host .* of cluster main is back: 3 subscriptions are made again")
    until_heard(client, function(text) redis:call("PUBLISH", "c", text) end, "c")
    for _, command in ipairs({ { "PUBLISH", "pp", "x" }, { "SPUBLISH", "s", "y" } }) do redis:call(unpack(command)) end
    local message
    repeat message = client:read() until message[1] ~= "message"
    assert.same({ "pmessage", "p*", "pp", "x" }, message)
    assert.same({ "smessage", "s", "y" }, (client:read()))
    assert.same({ "message", "c", "again" }, (second:read()))
  end)

  it("that only closed the link is back at once", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis } } })
    local client = nydus:client()
    client:call("SUBSCRIBE", "c")
    for _ = 1, 5 do
      assert.equal(1, redis:call("CLIENT", "KILL", "TYPE", "pubsub"))
      until_heard(client, function(text) redis:call("PUBLISH", "c", text) end, "c")
    end
    assert.equal("PONG", nydus:client():call("PING"))
  end)

  it("is an error to a new subscriber, and the others are closed when it stays away", function()
    local redis, other = support.redis({ fresh = true }), support.redis()
    local nydus = pair.nydus(redis, other, {}, { retry_timeout = 1 })
    local client, second, third = nydus:client(), nydus:client(), nydus:client()
    client:call("SUBSCRIBE", "a1")
    second:call("SUBSCRIBE", "b1")
    redis:stop()
    nydus:wait_log("1 subscriptions wait")
    third:command("SUBSCRIBE", "a1", "b1", "a2")
    assert.matches("^ERR host alpha is down: ", third:read().err)
    assert.same({ "subscribe", "b1", 1 }, (third:read()))
    assert.matches("^ERR host alpha is down: ", third:read().err)
    client:expect_end()
    nydus:wait_log("1 clients of cluster main are closed: the subscription to 'a1' is lost")
    other:call("PUBLISH", "b1", "x")
    assert.same({ "message", "b1", "x" }, (second:read()))
    redis:restart()
    support.wait_until(function() return third:call("SUBSCRIBE", "a1")[1] == "subscribe" end, 5, "the host to be back")
    redis:call("PUBLISH", "a1", "y")
    local message
    repeat message = third:read() until message[1] == "message"
    assert.same({ "message", "a1", "y" }, message)
  end)

  it("makes patterns fail, unless routers go around it", function()
    local redis, other = support.redis({ fresh = true }), support.redis()
    local options = { hosts = { redis, other }, retry_timeout = 1, failure_limit = 1, router = "modulus" }
    local strict = support.nydus({ config = options }):client()
    options.router = "ketama"
    options.eject = true
    local nydus = support.nydus({ config = options })
    local lenient, early, publisher = nydus:client(), nydus:client(), nydus:client()
    early:call("PSUBSCRIBE", "*")
    redis:stop()
    nydus:wait_log("is marked down")
    support.wait_until(function() return strict:call("PSUBSCRIBE", "*").err end, 5, "PSUBSCRIBE to fail")
    assert.matches("^ERR host .* is down", strict:call("PSUBSCRIBE", "*").err)
    assert.same({ "psubscribe", "*", 1 }, lenient:call("PSUBSCRIBE", "*"))
    for i = 1, 20 do
      publisher:call("PUBLISH", "c" .. i, "x")
      assert.same({ "pmessage", "*", "c" .. i, "x" }, (lenient:read()))
      assert.same({ "pmessage", "*", "c" .. i, "x" }, (early:read()))
    end
    redis:restart()
    support.wait_until(function() return redis:call("PUBSUB", "NUMPAT") == 1 end, 5, "the pattern at the host")
    redis:call("PUBLISH", "direct", "x")
    assert.same({ "pmessage", "*", "direct", "x" }, (lenient:read()))
    assert.same({ "pmessage", "*", "direct", "x" }, (early:read()))
  end)

  it("is missing among those that any message may go to, while the others are listened to", function()
    local hosts = { support.redis({ fresh = true }), support.redis() }
    local nydus = support.nydus({ config = { hosts = hosts, router = "round_robin", failure_limit = 1, retry_timeout = 1 } })
    local client, publisher = nydus:client(), nydus:client()
    hosts[1]:stop()
    nydus:wait_log("is marked down")
    assert.same({ "subscribe", "c", 1 }, client:call("SUBSCRIBE", "c"))
    for i = 1, 10 do
      publisher:call("PUBLISH", "c", i)
      assert.same({ "message", "c", tostring(i) }, (client:read()))
    end
    hosts[1]:restart()
    support.wait_until(function() return numsub(hosts[1], "c") == 1 end, 5, "the host to be listened to")
    hosts[1]:call("PUBLISH", "c", "direct")
    assert.same({ "message", "c", "direct" }, (client:read()))
  end)

  it("has its channels listened to where the router sends them meanwhile, and again when it is back", function()
    local hosts = { support.redis({ fresh = true }), support.redis() }
    local nydus = support.nydus({ config = { hosts = hosts, router = "ketama", eject = true, failure_limit = 1,
      retry_timeout = 1 } })
    local client, publisher = nydus:client(), nydus:client()
    local mine = {}
    for i = 1, 20 do client:call("SUBSCRIBE", "c" .. i) end
    for i = 1, 20 do mine[i] = numsub(hosts[1], "c" .. i) end
    hosts[1]:stop()
    nydus:wait_log("is marked down")
    support.wait_until(function() return numsub(hosts[2], "c1") + numsub(hosts[2], "c20") == 2 and
      #hosts[2]:call("PUBSUB", "CHANNELS") == 20 end, 5, "all channels at the other host")
    for i = 1, 20 do
      assert.equal(1, publisher:call("PUBLISH", "c" .. i, i))
      assert.same({ "message", "c" .. i, tostring(i) }, (client:read()))
    end
    hosts[1]:restart()
    nydus:wait_log("is taken back", 5)
    support.wait_until(function()
      return #hosts[1]:call("PUBSUB", "CHANNELS") + #hosts[2]:call("PUBSUB", "CHANNELS") == 20
    end, 5, "the channels to be where they were")
    for i = 1, 20 do
      assert.equal(mine[i], numsub(hosts[1], "c" .. i))
      assert.equal(1, publisher:call("PUBLISH", "c" .. i, i))
      assert.same({ "message", "c" .. i, tostring(i) }, (client:read()))
    end
    silent(client)
  end)

  it("among those that all get each message is replaced by the next", function()
    local hosts = { support.redis({ fresh = true }), support.redis() }
    local nydus = support.nydus({ config = { hosts = hosts, router = "all", failure_limit = 1, retry_timeout = 1 } })
    local client, publisher = nydus:client(), nydus:client()
    client:call("SUBSCRIBE", "c")
    client:call("PSUBSCRIBE", "p*")
    assert.equal(0, numsub(hosts[2], "c"))
    hosts[1]:stop()
    nydus:wait_log("is marked down")
    support.wait_until(function() return numsub(hosts[2], "c") == 1 end, 5, "the second host to be listened to")
    publisher:call("PUBLISH", "c", "x")
    publisher:call("PUBLISH", "p", "y")
    assert.same({ "message", "c", "x" }, (client:read()))
    assert.same({ "pmessage", "p*", "p", "y" }, (client:read()))
    silent(client)
  end)
end)

describe("a host", function()
  it("may want a password, and refuse a channel in its own words", function()
    local redis = support.redis({ user = { name = "app", password = "secret", rules = "~* resetchannels &news:* +@all" } })
    local nydus = support.nydus({ config = { hosts = { redis:address({ user = "app", password = "secret" }) } } })
    local client, second = nydus:client(), nydus:client()
    client:command("SUBSCRIBE", "news:1", "secrets", "news:2")
    assert.same({ "subscribe", "news:1", 1 }, (client:read()))
    assert.matches("^NOPERM", client:read().err)
    assert.same({ "subscribe", "news:2", 2 }, (client:read()))
    assert.matches("^NOPERM", second:call("PSUBSCRIBE", "*").err)
    redis:call("PUBLISH", "news:1", "x")
    assert.same({ "message", "news:1", "x" }, (client:read()))
    redis:call("ACL", "SETUSER", "app", "resetchannels", "&news:1") -- kills the link
    client:expect_end()
    nydus:wait_log("subscription to 'news:2' is lost: NOPERM")
    assert.same({ "subscribe", "news:1", 1 }, second:call("SUBSCRIBE", "news:1"))
  end)

  describe("played by the spec", function()
    local host, nydus, client, link

    before_each(function()
      host = support.fake({ auto = { PING = "+PONG\r\n" } })
      nydus = support.nydus({ config = { hosts = { host:address({ timeout = 0.5, connect_timeout = 0.5 }) },
        failure_limit = 100 } })
      client = nydus:client()
      host:accept()
      client:command("SUBSCRIBE", "c")
      host:accept()
      link = host:expect("SUBSCRIBE c")
    end)

    local function confirmation(word, channel)
      return support.encode({ word, channel }):gsub("^%*2", "*3") .. ":1\r\n"
    end
    local function confirm(word, channel, on) host:answer(confirmation(word, channel), on or link) end

    it("is waited for before the client is told", function()
      host:answer(support.encode({ "message", "c", "too early" }), link)
      confirm("subscribe", "c")
      assert.same({ "subscribe", "c", 1 }, (client:read()))
      host:answer(support.encode({ "message", "c", "x" }), link)
      assert.same({ "message", "c", "x" }, (client:read()))
    end)

    it("may send messages in the middle of its confirmations, and byte by byte", function()
      confirm("subscribe", "c")
      client:read()
      client:command("SUBSCRIBE", "d", "e")
      host:expect("SUBSCRIBE d")
      host:expect("SUBSCRIBE e")
      host:drip(support.encode({ "message", "c", "1" }) .. confirmation("subscribe", "d") ..
        support.encode({ "message", "d", "2" }) .. support.encode({ "message", "c", "3" }), link)
      assert.same({ "message", "c", "1" }, (client:read()))
      assert.same({ "message", "c", "3" }, (client:read()))
      confirm("subscribe", "e")
      assert.same({ "subscribe", "d", 2 }, (client:read()))
      assert.same({ "subscribe", "e", 3 }, (client:read()))
    end)

    it("that does not confirm is an error in time, and is asked again on a new link", function()
      assert.matches("^ERR host .* did not answer within 0.5 s", client:read().err)
      assert.equal("PONG", client:call("PING"))
      support.wait_until(function()
        client:command("SUBSCRIBE", "c")
        local asked, _, from = pcall(host.request, host, 0.05)
        link = from
        return asked or not client:read().err
      end, 5, "the host to be asked")
      confirm("subscribe", "c")
      assert.same({ "subscribe", "c", 1 }, (client:read()))
    end)

    it("that says what nobody asked for loses its link, and no client sees it", function()
      confirm("subscribe", "c")
      client:read()
      for _, bytes in ipairs({ "+OK\r\n", "*3\r\n$7\r\nmessage\r\n:1\r\n:2\r\n", "$3\r\nabc\r\n", "*0\r\n", "!garbage\r\n",
        "*4\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n$1\r\nx\r\n", ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n" }) do
        host:answer(bytes, link)
        host:accept()
        link = host:expect("SUBSCRIBE c")
        confirm("subscribe", "c")
      end
      host:answer(support.encode({ "message", "unknown", "x" }), link)
      host:answer(support.encode({ "message", "c", "x" }), link)
      assert.same({ "message", "c", "x" }, (client:read()))
    end)

    it("is told when nobody listens any more", function()
      confirm("subscribe", "c")
      client:read()
      local second = nydus:client()
      assert.same({ "subscribe", "c", 1 }, second:call("SUBSCRIBE", "c"))
      second:close()
      host:expect_silence(0.2)
      client:command("UNSUBSCRIBE", "c")
      assert.same({ "unsubscribe", "c", 0 }, (client:read()))
      host:expect("UNSUBSCRIBE c")
      client:command("SUBSCRIBE", "c")
      host:expect("SUBSCRIBE c")
      confirm("unsubscribe", "c")
      confirm("subscribe", "c")
      assert.same({ "subscribe", "c", 1 }, (client:read()))
    end)

    it("has confirmed the end before RESET is answered", function()
      confirm("subscribe", "c")
      client:read()
      client:command("RESET")
      host:expect("UNSUBSCRIBE c")
      client.timeout = 0.1
      assert.is_false(pcall(client.read, client))
      client.timeout = 5
      confirm("unsubscribe", "c")
      assert.equal("RESET", client:read())
    end)
  end)
end)

describe("a reload", function()
  local function reloaded(nydus, config)
    nydus:forget_log()
    nydus:write("config.lua", config)
    nydus:hup()
    nydus:wait_log("generation 2", 5)
  end

  it("that changes nothing of a host leaves the feed alone", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis } } })
    local client = nydus:client()
    client:call("SUBSCRIBE", "c")
    local before = redis:call("CLIENT", "LIST", "TYPE", "pubsub"):match("id=%d+")
    reloaded(nydus, { hosts = { redis }, max_clients = 500 })
    redis:call("PUBLISH", "c", "x")
    assert.same({ "message", "c", "x" }, (client:read()))
    assert.equal(before, redis:call("CLIENT", "LIST", "TYPE", "pubsub"):match("id=%d+"))
  end)

  it("that moves channels loses at most what comes before the new host has confirmed, and doubles nothing", function()
    local old, new = support.redis(), support.redis()
    local nydus = support.nydus({ config = { hosts = { old } } })
    local client, publisher = nydus:client(), nydus:client()
    client:call("SUBSCRIBE", "c")
    client:call("PSUBSCRIBE", "p*")
    nydus:write("config.lua", { hosts = { new } })
    nydus:hup()
    local sent = 0
    support.wait_until(function()
      publisher:pipeline({ { "PUBLISH", "c", sent + 1 }, { "PUBLISH", "p", sent + 1 } })
      sent = sent + 1
      return sent > 100 and numsub(old, "c") == 0
    end, 5, "the old host to be left")
    local last, got = {}, 0
    repeat
      local message = client:read()
      local kind, number = message[1], tonumber(message[#message])
      assert.is_true(number > (last[kind] or 0))
      last[kind], got = number, got + 1
    until last.message == sent and last.pmessage == sent
    assert.is_true(got > sent) -- of twice as many
    assert.equal(1, numsub(new, "c"))
    assert.equal(0, old:call("PUBSUB", "NUMPAT"))
  end)

  it("that moves many channels holds up nobody", function()
    local hosts = { support.redis(), support.redis(), support.redis() }
    local nydus = support.nydus({ config = { router = "ketama", hosts = { hosts[1], hosts[2] } } })
    local client, other, count = nydus:client(), nydus:client(), 40000
    for i = 1, count, 2000 do
      local words = { "SUBSCRIBE" }
      for k = i, i + 1999 do words[#words + 1] = "channel:" .. k end
      client:command(unpack(words))
      for _ = 1, 2000 do client:read() end
    end
    local function listening(host) return #host:call("PUBSUB", "CHANNELS") end
    reloaded(nydus, { router = "ketama", hosts = hosts })
    local longest = 0
    support.wait_until(function()
      local began = sys.now()
      other:call("PING")
      longest = math.max(longest, sys.now() - began)
      return listening(hosts[1]) + listening(hosts[2]) + listening(hosts[3]) == count
    end, 10, "the old hosts to be left")
    assert.is_true(listening(hosts[3]) > 5000)
    assert.is_true(longest < 1.5, longest)
  end)

  it("that changes the options of a host gives each message once, whichever of its links is read first", function()
    local host = support.fake({ auto = { PING = "+PONG\r\n" } })
    local nydus = support.nydus({ config = { hosts = { host:address({ timeout = 6 }) } } })
    local client = nydus:client()
    local function subscribed()
      local link = host:expect("SUBSCRIBE c")
      host:answer("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", link)
      return link
    end
    local function say(text, link) host:answer(support.encode({ "message", "c", text }), link) end
    local function hears(text) assert.same({ "message", "c", text }, (client:read())) end
    client:command("SUBSCRIBE", "c")
    local old = subscribed()
    client:read()
    reloaded(nydus, { hosts = { host:address({ timeout = 7 }) } })
    local new = subscribed()
    say("first new", new)
    hears("first new") -- so it has been confirmed
    say("old only", old) -- published before the new link listened, and read late
    hears("old only")
    say("first new", old)
    for i, link in ipairs({ old, new, new, old, old }) do
      local other = link == old and new or old
      for _ = 1, 2 do -- the same words may be said again
        say("text " .. i, link)
        hears("text " .. i)
      end
      say("text " .. i, other)
      say("text " .. i, other)
    end
    host:expect("UNSUBSCRIBE c")
    say("last", new)
    hears("last")
    silent(client)
  end)

  it("that changes the options of a host doubles nothing", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis } } })
    local client = nydus:client()
    client:call("SUBSCRIBE", "c")
    client:call("PSUBSCRIBE", "c*")
    reloaded(nydus, { hosts = { redis:address({ timeout = 7 }) } })
    support.wait_until(function() return numsub(redis, "c") == 2 end, 5, "the new feed")
    assert.equal("PONG", nydus:client():call("PING"))
    for i = 1, 10 do redis:call("PUBLISH", "c", i) end
    for i = 1, 10 do
      local kinds = { [client:read()[1]] = true, [client:read()[1]] = true }
      assert.same({ message = true, pmessage = true }, kinds, i)
    end
    support.wait_until(function() return numsub(redis, "c") == 1 end, 5, "the old feed to end")
    silent(client)
  end)

  it("that takes the cluster away closes its subscribers", function()
    local redis = support.redis()
    local text = 'return { workers = 1, clusters = { %s = { listen = "127.0.0.1:%s", hosts = { "127.0.0.1:$redis" } } } }'
    local nydus = support.nydus({ config = text:format("one", "$port"), vars = { redis = redis.port } })
    local client, idle = nydus:client(), nydus:client()
    client:call("SUBSCRIBE", "c")
    idle:call("PING")
    nydus:write("config.lua", text:format("two", support.free_port()))
    nydus:hup()
    client:expect_end()
    assert.matches("no longer configured", idle:call("GET", "k").err)
    assert.matches("no longer configured", idle:call("SUBSCRIBE", "k").err)
  end)
end)

describe("a slow subscriber", function()
  it("is closed when too much waits for it, and holds up nobody", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis }, max_reply_buffer = "1mb" } })
    local slow, quick, publisher = nydus:client(), nydus:client(), nydus:client()
    slow:call("SUBSCRIBE", "c")
    quick:call("SUBSCRIBE", "c")
    local text = ("x"):rep(20000)
    for i = 1, 1000 do
      assert.is_number(publisher:call("PUBLISH", "c", i .. text))
      assert.is_true(quick:read()[3] == i .. text)
    end
    assert.equal(1, pair.stats(publisher).subscribers_dropped)
    assert.is_false(pcall(function() for _ = 1, 1000 do slow:read() end end))
    assert.equal(1, numsub(redis, "c"))
  end)
end)

describe("a big message", function()
  it("is kept once for all who have not read it yet", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis }, defaults = { timeout = 10 } } })
    local pid, many, publisher = pair.worker(nydus), {}, nydus:client()
    for i = 1, 100 do
      many[i] = nydus:client()
      if i % 2 == 0 then many[i]:call("HELLO", "3") end
      many[i]:call("SUBSCRIBE", "c")
    end
    local before = support.rss(pid)
    local text = ("x"):rep(3000000)
    assert.equal(100, publisher:call("PUBLISH", "c", text))
    many[1]:read()
    if not support.sanitized then assert.is_true(support.rss(pid) - before < 60 * 1024 * 1024) end
    many[2]:close()
    for i = 3, 100 do
      local _, bytes = many[i]:read()
      assert.equal(i % 2 == 0 and ">" or "*", bytes:sub(1, 1))
      assert.is_true(bytes:sub(-3000002, -3) == text)
    end
    assert.equal(99, publisher:call("PUBLISH", "c", "small"))
  end)
end)

describe("five hundred subscribers", function()
  it("each get every message", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis }, workers = 2 } })
    local many, publisher = {}, nydus:client()
    for i = 1, 500 do
      many[i] = nydus:client()
      many[i]:command("SUBSCRIBE", "c", "only" .. i)
    end
    for i = 1, 500 do assert.same({ { "subscribe", "c", 1 }, { "subscribe", "only" .. i, 2 } }, { many[i]:read(), (many[i]:read()) }) end
    for i = 1, 20 do publisher:command("PUBLISH", "c", i) end
    for i = 1, 500 do publisher:command("PUBLISH", "only" .. i, i) end
    for n = 1, 500 do
      for i = 1, 20 do assert.same({ "message", "c", tostring(i) }, (many[n]:read())) end
      assert.same({ "message", "only" .. n, tostring(n) }, (many[n]:read()))
    end
  end)
end)
