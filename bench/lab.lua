-- The place where it happens: cores, three redis-servers, programs and their end.
--
--   lab.run(name, root, fn)        fn(here) in a lab: cores are chosen, hosts filled, and all is ended behind it,
--                                  also on Ctrl-C, SIGTERM and SIGHUP; → exit code
--   lab.start(here, name, argv, options)   → program { pid, name, log }
--   lab.wait_port(program, port)   until it listens; raises with its log
--   lab.output(argv)               the first line a program prints
--   lab.pinned(core, argv)         argv on that core; core nil: anywhere
--   lab.place(here, row)           puts the hosts on the core that a row of cases.lua wants
--   lab.fill(here, size)           every key has a value of so many bytes, on every host
--   lab.keys(size)                 how many keys there are then
--   lab.ask(port, …)               what a server answers to a command, as redis-cli prints it
--   lab.commands(here)             how many commands the hosts have served

local ffi = require("ffi")
local sys = require("support.sys")
local ports = require("support.ports")

ffi.cdef("void (*signal(int number, void (*handler)(int)))(int);")

local meter = require("meter")

local M = {}

local DESCRIPTORS = 24000
local KEYS, HELD = 10000, 64 * 1024 * 1024 -- so many keys, unless their values are more than that

local function read_all(path)
  return meter.read(path) or ""
end

function M.keys(size)
  return math.min(KEYS, math.floor(HELD / size))
end

-- SIGTERM and SIGHUP raise "interrupted!" as Ctrl-C does.
local function catch_signals()
  local handler = ffi.C.signal(sys.signals.INT, nil) -- LuaJIT's own
  for _, name in ipairs({ "INT", "TERM", "HUP" }) do ffi.C.signal(sys.signals[name], handler) end
end

function M.start(here, name, argv, options)
  options = options or {}
  local program = { name = name, log = ("%s/%s.log"):format(here.dir, name) }
  program.pid = sys.spawn(argv, { env = options.env, stdout = options.stdout or program.log, stderr = program.log })
  here.programs[#here.programs + 1] = program
  return program
end

function M.wait_port(program, port)
  sys.wait_until(function()
    local code = sys.reap(program.pid)
    if code then error(("it ended (%d): %s"):format(code, read_all(program.log):sub(1, 2000)), 0) end
    local fd = sys.connect({ port = port }, 1)
    if fd then sys.close(fd) end
    return fd
  end, 10, program.name .. " to listen")
end

local function all_output(argv)
  local words = {}
  for i, word in ipairs(argv) do words[i] = "'" .. tostring(word):gsub("'", "'\\''") .. "'" end
  local pipe = io.popen(table.concat(words, " ") .. " 2>&1 </dev/null")
  local text = pipe:read("*a")
  pipe:close()
  return text
end

function M.output(argv)
  return all_output(argv):match("^[^\n]*")
end

function M.ask(port, ...)
  return all_output({ "redis-cli", "-p", port, ... })
end

function M.commands(here)
  local sum = 0
  for _, host in ipairs(here.hosts) do
    sum = sum + tonumber(M.ask(host.port, "INFO", "stats"):match("total_commands_processed:(%d+)"))
  end
  return sum
end

function M.pinned(core, argv)
  if not core then return argv end
  local out = { "taskset", "-c", core }
  for _, word in ipairs(argv) do out[#out + 1] = word end
  return out
end

-- The CPUs this process may use.
local function allowed_cpus()
  local list = {}
  for from, to in read_all("/proc/self/status"):match("Cpus_allowed_list:%s*(%S+)"):gmatch("(%d+)%-?(%d*)") do
    for cpu = tonumber(from), tonumber(to) or tonumber(from) do list[#list + 1] = cpu end
  end
  return list
end

local function choose_cores()
  local cpus = allowed_cpus()
  if #cpus < 2 then return {} end
  return { proxy = cpus[#cpus - 1], generator = cpus[#cpus] }
end

-- Every key that the generator asks for is on every host, so that no GET misses
-- whatever a proxy's placement is.
function M.fill(here, size)
  if here.filled == size then return end
  local script = ([[redis.call('FLUSHALL') local value = string.rep('x', %d)
    for i = 0, %d do redis.call('SET', string.format('key:%%012d', i), value) end]])
    :format(size, M.keys(size) - 1)
  for _, host in ipairs(here.hosts) do M.ask(host.port, "EVAL", script, 0) end
  here.filled = size
end

local function start_host(here, number)
  local port = ports.free()
  local name = "redis-" .. number
  local program = M.start(here, name, M.pinned(here.cores.generator, {
    "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
    "--maxclients", DESCRIPTORS / 2, "--dir", here.dir,
  }))
  program.port = port
  M.wait_port(program, port)
  return program
end

local function open(here)
  local path = os.getenv("PATH") or "/usr/bin:/bin"
  ffi.C.setenv("PATH", path .. ":/usr/sbin:/sbin", 1) -- where Debian keeps haproxy and nutcracker
  sys.raise_descriptors(DESCRIPTORS)
  here.cores = choose_cores()
  here.hosts = {}
  for number = 1, 3 do here.hosts[number] = start_host(here, number) end
end

function M.place(here, row)
  local cores = here.cores
  if not cores.proxy then return end
  local where = row.free and cores.proxy .. "," .. cores.generator or row.crowded and cores.proxy or cores.generator
  if here.placed == where then return end
  for _, host in ipairs(here.hosts) do M.output({ "taskset", "-a", "-p", "-c", where, host.pid }) end
  here.placed = where
end

-- Kindly first, so that Nydus ends its workers itself; then by group.
local function close(here)
  local alive = {}
  for _, program in ipairs(here.programs) do
    if sys.reap(program.pid) == nil then
      alive[#alive + 1] = program
      sys.kill(program.pid, "TERM")
    end
  end
  for _, program in ipairs(alive) do
    pcall(sys.wait_until, function() return sys.reap(program.pid) end, 2, program.name .. " to end")
    sys.kill(-program.pid, "KILL")
  end
  os.execute(("rm -rf '%s'"):format(here.dir))
end

function M.run(name, root, fn)
  catch_signals()
  local here = { root = root, dir = sys.mkdtemp(), programs = {} }
  local ok, why = xpcall(function()
    open(here)
    fn(here)
  end, function(message)
    return tostring(message):find("interrupted!", 1, true) and "interrupted" or message
  end)
  close(here)
  if ok then return 0 end
  io.stderr:write(name, ": ", tostring(why), "\n")
  return why == "interrupted" and 130 or 1
end

return M
