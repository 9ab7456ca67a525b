-- Flows in the middle of a client's other commands: their order, and clients that leave.

local support = require("support")
local Random = require("support.random")

local null, encode = support.null, support.encode
local HEAD = [[local cluster, options = ... local nydus = require("nydus") local h = cluster.hosts
local ring = nydus.modulus(cluster) ]]
local PONG = { auto = { PING = "+PONG\r\n" } }

local function start(body, hosts, extra)
  local config = { router = "main.lua", hosts = hosts, workers = 1, defaults = { timeout = 5, connect_timeout = 5 } }
  for key, value in pairs(extra or {}) do config[key] = value end
  return support.nydus({ config = config, files = { ["main.lua"] = HEAD .. body } })
end

-- Keys with f: go through a flow that asks the first host and then the second, the others to the second.
local function two_steps(order, hosts)
  return start(([[return nydus.prefix{ ["f:"] = nydus.flow(function(req)
      req:send(h[1])
      return req:send(h[2])
    end, { order = %q }), default = h[2] }]]):format(order), hosts)
end

local function send(client, ...)
  local text = {}
  for i, words in ipairs({ ... }) do text[i] = encode(words) end
  client:send(table.concat(text))
end

describe("a flow that writes", function()
  it("holds what its client sends later, of whatever kind, until it ends", function()
    local one, two = support.fake(PONG), support.redis()
    local client = two_steps("client", { one, two }):client()
    send(client, { "SET", "before", "b" }, { "SET", "f:k", "1" }, { "GET", "f:no" }, { "GET", "other" }, { "DEL", "before" },
      { "PING" }, { "MULTI" }, { "SET", "in", "x" }, { "EXEC" }, { "SUBSCRIBE", "c" }, { "UNSUBSCRIBE" }, { "GET", "last" })
    one:expect("SET f:k 1")
    support.wait_until(function() return two:call("GET", "before") == "b" end)
    assert.equal("OK", (client:read()))
    one:expect_silence(0.05)
    assert.equal("b", two:call("GET", "before"))
    two:call("SET", "other", "late")
    two:call("SET", "last", "later")
    one:answer("+OK\r\n")
    assert.equal("OK", (client:read()))
    one:expect("GET f:no")
    one:answer("$-1\r\n")
    assert.same({ null, "late", 1, "PONG", "OK", "QUEUED", { "OK" } }, { client:read() and null, (client:read()), (client:read()),
      (client:read()), (client:read()), (client:read()), (client:read()) })
    assert.same({ "subscribe", "c", 1 }, (client:read()))
    assert.same({ "unsubscribe", "c", 0 }, (client:read()))
    assert.equal("later", (client:read()))
    assert.equal("1", two:call("GET", "f:k"))
  end)

  it("holds by key what has that key, and what has none, when it is told so", function()
    local one, two = support.fake(PONG), support.redis()
    local client = two_steps("key", { one, two }):client()
    send(client, { "SET", "f:k", "1" }, { "SET", "free", "x" }, { "SET", "f:j", "2" }, { "GET", "f:k" }, { "MGET", "free", "f:j" },
      { "DBSIZE" }, { "SET", "behind", "x" })
    one:expect("SET f:k 1")
    one:expect("SET f:j 2")
    support.wait_until(function() return two:call("GET", "free") == "x" end)
    one:expect_silence(0.05)
    assert.same({ null, null }, two:call("MGET", "f:k", "behind"))
    one:answer("+OK\r\n")
    one:expect("GET f:k")
    assert.equal("OK", (client:read()))
    assert.equal("OK", (client:read()))
    one:answer("+OK\r\n$1\r\n0\r\n")
    one:expect("MGET f:j")
    one:answer("*1\r\n$1\r\n0\r\n")
    assert.equal("OK", (client:read()))
    assert.equal("1", (client:read()))
    assert.same({ "x", "2" }, (client:read()))
    assert.equal(3, (client:read()))
    assert.equal("OK", (client:read()))
  end)

  it("holds nothing when it is told so, and nobody else in any case", function()
    local one, two = support.fake(PONG), support.redis()
    local nydus = two_steps("none", { one, two })
    local client, other = nydus:client(), nydus:client()
    send(client, { "SET", "f:k", "1" }, { "SET", "free", "x" })
    one:expect("SET f:k 1")
    support.wait_until(function() return two:call("GET", "free") == "x" end)
    assert.equal("x", other:call("GET", "free"))
    assert.equal("", client:pending())
    one:answer("+OK\r\n")
    assert.equal("OK", (client:read()))
    assert.equal("OK", (client:read()))
    assert.equal("1", two:call("GET", "f:k"))
  end)

  it("does not overtake what was sent before it, nor is overtaken by what another kind of command keeps", function()
    local one, two = support.redis(), support.redis()
    local client = two_steps("client", { one, two }):client()
    for i = 1, 30 do
      local out = client:pipeline({ { "RPUSH", "l", i }, { "SET", "f:x", i }, { "LLEN", "l" }, { "BLPOP", "l", 1 }, { "SET", "f:x", "y" },
        { "GET", "f:x" }, { "SELECT", "0" }, { "HELLO", "2" }, { "WATCH", "q" }, { "SET", "f:z", i }, { "MULTI" }, { "EXEC" } })
      assert.same({ 1, "OK", 1, { "l", tostring(i) }, "OK", "y", "OK" }, { out[1], out[2], out[3], out[4], out[5], out[6], out[7] })
      assert.same({ "OK", "OK", "OK", {} }, { out[9], out[10], out[11], out[12] })
    end
  end)
end)

describe("a flow that only reads", function()
  it("holds nothing, and its reply is in its place", function()
    local one, two = support.fake(PONG), support.redis()
    local client = two_steps("client", { one, two }):client()
    send(client, { "GET", "f:k" }, { "SET", "f", "x" }, { "GET", "f" })
    one:expect("GET f:k")
    support.wait_until(function() return two:call("GET", "f") == "x" end)
    assert.equal("", client:pending())
    one:answer("$-1\r\n")
    assert.same({ null, "OK", "x" }, { (client:read()), (client:read()), (client:read()) })
  end)

  it("sends at once, so that what its client sends next comes after it", function()
    local one = support.redis()
    local client = start([[return nydus.prefix{ ["f:"] = nydus.flow(function(req) return nydus.call(h[1], "GET", "k") end),
      default = h[1] }]], { one }):client()
    for i = 1, 20 do
      local commands, expected = {}, {}
      for k = 1, 40, 2 do
        commands[k], commands[k + 1] = { "SET", "k", i * k }, { "GET", "f:" }
        expected[k], expected[k + 1] = "OK", tostring(i * k)
      end
      assert.same(expected, client:pipeline(commands))
    end
  end)
end)

describe("a client that leaves", function()
  local function watched(body)
    local one, two = support.fake(PONG), support.redis()
    local nydus = start("return nydus.flow(function(req) " .. body .. [[
      nydus.call(h[2], "SET", "went", "on")
      return req:send(h[2])
    end)]], { one, two })
    local probe = nydus:client()
    return nydus, one, two, probe
  end

  -- After something that came later is done, what was ended would have been seen.
  local function has_not_gone_on(two)
    for _ = 1, 20 do two:call("PING") end
    assert.equal(null, two:call("GET", "went"))
  end

  for name, leave in pairs({
    ["by closing"] = function(client) client:close() end,
    ["by a reset"] = function(client) client:reset() end,
    ["by CLIENT KILL"] = function(_, probe, id) assert.equal(1, probe:call("CLIENT", "KILL", "ID", id)) end,
  }) do
    it("ends its flows that sleep or wait, " .. name, function()
      local nydus, one, two, probe = watched([[nydus.call(h[2], "INCR", "begun")
        if req.read then nydus.sleep(0.05) else nydus.any({ req:spawn(h[1]) }, 9) end]])
      for i, words in ipairs({ { "GET", "k" }, { "SET", "k", "1" } }) do
        local client = nydus:client()
        local id = client:call("CLIENT", "ID")
        client:command(unpack(words))
        support.wait_until(function() return tonumber(two:call("GET", "begun")) == i end)
        if i == 2 then one:expect("SET k 1") end
        leave(client, probe, id)
        support.wait_until(function() return not probe:call("CLIENT", "LIST"):find("id=" .. id .. " ", 1, true) end)
      end
      one:answer("+OK\r\n")
      local slow = nydus:client()
      slow:command("GET", "x")
      slow:read()
      assert.equal("on", two:call("GETDEL", "went"))
      has_not_gone_on(two)
    end)
  end

  it("ends one that waits for a host when it would wait again", function()
    local nydus, one, two, probe = watched("nydus.call(h[1], 'INCR', req:key())")
    local client = nydus:client()
    local id = client:call("CLIENT", "ID")
    client:command("SET", "k", "1")
    one:expect("INCR k")
    client:close()
    one:expect_silence(0.02)
    one:answer(":1\r\n")
    support.wait_until(function() return not probe:call("CLIENT", "LIST"):find("id=" .. id .. " ", 1, true) end)
    has_not_gone_on(two)
    assert.equal(null, two:call("GET", "k"))
  end)

  it("that only closes its half gets the replies", function()
    local hosts = { support.redis(), support.redis() }
    local nydus = start("return nydus.flow(function(req) return req:send(ring) end)", hosts)
    for _ = 1, 10 do
      local client = nydus:client()
      send(client, { "SET", "a", "1" }, { "GET", "a" }, { "SET", "b", "2" }, { "GET", "b" }, { "INCR", "a" })
      client:shutdown_write()
      assert.same({ "OK", "1", "OK", "2", 2 }, { (client:read()), (client:read()), (client:read()), (client:read()), (client:read()) })
      client:expect_end()
    end
  end)

  it("while the worker drains gets what it has asked for", function()
    local one, two = support.fake(PONG), support.redis()
    local nydus = two_steps("client", { one, two })
    local client = nydus:client()
    send(client, { "SET", "f:k", "1" }, { "SET", "x", "2" }, { "GET", "x" })
    one:expect("SET f:k 1")
    nydus:term()
    one:expect_silence(0.05)
    one:answer("+OK\r\n")
    assert.same({ "OK", "OK", "2" }, { (client:read()), (client:read()), (client:read()) })
    client:expect_end()
  end)
end)

describe("flows and plain commands of several clients", function()
  it("are answered in order, and right", function()
    local hosts = { support.redis(), support.redis(), support.redis() }
    local nydus = start([[
      local function twice(req)
        local a = req:spawn(ring)
        if nydus.random() < 0.3 then nydus.sleep(nydus.random() / 500) end
        local r = a:wait(5)
        if nydus.random() < 0.2 then nydus.wait_all({ nydus.spawn(ring, "GET", req:key()), nydus.spawn(h[1], "PING") }, 5) end
        return r
      end
      return nydus.prefix{
        ["c:"] = nydus.flow(twice), ["k:"] = nydus.flow(twice, { order = "key" }),
        ["s:"] = nydus.flow(function(req) return req:send(ring) end), ["d:"] = function(req) return ring end,
        ["m:"] = nydus.flow(function(req)
          if not req.write then return req:send(ring) end
          local lock = nydus.lock("m", req:key(), 5)
          local r = req:send(ring)
          lock:unlock()
          return r
        end),
        default = ring }]], hosts)
    local random = Random.new(tonumber(os.getenv("SEED")) or os.time())
    local clients, KINDS = {}, { "c:", "k:", "s:", "d:", "m:", "p:" }
    for i = 1, 6 do clients[i] = { client = nydus:client({ timeout = 20 }), model = {}, expected = {} } end

    local function key_of(i) return random:pick(KINDS) .. i .. ":" .. random:below(4) end
    local steps = {
      function(i, model) local key = key_of(i) model[key] = tostring(random:below(1000)) return { "SET", key, model[key] }, "OK" end,
      function(i, model) local key = key_of(i) return { "GET", key }, model[key] or null end,
      function(i, model)
        local key = key_of(i)
        model[key] = tostring((tonumber(model[key]) or 0) + 1)
        return { "INCR", key }, tonumber(model[key])
      end,
      function(i, model)
        local key = key_of(i)
        local had = model[key] and 1 or 0
        model[key] = nil
        return { "DEL", key }, had
      end,
      function(i, model)
        local words, values = { "MGET" }, {}
        for k = 1, random:between(2, 5) do
          words[k + 1] = key_of(i)
          values[k] = model[words[k + 1]] or null
        end
        return words, values
      end,
      function() return { "PING" }, "PONG" end,
      function(i) return { "ECHO", "e" .. i }, "e" .. i end,
      function(i) return { "BLPOP", "p:" .. i .. ":none", "0.001" }, null end,
    }
    for _ = 1, 25 do
      for i, each in ipairs(clients) do
        local text = {}
        for n = 1, random:between(1, 40) do
          local step = random:chance(2) and steps[8] or steps[random:between(1, 7)]
          local words, reply = step(i, each.model)
          text[n] = encode(words)
          each.expected[#each.expected + 1] = { words, reply }
        end
        each.client:send(table.concat(text))
      end
      for _, each in ipairs(clients) do
        local keep = random:chance(50) and random:below(20) or 0
        while #each.expected > keep do
          local step = table.remove(each.expected, 1)
          assert.same(step[2], (each.client:read()), table.concat(step[1], " "))
        end
      end
    end
    for _, each in ipairs(clients) do
      for _, step in ipairs(each.expected) do assert.same(step[2], (each.client:read()), table.concat(step[1], " ")) end
      assert.equal("PONG", each.client:call("PING"))
    end
  end)
end)
