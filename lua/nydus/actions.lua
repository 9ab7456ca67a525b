-- SPDX-License-Identifier: Apache-2.0
-- Targets that do something with a command beside naming a host.
--
--   nydus.all({ t, … }, { reply = "array" })   every target gets it; the replies become one: "array" (default, as a
--       plain list), "sum" "min" "max" "and" "or" (of integers), "merge" (arrays end to end), "all_succeeded" (the
--       first, or an error), "one_succeeded" (the first that is no error), "first" (the same, as soon as it is there),
--       "quorum" (what more than half of them say, as soon as they do; else an error)
--   nydus.split{ { t, 95 }, { t2, 5 }, by = "random" }   by weight; by "random" (default), "key" (its hash tag, if it
--       has one: the same key always goes the same way, and stays when a later weight grows), "client"
--   nydus.failover{ a, b, on = { "down" }, timeout = s }   the next one when a host is "down" (default), silent for
--       `timeout` seconds ("timeout", for commands that only read), or says that it cannot serve now ("error":
--       LOADING, READONLY, OOM …)
--   nydus.hedge{ a, b, after = s }   a command that only reads goes to the next one, too, when there is no reply
--       after so many seconds; the first good reply counts
--   nydus.shadow{ t, copy, sample = 1, pending = 1000 }   copies of this share of the commands go to `copy`; nobody
--       waits for them, and where more than `pending` are on their way (or 16 MB) they are dropped and counted
--   nydus.limit{ rate = 100, burst = 20, next = t }   so many commands a second go to `next`, and `burst` (default:
--       `rate`) at once after a pause, counted for all workers and over reloads. key = "client" "user" "addr" "key"
--       "tag" or "command": for each of these its own rate. over = t2: where the others go; without it they get an
--       error that says when to come again. name = "…": limits of one name share their tokens. A MGET is one command;
--       what is queued by MULTI counts as any other, its EXEC does not, SUBSCRIBE does not
--   nydus.cache{ next = t, ttl = 60, size = 64 MB }   keeps, in each worker, replies to commands that read one key,
--       for `ttl` seconds at most and in `size` bytes; a write drops what is kept of its key, whoever writes: hosts
--       tell (CLIENT TRACKING, Redis 6), and nothing is kept of one that does not. tracking = false: hosts are not
--       asked, only writes that pass by are noticed; prefix = { "user:", … }: only keys that begin so are kept
--   nydus.rewrite{ add = "v2:", strip = "x:", next = t }   keys get another prefix: those that begin with `strip` lose
--       it (others stay as they are) and get `add` in front; in replies that carry keys it is undone. KEYS, SCAN and
--       RANDOMKEY show the hosts' keys that begin with `add`, and no others. FLUSHALL and FLUSHDB are refused, unless
--       all = true; DBSIZE counts all. Channels are no keys, those of keyspace events neither; what scripts (EVAL)
--       make up or return is theirs
--
-- For nydus.init: actions.add(api, native)
local suggest = require("nydus.config.suggest")
local target = require("nydus.target")

local M = {}

local SHADOW_BYTES = 16 * 1024 * 1024

-- Reading what a script gives ------------------------------------------------

-- The list part and the named fields of { a, b, name = value }; or nil, message.
local function take(given, names)
  if type(given) ~= "table" or target.is_hosts(given) or getmetatable(given) then
    return nil, "a table is expected, got " .. target.kind(given)
  end
  local items, options = {}, {}
  for key, value in next, given do
    if type(key) ~= "number" then
      if not names[key] then
        return nil, ("unknown option '%s'%s"):format(tostring(key), suggest.hint(key, suggest.names(names)))
      end
      options[key] = value
    end
  end
  local most = 0
  for key in next, given do
    most = type(key) == "number" and math.max(most, key) or most
  end
  for i = 1, most do
    if given[i] == nil then
      return nil, ("item %d is missing"):format(i)
    end
    items[i] = given[i]
  end
  return items, options
end

-- The numbers of all items; or nil, message.
local function ids_of(items, least, most)
  if #items < least or #items > (most or #items) then
    return nil, most == least and ("%d targets are expected, got %d"):format(least, #items)
      or ("%d or more targets are expected, got %d"):format(least, #items)
  end
  local ids = {}
  for i, item in ipairs(items) do
    local id, message = target.id(item)
    if not id then
      return nil, ("item %d: %s"):format(i, message)
    end
    ids[i] = id
  end
  return ids
end

local function is_number(value, least, most)
  return type(value) == "number" and value >= least and value <= most
end

local function shown(value)
  return type(value) == "string" and "'" .. value .. "'" or tostring(value)
end

-- The targets ------------------------------------------------------------------

local makers = {}

function makers.all(native, list, options)
  local items, message = take(list, {})
  if not items then
    return nil, message
  end
  local _, named = take(options or {}, { reply = true })
  if type(named) ~= "table" then
    return nil, named
  end
  local ids
  ids, message = ids_of(items, 1)
  if not ids then
    return nil, message
  end
  local reply = named.reply == nil and "array" or named.reply
  local id = type(reply) == "string" and native.all(ids, reply)
  return id, ("reply: %s is none of array, sum, min, max, and, or, merge, all_succeeded, one_succeeded, first, quorum")
    :format(shown(reply))
end

local BY = { random = true, key = true, client = true }

-- { t, weight }, { t2, weight }: two lists; or nil, message.
local function shares(items)
  local targets, weights = {}, {}
  for i, item in ipairs(items) do
    if type(item) ~= "table" or getmetatable(item) or #item ~= 2 then
      return nil, ("item %d: { target, weight } is expected, got %s"):format(i, target.kind(item))
    elseif not is_number(item[2], 0, 1e9) then
      return nil, ("item %d: %s is not a weight (0 or more)"):format(i, shown(item[2]))
    end
    targets[i], weights[i] = item[1], item[2]
  end
  return targets, weights
end

function makers.split(native, given)
  local items, options = take(given, { by = true })
  if not items then
    return nil, options
  end
  local targets, weights = shares(items)
  if not targets then
    return nil, weights
  end
  local by = options.by == nil and "random" or options.by
  if not BY[by] then
    return nil, ("by: %s is none of random, key, client"):format(shown(by))
  end
  local sum = 0
  for _, weight in ipairs(weights) do
    sum = sum + weight
  end
  if #targets > 0 and sum <= 0 then
    return nil, "all weights are 0"
  end
  local ids, message = ids_of(targets, 1)
  return ids and native.split(ids, weights, by), message
end

local ON = { down = true, timeout = true, error = true }

local function reasons(list, timeout)
  local on = {}
  if list ~= nil and type(list) ~= "table" then
    return nil, ("on: a list of \"down\", \"timeout\", \"error\" is expected, got %s"):format(shown(list))
  end
  for _, word in ipairs(list or { "down", timeout and "timeout" }) do
    if not ON[word] then
      return nil, ("on: %s is none of down, timeout, error"):format(shown(word))
    end
    on[word] = true
  end
  return on
end

function makers.failover(native, given)
  local items, options = take(given, { on = true, timeout = true })
  if not items then
    return nil, options
  end
  local timeout = options.timeout
  if timeout ~= nil and not is_number(timeout, 0.001, 86400) then
    return nil, ("timeout: %s is no time in seconds (0.001 to 86400)"):format(shown(timeout))
  end
  local on, message = reasons(options.on, timeout)
  if not on then
    return nil, message
  elseif timeout and not on.timeout then
    return nil, "timeout: it needs \"timeout\" in `on`"
  end
  local ids
  ids, message = ids_of(items, 2)
  return ids and native.failover(ids, on, timeout or math.huge), message
end

function makers.hedge(native, given)
  local items, options = take(given, { after = true })
  if not items then
    return nil, options
  elseif not is_number(options.after, 0.001, 86400) then
    return nil, ("after: %s is no time in seconds (0.001 to 86400)"):format(shown(options.after))
  end
  local ids, message = ids_of(items, 2)
  return ids and native.hedge(ids, options.after), message
end

function makers.shadow(native, given)
  local items, options = take(given, { sample = true, pending = true })
  if not items then
    return nil, options
  end
  local sample, pending = options.sample or 1, options.pending or 1000
  if not is_number(sample, 0, 1) then
    return nil, ("sample: %s is no share (0 to 1)"):format(shown(sample))
  elseif not is_number(pending, 1, 1e6) or pending % 1 ~= 0 then
    return nil, ("pending: %s is no number of commands (1 to 1000000)"):format(shown(pending))
  end
  local ids, message = ids_of(items, 2, 2)
  return ids and native.shadow(ids[1], ids[2], sample, pending, SHADOW_BYTES), message
end

-- Named fields alone; or nil, message.
local function take_named(given, names)
  local items, options = take(given, names)
  if not items then
    return nil, options
  elseif #items > 0 then
    return nil, "it takes named fields, as in { next = t }"
  end
  return options
end

local LIMIT = { rate = true, burst = true, key = true, over = true, next = true, name = true }
local LIMIT_KEYS = { client = true, user = true, addr = true, key = true, tag = true, command = true }

-- Those without a name are called after their cluster, in their order: it is the same in all workers.
local limit_counts = {}

local function limit_name(given)
  if given ~= nil then
    return type(given) == "string" and #given >= 1 and #given <= 127 and given
  end
  local cluster = target.cluster:sub(1, 100)
  limit_counts[cluster] = (limit_counts[cluster] or 0) + 1
  return ("limit %s#%d"):format(cluster, limit_counts[cluster])
end

local function limit_ids(options)
  local id, message = target.id(options.next)
  if not id then
    return nil, "next: " .. message
  end
  local over
  if options.over ~= nil then
    over, message = target.id(options.over)
    if not over then
      return nil, "over: " .. message
    end
  end
  return id, over
end

function makers.limit(native, given)
  local options, message = take_named(given, LIMIT)
  if not options then
    return nil, message
  end
  local rate, burst = options.rate, options.burst
  if not is_number(rate, 1e-6, 1e7) then
    return nil, ("rate: %s is no number of commands a second (up to 10000000)"):format(shown(rate))
  elseif burst ~= nil and not is_number(burst, 1, 1e9) then
    return nil, ("burst: %s is no number of commands (1 or more)"):format(shown(burst))
  elseif options.key ~= nil and not LIMIT_KEYS[options.key] then
    return nil, ("key: %s is none of client, user, addr, key, tag, command"):format(shown(options.key))
  end
  local id, over = limit_ids(options)
  local name = id and limit_name(options.name)
  if id and not name then
    return nil, ("name: %s is no name (1 to 127 bytes)"):format(shown(options.name))
  elseif not id then
    return nil, over
  end
  return native.limit(id, over, rate, burst or math.max(rate, 1), options.key or "all", name)
end

local CACHE = { next = true, ttl = true, size = true, tracking = true, prefix = true }
local CACHE_LEAST = 64 * 1024

-- Redis refuses prefixes of which one begins with another.
local function check_prefixes(prefixes)
  local kind = type(prefixes)
  if kind ~= "table" or #prefixes == 0 then
    local got = kind == "table" and "none" or shown(prefixes)
    return nil, ("prefix: a list of strings is expected, got %s"):format(got)
  end
  for i, prefix in ipairs(prefixes) do
    if type(prefix) ~= "string" or prefix == "" then
      return nil, ("prefix: item %d is no prefix of keys (a string is expected, got %s)"):format(i, shown(prefix))
    end
    for j = 1, i - 1 do
      local short = math.min(#prefix, #prefixes[j])
      if prefix:sub(1, short) == prefixes[j]:sub(1, short) then
        return nil, ("prefix: %s and %s are the same, or one begins with the other")
          :format(shown(prefixes[j]), shown(prefix))
      end
    end
  end
  return true
end

function makers.cache(native, given)
  local options, message = take_named(given, CACHE)
  if not options then
    return nil, message
  end
  local ttl, size = options.ttl or 60, options.size or 64 * 1024 * 1024
  if not is_number(ttl, 0.001, 86400) then
    return nil, ("ttl: %s is no time in seconds (0.001 to 86400)"):format(shown(ttl))
  elseif not is_number(size, CACHE_LEAST, 2 ^ 40) then
    return nil, ("size: %s is no number of bytes (%d or more)"):format(shown(size), CACHE_LEAST)
  elseif options.tracking ~= nil and type(options.tracking) ~= "boolean" then
    return nil, ("tracking: true or false is expected, got %s"):format(shown(options.tracking))
  end
  local prefixes, lengths = options.prefix or {}, {}
  if options.prefix ~= nil then
    local ok
    ok, message = check_prefixes(options.prefix)
    if not ok then
      return nil, message
    end
  end
  for i, prefix in ipairs(prefixes) do
    lengths[i] = #prefix
  end
  local id
  id, message = target.id(options.next)
  if not id then
    return nil, "next: " .. message
  end
  return native.cache(id, ttl, size, options.tracking ~= false, table.concat(prefixes), lengths)
end

local REWRITE = { add = true, strip = true, all = true, next = true }

function makers.rewrite(native, given)
  local options, message = take_named(given, REWRITE)
  if not options then
    return nil, message
  end
  for _, name in ipairs({ "add", "strip" }) do
    local value = options[name]
    if value ~= nil and not (type(value) == "string" and #value <= 1024) then
      return nil, ("%s: a string of at most 1024 bytes is expected, got %s"):format(name, target.kind(value))
    end
  end
  local add, strip = options.add or "", options.strip or ""
  if add == strip then
    return nil, "add, strip or both are expected"
  elseif options.all ~= nil and type(options.all) ~= "boolean" then
    return nil, ("all: true or false is expected, got %s"):format(shown(options.all))
  end
  local id
  id, message = target.id(options.next)
  if not id then
    return nil, "next: " .. message
  end
  return native.rewrite(id, add, strip, options.all or false)
end

function M.add(api, native)
  for name, make in pairs(makers) do
    api[name] = function(...)
      if not target.loading then
        error(("nydus.%s: make it at load, outside of the function that decides"):format(name), 2)
      end
      local id, message = make(native, ...)
      if not id then
        error(("nydus.%s: %s"):format(name, message), 2)
      end
      return target.add(id, { kind = name })
    end
  end
end

return M
