-- SPDX-License-Identifier: Apache-2.0
-- Flows: functions of scripts that may wait. Each runs as a coroutine of its own.
--
--   nydus.flow(function(req) … return reply end, opts)   a target; opts.order: what waits for a flow that
--       writes: "client" (default: all that its client sends later), "key" (what names one of its keys), "none".
--       opts.reads = true: flows whose commands only read hold what comes later as well; opts.finish = true:
--       they go on to their end when their client has left, as what must not be left half done needs it.
--       It returns a reply, what nydus.reply takes (a list is one of targets), or a target to go on to
--   req:send(t, { timeout = s })     the command as it came, to any target -> reply; what fails is an error reply
--   req:spawn(t, { timeout = s })    the same without waiting -> a reply that has not come: reply:wait(s), reply.done
--   req:reply(r)                     answers now; the flow goes on, and its client may leave
--   nydus.call(t, "CMD", …, opts)    another command -> reply; nydus.spawn(t, "CMD", …, opts) without waiting
--   nydus.cast(t, "CMD", …)          nobody waits -> true; false: 10000 are on their way. Not only in flows
--   nydus.any({ replies }, s)        the first that has come, or nil, "timeout"
--   nydus.wait_all({ replies }, s)   a list of them, and true; nil for those that have not come, and false
--   nydus.sleep(s)
--   nydus.lock(name, key, s)         of all workers: a lock (lock:unlock()) for s seconds at most, or nil, "timeout"
--                                    after s seconds of waiting; it is given back when the flow ends
--   nydus.task(fn)                   a flow without a request, as long as the configuration is in force
--   reply.type ok is_error is_null done, reply:str(), reply:int(), #reply, reply[i] (a map: key, value, key …)
--
-- For the runtime: flow.add(api, native), flow.methods(native, current) -> the methods of req
local abi = require("nydus.abi")
local reply = require("nydus.reply")
local suggest = require("nydus.config.suggest")
local target = require("nydus.target")

local M = {}

local LONGEST = 366 * 86400 -- seconds

-- What a flow returns -------------------------------------------------------------

-- No closure is made per request; what a C function of ours says in tail position is
-- blamed on the driver, as in nydus.driver.
local SOURCE = [[
local batch, result = ...
return function(route, name)
  return function()
    local value = route(batch.handle)
    if type(value) == "userdata" then
      return value
    end
    return result(value, name)
  end
end
]]

local PLAIN = { string = true, number = true, boolean = true }

-- The bytes of a reply, the number of a target, or nil.
local function result(value, name)
  if value == nil then
    return nil
  elseif target.is(value) then
    return tonumber(value.id_)
  elseif reply.is_loose(value) then
    return value.bytes
  elseif PLAIN[type(value)] or reply.is_value(value) then
    return (reply.encode(value))
  elseif type(value) ~= "table" and type(value) ~= "function" then
    error(("%s: returned %s, not a reply and not a target"):format(name, target.kind(value)), 0)
  end
  local id, message = target.late_id(value)
  if not id then
    error(("%s: returned %s"):format(name, message), 0)
  end
  return id
end

-- Checks ----------------------------------------------------------------------------

local function id_of(value, method)
  local id, message = target.late_id(value)
  if not id then
    error(("bad argument #1 to '%s' (%s)"):format(method, message), 3)
  end
  return id
end

local function is_seconds(value, least)
  return type(value) == "number" and value >= least and value <= LONGEST
end

local function check_seconds(value, position, method, least)
  if not is_seconds(value, least) then
    error(("bad argument #%d to '%s' (seconds from %g to a year are expected, got %s)")
      :format(position, method, least, type(value) == "number" and tostring(value) or target.kind(value)), 3)
  end
end

-- The timeout of { timeout = s }, or nil.
local function timeout_of(options, method)
  if options == nil then
    return nil
  elseif type(options) ~= "table" or getmetatable(options) then
    error(("%s: a table of options is expected, got %s"):format(method, target.kind(options)), 3)
  end
  for name in next, options do
    if name ~= "timeout" then
      error(("%s: unknown option '%s'%s"):format(method, tostring(name), suggest.hint(name, { "timeout" })), 3)
    end
  end
  local timeout = options.timeout
  if timeout ~= nil and not is_seconds(timeout, 0.001) then
    error(("%s: timeout: %s is no time in seconds (0.001 or more)"):format(method, tostring(timeout)), 3)
  end
  return timeout
end

-- The last of the words may be options; the binding passes over it.
local function last_timeout(method, ...)
  local count = select("#", ...)
  local last = count > 0 and (select(count, ...)) or nil
  if type(last) ~= "table" then
    return nil
  end
  local ok, timeout = pcall(timeout_of, last, method)
  if not ok then
    error(timeout, 3)
  end
  return timeout
end

-- Methods of req -----------------------------------------------------------------------

local function bytes_of(value, method)
  if reply.is_loose(value) then
    return value.bytes
  end
  local bytes, message = reply.encode(value)
  if not bytes then
    error(("bad argument #1 to '%s' (%s)"):format(method, message), 3)
  end
  return bytes
end

function M.methods(native, current)
  local methods = {}

  function methods.send(self, to, options)
    current(self)
    return native.send(id_of(to, "send"), options and timeout_of(options, "send"))
  end

  function methods.spawn(self, to, options)
    current(self)
    return native.spawn(id_of(to, "spawn"), options and timeout_of(options, "spawn"))
  end

  function methods.reply(self, value)
    current(self)
    return native.answer(type(value) == "userdata" and value or bytes_of(value, "reply"))
  end

  return methods
end

-- Functions of nydus --------------------------------------------------------------------

local OPTIONS = { order = true, reads = true, finish = true }

local function flag_of(options, name)
  local value = options and options[name] or false
  if type(value) ~= "boolean" then
    error(("nydus.flow: %s: true or false is expected, got %s"):format(name, target.kind(value)), 3)
  end
  return value
end

local function make_flow(native)
  local run = assert(loadstring(SOURCE, "=nydus.driver"))(abi.batch, result)
  return function(fn, options)
    if not target.loading then
      error("nydus.flow: make it at load, outside of the function that decides", 2)
    elseif type(fn) ~= "function" or not target.place(fn) then
      error(("bad argument #1 to 'flow' (a function is expected, got %s)"):format(target.kind(fn)), 2)
    elseif options ~= nil and type(options) ~= "table" then
      error(("bad argument #2 to 'flow' (a table of options is expected, got %s)"):format(target.kind(options)), 2)
    end
    for name in pairs(options or {}) do
      if not OPTIONS[name] then
        local hint = suggest.hint(name, suggest.names(OPTIONS))
        error(("nydus.flow: unknown option '%s'%s"):format(tostring(name), hint), 2)
      end
    end
    local reads, finish = flag_of(options, "reads"), flag_of(options, "finish")
    local name, order = target.place(fn), options and options.order
    if order == nil then
      order = "client"
    end
    local id = type(order) == "string" and native.flow(run(fn, name), name, order, reads, finish)
    if not id then
      error(("nydus.flow: order: '%s' is none of client, key, none"):format(tostring(order)), 2)
    end
    return target.add(id, { kind = "flow" })
  end
end

local function check_inside(native)
  if not native.inside() then
    error("only inside nydus.flow (or nydus.task)", 3)
  end
end

local function check_replies(native, list, method)
  if type(list) ~= "table" or getmetatable(list) then
    error(("bad argument #1 to '%s' (a list of what req:spawn gave is expected, got %s)")
      :format(method, target.kind(list)), 3)
  elseif #list == 0 then
    error(("bad argument #1 to '%s' (the list is empty)"):format(method), 3)
  end
  for i = 1, #list do
    if not native.is_answer(list[i]) then
      error(("bad argument #1 to '%s' (item %d is %s, not what req:spawn gave)")
        :format(method, i, target.kind(list[i])), 3)
    end
  end
end

local function add_waiting(api, native)
  function api.sleep(seconds)
    check_seconds(seconds, 1, "sleep", 0)
    return native.sleep(seconds)
  end

  function api.any(list, seconds)
    check_inside(native)
    check_replies(native, list, "any")
    if seconds ~= nil then
      check_seconds(seconds, 2, "any", 0)
    end
    local came = native.wait(list, false, seconds)
    for i = 1, came and #list or 0 do
      if list[i].done then
        return list[i]
      end
    end
    return nil, "timeout"
  end

  function api.wait_all(list, seconds)
    check_inside(native)
    check_replies(native, list, "wait_all")
    if seconds ~= nil then
      check_seconds(seconds, 2, "wait_all", 0)
    end
    local came = native.wait(list, true, seconds)
    local replies = {}
    for i = 1, #list do
      replies[i] = list[i].done and list[i] or nil
    end
    return replies, came
  end

  function native.answer_methods.wait(self, seconds)
    if not native.is_answer(self) then
      error("this is no reply: write reply:wait(), with a colon", 2)
    elseif seconds ~= nil then
      check_seconds(seconds, 1, "wait", 0)
    end
    check_inside(native)
    if self.done or native.wait({ self }, true, seconds) then
      return self
    end
    return nil, "timeout"
  end
end

local function add_commands(api, native)
  function api.call(to, ...)
    return native.call(id_of(to, "call"), last_timeout("call", ...), ...)
  end
  function api.spawn(to, ...)
    return native.call_later(id_of(to, "spawn"), last_timeout("spawn", ...), ...)
  end
  function api.cast(to, ...)
    if target.loading then
      error("nydus.cast: nothing is sent at load", 2)
    end
    return native.cast(id_of(to, "cast"), ...)
  end
  function api.task(fn)
    if type(fn) ~= "function" then
      error(("bad argument #1 to 'task' (a function is expected, got %s)"):format(target.kind(fn)), 2)
    end
    return native.task(fn)
  end
end

-- Locks ---------------------------------------------------------------------------------

local function make_lock(native)
  local lock = {}
  local meta = {
    __index = function(_, name)
      return lock[name] or error(("a lock has no field '%s' (it has unlock)"):format(tostring(name)), 2)
    end,
    __newindex = function()
      error("a lock cannot be changed", 2)
    end,
    __tostring = function()
      return "lock"
    end,
    __metatable = false,
  }
  local numbers = setmetatable({}, { __mode = "k" })

  -- true: it had it all the time.
  function lock.unlock(self)
    if not numbers[self] then
      error("this is no lock: write lock:unlock(), with a colon", 2)
    end
    return native.unclaim(numbers[self])
  end

  return function(name, key, seconds)
    check_inside(native)
    if type(name) ~= "string" then
      error(("bad argument #1 to 'lock' (a name is expected, got %s)"):format(target.kind(name)), 2)
    elseif type(key) ~= "string" and type(key) ~= "number" then
      error(("bad argument #2 to 'lock' (a key is expected, got %s)"):format(target.kind(key)), 2)
    end
    check_seconds(seconds, 3, "lock", 0.001)
    if not native.claim(name, tostring(key), seconds) then
      return nil, "timeout"
    end
    local made = setmetatable({}, meta)
    numbers[made] = native.last_claim()
    return made
  end
end

function M.add(api, native)
  api.flow = make_flow(native)
  add_waiting(api, native)
  add_commands(api, native)
  api.lock = make_lock(native)
end

return M
