-- The system calls the specs need, by FFI: processes, sockets, waiting.
-- Deadlines everywhere: a call that waits takes seconds and raises with a
-- sentence when they are over. Misuse and surprises raise; nothing returns -1.
--
--   sys.now()                          seconds on the monotonic clock
--   sys.pause(seconds)                 only for the loops of wait_until
--   sys.wait_until(fn, seconds, what)  first true value of fn()
--   sys.spawn{ argv, env=, stdout=, stderr=, stdin= } → pid
--   sys.reap(pid) → nil while it runs, else exit code or -signal
--   sys.kill(pid, signal)              false when there is no such process
--   sys.raise_descriptors(count)       this process may open so many, if the system lets it
--   sys.listen(address) / connect(address, seconds) / accept(fd) → fd
--   sys.read(fd, size) / write(fd, bytes, from) → nil, "again" | "closed" …
--   sys.poll(fd, "r" | "w" | "rw", seconds) → readable, writable
-- An address is { host = , port = } or { path = } for a unix socket.

local ffi = require("ffi")
local bit = require("bit")
local C = ffi.C

ffi.cdef([[
typedef int nds_pid;
struct nds_pollfd { int fd; short events; short revents; };
struct nds_timespec { long sec; long nsec; };
struct nds_sockaddr_in { uint16_t family; uint16_t port; uint8_t addr[4]; char zero[8]; };
struct nds_sockaddr_in6 { uint16_t family; uint16_t port; uint32_t flow; uint8_t addr[16]; uint32_t scope; };
struct nds_sockaddr_un { uint16_t family; char path[108]; };
struct nds_linger { int onoff; int seconds; };
struct nds_rlimit { unsigned long soft, hard; };
nds_pid fork(void);
nds_pid getpid(void);
nds_pid getppid(void);
unsigned getuid(void);
int setpgid(nds_pid pid, nds_pid group);
int execvp(const char *file, char *const argv[]);
int kill(nds_pid pid, int signal);
nds_pid waitpid(nds_pid pid, int *status, int options);
int prctl(int option, ...);
int getrlimit(int resource, struct nds_rlimit *limit);
int setrlimit(int resource, const struct nds_rlimit *limit);
void _exit(int status);
int setenv(const char *name, const char *value, int overwrite);
int unsetenv(const char *name);
int open(const char *path, int flags, ...);
int close(int fd);
int dup2(int old, int new);
long write(int fd, const void *bytes, size_t size);
unsigned alarm(unsigned seconds);
int socket(int domain, int type, int protocol);
int bind(int fd, const void *address, unsigned size);
int listen(int fd, int backlog);
int connect(int fd, const void *address, unsigned size);
int accept4(int fd, void *address, void *size, int flags);
int getsockname(int fd, void *address, unsigned *size);
int getsockopt(int fd, int level, int name, void *value, unsigned *size);
int setsockopt(int fd, int level, int name, const void *value, unsigned size);
int inet_pton(int family, const char *text, void *out);
int shutdown(int fd, int how);
long send(int fd, const void *bytes, size_t size, int flags);
long recv(int fd, void *buffer, size_t size, int flags);
int poll(struct nds_pollfd *fds, unsigned long count, int milliseconds);
int clock_gettime(int clock, struct nds_timespec *out);
char *strerror(int error);
char *mkdtemp(char *pattern);
]])

local M = {}

local EINTR, EAGAIN, EINPROGRESS, ESRCH, ECHILD = 4, 11, 115, 3, 10
local POLLIN, POLLOUT = 1, 4
local MSG_NOSIGNAL = 0x4000
local SOL_SOCKET = 1
local RLIMIT_NOFILE = 7
local NONBLOCK_CLOEXEC = bit.bor(0x800, 0x80000)

M.signals = {
  HUP = 1, INT = 2, QUIT = 3, ABRT = 6, KILL = 9, USR1 = 10, SEGV = 11, USR2 = 12,
  PIPE = 13, ALRM = 14, TERM = 15, CHLD = 17, CONT = 18, STOP = 19,
}

-- The words for the last failed call.
local function reason()
  return ffi.string(C.strerror(ffi.errno()))
end

-- ---------------------------------------------------------------- time

local clock = ffi.new("struct nds_timespec")

function M.now()
  C.clock_gettime(1, clock)
  return tonumber(clock.sec) + tonumber(clock.nsec) / 1e9
end

function M.pause(seconds)
  C.poll(nil, 0, math.ceil(seconds * 1000))
end

-- Calls fn until it returns something true, which is returned; raises after
-- `seconds` (5). `what` says in words what was waited for.
function M.wait_until(fn, seconds, what)
  local deadline = M.now() + (seconds or 5)
  local step = 0.001
  while true do
    local value = fn()
    if value then return value end
    if M.now() > deadline then
      error(("waited %.1f s in vain for %s"):format(seconds or 5, what or "a condition"), 2)
    end
    M.pause(step)
    step = math.min(step * 1.5, 0.02)
  end
end

-- ----------------------------------------------------------- processes

local function redirect(fd, path, flags)
  local new = C.open(path, flags, ffi.cast("int", 420))
  if new >= 0 then C.dup2(new, fd) end
end

-- In the child only: nothing here may touch the parent's sockets or raise.
local function become(argv, c_argv, options, parent)
  C.setpgid(0, 0)
  C.prctl(1, ffi.cast("unsigned long", 9)) -- PR_SET_PDEATHSIG, SIGKILL
  if C.getppid() ~= parent then C._exit(127) end
  local append = bit.bor(1, 0x40, 0x400) -- O_WRONLY | O_CREAT | O_APPEND
  redirect(0, options.stdin or "/dev/null", 0)
  if options.stdout then redirect(1, options.stdout, append) end
  if options.stderr then redirect(2, options.stderr, append) end
  C.unsetenv("LD_PRELOAD") -- the specs' own, for a sanitized libnydus.so
  for name, value in pairs(options.env or {}) do
    if value == false then C.unsetenv(name) else C.setenv(name, tostring(value), 1) end
  end
  C.execvp(argv[1], c_argv)
  local words = ("cannot start %s: %s\n"):format(argv[1], reason())
  C.write(2, words, #words)
  C._exit(127)
end

-- Starts a program in a process group of its own; it is killed when this
-- process dies, whatever the way. Output goes to the files named.
function M.spawn(argv, options)
  local c_argv = ffi.new("char *[?]", #argv + 1)
  local keep = {}
  for i, word in ipairs(argv) do
    local text = tostring(word)
    keep[i] = ffi.new("char[?]", #text + 1, text)
    c_argv[i - 1] = keep[i]
  end
  io.stdout:flush()
  local parent = C.getpid()
  local pid = C.fork()
  if pid == 0 then become(argv, c_argv, options or {}, parent) end
  if pid < 0 then error("fork: " .. reason(), 2) end
  C.setpgid(pid, pid)
  return pid
end

-- nil while the process runs; else its exit code, or minus the signal.
function M.reap(pid)
  local status = ffi.new("int[1]")
  local got
  repeat got = C.waitpid(pid, status, 1) until got >= 0 or ffi.errno() ~= EINTR
  if got == 0 then return nil end
  if got < 0 then
    if ffi.errno() == ECHILD then return 0 end
    error("waitpid: " .. reason(), 2)
  end
  local signal = bit.band(status[0], 0x7f)
  if signal ~= 0 then return -signal end
  return bit.band(bit.rshift(status[0], 8), 0xff)
end

function M.kill(pid, signal)
  local number = M.signals[signal] or signal
  if type(number) ~= "number" then error("no signal " .. tostring(signal), 2) end
  if C.kill(pid, number) == 0 then return true end
  if ffi.errno() == ESRCH then return false end
  error("kill: " .. reason(), 2)
end

-- Ends this process by SIGALRM unless it is asked again in time; 0: never.
function M.alarm(seconds)
  C.alarm(seconds)
end

function M.getpid()
  return C.getpid()
end

-- A shell of Debian allows 1024, too few for specs with thousands of clients.
function M.raise_descriptors(wanted)
  local limit = ffi.new("struct nds_rlimit")
  C.getrlimit(RLIMIT_NOFILE, limit)
  if limit.soft < wanted then
    limit.soft = limit.hard < wanted and limit.hard or wanted
    C.setrlimit(RLIMIT_NOFILE, limit)
  end
end

function M.is_root()
  return C.getuid() == 0
end

local temp = os.getenv("TMPDIR") or "/tmp"

-- A fresh folder, its name short enough for unix sockets; the caller removes it.
function M.mkdtemp()
  local pattern = ("%s/nydus-spec-%d-XXXXXX"):format(temp, C.getpid())
  local buffer = ffi.new("char[?]", #pattern + 1, pattern)
  if C.mkdtemp(buffer) == nil then error("mkdtemp: " .. reason(), 2) end
  return ffi.string(buffer)
end

-- Removes what runs that were killed have left behind.
function M.remove_stale()
  local files = require("support.files")
  for name in require("lfs").dir(temp) do
    local pid = tonumber(name:match("^nydus%-spec%-(%d+)%-"))
    if pid and C.kill(pid, 0) ~= 0 and ffi.errno() == ESRCH then files.remove(temp .. "/" .. name) end
  end
end

-- ------------------------------------------------------------- sockets

local function sockaddr(address)
  if address.path then
    local un = ffi.new("struct nds_sockaddr_un")
    un.family = 1
    if #address.path > 107 then error("socket path too long: " .. address.path, 3) end
    ffi.copy(un.path, address.path, #address.path)
    return un, 2 + #address.path + (address.path:byte(1) == 0 and 0 or 1), 1
  end
  local host = address.host or "127.0.0.1"
  local six = host:find(":", 1, true)
  local port = bit.bor(bit.lshift(bit.band(address.port, 0xff), 8), bit.rshift(address.port, 8))
  local sa = ffi.new(six and "struct nds_sockaddr_in6" or "struct nds_sockaddr_in")
  sa.family, sa.port = six and 10 or 2, port
  if C.inet_pton(sa.family, host, sa.addr) ~= 1 then error("not an address: " .. host, 3) end
  return sa, ffi.sizeof(sa), sa.family
end

local function set_option(fd, level, name, value)
  C.setsockopt(fd, level, name, ffi.new("int[1]", value), 4)
end

local function new_socket(family)
  local fd = C.socket(family, bit.bor(1, NONBLOCK_CLOEXEC), 0)
  if fd < 0 then error("socket: " .. reason(), 3) end
  return fd
end

-- A listening socket, or nil and the reason. Without backlog it only binds.
function M.listen(address, backlog)
  local sa, size, family = sockaddr(address)
  local fd = new_socket(family)
  if family ~= 1 then set_option(fd, SOL_SOCKET, 2, 1) end -- SO_REUSEADDR
  if C.bind(fd, sa, size) ~= 0 or (backlog ~= 0 and C.listen(fd, backlog or 511) ~= 0) then
    local why = reason()
    C.close(fd)
    return nil, why
  end
  return fd
end

local function connect_error(fd)
  local value, size = ffi.new("int[1]"), ffi.new("unsigned[1]", 4)
  C.getsockopt(fd, SOL_SOCKET, 4, value, size) -- SO_ERROR
  return value[0] ~= 0 and ffi.string(C.strerror(value[0])) or nil
end

-- A connected socket (no delay), or nil and the reason. options.receive_buffer
-- sets SO_RCVBUF before connecting, for slow readers.
function M.connect(address, seconds, options)
  local sa, size, family = sockaddr(address)
  local fd = new_socket(family)
  if options and options.receive_buffer then set_option(fd, SOL_SOCKET, 8, options.receive_buffer) end
  if family ~= 1 then set_option(fd, 6, 1, 1) end -- TCP_NODELAY
  local why
  if C.connect(fd, sa, size) ~= 0 then
    if ffi.errno() == EINPROGRESS then
      local _, writable = M.poll(fd, "w", seconds or 5)
      why = not writable and "timed out" or connect_error(fd)
    else
      why = reason()
    end
  end
  if not why then return fd end
  C.close(fd)
  return nil, why
end

-- A new connection, or nil when none waits.
function M.accept(fd)
  local new = C.accept4(fd, nil, nil, NONBLOCK_CLOEXEC)
  if new < 0 then
    if ffi.errno() == EAGAIN or ffi.errno() == EINTR then return nil end
    error("accept: " .. reason(), 2)
  end
  set_option(new, 6, 1, 1)
  return new
end

function M.close(fd)
  C.close(fd)
end

function M.shutdown_write(fd)
  C.shutdown(fd, 1)
end

-- Closes with a RST instead of a FIN.
function M.reset(fd)
  C.setsockopt(fd, SOL_SOCKET, 13, ffi.new("struct nds_linger", { 1, 0 }), 8)
  C.close(fd)
end

local scratch_size = 256 * 1024
local scratch = ffi.new("char[?]", scratch_size)

-- Bytes (at most `size`), or nil with "again", "closed" or the reason.
function M.read(fd, size)
  local got = C.recv(fd, scratch, math.min(size or scratch_size, scratch_size), 0)
  if got > 0 then return ffi.string(scratch, got) end
  if got == 0 then return nil, "closed" end
  if ffi.errno() == EAGAIN or ffi.errno() == EINTR then return nil, "again" end
  return nil, reason()
end

-- How many bytes of bytes[from..] went out, or nil with "again" or the reason.
function M.write(fd, bytes, from)
  local start = ffi.cast("const char *", bytes) + (from or 1) - 1
  local put = C.send(fd, start, #bytes - (from or 1) + 1, MSG_NOSIGNAL)
  if put >= 0 then return tonumber(put) end
  if ffi.errno() == EAGAIN or ffi.errno() == EINTR then return nil, "again" end
  return nil, reason()
end

-- Waits for one descriptor. Errors and hang-ups count as readable and writable.
function M.poll(fd, want, seconds)
  local p = ffi.new("struct nds_pollfd[1]")
  p[0].fd = fd
  p[0].events = (want:find("r") and POLLIN or 0) + (want:find("w") and POLLOUT or 0)
  C.poll(p, 1, math.max(0, math.ceil(seconds * 1000)))
  local events, broken = p[0].revents, bit.band(p[0].revents, 0x18) ~= 0
  return bit.band(events, POLLIN) ~= 0 or broken, bit.band(events, POLLOUT) ~= 0 or broken
end

-- Waits until one of many descriptors can be read.
function M.poll_many(fds, seconds)
  local p = ffi.new("struct nds_pollfd[?]", #fds)
  for i, fd in ipairs(fds) do
    p[i - 1].fd, p[i - 1].events = fd, POLLIN
  end
  C.poll(p, #fds, math.max(0, math.ceil(seconds * 1000)))
end

-- Takes a name in the kernel's abstract namespace for as long as this process
-- lives; false when another has it. Keeps parallel runs off each other's ports.
function M.lock(name)
  local fd = M.listen({ path = "\0" .. name }, 0)
  return fd ~= nil
end

return M
