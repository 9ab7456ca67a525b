-- Who cleans up. What a spec starts is registered here and closed in reverse
-- order when its scope ends: a test (with its before_each), else the describe
-- or the file around it; failed or not, so specs need no tear-down of their own.
--
--   scope.add(thing)            thing:close() will be called once
--   scope.drop(thing)           it was closed by hand
--   scope.enter() / leave()     called by the helper at each border
--   scope.problem(text)         counts as a failure of the run (a server that
--                               did not stop cleanly, a sanitizer's report)
--   scope.take_problems()       the problems since the last call
--   scope.logs()                the logs of all live things, for a failed spec

local M = {}

local scopes = { {} }
local problems = {}

function M.enter()
  scopes[#scopes + 1] = {}
end

local function close(thing)
  local ok, message = pcall(thing.close, thing)
  if not ok then M.problem(tostring(message)) end
end

function M.leave()
  local ending = scopes[#scopes]
  if #scopes > 1 then scopes[#scopes] = nil end
  while #ending > 0 do
    close(table.remove(ending))
  end
end

function M.add(thing)
  local current = scopes[#scopes]
  current[#current + 1] = thing
  return thing
end

function M.drop(thing)
  for _, things in ipairs(scopes) do
    for i = #things, 1, -1 do
      if things[i] == thing then table.remove(things, i) end
    end
  end
end

function M.problem(text)
  problems[#problems + 1] = text
end

function M.take_problems()
  local taken = problems
  problems = {}
  return taken
end

-- The last lines of each log, with its name above.
function M.logs()
  local out = {}
  for _, things in ipairs(scopes) do
    for _, thing in ipairs(things) do
      local text = thing.log_tail and thing:log_tail()
      if text and text ~= "" then out[#out + 1] = ("--- log of %s\n%s"):format(thing.name, text) end
    end
  end
  return table.concat(out, "\n")
end

return M
