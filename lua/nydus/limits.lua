-- SPDX-License-Identifier: Apache-2.0
-- Limits for the functions of the standard libraries that can run for long in
-- C, where no stop flag is looked at. What goes through here takes a few
-- milliseconds at most, or raises.
--
--   limits.install()   replaces them in this state's libraries, for methods of strings too
local M = {}

M.STRING = 1024 * 1024     -- bytes a call may make
M.PATTERN = 4 * 1000 * 1000 -- steps a pattern may take, as estimated
M.ITEMS = 100000           -- items of a table for sort and concat

local find, match, gmatch, gsub = string.find, string.match, string.gmatch, string.gsub
local rep, concat, sort, sub = string.rep, table.concat, table.sort, string.sub

local function too_much(name, text)
  error(("%s: %s"):format(name, text), 3)
end

-- How many quantifiers a pattern has, and is it anchored? Each may try every
-- length, and an unanchored one does so at every place.
local function weigh(pattern)
  local plain = gsub(pattern, "%%.", "a")
  plain = gsub(plain, "%[%]?[^%]]*%]", "a")
  local _, count = gsub(plain, "[*+-]", "")
  local _, balanced = gsub(pattern, "%%[bf]", "")
  return count + balanced + (sub(pattern, 1, 1) == "^" and 0 or 1)
end

local weights, weight_count = {}, 0

local function weight_of(pattern)
  local weight = weights[pattern]
  if not weight then
    if weight_count >= 1000 then
      weights, weight_count = {}, 0
    end
    weight = weigh(pattern)
    weights[pattern] = weight
    weight_count = weight_count + 1
  end
  return weight
end

local function check_pattern(name, text, pattern)
  if type(text) ~= "string" or type(pattern) ~= "string" then
    return
  end
  local size = #text
  local weight = size > 64 and weight_of(pattern) or 0
  if weight > 1 and size ^ weight > M.PATTERN ^ (1 + weight / 4) then
    too_much(name, ("the pattern '%s' could take too long on %d bytes"):format(sub(pattern, 1, 40), size))
  end
end

local function limited_find(text, pattern, init, plain)
  if not plain then
    check_pattern("string.find", text, pattern)
  end
  return find(text, pattern, init, plain)
end

local function limited_match(text, pattern, init)
  check_pattern("string.match", text, pattern)
  return match(text, pattern, init)
end

local function limited_gmatch(text, pattern)
  check_pattern("string.gmatch", text, pattern)
  return gmatch(text, pattern)
end

local function limited_gsub(text, pattern, replacement, count)
  check_pattern("string.gsub", text, pattern)
  if type(text) == "string" and type(replacement) == "string" and #text * #replacement > M.STRING * 16 then
    too_much("string.gsub", "the result could be too large")
  end
  return gsub(text, pattern, replacement, count)
end

local function limited_rep(text, count, separator)
  local size = type(text) == "string" and type(count) == "number" and (#text + #(separator or "")) * count or 0
  if size > M.STRING then
    too_much("string.rep", ("%.0f bytes are too many (%d at most)"):format(size, M.STRING))
  end
  return rep(text, count, separator)
end

local function limited_concat(list, separator, first, last)
  if type(list) == "table" and (last or #list) - (first or 1) >= M.ITEMS then
    too_much("table.concat", ("more than %d items"):format(M.ITEMS))
  end
  return concat(list, separator, first, last)
end

local function limited_sort(list, less)
  if type(list) == "table" and #list > M.ITEMS then
    too_much("table.sort", ("more than %d items"):format(M.ITEMS))
  end
  return sort(list, less)
end

function M.install()
  string.find, string.match, string.gmatch, string.gsub = limited_find, limited_match, limited_gmatch, limited_gsub
  string.rep, table.concat, table.sort = limited_rep, limited_concat, limited_sort
end

return M
