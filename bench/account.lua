-- The account of one request: where its time goes (perf), its system calls
-- (perf and strace), its instructions (callgrind), of the worker.
--
--   account.main(root, parts) → exit code; parts: "time", "calls", "instructions", all without
--
-- BENCH_CASES chooses among the titles of cases.lua.

local sys = require("support.sys")
local cases = require("cases")
local lab = require("lab")
local layers = require("layers")
local load = require("load")
local meter = require("meter")
local peers = require("peers")

local M = {}

local CASES = "^GET 1$|^GET 16|^GET 64|saturated|^MGET"
local SECONDS = { time = 3, calls = 2 }
local COUNT = { 4000, 30000 } -- of requests under callgrind: depth 1 to 15, and more

local function parts_of(words)
  local parts = {}
  for _, word in ipairs(words) do parts[word] = true end
  if not next(parts) then
    parts = { time = true, calls = true, instructions = true, whole = not os.getenv("BENCH_CASES") }
  end
  return parts
end

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

local function plain(value)
  return ("%8.1f"):format(value)
end

-- The rows of a table, the largest first; those of less than `least` together as "less".
local function rows(values, form, least)
  local names, rest, out = {}, 0, {}
  for name, value in pairs(values) do
    if value < least then rest = rest + value else names[#names + 1] = name end
  end
  table.sort(names, function(a, b) return values[a] > values[b] end)
  if rest > 0 then
    names[#names + 1] = "the rest"
    values["the rest"] = rest
  end
  for i, name in ipairs(names) do out[i] = ("  %-32s %s\n"):format(name, form(values[name])) end
  return table.concat(out)
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
    count = (lab.commands(here) - count) / run.row.keys
    return (meter.cpu(run.proxy.pid).cpu - before) / count
  end)
end

local function time(here, run)
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
  local function form(samples)
    return ("%5.1f %% %8.0f ns"):format(100 * samples / total, 1000 * cpu * samples / total)
  end
  return ("\n%s: %.2f µs of CPU for a request (%d samples)\n"):format(run.row.title, cpu, total)
    .. rows(places, form, total * 0.003)
end

-- ----------------------------------------------------------------- calls

local EVENTS = { "sendto", "sendmsg", "recvfrom", "epoll_wait", "epoll_ctl" }

-- Calls by name, for 1,000 requests, of a tool that counts for SECONDS.calls in `fn`.
local function counted(run, fn)
  return load.during(run, function()
    local count, from = lab.commands(run.here), sys.now()
    local calls = fn()
    local rate = (lab.commands(run.here) - count) / run.row.keys / (sys.now() - from)
    for name, number in pairs(calls) do calls[name] = number * 1000 / (rate * SECONDS.calls) end
    return calls
  end)
end

local function by_perf(here, run)
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
    for number, name in log:gmatch("(%d+),[^\n]-sys_enter_([%w_]+)") do calls[name] = tonumber(number) end
    return calls
  end)
end

local function by_strace(here, run)
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

local function calls(here, run)
  local ok, undisturbed = pcall(by_perf, here, run)
  local out = ("\n%s: system calls for 1,000 requests\n"):format(run.row.title)
  if ok then out = out .. rows(undisturbed, plain, 0.1) end
  return out .. "and while strace slows the worker down, so that more arrives together\n"
    .. rows(by_strace(here, run), plain, 1)
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
  local by = { all = 0 }
  for line in pipe:lines() do
    local number, path, symbol, object = line:match("^%s*([%d,]+) %([^)]*%)%s+(.-):([%w_@.]+)[^%[]*%[?(.-)%]?$")
    if number then
      local layer = here.layer_of(symbol, object, path:match("^src/(.*)"))
      number = tonumber((number:gsub(",", "")))
      by[layer], by.all = (by[layer] or 0) + number, by.all + number
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
local function instructions(here, run)
  local count = COUNT[run.row.depth < 16 and 1 or 2]
  local short, long = life(here, run, count), life(here, run, 2 * count)
  for layer, number in pairs(long) do long[layer] = (number - (short[layer] or 0)) / count end
  local total = long.all
  long.all = nil
  return ("\n%s: %.0f instructions outside of the kernel for a request\n"):format(run.row.title, total)
    .. rows(long, plain, 1)
end

-- ------------------------------------------------------------------ main

local PARTS = {
  { name = "time", of = time, needs = { "perf" } },
  { name = "calls", of = calls, needs = { "perf", "strace" } },
  { name = "instructions", of = instructions, needs = { "valgrind" } },
}

local function save(here, text)
  local path = os.date("bench/results/%Y-%m-%d-account.txt")
  local file = assert(io.open(here.root .. "/" .. path, "w"))
  file:write(text)
  file:close()
  print("\nwritten to " .. path)
end

local function check_tools(parts)
  for _, part in ipairs(PARTS) do
    for _, tool in ipairs(parts[part.name] and part.needs or {}) do
      if lab.output({ "sh", "-c", "command -v " .. tool }) == "" then
        error(("%s is not installed, which the account of %s needs"):format(tool, part.name), 0)
      end
    end
  end
end

local function go(here, parts)
  check_tools(parts)
  local proxy = peers.start(here, peers.all(here)[1], cases.defaults)
  here.layer_of = layers.new(here.root)
  local text = { ("%s; %s; %s\n"):format(os.date("%Y-%m-%d"), lab.output({ here.root .. "/build/nydus", "--version" }),
    lab.output({ "uname", "-sr" })) }
  io.write(text[1])
  for _, part in ipairs(PARTS) do
    for _, group in ipairs(parts[part.name] and cases.chosen(os.getenv("BENCH_CASES") or CASES) or {}) do
      local row = group.rows[1]
      lab.place(here, row)
      lab.fill(here, row.size)
      row.keys = type(row.test) == "table" and 3 or 1 -- an MGET is a command for each host
      text[#text + 1] = part.of(here, { here = here, proxy = proxy, row = row })
      io.write(text[#text])
      io.flush()
    end
  end
  if parts.whole then save(here, table.concat(text)) end
end

function M.main(root, words)
  lab.catch_signals()
  local here = { root = root, dir = sys.mkdtemp(), programs = {} }
  local ok, why = xpcall(function()
    lab.open(here)
    go(here, parts_of(words))
  end, function(message)
    return tostring(message):find("interrupted!", 1, true) and "interrupted" or message
  end)
  lab.close(here)
  if ok then return 0 end
  io.stderr:write("account: ", tostring(why), "\n")
  return why == "interrupted" and 130 or 1
end

return M
