-- SPDX-License-Identifier: Apache-2.0
-- A few first: some percent of the commands, keys or clients go to what is new, the rest to what is known.
--
-- When to use it: a new version, machine or cluster shall serve little before it serves all.
--
--   router = { "routers/canary.lua",
--     to = "next",                -- what is new: a cluster by its name, or hosts of this one (key, identifier or a
--                                 -- list of these), which then serve nothing else
--     percent = 5,                -- of the commands, keys or clients; 0 to 100
--     by = "key",                 -- "key" (the default): always the same keys; "client": all that a connection asks;
--                                 -- "random": for each command
--     only = "read",              -- "read": writes stay (what is new is a replica); not given: all go
--     router = "ketama",          -- how keys are spread over the hosts of this cluster
--     options = { hash = "md5" }, -- of that router, as in config.lua
--   }
--
-- By key, keys that went stay there when `percent` grows, and go by their hash tag, if they have one. "random" and
-- "client" are for caches, and for data that both sides have. All of it runs in C.
--
-- On failure: what is new and away gives errors to its share, and to no other; set percent = 0 and reload. For the
-- rest its router decides. Commands without a key (DBSIZE) go to either side, as `percent` says.
local cluster, options = ...
local nydus = require("nydus")

local KNOWN = { to = true, percent = true, by = true, only = true, router = true, options = true }
for name in pairs(options) do
  if not KNOWN[name] then
    error(("canary: unknown option '%s'"):format(tostring(name)), 0)
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

local percent = options.percent
if options.to == nil then
  error("canary: the option `to` is missing: what is new?", 0)
elseif type(percent) ~= "number" or not (percent >= 0 and percent <= 100) then
  error("canary: percent: a number from 0 to 100 is expected", 0)
elseif options.only ~= nil and options.only ~= "read" then
  error("canary: only: \"read\" is expected", 0)
end
local new = target_of(options.to)

local rest = {}
for _, host in ipairs(cluster:list()) do
  if not taken[host] then
    rest[#rest + 1] = host
  end
end
if #rest == 0 then
  error("canary: no host is left for the rest", 0)
end

local known = spread(rest, options.options)
local some = nydus.split{ { known, 100 - percent }, { new, percent }, by = options.by or "key" }
return options.only and nydus.command{ read = some, default = known } or some
