-- The proxies that are compared: how each is configured and started.
--
--   peers.all(here)          → { { name=, kind=, version=, … }, … } in the table's order
--   peers.start(here, peer, setup)  → { port=, pid=, name=, peer= }: it runs, with setup.hosts
--       hosts, setup.workers workers, on a core of its own unless setup.free; raises with the reason
--   peers.kind: "nydus", "script", "twemproxy", "relay", "router", "baseline"
--
-- All do the least they can: one process or thread that serves, no statistics
-- written out, no health checks, one link to each host.

local ports = require("support.ports")
local lab = require("lab")

local M = {}

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

-- More hosts than there are: the same servers under several names, with links of their own.
local function host_list(here, count, form)
  local out = {}
  for i = 1, count do out[i] = form:format(here.hosts[(i - 1) % #here.hosts + 1].port, i) end
  return table.concat(out)
end

-- ---------------------------------------------------------------- Nydus

local SCRIPT = [[
local cluster = ...
local ring = require("nydus").ketama(cluster)
return function(req) return ring end
]]

local CONFIG = [[
return {
  workers = %d,
  log = { level = "warn" },
  listen = "127.0.0.1:%d",
  router = %s,
  max_clients = 20000,
  defaults = { timeout = 60 }, -- a starved machine is slow, not broken
  hosts = { %s },
}
]]

-- tree: a checkout with build/nydus and lua/ in it.
local function nydus(kind, name, tree, router)
  return {
    kind = kind,
    name = name,
    program = tree .. "/build/nydus",
    version = { tree .. "/build/nydus", "--version" },
    env = { NYDUS_LUA_PATH = tree .. "/lua" },
    command = function(here, setup, port)
      local folder = ("%s/nydus-%d"):format(here.dir, port)
      os.execute(("mkdir -p '%s'"):format(folder))
      write(folder .. "/router.lua", SCRIPT)
      local hosts = host_list(here, setup.hosts, '{ port = %d, identifier = "%d" }, ')
      local config = CONFIG:format(setup.workers, port, router, hosts)
      return { tree .. "/build/nydus", write(folder .. "/config.lua", config) }
    end,
  }
end

-- ------------------------------------------------------------ the others

local TWEMPROXY = [[
main:
  listen: 127.0.0.1:%d
  redis: true
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: false
  servers:
%s]]

local twemproxy = {
  kind = "twemproxy",
  name = "twemproxy",
  program = "nutcracker",
  version = { "nutcracker", "--version" },
  command = function(here, setup, port)
    local config = TWEMPROXY:format(port, host_list(here, setup.hosts, "   - 127.0.0.1:%d:1 host%d\n"))
    return { "nutcracker", "-c", write(("%s/nutcracker-%d.yml"):format(here.dir, port), config),
      "-a", "127.0.0.1", "-s", ports.free(), "-i", "3600000" }
  end,
}

local HAPROXY = [[
global
  nbthread 1
  maxconn 6000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen relay
  bind 127.0.0.1:%d
  server redis 127.0.0.1:%d
]]

local haproxy = {
  kind = "relay",
  name = "HAProxy (relay)",
  program = "haproxy",
  version = { "haproxy", "-v" },
  command = function(here, _, port)
    local config = HAPROXY:format(port, here.hosts[1].port)
    return { "haproxy", "-db", "-f", write(("%s/haproxy-%d.cfg"):format(here.dir, port), config) }
  end,
}

-- Ready-made routers, with what makes them decide: keys are key:<12 digits>, read and written at random.
local READY = {
  { "canary", "to = 3, percent = 5" },
  { "deny_big", "items = false" },
  { "hot_keys", "prefixes = { 'hot:' }, keys = { 'key:000000000001' }" },
  { "numeric", "ranges = { { 3000, 1 }, { 6000, 2 }, { 3 } }, prefix = 'key:'" },
  { "prefix", "map = { ['key:'] = { 1, 2, 3 }, ['user:'] = 2 }" },
  { "read_write", "replicas = { [1] = 2 }" },
  { "read_your_writes", "replicas = { [1] = 2 }" },
  { "tenants", "tenants = { key = {} }" },
}

local function ready_made(here)
  local list = {}
  local root = lab.output({ "realpath", here.root })
  for i, router in ipairs((os.getenv("BENCH_ROUTERS") or "") ~= "" and READY or {}) do
    local call = ("{ '%s/routers/%s.lua', %s }"):format(root, unpack(router))
    list[i] = nydus("router", "routers/" .. router[1], here.root, call)
  end
  return list
end

function M.all(here)
  local list = {
    nydus("nydus", "Nydus, C router", here.root, '"ketama"'),
    nydus("script", "Nydus, script", here.root, '"router.lua"'),
    twemproxy,
    haproxy,
  }
  for _, peer in ipairs(ready_made(here)) do
    list[#list + 1] = peer
  end
  for tree in (os.getenv("BASELINE") or ""):gmatch("[^:]+") do
    list[#list + 1] = nydus("baseline", "in " .. tree:match("[^/]*$"), tree, '"ketama"')
  end
  return list
end

local function is_installed(program)
  if program:find("/", 1, true) then
    local file = io.open(program)
    if file then file:close() end
    return file ~= nil
  end
  return lab.output({ "sh", "-c", "command -v " .. program }) ~= ""
end

function M.start(here, peer, setup)
  if not is_installed(peer.program) then error("not installed", 0) end
  local port = ports.free()
  local argv = lab.pinned(not setup.free and here.cores.proxy or nil, peer.command(here, setup, port))
  local program = lab.start(here, ("%s-%d"):format(peer.name:gsub("%W+", "-"), port), argv, { env = peer.env })
  lab.wait_port(program, port)
  peer.version_line = peer.version_line or lab.output(peer.version)
  return { port = port, pid = program.pid, name = peer.name, peer = peer }
end

return M
