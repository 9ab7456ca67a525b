-- Random commands from several clients against Nydus with three hosts, and the same of
-- each client against one plain redis-server: every client must get the same bytes. What
-- is sent, and how it is cut, comes from a seed that a failure names; NYDUS_SEED=… repeats
-- it, FUZZ_SECONDS=… makes each test last longer.

local support = require("support")
local sys = require("support.sys")
local Random = require("support.random")
local Twin = require("support.twin")

local SECONDS = math.min(tonumber(os.getenv("FUZZ_SECONDS")) or 2, 200)
local FIRST_SEED = tonumber(os.getenv("NYDUS_SEED"))
local CLIENTS = 4

-- Some clients live at once until all have left.
local function round(world)
  local random, twins = world.random, {}
  for i = 1, random:between(2, CLIENTS) do
    twins[i] = Twin.new({
      nydus = world.nydus, model = world.model, random = random, name = ("life%d.%d"):format(world.rounds, i),
      database = 4 + (world.rounds * CLIENTS + i) % 12,
      phases = random:between(1, 4), length = random:pick({ 5, 40, 40, 300 }), excuse = world.excuse,
      calm = world.calm,
    })
  end
  local quiet = sys.now()
  while #twins > 0 do
    local moved = false
    for i = #twins, 1, -1 do
      moved = twins[i]:turn() or moved
      if twins[i].over then table.remove(twins, i) end
    end
    world:trouble()
    if moved then
      quiet = sys.now()
    elseif #twins > 0 then
      local fds = {}
      for i, twin in ipairs(twins) do fds[i] = twin.client.fd end
      sys.poll_many(fds, 0.002)
      if sys.now() - quiet > 20 then twins[1]:fail("nothing has come for a minute") end
    end
  end
end

-- Whatever the clients did, they are gone with what they sent, and no link to a host is left
-- blocked or inside a transaction.
local function expect_clean(world)
  local client = world.nydus:client()
  support.wait_until(function()
    local info = client:call("INFO", "clients")
    return type(info) == "string" and info:find("connected_clients:1\r\n", 1, true)
  end, 20, "the clients to be gone")
  client:close()
  for _, host in ipairs(world.hosts) do
    local dirty
    local function clean()
      dirty = nil
      for line in host:call("CLIENT", "LIST"):gmatch("[^\n]+") do
        if line:find(" flags=%l*[bx]") or not line:find(" multi=-1", 1, true) then dirty = line end
      end
      return not dirty
    end
    if not pcall(support.wait_until, clean, 20) then error("a link is left behind: " .. dirty, 0) end
  end
end

-- Rounds of clients for as long as asked.
local function play(options)
  local seed = FIRST_SEED or math.floor(sys.now() * 1000) % 1000000007
  local world = { random = Random.new(seed), rounds = 0, excuse = function() return false end, trouble = function() end }
  world.model = support.redis()
  world.hosts = { support.redis(), support.redis(), support.redis() }
  local hosts = {}
  for i, host in ipairs(world.hosts) do hosts[i] = host:address({ identifier = ("host%d"):format(i) }) end
  world.config = {
    workers = 2, hosts = hosts, router = { "ketama", hash_tag = "{}", eject = false },
    defaults = { timeout = 60, connect_timeout = 20, connections = world.random:pick({ 1, 1, 3 }) },
  }
  world.nydus = support.nydus({ config = world.config })
  for name, value in pairs(options) do world[name] = value end
  local finish = sys.now() + SECONDS
  local ok, why = pcall(function()
    repeat
      world.rounds = world.rounds + 1
      round(world)
      expect_clean(world)
      for _, redis in ipairs({ world.model, unpack(world.hosts) }) do redis:call("FLUSHALL") end
    until sys.now() > finish
  end)
  if not ok then error(("NYDUS_SEED=%d, round %d: %s"):format(seed, world.rounds, why), 0) end
end

describe("random commands", function()
  it("are answered as by one redis-server", function()
    play({ calm = true })
  end)

  it("are answered as by one redis-server, while it reloads", function()
    local next_at = 0
    play({
      calm = true,
      trouble = function(world)
        if sys.now() < next_at then return end
        next_at = sys.now() + world.random:below(100) / 500
        world.nydus:hup()
      end,
    })
  end)

  -- What is in flight may be answered with an error then, and nothing else changes.
  it("are answered as by one redis-server, or with an error, when a host ends its connections", function()
    local killed, next_at = 0, 0
    play({
      excuse = function(_, since, reply)
        return killed > since - 5 and (reply:find("^%-ERR host host%d is down: ")
          or reply:find("^%-ERR host host%d was lost since WATCH: ")
          or reply:find("^%-ERR there is no host")
          or reply:find("^%-.* %('%l+' was done [fo][on]r? %d+ of %d+ %l+%)\r\n$")) ~= nil
      end,
      trouble = function(world)
        if sys.now() < next_at then return end
        next_at = sys.now() + world.random:below(100) / 200
        killed = sys.now()
        world.random:pick(world.hosts):call("CLIENT", "KILL", "TYPE", "normal")
      end,
    })
  end)
end)
