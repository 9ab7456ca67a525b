-- SPDX-License-Identifier: Apache-2.0
-- Copies: what the cluster is asked is also sent to others, whose replies nobody sees.
--
-- When to use it: a new version, size or machine shall see the real load before anyone depends on it; or a second
-- cluster shall be warm when it is switched to.
--
--   router = { "routers/shadow.lua",
--     to = "next",                -- who gets copies: a cluster by its name, or hosts of this one (key, identifier or a
--                                 -- list of these), which then serve nothing else
--     only = "write",             -- what is copied: "read", "write"; not given: both
--     sample = 0.1,               -- this share of it (default 1: all)
--     pending = 1000,             -- where more copies than these are on their way, they are dropped and counted
--     router = "ketama",          -- how keys are spread over the hosts of this cluster
--     options = { hash = "md5" }, -- of that router, as in config.lua
--   }
--
-- All of it runs in C.
--
-- On failure: of those who get copies nothing is felt but missing copies (INFO stats counts them). For the others
-- their router decides. Transactions, commands that block and subscriptions are not copied; copies of writes that are
-- sampled, dropped or late leave the two different.
local cluster, options = ...
local nydus = require("nydus")

local KNOWN = { to = true, only = true, sample = true, pending = true, router = true, options = true }
for name in pairs(options) do
  if not KNOWN[name] then
    error(("shadow: unknown option '%s'"):format(tostring(name)), 0)
  end
end

local identifiers = {}
for _, host in ipairs(cluster:list()) do
  identifiers[host.identifier] = true
end

-- A host by its key or identifier, a list of these, or another cluster by its name; those of this cluster are noted.
local spread = nydus[options.router or "ketama"]
local taken = {}
local function target_of(to)
  local hosts = {}
  for i, name in ipairs(type(to) == "table" and to or { to }) do
    if type(name) == "string" and type(to) ~= "table" and not identifiers[name] then
      return nydus.cluster(name)
    end
    hosts[i] = cluster:host(name)
    taken[hosts[i]] = true
  end
  return #hosts == 1 and hosts[1] or spread(hosts, options.options)
end

if options.to == nil then
  error("shadow: the option `to` is missing: who gets the copies?", 0)
elseif options.only ~= nil and options.only ~= "read" and options.only ~= "write" then
  error("shadow: only: \"read\" or \"write\" is expected", 0)
end
local copy = target_of(options.to)

local rest = {}
for _, host in ipairs(cluster:list()) do
  if not taken[host] then
    rest[#rest + 1] = host
  end
end
if #rest == 0 then
  error("shadow: no host is left to serve", 0)
end

local main = spread(rest, options.options)
local both = nydus.shadow{ main, copy, sample = options.sample, pending = options.pending }
return options.only and nydus.command{ [options.only] = both, default = main } or both
