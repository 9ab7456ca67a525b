-- SPDX-License-Identifier: Apache-2.0
-- Every key prefix has its hosts: users here, sessions there.
--
-- When to use it: kinds of data that should not share a Redis, such as a cache
-- that may be evicted and accounts that may not, behind one address.
--
--   router = { "routers/prefix.lua",
--     map = {
--       ["user:"] = 0,               -- a host, by its key in `hosts` of config.lua,
--       ["session:"] = "sessions",   -- or by its identifier; or another cluster, by its name
--       ["cache:"] = { 1, 2, 3 },    -- or several hosts, over which the keys are hashed
--     },
--     default = 0,                   -- where other keys go; without it they get an error
--     router = "ketama",             -- how keys are spread over several hosts
--     options = { hash = "md5" },    -- of that router, as in config.lua
--   }
--
-- The longest prefix that fits decides. On failure: keys whose host is down
-- get an error, those of other prefixes do not notice; over several hosts it
-- is the router's affair. Commands without a key (DBSIZE, FLUSHALL) go to all
-- hosts of this cluster, not to those of other clusters.
local cluster, options = ...
local nydus = require("nydus")

local KNOWN = { map = true, default = true, router = true, options = true }
for name in pairs(options) do
  if not KNOWN[name] then
    error(("prefix: unknown option '%s'"):format(tostring(name)), 0)
  end
end
if type(options.map) ~= "table" or next(options.map) == nil then
  error("prefix: the option map = { [\"user:\"] = 0, … } is missing", 0)
end

local spread = nydus[options.router or "ketama"]

-- A host of this cluster by its key or identifier.
local function host_of(name)
  if type(name) == "number" then
    return cluster.hosts[name]
  end
  return cluster:host(name)
end

local function is_identifier(name)
  for _, host in pairs(cluster.hosts) do
    if host.identifier == name then
      return true
    end
  end
  return false
end

local function target_of(value)
  if type(value) == "number" or is_identifier(value) then
    return host_of(value)
  elseif type(value) == "string" then
    return nydus.cluster(value)
  elseif type(value) ~= "table" then
    error(("prefix: a host, a list of hosts or a cluster is expected, got a %s"):format(type(value)), 0)
  end
  local hosts = {}
  for i, name in ipairs(value) do
    hosts[i] = host_of(name)
  end
  return spread(hosts, options.options)
end

local everywhere = spread(cluster, options.options)
local rest = options.default ~= nil and target_of(options.default) or nil

local tree = {}
for prefix, value in pairs(options.map) do
  if prefix == "default" then
    error("prefix: default stands beside map, not in it", 0)
  end
  tree[prefix] = target_of(value)
end

-- The prefixes are found in C; only what fits none comes here.
function tree.default(req)
  if req.nkeys == 0 then
    return everywhere
  end
  return rest
end

return nydus.prefix(tree)
