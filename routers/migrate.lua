-- SPDX-License-Identifier: Apache-2.0
-- All keys move from one ring of hosts to another, while clients go on as if nothing happened.
--
-- When to use it: hosts come or go, or the router changes, and the keys have to come along. Put old and new hosts
-- into `hosts`, reload with this router, wait for the log to say that all keys are at their new places, and then
-- reload with the new ring alone.
--
--   router = { "routers/migrate.lua",
--     from = { 0, 1 },                      -- the old ring: keys of `hosts` in config.lua, or identifiers, in order
--     to = { 0, 1, 2, router = "jump" },    -- the new one; each may have its own router and options
--     router = "ketama",                    -- of both rings (the default): ketama modulus jump rendezvous slots
--     options = { hash = "md5" },           -- of that router, as in config.lua; no ring may eject hosts
--     rate = 1000,                          -- keys that the walk moves per second at most
--     scan = true,                          -- false: no walk; a key moves when a command names it
--     grace = 5,                            -- seconds before the first key moves (20 at most): what was sent by the
--   }                                       -- configuration before has to be over by then. Longer than `timeout`
--
-- A command whose keys are still at their old places takes a lock on them that all workers share, moves them (DUMP,
-- PTTL, RESTORE, then UNLINK at the old place) and runs at the new place; a walk with SCAN moves the others. What has
-- once been seen not to be at its old place is known to have moved, and goes straight on from then on, as do keys
-- whose place does not change. After the walk all goes to the new ring.
--
-- On failure: a command whose key cannot be moved (a host is down, its version is older, it has no memory left) gets
-- an error and has not run; the walk logs why, and tries again. A key that is at both places (a worker was killed
-- between RESTORE and UNLINK) is the new one's; so nothing else may write to the hosts, one Nydus alone may run this,
-- and new hosts have to be empty. A reload, or a worker that dies, costs nothing: the walk goes on where it was.
-- Going back to the old ring alone would lose what has moved: exchange `from` and `to` instead.
--
-- Until a key is known to have moved, what needs one host (MULTI, WATCH, BLPOP …) is refused, and so are databases
-- other than 0. Several keys of one command that cannot be taken apart have to be on one host of the new ring; so
-- have those of scripts, which have to name all of them. SCAN may give a key twice, or miss one that moves between
-- hosts of both rings; DBSIZE may count some twice. LRU and LFU ages begin anew. A value may be as large as a third
-- of router_memory.
local cluster, options = ...
local nydus = require("nydus")

local BATCH = 16            -- keys that move together
local LOCK, WAIT = 20, { timeout = 2 } -- seconds: three times WAIT is less than half of LOCK
local REMEMBER = 50000      -- keys that each worker knows to have moved
local KNOWN = { from = true, to = true, router = true, options = true, rate = true, scan = true, grace = true }
local PLACES = { ketama = true, modulus = true, jump = true, rendezvous = true, slots = true }

local function fail(text, ...)
  error(("migrate: " .. text):format(...), 0)
end

for name in pairs(options) do
  if not KNOWN[name] then
    fail("unknown option '%s'", tostring(name))
  end
end

local function number(name, default, least, most)
  local value = options[name]
  if value ~= nil and (type(value) ~= "number" or not (value >= least and value <= most)) then
    fail("%s: a number from %g to %g is expected, got %s", name, least, most, tostring(value))
  end
  return value or default
end

local rate, grace = number("rate", 1000, 1, 1e6), number("grace", 5, 0, 20)
local all, is_in, what = {}, {}, "" -- the hosts of both rings, the old ones first; which move this is

local function ring_of(name)
  local given, hosts, ring = options[name], {}, { eject = false }
  if type(given) ~= "table" or #given == 0 then
    fail("the option %s = { 0, 1, … }, a list of hosts, is missing", name)
  end
  local router = given.router or options.router or "ketama"
  if not PLACES[router] then
    fail("%s: '%s' is no router that gives a key its place", name, tostring(router))
  end
  for i, host in ipairs(given) do
    hosts[i] = type(host) == "number" and cluster.hosts[host] or cluster:host(host)
    if not is_in[hosts[i]] then
      all[#all + 1], is_in[hosts[i]] = hosts[i], true
    end
    what = what .. " " .. hosts[i].identifier
  end
  for key, value in pairs(given.options or options.options or {}) do
    ring[key] = value
  end
  if ring.eject then
    fail("%s: a ring that ejects hosts would put keys anywhere", name)
  end
  what = what .. " " .. router .. ";"
  return nydus[router](hosts, ring), hosts
end

local old, old_hosts = ring_of("from")
local new = ring_of("to")
local everywhere = nydus.modulus(all, { eject = false }) -- what has no key
local other_database = nydus.error("ERR migrate: only database 0 can be used while keys move")

-- Of all workers, over reloads: `moving` after the grace, `at` of the walk, `done`. Another move begins anew; so
-- does the same one a minute after it was last in force.
local NAME = "migrate:" .. cluster.name
local state = nydus.shared(NAME, { size = "64kb" })
if state:get("what") ~= what then
  state:flush()
end
state:set("what", what, 60)
local done = state:get("done") == true
local moved, known, known_count = nydus.counter("migrate_keys"), {}, 0

local function remember(keys)
  for _, key in ipairs(keys) do
    if known_count >= REMEMBER then
      known, known_count = {}, 0
    end
    if #key <= 256 and not known[key] then
      known[key], known_count = true, known_count + 1
    end
  end
end

local function unlock(locks)
  for _, held in pairs(locks) do
    held:unlock()
  end
end

-- Locks on sorted keys, or nil: nobody waits for somebody who waits for him.
local function lock(keys)
  local began, locks = nydus.now(), {}
  for i, key in ipairs(keys) do
    locks[i] = nydus.lock(NAME, key, LOCK)
    if not locks[i] or nydus.now() - began > LOCK / 2 then
      unlock(locks)
      return nil
    end
  end
  return locks
end

-- The replies to a command for each key, or nil and why: nothing is left under way.
local function ask(ring, command, keys, more)
  local replies, why = {}, nil
  for i, key in ipairs(keys) do
    replies[i] = nydus.spawn(ring, command, key, unpack(more and more[i] or { WAIT }))
  end
  for i = 1, #keys do
    local reply = replies[i]:wait()
    if reply.is_error and reply:str():sub(1, 7) ~= "BUSYKEY" then
      why = reply:str()
    end
  end
  return not why and replies or nil, why
end

-- Their locks are held, and nobody has touched what may already be at the new place of one that is still at its
-- old one. FLUSHALL knows of no locks: what it has passed is not brought back.
local function move(all_keys)
  local flushes, keys = state:get("flushes"), {}
  for _, key in ipairs(all_keys) do
    keys[#keys + 1] = not known[key] and key or nil -- who had the lock before may have moved it
  end
  local ttls, no_ttls = ask(old, "PTTL", keys)
  local dumps, why = ask(old, "DUMP", keys)
  local there, values = {}, {}
  for i, key in ipairs(ttls and dumps and keys or {}) do
    if not dumps[i].is_null then
      local left = ttls[i]:int()
      there[#there + 1] = key
      values[#there] = { left == -1 and 0 or math.max(left, 1), dumps[i], WAIT }
    end
  end
  if not (ttls and dumps) then
    return nil, no_ttls or why
  end
  local restored, gone
  restored, why = ask(new, "RESTORE", there, values)
  if restored and flushes ~= state:get("flushes") then
    restored, why = ask(new, "UNLINK", there)
  end
  if restored then
    gone, why = ask(old, "UNLINK", there)
  end
  if gone then
    moved:add(#there)
    remember(keys)
  end
  return gone, why
end

-- The keys of a command that may be at their old places, sorted, each once.
local function keys_of(req)
  local keys, seen = {}, {}
  for i = 1, req.nkeys do
    local key = req:key(i)
    if not seen[key] and not known[key] and old:pick(key) ~= new:pick(key) then
      keys[#keys + 1], seen[key] = key, true
    end
  end
  table.sort(keys)
  return keys
end

-- Is none of them at its new place? After a restart some are. nil and why: cannot be told.
local function none_moved(keys)
  local replies, why = ask(new, "EXISTS", keys)
  for _, reply in ipairs(replies or {}) do
    if reply:int() > 0 then
      return false
    end
  end
  return replies and true, why
end

local move_first = nydus.flow(function(req)
  local keys = keys_of(req)
  while #keys > BATCH and not state:get("moving") do
    nydus.sleep(0.02)
  end
  for first = 1, #keys, BATCH do
    local some = { unpack(keys, first, math.min(first + BATCH - 1, #keys)) }
    local locks, stay, done_so, why = lock(some), false, nil, nil
    if not locks then
      return nydus.error("TRYAGAIN migrate: another command has the lock of a key")
    elseif not state:get("moving") then
      stay, why = none_moved(some)
    end
    if stay then
      return req:send(old) -- the locks are held until the reply
    elseif stay ~= nil then
      done_so, why = move(some)
    end
    unlock(locks)
    if not done_so then
      return nydus.error("ERR migrate: a key cannot be moved: " .. why:gsub("[\r\n]", " "))
    end
  end
  return req.nkeys == 0 and everywhere or new
end, { order = "key", reads = true, finish = true })

-- The walk: a page of an old host at a time, in one worker at a time -------------

-- nil, or why some keys could not be moved.
local function move_page(host, page, batch)
  local keys, problem = {}, nil
  for i = 1, #page[2] do
    local key = page[2][i]:str()
    if old:pick(key) == host and new:pick(key) ~= host then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys)
  for first = 1, #keys, batch do
    local some, began = { unpack(keys, first, math.min(first + batch - 1, #keys)) }, nydus.now()
    local locks = lock(some)
    local ok, fine, why = pcall(move, locks and some or {}) -- there may be no memory for it
    unlock(locks or {})
    if not (locks and ok and fine) then
      problem = why or not ok and tostring(fine) or "another command has the lock of a key"
    end
    nydus.sleep(math.max(0, #some / rate - (nydus.now() - began)))
  end
  return problem
end

local function walk()
  local at, cursor = state:get("host") or 1, state:get("cursor") or "0"
  local page = nydus.call(old_hosts[at], "SCAN", cursor, "COUNT", BATCH, WAIT)
  local why = page.is_error and page:str() or not page.is_error and move_page(old_hosts[at], page,
    state:get("careful") and 1 or BATCH)
  if why then
    nydus.log.warn("migrate: %s: tried again later: %s", old_hosts[at].identifier, why)
    state:set("failed", true)
    nydus.sleep(1)
  end
  cursor = page.is_error and cursor or page[1]:str()
  state:set("cursor", cursor)
  if page.is_error or cursor ~= "0" then
    return
  elseif at < #old_hosts then
    state:set("host", at + 1)
  elseif state:get("failed") then -- once more, and key by key: some may have been too large together
    state:set("careful", true)
    state:set("failed", false)
    state:set("host", 1)
  else
    state:set("done", true)
    nydus.log.info("migrate: all keys are at their new places: take routers/migrate.lua out of the configuration")
  end
end

nydus.task(function()
  while not done do
    local turn = nydus.lock(NAME .. ":walk", "", 60)
    local stop = nydus.now() + 10
    if turn and not state:get("moving") then
      nydus.sleep(grace)
      state:set("moving", true)
    end
    while turn and options.scan ~= false and nydus.now() < stop and not state:get("done") do
      walk()
    end
    if turn then
      turn:unlock()
    end
    nydus.sleep(options.scan == false and 1 or 0.01)
  end
end)

nydus.every(1, function()
  state:set("what", what, 60)
  done = done or state:get("done") == true
end)

-- What decides ------------------------------------------------------------------

local FLUSH = { flushall = true, flushdb = true }

local function route(req)
  if req.nkeys == 0 then
    if FLUSH[req.command] then
      state:incr("flushes", 1, 0)
    end
    return everywhere
  elseif done or req.pubsub then
    return new
  elseif req.db ~= 0 then
    return other_database
  end
  local key = req:key()
  if known[key] or old:pick(key) == new:pick(key) then
    return new
  end
  return move_first
end

-- Keys that must be on one host move together: not one by one, as route is asked.
local function together(req)
  if done then
    return new
  end
  return req.db == 0 and move_first or other_database
end

local tree = { default = route }
for name in ([[rename renamenx copy msetnx smove sinter sinterstore sintercard sunion sunionstore sdiff sdiffstore
  zinter zinterstore zintercard zunion zunionstore zdiff zdiffstore zrangestore lmove rpoplpush lmpop zmpop bitop
  pfcount pfmerge lcs sort georadius georadiusbymember geosearchstore eval evalsha eval_ro evalsha_ro fcall
  fcall_ro]]):gmatch("%S+") do
  tree[name] = together
end
return nydus.command(tree)
