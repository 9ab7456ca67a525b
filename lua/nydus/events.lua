-- SPDX-License-Identifier: Apache-2.0
-- What happens to router scripts without a request.
--
--   nydus.every(seconds, fn)     fn() in every worker, while the configuration is in force
--   nydus.after(seconds, fn)     once; both give a timer: timer:cancel() -> was it waiting?
--   nydus.on_host(fn)            fn(host, state, why) in every worker whose view of a host changes, of any
--                                cluster: "up" (at the start, too), "away" (cannot be reached), "down"
--                                (marked down)
--
-- For the runtime, and through it for C:
--   events.add(api, native)      puts these into api
--   events.begin()               the configuration is in force from now on: time begins
--   events.leave()               it has been replaced, or the worker leaves: no timer goes on
--   events.on_stop(fn)           fn() then
--   events.host_changed(id, state, why)
--   events.step(stopped), events.place()   see nydus.timer
local target = require("nydus.target")
local timer = require("nydus.timer")

local M = {}

M.MAX_WATCHERS = 100

local timers
local watchers = {} -- what on_host was given: functions and their places
local stops = {}    -- what on_stop was given

local function make_on_host(native)
  return function(fn)
    if type(fn) ~= "function" then
      error(("bad argument #1 to 'on_host' (a function is expected, got %s)"):format(target.kind(fn)), 2)
    elseif not target.loading then
      error("nydus.on_host: say it at load, outside of the function that decides", 2)
    elseif #watchers >= M.MAX_WATCHERS then
      error(("nydus.on_host: more than %d functions"):format(M.MAX_WATCHERS), 2)
    end
    native.watch_hosts()
    watchers[#watchers + 1] = { fn = fn, place = timer.place("on_host", fn), calls = {} }
  end
end

-- One that has not been told of the last change yet is told of this one only.
function M.host_changed(id, state, why)
  for _, watcher in ipairs(watchers) do
    local call = watcher.calls[id]
    if call and call.waiting then
      call[2], call[3] = state, why
    else
      watcher.calls[id] = timers:call(watcher.place, watcher.fn, target.object(id), state, why)
    end
  end
end

function M.add(api, native)
  api.on_host = make_on_host(native)
  timers = timer.new(native.clock, native.wake)
  for _, name in ipairs({ "every", "after" }) do
    api[name] = function(seconds, fn)
      local handle = timers:add(name, seconds, fn)
      return handle
    end
  end
end

function M.begin()
  if timers then
    timers:start()
  end
end

function M.leave()
  if timers then
    timers:stop()
    for _, fn in ipairs(stops) do
      timers:call(timer.place("stop", fn), fn)
    end
  end
end

function M.on_stop(fn)
  stops[#stops + 1] = fn
end

function M.step(stopped)
  local due = timers:step(stopped)
  return due
end

function M.place()
  return timers:place()
end

return M
