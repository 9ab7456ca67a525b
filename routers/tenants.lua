-- SPDX-License-Identifier: Apache-2.0
-- Tenants: each has hosts of its own, or a share of them, and a quota.
--
-- When to use it: several teams or customers use one address; each must get its data, and no more than its share.
--
--   router = { "routers/tenants.lua",
--     by = "prefix",              -- "prefix": keys begin with the tenant's name and ":" (the default);
--                                 -- "user": who has logged in (`users` in config.lua)
--     tenants = {
--       acme = { to = { 0, 1 }, rate = 1000, burst = 2000 },  -- hosts (keys or identifiers), commands a second
--       bell = { to = "bell" },                               -- or another cluster, by its name
--       corp = {},                                            -- not given: all hosts of the cluster; no limit
--     },
--     separator = ":",            -- what stands behind the name, by = "prefix"
--     own_keys = true,            -- by = "user": keys get the tenant's name and ":" in front at the hosts, so that two
--                                 -- may have the same key on one host (the default: those of `to` are enough)
--     router = "ketama",          -- how keys are spread over several hosts
--     options = { hash = "md5" }, -- of that router, as in config.lua
--   }
--
-- By prefix all of it runs in C; by user Lua is asked once for each key.
--
-- On failure: who is no tenant gets an error and reaches no host, as does what is above the rate of one. A host that
-- is away fails its tenants alone. By prefix, commands without a key (DBSIZE, FLUSHALL, SCAN) are refused, as they
-- would be about all tenants; by user they are about the tenant's hosts, with own_keys FLUSHALL is refused, too.
local cluster, options = ...
local nydus = require("nydus")

local KNOWN = { by = true, tenants = true, separator = true, own_keys = true, router = true, options = true }
for name in pairs(options) do
  if not KNOWN[name] then
    error(("tenants: unknown option '%s'"):format(tostring(name)), 0)
  end
end

local by = options.by or "prefix"
if by ~= "prefix" and by ~= "user" then
  error("tenants: by: \"prefix\" or \"user\" is expected", 0)
elseif type(options.tenants) ~= "table" or not next(options.tenants) then
  error("tenants: `tenants` names none", 0)
end

local spread = nydus[options.router or "ketama"]
local separator = options.separator or ":"

local identifiers = {}
for _, host in ipairs(cluster:list()) do
  identifiers[host.identifier] = true
end

local function hosts_of(to)
  if type(to) == "string" and not identifiers[to] then
    return nydus.cluster(to)
  end
  local hosts = {}
  for i, name in ipairs(type(to) == "table" and to or { to }) do
    hosts[i] = cluster:host(name)
  end
  return #hosts == 0 and spread(cluster, options.options) or spread(hosts, options.options)
end

local function target_of(name, tenant)
  for key in pairs(tenant) do
    if key ~= "to" and key ~= "rate" and key ~= "burst" then
      error(("tenants: %s: unknown option '%s'"):format(name, tostring(key)), 0)
    end
  end
  local target = hosts_of(tenant.to)
  if by == "user" and options.own_keys then
    target = nydus.rewrite{ add = name .. separator, next = target }
  end
  local limit = { rate = tenant.rate, burst = tenant.burst, name = "tenant " .. name, next = target }
  return tenant.rate and nydus.limit(limit) or target
end

local targets, prefixes = {}, {}
for name, tenant in pairs(options.tenants) do
  targets[name] = target_of(name, tenant)
  prefixes[name .. separator] = targets[name]
end

if by == "prefix" then
  prefixes.default = nydus.error("ERR tenants: the key begins with no tenant's name, or there is none")
  return nydus.prefix(prefixes)
end

local unknown = nydus.error("ERR tenants: this user is no tenant")
return function(req)
  local client = req.client
  return client and targets[client.user] or unknown
end
