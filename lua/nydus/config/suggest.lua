-- SPDX-License-Identifier: Apache-2.0
-- "Did you mean": the known word that is nearest to a mistyped one.
--
--   suggest.distance(a, b)          letters to change, add, drop or swap with the next
--   suggest.nearest(word, words)    the nearest of a list or nil; a tie goes to the first in the alphabet
--   suggest.hint(word, words)       "; did you mean 'x'?" or ""
--   suggest.names(table)            its keys that are strings, sorted: words for the above
local M = {}

local LONGEST = 64 -- the table grows with the square: do not let a huge word in

function M.distance(a, b)
  local before, last, row = {}, {}, {}
  for j = 0, #b do
    last[j] = j
  end
  for i = 1, #a do
    row[0] = i
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local cost = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        cost = math.min(cost, before[j - 2] + 1)
      end
      row[j] = cost
    end
    before, last, row = last, row, before
  end
  return last[#b]
end

function M.nearest(word, words)
  if type(word) ~= "string" or #word > LONGEST then
    return nil
  end
  local best, best_distance = nil, math.max(1, math.floor(#word / 3)) + 1
  for _, known in ipairs(words) do
    local distance = M.distance(word:lower(), known)
    if distance < best_distance or (distance == best_distance and best and known < best) then
      best, best_distance = known, distance
    end
  end
  return best
end

function M.hint(word, words)
  local best = M.nearest(word, words)
  return best and "; did you mean '" .. best .. "'?" or ""
end

function M.names(given)
  local names = {}
  for name in pairs(given) do
    if type(name) == "string" then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

return M
