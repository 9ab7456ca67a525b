-- SPDX-License-Identifier: Apache-2.0
-- Hooks that take part in a request after it was routed, as targets in front of its own.
--
--   hook.setup(native)
--   hook.retry(next, fn)      fn(req, failed_host, reason) -> target, or nil to give up; asked when the
--                             host that `next` led to is away or lost (nil: all hosts of a router are);
--                             next: the number of a target;
--                             where: a third argument, the place that messages name instead of fn's
--   hook.on_reply(next, fn)   fn(req, reply) -> nil, or what the client gets instead
--
-- Both return the number of a target, or nil, message.
local abi = require("nydus.abi")
local driver = require("nydus.driver")
local ffi = require("ffi")
local received = require("nydus.received")
local reply = require("nydus.reply")
local target = require("nydus.target")

local M = {}

local native

function M.setup(bindings)
  native = bindings
end

-- The place of a script's function; or nil, message.
local function place_of(name, fn)
  if type(fn) ~= "function" then
    return nil, ("%s: a function is expected, got %s"):format(name, target.kind(fn))
  end
  local place = target.place(fn)
  if not place then
    return nil, name .. ": a function of the Lua library"
  end
  return place
end

function M.retry(next_id, fn, where)
  local place, message = where, nil
  if not where then
    place, message = place_of("retry", fn)
  end
  if not place then
    return nil, message
  end
  local batch = abi.batch
  local function ask(req)
    local elsewhere = fn(req, target.object(batch.failed), ffi.string(batch.said.bytes, batch.said.size))
    return elsewhere
  end
  return native.retry(next_id, native.func(driver.make(ask, place), place))
end

-- What stands for the reply; `seen` is the one that came.
local function replacement(value, seen, place)
  if received.is(value) then
    if value == seen then
      return nil
    end
    abi.batch.as_is = true
    return reply.loose(received.bytes(value))
  elseif reply.is_loose(value) or target.is(value) and target.info(value).kind == "reply" then
    return value
  end
  local bytes, message = reply.encode(value)
  if not bytes then
    message = target.is(value) and "got " .. target.kind(value) or message
    error(("%s: returned no reply: %s"):format(place, message), 0)
  end
  return reply.loose(bytes)
end

function M.on_reply(next_id, fn)
  local place, message = place_of("on_reply", fn)
  if not place then
    return nil, message
  end
  local batch = abi.batch
  local number = ffi.cast("char *", batch) + ffi.offsetof("struct nydus_batch", "reply_number")
  local alive = ffi.cast("const uint32_t *", number)
  local function ask(req)
    local seen = received.new(batch.said.bytes, batch.said.size, alive, batch.reply_number)
    batch.as_is = false
    local value = fn(req, seen)
    if type(value) == "nil" then
      return nil
    end
    local instead = replacement(value, seen, place)
    return instead
  end
  return native.on_reply(next_id, native.func(driver.make(ask, place), place))
end

return M
