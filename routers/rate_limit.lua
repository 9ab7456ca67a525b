-- SPDX-License-Identifier: Apache-2.0
-- So much and no more: clients, users, addresses or keys may ask so many commands a second.
--
-- When to use it: one client, customer or key must not take what all others need.
--
--   router = { "routers/rate_limit.lua",
--     rate = 1000,                -- commands a second
--     burst = 2000,               -- so many at once after a pause (default: as rate)
--     key = "user",               -- for each "client" (connection), "user", "addr", "key", "tag" (of keys), "command";
--                                 -- not given: for all of them together
--     only = { "KEYS", "write" }, -- these commands, or "read" or "write"; not given: all
--     over = "spare",             -- a cluster for what is above the rate; not given: an error
--     name = "api",               -- limits of one name share their tokens, over clusters as well
--     router = "ketama",          -- how keys are spread over the hosts
--     options = { hash = "md5" }, -- of that router, as in config.lua
--   }
--
-- It is counted for all workers together, and over reloads. A MGET is one command, and so is each that MULTI queues.
-- All of it runs in C.
--
-- On failure: what is above the rate never reaches a host; its error says when to come again. For the rest the router
-- decides.
local cluster, options = ...
local nydus = require("nydus")

local KNOWN = { rate = true, burst = true, key = true, only = true, over = true, name = true, router = true,
  options = true }
for name in pairs(options) do
  if not KNOWN[name] then
    error(("rate_limit: unknown option '%s'"):format(tostring(name)), 0)
  end
end

if type(options.rate) ~= "number" then
  error("rate_limit: rate: a number of commands a second is expected", 0)
end
local ring = nydus[options.router or "ketama"](cluster, options.options)
local limited = nydus.limit{
  rate = options.rate,
  burst = options.burst,
  key = options.key,
  name = options.name,
  over = options.over and nydus.cluster(options.over),
  next = ring,
}
if not options.only then
  return limited
end

local commands = { default = ring }
for _, name in ipairs(options.only) do
  commands[name] = limited
end
return nydus.command(commands)
