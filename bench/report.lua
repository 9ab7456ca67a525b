-- The table, as text: medians of the rounds.
--
--   report.new(here, proxies, options, notes) → out
--   out:head()                the lines above the table
--   out:rows(case, samples)   the lines of one case; samples[proxy][round]
--   out:save() → path         all of it, in a file of build/bench/

local lab = require("lab")

local Report = {}
Report.__index = Report

local M = {}

local function median(values)
  table.sort(values)
  local n = #values
  if n == 0 then return nil end
  return n % 2 == 1 and values[(n + 1) / 2] or (values[n / 2] + values[n / 2 + 1]) / 2
end

-- The user and system parts come from clock ticks, few in a short round: their
-- share is taken of all rounds together.
local function medians(rounds)
  local out, cpu, user = {}, 0, 0
  for name in pairs(rounds[1]) do
    local values = {}
    for i, sample in ipairs(rounds) do values[i] = sample[name] end
    out[name] = median(values)
  end
  for _, sample in ipairs(rounds) do
    cpu, user = cpu + sample.cpu, user + sample.user
  end
  out.user = out.cpu * user / cpu
  out.system = out.cpu - out.user
  return out
end

-- The median of the ratios within each round; nil without the other.
local function ratio(rounds, others)
  if not others then return nil end
  local values = {}
  for i, sample in ipairs(rounds) do values[i] = sample.cpu / others[i].cpu end
  return median(values)
end

-- How far the rounds lie apart, in per cent of their median: the noise.
local function spread(rounds)
  local low, high, values = math.huge, 0, {}
  for i, sample in ipairs(rounds) do
    values[i] = sample.cpu
    low, high = math.min(low, sample.cpu), math.max(high, sample.cpu)
  end
  return 100 * (high - low) / median(values)
end

local function line_of(text, pattern)
  return (text or ""):match(pattern) or "unknown"
end

local function file_text(path)
  local file = io.open(path)
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

local function machine(here)
  local cores = here.cores
  local where = cores.proxy
    and ("proxy on core %d, generator and hosts on core %d"):format(cores.proxy, cores.generator)
    or "one core only: nothing is pinned, and the figures mean little"
  return ("%s; Linux %s; load %s\n%s"):format(
    line_of(file_text("/proc/cpuinfo"), "model name%s*:%s*([^\n]+)"),
    line_of(file_text("/proc/sys/kernel/osrelease"), "%S+"),
    line_of(file_text("/proc/loadavg"), "%S+"), where)
end

function M.new(here, proxies, options, notes)
  local self = setmetatable({ here = here, proxies = proxies, options = options, notes = notes }, Report)
  self.parts = {}
  for i, proxy in ipairs(proxies) do
    if proxy.name == "twemproxy" then self.twemproxy = i end
    if proxy.name:find("HAProxy", 1, true) then self.haproxy = i end
  end
  return self
end

function Report:add(text)
  self.parts[#self.parts + 1] = text
  return text
end

function Report:head()
  local out = { os.date("%Y-%m-%d %H:%M:%S") .. "; " .. machine(self.here) }
  local versions = { (lab.output({ "redis-server", "--version" }):gsub(" sha=.*", "")) }
  for _, proxy in ipairs(self.proxies) do versions[#versions + 1] = proxy.version_line end
  out[#out + 1] = table.concat(versions, "; ")
  for _, note in ipairs(self.notes) do out[#out + 1] = note end
  out[#out + 1] = ("32-byte values, %d random keys, 50 clients (saturated: 200, hosts on the proxy's core); "
    .. "median of %d rounds of %.1f s;\nCPU of the proxy in microseconds per request, ratios of CPU; spread: "
    .. "how far its rounds lie apart"):format(lab.KEYS, self.options.rounds, self.options.seconds)
  out[#out + 1] = ""
  out[#out + 1] = ("%-18s %-16s %7s %7s %7s %9s %8s %8s %11s %9s %7s"):format("command, depth", "proxy", "CPU",
    "user", "system", "req/s", "p50 ms", "p99 ms", "/twemproxy", "/HAProxy", "spread")
  return self:add(table.concat(out, "\n") .. "\n")
end

local function ratio_text(value)
  return value and ("%.2f"):format(value) or "-"
end

function Report:rows(case, samples)
  local out = { "" }
  for i, proxy in ipairs(self.proxies) do
    local m = medians(samples[i])
    out[#out + 1] = ("%-18s %-16s %7.2f %7.2f %7.2f %9.0f %8.2f %8.2f %11s %9s %6.0f%%"):format(case.title, proxy.name,
      m.cpu, m.user, m.system, m.rate, m.p50, m.p99, ratio_text(ratio(samples[i], samples[self.twemproxy])),
      ratio_text(ratio(samples[i], samples[self.haproxy])), spread(samples[i]))
  end
  return self:add(table.concat(out, "\n") .. "\n")
end

function Report:save()
  os.execute(("mkdir -p '%s/build/bench'"):format(self.here.root))
  local path = os.date("build/bench/%Y%m%d-%H%M%S.txt")
  local file = assert(io.open(self.here.root .. "/" .. path, "w"))
  file:write(table.concat(self.parts))
  file:close()
  return path
end

return M
