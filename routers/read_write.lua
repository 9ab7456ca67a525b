-- SPDX-License-Identifier: Apache-2.0
-- Replicas for reads: commands that only read go to replicas, all others to the primary.
--
-- When to use it: reads are more than a primary can serve, and it does not matter that a read may be some
-- milliseconds old. Where a client has to see its own writes at once, take routers/read_your_writes.lua.
--
--   router = { "routers/read_write.lua",
--     replicas = { [0] = { 1, 2 }, [3] = { 4 } },   -- a primary (its key in `hosts`, or identifier), who has its data
--     prefer = "round_robin",                       -- which replica: round_robin (the default), random, first
--     router = "ketama",                            -- how keys are spread, when there are several primaries
--     options = { hash = "md5" },                   -- of that router, as in config.lua
--   }
--
-- Hosts that are named nowhere in `replicas` are primaries without replicas. All of it runs in C.
--
-- On failure: a replica that is down is passed over; when none is left, or one says that it cannot serve now
-- (LOADING, MASTERDOWN), the primary gets the read. Writes of a primary that is down get its error. Commands
-- without a key (DBSIZE, SCAN) ask the primaries; transactions and commands that block run there, too.
local cluster, options = ...
local nydus = require("nydus")

local KNOWN = { replicas = true, prefer = true, router = true, options = true }
for name in pairs(options) do
  if not KNOWN[name] then
    error(("read_write: unknown option '%s'"):format(tostring(name)), 0)
  end
end

local is_replica, with_replicas = {}, {}
for name, list in pairs(options.replicas or {}) do
  local primary, replicas = cluster:host(name), {}
  for i, replica in ipairs(type(list) == "table" and list or { list }) do
    replicas[i] = cluster:host(replica)
    is_replica[replicas[i]] = true
  end
  with_replicas[primary] = replicas
end
if not next(with_replicas) then
  error("read_write: `replicas` names none", 0)
end

local choose = nydus[options.prefer or "round_robin"]

-- What stands for a primary: its replicas for what only reads, itself for the rest.
local function shard(primary, replicas)
  local reads = nydus.failover{ choose(replicas, { eject = true }), primary, on = { "down", "timeout", "error" } }
  return nydus.command{ read = reads, default = primary }
end

local primaries, shards = {}, {}
for _, host in ipairs(cluster:list()) do
  if not is_replica[host] then
    primaries[#primaries + 1] = host
    shards[host] = with_replicas[host] and shard(host, with_replicas[host])
  elseif with_replicas[host] then
    error(("read_write: %s is a primary and a replica"):format(host.identifier), 0)
  end
end

-- A command without a key goes past `to`: to the primaries.
local ring = {}
for name, value in pairs(options.options or {}) do
  ring[name] = value
end
ring.to = shards
return nydus[options.router or "ketama"](primaries, ring)
