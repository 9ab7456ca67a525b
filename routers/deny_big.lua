-- SPDX-License-Identifier: Apache-2.0
-- Nothing big: commands, values and replies that would hold up a host for everybody are refused.
--
-- When to use it: many teams share a Redis, and one KEYS * or HGETALL of a million fields stops all of them.
--
--   router = { "routers/deny_big.lua",
--     deny = { "KEYS", "FLUSHALL", "FLUSHDB" },   -- refused whatever they ask (the default)
--     size = 1024 * 1024,         -- the most bytes of a command that writes, as sent (the default)
--     items = 10000,              -- the most fields, members or elements that a reply may have (the default);
--                                 -- false: nobody looks
--     router = "ketama",          -- how keys are spread over the hosts
--     options = { hash = "md5" }, -- of that router, as in config.lua
--   }
--
-- HGETALL HKEYS HVALS SMEMBERS LRANGE and ZRANGE wait until the host has said how many items their key has (HLEN …),
-- which is one round trip more, but not for an LRANGE or ZRANGE that names few places from the left. Everything else
-- is decided at once: in C, what writes in Lua.
--
-- On failure: what is refused never reaches a host, and the error says why. When a host cannot say how many items there
-- are, its error is the reply. In transactions, which cannot wait, those six are refused.
local cluster, options = ...
local nydus = require("nydus")

local KNOWN = { deny = true, size = true, items = true, router = true, options = true }
for name in pairs(options) do
  if not KNOWN[name] then
    error(("deny_big: unknown option '%s'"):format(tostring(name)), 0)
  end
end

local size, items = options.size or 1024 * 1024, options.items
items = items == nil and 10000 or items
if type(size) ~= "number" or items and type(items) ~= "number" then
  error("deny_big: size and items: numbers are expected", 0)
end

local ring = nydus[options.router or "ketama"](cluster, options.options)
local denied = nydus.error("ERR deny_big: this command is refused here, as it may take long")
local too_large = nydus.error(("ERR deny_big: the command has more than %d bytes"):format(size))
local too_many = items and nydus.error(("ERR deny_big: the reply has more than %d items; use SCAN commands")
  :format(items))

local LENGTH = { hgetall = "HLEN", hkeys = "HLEN", hvals = "HLEN", smembers = "SCARD", lrange = "LLEN",
  zrange = "ZCARD" }

-- LRANGE k 0 99: no more than these, whatever the key has.
local function names_few(req)
  local first, last = tonumber(req:arg(2)), tonumber(req:arg(3))
  return req.argc == 4 and first and last and first >= 0 and last >= 0 and last - first < items
end

local function ask(req)
  local length = LENGTH[req.command]
  if req.argc > 2 and names_few(req) then
    return ring
  end
  local count = nydus.call(ring, length, req:key())
  if count.is_error then
    return count
  elseif count:int() > items then
    return too_many
  end
  return ring
end

local commands = { default = ring }
function commands.write(req)
  if req.size > size then
    return too_large
  end
  return ring
end
if items then
  local flow = nydus.flow(ask)
  for name in pairs(LENGTH) do
    commands[name] = flow
  end
end
for _, name in ipairs(options.deny or { "KEYS", "FLUSHALL", "FLUSHDB" }) do
  commands[name] = denied
end
return nydus.command(commands)
