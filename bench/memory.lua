-- Memory: of idle clients, before and after traffic, and after a peak.
--
--   memory.run(here, entries, options, report) → text; entries of peer, proxy, row

local sys = require("support.sys")
local meter = require("meter")
local peers = require("peers")

local M = {}

local MB = 1024 * 1024
local CLIENTS, FIRST = 10000, 500 -- the first fill the pools that all share
local SETTLES = 3 -- seconds in which what is no longer used has gone back
local SMALL, BIG = 2000, MB
local CLIENTS_OF = { relay = 5000 } -- a relay has two connections for each

local function encode(...)
  local words = { ... }
  for i, word in ipairs(words) do words[i] = ("$%d\r\n%s\r\n"):format(#word, word) end
  return ("*%d\r\n%s"):format(#words, table.concat(words))
end

local function write_all(fd, bytes, seconds)
  local sent, deadline = 0, sys.now() + seconds
  while sent < #bytes and sys.now() < deadline do
    local put, why = sys.write(fd, bytes, sent + 1)
    if not put and why ~= "again" then error("a client was closed: " .. why, 0) end
    sent = sent + (put or 0)
    if not put then sys.poll(fd, "w", 0.1) end
  end
  return sent
end

local function read_line_end(fd)
  local last
  sys.wait_until(function()
    local bytes, why = sys.read(fd)
    if not bytes and why ~= "again" then error("a client was closed: " .. why, 0) end
    last = bytes and bytes:sub(-2) or last
    if not bytes then sys.poll(fd, "r", 1) end
    return last == "\r\n"
  end, 60, "a reply")
end

local function connect(proxy, count, out)
  for _ = 1, count do out[#out + 1] = assert(sys.connect({ port = proxy.port }, 10)) end
  return out
end

local function close(fds)
  for _, fd in ipairs(fds) do sys.reset(fd) end
end

-- Each sends one command, then each reads its reply; a reply ends with a newline.
local function talk(fds, request)
  for _, fd in ipairs(fds) do write_all(fd, request, 10) end
  for _, fd in ipairs(fds) do read_line_end(fd) end
end

local function traffic(fds)
  talk(fds, encode("GET", "key:000000000001"))
  talk(fds, encode("SET", "key:000000000001", ("y"):rep(SMALL)))
end

local function settled(proxy)
  sys.pause(SETTLES)
  return (meter.resident(proxy.pid))
end

local function idle(here, entry, count)
  local proxy = peers.start(here, entry.peer, entry.row)
  local fds = connect(proxy, FIRST, {})
  traffic(fds)
  traffic(fds)
  local before = settled(proxy)
  local more = connect(proxy, count, {})
  sys.pause(0.5)
  local fresh = (meter.resident(proxy.pid) - before) / count
  traffic(more)
  local used = (settled(proxy) - before) / count
  close(fds)
  close(more)
  return fresh, used
end

local function stop_hosts(here, signal)
  for _, host in ipairs(here.hosts) do sys.kill(host.pid, signal) end
end

-- Requests of a megabyte, while the hosts stand still; then all are answered.
local function peak(here, entry, count)
  local proxy = peers.start(here, entry.peer, entry.row)
  local fds = connect(proxy, count, {})
  traffic(fds)
  local before, sent = settled(proxy), 0
  stop_hosts(here, "STOP")
  local ok, why = pcall(function()
    for i, fd in ipairs(fds) do sent = sent + write_all(fd, encode("SET", "peak:" .. i % 8, ("z"):rep(BIG)), 10) end
  end)
  local most = meter.resident(proxy.pid)
  stop_hosts(here, "CONT")
  if not ok then error(why, 0) end
  for _, fd in ipairs(fds) do read_line_end(fd) end
  local after = settled(proxy)
  close(fds)
  return { before = before, most = most, after = after, sent = sent }
end

local HEAD = [[

memory: bytes that are resident for each idle client, fresh and after a GET and a SET of %d bytes (%d clients before
them); resident megabytes before, in and %d s after a peak: %d clients send SETs of 1 MB to hosts that stand still

proxy                  clients    fresh     used in flight   before     peak    after    ratio
]]
local FORM = "%-22s %7d %8.0f %8.0f %9s %8s %8s %8s %8s\n"

local function megabytes(bytes)
  return bytes and ("%.1f"):format(bytes / MB) or "-"
end

function M.run(here, entries, options, report)
  local big = options.quick and 128 or 1024
  local out = { HEAD:format(SMALL, FIRST, SETTLES, big) }
  for _, entry in ipairs(entries) do
    local count = CLIENTS_OF[entry.peer.kind] or CLIENTS
    local fresh, used = idle(here, entry, count)
    local p = entry.peer.kind ~= "relay" and peak(here, entry, big) or {}
    for field, value in pairs({ ["bytes, fresh client"] = fresh, ["bytes, used client"] = used,
      ["after the peak / before"] = p.after and p.after / p.before }) do
      report:figure(entry.row.title, entry.peer.kind, field, value)
    end
    out[#out + 1] = FORM:format(entry.peer.name, count, fresh, used, megabytes(p.sent), megabytes(p.before),
      megabytes(p.most), megabytes(p.after), p.after and ("%.2f"):format(p.after / p.before) or "-")
  end
  return table.concat(out)
end

return M
