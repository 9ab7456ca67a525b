-- SCRIPT KILL and FUNCTION KILL: they end what has the shared link blocked.

local support = require("support")

local ENDLESS = "while true do end"
local LIBRARY = "#!lua name=endless\nredis.register_function('endless', function() while true do end end)"

local function busy_soon(count, options)
  local hosts = {}
  for i = 1, count do
    hosts[i] = support.redis(options)
    hosts[i].plain = false
    hosts[i]:call("CONFIG", "SET", "busy-reply-threshold", "1")
  end
  return hosts
end

local function is_busy(hosts)
  for _, host in ipairs(hosts) do
    local reply = host:client():call("PING")
    if type(reply) == "table" and reply.err:find("^BUSY") then return true end
  end
  return false
end

describe("a KILL", function()
  for _, count in ipairs({ 1, 3 }) do
    local function start(options)
      local hosts, entries = busy_soon(count, options), {}
      for i, host in ipairs(hosts) do entries[i] = host:address({ timeout = 20, db = 1 }) end
      return hosts, support.nydus({ config = { router = count > 1 and "ketama" or nil, hosts = entries, workers = 1 } })
    end

    it("ends a script, over " .. count, function()
      local hosts, nydus = start()
      local one, two = nydus:client(), nydus:client()
      one:command("EVAL", ENDLESS, 1, "key")
      support.wait_until(function() return is_busy(hosts) end, 10, "a busy host")
      assert.equal("OK", two:call("SCRIPT", "KILL"))
      assert.matches("^ERR Script killed by user with SCRIPT KILL", (one:read()).err)
      assert.equal("OK", one:call("SET", "key", "1"))
      assert.equal("1", two:call("GET", "key"))
    end)

    it("ends a function, over " .. count, function()
      local hosts, nydus = start()
      local one, two = nydus:client(), nydus:client()
      assert.equal("endless", one:call("FUNCTION", "LOAD", LIBRARY))
      one:command("FCALL", "endless", 1, "key")
      support.wait_until(function() return is_busy(hosts) end, 10, "a busy host")
      assert.equal("OK", two:call("FUNCTION", "KILL"))
      assert.matches("^ERR Script killed by user.*endless", (one:read()).err)
    end)

    it("says so, when nothing runs, over " .. count, function()
      local hosts, nydus = start()
      local client, plain = nydus:client(), hosts[1]:client()
      for _, name in ipairs({ "SCRIPT", "FUNCTION" }) do
        assert.same(plain:call(name, "KILL"), client:call(name, "KILL"))
        assert.equal("OK", client:call("SET", "key", "1"))
      end
      assert.same({ { err = "NOTBUSY No scripts in execution right now." }, "OK" },
        client:pipeline({ { "SCRIPT", "KILL" }, { "SET", "key", "2" } }))
    end)
  end

  it("says which script may not be ended", function()
    local hosts = busy_soon(1)
    local nydus = support.nydus({ config = { hosts = hosts, workers = 1 } })
    local one, two = nydus:client(), nydus:client()
    one:command("EVAL", "redis.call('SET', KEYS[1], 1) " .. ENDLESS, 1, "key")
    support.wait_until(function() return is_busy(hosts) end, 10, "a busy host")
    assert.matches("^UNKILLABLE", two:call("SCRIPT", "KILL").err)
  end)

  it("works where a password is needed", function()
    local hosts = busy_soon(1, { requirepass = "secret" })
    local nydus = support.nydus({ config = { hosts = { hosts[1]:address({ password = "secret" }) }, workers = 1 } })
    local one, two = nydus:client(), nydus:client()
    one:command("EVAL", ENDLESS, 0)
    support.wait_until(function() return two:call("SCRIPT", "KILL") == "OK" end, 10, "a script to kill")
    assert.matches("Script killed by user", (one:read()).err)
  end)
end)
