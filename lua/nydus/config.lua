-- SPDX-License-Identifier: Apache-2.0
-- Reads config.lua: evaluates it in the sandbox, checks it against
-- nydus.config.schema and returns it with every default filled in.
--
--   config.load(bundle, path, options)   the normalised table, or nil, { problem, … }
--     options.load     compiles chunks, see nydus.sandbox
--     options.log      what print() in config.lua writes
--     options.names    of commands and their categories, see nydus.config.access
--     options.sandbox  a sandbox to evaluate it in, in place of a fresh one
--
-- The normalised table:
--   workers (0: "auto"), log = { level, file }, router_memory (bytes), clusters = { … } sorted by name:
--     name, engine, listen = { { kind = "tcp", host ("": all addresses), port, text }
--     or { kind = "unix", path, text } … },
--     router = { kind = "all" } or { kind = "builtin", name, compat, hash, hash_tag, eject, signed }
--     or { kind = "script", path, text, options },
--     hosts = { { key, host, port, unix_socket_path, db, user, password, timeout, connect_timeout, weight,
--     identifier, named, connections, address } … } in routing order,
--     users and deny as nydus.config.access returns them, eject and the limits as in the schema.
local access = require("nydus.config.access")
local address = require("nydus.config.address")
local reader = require("nydus.config.reader")
local router = require("nydus.config.router")
local sandbox = require("nydus.sandbox")
local schema = require("nydus.config.schema")
local types = require("nydus.config.types")

local M = {}

local join, sorted_keys = reader.join, reader.sorted_keys

-- A default goes through the same check as what people write.
local function default_of(field, name)
  local value = field[name or "default"]
  if value ~= nil and types.check[field.type] then
    value = types.check[field.type](value, field)
  end
  return value
end

local HOST_DEFAULTS, HOST_FIELDS = {}, {}
for name, field in pairs(schema.host) do
  HOST_DEFAULTS[name] = default_of(field)
  HOST_FIELDS[#HOST_FIELDS + 1] = name
end

-- Evaluating ------------------------------------------------------------

-- LuaJIT shortens long names from the left: "...folder/config.lua".
local function ends_with(path, name)
  name = name:gsub("^%.%.%.", "")
  return path:sub(-#name) == name
end

-- May that line hold a secret? Then no word of it goes into a message.
local function is_secret_line(bundle, name, number)
  for _, path in ipairs(bundle:paths()) do
    local at, text = 1, ends_with(path, name) and bundle:read(path) or ""
    for line in (text .. "\n"):gmatch("(.-)\n") do
      if at == number and (line:lower():find("password", 1, true) or line:find("://", 1, true)) then
        return true
      end
      at = at + 1
    end
  end
  return false
end

-- LuaJIT repeats the token it stumbled on: a text or a number may be a password.
local function tell(bundle, path, message)
  message = message:gsub("%c", " "):sub(1, 1000)
  message = message:gsub(" near '[\"'%[%d].*'$", "")
  local name, line = message:match("^([^:]+):(%d+): ")
  if name and is_secret_line(bundle, name, tonumber(line)) then
    message = message:gsub("'.*'", "'***'")
  end
  local file = sandbox.display(path)
  if name or message:sub(1, #file + 1) == file .. ":" then
    return message
  end
  return file .. ": " .. message
end

local function evaluate(bundle, path, options)
  local box = options.sandbox or sandbox.new({
    bundle = bundle,
    folder = M.folder(path),
    load = options.load,
    log = options.log,
  })
  local chunk, message = box:load(path)
  if not chunk then
    return nil, tell(bundle, path, message)
  end
  local ok, value = pcall(chunk)
  if not ok then
    return nil, tell(bundle, path, type(value) == "string" and value or "it raised " .. types.kind(value))
  end
  return value
end

-- The folder of a file: "" or a path that ends in "/".
function M.folder(path)
  return path:match("^(.*/)") or ""
end

-- listen ----------------------------------------------------------------

-- What an address takes from others: ":6380" is two addresses.
local function taken_by(listen)
  if listen.kind == "unix" then
    return { listen.text }
  end
  local hosts = { [""] = { "0.0.0.0", "::" }, localhost = { "127.0.0.1", "::1" } }
  local list = {}
  for _, host in ipairs(hosts[listen.host:lower()] or { listen.host:lower() }) do
    list[#list + 1] = address.join(address.ipv6(host) or host, listen.port)
  end
  return list
end

local function take_address(self, path, listen)
  for _, text in ipairs(taken_by(listen)) do
    local other = self.taken[text]
    if other then
      self:problem(path, listen.text .. " is taken already by " .. other)
      return
    end
    self.taken[text] = path
  end
end

local function read_one_listen(self, path, value, list)
  local listen, reason = address.listen(value)
  if not listen then
    self:problem(path, types.show(value) .. " is not an address to listen on: " .. reason)
    return
  end
  self.listens = true
  take_address(self, path, listen)
  list[#list + 1] = listen
end

local function read_listen(self, path, value)
  local list = {}
  if type(value) ~= "table" then
    if value ~= nil then
      read_one_listen(self, path, value, list)
    end
  elseif self:plain(path, value, "a list of addresses") then
    for i, key in ipairs(sorted_keys(value)) do
      if key == i then
        read_one_listen(self, join(path, i), value[i], list)
      else
        self:problem(join(path, key), "a list of addresses has the keys 1, 2, 3 and so on")
      end
    end
  end
  return list
end

-- hosts -----------------------------------------------------------------

-- TCP and unix exclude each other where both are written; else the nearer wins.
local function check_way(self, path, given)
  if given.unix_socket_path and (given.host or given.port) then
    self:problem(join(path, "unix_socket_path"), "give it, or host and port, not both")
  end
end

local function read_host_fields(self, path, value)
  if type(value) == "string" then
    local options, reason = address.host(value)
    if not options then
      self:problem(path, types.show(value) .. " is not a host: " .. reason)
      return nil
    end
    value = options
  elseif not self:plain(path, value, "a host ({ host = …, port = … }, a redis:// URL or \"host:port\")") then
    return nil
  end
  local given = self:fields(path, value, schema.host)
  check_way(self, path, given)
  return given
end

-- A list of names, not pairs(): LuaJIT compiles this, and there may be many hosts.
local function merge_host(given, defaults)
  local host = {}
  for i = 1, #HOST_FIELDS do
    local name = HOST_FIELDS[i]
    local value = given[name]
    host[name] = value == nil and defaults[name] or value -- no option of a host is false
  end
  if given.host or given.port then
    host.unix_socket_path = given.unix_socket_path
  end
  return host
end

local function name_host(host)
  host.named = host.identifier ~= nil
  if host.unix_socket_path then
    host.host, host.port, host.address = nil, 0, host.unix_socket_path
    host.identifier = host.identifier or ("redis://%s/%d"):format(host.unix_socket_path, host.db)
  else
    host.address = address.join(host.host, host.port)
    host.identifier = host.identifier or "redis://" .. host.host .. ":" .. host.port .. "/" .. host.db
  end
end

local function read_host(self, path, key, value, defaults)
  local given = read_host_fields(self, path, value)
  if not given then
    return nil
  end
  local host = merge_host(given, defaults)
  if host.user and not host.password then
    self:problem(join(path, "user"), "a user needs a password too")
  end
  name_host(host)
  host.key = key
  return host
end

-- The keys in routing order, or nil after a problem.
local function host_keys(self, path, value, max)
  if value == nil then
    self:problem(path, "missing; a cluster needs at least one host")
    return nil
  elseif not self:plain(path, value, "a list of hosts") then
    return nil
  end
  local count = 0
  for _ in next, value do
    count = count + 1
  end
  if count == 0 then
    self:problem(path, "empty; a cluster needs at least one host")
  elseif count > max then
    self:problem(path, ("%d hosts are too many (%d at most)"):format(count, max))
    return nil
  end
  return sorted_keys(value)
end

local function read_hosts(self, path, value, defaults, max)
  local list, weight = {}, 0
  for _, key in ipairs(host_keys(self, path, value, max) or {}) do
    local place = join(path, key)
    if type(key) == "number" and key >= 0 and key % 1 == 0 and key <= 2147483647 then
      local host = read_host(self, place, key, value[key], defaults)
      list[#list + 1] = host
      weight = weight + (host and host.weight or 0)
    else
      self:problem(place, "the key of a host is a whole number from 0 on")
    end
  end
  if weight > schema.MAX_WEIGHT then
    self:problem(path, ("the weights add up to %.0f (%d at most)"):format(weight, schema.MAX_WEIGHT))
  end
  return list
end

local function read_defaults(self, path, value)
  if value == nil or not self:plain(path, value, "a table of host options") then
    return HOST_DEFAULTS
  end
  local given = self:fields(path, value, schema.host)
  check_way(self, path, given)
  if given.identifier then
    self:problem(join(path, "identifier"), "an identifier belongs to one host")
  end
  return setmetatable(given, { __index = HOST_DEFAULTS })
end

-- Clusters --------------------------------------------------------------

local function read_engine(self, path, value)
  if value == nil or value == "redis" then
    return "redis"
  end
  for _, later in ipairs(schema.later_engines) do
    if value == later then
      self:problem(path, types.show(value) .. " is not supported yet (only \"redis\" is)")
      return value
    end
  end
  self:problem(path, types.show(value) .. " is not an engine (only \"redis\" is)")
  return value
end

-- Where the cluster's eject and the router's meet.
local function settle_eject(self, path, cluster, given)
  local own = cluster.router
  if given ~= nil and own.kind == "all" then
    self:problem(path, "it has no meaning for the router all")
  elseif given ~= nil and own.eject ~= nil then
    self:problem(path, "given here and in router, keep one of them")
  end
  if given == nil then
    given = own.eject
  end
  if given == nil then
    given = own.ejects or false
  end
  cluster.eject, own.ejects = given, nil
  if own.kind == "builtin" then
    own.eject = given
  end
end

local PLAIN_CLUSTER_FIELDS = {
  "client_timeout", "failure_limit", "max_clients", "max_connection_retries", "max_reply_buffer",
  "max_request", "retry_timeout",
}

local function read_cluster(self, path, name, given)
  local cluster = { name = name }
  cluster.engine = read_engine(self, join(path, "engine"), given.engine)
  cluster.listen = read_listen(self, join(path, "listen"), given.listen)
  local chosen = given.router
  if chosen == nil then
    chosen = schema.cluster.router.default
  end
  cluster.router = router.read(self, join(path, "router"), chosen)
  settle_eject(self, join(path, "eject"), cluster, given.eject)
  local defaults = read_defaults(self, join(path, "defaults"), given.defaults)
  local row = schema.routers[cluster.router.name]
  local max_hosts = row and row.max_hosts or schema.MAX_HOSTS
  cluster.hosts = read_hosts(self, join(path, "hosts"), given.hosts, defaults, max_hosts)
  cluster.users, cluster.deny = access.read(self, path, given, self.names)
  for _, field in ipairs(PLAIN_CLUSTER_FIELDS) do
    cluster[field] = given[field]
    if cluster[field] == nil then
      cluster[field] = default_of(schema.cluster[field], cluster.router.compat)
        or default_of(schema.cluster[field])
    end
  end
  return cluster
end

-- A host's option at the level of the cluster is a likely slip with an easy cure.
local function move_host_options(self, path, given)
  local rest = {}
  for _, key in ipairs(sorted_keys(given)) do
    if schema.host[key] and not schema.cluster[key] then
      self:problem(join(path, key), "unknown field; it is an option of hosts, write it into defaults")
    else
      rest[key] = given[key]
    end
  end
  return rest
end

local function read_clusters(self, value)
  local clusters = {}
  if not self:plain("clusters", value, "a table of clusters") then
    return clusters
  elseif next(value) == nil then
    self:problem("clusters", "empty; at least one cluster is needed")
  end
  for _, name in ipairs(sorted_keys(value)) do
    local path, given = join("clusters", name), rawget(value, name)
    if type(name) ~= "string" or #name > 64 or not name:find("^[%w_.%-]+$") then
      self:problem(path, "the name of a cluster is made of up to 64 letters, digits, '_', '-' and '.'")
    elseif self:plain(path, given, "a cluster ({ listen = …, hosts = { … } })") then
      local fields = self:fields(path, move_host_options(self, path, given), schema.cluster)
      clusters[#clusters + 1] = read_cluster(self, path, name, fields)
    end
  end
  return clusters
end

-- The file --------------------------------------------------------------

local function read_log(self, value)
  local log = {}
  if value ~= nil and self:plain("log", value, "a table like { level = \"info\" }") then
    log = self:fields("log", value, schema.log)
  end
  return { level = log.level or default_of(schema.log.level), file = log.file }
end

local function cluster_fields_of(value)
  local names = {}
  for _, key in ipairs(sorted_keys(value)) do
    if schema.cluster[key] then
      names[#names + 1] = key
    end
  end
  return names
end

-- Every field that may stand at the top, and all of them as words for "did you mean".
local function top_fields(short)
  local fields, words = {}, {}
  for name, field in pairs(schema.top) do
    fields[name] = field
    words[#words + 1] = name
  end
  for name, field in pairs(schema.cluster) do
    fields[name] = short and field or nil
    words[#words + 1] = name
  end
  return fields, words
end

local function read_top(self, value)
  local own = cluster_fields_of(value)
  local short = #own > 0
  if short and rawget(value, "clusters") ~= nil then
    self:problem("clusters", "cannot stand beside the fields of one cluster at the top level: "
      .. table.concat(own, ", "))
  elseif not short and rawget(value, "clusters") == nil then
    self:problem("", "no clusters; write clusters = { main = { hosts = { … } } }")
  end
  local fields, words = top_fields(short)
  local given = self:fields("", short and move_host_options(self, "", value) or value, fields, words)
  local clusters = {}
  if given.clusters ~= nil then
    clusters = read_clusters(self, given.clusters)
  elseif short then
    clusters = { read_cluster(self, "", "main", given) }
  end
  return {
    workers = given.workers or default_of(schema.top.workers),
    log = read_log(self, given.log),
    router_memory = given.router_memory or default_of(schema.top.router_memory),
    clusters = clusters,
  }
end

function M.load(bundle, path, options)
  options = options or {}
  local value, message = evaluate(bundle, path, options)
  if message then
    return nil, { message }
  end
  local self = reader.new(sandbox.display(path))
  self.bundle, self.folder, self.taken, self.names = bundle, M.folder(path), {}, options.names
  local result
  if type(value) ~= "table" then
    self:problem("", "it returns " .. types.kind(value) .. ", but has to end with return { … }")
  elseif self:plain("", value, "plain data") then
    result = read_top(self, value)
    if self.count == 0 and not self.listens then
      self:problem("", "nothing to listen on; give a cluster listen = \"127.0.0.1:6380\"")
    end
  end
  local problems = self:list()
  if problems then
    return nil, problems
  end
  return result
end

return M
