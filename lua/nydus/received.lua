-- SPDX-License-Identifier: Apache-2.0
-- Replies of hosts, as scripts look at them. They are read where they are: nothing
-- is copied or parsed before it is asked for.
--
--   reply.type       "string" "status" "error" "integer" "null" "array"; of a client in RESP3 also
--                    "map" "set" "double" "boolean" "big_number" "push"
--   reply.ok         it is no error; .is_error, .is_null
--   reply:str()      its text: of strings, statuses, errors and all numbers; nil for others
--   reply:int()      the same as a number when it is a whole one, else nil
--   #reply           how many items it has; of a map: keys and values in turn
--   reply[i]         an item, as a reply of its own, or nil
--
-- For other modules:
--   received.setup()
--   received.new(bytes, size, alive, number)   good while alive[0] is number
--   received.is(value)
--   received.bytes(reply)   all of it in RESP
local abi = require("nydus.abi")
local ffi = require("ffi")
local suggest = require("nydus.config.suggest")

local M = {}

local reply_t, batch

local TYPES = {
  ["+"] = "status", ["-"] = "error", [":"] = "integer", ["$"] = "string", ["="] = "string", ["_"] = "null",
  ["*"] = "array", ["%"] = "map", ["~"] = "set", [","] = "double", ["#"] = "boolean", ["("] = "big_number",
  [">"] = "push",
}
local NAMES = {} -- by the number of the character
for char, name in pairs(TYPES) do
  NAMES[char:byte()] = name
end
local ERROR, NULL, BOOLEAN, TRUE = ("-"):byte(), ("_"):byte(), ("#"):byte(), ("t"):byte()

local value -- of the reply that was looked at last

local function look(self, level)
  if not ffi.istype(reply_t, self) then
    error("this is no reply: write reply:method(…), with a colon", level + 1)
  elseif self.alive_[0] ~= self.number_ then
    error("reply is over", level + 1)
  end
  batch.value(self, value)
  return value
end

local fields = {}

function fields.type(seen)
  return NAMES[seen.kind]
end

function fields.ok(seen)
  return seen.kind ~= ERROR
end

function fields.is_error(seen)
  return seen.kind == ERROR
end

function fields.is_null(seen)
  return seen.kind == NULL
end

local methods = {}

local function text_of(seen)
  if seen.kind == NULL or seen.items ~= nil then
    return nil
  elseif seen.kind == BOOLEAN then
    return seen.text[0] == TRUE and "1" or "0"
  end
  return ffi.string(seen.text, seen.size)
end

function methods.str(self)
  local seen = look(self, 2)
  return text_of(seen)
end

function methods.int(self)
  local text = text_of(look(self, 2))
  if text and text:find("^[-+]?%d+$") then
    return tonumber(text)
  end
  return nil
end

local function words()
  local list = {}
  for _, names in ipairs({ fields, methods }) do
    for name in pairs(names) do
      list[#list + 1] = name
    end
  end
  return list
end

local METATYPE = {}

function METATYPE.__index(self, name)
  local method = methods[name]
  if method then
    return method
  end
  local seen = look(self, 2)
  if type(name) == "number" then
    local item = ffi.new("struct nydus_text")
    if name % 1 == 0 and batch.item(self, name - 1, item) then
      return reply_t(item.bytes, item.size, self.alive_, self.number_)
    end
    return nil
  end
  local field = fields[name]
  if not field then
    error(("a reply has no field '%s'%s"):format(tostring(name), suggest.hint(tostring(name), words())), 2)
  end
  return field(seen)
end

function METATYPE.__len(self)
  local seen = look(self, 2)
  return seen.count
end

function METATYPE.__newindex(_, name)
  error(("a reply cannot be changed (field '%s'); return another one"):format(tostring(name)), 2)
end

function METATYPE.__eq(one, two)
  if type(one) ~= "cdata" and one == nil or type(two) ~= "cdata" and two == nil then
    return false
  elseif ffi.istype(reply_t, one) and ffi.istype(reply_t, two) then
    return one.bytes_ == two.bytes_ and one.size_ == two.size_
  end
  error("a reply is no text or number: compare reply:str() or reply:int()", 2)
end

function METATYPE.__tostring(self)
  if self.alive_[0] ~= self.number_ then
    return "reply (over)"
  end
  return "reply " .. fields.type(look(self, 2))
end

function M.setup()
  batch = abi.batch
  value = ffi.new("struct nydus_look")
  reply_t = ffi.metatype("struct nydus_reply", METATYPE)
end

function M.new(bytes, size, alive, number)
  return reply_t(bytes, size, alive, number)
end

function M.is(given)
  return ffi.istype(reply_t, given)
end

function M.bytes(reply)
  look(reply, 2)
  return ffi.string(reply.bytes_, reply.size_)
end

return M
