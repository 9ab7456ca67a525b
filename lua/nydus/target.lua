-- SPDX-License-Identifier: Apache-2.0
-- Targets as Lua holds them: a small cdata with the number of the C target.
-- What is known of one beside its number stands in a table here.
--
--   target.setup(native)
--   target.add(id, info)           the one object for a C target; info.kind says what it is
--   target.is(value)
--   target.info(value)             its table
--   target.id(value)               the number for anything that may stand for a target, making
--                                  what has to be made; or nil, message
--   target.late_id(value)          the same when it is asked for again and again, by decisions and flows
--   target.list_id(list)           a list that a decision returned, made once for every content
--   target.place(fn)               where a function stands, "routers/tenant.lua:12"; nil: in C
--   target.functions               those that were taken at load, in order
--   target.loading                 may new routers be made? (not while a decision runs)
--   target.cluster                 the name of the cluster whose script is loading
local abi = require("nydus.abi")
local driver = require("nydus.driver")
local ffi = require("ffi")
local reply = require("nydus.reply")
local suggest = require("nydus.config.suggest")

local M = { loading = true, cluster = "", functions = {} }

M.EXPECTED = "a target is expected (a host, a cluster, a router, a list, a reply or a function)"

local MAX_FUNCTIONS = 100 -- functions that decisions may return beside those of the tree
local MAX_MADE = 10000 -- nodes of the tree of lists that decisions returned; all are kept
local MAX_ITEMS = 4096
local MAX_DEPTH = 32
local MAX_VISITS = 100000 -- items of one list and of those in it

local native
local objects, infos = {}, {} -- by number
local functions = {}          -- function -> number
local late_functions = 0
local methods = {}            -- kind -> name -> method, filled by nydus.init
local computed = {}           -- kind -> name -> function(object), for fields that change

-- Fields that may be missing in some objects of a kind without being misspelt.
local OPTIONAL = { host = { host = true, unix_socket_path = true } }
local HIDDEN = { id = true, ordered = true, index = true, kind = true, cluster_index = true }

M.methods, M.computed = methods, computed

local function describe(info)
  if info.kind == "host" then
    return "host " .. info.identifier
  elseif info.name then
    return info.kind .. " " .. info.name
  end
  return info.kind
end

local function unknown_field(info, name)
  local words = {}
  for _, list in ipairs({ info, methods[info.kind] or {}, computed[info.kind] or {} }) do
    for word in pairs(list) do
      if not HIDDEN[word] then
        words[#words + 1] = word
      end
    end
  end
  error(("a %s has no field '%s'%s"):format(info.kind, tostring(name), suggest.hint(name, words)), 3)
end

local METATYPE = {
  __index = function(self, name)
    local info = infos[self.id_]
    local value = info[name]
    if value ~= nil and not HIDDEN[name] then
      return value
    end
    local method = methods[info.kind] and methods[info.kind][name]
    if method then
      return method
    end
    local compute = computed[info.kind] and computed[info.kind][name]
    if compute then
      value = compute(self)
      return value
    elseif not (OPTIONAL[info.kind] and OPTIONAL[info.kind][name]) then
      unknown_field(info, name)
    end
  end,
  __newindex = function(self, name)
    error(("a %s cannot be changed (field '%s')"):format(infos[self.id_].kind, tostring(name)), 2)
  end,
  __tostring = function(self)
    return describe(infos[self.id_])
  end,
}

function M.setup(bindings)
  native = bindings
  ffi.metatype(abi.target, METATYPE)
end

function M.add(id, info)
  objects[id] = objects[id] or abi.target(id)
  infos[id] = infos[id] or info
  return objects[id]
end

function M.is(value)
  return ffi.istype(abi.target, value)
end

function M.info(value)
  return infos[value.id_]
end

function M.object(id)
  return objects[id]
end

-- "a number", "nil", "a table": for messages.
function M.kind(value)
  local kind = type(value)
  if kind == "nil" then
    return "nil"
  elseif kind == "cdata" then
    local words = tostring(value) -- "request get", "counter"
    return M.is(value) and describe(M.info(value)) or "a " .. (words:match("^request") or words:match("^%a[%a ]*"))
  end
  return reply.kind(value) or (kind:find("^[aeiou]") and "an " or "a ") .. kind
end

function M.place(fn)
  local info = debug.getinfo(fn, "S")
  if info.what == "C" then
    return nil
  end
  return ("%s:%d"):format(info.short_src, info.linedefined)
end

local function function_id(fn)
  local id = functions[fn]
  if id then
    return id
  end
  local name = M.place(fn)
  if not name then
    return nil, M.EXPECTED .. ", got a function of the Lua library"
  elseif not M.loading then
    if late_functions >= MAX_FUNCTIONS then
      return nil, ("more than %d different functions; make them at load"):format(MAX_FUNCTIONS)
    end
    late_functions = late_functions + 1
  end
  id = native.func(driver.make(fn, name), name)
  functions[fn] = id
  if M.loading then
    M.functions[#M.functions + 1] = fn
  end
  return id
end

local visits -- of the list that is looked at, with those in it

-- Goes into a list, `depth` lists below the one that was given; or nil, message.
local function enter(size, depth)
  visits = (depth == 0 and 0 or visits) + size
  if depth > MAX_DEPTH then
    return nil, ("lists in lists, more than %d deep"):format(MAX_DEPTH)
  elseif visits > MAX_VISITS then
    return nil, ("lists in lists, with more than %d targets"):format(MAX_VISITS)
  end
  return true
end

-- The items of a list in order: 1, 2, 3 … or, as cluster.hosts may be, by ascending keys.
local function items_of(list)
  local keys = {}
  for key in next, list do
    if type(key) ~= "number" then
      return nil, "a list of targets is expected, got a table with the key " .. tostring(key)
    end
    keys[#keys + 1] = key
  end
  if #keys == 0 then
    return nil, "an empty list"
  end
  table.sort(keys)
  if keys[#keys] - keys[1] + 1 ~= #keys and not M.is_hosts(list) then
    return nil, "a list with a gap"
  end
  local items = {}
  for i, key in ipairs(keys) do
    items[i] = list[key]
  end
  return items
end
M.items = items_of

-- cluster.hosts: the keys of config.lua, read only, an error for a key that is not there.
local host_lists = setmetatable({}, { __mode = "k" })

function M.is_hosts(list)
  return host_lists[list] ~= nil
end

-- "1, 2, 3": the keys of hosts, for messages.
function M.keys_text(hosts)
  local keys = {}
  for i = 1, math.min(#hosts, 10) do
    keys[i] = tostring(hosts[i].key)
  end
  return table.concat(keys, ", ") .. (#hosts > 10 and ", …" or "")
end

function M.hosts(name, hosts)
  local list, known = {}, M.keys_text(hosts)
  for _, host in ipairs(hosts) do
    list[host.key] = M.add(host.id, host)
  end
  host_lists[list] = true
  return setmetatable(list, {
    __index = function(_, key)
      error(("cluster %s has no host with the key %s (it has %s)"):format(name, tostring(key), known), 2)
    end,
    __newindex = function()
      error("the hosts of a cluster cannot be changed", 2)
    end,
    __metatable = false,
  })
end

local function list_of(items, depth)
  local ok, problem = enter(#items, depth)
  if not ok then
    return nil, problem
  end
  local ids = {}
  for i, item in ipairs(items) do
    local id, message = M.id(item, depth + 1)
    if not id then
      return nil, ("item %d: %s"):format(i, message)
    end
    ids[i] = id
  end
  return ids
end

local function is_plain_table(value)
  return type(value) == "table" and (getmetatable(value) == nil or M.is_hosts(value))
end

function M.id(value, depth)
  if M.is(value) then
    return value.id_
  elseif type(value) == "function" then
    return function_id(value)
  elseif reply.is_loose(value) then
    return native.reply(value.bytes)
  elseif not is_plain_table(value) then
    return nil, M.EXPECTED .. ", got " .. M.kind(value)
  elseif not M.loading then
    return M.list_id(value, depth)
  end
  local items, message = items_of(value)
  if not items then
    return nil, message
  end
  local ids
  ids, message = list_of(items, depth or 0)
  if not ids then
    return nil, message
  end
  return native.list(ids)
end

-- What decisions return is kept once for every content: replies by their
-- bytes, lists in a tree by the numbers of their items.
local known_replies, known_lists, made = {}, {}, 0

local function room()
  if made >= MAX_MADE then
    return nil, ("more than %d different lists; make them at load"):format(MAX_MADE)
  end
  made = made + 1
  return true
end

local function reply_id(bytes)
  local id = known_replies[bytes]
  if not id then
    local ok, message = room()
    if not ok then
      return nil, message
    end
    id = native.reply(bytes)
    known_replies[bytes] = id
  end
  return id
end

local function item_id(item, depth)
  if ffi.istype(abi.target, item) then
    return item.id_
  elseif reply.is_loose(item) then
    return reply_id(item.bytes)
  end
  return M.id(item, depth + 1)
end

function M.late_id(value)
  if reply.is_loose(value) then
    return reply_id(value.bytes)
  end
  return M.id(value)
end

local function new_list(list, depth)
  local items, message = items_of(list)
  if not items then
    return nil, message
  end
  local ids = {}
  for i, item in ipairs(items) do
    ids[i] = item_id(item, depth)
  end
  return native.list(ids)
end

local function next_node(node, id)
  local ok, message = room()
  if not ok then
    return nil, message
  end
  node[id] = {}
  return node[id]
end

-- Lists whose keys are not 1, 2, 3 …: cluster.hosts, or one that begins with 0.
local function odd_list_id(list, depth)
  local id = host_lists[list]
  if type(id) == "number" then
    return id
  end
  local items, message = items_of(list)
  if not items then
    return nil, message
  elseif not id then
    return M.list_id(items, depth)
  end
  host_lists[list] = native.list(list_of(items, depth))
  return host_lists[list]
end

function M.list_id(list, depth)
  depth = depth or 0
  if not is_plain_table(list) then
    return nil, M.kind(list)
  elseif M.is_hosts(list) or list[0] ~= nil then
    return odd_list_id(list, depth)
  elseif #list > MAX_ITEMS then
    return nil, ("a list of more than %d targets"):format(MAX_ITEMS)
  end
  local ok, problem = enter(#list, depth)
  if not ok then
    return nil, problem
  end
  local node = known_lists
  for i = 1, #list do
    local id, message = item_id(list[i], depth)
    if not id then
      return nil, ("a list whose item %d is wrong: %s"):format(i, message)
    end
    local below = node[id]
    if not below then
      below, message = next_node(node, id)
    end
    if not below then
      return nil, message
    end
    node = below
  end
  if node.target then
    return node.target
  end
  local id, message = new_list(list, depth)
  node.target = id
  return id, message
end

return M
