-- SPDX-License-Identifier: Apache-2.0
-- Replicas for reads, but not for what was just written: for some seconds after a client has written, it reads from
-- the primaries, so that it sees its own writes.
--
-- When to use it: as routers/read_write.lua, where a client that reads back what it has written must find it. Other
-- clients may still see it some milliseconds later.
--
--   router = { "routers/read_your_writes.lua",
--     replicas = { [0] = { 1, 2 }, [3] = { 4 } },   -- a primary (its key in `hosts`, or identifier), who has its data
--     window = 2,                 -- seconds after a write; more than the replicas may lag behind
--     prefer = "round_robin",     -- which replica: round_robin (the default), random, least_pending, first
--     router = "ketama",          -- how keys are spread, when there are several primaries
--     options = { hash = "md5" }, -- of that router, as in config.lua
--   }
--
-- A client is a connection: an application that takes another one from its pool may read before its write is there.
-- What is known of a connection is forgotten by a reload. Lua is asked once for each key.
--
-- On failure: a replica that is down is passed over; when none is left, or one says that it cannot serve now, the
-- primary gets the read. What concerns a primary that is down gets its error. Commands without a key (DBSIZE, SCAN)
-- ask the primaries; transactions and commands that block run there, too.
local cluster, options = ...
local nydus = require("nydus")

local KNOWN = { replicas = true, window = true, prefer = true, router = true, options = true }
for name in pairs(options) do
  if not KNOWN[name] then
    error(("read_your_writes: unknown option '%s'"):format(tostring(name)), 0)
  end
end

local is_replica, replicas_of = {}, {}
for name, list in pairs(options.replicas or {}) do
  local replicas = {}
  for i, replica in ipairs(type(list) == "table" and list or { list }) do
    replicas[i] = cluster:host(replica)
    is_replica[replicas[i]] = true
  end
  replicas_of[cluster:host(name)] = replicas
end
if not next(replicas_of) then
  error("read_your_writes: `replicas` names none", 0)
end
local window = options.window or 2
if type(window) ~= "number" or window <= 0 then
  error("read_your_writes: window: seconds above 0 are expected", 0)
end

local choose = nydus[options.prefer or "round_robin"]
local on = { "down", "timeout", "error" }
local primaries, ring = {}, {}
for name, value in pairs(options.options or {}) do
  ring[name] = value
end
for _, host in ipairs(cluster:list()) do
  if not is_replica[host] then
    primaries[#primaries + 1] = host
  elseif replicas_of[host] then
    error(("read_your_writes: %s is a primary and a replica"):format(host.identifier), 0)
  end
end

local spread = nydus[options.router or "ketama"]
local newest = spread(primaries, ring)
ring.to = {}
for primary, replicas in pairs(replicas_of) do
  local reads = nydus.failover{ choose(replicas, { eject = true }), primary, on = on }
  ring.to[primary] = nydus.command{ read = reads, default = primary }
end
local any = spread(primaries, ring)
local now = nydus.now

return function(req)
  local client = req.client
  if not client then
    return any
  end
  local slot = client:slot("read_your_writes")
  if req.write then
    slot.until_ = now() + window
  elseif not slot.until_ or slot.until_ < now() then
    return any
  end
  return newest
end
