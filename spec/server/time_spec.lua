-- Timers of router scripts in the running server.

local support = require("support")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\")\n"

describe("timers of a router script", function()
  local host

  setup(function()
    host = support.redis()
  end)

  local function start(body, extra)
    local config = { router = "main.lua", hosts = { host }, workers = 2 }
    for key, value in pairs(extra or {}) do config[key] = value end
    local nydus = support.nydus({ config = config, files = { ["main.lua"] = HEAD .. body } })
    nydus:wait_log("master info nydus .- (ready: )")
    return nydus
  end

  local function reload(nydus, body)
    if body then nydus:write("main.lua", HEAD .. body) end
    nydus:forget_log()
    nydus:hup()
    nydus:wait_log("(reloaded in )", 15)
  end

  -- A client of each worker.
  local function clients(nydus)
    local found, count = {}, 0
    support.wait_until(function()
      local client = nydus:client()
      local slot = client:call("CLIENT", "ID") % 1024
      if not found[slot] then
        found[slot], count = client, count + 1
      end
      return count == 2
    end, 10, "a client at each worker")
    return { found[1], found[2] }
  end

  it("go off in every worker", function()
    local nydus = start([[local n, once = 0, 0
      nydus.every(0.01, function() n = n + 1 end)
      nydus.after(0.01, function() once = once + 1 end)
      return function(req) return nydus.reply({ n, once }) end]])
    for _, client in ipairs(clients(nydus)) do
      support.wait_until(function() return client:call("GET", "k")[1] > 20 end, 5, "twenty times")
      assert.equal(1, client:call("GET", "k")[2])
    end
  end)

  it("go off at their time, not before", function()
    local nydus = start([[local now, late = nil, "waiting"
      return function(req)
        if req.write then now = os.clock() nydus.after(0.3, function() late = "over" end) end
        return nydus.reply(late)
      end]], { workers = 1 })
    local client, before = nydus:client(), support.now()
    assert.equal("waiting", client:call("SET", "k", "v"))
    support.wait_until(function() return client:call("GET", "k") == "over" end, 5, "the timer")
    assert.is_true(support.now() - before >= 0.3)
  end)

  it("run while their configuration is in force, and not one that is refused", function()
    local function body(name, more)
      return ("nydus.every(0.1, function() print('tick %s') end) %s return nydus.reply('%s')")
        :format(name, more or "", name)
    end
    local nydus = start(body("one"))
    nydus:wait_log("worker 1 .-(tick one)")
    nydus:wait_log("worker 2 .-(tick one)")
    nydus:write("main.lua", HEAD .. body("two", "error('oops')"))
    nydus:hup()
    nydus:wait_log("(stays in force)")
    nydus:forget_log()
    for _ = 1, 3 do
      nydus:wait_log("worker 1 .-(tick one)")
      nydus:wait_log("worker 2 .-(tick one)")
      nydus:forget_log()
    end
    assert.is_nil(nydus:log():find("tick two", 1, true))
    reload(nydus, body("three"))
    nydus:forget_log()
    nydus:wait_log("worker 1 .-tick three.-worker 1 .-(tick three)")
    nydus:wait_log("worker 2 .-tick three.-worker 2 .-(tick three)")
    assert.is_nil(nydus:log():sub(nydus.seen + 1):find("tick one", 1, true))
    assert.equal("three", nydus:client():call("GET", "k"))
  end)

  it("leave nothing behind, however often the configuration is read again", function()
    local function config(name)
      return { router = { "main.lua", name = name }, hosts = { host }, workers = 2 }
    end
    local nydus = start([[for i = 1, 900 do nydus.every(0.01 + i / 1e5, function() end) end
      nydus.every(0.1, function() print("tick " .. options.name) end)
      return function(req) nydus.after(1000, function() end) return nydus.reply(options.name) end]], config("0"))
    local both = clients(nydus)
    for i = 1, 50 do
      nydus:write("config.lua", config(tostring(i)))
      reload(nydus)
      for _, client in ipairs(both) do assert.equal(tostring(i), client:call("GET", "k")) end
    end
    nydus:forget_log()
    nydus:wait_log("worker 1 .-tick 50.-worker 1 .-(tick 50)")
    nydus:wait_log("worker 2 .-tick 50.-worker 2 .-(tick 50)")
    for name in nydus:log():sub(nydus.seen + 1):gmatch("tick (%d+)") do assert.equal("50", name) end
  end)

  it("that loop or raise hold nobody up for long, and are in the log", function()
    local nydus = start([[local loops, fails = 0, 0
      nydus.every(0.001, function() loops = loops + 1 while true do end end)
      nydus.every(0.001, function() fails = fails + 1 error("oops") end)
      return function(req) return nydus.reply({ loops, fails }) end]], { workers = 1 })
    local client = nydus:client()
    local asked = 0
    support.wait_until(function()
      asked = asked + 1
      local counts = client:call("GET", "k")
      return counts[1] >= 3 and counts[2] >= 100
    end, 10, "them to run again and again")
    assert.is_true(asked > 50)
    assert.matches("main%.lua:4: oops %(called by nydus%.every, .*main%.lua:4%)", nydus:log())
    assert.matches("main%.lua:3: stopped: it ran for more than 15 ms %(called by nydus%.every, .*main%.lua:3%)",
      nydus:log())
    local _, lines = nydus:log():gsub("oops", "")
    assert.is_true(lines < 50)
  end)

  it("begin again with a worker that takes the place of another", function()
    local nydus = start("nydus.every(0.05, function() print('tick') end) return nydus.reply('x')")
    nydus:wait_log("worker 1 .-(tick)")
    support.run({ "sh", "-c", "kill -9 " .. nydus:workers()[1] })
    nydus:wait_log("worker %d %(pid %d+%) (died)")
    nydus:forget_log()
    nydus:wait_log("worker 1 .-(tick)")
    nydus:wait_log("worker 2 .-(tick)")
  end)
end)
