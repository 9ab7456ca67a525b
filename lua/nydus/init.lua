-- SPDX-License-Identifier: Apache-2.0
-- What router scripts get from require("nydus").
--
--   nydus.cluster(name)                                another cluster, or this one; of each: .hosts[key], .name,
--                                                      :host(identifier or key), :list() of the hosts in routing order
--   nydus.ketama modulus round_robin random jump rendezvous slots first least_pending
--                          (cluster or hosts, options)  a built-in router; router:pick(key). The option
--                          to = { [host] = t } sends the keys of a host to a target instead: its replicas, a
--                          failover; hosts that are down are then not passed over, unless eject = true
--   nydus.reply(value) error(text) null status(text)   an answer without a host
--   nydus.prefix{ ["user:"] = t, default = t }         by the longest prefix of the key
--   nydus.command{ GET = t, read = t, write = t, default = t }
--   nydus.router_class{ … }                            a router in the form of Nydus, the Python toolkit: see
--                                                      nydus.router_class
--   nydus.all split failover hedge shadow limit cache rewrite
--                                                      targets that act: see nydus.actions
--   nydus.counter gauge histogram limiter shared       of all workers together: see nydus.series,
--                                                      nydus.limiter, nydus.shared
--   nydus.now random log                               see nydus.clock, nydus.log
--   nydus.flow call spawn cast any wait_all sleep lock task   functions that may wait: see nydus.flow
--   nydus.every after on_host                          what happens without a request: see nydus.events
--   host.state host:down() host:up()                   see nydus.host
--   nydus.kept                                         what is handed to the next configuration: see nydus.keep
--
-- For the runtime: init.create(native) -> { module = function(fields of one script), clusters = by index }
local actions = require("nydus.actions")
local clock = require("nydus.clock")
local events = require("nydus.events")
local flow = require("nydus.flow")
local limiter = require("nydus.limiter")
local log = require("nydus.log")
local reader = require("nydus.config.reader")
local reply = require("nydus.reply")
local router_class = require("nydus.router_class")
local router_options = require("nydus.config.router")
local schema = require("nydus.config.schema")
local series = require("nydus.series")
local shared = require("nydus.shared")
local suggest = require("nydus.config.suggest")
local target = require("nydus.target")

local M = {}

-- An error of the script that called the function which called this.
local function misuse(name, text)
  error(("nydus.%s: %s"):format(name, text), 3)
end

local function check_loading(name)
  if not target.loading then
    error(("nydus.%s: make it at load, outside of the function that decides"):format(name), 3)
  end
end

-- Clusters --------------------------------------------------------------

local function make_clusters(native)
  local by_name, by_index = {}, {}
  for i, given in ipairs(native.clusters()) do
    for _, host in ipairs(given.hosts) do
      host.kind, host.cluster_index = "host", given.index
    end
    local object = target.add(native.cluster(given.index), {
      kind = "cluster",
      name = given.name,
      index = given.index,
      hosts = target.hosts(given.name, given.hosts),
      ordered = given.hosts,
    })
    by_name[given.name], by_index[i] = object, object
  end
  return by_name, by_index
end

local function find_host(self, identifier)
  local info = target.is(self) and target.info(self)
  if not info or info.kind ~= "cluster" then
    error("write cluster:host(\"identifier\"), with a colon", 2)
  elseif type(identifier) ~= "string" and type(identifier) ~= "number" then
    error(("bad argument #1 to 'host' (an identifier or a key is expected, got %s)")
      :format(target.kind(identifier)), 2)
  end
  local words = {}
  for i, host in ipairs(info.ordered) do
    if host.identifier == identifier or host.key == identifier then
      return target.object(host.id)
    end
    words[i] = host.identifier
  end
  if type(identifier) == "number" then
    error(("cluster %s has no host with the key %s (it has %s)")
      :format(info.name, identifier, target.keys_text(info.ordered)), 2)
  end
  error(("cluster %s has no host '%s'%s"):format(info.name, identifier, suggest.hint(identifier, words)), 2)
end

local function list_hosts(self)
  local info = target.is(self) and target.info(self)
  if not info or info.kind ~= "cluster" then
    error("write cluster:list(), with a colon", 2)
  end
  local list = {}
  for i, host in ipairs(info.ordered) do
    list[i] = target.object(host.id)
  end
  return list
end

-- Built-in routers --------------------------------------------------------

-- The hosts a router is over: the index of their cluster and their places in it.
local function hosts_of(name, value)
  if target.is(value) and target.info(value).kind == "cluster" then
    local info, indexes = target.info(value), {}
    for i, host in ipairs(info.ordered) do
      indexes[i] = host.index
    end
    return info.index, indexes
  end
  local items = type(value) == "table" and target.items(value)
  if not items then
    error(("bad argument #1 to '%s' (a cluster or a list of its hosts is expected, got %s)")
      :format(name, target.kind(value)), 3)
  end
  local cluster, indexes = nil, {}
  for i, item in ipairs(items) do
    local info = target.is(item) and target.info(item)
    if not info or info.kind ~= "host" then
      error(("bad argument #1 to '%s' (item %d is %s, not a host)"):format(name, i, target.kind(item)), 3)
    elseif cluster and info.cluster_index ~= cluster then
      error(("bad argument #1 to '%s' (the hosts belong to different clusters)"):format(name), 3)
    end
    cluster, indexes[i] = info.cluster_index, info.index
  end
  return cluster, indexes
end

-- As `router = { "ketama", … }` in config.lua.
-- A router whose hosts stand for more (`has_ends`) passes none over, unless it is told to.
local function options_of(name, options, has_ends)
  local given = { name }
  if options ~= nil and type(options) ~= "table" then
    error(("bad argument #2 to '%s' (a table of options is expected, got %s)")
      :format(name, target.kind(options)), 3)
  end
  for key, value in pairs(options or {}) do
    if key == 1 then
      error(("nydus.%s: unknown option 1"):format(name), 3)
    end
    given[key] = value
  end
  local check = reader.new("nydus." .. name)
  local checked = router_options.read(check, "", given)
  local problems = check:list()
  if problems then
    error(problems[1], 3)
  end
  if checked.eject == nil then
    checked.eject = checked.ejects and not has_ends
  end
  return checked
end

-- The option `to` as { [place among the hosts] = number of a target }, and the other options.
local function ends_of(name, options, cluster, indexes)
  local ends, rest = {}, {}
  for key, value in pairs(options) do
    rest[key] = key ~= "to" and value or nil
  end
  if type(options.to) ~= "table" then
    error(("nydus.%s: to: a table from hosts to targets is expected, got %s"):format(name, target.kind(options.to)), 3)
  end
  local places = {}
  for place, index in ipairs(indexes) do
    places[index] = place - 1
  end
  for host, value in pairs(options.to) do
    local info = target.is(host) and target.info(host)
    local place = info and info.kind == "host" and info.cluster_index == cluster and places[info.index]
    if not place then
      error(("nydus.%s: to: %s is none of its hosts"):format(name, target.kind(host)), 3)
    end
    local id, message = target.id(value)
    if not id then
      error(("nydus.%s: to: %s: %s"):format(name, info.identifier, message), 3)
    end
    ends[place] = id
  end
  return ends, rest
end

local function make_router(native, name)
  return function(hosts, options)
    check_loading(name)
    local cluster, indexes = hosts_of(name, hosts)
    local ends
    if type(options) == "table" and options.to ~= nil then
      ends, options = ends_of(name, options, cluster, indexes)
    end
    local id, message = native.router(cluster, indexes, options_of(name, options, ends ~= nil))
    if not id then
      misuse(name, message)
    end
    for place, ending in pairs(ends or {}) do
      native.router_end(id, place, ending)
    end
    return target.add(id, { kind = "router", name = name })
  end
end

local function make_pick(native)
  return function(self, key)
    local info = target.is(self) and target.info(self)
    if not info or info.kind ~= "router" then
      error("write router:pick(key), with a colon", 2)
    elseif type(key) ~= "string" then
      error(("bad argument #1 to 'pick' (a key is expected, got %s)"):format(target.kind(key)), 2)
    end
    local id = native.pick(self.id_, key)
    return id and target.object(id)
  end
end

-- Tables that decide --------------------------------------------------------

-- The numbers of the targets in a table, by key.
local function ids_of(name, given)
  if type(given) ~= "table" or target.is_hosts(given) then
    error(("bad argument #1 to '%s' (a table of targets is expected, got %s)"):format(name, target.kind(given)), 3)
  end
  local ids = {}
  for key, value in pairs(given) do
    if type(key) ~= "string" then
      error(("nydus.%s: the key %s is not a string"):format(name, tostring(key)), 3)
    end
    local id, message = target.id(value)
    if not id then
      error(("nydus.%s: %s: %s"):format(name, key, message), 3)
    end
    ids[key] = id
  end
  return ids
end

local function make_prefix(native)
  return function(given)
    check_loading("prefix")
    local ids = ids_of("prefix", given)
    local otherwise = ids.default
    ids.default = nil
    return target.add(native.prefix(otherwise, ids), { kind = "prefix" })
  end
end

local function command_words(native)
  local words = { "read", "write", "default" }
  for _, name in pairs(native.commands()) do
    words[#words + 1] = name
  end
  return words
end

-- Takes out the names that are no words of the table: a host may know them. What
-- is nearly one of the table, and has no dot like those of modules, is a mistake.
local function split_learned(ids, words)
  local known, learned = {}, {}
  for _, word in ipairs(words) do
    known[word] = true
  end
  for name, id in pairs(ids) do
    local word = name:lower()
    if not known[word] and word:match("^[%w._:-]+|?[%w._:-]*$")
      and (word:find(".", 1, true) or suggest.hint(word, words) == "") then
      learned[name] = id
    end
  end
  for name in pairs(learned) do
    ids[name] = nil
  end
  return ids, learned
end

local function make_command(native)
  return function(given)
    check_loading("command")
    local ids, learned = split_learned(ids_of("command", given), command_words(native))
    local id, unknown = native.command(ids, learned)
    if not id then
      local hint = suggest.hint(unknown, command_words(native))
      misuse("command", ("there is no command '%s'%s"):format(unknown, hint))
    end
    return target.add(id, { kind = "command" })
  end
end

-- Answers -------------------------------------------------------------------

local function answer(native, bytes)
  if not target.loading then
    return reply.loose(bytes)
  end
  return target.add(native.reply(bytes), { kind = "reply" })
end

local function make_answers(native, api)
  api.null = reply.null
  function api.reply(value)
    local bytes, message = reply.encode(value)
    if not bytes then
      error(("bad argument #1 to 'reply' (%s)"):format(message), 2)
    end
    return answer(native, bytes)
  end
  function api.error(text)
    if type(text) ~= "string" then
      error(("bad argument #1 to 'error' (a string is expected, got %s)"):format(target.kind(text)), 2)
    end
    local bytes, message = reply.error(text)
    if not bytes then
      misuse("error", message)
    end
    return answer(native, bytes)
  end
  function api.status(text)
    if type(text) ~= "string" or not reply.is_status(text) then
      error("bad argument #1 to 'status' (a string of one line is expected)", 2)
    end
    return reply.status(text)
  end
end

-- The whole -----------------------------------------------------------------

-- What one script gets: what all get, and its own.
local function strict(api, own)
  return setmetatable({}, {
    __index = function(_, name)
      local value = api[name]
      if value == nil then
        value = own[name]
      end
      if value == nil then
        local hint = suggest.hint(name, suggest.names(api))
        error(("nydus.%s: no such function%s"):format(tostring(name), hint), 2)
      end
      return value
    end,
    __newindex = function(_, name)
      error(("nydus.%s: the module cannot be changed"):format(tostring(name)), 2)
    end,
    __metatable = false,
  })
end

function M.create(native)
  local by_name, by_index = make_clusters(native)
  local api = {}
  function api.cluster(name)
    if type(name) ~= "string" then
      error(("bad argument #1 to 'cluster' (a name is expected, got %s)"):format(target.kind(name)), 2)
    elseif not by_name[name] then
      misuse("cluster", ("there is no cluster '%s'%s"):format(name, suggest.hint(name, suggest.names(by_name))))
    end
    return by_name[name]
  end
  for name in pairs(schema.routers) do
    if name ~= "all" then
      api[name] = make_router(native, name)
    end
  end
  api.prefix, api.command = make_prefix(native), make_command(native)
  make_answers(native, api)
  actions.add(api, native)
  events.add(api, native)
  flow.add(api, native)
  series.add(api, native)
  limiter.add(api, native)
  shared.add(api, native)
  log.add(api, native)
  clock.add(api)
  router_class.add(api, native)
  require("nydus.host").setup(native)
  target.methods.cluster = { host = find_host, list = list_hosts }
  target.methods.router = { pick = make_pick(native) }
  local function module(own)
    return strict(api, own)
  end
  return { module = module, clusters = by_index }
end

return M
