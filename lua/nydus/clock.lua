-- SPDX-License-Identifier: Apache-2.0
-- Time and chance for scripts.
--
--   clock.add(api)         adds to what require("nydus") gives:
--     nydus.now()            Unix time in seconds, with a fraction; read once for each call into
--                            Lua, so all decisions of one batch are made at one time
--     nydus.random()         as math.random: from 0 up to 1, random(m): 1 to m, random(m, n): m to n;
--                            another sequence in every worker. Given a cluster or hosts it is the
--                            router of that name.
local abi = require("nydus.abi")
local target = require("nydus.target")

local M = {}

local floor, WHOLE = math.floor, 2 ^ 53

local function misuse(i, value)
  error(("bad argument #%d to 'random' (a whole number is expected, got %s)")
    :format(i, type(value) == "number" and ("%.14g"):format(value) or target.kind(value)), 3)
end

local function is_whole(value)
  return type(value) == "number" and value >= -WHOLE and value <= WHOLE and floor(value) == value
end

function M.add(api)
  local read, draw, router = abi.state.now, abi.state.random, api.random
  function api.now()
    local now = read() -- no tail call: that would not compile
    return now
  end
  function api.random(m, n)
    local part = draw()
    if m == nil and n == nil then
      return part
    elseif type(m) == "table" or type(m) == "cdata" then
      return router(m, n)
    elseif not is_whole(m) then
      misuse(1, m)
    elseif n == nil then
      m, n = 1, m
    elseif not is_whole(n) then
      misuse(2, n)
    end
    if n < m then
      error(("bad argument to 'random' (there is no number from %.0f to %.0f)"):format(m, n), 2)
    end
    return m + floor(part * (n - m + 1))
  end
end

return M
