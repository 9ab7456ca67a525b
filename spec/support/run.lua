-- Runs spec files, each in a process of its own (busted.lua), some side by side:
--
--   luajit spec/support/run.lua [file or folder …]      called by .ci/run-specs
--
-- What a file prints appears whole when it has ended; at once, when it runs alone. Specs run against
-- real servers, clocks and a machine that others use too: where no more than two files fail, they are
-- run once more, with nothing beside them. What passes then is reported as unstable, with the failure
-- above it, and does not fail the run.
--
-- Exit code 0 only if something ran and nothing failed; 128 and the signal when one ended a file.
-- $NYDUS_SPEC_JOBS: how many side by side. $NYDUS_SPEC_PRELOAD: a library for the specs' processes.

package.path = "./spec/?.lua;" .. package.path

local lfs = require("lfs")
local sys = require("support.sys")
local files = require("support.files")

-- Files that cannot bear a neighbour: they run after the others, one at a time.
local alone = {}

-- One for each core, though specs wait about as much as they compute: clocks are among what they wait for.
local function side_by_side()
  local cores = tonumber(io.popen("nproc"):read("*l")) or 1
  return tonumber(os.getenv("NYDUS_SPEC_JOBS")) or math.min(cores, 3)
end

local function say(format, ...)
  io.stdout:write(select("#", ...) > 0 and format:format(...) or format, "\n")
  io.stdout:flush()
end

-- The files named and those busted would find in the folders; the second list is of those to run alone.
local function spec_files(paths)
  local together, last = {}, {}
  local function add(path) table.insert(alone[path] and last or together, path) end
  for _, path in ipairs(paths) do
    path = path:gsub("/+$", "")
    if lfs.attributes(path, "mode") == "directory" then
      for _, name in ipairs(files.list(path, "_spec%.lua$")) do add(name) end
    else
      add(path)
    end
  end
  return together, last
end

-- ------------------------------------------------------------ one file

local folder = sys.mkdtemp() -- of notes and output
local started = 0

local function start(path, live)
  started = started + 1
  local run = { path = path, note = ("%s/%d.note"):format(folder, started) }
  run.output = not live and ("%s/%d.log"):format(folder, started) or nil
  run.pid = sys.spawn({ "luajit", "spec/support/busted.lua", "-Xoutput", run.note, path }, {
    stdout = run.output,
    stderr = run.output,
    env = { LD_PRELOAD = os.getenv("NYDUS_SPEC_PRELOAD") or false },
  })
  return run
end

-- What output.lua noted: counts, the test that ran last, the slowest.
local function read_note(run)
  local note = files.read(run.note) or "0 0 0\nthe beginning\n"
  local passed, failed, skipped, last, slow = note:match("^(%d+) (%d+) (%d+)\n([^\n]*)\n(.*)$")
  run.passed, run.failed, run.skipped = tonumber(passed), tonumber(failed), tonumber(skipped)
  run.last, run.slow = last, {}
  for seconds, name in slow:gmatch("(%S+) ([^\n]+)\n") do
    table.insert(run.slow, { seconds = tonumber(seconds), name = name })
  end
end

-- True when it has ended, after printing what it had to say.
local function ends(run)
  local code = sys.reap(run.pid)
  if not code then return false end
  if run.output then io.stdout:write(files.read(run.output) or "") end
  read_note(run)
  run.signal = code < 0 and -code or code > 128 and code - 128 or nil
  if run.signal or run.last ~= "the end" then
    run.failed = run.failed + 1
    local how = run.signal and "by signal " .. run.signal or "too early"
    run.ended = ("the specs were ended %s, in %s: %s"):format(how, run.path, run.last)
  end
  return true
end

-- ----------------------------------------------------------- all files

-- Runs them, so many at a time; what is known of each goes into `runs`.
local function run_all(paths, width, runs)
  local under_way, taken = {}, 0
  local live = math.min(width, #paths) == 1
  while taken < #paths or #under_way > 0 do
    while taken < #paths and #under_way < width do
      taken = taken + 1
      table.insert(under_way, start(paths[taken], live))
    end
    sys.pause(0.005)
    for i = #under_way, 1, -1 do
      if ends(under_way[i]) then table.insert(runs, table.remove(under_way, i)) end
    end
  end
end

local function sum(runs)
  local total = { passed = 0, failed = 0, skipped = 0, bad = {}, slow = {}, ended = {} }
  for _, run in ipairs(runs) do
    for _, name in ipairs({ "passed", "failed", "skipped" }) do total[name] = total[name] + run[name] end
    for _, test in ipairs(run.slow) do table.insert(total.slow, test) end
    if run.failed > 0 then table.insert(total.bad, run.path) end
    table.insert(total.ended, run.ended)
    total.signal = total.signal or run.signal
  end
  return total
end

-- The last line is "N passed, N failed" (", N skipped").
local function summary(total, seconds)
  if total.passed + total.failed > 20 then
    table.sort(total.slow, function(a, b) return a.seconds > b.seconds end)
    say("\nslowest:")
    for i = 1, math.min(5, #total.slow) do say("%6.2f s  %s", total.slow[i].seconds, total.slow[i].name) end
  end
  if total.passed + total.failed + total.skipped == 0 then say("no spec ran") end
  say("\n%.1f s", seconds)
  for _, text in ipairs(total.ended) do say("%s", text) end
  local skipped = total.skipped > 0 and (", %d skipped"):format(total.skipped) or ""
  say("%d passed, %d failed%s", total.passed, total.failed, skipped)
end

-- Runs the files and says how it went.
local function try(together, last)
  local start_time, runs = sys.now(), {}
  run_all(together, side_by_side(), runs)
  run_all(last, 1, runs)
  local total = sum(runs)
  summary(total, sys.now() - start_time)
  return total
end

local function main(paths)
  local total = try(spec_files(paths))
  if #total.bad > 0 and #total.bad <= 2 and not total.signal then
    local again = table.concat(total.bad, " ")
    say("\nrun again, alone: %s", again)
    local first = total
    total = try({}, first.bad)
    if total.failed == 0 then
      say("\nUNSTABLE, passed when run again: %s", again)
      say("%d passed at first, 0 failed twice", first.passed)
    end
  end
  files.remove(folder)
  if total.signal then return 128 + total.signal end
  return total.failed == 0 and total.passed > 0 and 0 or 1
end

jit.off() -- compiled loops would not notice Ctrl-C
os.exit(main({ ... }))
