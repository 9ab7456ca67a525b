-- SPDX-License-Identifier: Apache-2.0
-- Walks what config.lua returned and collects every problem with its path.
-- It reads raw fields only: nothing of the operator's runs here.
--
--   reader.new(file)                       file: the name problems begin with
--   reader.join(path, key)                 "hosts" .. 1 -> "hosts[1]"
--   reader.sorted_keys(table)              numbers first, then words
--   r:problem(path, text)                  one more problem
--   r:unknown(path, key, words)            a field nobody knows, with "did you mean"
--   r:plain(path, value, expected)         is it plain data? else a problem
--   r:fields(path, table, fields, words)   the known fields that are given, checked
--   r:list()                               all problems as lines, or nil
local suggest = require("nydus.config.suggest")
local types = require("nydus.config.types")

local M = {}

local MOST = 100 -- problems that are told one by one

local methods = {}
methods.__index = methods

function M.new(file)
  return setmetatable({
    file = file,
    problems = {},
    count = 0,
    join = M.join,
    sorted_keys = M.sorted_keys,
  }, methods)
end

function M.join(path, key)
  if type(key) == "number" and key % 1 == 0 then
    return path .. "[" .. key .. "]" -- for every host: fast
  elseif type(key) ~= "string" or not key:find("^[%a_][%w_]*$") or #key > 64 then
    return ("%s[%s]"):format(path, types.show(key))
  end
  return path == "" and key or path .. "." .. key
end

local RANK = { number = 1, string = 2 }

local function is_before(a, b)
  local rank_a, rank_b = RANK[type(a)] or 3, RANK[type(b)] or 3
  if rank_a ~= rank_b or rank_a == 3 then
    return rank_a < rank_b
  end
  return a < b
end

function M.sorted_keys(given)
  local keys, kinds = {}, {}
  for key in next, given do
    keys[#keys + 1] = key
    kinds[RANK[type(key)] or 3] = true
  end
  if kinds[3] or kinds[1] and kinds[2] then
    table.sort(keys, is_before)
  else
    table.sort(keys) -- without a function: much faster for many hosts
  end
  return keys
end

function methods:problem(path, text)
  self.count = self.count + 1
  if self.count <= MOST then
    local place = path == "" and "" or path .. ": "
    self.problems[self.count] = self.file .. ": " .. place .. text
  end
end

function methods:unknown(path, key, words)
  local hint = self.count < MOST and suggest.hint(key, words) or ""
  self:problem(M.join(path, key), "unknown field" .. hint)
end

function methods:plain(path, value, expected)
  if types.plain(value) then
    return true
  end
  local shown = type(value) == "table" and "a table with a metatable" or types.show(value)
  self:problem(path, shown .. " is not " .. expected)
  return false
end

local function names_of(fields)
  local names = {}
  for name in pairs(fields) do
    names[#names + 1] = name
  end
  return names
end

-- Fields of a type that types.check does not know are handed on as they are.
function methods:fields(path, given, fields, words)
  local values = {}
  for _, key in ipairs(M.sorted_keys(given)) do
    local field, value = fields[key], rawget(given, key)
    if not field then
      self:unknown(path, key, words or names_of(fields))
    elseif not types.check[field.type] then
      values[key] = value
    else
      local checked, reason = types.check[field.type](value, field)
      values[key] = checked
      if reason then
        self:problem(M.join(path, key), reason)
      end
    end
  end
  return values
end

function methods:list()
  if self.count == 0 then
    return nil
  elseif self.count > MOST then
    self.problems[MOST + 1] = ("%s: and %d more problems"):format(self.file, self.count - MOST)
  end
  return self.problems
end

return M
