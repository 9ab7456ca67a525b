-- SPDX-License-Identifier: Apache-2.0
-- Functions of scripts that are called without a request: when their time has
-- come, or because something has happened. Nothing here knows what time is.
--
--   local timers = timer.new(clock, wake)   clock(): seconds that never go back;
--                            wake(at): from that time on step() has something to do
--   timers:add("every" or "after", seconds, fn)   a handle; handle:cancel() -> was it waiting?
--                            errors of misuse are raised where the caller's caller is
--   timers:call(place, fn, ...)   fn(...) with the next step; place: for messages. Returns the list of
--                            what it will be given, which has `waiting` until then
--   timers:start()           until then time stands still for all timers
--   timers:stop()            no timer goes on, no call waits, new timers never begin; new calls do
--   timers:step(stopped)     calls one function that is due; returns when the next one is, or nil.
--                            It raises what the function raises: call it again. stopped: the one of
--                            the last step ran for too long
--   timers:place()           who is called, or was last
--   timer.place(name, fn)    "nydus.every, routers/tenant.lua:12"
local target = require("nydus.target")

local M = {}

M.MAX_TIMERS = 1000
M.MIN_SECONDS = 0.001
M.REST = 1 -- seconds that a timer rests which had to be stopped

local running = {} -- handle -> timer, as long as it waits

local HANDLE = {
  cancel = function(self)
    local timer = running[self]
    if timer then
      timer.owner:remove(timer)
    elseif type(self) ~= "table" or rawget(self, "is_timer") == nil then
      error("write timer:cancel(), with a colon", 2)
    end
    return timer ~= nil
  end,
}

local HANDLE_META = {
  __index = function(_, name)
    return HANDLE[name] or error(("a timer has no field '%s' (it has cancel)"):format(tostring(name)), 2)
  end,
  __newindex = function(_, name)
    error(("a timer cannot be changed (field '%s')"):format(tostring(name)), 2)
  end,
  __tostring = function()
    return "timer"
  end,
  __metatable = false,
}

local methods = {}
methods.__index = methods

function M.new(clock, wake)
  return setmetatable({
    clock = clock,
    wake = wake,
    heap = {},  -- timers, the first due is heap[1]
    calls = {}, -- what call() was given: from `first` to `last`
    first = 1,
    last = 0,
    started = false,
    stopped = false,
  }, methods)
end

-- The heap ------------------------------------------------------------------

local function put(heap, timer, at)
  heap[at] = timer
  timer.at = at
end

local function rise(heap, timer, at)
  while at > 1 do
    local above = (at - at % 2) / 2
    if heap[above].due <= timer.due then
      break
    end
    put(heap, heap[above], at)
    at = above
  end
  put(heap, timer, at)
end

local function sink(heap, timer, at)
  local count = #heap
  while at * 2 <= count do
    local below = at * 2
    if below < count and heap[below + 1].due < heap[below].due then
      below = below + 1
    end
    if timer.due <= heap[below].due then
      break
    end
    put(heap, heap[below], at)
    at = below
  end
  put(heap, timer, at)
end

function methods:remove(timer)
  local heap, at = self.heap, timer.at
  local last = heap[#heap]
  heap[#heap] = nil
  if last ~= timer then
    rise(heap, last, at)
    sink(heap, last, last.at)
  end
  running[timer.handle] = nil
end

-- Making them -----------------------------------------------------------------

function M.place(name, fn)
  return ("nydus.%s, %s"):format(name, target.place(fn) or "a function of the Lua library")
end

local function check(name, seconds, fn)
  if type(seconds) ~= "number" then
    error(("bad argument #1 to '%s' (seconds are expected, got %s)"):format(name, target.kind(seconds)), 4)
  elseif not (seconds >= M.MIN_SECONDS and seconds < math.huge) then
    error(("bad argument #1 to '%s' (%g or more seconds are expected, got %g)")
      :format(name, M.MIN_SECONDS, seconds), 4)
  elseif type(fn) ~= "function" then
    error(("bad argument #2 to '%s' (a function is expected, got %s)"):format(name, target.kind(fn)), 4)
  end
end

function methods:add(name, seconds, fn)
  check(name, seconds, fn)
  if #self.heap >= M.MAX_TIMERS then
    error(("nydus.%s: more than %d timers"):format(name, M.MAX_TIMERS), 3)
  end
  local handle = setmetatable({ is_timer = true }, HANDLE_META)
  if self.stopped then
    return handle
  end
  local timer = {
    owner = self,
    handle = handle,
    fn = fn,
    place = M.place(name, fn),
    period = name == "every" and seconds or nil,
    due = seconds + (self.started and self.clock() or 0),
  }
  running[handle] = timer
  rise(self.heap, timer, #self.heap + 1)
  if self.started and timer.at == 1 then
    self.wake(timer.due)
  end
  return handle
end

function methods:call(place, fn, ...)
  self.last = self.last + 1
  local call = { place = place, fn = fn, count = select("#", ...), waiting = true, ... }
  self.calls[self.last] = call
  self.wake(self.clock())
  return call
end

-- Running them ------------------------------------------------------------------

function methods:start()
  local now, heap = self.clock(), self.heap
  for i = 1, #heap do -- all by the same: they stay in order
    heap[i].due = heap[i].due + now
  end
  self.started = true
  if heap[1] then
    self.wake(heap[1].due)
  end
end

function methods:stop()
  while self.heap[1] do
    self:remove(self.heap[1])
  end
  self.calls, self.first, self.last = {}, 1, 0
  self.stopped = true
end

function methods:next_due()
  if self.first <= self.last then
    return self.clock()
  end
  return self.heap[1] and self.heap[1].due
end

local function run_call(self)
  local call = self.calls[self.first]
  self.calls[self.first] = nil
  self.first = self.first + 1
  if self.first > self.last then
    self.first, self.last = 1, 0
  end
  self.now_running = call
  call.waiting = false
  call.fn(unpack(call, 1, call.count))
end

-- It is set up for the next time first: the function may raise. What was
-- missed meanwhile is not made up for.
local function run_timer(self, timer, now)
  if timer.period then
    local due = timer.due + timer.period
    timer.due = due > now and due or now + timer.period
    sink(self.heap, timer, 1)
  else
    self:remove(timer)
  end
  self.now_running = timer
  timer.fn()
end

local function rest(self, timer)
  if timer and timer.period and running[timer.handle] then
    timer.due = math.max(timer.due, self.clock() + M.REST)
    sink(self.heap, timer, timer.at)
  end
end

function methods:step(stopped)
  if stopped then
    rest(self, self.now_running)
  end
  if self.first <= self.last then
    run_call(self)
  elseif self.heap[1] then
    local now = self.clock()
    if self.heap[1].due <= now then
      run_timer(self, self.heap[1], now)
    end
  end
  return self:next_due()
end

function methods:place()
  return self.now_running and self.now_running.place
end

return M
