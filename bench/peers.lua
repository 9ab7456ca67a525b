-- The proxies that are compared: how each is configured and started.
--
--   peers.all(here)          → { { name=, version=, … }, … } in the table's order
--   peers.start(here, peer)  starts it: peer.port, peer.pid; raises with the reason
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

local function host_list(here, form)
  local out = {}
  for i, host in ipairs(here.hosts) do out[i] = form:format(host.port) end
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
  workers = 1,
  log = { level = "warn" },
  listen = "127.0.0.1:%d",
  router = %s,
  defaults = { timeout = 60 }, -- a starved machine is slow, not broken
  hosts = { %s },
}
]]

-- tree: a checkout with build/nydus and lua/ in it.
local function nydus(name, tree, router)
  return {
    name = name,
    program = tree .. "/build/nydus",
    version = { tree .. "/build/nydus", "--version" },
    env = { NYDUS_LUA_PATH = tree .. "/lua" },
    command = function(here, peer)
      local folder = here.dir .. "/" .. peer.name:gsub("%W", "-")
      os.execute(("mkdir -p '%s'"):format(folder))
      write(folder .. "/router.lua", SCRIPT)
      local config = CONFIG:format(peer.port, router, host_list(here, '"127.0.0.1:%d", '))
      return { peer.program, write(folder .. "/config.lua", config) }
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
  name = "twemproxy",
  program = "nutcracker",
  version = { "nutcracker", "--version" },
  command = function(here, peer)
    local config = TWEMPROXY:format(peer.port, host_list(here, "   - 127.0.0.1:%d:1\n"))
    return { "nutcracker", "-c", write(here.dir .. "/nutcracker.yml", config),
      "-a", "127.0.0.1", "-s", ports.free(), "-i", "3600000" }
  end,
}

local HAPROXY = [[
global
  nbthread 1
  maxconn 2000
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
  name = "HAProxy (relay)",
  program = "haproxy",
  version = { "haproxy", "-v" },
  command = function(here, peer)
    local config = HAPROXY:format(peer.port, here.hosts[1].port)
    return { "haproxy", "-db", "-f", write(here.dir .. "/haproxy.cfg", config) }
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
    list[i] = nydus("routers/" .. router[1], here.root, ("{ '%s/routers/%s.lua', %s }"):format(root, unpack(router)))
  end
  return list
end

function M.all(here)
  local list = {
    nydus("Nydus, C router", here.root, '"ketama"'),
    nydus("Nydus, script", here.root, '"router.lua"'),
    twemproxy,
    haproxy,
  }
  for _, peer in ipairs(ready_made(here)) do
    list[#list + 1] = peer
  end
  for tree in (os.getenv("BASELINE") or ""):gmatch("[^:]+") do
    list[#list + 1] = nydus("in " .. tree:match("[^/]*$"), tree, '"ketama"')
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

function M.start(here, peer)
  if not is_installed(peer.program) then error("not installed", 0) end
  peer.port = ports.free()
  local argv = lab.pinned(here.cores.proxy, peer.command(here, peer))
  local program = lab.start(here, peer.name:gsub("%W+", "-"), argv, { env = peer.env })
  lab.wait_port(program, peer.port)
  peer.pid = program.pid
  peer.version_line = lab.output(peer.version)
end

return M
