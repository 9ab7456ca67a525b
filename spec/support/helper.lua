-- Loaded by busted before any spec: keeps the support modules loaded across
-- files, and marks the borders of scopes (see scope.lua).

local busted = require("busted")
local scope = require("support.scope")
local sys = require("support.sys")
require("support")

sys.remove_stale()
sys.raise_descriptors(8192)

local function enter()
  scope.enter()
  return nil, true -- busted stops telling others without it
end

local function leave()
  scope.leave()
  return nil, true
end

busted.subscribe({ "file", "start" }, enter)
busted.subscribe({ "file", "end" }, leave, { priority = 1 })
busted.subscribe({ "describe", "start" }, enter)
busted.subscribe({ "describe", "end" }, leave)
busted.subscribe({ "suite", "end" }, function()
  leave()
  require("support.redis").drain()
  return nil, true
end, { priority = 1 })

-- Around those of the specs, so that what a before_each starts ends with its test.
busted.before_each(function() scope.enter() end)
busted.after_each(function() scope.leave() end)
