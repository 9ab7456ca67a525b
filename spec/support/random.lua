-- Random choices that a seed repeats, whatever else draws numbers meanwhile.
--
--   local random = Random.new(seed)
--   random:below(n)            0 … n-1
--   random:between(low, high)  both included
--   random:chance(percent)     true in so many of a hundred
--   random:pick(list)          one of it
--   random:weighted{ {weight, thing}, … }   one of the things

local Random = {}
Random.__index = Random

function Random.new(seed)
  local self = setmetatable({ state = seed % 2147483646 + 1 }, Random)
  for _ = 1, 10 do self:below(2) end -- small seeds begin alike
  return self
end

function Random:below(n)
  self.state = self.state * 48271 % 2147483647
  return self.state % n
end

function Random:between(low, high)
  return low + self:below(high - low + 1)
end

function Random:chance(percent)
  return self:below(100) < percent
end

function Random:pick(list)
  return list[1 + self:below(#list)]
end

function Random:weighted(choices)
  local total = 0
  for _, choice in ipairs(choices) do total = total + choice[1] end
  local at = self:below(total)
  for _, choice in ipairs(choices) do
    at = at - choice[1]
    if at < 0 then return choice[2] end
  end
end

return Random
