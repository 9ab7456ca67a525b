-- SPDX-License-Identifier: Apache-2.0
-- Hot keys have hosts of their own, the rest is hashed over the others.
--
-- When to use it: a few keys, known by name or prefix, take so many commands
-- that they slow down every other key of their host.
--
--   router = { "routers/hot_keys.lua",
--     prefixes = { "hot:" },        -- keys that begin with one of these are hot (the default)
--     keys = { "front-page" },      -- and these keys
--     hosts = { 0 },                -- who serves them: keys of `hosts` in config.lua, or identifiers; the first
--                                   -- host if not given; several share the hot keys among them
--     router = "ketama",            -- how the other keys are spread over the other hosts
--     options = { hash = "md5" },   -- of that router, as in config.lua
--   }
--
-- On failure: a hot key whose host is down gets an error; it does not move to
-- the other hosts, which it would slow down as well. The other keys behave as
-- under their router. Commands without a key (DBSIZE, FLUSHALL) go to all hosts.
local cluster, options = ...
local nydus = require("nydus")

local KNOWN = { prefixes = true, keys = true, hosts = true, router = true, options = true }
for name in pairs(options) do
  if not KNOWN[name] then
    error(("hot_keys: unknown option '%s'"):format(tostring(name)), 0)
  end
end

-- The hosts in two lists, hot ones as they were named, the others in order.
local function divide()
  local hot, cold, is_hot = {}, {}, {}
  local all = cluster:list()
  for i, name in ipairs(options.hosts or { all[1].key }) do
    hot[i] = cluster:host(name)
    is_hot[hot[i]] = true
  end
  for _, host in ipairs(all) do
    if not is_hot[host] then
      cold[#cold + 1] = host
    end
  end
  return hot, cold
end

local hot_hosts, cold_hosts = divide()
if #hot_hosts == 0 or #cold_hosts == 0 then
  error("hot_keys: there have to be hot hosts and others", 0)
end

local spread = nydus[options.router or "ketama"]
local hot = #hot_hosts == 1 and hot_hosts[1] or nydus.ketama(hot_hosts, { eject = false })
local cold = spread(cold_hosts, options.options)
local everywhere = spread(cluster, options.options)

-- What is not hot comes here; the hot prefixes are found in C.
local function other(req)
  if req.nkeys == 0 then
    return everywhere
  end
  return cold
end

local is_hot_key = {}
local function maybe(req)
  if is_hot_key[req:key()] then
    return hot
  end
  return cold
end

local tree = { default = other }
for _, key in ipairs(options.keys or {}) do
  is_hot_key[key] = true
  tree[key] = maybe -- the key, and those that only begin like it
end
for _, prefix in ipairs(options.prefixes or (options.keys and {} or { "hot:" })) do
  tree[prefix] = hot
  for key in pairs(is_hot_key) do
    if key:sub(1, #prefix) == prefix then
      tree[key] = hot
    end
  end
end

return nydus.prefix(tree)
