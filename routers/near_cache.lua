-- SPDX-License-Identifier: Apache-2.0
-- A near cache: replies to reads are kept in Nydus itself, until somebody writes their key.
--
-- When to use it: a few keys are read far more often than they are written (settings, sessions, front pages), and
-- reads may be as old as the hosts' messages about writes take to arrive, mostly less than a millisecond.
--
--   router = { "routers/near_cache.lua",
--     prefix = { "settings:", "page:" },   -- which keys; without it, all of them
--     ttl = 60,                            -- seconds that a reply is kept at most (the default)
--     size = 64 * 1024 * 1024,             -- bytes in each worker (the default)
--     router = "ketama",                   -- how keys are spread over the hosts
--     options = { hash = "md5" },          -- of that router, as in config.lua
--   }
--
-- A host sends the name of every key with these prefixes that is written (CLIENT TRACKING, Redis 6), to each worker:
-- name the prefixes where there are many writes to other keys. All of it runs in C.
--
-- On failure: nothing is kept of a host that cannot tell what changes, and all that was kept of it is dropped when
-- the link to it is lost; reads go to the hosts then. INFO stats counts hits and misses.
local cluster, options = ...
local nydus = require("nydus")

local KNOWN = { prefix = true, ttl = true, size = true, router = true, options = true }
for name in pairs(options) do
  if not KNOWN[name] then
    error(("near_cache: unknown option '%s'"):format(tostring(name)), 0)
  end
end

return nydus.cache{
  next = nydus[options.router or "ketama"](cluster, options.options),
  prefix = options.prefix,
  ttl = options.ttl,
  size = options.size,
}
