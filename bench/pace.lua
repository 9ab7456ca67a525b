-- A generator that keeps its pace: GETs are due at even intervals, whatever the
-- answers do, and a latency counts from the moment its request was due. So a
-- stall is seen by all requests that fall into it, not by one.
--
--   luajit bench/pace.lua PORT RATE SECONDS CLIENTS KEYS REPLY_BYTES
--
-- Prints "begin" when it begins, and behind that "sent <requests>", then "<microseconds> <replies>" for each latency
-- that occurred. A request that is due goes to the next client in turn, behind
-- those that this one has not got answers to.

local root = arg[0]:match("^(.*)/[^/]+$") .. "/.."
package.path = root .. "/spec/?.lua"

local ffi = require("ffi")
local bit = require("bit")
local sys = require("support.sys")
local C = ffi.C

ffi.cdef([[
struct pace_event { uint32_t events; int32_t fd; int32_t unused; } __attribute__((packed));
int epoll_create1(int flags);
int epoll_ctl(int epoll, int what, int fd, struct pace_event *event);
int epoll_pwait2(int epoll, struct pace_event *events, int max, const struct nds_timespec *timeout, const void *mask);
]])

local PORT, RATE, SECONDS = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3])
local CLIENTS, KEYS, REPLY = tonumber(arg[4]), tonumber(arg[5]), tonumber(arg[6])
local EVENTS, RING, LONGEST, NOSIGNAL, TIMERSLACK = 64, 8192, 2000000, 0x4000, 29

local requests = {}
for i = 1, KEYS do requests[i] = ("*2\r\n$3\r\nGET\r\n$16\r\nkey:%012d\r\n"):format(i - 1) end
local REQUEST = #requests[1]
local all_requests = table.concat(requests)
local bytes = ffi.cast("const char *", all_requests)

local counts = ffi.new("uint32_t[?]", LONGEST + 1) -- by microseconds
local events = ffi.new("struct pace_event[?]", EVENTS)
local buffer = ffi.new("char[65536]")
local wait = ffi.new("struct nds_timespec")
local epoll = C.epoll_create1(0)

-- Of each client: when its requests were due, from `first` on, and the bytes of a reply begun.
local clients, number_of = {}, {}
for i = 1, CLIENTS do
  local fd = assert(sys.connect({ port = PORT }, 5))
  clients[i] = { fd = fd, due = ffi.new("double[?]", RING), first = 0, last = 0, begun = 0 }
  number_of[fd] = i
  local event = ffi.new("struct pace_event", { events = 1, fd = fd })
  if C.epoll_ctl(epoll, 1, fd, event) ~= 0 then error("epoll_ctl fails") end
end
C.prctl(TIMERSLACK, ffi.cast("unsigned long", 1))

local function ask(client, due)
  if client.last - client.first >= RING then error("the proxy cannot keep up") end
  client.due[client.last % RING] = due
  client.last = client.last + 1
  local key = math.random(0, KEYS - 1)
  if C.send(client.fd, bytes + key * REQUEST, REQUEST, NOSIGNAL) ~= REQUEST then error("send fails") end
end

-- Returns how many replies came.
local function hear(client)
  local got = tonumber(C.recv(client.fd, buffer, 65536, 0))
  if got == 0 then error("the proxy has closed a connection") end
  if got < 0 then return 0 end
  if client.begun == 0 and buffer[0] ~= 36 then error("not a value: " .. ffi.string(buffer, math.min(got, 100))) end
  local now = sys.now()
  local replies = math.floor((client.begun + got) / REPLY)
  client.begun = (client.begun + got) % REPLY
  for _ = 1, replies do
    local latency = math.floor((now - client.due[client.first % RING]) * 1e6)
    client.first = client.first + 1
    latency = math.min(math.max(latency, 0), LONGEST)
    counts[latency] = counts[latency] + 1
  end
  return replies
end

local function sleep_until(time)
  local seconds = math.max(time - sys.now(), 0)
  wait.sec = math.floor(seconds)
  wait.nsec = math.floor(seconds % 1 * 1e9)
  return C.epoll_pwait2(epoll, events, EVENTS, wait, nil)
end

print("begin")
io.flush()
local total = math.floor(RATE * SECONDS)
local start, sent, answered = sys.now(), 0, 0
while answered < total do
  local now = sys.now()
  while sent < total and start + sent / RATE <= now do
    ask(clients[sent % CLIENTS + 1], start + sent / RATE)
    sent = sent + 1
  end
  local ready = sleep_until(sent < total and start + sent / RATE or now + 1)
  if ready < 0 then error("epoll_pwait2 fails: Linux 5.11 is needed") end
  if sent == total and ready == 0 and now > start + SECONDS + 5 then error("replies are missing") end
  for i = 0, ready - 1 do
    if bit.band(events[i].events, 1) ~= 0 then
      answered = answered + hear(clients[number_of[events[i].fd]])
    end
  end
end

print("sent " .. sent)
for i = 0, LONGEST do
  if counts[i] > 0 then print(i, counts[i]) end
end
