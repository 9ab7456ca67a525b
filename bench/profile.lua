-- What a worker does for a request: profiles of it under a row of cases.lua.
--
--   profile.time(here, run)          place → nanoseconds (perf record)
--   profile.calls(here, run)         system call → how often for 1,000 requests (perf stat)
--   profile.traced_calls(here, run)  the same under strace
--   profile.instructions(here, run)  part of Nydus → instructions outside of the kernel (callgrind)
--
-- run: here, proxy, row, keys: how many commands the hosts get for one request.

local sys = require("support.sys")
local cases = require("cases")
local lab = require("lab")
local load = require("load")
local meter = require("meter")
local peers = require("peers")

local M = {}

local SECONDS = { time = 3, calls = 2 }
local COUNT = { 10000, 30000 } -- of requests under callgrind: depth 1 to 15, and more

local function worker_of(proxy)
  return sys.wait_until(function() return meter.family(proxy.pid)[2] end, 20, "the worker to begin")
end

-- Runs a program to its end; errors have its last words.
local function run_tool(here, argv, seconds)
  local log = here.dir .. "/" .. argv[1] .. ".log"
  os.remove(log)
  local pid = sys.spawn(argv, { stdout = log, stderr = log })
  local code
  sys.wait_until(function()
    code = sys.reap(pid)
    return code
  end, seconds or 60, argv[1] .. " to end")
  return code == 0, meter.read(log) or ""
end

local function check(ok, what, log)
  if not ok then error(("%s fails: %s"):format(what, log:sub(-500)), 0) end
end

-- ------------------------------------------------------------------ time

-- The system call that a sample was taken in, or nil; frames are innermost first.
local function system_call(frames)
  for _, frame in ipairs(frames) do
    local name = frame.symbol:match("^__x64_sys_(%w+)") or frame.symbol:match("^__arm64_sys_(%w+)")
    if name then return name end
  end
  for _, frame in ipairs(frames) do
    local name = frame.symbol:match("^__sys_(%w+)$") -- where the entry was left by a tail call
    if name then return name end
  end
end

local function place_of(frames, of)
  local inner = frames[1]
  if not inner.object:find("[", 1, true) or inner.object:find("vdso", 1, true) then
    return "user: " .. of(inner.symbol, inner.object)
  end
  local call = system_call(frames)
  return call and "kernel: " .. call or "kernel: interrupts and the like"
end

local function each_sample(text, fn)
  local frames = {}
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    local symbol, object = line:match("^%s+%x+ (.-) %((.-)%)$")
    if symbol then
      frames[#frames + 1] = { symbol = symbol:gsub("%+0x%x+$", ""), object = object }
    elseif #frames > 0 then
      fn(frames)
      frames = {}
    end
  end
end

-- Microseconds of CPU for a request, while perf writes a profile to a file.
local function record(here, run, file)
  return load.during(run, function()
    local before, count = meter.cpu(run.proxy.pid).cpu, lab.commands(here)
    local ok, log = run_tool(here, { "perf", "record", "-e", "cpu-clock", "-F", 5000, "-g", "-o", file,
      "-p", worker_of(run.proxy), "--", "sleep", SECONDS.time })
    check(ok, "perf record", log)
    count = (lab.commands(here) - count) / run.keys
    return (meter.cpu(run.proxy.pid).cpu - before) / count
  end)
end

function M.time(here, run)
  local file = here.dir .. "/perf.data"
  local cpu = record(here, run, file)
  local pipe = io.popen(("perf script -i '%s' -F ip,sym,dso 2>/dev/null"):format(file))
  local text = pipe:read("*a")
  pipe:close()
  local places, total = {}, 0
  each_sample(text, function(frames)
    local place = place_of(frames, here.layer_of)
    places[place] = (places[place] or 0) + 1
    total = total + 1
  end)
  for place, samples in pairs(places) do places[place] = 1000 * cpu * samples / total end
  return places
end

-- ----------------------------------------------------------------- calls

local EVENTS = { "sendto", "sendmsg", "recvfrom", "epoll_wait", "epoll_ctl" }

-- Calls by name, for 1,000 requests, of a tool that counts for SECONDS.calls in `fn`.
local function counted(run, fn)
  return load.during(run, function()
    local count, from = lab.commands(run.here), sys.now()
    local calls = fn()
    local rate = (lab.commands(run.here) - count) / run.keys / (sys.now() - from)
    for name, number in pairs(calls) do calls[name] = number * 1000 / (rate * SECONDS.calls) end
    return calls
  end)
end

function M.calls(here, run)
  local argv = { "perf", "stat", "-x", ",", "-p", worker_of(run.proxy) }
  for _, name in ipairs(EVENTS) do
    argv[#argv + 1] = "-e"
    argv[#argv + 1] = "syscalls:sys_enter_" .. name
  end
  for _, word in ipairs({ "--", "sleep", SECONDS.calls }) do argv[#argv + 1] = word end
  return counted(run, function()
    local ok, log = run_tool(here, argv)
    check(ok, "perf stat", log)
    local calls = {}
    for number, name in log:gmatch("(%d+),[^\n]-sys_enter_([%w_]+)") do
      if tonumber(number) > 0 then calls[name] = tonumber(number) end
    end
    return calls
  end)
end

function M.traced_calls(here, run)
  return counted(run, function()
    run_tool(here, { "timeout", "-s", "INT", SECONDS.calls, "strace", "-c", "-f", "-o", here.dir .. "/strace.txt",
      "-p", worker_of(run.proxy) })
    local calls = {}
    for line in (meter.read(here.dir .. "/strace.txt") or ""):gmatch("[^\n]+") do
      local number, name = line:match("^%s*[%d.]+%s+[%d.]+%s+%d+%s+(%d+)%s+[%d%s]*([%w_]+)$")
      if name and name ~= "total" then calls[name] = tonumber(number) end
    end
    return calls
  end)
end

-- ---------------------------------------------------------- instructions

-- A Nydus under callgrind.
local function under_callgrind(here)
  local nydus = peers.all(here)[1]
  local command = nydus.command
  nydus.command = function(...)
    local words = { "valgrind", "--tool=callgrind", "--callgrind-out-file=" .. here.dir .. "/callgrind.%p" }
    for _, word in ipairs(command(...)) do words[#words + 1] = word end
    return words
  end
  return peers.start(here, nydus, cases.defaults)
end

-- Instructions by layer, from the lines of callgrind_annotate.
local function read_profile(here, pid)
  local pipe = io.popen(("callgrind_annotate --threshold=100 --auto=no '%s/callgrind.%d' 2>/dev/null")
    :format(here.dir, pid))
  local by = {}
  for line in pipe:lines() do
    local number, path, symbol, object = line:match("^%s*([%d,]+) %([^)]*%)%s+(.-):([%w_@.]+)[^%[]*%[?(.-)%]?$")
    if number then
      local layer = here.layer_of(symbol, object, path:match("^src/(.*)"))
      number = tonumber((number:gsub(",", "")))
      by[layer] = (by[layer] or 0) + number
    end
  end
  pipe:close()
  return by
end

-- Instructions of a worker's whole life, with so many requests in it.
local function life(here, run, count)
  local proxy = under_callgrind(here)
  local worker = worker_of(proxy)
  load.run({ here = here, proxy = proxy, row = run.row, rate = count, seconds = 1 })
  sys.kill(proxy.pid, "TERM")
  sys.wait_until(function() return sys.reap(proxy.pid) end, 20, "Nydus to end")
  return read_profile(here, worker)
end

-- Those of a longer life less those of a shorter one.
function M.instructions(here, run)
  local count = COUNT[run.row.depth < 16 and 1 or 2]
  local short, long = life(here, run, count), life(here, run, 2 * count)
  for layer, number in pairs(long) do long[layer] = (number - (short[layer] or 0)) / count end
  return long
end

return M
