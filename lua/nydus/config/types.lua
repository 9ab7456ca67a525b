-- SPDX-License-Identifier: Apache-2.0
-- The types of the fields in config.lua.
--
--   types.check[type](value, field)   the value to use, or nil, reason
--   types.show(value)                 a value for a message: short, one line, no secrets
--   types.size(text)                  bytes of "64mb" or of a number, or nil
--   types.plain(value)                a table without a metatable?
local address = require("nydus.config.address")
local suggest = require("nydus.config.suggest")

local M = {}

local SHOWN = 60 -- characters of a text
local UNITS = { b = 1, kb = 2 ^ 10, mb = 2 ^ 20, gb = 2 ^ 30, tb = 2 ^ 40 }
local KINDS = { ["nil"] = "nothing", boolean = "a boolean", string = "a text", number = "a number" }

function M.kind(value)
  return KINDS[type(value)] or "a " .. type(value)
end

local function show_number(value)
  if value ~= value then
    return "nan" -- the C library prints -nan for some
  end
  return ("%.14g"):format(value)
end

function M.show(value)
  if type(value) == "number" then
    return show_number(value)
  elseif type(value) == "boolean" then
    return tostring(value)
  elseif type(value) ~= "string" then
    return M.kind(value)
  end
  local text = #value > 4096 and value:sub(1, 4096) or value
  if #value > 4096 and (value:find("@", 1, true) or value:find("://", 1, true)) then
    return "a text of " .. #value .. " bytes"
  end
  text = address.redact(text)
  local cut = #text > SHOWN and text:sub(1, SHOWN) .. "..." or text
  cut = cut:gsub("[%c\"\\\127]", function(char)
    return (char == "\"" or char == "\\") and "\\" .. char or ("\\%d"):format(char:byte())
  end)
  return "\"" .. cut .. "\""
end

-- "x is not a port", without x when it may be a secret.
local function refuse(value, field, expected)
  local shown = field.secret and M.kind(value) or M.show(value)
  return nil, shown .. " is not " .. expected
end

function M.plain(value)
  return type(value) == "table" and getmetatable(value) == nil
end

function M.size(value)
  if type(value) == "string" then
    local digits, unit = value:match("^(%d+)%s*(%a*)$")
    local factor = digits and #digits <= 15 and UNITS[unit:lower() ~= "" and unit:lower() or "b"]
    return factor and tonumber(digits) * factor
  elseif type(value) == "number" and value % 1 == 0 then
    return value
  end
  return nil
end

local check = {}
M.check = check

function check.boolean(value, field)
  if type(value) ~= "boolean" then
    return refuse(value, field, "true or false")
  end
  return value
end

-- A number that os.getenv gave as a text is the most common slip of all.
local function refuse_number(value, field, expected, fits)
  local number = type(value) == "string" and tonumber(value)
  local hint = number and fits(number, field) and "; it is a text, tonumber() makes it a number" or ""
  return refuse(value, field, expected .. hint)
end

local function is_whole(value, field)
  return type(value) == "number" and value % 1 == 0 and value >= field.min and value <= field.max
end

function check.integer(value, field)
  if is_whole(value, field) then
    return value
  end
  local expected = ("a whole number from %d to %d"):format(field.min, field.max)
  return refuse_number(value, field, expected, is_whole)
end

local PORTS = { min = 1, max = 65535 }

function check.port(value)
  if is_whole(value, PORTS) then
    return value
  end
  return refuse_number(value, PORTS, "a port (1-65535)", is_whole)
end

local function is_time(value, field)
  return type(value) == "number" and value <= field.max
    and (field.above and value > field.above or field.min and value >= field.min) or false
end

function check.seconds(value, field)
  if is_time(value, field) then
    return value
  end
  local least = field.above and ("above %d and up to"):format(field.above) or ("from %d to"):format(field.min)
  return refuse_number(value, field, ("a time in seconds %s %d"):format(least, field.max), is_time)
end

function check.size(value, field)
  local size = M.size(value)
  if not size or size < M.size(field.min) or size > M.size(field.max) then
    return refuse(value, field, ("a size from %s to %s (a number of bytes, or a text like \"64mb\")")
      :format(field.min, field.max))
  end
  return size
end

function check.string(value, field)
  local expected
  if type(value) ~= "string" then
    expected = "a text"
  elseif value == "" then
    return nil, "it is empty; leave it out, or is an environment variable not set?"
  elseif #value > field.max then
    return nil, "it is longer than " .. field.max .. " bytes"
  elseif value:find("\0", 1, true) then
    return nil, "it has a NUL byte"
  elseif not field.secret and value:find("%c") then
    expected = "a text without control characters"
  end
  if expected then
    return refuse(value, field, expected)
  end
  return value
end

function check.choice(value, field)
  for _, choice in ipairs(field.choices) do
    if value == choice then
      return value
    end
  end
  return refuse(value, field, "one of " .. table.concat(field.choices, ", ")
    .. suggest.hint(value, field.choices))
end

function check.host(value, field)
  if type(value) == "string" then
    local bare = value:match("^%[(.*)%]$") or value
    if address.is_host(bare) then
      return bare
    elseif value:find("://", 1, true) then
      return refuse(value, field, "a host; write a URL in place of the whole { … }")
    elseif value:find("^[^:]+:%d+$") then
      return refuse(value, field, "a host; the port is a field of its own")
    end
  end
  return refuse(value, field, "a host name or an address")
end

function check.workers(value, field)
  if value == "auto" then
    return 0 -- resolved by whoever knows the CPUs
  end
  if is_whole(value, field) then
    return value
  end
  local expected = ("\"auto\" or a whole number from %d to %d"):format(field.min, field.max)
  return refuse_number(value, field, expected, is_whole)
end

function check.hash_tag(value, field)
  if type(value) ~= "string" or #value ~= 2 then
    return refuse(value, field, "two characters, as in \"{}\"")
  elseif value:find("%z") then
    return nil, "it has a NUL byte"
  end
  return value
end

return M
