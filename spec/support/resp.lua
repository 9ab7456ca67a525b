-- RESP for specs: words to bytes, bytes to Lua values. Written apart from
-- src/resp on purpose, so that one checks the other.
--
--   resp.encode{ "SET", "k", "v" } → bytes of a request
--   resp.decode(bytes, at) → value, next position; nothing when bytes are missing
--
-- Values: a status or a bulk is a string, an integer a number (a string when
-- it does not fit one exactly), null is resp.null, an array a list, an error
-- { err = "ERR …" }. RESP3: { map = {k, v, …} }, { set = … }, { push = … },
-- { double = "1.5" }, { bool = true }, { big = "…" }, { verbatim = "txt:…" },
-- { attribute = {…}, value = … }.

local M = {}

M.null = setmetatable({}, { __tostring = function() return "null" end })

function M.encode(words)
  local out = { ("*%d\r\n"):format(#words) }
  for _, word in ipairs(words) do
    local text = tostring(word)
    out[#out + 1] = ("$%d\r\n%s\r\n"):format(#text, text)
  end
  return table.concat(out)
end

local function to_number(text)
  local number = tonumber(text)
  if not number then error("not a RESP integer: " .. text, 0) end
  return math.abs(number) < 2 ^ 53 and number or text
end

-- `count` values from `at`; nil when bytes are missing.
local function decode_list(bytes, at, count)
  local list = {}
  for i = 1, count do
    local value, after = M.decode(bytes, at)
    if after == nil then return nil end
    list[i], at = value, after
  end
  return list, at
end

local function decode_bulk(bytes, at, text)
  local size = tonumber(text)
  if size == -1 then return M.null, at end
  if #bytes < at + size + 1 then return nil end
  if bytes:sub(at + size, at + size + 1) ~= "\r\n" then error("a bulk does not end with CRLF", 0) end
  return bytes:sub(at, at + size - 1), at + size + 2
end

local function wrapped(field, factor)
  return function(bytes, at, text)
    local list, after = decode_list(bytes, at, tonumber(text) * factor)
    if not after then return nil end
    return { [field] = list }, after
  end
end

local kinds = {
  ["+"] = function(_, at, text) return text, at end,
  ["-"] = function(_, at, text) return { err = text }, at end,
  [":"] = function(_, at, text) return to_number(text), at end,
  ["_"] = function(_, at) return M.null, at end,
  ["#"] = function(_, at, text) return { bool = text == "t" }, at end,
  [","] = function(_, at, text) return { double = text }, at end,
  ["("] = function(_, at, text) return { big = text }, at end,
  ["$"] = decode_bulk,
  ["="] = function(bytes, at, text)
    local value, after = decode_bulk(bytes, at, text)
    if not after then return nil end
    return { verbatim = value }, after
  end,
  ["*"] = function(bytes, at, text)
    if text == "-1" then return M.null, at end
    return decode_list(bytes, at, tonumber(text))
  end,
  ["%"] = wrapped("map", 2),
  ["~"] = wrapped("set", 1),
  [">"] = wrapped("push", 1),
  ["|"] = function(bytes, at, text)
    local list, after = decode_list(bytes, at, tonumber(text) * 2)
    if not after then return nil end
    local value, rest = M.decode(bytes, after)
    if not rest then return nil end
    return { attribute = list, value = value }, rest
  end,
}

function M.decode(bytes, at)
  at = at or 1
  local finish = bytes:find("\r\n", at, true)
  if not finish then return nil end
  local kind = kinds[bytes:sub(at, at)]
  if not kind then
    error(("not a RESP value at byte %d: %q"):format(at, bytes:sub(at, at + 40)), 0)
  end
  return kind(bytes, finish + 2, bytes:sub(at + 1, finish - 1))
end

-- How many bytes must at least be there for the value at `at` to be whole, or
-- nil when that is unknown. Lets a reader of a huge bulk decode once.
function M.need(bytes, at)
  local size, after = bytes:match("^%$(%d+)\r\n()", at)
  return size and after + tonumber(size) + 1
end

return M
