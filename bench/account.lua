-- The account of one request: where its time goes (perf), its system calls
-- (perf and strace), its instructions (callgrind), of the worker.
--
--   account.main(root, parts) → exit code; parts: "time", "calls", "instructions", all without
--
-- BENCH_CASES chooses among the titles of cases.lua.

local cases = require("cases")
local lab = require("lab")
local layers = require("layers")
local meter = require("meter")
local peers = require("peers")
local profile = require("profile")

local M = {}

local CASES = "^GET 1$|^GET 16|^GET 64|saturated|^MGET"

local function parts_of(words)
  local parts = {}
  for _, word in ipairs(words) do parts[word] = true end
  if not next(parts) then
    parts = { time = true, calls = true, instructions = true, whole = not os.getenv("BENCH_CASES") }
  end
  return parts
end

-- ------------------------------------------------------------- the tables

local PARTS = {
  { name = "time", of = profile.time, tool = "perf", least = 0.004,
    title = "Nanoseconds of CPU for a request, in the kernel by system call, else by part of Nydus (perf)" },
  { name = "calls", of = profile.calls, tool = "perf", form = "%.1f",
    title = "System calls for 1,000 requests, counted in the kernel (perf stat)" },
  { name = "calls", of = profile.traced_calls, tool = "strace", form = "%.1f", least = 0.004,
    title = "The same under strace, which slows the worker down, so that more arrives together" },
  { name = "instructions", of = profile.instructions, tool = "valgrind",
    title = "Instructions outside of the kernel for a request, by part of Nydus (callgrind)" },
}

-- What is nowhere more than that share of its column becomes "the rest".
local function gather(columns, least)
  local most = {}
  for _, column in ipairs(columns) do
    for name, value in pairs(column.values) do most[name] = math.max(most[name] or 0, value / column.total) end
  end
  for _, column in ipairs(columns) do
    for name, value in pairs(column.values) do
      if most[name] < least then
        column.values[name] = nil
        column.rest = (column.rest or 0) + value
      end
    end
  end
  for _, column in ipairs(columns) do column.values["the rest"] = column.rest end
end

local function weight_of(columns)
  local weight = {}
  for _, column in ipairs(columns) do
    for name, value in pairs(column.values) do weight[name] = (weight[name] or 0) + value / column.total end
  end
  weight["the rest"] = weight["the rest"] and 0
  return weight
end

local function line(name, columns, text_of)
  local out = { "| " .. name }
  for _, column in ipairs(columns) do out[#out + 1] = text_of(column) end
  return table.concat(out, " | ") .. " |\n"
end

-- Markdown: a column for each case, the weightiest rows first.
local function table_of(part, columns)
  for _, column in ipairs(columns) do
    column.total = 0
    for _, value in pairs(column.values) do column.total = column.total + value end
  end
  gather(columns, part.least or 0.001)
  local weight, names, form = weight_of(columns), {}, part.form or "%.0f"
  for name in pairs(weight) do names[#names + 1] = name end
  table.sort(names, function(a, b) return weight[a] > weight[b] end)
  local out = { "\n" .. part.title .. ":\n\n", line("", columns, function(column) return column.title end),
    line("---", columns, function() return "---:" end) }
  for _, name in ipairs(names) do
    out[#out + 1] = line(name, columns, function(column)
      return form:format(column.values[name] or 0)
    end)
  end
  out[#out + 1] = line("**all**", columns, function(column) return "**" .. form:format(column.total) .. "**" end)
  return table.concat(out)
end

local function columns_of(here, part, proxy)
  local columns = {}
  for _, group in ipairs(cases.chosen(os.getenv("BENCH_CASES") or CASES)) do
    local row = group.rows[1]
    lab.place(here, row)
    lab.fill(here, row.size)
    local keys = type(row.test) == "table" and #here.hosts or 1 -- an MGET is a command for each host
    local values = part.of(here, { here = here, proxy = proxy, row = row, keys = keys })
    columns[#columns + 1] = { title = row.title, values = values }
  end
  return columns
end

-- ------------------------------------------------------------------ main

local BEGIN, END = "<!-- bench/account writes what follows -->\n", "<!-- up to here -->\n"

-- The whole account is kept, and takes its place in the document.
local function save(here, text)
  local function write(path, bytes)
    local file = assert(io.open(here.root .. "/" .. path, "w"))
    file:write(bytes)
    file:close()
    print("written to " .. path)
  end
  print()
  write(os.date("bench/results/%Y-%m-%d-account.txt"), text)
  local document = assert(meter.read(here.root .. "/docs/performance.md"))
  local _, from = document:find(BEGIN, 1, true)
  local to = document:find(END, 1, true)
  write("docs/performance.md", document:sub(1, from) .. text .. document:sub(to))
end

local function check_tools(parts)
  for _, part in ipairs(PARTS) do
    if parts[part.name] and lab.output({ "sh", "-c", "command -v " .. part.tool }) == "" then
      error(("%s is not installed, which the account of %s needs"):format(part.tool, part.name), 0)
    end
  end
end

local function go(here, parts)
  check_tools(parts)
  local proxy = peers.start(here, peers.all(here)[1], cases.defaults)
  here.layer_of = layers.new(here.root)
  local text = { ("%s; %s; %s;%s\n"):format(os.date("%Y-%m-%d"),
    lab.output({ here.root .. "/build/nydus", "--version" }), lab.output({ "uname", "-sr" }),
    lab.output({ "sh", "-c", "grep -m1 '^model name' /proc/cpuinfo | cut -d: -f2-" })) }
  io.write(text[1])
  for _, part in ipairs(PARTS) do
    if parts[part.name] then
      text[#text + 1] = table_of(part, columns_of(here, part, proxy))
      io.write(text[#text])
      io.flush()
    end
  end
  if parts.whole then save(here, table.concat(text)) end
end

function M.main(root, words)
  return lab.run("account", root, function(here) go(here, parts_of(words)) end)
end

return M
