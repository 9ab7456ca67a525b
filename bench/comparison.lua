-- The comparison: every proxy in every case, in turns, and the table of it.
--
--   comparison.main(root) → exit code; root is the repository's folder
--
-- A round goes through all proxies before the next begins, and ratios are taken
-- within a round: what else the machine does then hits all of them alike.

local sys = require("support.sys")
local peers = require("peers")
local load = require("load")
local lab = require("lab")
local report = require("report")

local M = {}

-- spread: hosts and generator share a core, the proxy has the other to itself.
-- crowded: hosts share the proxy's core, so that the worker is never idle and
-- what arrives together can leave together.
local cases = {
  { test = "get", depth = 1, clients = 50 },
  { test = "set", depth = 1, clients = 50 },
  { test = "get", depth = 16, clients = 50 },
  { test = "set", depth = 16, clients = 50 },
  { test = "get", depth = 64, clients = 50 },
  { test = "set", depth = 64, clients = 50 },
  { test = "get", depth = 1, clients = 200, crowded = true },
}

local function settings()
  local quick = (os.getenv("QUICK") or "") ~= ""
  return {
    seconds = tonumber(os.getenv("BENCH_SECONDS")) or (quick and 0.35 or 2.1),
    rounds = tonumber(os.getenv("BENCH_ROUNDS")) or 3,
    cases = os.getenv("BENCH_CASES"), -- a Lua pattern over titles: "^GET 16"
    proxies = os.getenv("BENCH_PROXIES"), -- a Lua pattern over names
  }
end

local function title(case)
  return ("%s %d%s"):format(case.test:upper(), case.depth, case.crowded and ", saturated" or "")
end

local function chosen_cases(pattern)
  local chosen = {}
  for _, case in ipairs(cases) do
    case.title = title(case)
    if not pattern or case.title:find(pattern) then chosen[#chosen + 1] = case end
  end
  if #chosen == 0 then error("BENCH_CASES matches no case: " .. pattern, 0) end
  return chosen
end

local function measure(here, case, proxies, options)
  local samples = {}
  lab.place(here, case.crowded)
  local rate -- of any proxy, until the proxy's own is known
  for round = 1, options.rounds do
    for i, proxy in ipairs(proxies) do
      samples[i] = samples[i] or {}
      local before = samples[i][round - 1]
      samples[i][round] = load.run({
        proxy = proxy,
        case = case,
        seconds = options.seconds,
        rate = before and before.rate or rate,
        core = here.cores.generator,
        dir = here.dir,
      })
      rate = rate or samples[i][round].rate
    end
  end
  return samples
end

-- Starts what there is; the others get a note.
local function start_all(here, pattern)
  local running, notes = {}, {}
  for _, peer in ipairs(peers.all(here)) do
    if not pattern or peer.name:find(pattern) then
      local ok, why = pcall(peers.start, here, peer)
      if ok then
        running[#running + 1] = peer
      else
        notes[#notes + 1] = ("%s is left out: %s"):format(peer.name, why)
      end
    end
  end
  if #running == 0 then error("no proxy runs: " .. table.concat(notes, "; "), 0) end
  return running, notes
end

local function compare(here)
  local options = settings()
  local wanted = chosen_cases(options.cases)
  local proxies, notes = start_all(here, options.proxies)
  local runs = #wanted * #proxies * options.rounds
  print(("%d runs of %.1f s: about %d s"):format(runs, options.seconds, runs * (options.seconds + 0.25)))

  local out = report.new(here, proxies, options, notes)
  io.write(out:head())
  for _, case in ipairs(wanted) do
    io.write(out:rows(case, measure(here, case, proxies, options)))
    io.flush()
  end
  print("\nwritten to " .. out:save())
end

function M.main(root)
  lab.catch_signals()
  local here = { root = root, dir = sys.mkdtemp(), programs = {} }
  local ok, why = xpcall(function()
    lab.open(here)
    compare(here)
  end, function(message)
    return tostring(message):find("interrupted!", 1, true) and "interrupted" or message
  end)
  lab.close(here)
  if ok then return 0 end
  io.stderr:write("bench: ", tostring(why), "\n")
  return why == "interrupted" and 130 or 1
end

return M
