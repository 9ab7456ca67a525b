-- SPDX-License-Identifier: Apache-2.0
-- Ranges of numbers: keys with a number in them (user:1234:name) live where the range of that number is.
--
-- When to use it: data was given out by ranges of ids, or is to grow by adding hosts for new ids, without ever
-- moving an old one.
--
--   router = { "routers/numeric.lua",
--     ranges = { { 999999, 0 }, { 1999999, 1 }, { 2 } },   -- up to this number (inclusive): this host, by its key or
--                                                          -- identifier; the last without a number: all above
--     prefix = "user:",      -- the number is what stands behind this (default: the first number in the key)
--     default = 0,           -- keys without a number; not given: an error
--   }
--
-- On failure: a host that is down gives its error; nothing moves. A number above the last range, or a key without one,
-- gets "ERR no route". Commands without a key (DBSIZE, FLUSHALL) go to all hosts of the ranges.
local cluster, options = ...
local nydus = require("nydus")

local KNOWN = { ranges = true, prefix = true, default = true }
for name in pairs(options) do
  if not KNOWN[name] then
    error(("numeric: unknown option '%s'"):format(tostring(name)), 0)
  end
end

local ends, targets, all = {}, {}, {}
for i, range in ipairs(options.ranges or {}) do
  ends[i] = range[2] ~= nil and range[1] or math.huge
  targets[i] = cluster:host(range[2] ~= nil and range[2] or range[1])
  all[i] = targets[i]
  if type(ends[i]) ~= "number" or (i > 1 and ends[i] <= ends[i - 1]) then
    error(("numeric: range %d: its number is not above that of the one before"):format(i), 0)
  end
end
if #ends == 0 then
  error("numeric: `ranges` names none", 0)
end
local default = options.default ~= nil and cluster:host(options.default) or nil
local everywhere = nydus.first(all) -- where keys do not decide: all of its hosts
local prefix = options.prefix
local skip = prefix and #prefix or 0
local count = #ends

return function(req)
  if req.nkeys == 0 then
    return everywhere
  end
  local number = req:number(skip)
  if not number or (prefix and not req:prefix(prefix)) then
    return default
  end
  for i = 1, count do
    if number <= ends[i] then
      return targets[i]
    end
  end
end
