-- SPDX-License-Identifier: Apache-2.0
-- What router scripts hand to the next configuration, each worker to its own.
--
--   local kept = nydus.kept             -- a table of this script; at load it has what the
--   kept.position = kept.position or 0  -- one before it handed on
--   return {
--     route = function(req) kept.position = kept.position + 1 … end,
--     keep = { "position" },            -- the names of its values that are handed on
--   }
--
-- Values are nil, booleans, numbers, strings, and tables of these, 16 deep and 1 MB at
-- most; one that is not is left out, and the log says so. The heir is the script of the
-- same file and cluster. It is loaded while the old one still decides: what that has
-- changed since is copied again into nydus.kept when it is replaced, into the same tables;
-- what it has not changed stays as the heir has made it at load.
--
--   keep.open(index, key)       nydus.kept of the script of cluster `index`; key: who it is
--   keep.names(index, names)    the hook; true, or nil, message
--   keep.values()               { [key] = { [name] = value } } to be handed on, or nil: nothing
--   keep.give(values)           what values() of the one before said: before load, and when it is replaced
local target = require("nydus.target")

local M = {}

M.MAX_NAMES = 100

local given = {}   -- key -> values
local scripts = {} -- by index

-- What the script does to its values is not done to what they are compared with later.
local function copy(value)
  if type(value) ~= "table" then
    return value
  end
  local to = {}
  for name, item in pairs(value) do
    to[name] = copy(item)
  end
  return to
end

function M.open(index, key)
  local kept = copy(given[key] or {})
  scripts[index] = { key = key, kept = kept, names = {} }
  return kept
end

local EXPECTED = "keep: a list of names is expected"

function M.names(index, names)
  if type(names) ~= "table" then
    return nil, ("%s, got %s"):format(EXPECTED, target.kind(names))
  elseif #names > M.MAX_NAMES then
    return nil, ("keep: more than %d names"):format(M.MAX_NAMES)
  end
  local list = {}
  for at, name in pairs(names) do
    if type(at) ~= "number" or not names[1] then
      return nil, ("%s, got a table with the key %s"):format(EXPECTED, tostring(at))
    elseif type(name) ~= "string" then
      return nil, ("%s, item %s is %s"):format(EXPECTED, tostring(at), target.kind(name))
    end
    list[#list + 1] = name
  end
  scripts[index].names = list
  return true
end

function M.values()
  local all
  for _, script in pairs(scripts) do
    for _, name in ipairs(script.names) do
      all = all or {}
      all[script.key] = all[script.key] or {}
      all[script.key][name] = rawget(script.kept, name)
    end
  end
  return all
end

local replace

-- Gives `to` the contents of `from`; tables stay the same ones, for the script may hold them.
local function refill(to, from)
  for name in next, to do
    if from[name] == nil then
      rawset(to, name, nil)
    end
  end
  for name, value in next, from do
    replace(to, name, value)
  end
end

function replace(to, name, value)
  local own = rawget(to, name)
  if type(own) == "table" and type(value) == "table" then
    refill(own, value)
  else
    rawset(to, name, value)
  end
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b
  end
  for name, value in pairs(a) do
    if not same(value, b[name]) then
      return false
    end
  end
  for name in pairs(b) do
    if a[name] == nil then
      return false
    end
  end
  return true
end

function M.give(values)
  local before = given
  given = values
  for _, script in pairs(scripts) do
    local old, new = before[script.key] or {}, values[script.key] or {}
    for name in pairs(old) do
      if not same(old[name], new[name]) then
        replace(script.kept, name, new[name])
      end
    end
    for name, value in pairs(new) do
      if old[name] == nil then
        replace(script.kept, name, value)
      end
    end
  end
  if next(scripts) then
    given = {} -- they are loaded, and this was the last time
  end
end

return M
