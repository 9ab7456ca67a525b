-- SPDX-License-Identifier: Apache-2.0
-- Stand-bys: when a host fails, its commands go to the one that stands by for it.
--
-- When to use it: shards have a twin or a replica, and answers from there are better than errors.
--
--   router = { "routers/failover.lua",
--     standby = { [0] = 3, [1] = { 4, 5 } },   -- a host (key in `hosts`, or identifier), and who stands by
--     on = { "down" },            -- when: "down" (the default), "timeout", "error" (LOADING, READONLY, OOM …)
--     timeout = 0.2,              -- with "timeout": seconds without a reply, for commands that only read
--     only_reads = false,         -- true: writes do not move, as stand-bys that are replicas would refuse them
--     router = "ketama",          -- how keys are spread over the hosts that do not stand by
--     options = { hash = "md5" }, -- of that router, as in config.lua
--   }
--
-- Hosts that are named nowhere in `standby` have none. All of it runs in C.
--
-- On failure: while a host is away, its stand-by serves; once it is back it serves again, without what was written
-- meanwhile (copy that yourself, or set only_reads). What a host may have run already is not sent again, unless it
-- only reads. When all of a shard are away the client gets an error; other shards do not notice. Commands without a
-- key (DBSIZE, SCAN) ask the hosts that do not stand by, and transactions and commands that block run there, too.
local cluster, options = ...
local nydus = require("nydus")

local KNOWN = { standby = true, on = true, timeout = true, only_reads = true, router = true, options = true }
for name in pairs(options) do
  if not KNOWN[name] then
    error(("failover: unknown option '%s'"):format(tostring(name)), 0)
  end
end

local stands_by, standbys_of = {}, {}
for name, list in pairs(options.standby or {}) do
  local chain = { cluster:host(name), on = options.on, timeout = options.timeout }
  for _, standby in ipairs(type(list) == "table" and list or { list }) do
    chain[#chain + 1] = cluster:host(standby)
    stands_by[chain[#chain]] = true
  end
  standbys_of[chain[1]] = chain
end
if not next(standbys_of) then
  error("failover: `standby` names none", 0)
end

-- What stands for a host: itself, then its stand-bys.
local function shard(host)
  local either = nydus.failover(standbys_of[host])
  return options.only_reads and nydus.command{ read = either, default = host } or either
end

local serving, ring = {}, { to = {} }
for _, host in ipairs(cluster:list()) do
  if not stands_by[host] then
    serving[#serving + 1] = host
    ring.to[host] = standbys_of[host] and shard(host)
  elseif standbys_of[host] then
    error(("failover: %s stands by and has a stand-by"):format(host.identifier), 0)
  end
end

for name, value in pairs(options.options or {}) do
  ring[name] = value
end
return nydus[options.router or "ketama"](serving, ring)
