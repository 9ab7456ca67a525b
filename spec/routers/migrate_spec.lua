local testing = require("nydus.testing")

local PATH = "routers/migrate.lua"

-- A Redis that knows what a move needs; its dump of a value is "dump:" and the value.
local function redis(seen)
  local data = {}
  local known = {
    set = function(key, value) data[key] = { value } return testing.status("OK") end,
    get = function(key) return data[key] and data[key][1] or testing.null end,
    dump = function(key) return data[key] and "dump:" .. data[key][1] or testing.null end,
    pttl = function(key) return data[key] and (data[key].ttl or -1) or -2 end,
    exists = function(key) return data[key] and 1 or 0 end,
    unlink = function(key) local there = data[key] data[key] = nil return there and 1 or 0 end,
    rename = function(from, to) data[to], data[from] = data[from], nil return testing.status("OK") end,
    dbsize = function() local n = 0 for _ in pairs(data) do n = n + 1 end return n end,
    flushall = function() for key in pairs(data) do data[key] = nil end return testing.status("OK") end,
    ping = function() return testing.status("PONG") end,
  }
  function known.restore(key, ttl, dump)
    if data[key] then return testing.error("BUSYKEY Target key name already exists.") end
    data[key] = { dump:match("^dump:(.*)"), ttl = tonumber(ttl) > 0 and tonumber(ttl) or nil }
    return testing.status("OK")
  end
  function known.scan()
    local keys = {}
    for key in pairs(data) do keys[#keys + 1] = key end
    return { "0", keys }
  end
  return function(command, ...)
    if command ~= "ping" then seen[#seen + 1] = command .. " " .. tostring((...)) end
    if known[command] then return known[command](...) end
  end, data
end

describe("routers/migrate", function()
  local t, data, seen
  after_each(function() if t then t:close() end t = nil end)

  -- The old ring is a and b, the new one c; the walk begins when grace is over.
  local function load(options)
    options = options or {}
    options.from, options.to = options.from or { "a", "b" }, options.to or { "c" }
    t, data, seen = testing.load(PATH, { hosts = { "a", "b", "c" }, options = options }), {}, {}
    for _, name in ipairs({ "a", "b", "c" }) do
      local answer
      seen[name] = {}
      answer, data[name] = redis(seen[name])
      t:on(name, answer)
    end
    return t
  end

  local function old_of(key)
    local old = testing.load("ketama", { hosts = { "a", "b" } })
    local host = old:route("GET", key).identifier
    old:close()
    return host
  end

  it("leaves keys where they are during the grace, and then moves them before a command runs", function()
    load({ scan = false, grace = 2 })
    local host = old_of("k")
    assert.equal("OK", t:call("SET", "k", "v"))
    assert.same({ "v" }, data[host].k)
    t:advance(3)
    data[host].k.ttl = 5000
    assert.equal("v", t:call("GET", "k"))
    assert.is_nil(data[host].k)
    assert.same({ "v", ttl = 5000 }, data.c.k)
    assert.equal("OK", t:call("SET", "k", "w"))
    assert.same({ "w" }, data.c.k)
  end)

  it("asks the old place of a key once", function()
    load({ scan = false, grace = 0 })
    t:advance(1)
    local host = old_of("k")
    assert.equal(testing.null, t:call("GET", "k"))
    t:requests(host)
    for _ = 1, 5 do t:call("GET", "k") end
    t:call("SET", "k", "v")
    for _, request in ipairs(t:requests(host)) do assert.equal("PING", request[1]:upper()) end
  end)

  it("takes what is at both places for moved, and deletes the old copy", function()
    load({ scan = false, grace = 0 })
    t:advance(1)
    local host = old_of("k")
    data[host].k, data.c.k = { "old" }, { "new" }
    assert.equal("new", t:call("GET", "k"))
    assert.is_nil(data[host].k)
  end)

  it("takes a key for moved that is at its new place during the grace", function()
    load({ scan = false, grace = 20 })
    data.c.k = { "new" }
    assert.equal("new", t:call("GET", "k"))
    assert.equal("OK", t:call("SET", "k", "newer"))
    assert.same({ "newer" }, data.c.k)
    assert.same({}, data[old_of("k")])
  end)

  it("moves all keys of a command that needs them on one host", function()
    load({ scan = false, grace = 0 })
    t:advance(1)
    data[old_of("x")].x, data[old_of("y")].y = { "of x" }, { "of y" }
    assert.equal("OK", t:call("RENAME", "x", "y"))
    assert.same({ y = { "of x" } }, data.c)
    assert.same({ {}, {} }, { data.a, data.b })
  end)

  it("walks until nothing is left, and then goes straight to the new ring", function()
    load({ grace = 0, rate = 1e6 })
    for i = 1, 200 do data[old_of("k" .. i)]["k" .. i] = { "v" .. i } end
    t:advance(5)
    assert.same({ {}, {} }, { data.a, data.b })
    for i = 1, 200 do assert.same({ "v" .. i }, data.c["k" .. i]) end
    assert.equal("c", t:route("GET", "other").identifier)
    assert.equal(200, t:call("DBSIZE"))
  end)

  it("does not move what stays, nor counts a host twice that is in both rings", function()
    load({ from = { "a", "b" }, to = { "a", "b", "c" }, scan = false, grace = 0 })
    t:advance(1)
    local new, stays = testing.load("ketama", { hosts = { "a", "b", "c" } }), 0
    for i = 1, 50 do
      local key = "k" .. i
      local host = new:route("GET", key).identifier
      if host == old_of(key) then
        stays = stays + 1
        assert.equal(host, t:route("GET", key).identifier)
        t:call("SET", key, "v")
      else
        assert.is_nil(t:route("GET", key))
      end
    end
    new:close()
    assert.is_true(stays > 10 and stays < 50)
    assert.equal(stays, t:call("DBSIZE"))
  end)

  it("gives an error for a key that cannot be moved, and moves it later", function()
    load({ scan = false, grace = 0 })
    t:advance(1)
    local host = old_of("k")
    data[host].k = { "v" }
    t:down("c")
    assert.matches("^ERR migrate: a key cannot be moved: .*c", t:call("SET", "k", "w").err)
    t:up("c")
    t:advance(60)
    assert.equal("v", t:call("GET", "k"))
    t:down(host)
    assert.equal("v", t:call("GET", "k"))
  end)

  it("refuses what it cannot do", function()
    load({ scan = false, grace = 0 })
    t:advance(1)
    assert.matches("needs one host here, but the router has a flow", t:call("BLPOP", "l", 1).err)
    t:call("SELECT", 1)
    assert.matches("^ERR migrate: only database 0", t:call("GET", "k").err)
  end)

  it("is refused with a reason", function()
    for expected, options in pairs({
      ["migrate: unknown option 'form'"] = { form = {}, to = { 1 } },
      ["migrate: the option from = { 0, 1, … }, a list of hosts, is missing"] = { to = { 1 } },
      ["migrate: the option to = { 0, 1, … }, a list of hosts, is missing"] = { from = { 1 }, to = "x" },
      ["cluster main has no host with the key 9"] = { from = { 9 }, to = { 1 } },
      ["cluster main has no host 'z'"] = { from = { 1 }, to = { "z" } },
      ["migrate: from: 'random' is no router that gives a key its place"] = { from = { 1 }, to = { 2 }, router = "random" },
      ["migrate: to: 'all' is no router"] = { from = { 1 }, to = { 2, router = "all" } },
      ["migrate: from: a ring that ejects hosts"] = { from = { 1, options = { eject = true } }, to = { 2 } },
      ["migrate: rate: a number from 1 to 1e+06 is expected, got 0"] = { from = { 1 }, to = { 2 }, rate = 0 },
      ["migrate: grace: a number from 0 to 20 is expected, got x"] = { from = { 1 }, to = { 2 }, grace = "x" },
      ["hsah: unknown field; did you mean 'hash'?"] = { from = { 1 }, to = { 2 }, options = { hsah = "md5" } },
    }) do
      local ok, text = pcall(testing.load, PATH, { hosts = { "a", "b", "c" }, options = options })
      assert.is_false(ok, expected)
      assert.is_truthy(tostring(text):find(expected, 1, true), tostring(text))
    end
  end)
end)
