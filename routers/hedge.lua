-- SPDX-License-Identifier: Apache-2.0
-- Second chances: a read that its host does not answer at once is asked of a replica, too; the first reply counts.
--
-- When to use it: most reads are quick, and those few that are not (a fork, a slow command before them, a lost packet)
-- decide how the service feels. `after` at what 95 to 99 % of the reads take costs 1 to 5 % more commands.
--
--   router = { "routers/hedge.lua",
--     replicas = { [0] = 2, [1] = { 3, 4 } },  -- a primary (its key in `hosts`, or identifier), who else has its data
--     after = 0.01,               -- seconds to wait for a reply before the next one is asked, too
--     router = "ketama",          -- how keys are spread over the primaries
--     options = { hash = "md5" }, -- of that router, as in config.lua
--   }
--
-- A reply of a replica may be some milliseconds old. Hosts that are named nowhere in `replicas` are asked alone. All
-- of it runs in C.
--
-- On failure: a read whose primary is away, or says that it cannot serve now (LOADING), goes to the replicas. Writes
-- of a primary that is away get its error. Commands without a key (DBSIZE, SCAN) ask the primaries; transactions and
-- commands that block run there, too.
local cluster, options = ...
local nydus = require("nydus")

local KNOWN = { replicas = true, after = true, router = true, options = true }
for name in pairs(options) do
  if not KNOWN[name] then
    error(("hedge: unknown option '%s'"):format(tostring(name)), 0)
  end
end

local is_replica, chains = {}, {}
for name, list in pairs(options.replicas or {}) do
  local chain = { cluster:host(name) }
  for _, replica in ipairs(type(list) == "table" and list or { list }) do
    chain[#chain + 1] = cluster:host(replica)
    is_replica[chain[#chain]] = true
  end
  chains[chain[1]] = chain
end
if not next(chains) then
  error("hedge: `replicas` names none", 0)
end

-- What stands for a primary: for reads, those that have its data, one after the other.
local function shard(primary)
  local chain = chains[primary]
  chain.after = options.after or 0.01
  return nydus.command{ read = nydus.hedge(chain), default = primary }
end

local primaries, ring = {}, { to = {} }
for _, host in ipairs(cluster:list()) do
  if not is_replica[host] then
    primaries[#primaries + 1] = host
    ring.to[host] = chains[host] and shard(host)
  elseif chains[host] then
    error(("hedge: %s is a primary and a replica"):format(host.identifier), 0)
  end
end

for name, value in pairs(options.options or {}) do
  ring[name] = value
end
return nydus[options.router or "ketama"](primaries, ring)
