-- SPDX-License-Identifier: Apache-2.0
-- Numbers that all workers count together, by name: src/base/series.h for scripts.
--
--   series.add(api, native)   adds to what require("nydus") gives:
--     nydus.counter(name)       :add(n = 1)   :value()
--     nydus.gauge(name)         :set(v)   :add(n)   :value()
--     nydus.histogram(name, { buckets = { 0.1, 1, 10 } })
--                               :observe(v)   :count()   :sum()   :quantile(q)
--                               buckets: where they end; without it four to each doubling of the value
--
-- A worker writes only its own share; value() and the like are sums over all
-- workers: a gauge that each of 4 workers sets to 2 is 8. The share of a worker
-- that dies stays, and is that of the one that takes its place; only gauges of
-- workers that leave for good, as a reload asks for fewer, go.
local abi = require("nydus.abi")
local ffi = require("ffi")
local suggest = require("nydus.config.suggest")
local target = require("nydus.target")

local M = {}

local HUGE, MOST, MOST_BUCKETS = math.huge, 2 ^ 53, 255

-- Of the script that called the method which called this.
local function misuse(method, expected, value)
  local got = type(value) == "number" and ("%.14g"):format(value) or target.kind(value)
  error(("bad argument #1 to '%s' (%s is expected, got %s)"):format(method, expected, got), 3)
end

local function no_object(kind, method)
  error(("write %s:%s(…), with a colon"):format(kind, method), 3)
end

local function finite(value)
  return type(value) == "number" and value > -HUGE and value < HUGE -- a NaN is neither
end

local function make_counter(state)
  local methods, numbers, sum = {}, state.numbers, state.sum
  local counter_t = ffi.typeof("struct nydus_counter")
  function methods.add(self, n)
    if not ffi.istype(counter_t, self) then
      no_object("counter", "add")
    elseif n == nil then
      n = 1
    elseif not (type(n) == "number" and n >= 0 and n <= MOST) then
      misuse("add", "a number from 0 to 2^53", n)
    end
    local place = self.place_
    numbers[place] = numbers[place] + n
  end
  function methods.value(self)
    if not ffi.istype(counter_t, self) then
      no_object("counter", "value")
    end
    local value = sum(self.place_) -- no tail call: that would not compile
    return value
  end
  return methods
end

local function make_gauge(state)
  local methods, numbers, sum = {}, state.numbers, state.sum
  local gauge_t = ffi.typeof("struct nydus_gauge")
  function methods.set(self, value)
    if not ffi.istype(gauge_t, self) then
      no_object("gauge", "set")
    elseif not finite(value) then
      misuse("set", "a number", value)
    end
    numbers[self.place_] = value
  end
  function methods.add(self, n)
    if not ffi.istype(gauge_t, self) then
      no_object("gauge", "add")
    elseif not finite(n) then
      misuse("add", "a number", n)
    end
    local place = self.place_
    numbers[place] = numbers[place] + n
  end
  function methods.value(self)
    if not ffi.istype(gauge_t, self) then
      no_object("gauge", "value")
    end
    local value = sum(self.place_)
    return value
  end
  return methods
end

local function make_histogram(state)
  local methods, observe, quantile = {}, state.observe, state.histogram_quantile
  local histogram_t = ffi.typeof("struct nydus_histogram")
  function methods.observe(self, value)
    if not ffi.istype(histogram_t, self) then
      no_object("histogram", "observe")
    elseif not finite(value) then
      misuse("observe", "a number", value)
    end
    observe(self.place_, value)
  end
  function methods.quantile(self, q)
    if not ffi.istype(histogram_t, self) then
      no_object("histogram", "quantile")
    elseif not (type(q) == "number" and q >= 0 and q <= 1) then
      misuse("quantile", "a number from 0 to 1", q)
    end
    local value = quantile(self.place_, q)
    return value
  end
  for name, read in pairs({ count = state.histogram_count, sum = state.histogram_sum }) do
    methods[name] = function(self)
      if not ffi.istype(histogram_t, self) then
        no_object("histogram", name)
      end
      local value = read(self.place_)
      return value
    end
  end
  return methods
end

-- Gives the type its methods, and errors for what is none.
local function make_type(kind, methods)
  local words = {}
  for word in pairs(methods) do
    words[#words + 1] = word
  end
  local ctype = "struct nydus_" .. kind
  ffi.metatype(ctype, {
    __index = setmetatable(methods, {
      __index = function(_, name)
        local hint = suggest.hint(name, words)
        error(("a %s has no method '%s'%s"):format(kind, tostring(name), hint), 2)
      end,
    }),
    __newindex = function(_, name)
      error(("a %s cannot be changed (field '%s')"):format(kind, tostring(name)), 2)
    end,
    __tostring = function()
      return kind
    end,
  })
  return ffi.typeof(ctype)
end

-- The ends of buckets in the options of a histogram: ascending numbers.
local function buckets_of(kind, options)
  if kind ~= "histogram" then
    error(("bad argument #2 to '%s' (nothing is expected, got %s)"):format(kind, target.kind(options)), 3)
  elseif type(options) ~= "table" then
    error(("bad argument #2 to '%s' (a table is expected, as in { buckets = { 0.1, 1, 10 } }, got %s)")
      :format(kind, target.kind(options)), 3)
  end
  for key in pairs(options) do
    if key ~= "buckets" then
      local hint = type(key) == "string" and suggest.hint(key, { "buckets" }) or ""
      error(("nydus.histogram: unknown option '%s'%s"):format(tostring(key), hint), 3)
    end
  end
  local buckets = options.buckets
  if buckets == nil then
    return nil
  end
  local fine = type(buckets) == "table" and #buckets > 0 and #buckets <= MOST_BUCKETS
  for i = 1, fine and #buckets or 0 do
    fine = fine and finite(buckets[i]) and (i == 1 or buckets[i] > buckets[i - 1])
  end
  if not fine then
    error(("nydus.histogram: buckets: a list of up to %d ascending numbers is expected"):format(MOST_BUCKETS), 3)
  end
  return buckets
end

-- One object for each name; all kinds share the names.
local function make_maker(native, kind, ctype, known)
  return function(name, options)
    local object = known[name]
    if object then
      return object
    elseif type(name) ~= "string" then
      error(("bad argument #1 to '%s' (a name is expected, got %s)"):format(kind, target.kind(name)), 2)
    elseif #name > 100 or not name:find("^[%a_][%w_]*$") then
      error(("nydus.%s: '%s' is no name: up to 100 letters, digits and _, no digit first")
        :format(kind, name:sub(1, 40)), 2)
    end
    local buckets = options ~= nil and buckets_of(kind, options) or nil
    local place, message = native.series(kind, name, buckets)
    if not place then
      error(("nydus.%s: %s: %s"):format(kind, name, message), 2)
    end
    object = ctype(place)
    known[name] = object
    return object
  end
end

function M.add(api, native)
  local makers = { counter = make_counter, gauge = make_gauge, histogram = make_histogram }
  for kind, make in pairs(makers) do
    api[kind] = make_maker(native, kind, make_type(kind, make(abi.state)), {})
  end
end

return M
