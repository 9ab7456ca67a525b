-- One run of redis-benchmark against one proxy, and what it cost the proxy.
--
--   load.run{ here=, proxy=, row=, seconds=, rate= } → sample
--   load.during({ here=, proxy=, row= }, fn)   what fn returns, called while requests go through
--
-- A sample: rate (requests per second), cpu, user, system (microseconds per
-- request, of all processes and threads of the proxy), p50, p99 (milliseconds,
-- nil in a steady row). rate, of the run before, says how many requests fill the seconds.

local sys = require("support.sys")
local lab = require("lab")
local meter = require("meter")

local M = {}

local FOR_EVER = 1000000000

-- Requests per second to begin with, when nothing is known yet.
local function guess(depth)
  return depth == 1 and 30000 or depth < 64 and 200000 or 300000
end

local function command(run, count)
  local row = run.row
  local argv = lab.pinned(not row.free and run.here.cores.generator or nil, {
    "redis-benchmark", "-h", "127.0.0.1", "-p", run.proxy.port, "-c", row.clients,
    "-P", row.depth, "-n", count, "-d", row.size, "-r", lab.keys(row.size), "--csv",
  })
  if type(row.test) == "string" then argv[#argv + 1] = "-t" end
  for _, word in ipairs(type(row.test) == "table" and row.test or { row.test }) do argv[#argv + 1] = word end
  return argv
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

local function begin(run, count)
  local files = { stdout = run.here.dir .. "/benchmark.csv", stderr = run.here.dir .. "/benchmark.err" }
  os.remove(files.stdout)
  os.remove(files.stderr)
  return sys.spawn(command(run, count), files), files
end

local function kill(pid)
  sys.kill(-pid, "KILL")
  sys.wait_until(function() return sys.reap(pid) end, 5, "redis-benchmark to be killed")
end

local function cost(before, after, count)
  local ticks = after.user + after.system - before.user - before.system
  local cpu = (after.cpu - before.cpu) / count
  local user = ticks > 0 and cpu * (after.user - before.user) / ticks or 0
  return cpu, user, cpu - user
end

-- So many requests, from the first connect to the last close.
local function whole(run, count)
  local before = meter.cpu(run.proxy.pid)
  local pid, files = begin(run, count)
  local ok, why = pcall(sys.wait_until, function() return sys.reap(pid) end, 20 + run.seconds * 10, run.proxy.name)
  if not ok then
    kill(pid)
    error(why, 0)
  end
  local sample = parse(meter.read(files.stdout) or "", run.proxy.name, meter.read(files.stderr) or "")
  sample.cpu, sample.user, sample.system = cost(before, meter.cpu(run.proxy.pid), count)
  return sample
end

-- Calls fn while requests go through the proxy, and all clients have been served.
function M.during(run, fn)
  local row, start = run.row, lab.commands(run.here)
  local pid, files = begin(run, FOR_EVER)
  local ok, result = pcall(function()
    sys.wait_until(function()
      if sys.reap(pid) then error("redis-benchmark has ended: " .. (meter.read(files.stderr) or ""), 0) end
      return lab.commands(run.here) - start > row.clients * row.depth
    end, 30, run.proxy.name .. " to serve all clients")
    return fn()
  end)
  kill(pid)
  if not ok then error(result, 0) end
  return result
end

-- So many seconds out of the middle of a longer run, counted at the hosts.
local function steady(run)
  return M.during(run, function()
    local before, count, from = meter.cpu(run.proxy.pid), lab.commands(run.here), sys.now()
    sys.pause(run.seconds)
    local after, till = meter.cpu(run.proxy.pid), sys.now()
    count = lab.commands(run.here) - count
    local sample = { rate = count / (till - from) }
    sample.cpu, sample.user, sample.system = cost(before, after, count)
    return sample
  end)
end

function M.run(run)
  if run.row.steady then return steady(run) end
  local rate = run.rate or run.row.rate or guess(run.row.depth)
  return whole(run, math.ceil(rate * run.seconds / 1000) * 1000)
end

return M
