-- SPDX-License-Identifier: Apache-2.0
-- Replies that a script makes itself, as RESP.
--
--   reply.encode(value)    the bytes, or nil, message; string, number, boolean,
--                          reply.null, reply.status "OK", or a list of these
--   reply.error(text)      the bytes of an error, or nil, message
--   reply.status(text)     a status for encode
--   reply.null             nil as a value
--   reply.loose(bytes)     a reply that was made during a decision
--   reply.is_loose(value)
--   reply.is_value(value)  is it null, or a status?
--   reply.kind(value)      what a value of ours, which is no reply yet, is called; nil: it is none
local M = {}

local MAX_DEPTH = 32
local MAX_VALUES = 50000

local Status, Loose = {}, {}
Status.__index, Loose.__index = Status, Loose

M.null = setmetatable({}, {
  __tostring = function() return "null" end,
  __newindex = function() error("nydus.null cannot be changed", 2) end,
  __metatable = false,
})

function M.status(text)
  return setmetatable({ text = text }, Status)
end

function M.loose(bytes)
  return setmetatable({ bytes = bytes }, Loose)
end

function M.is_loose(value)
  return getmetatable(value) == Loose
end

function M.is_value(value)
  return value == M.null or getmetatable(value) == Status
end

function M.kind(value)
  if value == M.null then
    return "nydus.null (write nydus.reply(nydus.null))"
  elseif getmetatable(value) == Status then
    return "a status (write nydus.reply(nydus.status \"…\"))"
  end
end

local function is_line(text)
  return not text:find("[\r\n]")
end

local encode
local left -- how many values the reply may still have

local function encode_list(list, depth)
  local count = 0
  for key in next, list do
    if type(key) ~= "number" then
      return nil, "a list is expected, got a table with the key " .. tostring(key)
    end
    count = count + 1
  end
  if count ~= #list then
    return nil, "a list with a gap; nydus.null stands for nothing"
  end
  local parts = { ("*%d\r\n"):format(count) }
  for i = 1, count do
    local bytes, message = encode(list[i], depth + 1)
    if not bytes then
      return nil, message
    end
    parts[i + 1] = bytes
  end
  return table.concat(parts)
end

local function encode_number(number)
  if number % 1 == 0 and number >= -2 ^ 53 and number <= 2 ^ 53 then
    return (":%.0f\r\n"):format(number)
  end
  local text = ("%.17g"):format(number)
  return ("$%d\r\n%s\r\n"):format(#text, text)
end

function encode(value, depth)
  local kind = type(value)
  left = left - 1
  if left < 0 then
    return nil, ("more than %d values"):format(MAX_VALUES)
  elseif kind == "string" then
    return ("$%d\r\n"):format(#value) .. value .. "\r\n"
  elseif kind == "number" then
    return encode_number(value)
  elseif kind == "boolean" then -- as Redis turns Lua values into replies
    return value and ":1\r\n" or "$-1\r\n"
  elseif value == M.null then
    return "$-1\r\n"
  elseif kind ~= "table" then
    return nil, "a string, number, list, nydus.null or nydus.status is expected, got " .. kind
  elseif getmetatable(value) == Status then
    return "+" .. value.text .. "\r\n"
  elseif getmetatable(value) then
    return nil, "a string, number, list, nydus.null or nydus.status is expected, got an object"
  elseif depth > MAX_DEPTH then
    return nil, "lists in lists, more than 32 deep"
  end
  return encode_list(value, depth)
end

function M.encode(value)
  left = MAX_VALUES
  return encode(value, 1)
end

function M.is_status(text)
  return is_line(text)
end

function M.error(text)
  if not is_line(text) then
    return nil, "an error is one line"
  elseif not text:find("^%u[%u%d_]*%f[ %z]") and not text:find("^%u[%u%d_]*$") then
    return nil, "an error begins with a word in capitals, as in \"ERR no such tenant\""
  end
  return "-" .. text .. "\r\n"
end

return M
