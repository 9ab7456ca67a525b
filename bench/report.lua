-- The table, as text: medians of the rounds.
--
--   report.new(here, proxies, options, notes) → out
--   out:head()                the lines above the table
--   out:rows(entries)         the lines of one group: entries of row, peer, samples[round]
--   out:figure(title, kind, field, value)   something that a goal may be about
--   out:goals()               the lines about them
--   out:save() → path         all of it: a whole run in bench/results, any other in build/bench

local goals = require("goals")
local lab = require("lab")

local Report = {}
Report.__index = Report

local M = {}

local EXPLANATION = [[
%d random keys, 32-byte values, 50 clients, 3 hosts, 1 worker, unless a row says otherwise (saturated: 200 clients,
hosts on the proxy's core); median of %d rounds of %.1f s. CPU of the proxy in microseconds per request, ratios of
CPU; growth: to the first row of its kind; spread: how far its rounds lie apart]]

local FORM = "%-22s %-16s %8s %7s %7s %9s %7s %7s %10s %8s %7s %7s"

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
  for name in pairs(rounds[1]) do -- all are numbers
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

-- Clock ticks of all cores: all, and those that other machines on this hardware had.
local function ticks()
  local sum, stolen, i = 0, 0, 0
  for number in ((file_text("/proc/stat") or ""):match("^cpu +([^\n]*)") or ""):gmatch("%d+") do
    i, sum = i + 1, sum + tonumber(number)
    if i == 8 then stolen = tonumber(number) end
  end
  return { sum = sum, stolen = stolen }
end

function M.new(here, proxies, options, notes)
  local self = setmetatable({ here = here, proxies = proxies, options = options, notes = notes }, Report)
  self.parts, self.figures, self.ticks = {}, {}, ticks()
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
  return self:add(table.concat(out, "\n") .. "\n")
end

local function text_of(value, form)
  return value and (form or "%.2f"):format(value) or "-"
end

-- The samples of another entry: of the same row and that kind, or of the same peer in the first row.
local function samples_of(entries, row, matches)
  for _, entry in ipairs(entries) do
    if entry.row == row and matches(entry.peer) then return entry.samples end
  end
end

function Report:figure(title, kind, field, value)
  self.figures[goals.key(title, kind, field)] = value or nil
end

function Report:goals()
  local now, before = ticks(), self.ticks
  local stolen = 100 * (now.stolen - before.stolen) / math.max(1, now.sum - before.sum)
  return self:add(goals.judge(self.figures)
    .. ("\nother machines had this one's cores for %.0f %% of the time (steal)\n"):format(stolen))
end

function Report:table_head()
  if self.headed then return {} end
  self.headed = true
  return {
    "",
    EXPLANATION:format(lab.keys(32), self.options.rounds, self.options.seconds),
    "",
    FORM:format("command, depth", "proxy", "CPU", "user", "system", "req/s", "p50 ms", "p99 ms", "/twemproxy",
      "/HAProxy", "growth", "spread"),
  }
end

function Report:rows(entries)
  local out, before = self:table_head(), nil
  for _, entry in ipairs(entries) do
    local m, row, kind = medians(entry.samples), entry.row, entry.peer.kind
    local function of(other)
      return ratio(entry.samples, samples_of(entries, row, function(peer) return peer.kind == other end))
    end
    local growth = row ~= entries[1].row
      and ratio(entry.samples, samples_of(entries, entries[1].row, function(peer) return peer == entry.peer end))
    if before ~= row then out[#out + 1] = "" end
    before = row
    local twemproxy, relay = of("twemproxy"), of("relay")
    out[#out + 1] = FORM:format(row.title, entry.peer.name, text_of(m.cpu), text_of(m.user), text_of(m.system),
      text_of(m.rate, "%.0f"), text_of(m.p50), text_of(m.p99), text_of(twemproxy), text_of(relay), text_of(growth),
      text_of(spread(entry.samples), "%.0f%%"))
    for field, value in pairs({ ["/twemproxy"] = twemproxy, ["/HAProxy"] = relay, ["/C router"] = of("nydus"),
      growth = growth, user = m.user }) do
      self:figure(row.title, kind, field, value)
    end
  end
  return self:add(table.concat(out, "\n") .. "\n")
end

function Report:save()
  local whole = not (self.options.cases or self.options.proxies or self.options.quick)
  local folder = whole and "bench/results" or "build/bench"
  os.execute(("mkdir -p '%s/%s'"):format(self.here.root, folder))
  local path = ("%s/%s.txt"):format(folder, os.date(whole and "%Y-%m-%d-comparison" or "%Y%m%d-%H%M%S"))
  local file = assert(io.open(self.here.root .. "/" .. path, "w"))
  file:write(table.concat(self.parts))
  file:close()
  return path
end

return M
