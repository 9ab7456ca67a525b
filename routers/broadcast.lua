-- SPDX-License-Identifier: Apache-2.0
-- The same data on every host: writes go to all of them, a read to one.
--
-- When to use it: little data that is read far more often than one host can serve, or that has to be there when
-- hosts fail, and no replication of Redis's own.
--
--   router = { "routers/broadcast.lua",
--     hosts = { 0, 1, 2 },        -- keys in `hosts`, or identifiers; not given: all of the cluster
--     reply = "all_succeeded",    -- of writes: "all_succeeded" (the default), "quorum" (what most hosts say, as soon
--                                 -- as they do), "one_succeeded", or another of nydus.all
--     reads = "least_pending",    -- who is asked: least_pending (the default), round_robin, random, first, ketama …;
--                                 -- or "quorum": all of them, and the reply of most counts
--   }
--
-- All of it runs in C. Two clients that write the same key at once may leave hosts different: nothing orders their
-- writes, and nothing repairs a host that has missed one; copy the data before such a host comes back.
--
-- On failure: reads pass over hosts that are down. A write of which `reply` does not hold gets an error that says on
-- how many hosts it was done: with "all_succeeded" one host that is away is enough, with "quorum" more than half have
-- to agree. Transactions and commands that block are refused, as no host has them alone. DBSIZE KEYS RANDOMKEY and SCAN
-- ask the first host that is up.
local cluster, options = ...
local nydus = require("nydus")

local KNOWN = { hosts = true, reply = true, reads = true }
for name in pairs(options) do
  if not KNOWN[name] then
    error(("broadcast: unknown option '%s'"):format(tostring(name)), 0)
  end
end

local hosts = cluster:list()
if options.hosts then
  hosts = {}
  for i, name in ipairs(options.hosts) do
    hosts[i] = cluster:host(name)
  end
end
if #hosts < 2 then
  error("broadcast: two or more hosts are expected", 0)
end

local reads = options.reads or "least_pending"
local on = { "down", "error" }
local in_order = { on = on }
for i, host in ipairs(hosts) do
  in_order[i] = host
end
local first = nydus.failover(in_order)
local one = reads == "quorum" and nydus.all(hosts, { reply = "quorum" })
  or nydus.failover{ nydus[reads](hosts, { eject = true }), first, on = on }
local every = nydus.all(hosts, { reply = options.reply or "all_succeeded" })

-- What has no key would be asked of all hosts of a router, as if each had a part of the keys.
return nydus.command{ read = one, default = every, DBSIZE = first, KEYS = first, RANDOMKEY = first, SCAN = first }
