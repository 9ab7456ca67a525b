-- SPDX-License-Identifier: Apache-2.0
-- The log for scripts.
--
--   log.add(api, native)              adds to what require("nydus") gives:
--     nydus.log.debug info warn error(format, …)
--
-- A line begins with where the script says it, "routers/x.lua:12". Of one place
-- and level five lines a second are written; how many more there were is said
-- with the next one. Without values behind it the format is a plain text, so
-- that a key with % in it does no harm.
local abi = require("nydus.abi")
local suggest = require("nydus.config.suggest")

local M = {}

local LEVELS = { debug = 0, info = 1, warn = 2, error = 3 }
local DEPTH = 6

-- The nearest script that runs; not pcall, nor ours that called it.
local function place()
  for level = 3, 3 + DEPTH do
    local info = debug.getinfo(level, "Sl")
    if not info then
      break
    elseif info.currentline > 0 and not info.short_src:find("^nydus%.") then
      return ("%s:%d"):format(info.short_src, info.currentline)
    end
  end
  return "a router script"
end

local function make_level(native, name, level)
  local enabled, format, write = abi.state.log_enabled, string.format, native.log_line
  return function(text, ...)
    if not enabled(level) then
      return
    end
    if select("#", ...) > 0 then
      local ok, line = pcall(format, text, ...)
      if not ok then
        error(("nydus.log.%s: %s"):format(name, (tostring(line):gsub(" to '%?'", ""))), 2)
      end
      text = line
    end
    write(level, place(), tostring(text))
  end
end

function M.add(api, native)
  local levels, words = {}, {}
  for name, level in pairs(LEVELS) do
    levels[name] = make_level(native, name, level)
    words[#words + 1] = name
  end
  table.sort(words)
  api.log = setmetatable({}, {
    __index = function(_, name)
      local level = levels[name]
      if not level then
        error(("nydus.log.%s: no such level%s"):format(tostring(name), suggest.hint(name, words)), 2)
      end
      return level
    end,
    __newindex = function()
      error("nydus.log cannot be changed", 2)
    end,
    __metatable = false,
  })
end

return M
