-- SPDX-License-Identifier: Apache-2.0
-- Addresses as people write them: where to listen, and hosts as URLs.
--
--   address.listen(value)   { kind, host, port, path, text } or nil, reason
--   address.host(text)      the host options of a URL or "host:port", or nil, reason
--   address.is_host(text)   is it a name, an IPv4 or an IPv6 address?
--   address.join(host, port)  "host:port", "[::1]:port"
--   address.ipv6(text)      its eight groups in one spelling, or nil
--   address.redact(text)    the text with what may be a secret as ***
local M = {}

M.MAX_PATH = 107 -- sun_path of Linux, less the NUL

-- What stands before the last @ may be a password, and so may what follows
-- the scheme when there is no @, or a ?.
function M.redact(text)
  local scheme = text:match("^%s*[%w+.%-]*://") or text:match("^%s*[Rr][Ee][Dd][Ii][Ss][Ss]?:/*") or ""
  local rest = text:sub(#scheme + 1)
  local after = rest:match("^.*@(.*)$")
  if after then
    text = scheme .. "***@" .. after
  elseif scheme ~= "" then
    return scheme .. "***"
  end
  return (text:gsub("%?.*", "?***"))
end

local function ipv4(text)
  local a, b, c, d = text:match("^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$")
  return a and tonumber(a) < 256 and tonumber(b) < 256 and tonumber(c) < 256 and tonumber(d) < 256
end

-- The groups on one side of "::" as a list, or nil.
local function ipv6_groups(text)
  local groups = {}
  if text == "" then
    return groups
  end
  for group in (text .. ":"):gmatch("([^:]*):") do
    if not group:find("^%x%x?%x?%x?$") then
      return nil
    end
    groups[#groups + 1] = ("%x"):format(tonumber(group, 16))
  end
  return groups
end

-- The last two groups may be written as an IPv4 address.
local function ipv6_unmix(text)
  local head, tail = text:match("^(.*:)([%d.]+)$")
  if not head or not tail:find(".", 1, true) then
    return text
  elseif not ipv4(tail) then
    return nil
  end
  local a, b, c, d = tail:match("(%d+)%.(%d+)%.(%d+)%.(%d+)")
  return head .. ("%x:%x"):format(a * 256 + b, c * 256 + d)
end

function M.ipv6(text)
  local plain, zone = text:match("^([%x:.]+)(.*)$")
  plain = plain and ipv6_unmix(plain)
  if not plain or not (zone == "" or zone:find("^%%[%w._%-]+$")) then
    return nil
  end
  local left, right = plain:match("^(.-)::(.*)$")
  local head, tail = ipv6_groups(left or plain), ipv6_groups(right or "")
  if not head or not tail or (left and #head + #tail > 7) or (not left and #head ~= 8) then
    return nil
  end
  for _ = #head + #tail + 1, 8 do
    head[#head + 1] = "0"
  end
  return table.concat(head, ":") .. (#tail > 0 and ":" .. table.concat(tail, ":") or "") .. zone
end

function M.is_host(text)
  if #text > 253 then
    return false
  elseif text:find(":", 1, true) then
    return M.ipv6(text) ~= nil
  elseif text:find("^[%d.]+$") then
    return ipv4(text) and true or false
  end
  return text:find("^[%w_][%w_.%-]*$") ~= nil
end

function M.join(host, port)
  return (host:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(host, port)
end

-- The reasons never repeat the text: in a URL without @ it may be a password.
local function parse_port(text)
  local port = text:find("^%d+$") and #text <= 8 and tonumber(text)
  if not port or port < 1 or port > 65535 then
    return nil, "what follows the colon is not a port (1-65535)"
  end
  return port
end

-- "host:port" in its parts; either may be missing (nil).
local function split(text)
  local host, rest = text:match("^%[([^%]]*)%](.*)$")
  if host then
    if not M.ipv6(host) then
      return nil, nil, "what stands in the brackets is not an IPv6 address"
    end
  else
    host, rest = text:match("^([^:]*)(.*)$")
    if rest:find(":", 2, true) then
      return nil, nil, "an IPv6 address needs brackets, as in [::1]:6380"
    elseif host ~= "" and not M.is_host(host) then
      return nil, nil, "the host is neither a name nor an address"
    end
  end
  if rest == "" then
    return host, nil
  elseif rest:sub(1, 1) ~= ":" then
    return nil, nil, "only :port can follow the bracket"
  end
  local port, reason = parse_port(rest:sub(2))
  return host, port, reason
end

local function check_path(path)
  if path == "" then
    return nil, "the path is empty"
  elseif path:find("\0", 1, true) then
    return nil, "the path has a NUL byte"
  elseif #path > M.MAX_PATH then
    return nil, "the path is longer than " .. M.MAX_PATH .. " bytes"
  end
  return path
end

local function listen_tcp(text)
  if text:find("^%d+$") then
    text = ":" .. text
  end
  local host, port, reason = split(text)
  if reason then
    return nil, reason
  elseif not port then
    return nil, "there is no port"
  end
  return { kind = "tcp", host = host, port = port, text = M.join(host, port) }
end

function M.listen(value)
  if type(value) == "number" then
    value = ("%.14g"):format(value)
  elseif type(value) ~= "string" then
    return nil, "expected a text like \"127.0.0.1:6380\", \":6380\", \"[::1]:6380\" or \"unix:/path\""
  end
  local path = value:match("^unix:(.*)$")
  if path then
    local reason
    path, reason = check_path((path:gsub("^///?", "/")))
    return path and { kind = "unix", path = path, text = "unix:" .. path }, reason
  elseif value:find("^/") then
    return nil, "write a unix socket as \"unix:/path\""
  end
  return listen_tcp(value)
end

local function decode(text)
  if text:gsub("%%%x%x", ""):find("%", 1, true) then
    return nil, "a % is not followed by two hexadecimal digits (write % itself as %25)"
  end
  local plain = text:gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end)
  if plain:find("\0", 1, true) then
    return nil, "it has a NUL byte"
  end
  return plain
end

-- "user:password@" into options; empty parts count as left out.
local function parse_userinfo(options, text)
  local user, password = text:match("^([^:]*):(.*)$")
  if not user then
    return false, "a user needs a password: user:password@"
  end
  local reason
  for name, part in pairs({ user = user, password = password }) do
    part, reason = decode(part)
    if not part then
      return false, reason
    elseif part ~= "" then
      options[name] = part
    end
  end
  return true
end

local function parse_db(text)
  local db = text:find("^%d+$") and #text <= 10 and tonumber(text)
  if not db or db > 2147483647 then
    return nil, "the database is not a number (0-2147483647)"
  end
  return db
end

local function parse_query(options, query)
  if query == "" then
    return true
  end
  local text = query:match("^db=([^&]*)$")
  if not text then
    return false, "only db= can follow the question mark"
  elseif options.db then
    return false, "the database is given twice"
  end
  local reason
  options.db, reason = parse_db(text)
  return options.db ~= nil, reason
end

-- "user:password@rest?query" -> rest, with the others in options.
local function parse_outer(options, text)
  local userinfo, rest = text:match("^(.*)@(.*)$")
  rest = rest or text
  if userinfo then
    local ok, reason = parse_userinfo(options, userinfo)
    if not ok then
      return nil, reason
    end
  end
  local plain, query = rest:match("^([^?]*)%??(.*)$")
  return plain, query
end

local function host_tcp(options, text)
  local host, port, reason = split(text)
  if reason then
    return nil, reason
  end
  options.host = host ~= "" and host or nil
  options.port = port
  return options
end

local function redis_url(rest)
  local options = {}
  local plain, query = parse_outer(options, rest)
  if not plain then
    return nil, query
  end
  local authority, db = plain:match("^([^/]*)/?(.*)$")
  local ok, reason
  if db ~= "" then
    options.db, reason = parse_db(db)
    if not options.db then
      return nil, reason
    end
  end
  ok, reason = parse_query(options, query)
  if not ok then
    return nil, reason
  end
  authority, reason = decode(authority)
  if not authority then
    return nil, reason
  elseif authority == "" then
    return nil, "there is no host in it"
  end
  return host_tcp(options, authority)
end

local function unix_url(rest)
  local options = {}
  local plain, query
  if rest:find("^//[^/]") then
    plain, query = parse_outer(options, rest:sub(3))
    if plain and plain:sub(1, 1) ~= "/" then
      return nil, "three slashes begin a path, as in unix:///run/redis.sock"
    end
  else
    plain, query = rest:gsub("^///", "/"):match("^([^?]*)%??(.*)$")
  end
  if not plain then
    return nil, query
  end
  local ok, reason = parse_query(options, query)
  if not ok then
    return nil, reason
  end
  plain, reason = decode(plain)
  if plain then
    options.unix_socket_path, reason = check_path(plain)
  end
  return options.unix_socket_path and options, reason
end

function M.host(text)
  local scheme, rest = text:match("^(%a[%w+.%-]*)://(.*)$")
  scheme = scheme and scheme:lower()
  if scheme == "redis" then
    return redis_url(rest)
  elseif scheme == "unix" or text:find("^unix:") then
    return unix_url((text:gsub("^%a+:", "")))
  elseif scheme == "rediss" then
    return nil, "TLS (rediss://) is not supported yet"
  elseif scheme then
    return nil, "a URL begins with redis:// or unix://"
  elseif text == "" then
    return nil, "it is empty"
  elseif text:find("^/") then
    return nil, "write a unix socket as \"unix:/path\""
  elseif text:find("@", 1, true) then
    return nil, "a password needs the whole URL: redis://user:password@host:port"
  end
  return host_tcp({}, text)
end

return M
