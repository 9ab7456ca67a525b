-- The cases of the comparison, as data.
--
--   cases.chosen(patterns) → the groups whose titles match, all without patterns
--   cases.matches(text, patterns)   does it match one of them? They have | between
--   cases.defaults        what a row has that its group does not say
--
-- A group's rows are measured in turns, so that their ratios hold: `vary` makes
-- a row of each of its values. Of a row:
--
--   test     what redis-benchmark calls it, or words: a command
--   depth    commands in one pipeline        clients  connections
--   size     bytes of a value                hosts    to which the proxy sends
--   crowded  hosts share the proxy's core, so that it is never idle and what
--            arrives together can leave together; else it has a core to itself
--   free     nobody has a core of his own
--   steady   counted at the hosts while it goes on: connecting is left out
--   run      the module that measures it, in place of load.lua
--   rate     requests per second to begin with
--   without  kinds of proxies that are left out

local M = {}

local MGET = { "mget" }
for i = 1, 100 do MGET[i + 1] = "key:__rand_int__" end

local PLAIN = { script = true }
local RELAYLESS = { script = true, relay = true } -- a relay has one host
local OURS = { script = true, relay = true, twemproxy = true } -- which has one worker

local groups = {
  { title = "GET 1", test = "get", depth = 1 },
  { title = "SET 1", test = "set", depth = 1 },
  { title = "GET 16", test = "get", depth = 16 },
  { title = "SET 16", test = "set", depth = 16 },
  { title = "GET 64", test = "get", depth = 64 },
  { title = "SET 64", test = "set", depth = 64 },
  { title = "GET 1, saturated", test = "get", depth = 1, clients = 200, crowded = true },
  { title = "MGET of 100 keys", test = MGET, depth = 1, without = PLAIN, rate = 4000 },
  { title = "1 KB: GET 16", test = "get", depth = 16, size = 1024, without = PLAIN },
  { title = "1 KB: SET 16", test = "set", depth = 16, size = 1024, without = PLAIN },
  { title = "64 KB: GET 1", test = "get", depth = 1, size = 65536, without = PLAIN, rate = 8000 },
  { title = "64 KB: SET 1", test = "set", depth = 1, size = 65536, without = PLAIN, rate = 8000 },
  { title = "hosts: GET 1", test = "get", depth = 1, without = RELAYLESS, steady = true, vary = "hosts", 3, 30, 300 },
  { title = "hosts: GET 16", test = "get", depth = 16, without = RELAYLESS, steady = true, vary = "hosts", 3, 30, 300 },
  { title = "clients: GET 1", test = "get", depth = 1, without = PLAIN, steady = true,
    vary = "clients", 50, 500, 5000 },
  { title = "clients: GET 16", test = "get", depth = 16, without = PLAIN, steady = true,
    vary = "clients", 50, 500, 5000 },
  { title = "workers: GET 16", test = "get", depth = 16, without = OURS, steady = true, free = true,
    vary = "workers", 1, 2 },
  { title = "hosts: reload", run = "reload", without = OURS, vary = "hosts", 3, 300 },
  { title = "latency", run = "latency", test = "get", without = PLAIN },
  { title = "memory", run = "memory", without = PLAIN },
}

M.defaults = { depth = 1, clients = 50, size = 32, hosts = 3, workers = 1, crowded = false }

local function row(group, value)
  local out = setmetatable({}, { __index = function(_, name)
    local own = group[name]
    if own == nil then return M.defaults[name] end
    return own
  end })
  if value then
    out[group.vary] = value
    out.title = group.title:gsub("^%a+", value .. " " .. (value == 1 and group.vary:gsub("s$", "") or group.vary))
  end
  return out
end

local function with_rows(group)
  group.rows = {}
  for i, value in ipairs(group) do group.rows[i] = row(group, value) end
  if #group == 0 then group.rows[1] = row(group) end
  return group
end

function M.matches(text, patterns)
  for pattern in (patterns or "."):gmatch("[^|]+") do
    if text:find(pattern) then return true end
  end
  return false
end

function M.chosen(patterns)
  local out = {}
  for _, group in ipairs(groups) do
    if M.matches(group.title, patterns) then out[#out + 1] = with_rows(group) end
  end
  return out
end

return M
