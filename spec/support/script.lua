-- Router scripts without a server: the C script layer by FFI.
--
--   local s = script.new{
--     config = "return { … }",            -- or hosts = { "a", "b" }: a cluster main of these
--     router = "return function(req) … end",   -- the script of cluster main; options = { … }
--     name = "ketama",                    -- or a built-in router
--     files = { ["x.lua"] = "…" },
--   }                                     -- raises when it is refused
--   script.refused{ … }                   the problems as text; raises when it is not
--   s:route("GET", "k")                   → "host a", "list [host a, host b]", "reply +OK\r\n",
--                                           "none", or "error ERR router: …"
--   s:routes({ { "GET", "k" }, … }, { attempt = 1, db = 2 })   a list of these, asked for in one batch
--   s:begin() advance(seconds) leave()    in force, time for timers, out of force
--   script.new{ …, from = s }             takes over what s hands on
--   s:inherit(from)                       once more, when s has left
--   s:check()                             runs the hook check: nil, or why it refuses
--   s:counters()                          batches, queries, errors, stops, memory_errors
--   s:eval(source)                        what that returns in the script layer's own state
--   s:close()
--   script.finish(step, …)                takes that step of the C layer until it is over: did it go well, how many

local ffi = require("ffi")
local files = require("support.files")
local header = require("support.header")

for _, name in ipairs({ "script/script.h", "proxy/cluster.h", "resp/keys.h", "resp/resp.h" }) do header.give(name) end
header.cdef([[
int luaL_loadstring(struct lua_State *L, const char *text);
int lua_pcall(struct lua_State *L, int arguments, int results, int handler);
const char *lua_tolstring(struct lua_State *L, int index, size_t *size);
void lua_settop(struct lua_State *L, int index);
void free(void *memory);
]])
local C = header.lib()

local M = {}
local Script = {}
Script.__index = Script

local function quote(value)
  if type(value) ~= "table" then return type(value) == "string" and ("%q"):format(value) or tostring(value) end
  local out = {}
  for key, item in pairs(value) do out[#out + 1] = ("[%s] = %s"):format(quote(key), quote(item)) end
  return "{ " .. table.concat(out, ", ") .. " }"
end

local function config_text(options)
  if options.config then return options.config end
  local hosts = {}
  for i, name in ipairs(options.hosts or { "a", "b", "c" }) do
    hosts[i] = ("{ host = \"127.0.0.1\", port = %d, identifier = %q }"):format(7000 + i, name)
  end
  local router = { options.name or "main.lua" }
  for key, value in pairs(options.options or {}) do router[key] = value end
  return ("return { listen = \":1\", router = %s, hosts = { %s } }"):format(quote(router), table.concat(hosts, ", "))
end

function M.finish(step, ...)
  local count, progress = 0, C.SCRIPT_MORE
  while progress == C.SCRIPT_MORE do
    progress = step(...)
    count = count + 1
  end
  return progress == C.SCRIPT_DONE, count
end

local function take(text)
  local words = ffi.string(text[0])
  ffi.C.free(text[0])
  return words
end

local function host_options(cluster, host)
  local o = ffi.new("struct host_options")
  o.cluster, o.identifier, o.named, o.host, o.unix_socket_path = cluster.name, host.identifier, host.named, host.host,
    host.unix_socket_path
  o.address, o.key, o.port, o.db, o.weight, o.connections = host.address, host.key, host.port, host.db, host.weight, 1
  o.timeout, o.connect_timeout, o.retry_timeout, o.failure_limit = 1, 1, 1, 1
  return o
end

local function builtin(cluster, given)
  local o, count = ffi.new("struct router_options"), cluster.count
  local kind, compat = ffi.new("enum router_kind[1]"), ffi.new("enum router_compat[1]")
  local hash = ffi.new("enum hash_kind[1]")
  assert(C.router_kind_parse(given.name, kind) and C.router_compat_parse(given.compat, compat))
  assert(not given.hash or C.hash_kind_parse(given.hash, hash))
  o.kind, o.compat, o.hash, o.unsigned_bytes = kind[0], compat[0], hash[0], not given.signed
  if given.hash_tag then o.hash_tag[0], o.hash_tag[1] = given.hash_tag:byte(1, 2) end
  local indexes, text = ffi.new("uint32_t[?]", count), ffi.new("char[256]")
  for i = 0, count - 1 do indexes[i] = i end
  local target = C.cluster_router(cluster, o, given.eject, indexes, count, text, 256)
  assert(target ~= nil, ffi.string(text))
  return target
end

-- What server/generation.c does, from the normalised configuration.
local function build(self, config, dir, from)
  local generation = ffi.new("struct generation")
  self.generation = generation
  generation.refs, generation.set = 1, C.target_set_create()
  for _, given in ipairs(config.clusters) do
    local cluster = C.cluster_create(generation, given.name)
    for _, host in ipairs(given.hosts) do
      C.cluster_add_host(cluster, C.host_acquire(nil, host_options(given, host)))
    end
  end
  C.script_bind(self.c, generation)
  if from then C.script_inherit(self.c, from.c, false) end
  local problem = ffi.new("char *[1]")
  for i, given in ipairs(config.clusters) do
    local cluster = generation.clusters[i - 1]
    cluster.root = given.router.kind == "builtin" and builtin(cluster, given.router) or C.cluster_all(cluster)
    if given.router.kind == "script" then
      local path = dir .. "/" .. given.router.text
      if not M.finish(C.script_router_step, self.c, cluster, path, problem) then return take(problem) end
    end
  end
  if not C.script_finish(self.c, problem) then return take(problem) end
end

-- The normalised configuration, by the Lua modules themselves.
local function read_config(path)
  local bundle = require("nydus.bundle").new()
  return assert(require("nydus.config").load(bundle, path))
end

local function open(options)
  local dir = files.temp_dir()
  files.write(dir .. "/config.lua", config_text(options))
  if options.router then files.write(dir .. "/main.lua", options.router) end
  for path, text in pairs(options.files or {}) do files.write(dir .. "/" .. path, text) end
  local o = ffi.new("struct script_options")
  local lua_dir = os.getenv("NYDUS_LUA_PATH") or "lua"
  o.lua_dir, o.memory_limit, o.slice = lua_dir, options.memory or 0, options.slice or 0
  local problem = ffi.new("char *[1]")
  local self = setmetatable({ dir = dir, c = C.script_create(o) }, Script)
  if not M.finish(C.script_open_step, self.c, problem) or
    not M.finish(C.script_load_step, self.c, dir .. "/config.lua", nil, 0, problem) then
    self:close()
    return nil, (take(problem):gsub(dir:gsub("%p", "%%%0") .. "/", ""))
  end
  local message = build(self, read_config(dir .. "/config.lua"), dir, options.from)
  if message then
    self:close()
    return nil, (message:gsub(dir:gsub("%p", "%%%0") .. "/", ""))
  end
  return self
end

function M.new(options)
  local self, problem = open(options)
  if not self then error(problem, 2) end
  return self
end

function M.refused(options)
  local self, problem = open(options)
  if self then
    self:close()
    error("it was accepted", 2)
  end
  return problem
end

local function encode(words)
  local parts = { ("*%d\r\n"):format(#words) }
  for i, word in ipairs(words) do parts[i + 1] = ("$%d\r\n%s\r\n"):format(#word, word) end
  return table.concat(parts)
end

-- A query for a command, as dispatch makes it. The bytes are kept in `keep`.
local function fill(self, query, words, extra, keep)
  local bytes = encode(words)
  keep[#keep + 1] = bytes
  local scan = ffi.new("struct resp_request")
  assert(C.resp_scan_request(scan, bytes, #bytes, 2 ^ 31) == ffi.C.RESP_DONE)
  query.command = C.command_find(words[1], #words[1])
  assert(query.command ~= nil, words[1])
  query.bytes, query.size, query.argc = bytes, #bytes, #words
  local keys = ffi.new("struct key_list")
  assert(C.keys_find(query.command, bytes, scan, keys) == ffi.C.KEYS_FOUND)
  query.nkeys = keys.count
  if keys.count > 0 then query.key = keys.at[0] end
  query.db, query.attempt = extra.db or 0, extra.attempt or 0
  query.target = self.generation.clusters[(extra.cluster or 1) - 1].root
end

local function show(target)
  if target.kind == ffi.C.TARGET_HOST then return "host " .. ffi.string(target.host.name) end
  if target.kind == ffi.C.TARGET_REPLY then return "reply " .. ffi.string(target.reply.bytes, target.reply.size) end
  if target.kind == ffi.C.TARGET_ROUTER then return "router" end
  if target.kind == ffi.C.TARGET_FUNCTION then return "function" end
  if target.kind == ffi.C.TARGET_CLUSTER then return "cluster" end
  local items = {}
  for i = 1, target.list.count do items[i] = show(target.list.items[i - 1]) end
  return "list [" .. table.concat(items, ", ") .. "]"
end

local function answer(query)
  if query.target ~= nil then return show(query.target) end
  return query.error ~= nil and "error " .. ffi.string(query.error) or "none"
end

function Script:queries(list, extra)
  local count = #list
  local batch = { c = ffi.new("struct query[?]", count), pointers = ffi.new("struct query *[?]", count), keep = {} }
  for i, words in ipairs(list) do
    fill(self, batch.c[i - 1], words, extra or {}, batch.keep)
    batch.pointers[i - 1] = batch.c + (i - 1)
  end
  batch.count = count
  return batch
end

function Script.decide(_, batch)
  header.give("proxy/dispatch.h")
  C.dispatch_route(batch.pointers, batch.count)
end

function Script:routes(list, extra)
  local batch, out = self:queries(list, extra), {}
  self:decide(batch)
  for i = 1, #list do out[i] = (answer(batch.c[i - 1]):gsub(self.dir:gsub("%p", "%%%0") .. "/", "")) end
  return out
end

function Script:route(...)
  return self:routes({ { ... } })[1]
end

function Script:begin()
  C.script_begin(self.c)
end

function Script:advance(seconds)
  C.script_advance(self.c, seconds)
end

function Script:inherit(from)
  C.script_inherit(self.c, from.c, true)
end

function Script:check()
  local problem = ffi.new("char *[1]")
  if C.script_check(self.c, self.generation.clusters[0], "main.lua", problem) then return nil end
  return (take(problem):gsub(self.dir:gsub("%p", "%%%0") .. "/", ""))
end

function Script:leave()
  C.script_leave(self.c)
end

function Script:counters()
  local counters = C.script_counters(self.c)
  local out = {}
  for _, name in ipairs({ "batches", "queries", "errors", "stops", "memory_errors" }) do
    out[name] = tonumber(counters[name])
  end
  return out
end

function Script:eval(source)
  local L, size = C.script_state(self.c), ffi.new("size_t[1]")
  local failed = ffi.C.luaL_loadstring(L, source) ~= 0 or ffi.C.lua_pcall(L, 0, 1, 0) ~= 0
  local text = ffi.C.lua_tolstring(L, -1, size)
  local value = text ~= nil and ffi.string(text, size[0]) or nil
  ffi.C.lua_settop(L, 0)
  if failed then error(value, 2) end
  return value
end

function Script:close()
  if self.generation then
    for i = 1, self.generation.count do C.cluster_destroy(self.generation.clusters[i - 1]) end
  end
  C.script_destroy(self.c)
  if self.generation then C.target_set_destroy(self.generation.set) end
end

return M
