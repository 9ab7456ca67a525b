-- Router scripts that watch hosts, mark them down and take them back.

local support = require("support")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\")\n"
local WATCH = [[nydus.on_host(function(host, state, why)
  print(host.identifier .. " " .. state .. " (" .. why .. ") " .. host.state)
end)
]]

local function named(host, name)
  local address = host:address()
  address.identifier = name
  return address
end

local function start(hosts, body, extra)
  local config = { router = "main.lua", hosts = hosts, workers = 2, retry_timeout = 0.2 }
  for key, value in pairs(extra or {}) do config[key] = value end
  local nydus = support.nydus({ config = config, files = { ["main.lua"] = HEAD .. body } })
  nydus:wait_log("master info nydus .- (ready: )")
  return nydus
end

local function reload(nydus, body)
  nydus:write("main.lua", HEAD .. body)
  nydus:forget_log()
  nydus:hup()
  nydus:wait_log("(reloaded in )", 15)
end

local function both(nydus, pattern)
  nydus:wait_log("worker 1 info script: (" .. pattern .. ")", 10)
  nydus:wait_log("worker 2 info script: (" .. pattern .. ")", 10)
end

local function answers(client, expected, ...)
  local words = { ... }
  support.wait_until(function() return client:call(unpack(words)) == expected end, 5, expected)
end

describe("a router script", function()
  local a, b

  before_each(function()
    a, b = support.redis(), support.redis()
  end)

  local function hosts()
    return { named(a, "a"), named(b, "b") }
  end

  it("is told in every worker when a host goes and when it comes back", function()
    local nydus = start(hosts(), WATCH .. "return nydus.ketama(cluster)")
    both(nydus, "a up %(connected%) up")
    both(nydus, "b up %(connected%) up")
    nydus:forget_log()
    b:kill()
    both(nydus, "b down %(.-%) down")
    nydus:forget_log()
    b:restart()
    both(nydus, "b up %(taken back%) up")
    assert.is_nil(nydus:log():sub(nydus.seen):find("script: a", 1, true))
  end)

  it("is told of a host that is away before it is marked down", function()
    local nydus = start(hosts(), WATCH .. "return cluster.hosts[1]", { failure_limit = 1000 })
    both(nydus, "b up %(connected%) up")
    nydus:forget_log()
    b:kill()
    both(nydus, "b away %(Connection refused%) away")
    nydus:forget_log()
    b:restart()
    both(nydus, "b up %(connected%) up")
  end)

  it("is told once, and of changes only, over reloads", function()
    local body = WATCH .. "nydus.every(0.05, function() print('tick ' .. cluster.hosts[2].state) end) return cluster.hosts[1]"
    local nydus = start(hosts(), body)
    both(nydus, "b up %(connected%) up")
    for _ = 1, 3 do reload(nydus, body) end
    nydus:forget_log()
    both(nydus, "tick up")
    b:kill()
    both(nydus, "b down")
    both(nydus, "tick down")
    for worker = 1, 2 do
      local _, count = nydus:log():sub(nydus.seen):gsub("worker " .. worker .. " info script: b down", "")
      assert.equal(1, count)
    end
    assert.is_nil(nydus:log():sub(nydus.seen):find("script: a", 1, true))
  end)

  it("marks a host down for a time", function()
    local nydus = start(hosts(), WATCH .. [[local ring = nydus.first(cluster)
      return function(req)
        if req.write then cluster:host("a"):down(0.3) end
        if req.command == "ttl" then return nydus.reply(cluster:host("a").state) end
        return ring
      end]], { workers = 1 })
    a:call("SET", "k", "a")
    b:call("SET", "k", "b")
    local client = nydus:client()
    answers(client, "up", "TTL", "k")
    assert.equal("a", client:call("GET", "k"))
    local before = support.now()
    assert.same({ 0, "down", "b" }, client:pipeline({ { "DEL", "none" }, { "TTL", "k" }, { "GET", "k" } }))
    nydus:wait_log("script: (a down %(a router script says so%) down)")
    answers(client, "a", "GET", "k")
    assert.is_true(support.now() - before >= 0.3)
    nydus:wait_log("script: (a up %(taken back%) up)")
  end)

  it("marks a host down for retry_timeout, or for ever, and takes it back", function()
    local nydus = start(hosts(), [[local host = cluster:host("a")
      return function(req)
        if req:prefix("short") then host:down() elseif req:prefix("long") then host:down(math.huge) end
        if req:prefix("up") then host:up() end
        return nydus.reply(host.state)
      end]], { workers = 1 })
    local client = nydus:client()
    answers(client, "up", "GET", "k")
    assert.equal("down", client:call("GET", "short"))
    answers(client, "up", "GET", "k")
    assert.equal("down", client:call("GET", "long"))
    assert.equal("up", client:call("GET", "up"))
    assert.same({ "down", "up", "down", "up" },
      client:pipeline({ { "GET", "long" }, { "GET", "up" }, { "GET", "short" }, { "GET", "up" } }))
  end)

  it("marks hosts at load, from when its configuration is in force; a refused one marks nothing", function()
    local state = "return function() return nydus.reply(cluster:host('a').state) end"
    local nydus = start(hosts(), state, { workers = 1 })
    local client = nydus:client()
    answers(client, "up", "GET", "k")
    nydus:write("main.lua", HEAD .. "cluster:host('a'):down(math.huge) error('oops')")
    nydus:hup()
    nydus:wait_log("(stays in force)")
    assert.equal("up", client:call("GET", "k"))
    for _ = 1, 2 do
      reload(nydus, "cluster:host('a'):down(math.huge) " .. state)
      assert.equal("down", client:call("GET", "k"))
    end
    reload(nydus, state)
    answers(client, "up", "GET", "k")
  end)

  it("that takes a host back and marks it down without end keeps nobody waiting", function()
    local nydus = start(hosts(), [[local rounds = 0
      nydus.on_host(function(host, state)
        rounds = rounds + 1
        if state == "up" then host:down(math.huge) else host:up() end
      end)
      return function(req) return nydus.reply(rounds) end]], { workers = 1 })
    local client = nydus:client()
    support.wait_until(function() return client:call("GET", "k") > 20 end, 5, "many rounds")
    local time = support.now()
    local rounds = client:call("GET", "k")
    support.wait_until(function() return client:call("GET", "k") > rounds + 20 end, 5, "more rounds")
    assert.is_true(support.now() - time > 0.05)
  end)
end)
