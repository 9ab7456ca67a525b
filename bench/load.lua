-- One run of redis-benchmark against one proxy, and what it cost the proxy.
--
--   load.run{ proxy=, case=, seconds=, rate=, core=, dir= } → sample
--
-- A sample: rate (requests per second), cpu, user, system (microseconds per
-- request, of all processes and threads of the proxy), p50, p99 (milliseconds).
-- rate, of the run before, says how many requests fill the seconds.

local sys = require("support.sys")
local lab = require("lab")

local M = {}

local function read(path)
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
local function family(pid, out)
  out = out or {}
  out[#out + 1] = pid
  for child in (read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""):gmatch("%d+") do
    family(tonumber(child), out)
  end
  return out
end

-- The kernel knows the sum to the nanosecond (schedstat, one file per thread),
-- the split into user and system only by its clock ticks.
local function meter(pid)
  local nanoseconds, user, system = 0, 0, 0
  for _, one in ipairs(family(pid)) do
    for _, task in ipairs(names(("/proc/%d/task"):format(one))) do
      local text = read(("/proc/%d/task/%s/schedstat"):format(one, task))
      nanoseconds = nanoseconds + tonumber((text or "0"):match("^%d+"))
    end
    local fields = {}
    local stat = read(("/proc/%d/stat"):format(one)) or ""
    for field in (stat:match("^.*%) (.*)$") or ""):gmatch("%S+") do fields[#fields + 1] = tonumber(field) or 0 end
    user, system = user + (fields[12] or 0), system + (fields[13] or 0)
  end
  return { cpu = nanoseconds / 1000, user = user, system = system }
end

-- Requests per second to begin with, when nothing is known yet.
local function guess(depth)
  return depth == 1 and 30000 or depth < 64 and 200000 or 300000
end

local function command(run, count)
  local case = run.case
  return lab.pinned(run.core, {
    "redis-benchmark", "-h", "127.0.0.1", "-p", run.proxy.port, "-t", case.test, "-c", case.clients,
    "-P", case.depth, "-n", count, "-d", 32, "-r", lab.KEYS, "--csv",
  })
end

-- "test","rps","avg","min","p50","p95","p99","max"
local function parse(text, what, complaint)
  for line in text:gmatch("[^\n]+") do
    local fields = {}
    for field in line:gmatch('"([^"]*)"') do fields[#fields + 1] = tonumber(field) or field end
    if type(fields[2]) == "number" then return { rate = fields[2], p50 = fields[5], p99 = fields[7] } end
  end
  error(("redis-benchmark has no result of %s: %s"):format(what, complaint), 0)
end

local function generate(run, count)
  local out, err = run.dir .. "/benchmark.csv", run.dir .. "/benchmark.err"
  os.remove(out)
  os.remove(err)
  local pid = sys.spawn(command(run, count), { stdout = out, stderr = err })
  local ok, why = pcall(sys.wait_until, function() return sys.reap(pid) end, 20 + run.seconds * 10, run.proxy.name)
  if not ok then
    sys.kill(-pid, "KILL")
    sys.wait_until(function() return sys.reap(pid) end, 5, "redis-benchmark to be killed")
    error(why, 0)
  end
  return parse(read(out) or "", run.proxy.name, read(err) or "")
end

function M.run(run)
  local count = math.ceil((run.rate or guess(run.case.depth)) * run.seconds / 1000) * 1000
  local before = meter(run.proxy.pid)
  local sample = generate(run, count)
  local after = meter(run.proxy.pid)
  local ticks = after.user + after.system - before.user - before.system
  sample.cpu = (after.cpu - before.cpu) / count
  sample.user = ticks > 0 and sample.cpu * (after.user - before.user) / ticks or 0
  sample.system = sample.cpu - sample.user
  return sample
end

return M
