-- SPDX-License-Identifier: Apache-2.0
-- A bundle: the files one configuration is made of, each read once. The master
-- fills it while it checks; every worker builds from the same bytes.
--
--   bundle.new()         an empty bundle that reads from disk
--   bundle.of(files)     the files of a table: path -> bytes; reads nothing from disk
--   bundle.unpack(text)  what pack() made; answers from memory only, or nil, message
--   b:read(path)         the file's bytes, or nil, "path: reason"; the same answer every time
--   b:pack()             everything read so far (also what was missing) as one string
--   b:paths()            the paths asked for, sorted
local M = {}

M.MAX_FILE = 16 * 1024 * 1024

local MAGIC = "nydus bundle 1\n"

local methods = {}
methods.__index = methods

local function make(live)
  return setmetatable({
    live = live,   -- may it read from disk?
    found = {},    -- path -> bytes
    missing = {},  -- path -> message
  }, methods)
end

function M.new()
  return make(true)
end

function M.of(files)
  local bundle = make(false)
  for path, bytes in pairs(files) do
    bundle.found[path] = bytes
  end
  return bundle
end

local function read_file(path)
  local file, message = io.open(path, "rb")
  if not file then
    return nil, message
  end
  -- Not read(MAX_FILE + 1): LuaJIT would allocate all of that for a small file.
  local parts, size = {}, 0
  while size <= M.MAX_FILE do
    local piece
    piece, message = file:read(65536)
    if not piece then
      break
    end
    parts[#parts + 1] = piece
    size = size + #piece
  end
  file:close()
  if message then
    return nil, path .. ": " .. message
  elseif size > M.MAX_FILE then
    return nil, path .. ": larger than 16 MB"
  end
  return table.concat(parts)
end

function methods:read(path)
  if type(path) ~= "string" then
    error("bundle:read: expected a path", 2)
  end
  if path:find("\0", 1, true) then -- the system would stop at the NUL and open another file
    return nil, path:gsub("%z", "\\0") .. ": a path with a NUL byte"
  end
  if self.live and not self.found[path] and not self.missing[path] then
    self.found[path], self.missing[path] = read_file(path)
  end
  local bytes = self.found[path]
  if bytes then
    return bytes
  end
  return nil, self.missing[path] or path .. ": not among the files that were read at load"
end

function methods:paths()
  local list = {}
  for path in pairs(self.found) do
    list[#list + 1] = path
  end
  for path in pairs(self.missing) do
    list[#list + 1] = path
  end
  table.sort(list)
  return list
end

-- One record per path, in order: "F 9 120\n" path bytes, or "M 9 35\n" path message.
function methods:pack()
  local parts = { MAGIC }
  for _, path in ipairs(self:paths()) do
    local bytes = self.found[path]
    local kind, text = bytes and "F" or "M", bytes or self.missing[path]
    parts[#parts + 1] = ("%s %d %d\n"):format(kind, #path, #text)
    parts[#parts + 1] = path
    parts[#parts + 1] = text
  end
  return table.concat(parts)
end

function M.unpack(text)
  if type(text) ~= "string" then
    error("bundle.unpack: expected a string", 2)
  end
  if text:sub(1, #MAGIC) ~= MAGIC then
    return nil, "not a bundle"
  end
  local bundle, at = make(false), #MAGIC + 1
  while at <= #text do
    local kind, path_size, size, next_at = text:match("^([FM]) (%d+) (%d+)\n()", at)
    path_size, size = tonumber(path_size), tonumber(size)
    if not kind or next_at + path_size + size - 1 > #text then
      return nil, "a damaged bundle"
    end
    local path = text:sub(next_at, next_at + path_size - 1)
    at = next_at + path_size + size
    bundle[kind == "F" and "found" or "missing"][path] = text:sub(next_at + path_size, at - 1)
  end
  return bundle
end

return M
