-- Latency at half of what twemproxy can carry, at an even pace (pace.lua); Nydus
-- also while its configuration is loaded again every two seconds.
--
--   latency.run(here, entries, options, report) → text; entries of peer, proxy, row

local sys = require("support.sys")
local lab = require("lab")
local load = require("load")
local meter = require("meter")

local M = {}

local CLIENTS, VALUE, RELOAD_EVERY, MINUTE = 50, 32, 2, 60
local PATIENCE = 1800 -- seconds for BENCH_WITH to let a measurement begin
local BOUNDS = { 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200 } -- microseconds

local function generator(here, proxy, rate, seconds)
  local argv = {}
  for word in (os.getenv("BENCH_WITH") or ""):gmatch("%S+") do argv[#argv + 1] = word end
  local reply = ("$%d\r\n"):format(VALUE):len() + VALUE + 2
  for _, word in ipairs(lab.pinned(here.cores.generator, { "luajit", here.root .. "/bench/pace.lua", proxy.port,
    rate, seconds, CLIENTS, lab.keys(VALUE), reply })) do argv[#argv + 1] = word end
  return argv
end

local function pace(here, proxy, rate, seconds, reload)
  local out, err = here.dir .. "/pace.txt", here.dir .. "/pace.err"
  os.remove(out)
  os.remove(err)
  local pid = sys.spawn(generator(here, proxy, rate, seconds), { stdout = out, stderr = err })
  local code
  sys.wait_until(function()
    code = sys.reap(pid)
    return code or (meter.read(out) or ""):find("begin", 1, true)
  end, PATIENCE, "the generator to begin")
  local next_reload, reloads = sys.now() + RELOAD_EVERY / 2, 0
  sys.wait_until(function()
    code = code or sys.reap(pid)
    if not code and reload and sys.now() >= next_reload then
      sys.kill(proxy.pid, "HUP")
      next_reload, reloads = next_reload + RELOAD_EVERY, reloads + 1
    end
    return code
  end, seconds + 20, "the generator to end")
  if code ~= 0 then error("the generator failed: " .. (meter.read(err) or ""), 0) end
  return meter.read(out), reloads
end

-- Adds what pace.lua has printed.
local function add(histogram, text)
  for latency, count in text:gmatch("(%d+)%s+(%d+)\n") do
    latency, count = tonumber(latency), tonumber(count)
    histogram.counts[latency] = (histogram.counts[latency] or 0) + count
    histogram.total = histogram.total + count
  end
end

local function sorted(counts)
  local list = {}
  for latency in pairs(counts) do list[#list + 1] = latency end
  table.sort(list)
  return list
end

-- Milliseconds that so many replies of a thousand do not exceed.
local function quantile(histogram, share)
  local passed = 0
  for _, latency in ipairs(sorted(histogram.counts)) do
    passed = passed + histogram.counts[latency]
    if passed >= histogram.total * share then return latency / 1000 end
  end
end

-- How many of a million replies lie within each bound, and beyond the last.
local function steps(histogram)
  local out = {}
  for i = 1, #BOUNDS + 1 do out[i] = 0 end
  for latency, count in pairs(histogram.counts) do
    local step = 1
    while BOUNDS[step] and latency > BOUNDS[step] do step = step + 1 end
    out[step] = out[step] + count
  end
  for i, count in ipairs(out) do out[i] = ("%8.0f"):format(count * 1e6 / histogram.total) end
  return table.concat(out, " ")
end

-- What half of twemproxy's rate is, or of the first proxy's.
local function half_rate(here, entries, options)
  if os.getenv("BENCH_RATE") then return tonumber(os.getenv("BENCH_RATE")), "twemproxy" end
  local chosen = entries[1]
  for _, entry in ipairs(entries) do
    if entry.peer.kind == "twemproxy" then chosen = entry end
  end
  local sample = load.run({ here = here, proxy = chosen.proxy, row = chosen.row, seconds = options.seconds * 2 })
  return math.floor(sample.rate / 2), chosen.peer.name
end

local function with_reloads(entries)
  local all = {}
  for _, entry in ipairs(entries) do all[#all + 1] = entry end
  for _, entry in ipairs(entries) do
    if entry.peer.kind == "nydus" or entry.peer.kind == "baseline" then
      local name = entry.peer.name:gsub(",.*", "") .. ", reloading"
      all[#all + 1] = { name = name, proxy = entry.proxy, peer = entry.peer, reload = true }
    end
  end
  return all
end

local ABOUT = [[

latency in milliseconds: GET, %d clients, %d requests a second (half of what %s carries), evenly paced, counted from
when each was due; %d s each, in turns; with reloads: %d s, a SIGHUP every %d s
]]

local function table_of(all, form)
  local out = {}
  for i, entry in ipairs(all) do
    out[i] = ("%-22s %s\n"):format(entry.name or entry.peer.name, form(entry.histogram, entry))
  end
  return table.concat(out)
end

local function quantiles(all)
  return ("\n%-22s %8s %8s %8s %8s %8s\n"):format("proxy", "p50", "p99", "p99.9", "most", "reloads")
    .. table_of(all, function(histogram, entry)
      return ("%8.2f %8.2f %8.2f %8.2f %8d"):format(quantile(histogram, 0.5), quantile(histogram, 0.99),
        quantile(histogram, 0.999), quantile(histogram, 1), entry.reloads)
    end)
end

local function histograms(all)
  local bounds = {}
  for i, bound in ipairs(BOUNDS) do bounds[i] = ("%8s"):format("to " .. bound / 1000) end
  return ("\n%-22s %s %8s\n"):format("of a million replies", table.concat(bounds, " "), "more")
    .. table_of(all, steps)
end

local function compare(all, report)
  local base
  for _, entry in ipairs(all) do
    if entry.peer.kind == "twemproxy" then base = entry.histogram end
  end
  for _, entry in ipairs(base and all or {}) do
    if not entry.reload then
      for name, share in pairs({ ["p99 /twemproxy"] = 0.99, ["p99.9 /twemproxy"] = 0.999 }) do
        report:figure("latency", entry.peer.kind, name, quantile(entry.histogram, share) / quantile(base, share))
      end
    end
  end
end

function M.run(here, entries, options, report)
  local seconds = { all = math.ceil(options.seconds * 10), reload = options.quick and 15 or MINUTE }
  local rate, name = half_rate(here, entries, options)
  local all = with_reloads(entries)
  for round = 1, options.rounds do
    for _, entry in ipairs(all) do
      entry.histogram = entry.histogram or { counts = {}, total = 0 }
      local length = entry.reload and seconds.reload or seconds.all / options.rounds
      if not entry.reload or round == options.rounds then
        local text, reloads = pace(here, entry.proxy, rate, length, entry.reload)
        add(entry.histogram, text)
        entry.reloads = reloads
      end
    end
  end
  compare(all, report)
  return ABOUT:format(CLIENTS, rate, name, seconds.all, seconds.reload, RELOAD_EVERY) .. quantiles(all)
    .. histograms(all)
end

return M
