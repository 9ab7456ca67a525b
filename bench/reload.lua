-- How long a reload takes, from NYDUS RELOAD to its answer: all workers have
-- the new configuration then.
--
--   reload.run(here, entries, options, report) → text; entries of peer, proxy, row

local sys = require("support.sys")

local M = {}

local TIMES = 9

-- Milliseconds, of one.
local function reload(fd)
  local from = sys.now()
  assert(sys.write(fd, "NYDUS RELOAD\r\n"))
  local reply = sys.wait_until(function()
    sys.poll(fd, "r", 1)
    return sys.read(fd)
  end, 20, "the answer to NYDUS RELOAD")
  if reply:sub(1, 1) == "-" then error(reply, 0) end
  return (sys.now() - from) * 1000
end

function M.run(_, entries, _, report)
  local out = { "\nreload: milliseconds, the median and the most of " .. TIMES .. "\n\n" }
  for _, entry in ipairs(entries) do
    local fd = assert(sys.connect({ port = entry.proxy.port }, 5))
    local times = {}
    for i = 1, TIMES do times[i] = reload(fd) end
    sys.close(fd)
    table.sort(times)
    report:figure(entry.row.title, entry.peer.kind, "ms", times[(TIMES + 1) / 2])
    out[#out + 1] = ("%-22s %-22s %8.1f %8.1f\n"):format(entry.row.title, entry.peer.name, times[(TIMES + 1) / 2],
      times[TIMES])
  end
  return table.concat(out)
end

return M
