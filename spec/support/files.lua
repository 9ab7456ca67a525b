-- Files and folders of specs, and what /proc knows of a process.
--
--   files.temp_dir()              a fresh folder, removed with its scope
--   files.read(path)              its bytes, or nil and the reason
--   files.write(path, bytes)      makes the folders above; returns path
--   files.remove(path)            a file or a whole folder
--   files.list(folder, pattern)   paths below it that match, sorted
--   files.rss(pid)                resident bytes
--   files.fds(pid)                open descriptors
--   files.cpu(pid)                seconds of CPU so far: user + system, user, system
--   files.children(pid)           its child processes, sorted

local lfs = require("lfs")
local sys = require("support.sys")
local scope = require("support.scope")

local M = {}

function M.read(path)
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local bytes = file:read("*a")
  file:close()
  return bytes
end

local function make_folders(path)
  local folder = path:match("^(.*)/[^/]+$")
  if not folder or folder == "" or lfs.attributes(folder, "mode") then return end
  make_folders(folder)
  assert(lfs.mkdir(folder))
end

function M.write(path, bytes)
  make_folders(path)
  local file = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  assert(file:close())
  return path
end

function M.remove(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    for name in lfs.dir(path) do
      if name ~= "." and name ~= ".." then M.remove(path .. "/" .. name) end
    end
    return lfs.rmdir(path)
  end
  return os.remove(path)
end

function M.temp_dir()
  local path = sys.mkdtemp()
  scope.add({ close = function() M.remove(path) end })
  return path
end

function M.list(folder, pattern)
  local found = {}
  local function walk(path)
    for name in lfs.dir(path) do
      local full = path .. "/" .. name
      if name:sub(1, 1) == "." then -- luacheck: ignore 542
      elseif lfs.attributes(full, "mode") == "directory" then
        walk(full)
      elseif full:match(pattern or ".") then
        found[#found + 1] = full
      end
    end
  end
  if lfs.attributes(folder, "mode") == "directory" then walk(folder) end
  table.sort(found)
  return found
end

function M.rss(pid)
  local status = assert(M.read(("/proc/%d/status"):format(pid)), "no process " .. pid)
  return tonumber(status:match("VmRSS:%s+(%d+) kB")) * 1024
end

function M.fds(pid)
  local count = 0
  for name in lfs.dir(("/proc/%d/fd"):format(pid)) do
    if name:match("^%d+$") then count = count + 1 end
  end
  return count
end

function M.cpu(pid)
  local stat = assert(M.read(("/proc/%d/stat"):format(pid)), "no process " .. pid)
  local fields = {}
  for field in stat:match("^.*%) (.*)$"):gmatch("%S+") do
    fields[#fields + 1] = field
  end
  local user, system = tonumber(fields[12]) / 100, tonumber(fields[13]) / 100
  return user + system, user, system
end

function M.children(pid)
  local found = {}
  for name in lfs.dir("/proc") do
    local stat = name:match("^%d+$") and M.read("/proc/" .. name .. "/stat")
    local state, parent = (stat or ""):match("^.*%) (%S) (%d+)")
    if tonumber(parent) == pid and state ~= "Z" then found[#found + 1] = tonumber(name) end
  end
  table.sort(found)
  return found
end

return M
