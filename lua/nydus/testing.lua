-- SPDX-License-Identifier: Apache-2.0
-- Router scripts under test: the same C objects as in the server, hosts that the test plays, and time that goes
-- on when it says so. For any test framework on LuaJIT; with busted: `busted --lua=luajit my_spec.lua`.
--
--   local testing = require("nydus.testing")
--   local t = testing.load("routers/x.lua", { hosts = { "a", "b" }, options = { … } })
--
--   testing.load(path, { hosts =, options =, cluster =, clusters = })   raises what --check would say
--       hosts: names, or host tables as in config.lua, with its keys; options: the script's; cluster: other fields of
--       the cluster (retry_timeout …); clusters: others, { name = { hosts =, router = } }; path: also a built-in's name
--   t.hosts[key]                   a host: .identifier .key; where a host is taken, so is its identifier or its key
--   t:route("GET", "k")            the host that would get it, or a list of hosts; or nil and why. Nothing is sent
--   t:explain("GET", "k")          the decision step by step, as `nydus --route` prints it
--   t:call("GET", "k")             the reply: a string, a number, a list, testing.null, or { err = "ERR …" }; it waits
--                                  for it up to 60 s of the test's time, which take no time
--   t:send("GET", "k")   t:reply() the same without waiting; reply() is nil while there is none
--   t:client()                     another connection, with :call :send :reply :close, and :raw(bytes)
--   t:on(host, function(command, …) return value end)   answers for a host: a string, number, list, testing.null,
--       testing.status("OK"), testing.error("ERR …"), testing.silence (never an answer), nil: as without it. A host
--       without one is a small Redis: GET SET DEL EXISTS INCR MGET MSET DBSIZE FLUSHALL
--   t:requests(host)               what it was sent since the last such call: a list of { command, … }
--   t:down(host)   t:up(host)      it refuses connections; it is there again
--   t:advance(seconds)             lets time pass
--   t:reload(path, options)        as load; what outlives a reload is kept
--   t:close()
local ffi = require("ffi")
local reply = require("nydus.reply")

ffi.cdef([[
struct trial;
struct trial *trial_create(void);
void trial_destroy(struct trial *trial);
int trial_host(struct trial *trial, const char *path);
void trial_host_down(struct trial *trial, int host, bool down);
bool trial_load(struct trial *trial, const char *config, const char *folder, char **problems);
int trial_client(struct trial *trial, const char *path);
void trial_client_close(struct trial *trial, int client);
void trial_send(struct trial *trial, int client, const char *bytes, size_t size);
const char *trial_reply(struct trial *trial, int client, size_t *size, bool *closed);
bool trial_turn(struct trial *trial);
struct trial_question { int host; int db; const char *bytes; size_t size; };
bool trial_asked(struct trial *trial, struct trial_question *question);
void trial_answer(struct trial *trial, const char *bytes, size_t size);
double trial_skip(struct trial *trial, double most);
char *trial_explain(struct trial *trial, const char *cluster, const char *bytes, size_t size);
int trial_route(struct trial *trial, const char *cluster, const char *bytes, size_t size, int *hosts, int room);
char *mkdtemp(char *pattern);
int rmdir(const char *path);
char *realpath(const char *path, char *resolved);
int setenv(const char *name, const char *value, int overwrite);
void free(void *memory);
]])

local M = { null = reply.null, status = reply.status, silence = {} }

local PATIENCE = 60      -- seconds of the test's time that a call waits
local STEP = 0.05        -- of it at once, so that the deadlines of hosts are kept
local IDLE_TURNS = 4     -- of the loop in which nothing moves: then nothing will, until time goes on
local MOST_HOSTS = 4096

-- The library ----------------------------------------------------------------

local function lua_folder()
  local folder = debug.getinfo(1, "S").source:match("^@(.*)/nydus/testing%.lua$") or "lua"
  return folder
end

local function load_library()
  local folder = lua_folder()
  local built, installed = folder .. "/../build/libnydus.so", folder .. "/../../../lib/nydus/libnydus.so"
  for _, path in ipairs({ os.getenv("NYDUS_LIB") or built, built, installed }) do
    local file = io.open(path)
    if file then
      file:close()
      ffi.C.setenv("NYDUS_LUA_PATH", folder, 1)
      return ffi.load(path)
    end
  end
  error("libnydus.so was not found: build it with `make`, or say where it is in NYDUS_LIB", 0)
end

local C = load_library()

-- RESP -------------------------------------------------------------------------

local function encode(words)
  local parts = { ("*%d\r\n"):format(#words) }
  for i, word in ipairs(words) do
    if type(word) ~= "string" and type(word) ~= "number" then
      error(("word %d of the command is %s, not a string"):format(i, type(word)), 3)
    end
    word = tostring(word)
    parts[i + 1] = ("$%d\r\n%s\r\n"):format(#word, word)
  end
  return table.concat(parts)
end

-- The value at `at`, and where the next one begins.
local function decode(bytes, at)
  local mark, text, stop = bytes:match("^(.)([^\r]*)\r\n()", at)
  if mark == "+" then
    return text, stop
  elseif mark == "-" then
    return { err = text }, stop
  elseif mark == ":" then
    return tonumber(text), stop
  elseif text == "-1" then
    return M.null, stop
  elseif mark == "$" then
    return bytes:sub(stop, stop + tonumber(text) - 1), stop + tonumber(text) + 2
  end
  local list = {}
  for i = 1, tonumber(text) do
    list[i], stop = decode(bytes, stop)
  end
  return list, stop
end

-- What a host answers: the bytes, or nil for never.
local function answer_bytes(value)
  if value == M.silence then
    return nil
  elseif reply.is_loose(value) then
    return value.bytes
  end
  local bytes, message = reply.encode(value)
  if not bytes then
    error("a host's answer: " .. message, 0)
  end
  return bytes
end

function M.error(text)
  local bytes, message = reply.error(text)
  if not bytes then
    error(message, 2)
  end
  return reply.loose(bytes)
end

-- The small Redis of a host without answers of its own -----------------------------

local OK = reply.status("OK")
local small = {}

function small.get(data, key) return data[key] or M.null end
function small.set(data, key, value) data[key] = value return OK end
function small.ping() return reply.status("PONG") end
function small.flushall(data) for key in pairs(data) do data[key] = nil end return OK end
small.flushdb = small.flushall

function small.incrby(data, key, by)
  local number = tonumber(data[key] or 0)
  if not number then
    return M.error("ERR value is not an integer or out of range")
  end
  data[key] = tostring(number + tonumber(by))
  return tonumber(data[key])
end

function small.incr(data, key) return small.incrby(data, key, 1) end

local function count(data, remove, ...)
  local found = 0
  for _, key in ipairs({ ... }) do
    found = found + (data[key] and 1 or 0)
    data[key] = not remove and data[key] or nil
  end
  return found
end

function small.exists(data, ...) return count(data, false, ...) end
function small.del(data, ...) return count(data, true, ...) end
small.unlink = small.del

function small.mget(data, ...)
  local values = {}
  for i, key in ipairs({ ... }) do
    values[i] = data[key] or M.null
  end
  return values
end

function small.mset(data, ...)
  local words = { ... }
  for i = 1, #words, 2 do
    data[words[i]] = words[i + 1]
  end
  return OK
end

function small.dbsize(data)
  local keys = 0
  for _ in pairs(data) do
    keys = keys + 1
  end
  return keys
end

-- The trial ------------------------------------------------------------------------

local Trial, Client, Host = {}, {}, {}
Trial.__index, Client.__index, Host.__index = Trial, Client, Host

function Host:__tostring()
  return self.identifier
end

local function find_host(self, value, level)
  if getmetatable(value) == Host then
    return value
  end
  for _, host in ipairs(self.all_hosts) do
    if host.key == value or host.identifier == value then
      return host
    end
  end
  error(("there is no host '%s'"):format(tostring(value)), level + 1)
end

-- Answers everything that hosts have been asked.
local function serve(self)
  local question, any = self.question, false
  while C.trial_asked(self.c, question) do
    local host = self.all_hosts[question.host + 1]
    local words = decode(ffi.string(question.bytes, question.size), 1)
    host.requests[#host.requests + 1] = words
    local command = words[1]:lower()
    local value
    if host.handler then
      value = host.handler(command, unpack(words, 2))
    end
    if value == nil then
      local data = host.data[question.db] or {}
      host.data[question.db] = data
      value = small[command] and small[command](data, unpack(words, 2))
        or M.error(("ERR the host of the test does not know '%s': t:on(host, fn) answers it"):format(command))
    end
    local bytes = answer_bytes(value)
    C.trial_answer(self.c, bytes, bytes and #bytes or 0)
    any = true
  end
  return any
end

-- Until nothing moves any more without time going on.
local function pump(self)
  local idle = 0
  while idle < IDLE_TURNS do
    local moved = C.trial_turn(self.c)
    idle = (serve(self) or moved) and 0 or idle + 1
  end
end

local function pass(self, seconds, step)
  while seconds > 0 do
    seconds = seconds - C.trial_skip(self.c, math.min(seconds, step))
    pump(self)
  end
end

-- Bytes as they are: several commands at once, or what is no command.
function Client:raw(bytes)
  C.trial_send(self.trial.c, self.number, bytes, #bytes)
  pump(self.trial)
end

function Client:send(...)
  self:raw(encode({ ... }))
end

function Client:reply()
  local size, closed = ffi.new("size_t[1]"), ffi.new("bool[1]")
  local bytes = C.trial_reply(self.trial.c, self.number, size, closed)
  if bytes ~= nil then
    return (decode(ffi.string(bytes, size[0]), 1))
  end
  return nil, closed[0] and "the connection is closed" or "no reply yet"
end

function Client:call(...)
  self:send(...)
  local value, why = self:reply()
  local left = PATIENCE
  while value == nil and left > 0 do
    pass(self.trial, STEP, STEP)
    left = left - STEP
    value, why = self:reply()
  end
  if value == nil then
    error(("%s: no reply in %d s: %s"):format(tostring((...)), PATIENCE, why), 2)
  end
  return value
end

function Client:close()
  C.trial_client_close(self.trial.c, self.number)
  pump(self.trial)
end

function Trial:client(cluster)
  local number = C.trial_client(self.c, ("%s/%s"):format(self.dir, cluster or "main"))
  if number < 0 then
    error("no connection to cluster " .. tostring(cluster or "main"), 2)
  end
  pump(self)
  return setmetatable({ trial = self, number = number }, Client)
end

local function first_client(self)
  self.first = self.first or self:client()
  return self.first
end

function Trial:call(...) return first_client(self):call(...) end
function Trial:send(...) return first_client(self):send(...) end
function Trial:reply() return first_client(self):reply() end

function Trial:explain(...)
  local bytes = encode({ ... })
  local text = C.trial_explain(self.c, "main", bytes, #bytes)
  local words = ffi.string(text)
  ffi.C.free(text)
  return words
end

function Trial:route(...)
  local bytes, numbers = encode({ ... }), ffi.new("int[?]", MOST_HOSTS)
  local found = C.trial_route(self.c, "main", bytes, #bytes, numbers, MOST_HOSTS)
  if found < 1 then
    return nil, self:explain(...)
  end
  local hosts = {}
  for i = 1, found do
    hosts[i] = self.ordered[numbers[i - 1] + 1]
  end
  return found == 1 and hosts[1] or hosts
end

function Trial:on(host, fn)
  if fn ~= nil and type(fn) ~= "function" then
    error(("bad argument #2 to 'on' (a function is expected, got %s)"):format(type(fn)), 2)
  end
  find_host(self, host, 2).handler = fn
end

function Trial:requests(host)
  host = find_host(self, host, 2)
  local requests = host.requests
  host.requests = {}
  return requests
end

function Trial:down(host)
  C.trial_host_down(self.c, find_host(self, host, 2).number, true)
  pump(self)
end

function Trial:up(host)
  C.trial_host_down(self.c, find_host(self, host, 2).number, false)
  pump(self)
end

function Trial:advance(seconds)
  if type(seconds) ~= "number" or not (seconds >= 0 and seconds < 1e9) then
    error("bad argument #1 to 'advance' (seconds are expected)", 2)
  end
  pass(self, seconds, math.max(STEP, seconds / 2000))
end

-- Loading ----------------------------------------------------------------------------

local function quote(value)
  if type(value) == "table" then
    local out = {}
    for key, item in pairs(value) do
      out[#out + 1] = ("[%s] = %s"):format(quote(key), quote(item))
    end
    return "{ " .. table.concat(out, ", ") .. " }"
  end
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

-- A host of config.lua with the test's socket in place of its address.
local function host_config(self, key, given)
  local entry = {}
  if type(given) == "table" then
    for name, value in pairs(given) do
      entry[name] = value
    end
    if entry.host or entry.port then
      entry.identifier = entry.identifier
        or ("redis://%s:%d/%d"):format(entry.host or "127.0.0.1", entry.port or 6379, entry.db or 0)
    end
  else
    entry.identifier = tostring(given)
  end
  entry.identifier = entry.identifier or ("host" .. tostring(key))
  entry.host, entry.port, entry.password, entry.user = nil, nil, nil, nil
  return entry, self.known[entry.identifier]
end

local function add_host(self, key, given)
  local entry, host = host_config(self, key, given)
  if not host then
    local path = ("%s/%d.sock"):format(self.dir, #self.all_hosts)
    local number = C.trial_host(self.c, path)
    if number < 0 then
      error("cannot listen at " .. path, 0)
    end
    host = setmetatable({ number = number, path = path, requests = {}, data = {} }, Host)
    self.all_hosts[#self.all_hosts + 1] = host
    self.known[entry.identifier] = host
  end
  host.identifier, host.key = entry.identifier, key
  entry.unix_socket_path = host.path
  return entry, host
end

local function sorted_keys(list)
  local keys = {}
  for key in pairs(list) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

local function absolute(path)
  if not path:find("%.lua$") then
    return path
  end
  local resolved = ffi.C.realpath(path, nil)
  if resolved == nil then
    error(path .. ": there is no such file", 0)
  end
  local text = ffi.string(resolved)
  ffi.C.free(resolved)
  return text
end

local function cluster_config(self, path, options, is_main)
  local hosts, by_key, ordered = {}, {}, {}
  for i, key in ipairs(sorted_keys(options.hosts or { "a", "b", "c" })) do
    local given = (options.hosts or { "a", "b", "c" })[key]
    hosts[key], by_key[key] = add_host(self, key, given)
    ordered[i] = by_key[key]
  end
  local router = { absolute(path) }
  for key, value in pairs(options.options or {}) do
    router[key] = value
  end
  local config = { listen = ("unix:%s/listen.%d"):format(self.dir, #self.all_hosts), router = router, hosts = hosts }
  for key, value in pairs(options.cluster or {}) do
    config[key] = value
  end
  if is_main then
    self.hosts, self.ordered = by_key, ordered
  end
  return config
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function load_into(self, path, options)
  local clusters = { main = cluster_config(self, path, options, true) }
  for name, other in pairs(options.clusters or {}) do
    clusters[name] = cluster_config(self, other.router or "ketama", other, false)
  end
  self.files["config.lua"] = true
  for name in pairs(clusters) do
    self.files[name] = true
  end
  write(self.dir .. "/config.lua", "return { clusters = " .. quote(clusters) .. " }\n")
  local problems = ffi.new("char *[1]")
  if not C.trial_load(self.c, self.dir .. "/config.lua", self.dir, problems) then
    local text = ffi.string(problems[0])
    ffi.C.free(problems[0])
    return (text:gsub(self.dir:gsub("%p", "%%%0") .. "/config%.lua: ", ""))
  end
  pump(self)
end

function M.load(path, options)
  if type(path) ~= "string" then
    error("bad argument #1 to 'load' (the path of a router script is expected)", 2)
  end
  local pattern = ffi.new("char[?]", 64, (os.getenv("TMPDIR") or "/tmp"):sub(1, 30) .. "/nydus-test-XXXXXX")
  local dir = ffi.C.mkdtemp(pattern)
  if dir == nil then
    error("cannot make a temporary folder", 2)
  end
  local self = setmetatable({ dir = ffi.string(dir), all_hosts = {}, known = {}, files = {} }, Trial)
  self.c, self.question = ffi.gc(C.trial_create(), C.trial_destroy), ffi.new("struct trial_question")
  local ok, problem = pcall(load_into, self, path, options or {})
  if not ok or problem then
    self:close()
    error(problem, ok and 2 or 0)
  end
  return self
end

function Trial:reload(path, options)
  local problem = load_into(self, path, options or {})
  if problem then
    error(problem, 2)
  end
end

function Trial:close()
  if not self.c then
    return
  end
  C.trial_destroy(ffi.gc(self.c, nil))
  self.c = nil
  for name in pairs(self.files) do
    os.remove(self.dir .. "/" .. name)
  end
  ffi.C.rmdir(self.dir)
end

return M
