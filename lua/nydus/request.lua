-- SPDX-License-Identifier: Apache-2.0
-- What a router script gets: `req` and `req.client`.
--
-- A req is a number in the shape of a pointer that points nowhere, and as such
-- costs no memory in compiled code. It is good while its decision runs, when
-- batch.handle is the same number; no number is used twice.
--
--   request.setup(native)   gives the types their fields and methods
local abi = require("nydus.abi")
local ffi = require("ffi")
local flow = require("nydus.flow")
local suggest = require("nydus.config.suggest")

local M = {}

local C, band = ffi.C, bit.band

local function words_of(...)
  local words = {}
  for _, list in ipairs({ ... }) do
    for word in pairs(list) do
      words[#words + 1] = word
    end
  end
  return words
end

-- The fields of req, from the query whose turn it is.
local function make_fields(names, bits)
  local fields = {}
  function fields.command(query)
    return names[query.command.id]
  end
  function fields.read(query) -- query_reads of C
    return band(query.command.flags, bits.read) ~= 0 and not query.pinned
  end
  function fields.write(query) -- what is not known to only read may change something
    return band(query.command.flags, bits.read) == 0 or query.pinned
  end
  for _, name in ipairs({ "admin", "blocking", "pubsub" }) do
    local bit = bits[name]
    fields[name] = function(query)
      return band(query.command.flags, bit) ~= 0
    end
  end
  function fields.argc(query) return query.argc end
  function fields.nkeys(query) return query.nkeys end
  function fields.size(query) return query.size end
  function fields.db(query) return query.db end
  function fields.attempt(query) return query.attempt end
  return fields
end

local function check_number(value, method)
  if type(value) ~= "number" then
    error(("bad argument #1 to '%s' (a number is expected, got %s)"):format(method, type(value)), 3)
  end
end

local function check_string(value, method)
  if type(value) ~= "string" then
    error(("bad argument #1 to '%s' (a string is expected, got %s)"):format(method, type(value)), 3)
  end
end

-- `current(self)` returns the query of a req that is still good, or raises.
local function make_methods(batch, hashes, current)
  local methods = {}
  local text = ffi.new("struct nydus_text")
  local arg, key, tag, hash, number = batch.arg, batch.key, batch.tag, batch.hash, batch.number

  function methods.arg(self, i)
    local query = current(self)
    check_number(i, "arg")
    if not (i >= 0 and i < query.argc and arg(query, i, text)) then -- a NaN is neither >= nor <
      return nil
    end
    return ffi.string(text.bytes, text.size)
  end

  function methods.key(self, i)
    local query = current(self)
    i = i or 1
    check_number(i, "key")
    if not (i >= 1 and i <= query.nkeys and key(query, i - 1, text)) then
      return nil
    end
    return ffi.string(text.bytes, text.size)
  end

  function methods.prefix(self, prefix)
    local query = current(self)
    check_string(prefix, "prefix")
    local size = #prefix
    return query.nkeys > 0 and query.key_size >= size and C.memcmp(query.bytes + query.key_at, prefix, size) == 0
  end

  function methods.upto(self, mark)
    local query = current(self)
    check_string(mark, "upto")
    if #mark ~= 1 then
      error(("bad argument #1 to 'upto' (one character is expected, got %d)"):format(#mark), 2)
    end
    local begin = query.bytes + query.key_at
    local at = C.memchr(begin, mark:byte(), query.key_size)
    if at == nil then
      return nil
    end
    return ffi.string(begin, ffi.cast("const char *", at) - begin)
  end

  function methods.number(self, behind)
    local query = current(self)
    behind = behind or 0
    check_number(behind, "number")
    if not (behind >= 0 and behind < query.key_size) then -- a NaN is neither
      return nil
    end
    local found = number(query, behind)
    if found < 0 then
      return nil
    end
    return found
  end

  function methods.tag(self)
    local query = current(self)
    if query.nkeys == 0 then
      return nil
    end
    tag(query, text)
    return ffi.string(text.bytes, text.size)
  end

  function methods.hash(self, name)
    local query = current(self)
    local kind = hashes[name or "crc32"]
    if not kind then
      error(("bad argument #1 to 'hash' (there is no hash function '%s'%s)")
        :format(tostring(name), suggest.hint(name, words_of(hashes))), 2)
    end
    return hash(query, kind)
  end

  return methods
end

local function refuse_write(what)
  return function(_, name)
    error(("a %s cannot be changed (field '%s')"):format(what, tostring(name)), 2)
  end
end

-- The name of the whole command: "config", not "config|get".
local function command_names(native)
  local names = native.commands()
  for i, name in pairs(names) do
    names[i] = name:match("^[^|]*")
  end
  return setmetatable(names, { __index = function(_, i) -- learned from a host since
    local name = native.command_name(i)
    names[i] = name and name:match("^[^|]*")
    return names[i]
  end })
end

local function setup_request(native)
  local batch = abi.batch
  local request_t = ffi.typeof("struct nydus_req *")

  local function over(self, level)
    if not ffi.istype(request_t, self) then
      error("this is no request: write req:method(…), with a colon", level + 1)
    end
    error("request is over", level + 1)
  end

  local function current(self)
    if batch.handle ~= self then
      over(self, 3)
    end
    return batch.queries[batch.cur]
  end

  local fields = make_fields(command_names(native), native.flags())
  local methods = make_methods(batch, native.hashes(), current)
  for name, method in pairs(flow.methods(native, current)) do
    methods[name] = method
  end
  local client_t = ffi.typeof("struct nydus_client *")

  ffi.metatype("struct nydus_req", {
    __index = function(self, name)
      local method = methods[name]
      if method then
        return method
      end
      if batch.handle ~= self then
        over(self, 2)
      end
      local field = fields[name]
      if field then
        return field(batch.queries[batch.cur])
      elseif name == "client" then
        return batch.queries[batch.cur].client ~= nil and ffi.cast(client_t, self) or nil
      end
      local hint = suggest.hint(name, words_of(fields, methods, { client = true }))
      error(("a request has no field '%s'%s"):format(tostring(name), hint), 2)
    end,
    __newindex = refuse_write("request"),
    __tostring = function(self)
      return batch.handle == self and "request " .. fields.command(batch.queries[batch.cur]) or "request (over)"
    end,
  })
end

local CLIENT_FIELDS = { slot = true, id = true, addr = true, name = true, user = true, db = true, listen = true }

-- The tables that scripts keep for clients: slots[client id][name]. C takes
-- those of clients that have left out.
local function make_slot(batch, current)
  local slots, slotted = {}, batch.slotted
  return slots, function(self, name)
    local query = current(self)
    check_string(name, "slot")
    local id = slotted(query)
    local own = slots[id]
    if not own then
      own = {}
      slots[id] = own
    end
    local values = own[name]
    if not values then
      values = {}
      own[name] = values
    end
    return values
  end
end

local function setup_client(native)
  local batch = abi.batch
  local request_t = ffi.typeof("struct nydus_req *")
  local facts = ffi.new("struct nydus_facts")
  local ask, user, id = batch.client, batch.user, batch.client_id

  -- What decisions are made by, without the rest.
  local quick = {
    id = function(query)
      local number = id(query)
      return number > 0 and number or nil
    end,
    user = function(query)
      local name = user(query)
      if name == nil then
        return nil
      end
      return ffi.string(name)
    end,
    db = function(query) return query.db end,
  }
  local fields = {
    addr = function() return ffi.string(facts.address) end,
    name = function() return facts.name ~= nil and ffi.string(facts.name) or nil end,
    listen = function() return ffi.string(facts.listen) end,
  }

  local client_t = ffi.typeof("struct nydus_client *")
  local slots, slot = make_slot(batch, function(self)
    if not ffi.istype(client_t, self) then
      error("this is no client: write client:slot(name), with a colon", 3)
    elseif batch.handle ~= ffi.cast(request_t, self) then
      error("request is over", 3)
    end
    return batch.queries[batch.cur]
  end)
  native.slots(slots)

  ffi.metatype("struct nydus_client", {
    __index = function(self, name)
      if name == "slot" then
        return slot
      elseif batch.handle ~= ffi.cast(request_t, self) then
        error("request is over", 2)
      end
      local query, field = batch.queries[batch.cur], quick[name]
      if field then
        local value = field(query) -- no tail call: those are not compiled
        return value
      end
      field = fields[name]
      if not field then
        local hint = suggest.hint(name, words_of(CLIENT_FIELDS))
        error(("a client has no field '%s'%s"):format(tostring(name), hint), 2)
      elseif not ask(query, facts) then
        return nil -- it has left, and a flow goes on
      end
      return field()
    end,
    __newindex = refuse_write("client"),
    __tostring = function() return "client" end,
  })
end

function M.setup(native)
  setup_request(native)
  setup_client(native)
end

return M
