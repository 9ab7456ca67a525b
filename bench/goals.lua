-- What is to be reached, as data, and how far a run has come.
--
--   goals.judge(figures) → text: each goal that the run has a figure for
--   goals.key(title, kind, field) → where report.lua and the others put a figure
--
-- Of a goal: the row's title, the field, the most that it may be. Fields are
-- ratios of CPU (/twemproxy, /HAProxy, /C router, growth), microseconds of CPU
-- in user space (user), and what the special tables have.

local M = {}

local goals = {
  { "GET 1", "/HAProxy", 1 }, { "SET 1", "/HAProxy", 1 },
  { "GET 1, saturated", "/HAProxy", 0.45 },
  { "GET 16", "/twemproxy", 0.35 }, { "GET 16", "/HAProxy", 1.1 }, { "GET 16", "user", 0.3 },
  { "SET 16", "/twemproxy", 0.35 }, { "SET 16", "/HAProxy", 1.1 }, { "SET 16", "user", 0.3 },
  { "GET 64", "/twemproxy", 0.14 }, { "GET 64", "/HAProxy", 1.4 }, { "GET 64", "user", 0.3 },
  { "SET 64", "/twemproxy", 0.14 }, { "SET 64", "/HAProxy", 1.4 }, { "SET 64", "user", 0.3 },
  { "GET 1", "/C router", 1.03, kind = "script" }, { "GET 16", "/C router", 1.03, kind = "script" },
  { "GET 64", "/C router", 1.03, kind = "script" },
  { "MGET of 100 keys", "/twemproxy", 0.25 },
  { "1 KB: GET 16", "/HAProxy", 1.2 }, { "1 KB: SET 16", "/HAProxy", 1.2 },
  { "64 KB: GET 1", "/HAProxy", 1.2 }, { "64 KB: SET 1", "/HAProxy", 1.2 },
  { "300 hosts: GET 1", "growth", 1.25 }, { "300 hosts: GET 16", "growth", 1.25 },
  { "5000 clients: GET 1", "growth", 1.25 }, { "5000 clients: GET 16", "growth", 1.25 },
  { "300 hosts: reload", "ms", 100 },
  { "latency", "p99 /twemproxy", 1 }, { "latency", "p99.9 /twemproxy", 1 },
  { "memory", "bytes, fresh client", 512 }, { "memory", "bytes, used client", 512 },
  { "memory", "after the peak / before", 1.2 },
}

function M.key(title, kind, field)
  return title .. "|" .. kind .. "|" .. field
end

function M.judge(figures)
  local out = {}
  for _, goal in ipairs(goals) do
    local title, field, most = goal[1], goal[2], goal[3]
    local figure = figures[M.key(title, goal.kind or "nydus", field)]
    if figure then
      out[#out + 1] = ("%-22s %-24s %8.2f %8.2f   %s\n"):format(title, field, most, figure,
        figure <= most and "reached" or ("missed: %.2f times"):format(figure / most))
    end
  end
  if #out == 0 then return "" end
  return ("\n%-22s %-24s %8s %8s\n"):format("goals", "", "at most", "is") .. table.concat(out)
end

return M
