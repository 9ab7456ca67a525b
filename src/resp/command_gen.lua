-- Writes command.def from what a Redis says of its commands:
--
--   redis-cli --json COMMAND | luajit src/resp/command_gen.lua 7.0.15 > src/resp/command.def
--
-- The version is only named in the head. Run it by hand, with an unmodified
-- redis-server that has no modules loaded; read the difference before committing.
-- SPDX-License-Identifier: Apache-2.0

local cjson = require("cjson")

local HEAD = [[
/* The commands of Redis %s, a few of later ones, and Nydus's own: %d rows.
 *
 * Generated, do not edit; from the top of the source tree, beside an unmodified redis-server:
 *   redis-cli --json COMMAND | luajit src/resp/command_gen.lua %s > src/resp/command.def
 *
 * COMMAND(name, arity, flags,
 *         ACL categories, request policy, response policy, tips, first key, last key, key step, key specifications)
 */
/* SPDX-License-Identifier: Apache-2.0 */
]]

-- In the order of ACL CAT; the place is the bit.
local CATEGORIES = {
  "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo",
  "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
}

local function key_at(index, ...)
  return {
    flags = { ... },
    begin_search = { type = "index", spec = { index = index } },
    find_keys = { type = "range", spec = { lastkey = 0, keystep = 1, limit = 0 } },
  }
end

local function hash_field_command(name, arity, flags, access)
  local key = access == "@read" and key_at(1, "RO", "access") or key_at(1, "RW", "update")
  return { name, arity, flags, 1, 1, 1, { access, "@hash", "@fast" }, {}, { key }, {} }
end

-- Later than the server this is usually run against; a server that has one itself wins.
local EXPIRE_FLAGS = { "write", "denyoom", "fast" }
local NEWER = {
  { "waitaof", 4, { "noscript" }, 0, 0, 0, { "@slow", "@connection" },
    { "request_policy:all_shards", "response_policy:agg_min" }, {}, {} },
  hash_field_command("hexpire", -6, EXPIRE_FLAGS, "@write"),
  hash_field_command("hpexpire", -6, EXPIRE_FLAGS, "@write"),
  hash_field_command("hexpireat", -6, EXPIRE_FLAGS, "@write"),
  hash_field_command("hpexpireat", -6, EXPIRE_FLAGS, "@write"),
  hash_field_command("hpersist", -5, { "write", "fast" }, "@write"),
  hash_field_command("httl", -5, { "readonly", "fast" }, "@read"),
  hash_field_command("hpttl", -5, { "readonly", "fast" }, "@read"),
  hash_field_command("hexpiretime", -5, { "readonly", "fast" }, "@read"),
  hash_field_command("hpexpiretime", -5, { "readonly", "fast" }, "@read"),
}
local CONNECTION_FLAGS = { "noscript", "loading", "stale" }
local NEWER_SUB = {
  client = {
    { "client|setinfo", 4, CONNECTION_FLAGS, 0, 0, 0, { "@slow", "@connection" },
      { "request_policy:all_nodes", "response_policy:all_succeeded" }, {}, {} },
    { "client|no-touch", 3, CONNECTION_FLAGS, 0, 0, 0, { "@slow", "@connection" }, {}, {}, {} },
  },
}

local function by_name(a, b)
  return a[1] < b[1]
end

-- Commands without the flag "write" that replicas hear of all the same; COMMAND keeps it to itself.
local MAY_REPLICATE = { eval = true, evalsha = true, fcall = true, pfcount = true, publish = true, spublish = true }

-- Nydus's own, of which no server knows.
local OWN_FLAGS = { "admin", "noscript", "loading", "stale" }
local OWN_CATEGORIES = { "@admin", "@slow", "@dangerous" }

local function own(name, arity)
  return { name, arity, OWN_FLAGS, 0, 0, 0, OWN_CATEGORIES, {}, {}, {} }
end

NEWER[#NEWER + 1] = { "nydus", -2, {}, 0, 0, 0, { "@slow" }, {}, {}, {
  own("nydus|generation", 2),
  { "nydus|help", 2, { "loading", "stale" }, 0, 0, 0, { "@slow" }, {}, {}, {} },
  own("nydus|hosts", 2),
  own("nydus|reload", 2),
  own("nydus|route", -3),
  own("nydus|slowlog", -2),
  own("nydus|stats", 2),
} }

-- Appends the newer ones that `commands` lacks.
local function add_newer(commands, newer)
  local known = {}
  for _, command in ipairs(commands) do
    known[command[1]] = true
  end
  for _, command in ipairs(newer) do
    if not known[command[1]] then
      commands[#commands + 1] = command
    end
  end
end

local function macro_list(macro, words)
  local out = {}
  for _, word in ipairs(words) do
    out[#out + 1] = ("%s(%s)"):format(macro, (word:gsub("^@", ""):upper():gsub("-", "_")))
  end
  return #out > 0 and table.concat(out, "|") or "0"
end

local function policy(tips, kind)
  for _, tip in ipairs(tips) do
    local value = tip:match("^" .. kind .. "_policy:(.*)$")
    if value then
      return value:upper()
    end
  end
  return "DEFAULT"
end

local function specification(spec)
  local from, find = spec.begin_search, spec.find_keys
  local flags, notes = macro_list("K", spec.flags), spec.notes and (", %q"):format(spec.notes) or ""
  if from.type == "unknown" or find.type == "unknown" then
    return ("UNKNOWN_KEYS(%s%s)"):format(flags, notes)
  end
  local start = from.type == "index" and ("INDEX_%s(%s, %d"):format(find.type:upper(), flags, from.spec.index)
    or ("KEYWORD_%s(%s, \"%s\", %d"):format(find.type:upper(), flags, from.spec.keyword, from.spec.startfrom)
  local s = find.spec
  if find.type == "range" then
    return ("%s, %d, %d, %d%s)"):format(start, s.lastkey, s.keystep, s.limit, notes)
  end
  return ("%s, %d, %d, %d%s)"):format(start, s.keynumidx, s.firstkey, s.keystep, notes)
end

local function specifications(specs)
  local out = {}
  for _, spec in ipairs(specs) do
    out[#out + 1] = specification(spec)
  end
  return #out > 0 and ("SPECS(%s)"):format(table.concat(out, ", ")) or "NO_SPECS"
end

-- Collects the rows of `commands` and their subcommands into `rows`.
local function collect(rows, commands)
  table.sort(commands, by_name)
  for _, c in ipairs(commands) do
    local name, arity, flags, first, last, step, categories, tips, specs, subs = unpack(c)
    add_newer(subs, NEWER_SUB[name] or {})
    if MAY_REPLICATE[name] then flags[#flags + 1] = "may_replicate" end
    local words = macro_list("F", flags)
    if #subs > 0 or name:find("|", 1, true) then
      words = (#flags > 0 and words .. "|" or "") .. (#subs > 0 and "F(CONTAINER)" or "F(SUBCOMMAND)")
    end
    rows[#rows + 1] = ("COMMAND(\"%s\", %d, %s,\n        %s, %s, %s, \"%s\", %d, %d, %d, %s)\n"):format(
      name, arity, words, macro_list("C", categories), policy(tips, "request"),
      policy(tips, "response"), table.concat(tips, " "), first, last, step, specifications(specs))
    collect(rows, subs)
  end
end

local version = arg[1] or error("usage: luajit command_gen.lua VERSION < commands.json")
local commands = cjson.decode(io.read("*a"))
add_newer(commands, NEWER)
local rows = {}
collect(rows, commands)
io.write(HEAD:format(version, #rows, version))
for _, category in ipairs(CATEGORIES) do
  io.write(("CATEGORY(%s, \"%s\")\n"):format(category:upper(), category))
end
io.write(table.concat(rows))
