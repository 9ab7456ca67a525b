-- What a program costs, with its children and threads, as /proc tells it.
--
--   meter.read(path)     → a file's text, or nil
--   meter.family(pid)     → { pid, children, theirs … }
--   meter.cpu(pid)       → { cpu = microseconds, user = ticks, system = ticks }
--   meter.resident(pid)  → bytes of memory that are resident now, and the most that ever were

local M = {}

function M.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

local function names(folder)
  local list = {}
  local pipe = io.popen(("ls '%s' 2>/dev/null"):format(folder))
  for name in pipe:lines() do list[#list + 1] = name end
  pipe:close()
  return list
end

-- The process, its children and theirs.
function M.family(pid, out)
  out = out or {}
  out[#out + 1] = pid
  for child in (M.read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""):gmatch("%d+") do
    M.family(tonumber(child), out)
  end
  return out
end

-- The kernel knows the sum to the nanosecond (schedstat, one file per thread),
-- the split into user and system only by its clock ticks.
function M.cpu(pid)
  local nanoseconds, user, system = 0, 0, 0
  for _, one in ipairs(M.family(pid)) do
    for _, task in ipairs(names(("/proc/%d/task"):format(one))) do
      local text = M.read(("/proc/%d/task/%s/schedstat"):format(one, task))
      nanoseconds = nanoseconds + tonumber((text or "0"):match("^%d+"))
    end
    local fields = {}
    local stat = M.read(("/proc/%d/stat"):format(one)) or ""
    for field in (stat:match("^.*%) (.*)$") or ""):gmatch("%S+") do fields[#fields + 1] = tonumber(field) or 0 end
    user, system = user + (fields[12] or 0), system + (fields[13] or 0)
  end
  return { cpu = nanoseconds / 1000, user = user, system = system }
end

function M.resident(pid)
  local now, most = 0, 0
  for _, one in ipairs(M.family(pid)) do
    -- page by page: what status says of the present is off by up to 32 pages for each core
    local text = M.read(("/proc/%d/smaps_rollup"):format(one)) or ""
    now = now + (tonumber(text:match("Rss:%s*(%d+)")) or 0)
    text = M.read(("/proc/%d/status"):format(one)) or ""
    most = most + (tonumber(text:match("VmHWM:%s*(%d+)")) or 0)
  end
  return now * 1024, most * 1024
end

return M
