-- SPDX-License-Identifier: Apache-2.0
-- Limits for the functions of the standard libraries that can run for long in
-- C, where no stop flag is looked at. What goes through here takes a few
-- milliseconds at most, or raises.
--
--   limits.install(native)   replaces them in this state's libraries, for methods of strings too;
--                            native: find, match, gmatch, gsub with a bound; depth(name) raises in a recursion
local M = {}

M.STRING = 1024 * 1024 -- bytes that string.rep may make
M.ITEMS = 100000       -- items of a table for concat
M.SORT = 10000         -- and for sort
M.KEPT = 1000          -- patterns that find knows to be plain or not
M.DATE = 1000          -- bytes of a format for os.date
M.PLAIN = 16 * 1024 * 1024 -- bytes of a text times bytes that are looked for in it, without a bound

local find, gsub, rep, concat, sort = string.find, string.gsub, string.rep, table.concat, table.sort
local move, insert, remove, set, date, format = table.move, table.insert, table.remove, rawset, os.date, string.format

local function too_much(name, text)
  error(("%s: %s"):format(name, text), 3)
end

-- Is the pattern plain text? Kept for those that were asked for: to find out is not compiled.
local plain_texts, plain_count = {}, 0

local function is_plain(pattern)
  local plain = plain_texts[pattern]
  if plain == nil then
    plain = not find(pattern, "[%^%$%*%+%?%.%(%[%%%-]")
    if plain_count == M.KEPT then
      plain_texts, plain_count = {}, 0
    end
    plain_texts[pattern], plain_count = plain, plain_count + 1
  end
  return plain
end

-- Plain text is looked for by LuaJIT itself: that compiles. It compares at
-- every place, so what may take long goes the bounded way.
local function limited_find(find_pattern)
  return function(text, pattern, init, plain)
    if plain or type(pattern) == "string" and is_plain(pattern) then
      if type(text) ~= "string" or type(pattern) ~= "string" or #text * #pattern <= M.PLAIN then
        return find(text, pattern, init or 1, true)
      end
      pattern = gsub(pattern, "%p", "%%%0")
    end
    return find_pattern(text, pattern, init)
  end
end

local function limited_rep(text, count, separator)
  local size = 0
  if type(text) == "string" and type(count) == "number" then
    size = (#text + #(separator or "")) * count
  end
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

-- What only Nydus may change: cluster.hosts, the table of require("nydus").
local function check_writable(list, name)
  if type(list) == "table" and getmetatable(list) == false then
    error(("%s: this table cannot be changed"):format(name), 3)
  end
end

local function limited_sort(check_depth)
  return function(list, less)
    check_writable(list, "table.sort")
    if type(list) == "table" and #list > M.SORT then
      too_much("table.sort", ("more than %d items"):format(M.SORT))
    end
    check_depth("table.sort")
    return sort(list, less)
  end
end

local function has_table(...)
  for i = 1, select("#", ...) do
    if type((select(i, ...))) == "table" then
      return true
    end
  end
  return false
end

-- A __tostring may call it again.
local function limited_format(check_depth)
  return function(text, ...)
    if has_table(...) then
      check_depth("string.format")
    end
    return format(text, ...)
  end
end

local function limited_move(from, first, last, place, to)
  if type(first) == "number" and type(last) == "number" and last - first >= M.ITEMS then
    too_much("table.move", ("more than %d items"):format(M.ITEMS))
  end
  check_writable(to or from, "table.move")
  return move(from, first, last, place, to)
end

local function limited_insert(list, ...)
  check_writable(list, "table.insert")
  return insert(list, ...)
end

local function limited_remove(list, at)
  check_writable(list, "table.remove")
  return remove(list, at)
end

local function limited_rawset(list, key, value)
  check_writable(list, "rawset")
  return set(list, key, value)
end

local function limited_date(text, time)
  if type(text) == "string" and #text > M.DATE then
    too_much("os.date", ("a format of more than %d bytes"):format(M.DATE))
  end
  return date(text, time)
end

local function replace(library, functions)
  for name, fn in pairs(functions) do
    library[name] = fn
  end
end

function M.install(native)
  replace(string, {
    find = limited_find(native.find),
    match = native.match,
    gmatch = native.gmatch,
    gsub = native.gsub,
    rep = limited_rep,
    format = limited_format(native.depth),
  })
  replace(table, {
    concat = limited_concat,
    insert = limited_insert,
    move = limited_move,
    remove = limited_remove,
    sort = limited_sort(native.depth),
  })
  replace(os, { date = limited_date })
  replace(_G, { rawset = limited_rawset })
end

return M
