-- SPDX-License-Identifier: Apache-2.0
-- Rates that all workers keep together: src/base/limiter.h for scripts.
--
--   limiter.add(api, native)    adds to what require("nydus") gives:
--     nydus.limiter{ rate = 100, burst = 20, name = "logins" }
--                                 100 a second, and 20 at once after a pause; burst: 1 if not given
--       :allow(key, cost = 1)     true, or false and in how many seconds; without a key, of its own
--   limiter.load(cluster, path)   a script is about to run: limiters without a name are called
--                                 after it, "cluster:file#1", "cluster:file#2" … in their order
--
-- A limiter goes on over reloads by its name.
local abi = require("nydus.abi")
local ffi = require("ffi")
local suggest = require("nydus.config.suggest")
local target = require("nydus.target")

local M = {}

local OPTIONS = { name = "string", rate = "number", burst = "number" }

local cluster = ""
local counts, places = {}, {} -- of limiters without a name, in this load of this script

function M.load(name)
  cluster, counts, places = name, {}, {}
end

local function misuse(text, ...)
  error(text:format(...), 3)
end

local function check_options(options)
  if type(options) ~= "table" then
    error(("bad argument #1 to 'limiter' (a table is expected, as in { rate = 100, burst = 20 }, got %s)")
      :format(target.kind(options)), 3)
  end
  for key, value in pairs(options) do
    local expected = OPTIONS[key]
    if not expected then
      local hint = type(key) == "string" and suggest.hint(key, { "name", "rate", "burst" }) or ""
      error(("nydus.limiter: unknown option '%s'%s"):format(tostring(key), hint), 3)
    elseif type(value) ~= expected then
      error(("nydus.limiter: %s: a %s is expected, got %s"):format(key, expected, target.kind(value)), 3)
    end
  end
  if not options.rate then
    error("nydus.limiter: rate is missing (so many a second)", 3)
  end
end

-- The name of the n-th in its file. One place that makes two would do so in an
-- order that may differ from worker to worker.
local function name_of_place()
  local info = debug.getinfo(3, "Sl")
  local place = ("%s:%d"):format(info.short_src, info.currentline)
  if not target.loading then
    error("nydus.limiter: give it a name, or make it at load", 3)
  elseif places[place] then
    error(("nydus.limiter: the second one that is made at %s: give each a name"):format(place), 3)
  end
  places[place] = true
  counts[info.short_src] = (counts[info.short_src] or 0) + 1
  return ("%s:%s#%d"):format(cluster:sub(-40), info.short_src, counts[info.short_src])
end

local function make_allow(state, limiter_t)
  local allow = state.allow
  return function(self, key, cost)
    if not ffi.istype(limiter_t, self) then
      misuse("write limiter:allow(…), with a colon")
    elseif cost == nil then
      cost = 1
    elseif not (type(cost) == "number" and cost >= 0) then
      misuse("bad argument #2 to 'allow' (a number that is not negative is expected, got %s)",
        type(cost) == "number" and cost or target.kind(cost))
    end
    local wait
    if key == nil then
      wait = allow(self, nil, 0, cost)
    elseif type(key) == "string" then
      wait = allow(self, key, #key, cost)
    else
      misuse("bad argument #1 to 'allow' (a string or nil is expected, got %s)", target.kind(key))
    end
    if wait == 0 then
      return true
    end
    return false, wait
  end
end

function M.add(api, native)
  local limiter_t = ffi.typeof("struct nydus_limiter")
  local buckets_t = ffi.typeof("struct limiter_buckets *")
  local allow = make_allow(abi.state, limiter_t)
  ffi.metatype(limiter_t, {
    __index = function(_, name)
      if name ~= "allow" then
        error(("a limiter has no method '%s'%s"):format(tostring(name), suggest.hint(name, { "allow" })), 2)
      end
      return allow
    end,
    __newindex = function(_, name)
      error(("a limiter cannot be changed (field '%s')"):format(tostring(name)), 2)
    end,
    __tostring = function()
      return "limiter"
    end,
  })
  function api.limiter(options)
    check_options(options)
    local name = options.name or name_of_place()
    local buckets, interval, depth = native.limiter(name, options.rate, options.burst or 1)
    if not buckets then
      error(("nydus.limiter: %s: %s"):format(name:sub(-40), interval), 2)
    end
    return limiter_t(ffi.cast(buckets_t, buckets), interval, depth)
  end
end

return M
