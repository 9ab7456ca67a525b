-- SPDX-License-Identifier: Apache-2.0
-- The loop that asks a script's function for every query of a batch. C calls
-- it; when it raises, C answers query batch.cur with the error and calls again.
--
--   driver.setup(native, id_of)     id_of: the number of a list or a function that was returned
--   driver.make(route, name)        a loop of its own for one function, so that LuaJIT compiles
--                                   it for that function; name: where the function stands
local abi = require("nydus.abi")
local ffi = require("ffi")
local reply = require("nydus.reply")

local M = {}

-- route() is no tail call and no pcall, and what is rare is in functions of
-- its own: the loop has to compile to a few instructions per query.
local SOURCE = [[
local batch, guard, req_t, target_t, cast, istype, other, stopped = ...
return function(route, name)
  return function()
    for i = batch.cur, batch.count - 1 do
      batch.cur = i
      local req = cast(req_t, batch.first + i)
      batch.handle = req
      local target = route(req)
      if istype(target_t, target) then
        batch.out[i] = target.id_
      else
        batch.out[i] = other(i, target, name)
      end
      if guard.stop ~= 0 then
        stopped()
      end
    end
  end
end
]]

local native, id_of

local function kind_of(value)
  local kind = type(value)
  if kind == "cdata" then
    local words = tostring(value) -- "request get", "counter"
    return "a " .. (words:match("^request") or words:match("^%a[%a ]*"))
  end
  return reply.kind(value) or (kind:find("^[aeiou]") and "an " or "a ") .. kind
end

-- What is not simply a target.
local function other(i, value, name)
  if value == nil then
    return abi.NO_ROUTE
  elseif reply.is_loose(value) then
    if not native.loose(i, value.bytes) then
      error(name .. ": too many large replies", 0)
    end
    return abi.LOOSE
  elseif type(value) ~= "table" and type(value) ~= "function" or reply.kind(value) then
    error(("%s: returned %s, not a target"):format(name, kind_of(value)), 0)
  end
  local id, message = id_of(value)
  if not id then
    error(("%s: returned %s"):format(name, message), 0)
  end
  return id
end

-- The function has caught the stop with pcall and returned: that does not count.
local function stopped()
  error("stopped", 0)
end

function M.setup(bindings, numbers)
  native, id_of = bindings, numbers
end

function M.make(route, name)
  local chunk = assert(loadstring(SOURCE, "=nydus.driver"))
  local req_t = ffi.typeof("struct nydus_req *")
  return chunk(abi.batch, abi.guard, req_t, abi.target, ffi.cast, ffi.istype, other, stopped)(route, name)
end

return M
