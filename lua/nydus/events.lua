-- SPDX-License-Identifier: Apache-2.0
-- What happens to router scripts without a request.
--
--   nydus.every(seconds, fn)     fn() in every worker, while the configuration is in force
--   nydus.after(seconds, fn)     once; both give a timer: timer:cancel() -> was it waiting?
--
-- For the runtime, and through it for C:
--   events.add(api, native)      puts these into api
--   events.begin()               the configuration is in force from now on: time begins
--   events.leave()               it has been replaced, or the worker leaves: no timer goes on
--   events.step(stopped), events.place()   see nydus.timer
local timer = require("nydus.timer")

local M = {}

local timers

function M.add(api, native)
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
  end
end

function M.step(stopped)
  local due = timers:step(stopped)
  return due
end

function M.place()
  return timers:place()
end

return M
