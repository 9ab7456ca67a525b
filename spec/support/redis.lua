-- A private redis-server on a free port of 127.0.0.1, nothing saved.
--
--   local redis = support.redis{ requirepass = "secret", databases = 4 }
--
-- Options are redis.conf's (`_` for `-`), besides: port, unix = true (a socket
-- at redis.path), user = { name=, password=, rules="~* +@all" }, fresh = true
-- (never one that another spec used before), args = { … }.
--
--   redis.port redis.path redis.pid   redis:call("GET", "k")   redis:client()
--   redis:address() → a host for a config table
--   redis:pause() / resume()          SIGSTOP / SIGCONT
--   redis:blocked()                   how many of its clients block; redis:until_blocked(count) waits for it
--   redis:stop() / kill(signal)       gone, the port is free
--   redis:restart()                   again on the same port, empty
--
-- A server without options goes back to a pool, flushed, when its scope ends.

local sys = require("support.sys")
local files = require("support.files")
local ports = require("support.ports")
local scope = require("support.scope")
local Process = require("support.process")
local Client = require("support.client")

local Redis = {}
Redis.__index = Redis

local pool = {}

local function words_of(text)
  local words = {}
  for word in text:gmatch("%S+") do words[#words + 1] = word end
  return words
end

local function command_line(self, options)
  local argv = {
    "redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
    "--dir", self.dir, "--daemonize", "no", "--enable-debug-command", "yes",
  }
  local function add(...)
    for _, word in ipairs({ ... }) do argv[#argv + 1] = tostring(word) end
  end
  if self.path then add("--unixsocket", self.path) end
  local user = options.user
  if user then
    add("--user", user.name, "on", ">" .. user.password, unpack(words_of(user.rules or "~* &* +@all")))
  end
  local own = { port = true, unix = true, user = true, fresh = true, args = true }
  for name, value in pairs(options) do
    if not own[name] then add("--" .. name:gsub("_", "-"), value) end
  end
  add(unpack(options.args or {}))
  return argv
end

local function answers(self)
  if not self.process:alive() then
    error(("redis-server ended (%d):\n%s"):format(self.process.code, self.process:log_tail()), 0)
  end
  local fd = sys.connect(self.path and { path = self.path } or { port = self.port }, 1) -- the socket comes last
  if not fd then return false end
  sys.close(fd)
  return true
end

local function launch(self)
  self.process = Process.start({
    name = "redis-" .. self.port,
    argv = command_line(self, self.options),
    dir = self.dir,
  })
  self.pid = self.process.pid
  sys.wait_until(function() return answers(self) end, 10, "redis-server to listen")
end

local function is_plain(options)
  return next(options) == nil
end

function Redis.new(options)
  options = options or {}
  if is_plain(options) and #pool > 0 then
    return scope.add(table.remove(pool))
  end
  local self = setmetatable({ options = options }, Redis)
  self.plain = is_plain(options)
  self.dir = sys.mkdtemp()
  self.port = options.port or ports.free()
  self.path = options.unix and self.dir .. "/redis.sock" or nil
  self.name = "redis " .. self.port
  launch(self)
  return scope.add(self)
end

-- The spec's own link, for looking behind Nydus.
function Redis:client()
  return Client.new({ port = self.port })
end

-- Commands that leave more behind than FLUSHALL takes away.
local marks = { config = true, debug = true, acl = true, shutdown = true, replicaof = true, client = true }

function Redis:call(...)
  if marks[tostring((...)):lower()] then self.plain = false end
  if not self.link or self.link:is_ended() then
    self.link = self:client()
    scope.drop(self.link) -- ours: closed with the server
    local options = self.options
    if options.requirepass then self.link:call("AUTH", options.requirepass) end
  end
  return self.link:call(...)
end

-- As a host in a config table for support.nydus.
function Redis:address(more)
  local host = self.path and { unix_socket_path = self.path } or { host = "127.0.0.1", port = self.port }
  for key, value in pairs(more or {}) do host[key] = value end
  return host
end

function Redis:pause()
  self.plain = false
  self.process:signal("STOP")
end

function Redis:resume()
  self.process:signal("CONT")
end

-- Ends it, by SIGKILL or the signal named, and waits until it is gone.
function Redis:blocked()
  return tonumber(self:call("INFO", "clients"):match("blocked_clients:(%d+)"))
end

function Redis:until_blocked(count)
  sys.wait_until(function() return self:blocked() == count end, 5, count .. " blocked clients")
end

function Redis:kill(signal)
  self.plain = false
  if self.link then self.link:close() end
  self.link = nil
  if self.process:alive() then
    self.process:signal("CONT")
    self.process:signal(signal or "KILL")
    self.process:wait(5)
  end
end

function Redis:stop()
  self:kill("KILL")
end

function Redis:restart()
  self:kill()
  launch(self)
end

function Redis:log()
  return self.process:log()
end

-- Makes a plain server as good as new; false when it is not.
local function recycle(self)
  if not self.plain or not self.process:alive() then return false end
  local ok = pcall(function()
    local link = Client.new({ port = self.port })
    scope.drop(link)
    link:call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    link:call("CLIENT", "KILL", "TYPE", "pubsub")
    link:call("FLUSHALL")
    link:call("SCRIPT", "FLUSH")
    link:call("FUNCTION", "FLUSH")
    link:call("CONFIG", "RESETSTAT")
    link:close()
  end)
  return ok
end

-- Called at the end of its scope.
function Redis:close()
  if self.link then self.link:close() end
  self.link = nil
  if recycle(self) then
    pool[#pool + 1] = self
    return
  end
  self:kill()
  files.remove(self.dir)
end

-- Stops the pool; called once when the run ends.
function Redis.drain()
  for _, self in ipairs(pool) do
    self.plain = false
    self:close()
  end
  pool = {}
end

return Redis
