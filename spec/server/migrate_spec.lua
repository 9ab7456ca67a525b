-- routers/migrate.lua with real hosts: keys move while clients go on, workers die and configurations change.

local support = require("support")
local Random = require("support.random")

local KEYS = support.sanitized and 2000 or 10000
local CLIENTS, OWN = 6, 60   -- each client has so many of the keys for itself
local SHARED = 40            -- counters that all clients have
local KINDS = { "string", "hash", "list", "set", "zset", "stream" }

local function kill(pid)
  assert.equal(0, (support.run({ "sh", "-c", "kill -KILL " .. pid })))
end

local function kind_of(i)
  return KINDS[i % #KINDS + 1]
end

local function key_of(i)
  return kind_of(i) .. ":" .. i
end

-- What makes a key of a kind, or makes more of it.
local function writing(i, n)
  local kind, key = kind_of(i), key_of(i)
  if kind == "string" then return { "SET", key, "value " .. n }
  elseif kind == "hash" then return { "HSET", key, "f" .. n % 5, n, "g", "x" }
  elseif kind == "list" then return { "RPUSH", key, n, "é\0\r\n" }
  elseif kind == "set" then return { "SADD", key, n % 7, "m" .. n % 5 }
  elseif kind == "zset" then return { "ZADD", key, n % 11, "m" .. n % 5 }
  end
  return { "XADD", key, "*", "f", n }
end

local READING = { string = "GET", hash = "HLEN", list = "LRANGE 0 -1", set = "SCARD", zset = "ZRANGE 0 -1", stream = "XLEN" }

local function reading(i)
  local words = {}
  for word in READING[kind_of(i)]:gmatch("%S+") do words[#words + 1] = word end
  table.insert(words, 2, key_of(i))
  return words
end

-- A command on key i, whose reply does not depend on time.
local function any(random, i, n)
  local key, what = key_of(i), random:below(10)
  if what < 3 then return writing(i, n)
  elseif what < 6 then return reading(i)
  elseif what == 6 then return { random:chance(2) and "DEL" or "UNLINK", key }
  elseif what == 7 then return { "EXPIRE", key, 500 + n % 100 }
  elseif what == 8 then return { "PERSIST", key }
  end
  return { "EXISTS", key }
end

local function all_of(client, commands)
  local out = {}
  for first = 1, #commands, 500 do
    local some = {}
    for i = first, math.min(first + 499, #commands) do some[#some + 1] = commands[i] end
    for _, reply in ipairs(client:pipeline(some)) do out[#out + 1] = reply end
  end
  return out
end

local function seed(client)
  local commands = {}
  for i = 1, KEYS do
    local made = writing(i, i)
    if made[1] == "XADD" then made[3] = i .. "-1" end
    commands[#commands + 1] = made
    if i % 5 == 0 then
      commands[#commands + 1] = { "EXPIRE", key_of(i), 1000 + i }
    elseif i % 50 == 1 and i > CLIENTS * OWN then
      commands[#commands + 1] = { "PEXPIRE", key_of(i), 2500 } -- over before the end
    end
  end
  for _, reply in ipairs(all_of(client, commands)) do
    assert.is_nil(type(reply) == "table" and reply.err or nil)
  end
end

-- Every client asks Nydus and, for its own keys, the model; the replies are the same.
local function round(self)
  self.rounds = self.rounds + 1
  local expected = {}
  for c, client in ipairs(self.clients) do
    local commands = {}
    for n = 1, 20 do
      local command = any(self.random, (c - 1) * OWN + self.random:below(OWN) + 1, self.rounds * 20 + n)
      if command[1] == "XADD" then command[3] = (KEYS + self.rounds) .. "-" .. n end
      commands[n] = command
    end
    expected[c] = { commands, self.model_client:pipeline(commands) }
    local text = {}
    for n, command in ipairs(commands) do text[n] = support.encode(command) end
    for n = 1, 3 do
      local shared = "shared:" .. self.random:below(SHARED)
      self.counted[shared] = (self.counted[shared] or 0) + 1
      text[20 + n] = support.encode({ "INCR", shared })
    end
    client:send(table.concat(text))
  end
  for c, client in ipairs(self.clients) do
    for n = 1, 20 do
      assert.same(expected[c][2][n], (client:read()), table.concat(expected[c][1][n], " "))
    end
    for _ = 1, 3 do
      local reply = client:read()
      assert.equal("number", type(reply), type(reply) == "table" and reply.err)
    end
  end
end

local function connect(self)
  for c = 1, CLIENTS do
    if self.clients[c] then self.clients[c]:close() end
    self.clients[c] = self.nydus:client({ timeout = 15 })
  end
end

-- A client that is in the midst of its commands when a worker dies.
local function crash(self, worker)
  local victim, text = self.nydus:client(), {}
  for i = 1, 100 do text[i] = support.encode({ "INCR", "blind:" .. i }) end
  victim:send(table.concat(text))
  kill(worker)
  support.wait_until(function()
    for _, pid in ipairs(self.nydus:workers()) do
      if pid == worker then return false end
    end
    return #self.nydus:workers() == 2
  end)
  victim:close()
  self.crashes = self.crashes + 1
  connect(self)
end

local function moving(self)
  local left = self.hosts[1]:call("DBSIZE") + self.hosts[2]:call("DBSIZE")
  return left
end

describe("routers/migrate", function()
  local config, self

  setup(function()
    self = { hosts = {}, clients = {}, counted = {}, crashes = 0, rounds = 0, random = Random.new(20), model = support.redis() }
    for i = 1, 5 do self.hosts[i] = support.redis() end
    config = function(router)
      return { listen = "127.0.0.1:" .. self.port, workers = 2, router = router, hosts = self.hosts,
        defaults = { timeout = 5, connect_timeout = 5 } }
    end
    self.port = support.free_port()
  end)

  it("moves all keys under traffic, with dying workers and a reload, and loses none", function()
    local migrate = { "migrate.lua", from = { 1, 2 }, to = { 3, 4, 5 }, rate = KEYS / 2.5, grace = 0.2 }
    self.nydus = support.nydus({ port = self.port, config = config({ "old.lua" }), files = {
      ["old.lua"] = "local cluster = ... return require('nydus').ketama({ cluster.hosts[1], cluster.hosts[2] })",
      ["new.lua"] = [[local cluster = ... local h = cluster.hosts return require('nydus').ketama({ h[3], h[4], h[5] })]],
      ["migrate.lua"] = support.read_file("routers/migrate.lua"),
    } })
    local nydus = self.nydus
    self.model_client = self.model:client()
    local seeding = support.now()
    seed(nydus:client({ timeout = 15 }))
    seed(self.model_client)
    seeding = support.now() - seeding
    for i = 1, 100 do nydus:client():call("SET", "blind:" .. i, 100) end
    local total = moving(self)
    connect(self)
    nydus:write("config.lua", config(migrate))
    nydus:hup()
    nydus:wait_log("generation 2")
    local function until_left(share)
      support.wait_until(function() round(self) return moving(self) < total * share end, 30, "keys move")
    end
    until_left(0.85)
    crash(self, nydus:workers()[1])
    until_left(0.6)
    nydus:hup()
    until_left(0.4)
    crash(self, nydus:workers()[2])
    support.wait_until(function() round(self) return nydus:log():find("all keys are at their new places", 1, true) end, 40, "the end")
    for _ = 1, 20 do round(self) end
    assert.same({ 0, 0 }, { self.hosts[1]:call("DBSIZE"), self.hosts[2]:call("DBSIZE") })
    nydus:write("config.lua", config({ "new.lua" }))
    nydus:hup()
    nydus:wait_log("generation 4")
    local client = nydus:client({ timeout = 15 })
    for name, count in pairs(self.counted) do assert.equal(tostring(count), client:call("GET", name), name) end
    for i = 1, 100 do
      local value = tonumber(client:call("GET", "blind:" .. i))
      assert.is_true(value >= 100 and value <= 100 + self.crashes, tostring(value))
    end
    local types, ttls, counts = {}, {}, 0
    for i = 1, KEYS do types[i], ttls[i] = { "TYPE", key_of(i) }, { "PTTL", key_of(i) } end
    assert.same(all_of(self.model_client, types), all_of(client, types))
    local asking = support.now()
    local expected, found = all_of(self.model_client, ttls), all_of(client, ttls)
    local apart = (1 + seeding + support.now() - asking) * 1000 -- what is done to one is done to the other later
    for i = 1, KEYS do
      assert.is_true(math.abs(expected[i] - found[i]) < apart and (expected[i] < 0) == (found[i] < 0), key_of(i))
    end
    for h = 3, 5 do
      local direct, names, digests = self.hosts[h]:client(), {}, { "DEBUG", "DIGEST-VALUE" }
      for _, name in ipairs(direct:call("KEYS", "*")) do
        if not name:match("^blind") and not name:match("^shared") then
          names[#names + 1], digests[#digests + 1] = name, name
        end
      end
      counts = counts + #names
      assert.same(self.model_client:call(unpack(digests)), direct:call(unpack(digests)))
    end
    assert.equal(self.model:call("DBSIZE"), counts)
  end)

  -- One key at an old host that the spec plays, and moves now; the new host is a real one.
  local function watched()
    local old, new = support.fake({ auto = { PING = "+PONG\r\n", SCAN = "*2\r\n$1\r\n0\r\n*0\r\n" } }), support.redis()
    local nydus = support.nydus({ files = { ["migrate.lua"] = support.read_file("routers/migrate.lua") }, config = {
      router = { "migrate.lua", from = { 1 }, to = { 2 }, grace = 0, scan = false }, hosts = { old, new } } })
    local value = support.redis():client()
    value:call("SET", "k", "v")
    return nydus, old, new, support.encode({ value:call("DUMP", "k") }):match("^%*1\r\n(.*)$")
  end

  -- Until the first move has begun, commands may still be sent to the old host.
  local function begin(nydus, old)
    support.wait_until(function()
      local other = nydus:client()
      other:command("GET", "other")
      local words = old:request()
      old:answer(words[1] == "PTTL" and ":-2\r\n" or "$-1\r\n")
      if words[1] ~= "PTTL" then return false end
      old:expect("DUMP other")
      old:answer("$-1\r\n")
      return other:read() == support.null
    end)
  end

  it("lets nobody at a key that moves", function()
    local nydus, old, new, dump = watched()
    begin(nydus, old)
    local one, two = nydus:client(), nydus:client()
    one:command("GET", "k")
    old:expect("PTTL k")
    old:answer(":50000\r\n")
    old:expect("DUMP k")
    two:command("DEL", "k")
    old:expect_silence(0.1)
    old:answer(dump)
    old:expect("UNLINK k")
    assert.equal(1, new:call("EXISTS", "k"))
    assert.equal("", one:pending())
    old:answer(":1\r\n")
    assert.equal("v", (one:read()))
    assert.equal(1, (two:read()))
    assert.equal(0, new:call("EXISTS", "k"))
    old:expect_silence(0.05)
  end)

  it("goes to the end of a move whose client has left", function()
    local nydus, old, new, dump = watched()
    begin(nydus, old)
    local one = nydus:client()
    one:command("GET", "k")
    old:expect("PTTL k")
    old:answer(":-1\r\n")
    old:expect("DUMP k")
    one:close()
    old:expect_silence(0.05)
    old:answer(dump)
    old:expect("UNLINK k")
    old:answer(":1\r\n")
    assert.equal("v", nydus:client():call("GET", "k"))
    assert.equal(-1, new:call("PTTL", "k"))
  end)

  it("keeps the order of what one client sends, reads and writes", function()
    local nydus, old, _, dump = watched()
    begin(nydus, old)
    local other, one = nydus:client(), nydus:client()
    other:command("GET", "k")
    old:expect("PTTL k")
    old:answer(":-1\r\n")
    old:expect("DUMP k")
    one:command("GET", "k") -- waits for the lock, and looks again less and less often
    old:expect_silence(0.2)
    old:answer(dump)
    old:expect("UNLINK k")
    old:answer(":1\r\n")
    assert.equal("v", (other:read()))
    one:send(support.encode({ "SET", "k", "new" }) .. support.encode({ "GET", "k" }))
    assert.same({ "v", "OK", "new" }, { (one:read()), (one:read()), (one:read()) })
  end)

  it("does not bring back what FLUSHALL has deleted while it moved", function()
    local nydus, old, new, dump = watched()
    begin(nydus, old)
    local one, two = nydus:client(), nydus:client()
    one:command("GET", "k")
    old:expect("PTTL k")
    old:answer(":-1\r\n")
    old:expect("DUMP k")
    new:call("SET", "x", "y")
    two:command("FLUSHALL")
    old:expect("FLUSHALL")
    support.wait_until(function() return new:call("DBSIZE") == 0 end)
    old:answer(dump .. "+OK\r\n")
    assert.equal("OK", (two:read()))
    old:expect("UNLINK k")
    old:answer(":0\r\n")
    assert.equal(support.null, (one:read()))
  end)
end)
