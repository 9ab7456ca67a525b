-- The comparison: every proxy in every case, in turns, and the table of it.
--
--   comparison.main(root) → exit code; root is the repository's folder
--
-- A round goes through all rows of a group and all proxies before the next
-- begins, and ratios are taken within a round: what else the machine does then
-- hits all of them alike.

local cases = require("cases")
local peers = require("peers")
local load = require("load")
local lab = require("lab")
local report = require("report")

local M = {}

local function settings()
  local quick = (os.getenv("QUICK") or "") ~= ""
  return {
    quick = quick,
    seconds = tonumber(os.getenv("BENCH_SECONDS")) or (quick and 0.35 or 1.5),
    rounds = tonumber(os.getenv("BENCH_ROUNDS")) or (quick and 2 or 3),
    cases = os.getenv("BENCH_CASES"), -- Lua patterns over titles: "^GET 16|^MGET"
    proxies = os.getenv("BENCH_PROXIES"), -- over names
  }
end

-- Of each peer one instance for each setup, started when it is first needed.
local function instance_of(here, peer, row)
  local key = ("%s %d %d %s"):format(peer.name, row.hosts, row.workers, tostring(row.free))
  here.instances = here.instances or {}
  here.instances[key] = here.instances[key] or peers.start(here, peer, row)
  return here.instances[key]
end

-- What is measured in turns: each proxy of each row.
local function entries_of(here, group, proxies)
  local list = {}
  for _, row in ipairs(group.rows) do
    for _, peer in ipairs(proxies) do
      if not (row.without and row.without[peer.kind]) then
        list[#list + 1] = { row = row, peer = peer, proxy = instance_of(here, peer, row), samples = {} }
      end
    end
  end
  return list
end

local function in_turns(here, entries, options)
  local rate -- of any proxy, until the proxy's own is known
  for round = 1, options.rounds do
    for _, entry in ipairs(entries) do
      local before = entry.samples[round - 1]
      local sample = load.run({
        here = here,
        proxy = entry.proxy,
        row = entry.row,
        seconds = options.seconds,
        rate = before and before.rate or rate,
      })
      entry.samples[round] = sample
      rate = rate or sample.rate
    end
  end
end

-- A group's part of the report.
local function measure(here, group, proxies, options, out)
  local entries = entries_of(here, group, proxies)
  lab.place(here, group)
  lab.fill(here, group.rows[1].size)
  if group.run then return out:add(require(group.run).run(here, entries, options, out)) end
  in_turns(here, entries, options)
  return out:rows(entries)
end

-- Those that start; the others get a note.
local function available(here, patterns)
  local found, notes = {}, {}
  for _, peer in ipairs(peers.all(here)) do
    if cases.matches(peer.name, patterns) then
      local ok, why = pcall(instance_of, here, peer, cases.defaults)
      if ok then
        found[#found + 1] = peer
      else
        notes[#notes + 1] = ("%s is left out: %s"):format(peer.name, why)
      end
    end
  end
  if #found == 0 then error("no proxy runs: " .. table.concat(notes, "; "), 0) end
  return found, notes
end

local function compare(here)
  local options = settings()
  local groups = cases.chosen(options.cases)
  if #groups == 0 then error("BENCH_CASES matches no case: " .. options.cases, 0) end
  local proxies, notes = available(here, options.proxies)
  local out = report.new(here, proxies, options, notes)
  io.write(out:head())
  for _, group in ipairs(groups) do
    io.write(measure(here, group, proxies, options, out))
    io.flush()
  end
  io.write(out:goals())
  print("\nwritten to " .. out:save())
end

function M.main(root)
  return lab.run("bench", root, compare)
end

return M
