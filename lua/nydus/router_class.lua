-- SPDX-License-Identifier: Apache-2.0
-- Routers in the form of Nydus, the Python toolkit: a class whose methods are called in
-- its order (BaseRouter.get_dbs), so that a router of Nydus is carried over line by line.
--
--   nydus.router_class{                                      a target, with nothing given: every host
--     setup      = function(self) … return true end          once, at load; false: not ready, it is called again for
--                                                            each command, which gets an error until it is
--     pre_route  = function(self, attr, args, kwargs) … return args, kwargs end     nil: as they were
--     route      = function(self, attr, args, kwargs) … return { 0, 3 } end         the hosts, by their keys
--     post_route = function(self, attr, args, kwargs, dbs) … return dbs end
--     on_error   = function(self, e) … return dbs end        what route raised (_handle_exception); it raises
--                                                            it again, or names hosts: nil is none
--     retryable  = true                                      RoundRobinRouter's methods, see below
--     retry_timeout = 30                                     seconds a host is marked down
--     attempt_reconnect_threshold = 100000                   routes before hosts that are down are looked at
--     anything else                                          a method or value of self
--   }
--
--   attr     the command, "get"
--   args     its arguments: args[1] is mostly the key. The first 128, each up to 64 KB; kwargs.req has all
--   kwargs   .key: its key (of commands that are routed key by key: that one), .req: see the manual,
--            .retry_for: the host that failed, where the command is routed again
--   self     .cluster, .dbs: the keys of its hosts in order, .super: the methods that were not given, .ready,
--            .down_connections: key -> since when, .get_db_attempts; one per worker
--   self:mark_connection_down(db) mark_connection_up(db) check_down_connections() flush_down_connections()
--   self.HostListExhausted, self.UnableToSetupRouter   to be raised: error(self.HostListExhausted)
--
-- One host gets the command, several get it all and the client an array; { } is no route. A router may also return
-- targets. A command without a key goes to all hosts, as to those of a built-in router, unless pre_route gives it a
-- kwargs.key. With retryable, a host that is away or lost is marked down for this router, and the command is routed
-- again (not what may have run and does more than read), up to max_connection_retries times.
--
-- Nydus's PartitionRouter, for one:
--
--   local cluster = ...
--   local nydus = require("nydus")
--   return nydus.router_class{
--     route = function(self, attr, args, kwargs)
--       return { kwargs.req:hash("crc32") % #self.dbs }
--     end,
--   }
--
-- For nydus.init: router_class.add(api, native)
local abi = require("nydus.abi")
local driver = require("nydus.driver")
local ffi = require("ffi")
local hook = require("nydus.hook")
local reply = require("nydus.reply")
local suggest = require("nydus.config.suggest")
local target = require("nydus.target")

local M = {}

local MAX_ARGS, MAX_SIZE = 128, 65536

local FUNCTIONS = {
  setup = true, pre_route = true, route = true, post_route = true, on_error = true, mark_connection_down = true,
  mark_connection_up = true, check_down_connections = true, flush_down_connections = true,
}
local NUMBERS = { retry_timeout = true, attempt_reconnect_threshold = true }

-- What a router raises to have it said in Nydus's words.
local function exception(name)
  return setmetatable({}, { __tostring = function() return name end, __metatable = false })
end
local EXHAUSTED, UNABLE = exception("HostListExhausted"), exception("UnableToSetupRouter")

local now -- nydus.now

-- What classes inherit ------------------------------------------------------------

local Base = { retryable = false, retry_timeout = 30, attempt_reconnect_threshold = 100000 }

function Base.setup()
  return true
end

function Base.pre_route(_, _, args, kwargs)
  return args, kwargs
end

function Base.route(self)
  return self.dbs
end

function Base.post_route(_, _, _, _, dbs)
  return dbs
end

function Base.on_error(_, e)
  error(e, 0)
end

-- The key of a host, for itself, its key or that as text. level: whose line an error names, as error() has it;
-- nil: that of the class.
local function db_of(self, value, level)
  local db = tonumber(type(value) ~= "cdata" and value or nil)
  if target.is(value) and target.info(value).kind == "host" then
    db = target.info(value).key
  end
  if not db or not rawget(self.cluster.hosts, db) then
    local text = ("InvalidDBNum: cluster %s has no host %s (it has %s)"):format(self.cluster.name,
      target.is(value) and target.kind(value) or "with the key " .. tostring(value),
      table.concat(self.dbs, ", ", 1, math.min(#self.dbs, 10)))
    error(level and text or self.place_ .. ": " .. text, level or 0)
  end
  return db
end

function Base.mark_connection_down(self, db)
  self.down_connections[db_of(self, db, 3)] = now()
end

function Base.mark_connection_up(self, db)
  self.down_connections[db_of(self, db, 3)] = nil
end

-- Those that have been down for long enough are up.
function Base.check_down_connections(self)
  local time = now()
  for _, db in ipairs(self.dbs) do
    local since = self.down_connections[db]
    if since and since + self.retry_timeout <= time then
      self:mark_connection_up(db)
    end
  end
end

function Base.flush_down_connections(self)
  self.get_db_attempts = 0
  for _, db in ipairs(self.dbs) do
    if self.down_connections[db] then
      self:mark_connection_up(db)
    end
  end
end

local Retryable = setmetatable({ retryable = true }, { __index = Base })

function Retryable.pre_route(self, _, args, kwargs)
  self.get_db_attempts = self.get_db_attempts + 1
  if self.get_db_attempts > self.attempt_reconnect_threshold then
    self:check_down_connections()
  end
  if kwargs.retry_for ~= nil then
    self:mark_connection_down(kwargs.retry_for)
  end
  return args, kwargs
end

-- The next host in turn that is not down, or has been for long enough.
function Retryable.route(self)
  local time, dbs = now(), self.dbs
  for _ = 1, #dbs do
    local db = dbs[self.turn_ % #dbs + 1]
    self.turn_ = self.turn_ + 1
    local since = self.down_connections[db]
    if not since or since + self.retry_timeout <= time then
      return { db }
    end
  end
  error(self.HostListExhausted, 0)
end

function Retryable.post_route(self, _, _, _, dbs)
  local first = type(dbs) == "table" and dbs[1]
  if type(first) == "number" and self.down_connections[first] then
    self:mark_connection_up(first)
  end
  return dbs
end

-- Routing --------------------------------------------------------------------------

-- Long texts are cut: nobody routes by them.
local function args_of(req)
  local args, batch = {}, abi.batch
  local text = ffi.new("struct nydus_text")
  local query = batch.queries[batch.cur]
  for i = 1, math.min(req.argc - 1, MAX_ARGS) do
    batch.arg(query, i, text)
    args[i] = ffi.string(text.bytes, math.min(tonumber(text.size), MAX_SIZE))
  end
  return args
end

-- What a class has returned, as a target.
local function target_of(self, dbs)
  if type(dbs) == "number" or type(dbs) == "string" then
    return self.cluster.hosts[db_of(self, dbs)]
  elseif type(dbs) ~= "table" or reply.is_loose(dbs) or target.is_hosts(dbs) then
    return dbs
  end
  local items = {}
  for i = 1, #dbs do
    local db = dbs[i]
    items[i] = (type(db) == "number" or type(db) == "string") and self.cluster.hosts[db_of(self, db)] or db
  end
  if #items < 2 then
    return items[1]
  end
  return items
end

-- BaseRouter.get_dbs
local function get_dbs(self, req, retry_for)
  if not self.ready then
    self.ready = self:setup() ~= false
    if not self.ready then
      error(self.UnableToSetupRouter, 0)
    end
  end
  local attr, args, kwargs = req.command, args_of(req), { key = req:key(), req = req, retry_for = retry_for }
  local new_args, new_kwargs = self:pre_route(attr, args, kwargs)
  args, kwargs = new_args or args, new_kwargs or kwargs
  if kwargs.key == nil then
    return req.nkeys == 0 and self.everyone_ or self.dbs
  end
  local ok, dbs = pcall(self.route, self, attr, args, kwargs)
  if not ok then
    dbs = self:on_error(dbs)
    if dbs == nil then
      dbs = {}
    end
  end
  return self:post_route(attr, args, kwargs, dbs)
end

-- What it raised, as an answer; what is no exception of ours goes on.
local function answer_of(self, e)
  if e == EXHAUSTED then
    local down = 0
    for _ in pairs(self.down_connections) do
      down = down + 1
    end
    return reply.loose(("-ERR HostListExhausted: no host of cluster %s is up (%d of %d are down)\r\n")
      :format(self.cluster.name, down, #self.dbs))
  elseif e == UNABLE then
    return reply.loose(("-ERR UnableToSetupRouter: the router of cluster %s is not ready\r\n")
      :format(self.cluster.name))
  end
  error(e, 0)
end

local function decide(self, req, retry_for)
  local ok, dbs = pcall(get_dbs, self, req, retry_for)
  if not ok then
    return answer_of(self, dbs)
  end
  return target_of(self, dbs)
end

-- Nydus: one host, or it raises.
local function decide_again(self, req, failed)
  if not failed or target.info(failed).cluster_index ~= target.info(self.cluster).index then
    return nil -- the class does not know it
  end
  local again = decide(self, req, failed.key)
  if type(again) == "table" and not reply.is_loose(again) then
    error("Retryable router returned multiple DBs", 0)
  end
  return again
end

-- Making ---------------------------------------------------------------------------

local function check(given)
  if type(given) ~= "table" or getmetatable(given) then
    return nil, "a table of methods is expected, got " .. target.kind(given)
  end
  local names = {}
  for _, list in ipairs({ FUNCTIONS, NUMBERS, { retryable = true, cluster = true } }) do
    for name in pairs(list) do
      names[#names + 1] = name
    end
  end
  for name, value in next, given do
    local hint = type(name) == "string" and suggest.hint(name, names) or ""
    local known = FUNCTIONS[name] or NUMBERS[name] or name == "retryable" or name == "cluster"
    if type(name) ~= "string" or not known and hint ~= "" then
      return nil, ("unknown field '%s'%s"):format(tostring(name), hint)
    elseif FUNCTIONS[name] and type(value) ~= "function" then
      return nil, ("%s: a function is expected, got %s"):format(name, target.kind(value))
    elseif NUMBERS[name] and not (type(value) == "number" and value >= 0) then
      return nil, ("%s: a number is expected (0 or more), got %s"):format(name, tostring(value))
    end
  end
  if given.retryable ~= nil and type(given.retryable) ~= "boolean" then
    return nil, ("retryable: true or false is expected, got %s"):format(target.kind(given.retryable))
  end
  local cluster = given.cluster
  if cluster ~= nil and not (target.is(cluster) and target.info(cluster).kind == "cluster") then
    return nil, ("cluster: a cluster is expected, got %s"):format(target.kind(cluster))
  end
  return true
end

local function instance(api, given, place)
  local super = given.retryable and Retryable or Base
  local class = setmetatable({}, { __index = super })
  for name, value in next, given do
    class[name] = value
  end
  local self = setmetatable({
    cluster = given.cluster or api.cluster(target.cluster),
    dbs = {}, super = super, ready = false,
    down_connections = {}, get_db_attempts = 0, turn_ = 0, place_ = place,
    HostListExhausted = EXHAUSTED, UnableToSetupRouter = UNABLE,
  }, { __index = class })
  for i, host in ipairs(target.info(self.cluster).ordered) do
    self.dbs[i] = host.key
  end
  self.everyone_ = api.modulus(self.cluster)
  return self
end

-- For messages: where its first method stands.
local function place_of(given)
  for _, name in ipairs({ "route", "post_route", "pre_route", "setup", "on_error" }) do
    if given[name] then
      return target.place(given[name]) or name
    end
  end
  return "nydus.router_class"
end

local function make(api, native, given)
  local ok, message = check(given)
  if not ok then
    return nil, message
  end
  local place = place_of(given)
  local self = instance(api, given, place)
  self.ready = self:setup() ~= false
  for _, name in ipairs({ "pre_route", "route", "post_route" }) do
    target.functions[#target.functions + 1] = given[name]
  end
  local function route(req)
    local to = decide(self, req, nil)
    return to
  end
  local id = native.func(driver.make(route, place), place)
  if not self.retryable then
    return id
  end
  return hook.retry(id, function(req, failed)
    local to = decide_again(self, req, failed)
    return to
  end, place)
end

function M.add(api, native)
  now = api.now
  function api.router_class(given)
    if not target.loading then
      error("nydus.router_class: make it at load, outside of the function that decides", 2)
    end
    local id, message = make(api, native, given)
    if not id then
      error("nydus.router_class: " .. message, 2)
    end
    return target.add(id, { kind = "router_class" })
  end
end

return M
