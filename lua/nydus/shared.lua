-- SPDX-License-Identifier: Apache-2.0
-- Dictionaries that all workers share: src/base/dictionary.h for scripts.
--
--   shared.add(api, native)     adds to what require("nydus") gives:
--     nydus.shared(name, { size = "1mb" })    the dictionary of that name, alive over reloads
--       :get(key)                     a string, number or boolean; nil: not there
--       :set(key, value, ttl)         true; or nil, "too large". ttl in seconds
--       :add(key, value, ttl)         the same, but false, "exists" if the key is there
--       :incr(key, n = 1, init, ttl)  the new number; nil, "not found" without init, nil, "not a number"
--       :delete(key)                  was it there?
--       :flush()
--       :count()                      how many keys there are
--
-- When it is full, what was used longest ago gives way. Each call takes a lock
-- for some 100 ns; what has to be right under it is one call.
local abi = require("nydus.abi")
local ffi = require("ffi")
local suggest = require("nydus.config.suggest")
local target = require("nydus.target")
local types = require("nydus.config.types")

local M = {}

local SIZE, MOST_SIZE = 2 ^ 20, 2 ^ 28
local MOST_TTL = 2 ^ 30 -- seconds: 34 years
local STRING, NUMBER, BOOLEAN = 1, 2, 3 -- enum dictionary_type
local DONE, TOO_LARGE, THERE, NOT_THERE = 0, 1, 2, 3 -- enum dictionary_result
local NAN = 0 / 0

-- Of the script that called the method which called this.
local function misuse(i, method, expected, value)
  local got = type(value) == "number" and ("%.14g"):format(value) or target.kind(value)
  error(("bad argument #%d to '%s' (%s is expected, got %s)"):format(i, method, expected, got), 3)
end

local function no_object(method)
  error(("write dictionary:%s(…), with a colon"):format(method), 3)
end

local function is_ttl(ttl)
  return type(ttl) == "number" and ttl > 0 and ttl <= MOST_TTL
end

local function make_get(state, is)
  local get, out = state.get, ffi.new("struct nydus_value")
  return function(self, key)
    if not is(self) then
      no_object("get")
    elseif type(key) ~= "string" then
      misuse(1, "get", "a string", key)
    elseif not get(self.it_, key, #key, out) then
      return nil
    elseif out.type == NUMBER then
      return out.number
    elseif out.type == BOOLEAN then
      return out.number ~= 0
    end
    local value = ffi.string(out.bytes, out.size)
    return value
  end
end

local function make_set(state, is, name, only_new)
  local set = state.set
  return function(self, key, value, ttl)
    if not is(self) then
      no_object(name)
    elseif type(key) ~= "string" then
      misuse(1, name, "a string", key)
    elseif ttl == nil then
      ttl = 0
    elseif not is_ttl(ttl) then
      misuse(3, name, "a time in seconds above 0", ttl)
    end
    local result
    if type(value) == "string" then
      result = set(self.it_, key, #key, STRING, 0, value, #value, ttl, only_new)
    elseif type(value) == "number" then
      result = set(self.it_, key, #key, NUMBER, value, nil, 0, ttl, only_new)
    elseif type(value) == "boolean" then
      result = set(self.it_, key, #key, BOOLEAN, value and 1 or 0, nil, 0, ttl, only_new)
    else
      misuse(2, name, "a string, number or boolean", value)
    end
    if result == DONE then
      return true
    elseif result == THERE then
      return false, "exists"
    end
    return nil, "too large"
  end
end

local function make_incr(state, is)
  local incr, out = state.incr, ffi.new("struct nydus_value")
  return function(self, key, n, init, ttl)
    if not is(self) then
      no_object("incr")
    elseif type(key) ~= "string" then
      misuse(1, "incr", "a string", key)
    elseif n == nil then
      n = 1
    elseif type(n) ~= "number" or n ~= n then
      misuse(2, "incr", "a number", n)
    end
    if init == nil then
      init = NAN
    elseif type(init) ~= "number" or init ~= init then
      misuse(3, "incr", "a number", init)
    end
    if ttl == nil then
      ttl = 0
    elseif not is_ttl(ttl) then
      misuse(4, "incr", "a time in seconds above 0", ttl)
    end
    local result = incr(self.it_, key, #key, n, init, ttl, out)
    if result == DONE then
      return out.number
    elseif result == NOT_THERE then
      return nil, "not found"
    elseif result == TOO_LARGE then
      return nil, "too large"
    end
    return nil, "not a number"
  end
end

local function make_methods(state, is)
  local remove, flush, count = state.remove, state.flush, state.count
  return {
    get = make_get(state, is),
    set = make_set(state, is, "set", false),
    add = make_set(state, is, "add", true),
    incr = make_incr(state, is),
    delete = function(self, key)
      if not is(self) then
        no_object("delete")
      elseif type(key) ~= "string" then
        misuse(1, "delete", "a string", key)
      end
      local was_there = remove(self.it_, key, #key)
      return was_there
    end,
    flush = function(self)
      if not is(self) then
        no_object("flush")
      end
      flush(self.it_)
    end,
    count = function(self)
      if not is(self) then
        no_object("count")
      end
      local number = count(self.it_)
      return number
    end,
  }
end

local function make_type(state)
  local shared_t = ffi.typeof("struct nydus_shared")
  local methods = make_methods(state, function(value) return ffi.istype(shared_t, value) end)
  local words = {}
  for word in pairs(methods) do
    words[#words + 1] = word
  end
  ffi.metatype(shared_t, {
    __index = setmetatable(methods, {
      __index = function(_, name)
        local hint = suggest.hint(name, words)
        error(("a shared dictionary has no method '%s'%s"):format(tostring(name), hint), 2)
      end,
    }),
    __newindex = function(_, name)
      error(("write dictionary:set(key, value); a shared dictionary has no field '%s'"):format(tostring(name)), 2)
    end,
    __tostring = function()
      return "shared dictionary"
    end,
  })
  return shared_t
end

-- The size in a table of options.
local function size_of(options)
  if options == nil then
    return SIZE
  elseif type(options) ~= "table" then
    error(("bad argument #2 to 'shared' (a table is expected, as in { size = \"1mb\" }, got %s)")
      :format(target.kind(options)), 3)
  end
  for key in pairs(options) do
    if key ~= "size" then
      local hint = type(key) == "string" and suggest.hint(key, { "size" }) or ""
      error(("nydus.shared: unknown option '%s'%s"):format(tostring(key), hint), 3)
    end
  end
  local size = options.size == nil and SIZE or types.size(options.size)
  if not (size and size > 0 and size <= MOST_SIZE) then
    error(("nydus.shared: size: bytes or a text like \"10mb\" are expected, up to 256mb, got %s")
      :format(tostring(options.size)), 3)
  end
  return math.floor(size)
end

function M.add(api, native)
  local shared_t = make_type(abi.state)
  local dictionary_t = ffi.typeof("struct dictionary *")
  local known = {}
  function api.shared(name, options)
    if type(name) ~= "string" then
      error(("bad argument #1 to 'shared' (a name is expected, got %s)"):format(target.kind(name)), 2)
    end
    local size = size_of(options)
    if known[name] then
      return known[name]
    end
    local it, message = native.dictionary(name, size)
    if not it then
      error(("nydus.shared: %s: %s"):format(name:sub(1, 40), message), 2)
    end
    known[name] = shared_t(ffi.cast(dictionary_t, it))
    return known[name]
  end
end

return M
