-- SPDX-License-Identifier: Apache-2.0
-- The hooks of a router script: what it returns is a target, or a table of
-- these by name, which is looked at once, at load. What is absent costs nothing.
--
--   hooks.setup(native)
--   hooks.take(value, index)   the number of the target that routes for the cluster `index`, all
--                              other hooks being in force; or nil, message
--
-- One entry per hook: entry(value, index) takes what the script gave and returns
-- something true (that of `route`: the number of the target), or nil, message.
local events = require("nydus.events")
local hook = require("nydus.hook")
local keep = require("nydus.keep")
local suggest = require("nydus.config.suggest")
local target = require("nydus.target")
local trial = require("nydus.trial")

local M = {}

local ENTRIES = {}
local native

function ENTRIES.route(value)
  return target.id(value)
end

-- Answers from when the router has failed too often until the next reload.
function ENTRIES.fallback(value, index)
  local id, message = target.id(value)
  if not id then
    return nil, "fallback: " .. message
  end
  native.fallback(index, id)
  return true
end

-- Called before the configuration is put in force; what it raises refuses that.
function ENTRIES.check(value, index)
  if type(value) ~= "function" then
    return nil, ("check: a function is expected, got %s"):format(target.kind(value))
  end
  trial.add(index, value)
  return true
end

-- What the script hands to the next configuration.
function ENTRIES.keep(value, index)
  return keep.names(index, value)
end

-- Called when the configuration has been replaced, or the worker leaves.
function ENTRIES.stop(value)
  if type(value) ~= "function" then
    return nil, ("stop: a function is expected, got %s"):format(target.kind(value))
  end
  events.on_stop(value)
  return true
end

-- These take part in the way of a request, see nydus.hook: M.take puts them in front of the route.
local IN_FRONT = { "retry", "on_reply" }
for _, name in ipairs(IN_FRONT) do
  ENTRIES[name] = function()
    return true
  end
end

local NAMES = {}
for name in pairs(ENTRIES) do
  NAMES[#NAMES + 1] = name
end
table.sort(NAMES)

function M.setup(bindings)
  native = bindings
  trial.setup(native)
  hook.setup(native)
end

-- Is it a table of hooks? Other tables are lists of targets.
local function is_table_of_hooks(value)
  return type(value) == "table" and getmetatable(value) == nil and type((next(value))) == "string"
end

local function in_front(route, given)
  local message
  for _, name in ipairs(IN_FRONT) do
    if given[name] ~= nil then
      route, message = hook[name](route, given[name])
    end
    if not route then
      return nil, message
    end
  end
  return route
end

function M.take(value, index)
  local given = is_table_of_hooks(value) and value or { route = value }
  for name in pairs(given) do
    if not ENTRIES[name] then
      return nil, ("unknown hook '%s'%s"):format(tostring(name), suggest.hint(name, NAMES))
    end
  end
  if given.route == nil then
    return nil, "the hook 'route' is missing"
  end
  local route
  for _, name in ipairs(NAMES) do
    if given[name] ~= nil then
      local taken, message = ENTRIES[name](given[name], index)
      if not taken then
        return nil, message
      end
      route = name == "route" and taken or route
    end
  end
  return in_front(route, given)
end

return M
