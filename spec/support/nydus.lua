-- A Nydus of the build under test, with a configuration of its own.
--
--   local nydus = support.nydus{
--     config = { router = "ketama", hosts = { redis_a, redis_b } },   -- or a string
--     files = { ["routers/mine.lua"] = "…" },     -- beside config.lua
--     env = { NAME = "value" }, args = { … }, vars = { one = redis.port },
--   }
--   local client = nydus:client()
--
-- A config table may hold support.redis and support.fake objects as hosts; if
-- it has neither `listen` nor `clusters` it gets a free port (nydus.port), and
-- one worker unless it says otherwise. In a config string `$port` is that
-- port and `$name` what vars holds.
--
--   nydus.port nydus.pid nydus.dir    nydus:workers() → pids
--   nydus:client(timeout)             a raw client of nydus.port
--   nydus:hup() usr1() term()         signals to the master
--   nydus:write(path, text)           a file beside config.lua; "config.lua" too,
--                                     then text may be a config table
--   nydus:log()  wait_log(pattern, seconds)   forget_log()
--   nydus:stop(seconds)               SIGTERM; raises unless it exits 0 in time
--   nydus:crash()                     SIGKILL to all of it
--
-- At the end of its scope it is stopped; an exit code other than 0 or a
-- sanitizer's report fails the run.
--
--   support.nydus_fails{ … } → exit code, stderr     it must end by itself
--   support.nydus_run{ "--check", "config.lua", files = {…} } → code, stdout, stderr

local sys = require("support.sys")
local files = require("support.files")
local ports = require("support.ports")
local scope = require("support.scope")
local Client = require("support.client")
local Process = require("support.process")

local Nydus = {}
Nydus.__index = Nydus

local root = require("lfs").currentdir()

local function binary()
  local path = os.getenv("NYDUS_BIN") or "build/nydus"
  return path:sub(1, 1) == "/" and path or root .. "/" .. path
end

-- A Lua table as source; hosts may be redis or fake objects.
local function to_lua(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  if type(value.address) == "function" then value = value:address() end
  local out = {}
  for key, item in pairs(value) do
    out[#out + 1] = ("[%s] = %s"):format(to_lua(key), to_lua(item))
  end
  table.sort(out)
  return "{ " .. table.concat(out, ", ") .. " }"
end

local function copy(config)
  local out = {}
  for key, value in pairs(config) do out[key] = value end
  return out
end

-- The text of config.lua.
local function config_text(self, config)
  if type(config) == "string" then
    return (config:gsub("%$([%a_][%w_]*)", function(name)
      local value = name == "port" and self.port or self.vars[name]
      return value and tostring(value)
    end))
  end
  config = copy(config)
  if not config.listen and not config.clusters then config.listen = "127.0.0.1:" .. self.port end
  if config.workers == nil then config.workers = 1 end
  return "return " .. to_lua(config) .. "\n"
end

function Nydus:write(path, text)
  if path == "config.lua" then text = config_text(self, text) end
  return files.write(self.dir .. "/" .. path, text)
end

local sanitizer = "exitcode=99:detect_leaks=" .. (os.getenv("NYDUS_LEAKS") or "0")

local function environment(self, options)
  local env = {
    NYDUS_LUA_PATH = os.getenv("NYDUS_LUA_PATH") or root .. "/lua",
    NYDUS_PORT = self.port,
    ASAN_OPTIONS = sanitizer,
    UBSAN_OPTIONS = "print_stacktrace=1",
  }
  for name, value in pairs(options.env or {}) do env[name] = value end
  return env
end

local function prepare(options)
  local self = setmetatable({ name = "nydus", vars = options.vars or {} }, Nydus)
  self.dir = files.temp_dir()
  self.port = options.port or ports.free()
  self:write("config.lua", options.config or "return {}\n")
  for path, text in pairs(options.files or {}) do self:write(path, text) end
  return self
end

local function launch(self, options)
  local argv = { binary() }
  for _, word in ipairs(options.args or {}) do argv[#argv + 1] = word end
  argv[#argv + 1] = self.dir .. "/config.lua"
  self.process = Process.start({
    name = "nydus",
    argv = argv,
    dir = self.dir,
    env = environment(self, options),
  })
  self.pid = self.process.pid
end

-- The addresses that must accept before a spec goes on.
local function wait_address(self, options)
  local wait = options.wait == nil and { port = self.port } or options.wait
  if type(wait) == "number" then return { port = wait } end
  if type(wait) == "string" then return { path = wait } end
  return wait
end

local function accepts(self, address)
  if not self.process:alive() then
    error(("nydus ended (%d):\n%s"):format(self.process.code, self:log()), 0)
  end
  local fd = sys.connect(address, 1)
  if fd then sys.close(fd) end
  return fd ~= nil
end

-- options.wait: the port, path or address to wait for when it is not
-- nydus.port; false: do not wait.
function Nydus.new(options)
  local self = prepare(options)
  launch(self, options)
  scope.add(self)
  local address = wait_address(self, options)
  if address then
    local ok, why = pcall(sys.wait_until, function() return accepts(self, address) end, 10, "nydus to listen")
    if not ok then
      local log = self:log()
      scope.drop(self)
      self.process:kill()
      error(why:find(log, 1, true) and why or why .. "\n" .. log, 2)
    end
  end
  return self
end

function Nydus:client(options)
  local address = { port = self.port }
  for key, value in pairs(options or {}) do address[key] = value end
  return Client.new(address)
end

function Nydus:workers()
  return files.children(self.pid)
end

function Nydus:hup() return self.process:signal("HUP") end
function Nydus:usr1() return self.process:signal("USR1") end
function Nydus:term() return self.process:signal("TERM") end

function Nydus:log() return self.process:log() end
function Nydus:log_tail(lines) return self.process:log_tail(lines) end

-- Log lines before now no longer count for wait_log.
function Nydus:forget_log()
  self.seen = #self:log()
end

-- Waits for a line that matches the Lua pattern; returns its captures.
function Nydus:wait_log(pattern, seconds)
  local found
  sys.wait_until(function()
    found = { self:log():sub((self.seen or 0) + 1):match(pattern) }
    return #found > 0
  end, seconds or 5, ("a log line like %q"):format(pattern))
  return unpack(found)
end

local reports = { "ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:" }

local function sanitizer_report(self)
  local log = self:log()
  for _, mark in ipairs(reports) do
    local at = log:find(mark, 1, true)
    if at then return log:sub(at, at + 4000) end
  end
end

local function finish(self, seconds)
  self.stopped = true
  scope.drop(self)
  if self.process:alive() then
    self.process:signal("CONT")
    self.process:signal("TERM")
  end
  local ok = pcall(self.process.wait, self.process, seconds or 12) -- it drains for 10
  local log = self.process:log_tail()
  local report = sanitizer_report(self)
  self.process:kill()
  if report then error("a sanitizer's report:\n" .. report, 0) end
  if not ok then error("nydus did not stop on SIGTERM\n" .. log, 0) end
  if self.process.code ~= 0 then
    error(("nydus exited with %d\n%s"):format(self.process.code, log), 0)
  end
end

function Nydus:stop(seconds)
  finish(self, seconds)
end

-- Takes it away without a chance to clean up.
function Nydus:crash()
  self.stopped = true
  scope.drop(self)
  self.process:kill()
end

function Nydus:close()
  if not self.stopped then finish(self) end
end

-- Starts it, expecting it to end by itself; returns exit code and stderr.
function Nydus.fails(options)
  local self = prepare(options)
  launch(self, options)
  local ok = pcall(self.process.wait, self.process, options.seconds or 5)
  local log = self:log()
  self.process:kill()
  if not ok then error("nydus runs though it should not\n" .. log, 2) end
  return self.process.code, log
end

-- Runs the program in a folder with `files` and config until it ends:
-- "config.lua" in the arguments is that folder's.
function Nydus.run(options)
  local self = prepare(options)
  local argv = { binary() }
  for i, word in ipairs(options) do
    argv[i + 1] = word == "config.lua" and self.dir .. "/config.lua" or word
  end
  argv.env, argv.stdin, argv.seconds = environment(self, options), options.stdin, options.seconds
  return Process.run(argv)
end

return Nydus
