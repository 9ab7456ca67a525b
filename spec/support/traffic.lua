-- What a client of the random spec sends: commands of every kind on keys of its
-- own, so that its replies do not depend on what the others do.
--
--   local traffic = Traffic.new{ random =, name = "life7", database = 9, model = redis }
--   traffic:steps(count) → { step, … }     a pipeline with whole transactions; changes databases, blocks
--
-- A step: words, bytes (as sent), keys (that it reads or writes), compare (how the
-- reply is compared; nil: byte by byte), inside (the steps whose replies that of EXEC
-- may hold), blocks, push and db (what a sibling of the client has to send, and in which
-- database, for a command that blocks until then). Key names carry a hash tag, and
-- what needs one host uses one tag only. `database` is the client's alone; `model` is
-- asked what Redis knows of its commands. `calm`: the hosts stay, so that it may listen to
-- channels, and send what is not answered (silent steps).

local resp = require("support.resp")

local Traffic = {}
Traffic.__index = Traffic

local KINDS = { "string", "list", "set", "zset", "hash", "stream" }
local TAGS = 4

-- Arity and key places of Redis's commands, asked once.
local rows

local function learn(redis)
  if rows then return end
  rows = {}
  for _, row in ipairs(redis:call("COMMAND")) do
    rows[row[1]] = { arity = row[2], first = row[4], last = row[5], step = row[6] }
  end
end

function Traffic.new(options)
  learn(options.model)
  local self = setmetatable({ db = 0, fresh = 0 }, Traffic)
  for name, value in pairs(options) do self[name] = value end
  return self
end

-- ---------------------------------------------------------------- words

local NUMBERS = {
  "0", "1", "2", "3", "7", "10", "-1", "-2", "-5", "100", "65536", "1.5", "-0.25", "3e2", "9223372036854775807",
  "-9223372036854775808", "18446744073709551616", "inf", "-inf", "nan", "", "01", " 1", "abc", "(1", "(5", "[a", "-", "+",
}
local OPTIONS = {
  "WITHSCORES", "LIMIT", "NX", "XX", "GT", "LT", "CH", "INCR", "COUNT", "REV", "BYSCORE", "BYLEX", "LEFT", "RIGHT",
  "BEFORE", "AFTER", "MAX", "MIN", "ASC", "DESC", "KEEPTTL", "GET", "AND", "OR", "XOR", "NOT", "BIT", "BYTE", "RANK",
  "MAXLEN", "WITHVALUES", "WITHCOORD", "WITHDIST", "WITHHASH", "m", "km", "BYRADIUS", "BYBOX", "FROMLONLAT", "FROMMEMBER",
  "MKSTREAM", "INCRBY", "OVERFLOW", "WRAP", "SAT", "FAIL", "SET", "u8", "i5", "LEN", "IDX", "WITHMATCHLEN", "ANY", "=", "~",
}

function Traffic:tag()
  return self.random:below(TAGS)
end

-- A key of this tag (or any), mostly of the kind that is asked for.
function Traffic:key(kind, tag)
  if not kind or self.random:chance(12) then kind = self.random:pick(KINDS) end
  return ("{%s.%d}%s%d"):format(self.name, tag or self:tag(), kind, self.random:below(3))
end

-- A key that no other command has or will have.
function Traffic:new_key(tag)
  self.fresh = self.fresh + 1
  return ("{%s.%d}fresh%d"):format(self.name, tag or self:tag(), self.fresh)
end

function Traffic:number()
  return self.random:pick(NUMBERS)
end

local BINARY = { "", "\0", "\r\n", "+OK\r\n", "*1\r\n$4\r\nPING\r\n", "\255\254\128", "$-1\r\n", "a b", '"', "\\x" }

function Traffic:value()
  local random = self.random
  local kind = random:below(20)
  if kind < 6 then return tostring(random:between(-20, 200)) end
  if kind < 9 then return random:pick(BINARY) .. random:pick(BINARY) end
  if kind < 10 then return self.name .. (":"):rep(random:between(60, 3000)) end
  return ("%s:%d"):format(self.name, random:below(30))
end

local SIZES = { 16 * 1024 - 1, 16 * 1024, 65536, 65537, 100000, 262144, 1048576, 2097152 }

function Traffic:big_value()
  local size, word = self.random:pick(SIZES), self:value() .. self.name
  return word:rep(math.floor(size / #word) + 1):sub(1, size)
end

function Traffic:member()
  return self.random:chance(30) and tostring(self.random:below(12)) or "m" .. self.random:below(8)
end

-- ---------------------------------------------------------------- steps

local function quoted(word)
  local out = word:gsub("[^%w:._-]", function(char) return ("\\x%02x"):format(char:byte()) end)
  return '"' .. out .. '"'
end

function Traffic:bytes(words)
  local size = 0
  for _, word in ipairs(words) do size = size + #tostring(word) end
  if size > 2000 or not self.random:chance(8) then return resp.encode(words) end
  local line = {}
  for i, word in ipairs(words) do
    word = tostring(word)
    local plain = word:match("^[%w:._{}-]+$") and self.random:chance(70)
    line[i] = plain and word or quoted(word)
  end
  local blank = self.random:pick({ " ", "  ", " \t" })
  return table.concat(line, blank) .. self.random:pick({ "\r\n", "\n", " \r\n" })
end

local function letter_case(random, word)
  if random:chance(70) then return word end
  return random:chance(50) and word:lower() or word:sub(1, 1):lower() .. word:sub(2)
end

-- more: keys = …, compare = …, push = …
function Traffic:add(words, more)
  local step = more or {}
  step.words = words
  words[1] = letter_case(self.random, words[1])
  step.bytes = self:bytes(words)
  step.keys = step.keys or {}
  for i, key in ipairs(step.keys) do step.keys[i] = self.db .. "/" .. key end
  self.list[#self.list + 1] = step
  return step
end

-- ---- single commands of all kinds, with right and wrong arguments

local ANY = {}
for name in ([[
append bitcount bitfield bitfield_ro bitpos decr decrby get getbit getdel getrange getset incr incrby incrbyfloat
setbit setnx setrange strlen substr lindex linsert llen lpop lpos lpush lpushx lrange lrem lset ltrim rpop rpush rpushx
sadd scard sismember smismember srem zadd zcard zcount zincrby zlexcount zmscore zpopmax zpopmin zrange
zrangebylex zrangebyscore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex
zrevrangebyscore zrevrank zscore hdel hexists hget hincrby hincrbyfloat hlen hmget hmset hset hsetnx hstrlen
xadd xdel xlen xrange xrevrange xtrim pfadd pfcount type persist exists rename renamenx smove rpoplpush lmove
sinterstore sunionstore sdiffstore zrangestore bitop pfmerge geoadd geodist geohash geopos
lcs msetnx copy]]):gmatch("%S+") do ANY[#ANY + 1] = name end
local UNORDERED = {}
for name in ("sinter sunion sdiff smembers hkeys hvals"):gmatch("%S+") do
  UNORDERED[name] = "set"
  ANY[#ANY + 1] = name
end
UNORDERED.hgetall = "pairs"
ANY[#ANY + 1] = "hgetall"

local PREFIXES = {
  { "^[lr]", "list" }, { "^bl", "list" }, { "^s[^teu]", "set" }, { "^sun", "set" }, { "^z", "zset" }, { "^geo", "zset" },
  { "^h", "hash" }, { "^x", "stream" },
}

local function kind_of(name)
  for _, prefix in ipairs(PREFIXES) do
    if name:find(prefix[1]) then return prefix[2] end
  end
  return "string"
end

function Traffic:argument()
  local dice = self.random:below(10)
  if dice < 4 then return self:number() end
  if dice < 6 then return self.random:pick(OPTIONS) end
  if dice < 8 then return self:member() end
  return self:value()
end

local function is_key(row, place, count)
  local last = row.last < 0 and count + row.last or row.last
  return row.first > 0 and place >= row.first and place <= last and (place - row.first) % row.step == 0
end

function Traffic:any()
  local random = self.random
  local name = random:pick(ANY)
  local row = rows[name]
  local count = row.arity > 0 and row.arity or -row.arity + random:below(4)
  if random:chance(4) then count = math.max(1, count + random:pick({ -1, 1 })) end
  local words, keys, tag, kind = { name:upper() }, {}, self:tag(), kind_of(name)
  for place = 1, count - 1 do
    local word
    if is_key(row, place, count) then
      word = self:key(kind, tag)
      keys[#keys + 1] = word
    else
      word = self:argument()
    end
    words[place + 1] = word
  end
  self:add(words, { keys = keys, compare = UNORDERED[name] })
end

-- ---- useful ones, so that there is data

function Traffic:fill()
  local random, kind = self.random, self.random:pick(KINDS)
  local key = self:key(kind)
  local words
  if kind == "string" then
    words = { "SET", key, self:value() }
    if random:chance(10) then words[4], words[5] = "EXAT", "4000000000" end
    if random:chance(20) then words[#words + 1] = "GET" end
    if random:chance(8) then words = { "EXPIREAT", key, random:pick({ "4000000000", "1", "-1" }) } end
  elseif kind == "list" then
    words = { random:pick({ "LPUSH", "RPUSH" }), key, self:value(), self:value(), self:member() }
  elseif kind == "set" then
    words = { "SADD", key, self:member(), self:member(), self:value() }
  elseif kind == "zset" then
    words = { "ZADD", key, random:below(9), self:member(), random:below(5) + 0.5, self:member() }
  elseif kind == "hash" then
    words = { "HSET", key, self:member(), self:value(), self:member(), self:value() }
  else
    words = { "XADD", key, ("%d-%d"):format(#self.list + self.fresh + 1, random:below(3)), self:member(), self:value() }
  end
  self:add(words, { keys = { key } })
end

function Traffic:read()
  local kind = self.random:pick(KINDS)
  local key = self:key(kind)
  local commands = {
    string = { { "GET", key }, { "STRLEN", key }, { "GETRANGE", key, 0, 10 }, { "EXPIRETIME", key } },
    list = { { "LRANGE", key, 0, -1 }, { "LLEN", key }, { "LINDEX", key, -1 } },
    set = { { "SMEMBERS", key }, { "SCARD", key } },
    zset = { { "ZRANGE", key, 0, -1, "WITHSCORES" }, { "ZRANGE", key, "-inf", "+inf", "BYSCORE", "LIMIT", 0, 3 } },
    hash = { { "HGETALL", key }, { "HLEN", key } },
    stream = { { "XRANGE", key, "-", "+" }, { "XREVRANGE", key, "+", "-", "COUNT", 2 } },
  }
  local words = self.random:pick(commands[kind])
  self:add(words, { keys = { key }, compare = UNORDERED[words[1]:lower()] })
end

function Traffic:big()
  local key = self:key("string")
  local pick = self.random:below(5)
  if pick == 0 then
    self:add({ "APPEND", key, self:big_value() }, { keys = { key } })
  elseif pick == 1 then
    self:add({ "ECHO", self:big_value() })
  elseif pick == 2 then
    local list = self:key("list")
    self:add({ "RPUSH", list, self:big_value() }, { keys = { list } })
    self:add({ "LINDEX", list, -1 }, { keys = { list } })
  else
    self:add({ "SET", key, self:big_value() }, { keys = { key } })
  end
  self:add({ "GET", key }, { keys = { key } })
  if self.random:chance(60) then self:add({ "DEL", key }, { keys = { key } }) end
end

-- ---- several hosts

function Traffic:many()
  local random = self.random
  local name = random:pick({ "MGET", "MSET", "DEL", "UNLINK", "EXISTS", "TOUCH", "MGET", "MSET" })
  local words, keys = { name }, {}
  local size = name ~= "MGET" and random:chance(5) and 300 or random:between(1, 9)
  for i = 1, size do
    keys[i] = self:key("string")
    words[#words + 1] = keys[i]
    if name == "MSET" then words[#words + 1] = self:value() end
  end
  if random:chance(3) then words[#words + 1] = keys[1] end
  if name == "MSET" and random:chance(3) then words[3] = self:big_value() end
  self:add(words, { keys = keys })
end

-- ---- keys in odd places

local function numbered(self, name, kind, before)
  local tag, count = self:tag(), self.random:between(1, 3)
  local words, keys = { name }, {}
  if before then
    keys[1] = self:key(kind, tag)
    words[2] = keys[1]
  end
  words[#words + 1] = self.random:chance(4) and self.random:pick({ "0", "-5", "x", "", "100" }) or count
  for _ = 1, count do
    keys[#keys + 1] = self:key(kind, tag)
    words[#words + 1] = keys[#keys]
  end
  return words, keys
end

function Traffic:movable()
  local random = self.random
  local pick = random:below(10)
  local words, keys
  if pick < 2 then
    words, keys = numbered(self, random:pick({ "ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE" }), "zset", true)
  elseif pick < 4 then
    words, keys = numbered(self, random:pick({ "ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD" }), "zset")
    if random:chance(50) then words[#words + 1] = random:pick({ "WITHSCORES", "LIMIT", "AGGREGATE" }) end
  elseif pick < 5 then
    words, keys = numbered(self, "LMPOP", "list")
    words[#words + 1] = random:pick({ "LEFT", "RIGHT", "UP" })
  elseif pick < 6 then
    words, keys = numbered(self, "ZMPOP", "zset")
    words[#words + 1] = random:pick({ "MIN", "MAX" })
  elseif pick < 7 then
    words, keys = numbered(self, "SINTERCARD", "set")
  else
    local tag = self:tag()
    keys = { self:key("list", tag) }
    words = { "SORT", keys[1] }
    if random:chance(60) then words[#words + 1] = "ALPHA" end
    if random:chance(30) then words[#words + 1] = random:pick({ "ASC", "DESC" }) end
    if random:chance(30) then
      words[#words + 1], words[#words + 2] = "STORE", self:key("list", tag)
      keys[2] = words[#words]
    end
  end
  self:add(words, { keys = keys })
end

function Traffic:stream()
  local random, key = self.random, self:key("stream")
  local own = { keys = { key } }
  local group, consumer = "g" .. random:below(2), "c" .. random:below(2)
  local pick = random:below(9)
  if pick < 2 then
    self:add({ "XGROUP", "CREATE", key, group, random:pick({ "0", "$", "5-1" }), "MKSTREAM" }, own)
  elseif pick < 4 then
    self:add({ "XREADGROUP", "GROUP", group, consumer, "COUNT", 2, "STREAMS", key, random:pick({ ">", "0" }) }, own)
  elseif pick < 5 then
    self:add({ "XACK", key, group, ("%d-%d"):format(random:below(30), random:below(3)) }, own)
  elseif pick < 6 then
    self:add({ "XREAD", "COUNT", 3, "STREAMS", key, random:pick({ "0", "3-0", "$" }) }, own)
  elseif pick < 7 then
    self:add({ "XPENDING", key, group }, own)
  elseif pick < 8 then
    self:add({ "XINFO", random:pick({ "STREAM", "GROUPS", "NONSENSE" }), key }, own)
  else
    self:add({ "OBJECT", random:pick({ "ENCODING", "NONSENSE" }), key }, own)
  end
end

-- ---- scripts: EVALSHA only of those that touch nothing, for a host that lacks one gets it
-- together with the command, behind what was pipelined

local SCRIPTS = {
  "return {KEYS[1], ARGV[1], #ARGV}",
  "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1])",
  "return redis.call('LRANGE', KEYS[1], 0, -1)",
  "return redis.pcall('INCR', KEYS[1])",
  "return redis.call('NOSUCH', KEYS[1])",
  "return redis.error_reply('MINE ' .. ARGV[1])",
  "return {1, false, {ok = 'fine'}, 3.9, 'x', nil, 'not seen'}",
  "error('oh ' .. KEYS[1])",
  "return not",
}

function Traffic:script()
  local random = self.random
  local key = self:key("string")
  local count = random:chance(80) and 1 or random:pick({ "0", "5", "-1", "x", "" })
  local body = ("%s -- %s.%d"):format(random:pick(SCRIPTS), self.name, random:below(3))
  self:add({ random:chance(80) and "EVAL" or "EVAL_RO", body, count, key, self:value() }, { keys = { key } })
end

function Traffic:evalsha()
  local random = self.random
  local body = ("return {KEYS[1], ARGV[1], '%s'} -- %d"):format(self.name, random:below(3))
  local key = self:new_key()
  if random:chance(30) then
    self:add({ "SCRIPT", "LOAD", body }, { keys = { "script" .. body } })
  elseif random:chance(30) then
    self:add({ "EVAL", body, 1, key, "eval" }, { keys = { "script" .. body } })
  else
    local sha = self.model:call("EVAL", "return redis.sha1hex(ARGV[1])", 0, body)
    local step = self:add({ "EVALSHA", sha, 1, key, "sha" }, { keys = { "script" .. body }, compare = "healed" })
    step.healed = resp.encode({ key, "sha", self.name })
  end
end

-- ---- the connection

function Traffic:connection()
  local random = self.random
  local pick = random:below(12)
  if pick < 3 then
    self:add(random:pick({ { "PING" }, { "PING", self:value() }, { "ECHO", self:value() }, { "PING", "a", "b" } }))
  elseif pick < 5 then
    self:add({ "CLIENT", "SETNAME", random:pick({ self.name, "", "a b", "x" }) })
    self:add({ "CLIENT", "GETNAME" })
  elseif pick < 7 then
    self:add({ random:pick({ "NOSUCHCOMMAND", "GET", "CLIENT", "OBJECT", "XGROUP", "nosuch" }), random:pick({ "", "a", "NONSENSE" }),
      self:value(), self:value() })
  elseif pick < 8 then
    self:add(random:pick({ { "EXEC" }, { "DISCARD" }, { "UNWATCH" }, { "EXEC", "x" }, { "AUTH", "x" } }))
  elseif pick < 9 then
    self:add({ "RESET" })
    self.db = 0
  else
    self:select()
  end
end

function Traffic:select(db)
  local random = self.random
  db = db or random:pick({ 0, 1, 2, 3, self.database, "99", "-1", "x", "" })
  self:add({ "SELECT", db }, { keys = { "connection" } })
  if type(db) == "number" then self.db = db end
end

-- RESP3 and back; what fails changes nothing.
function Traffic:hello()
  self:add(self.random:pick({
    { "HELLO" }, { "HELLO", 3 }, { "HELLO", 3, "SETNAME", self.name }, { "HELLO", 2 }, { "HELLO", 4 }, { "HELLO", "x" },
    { "HELLO", 3, "NONSENSE" }, { "HELLO", 3, "AUTH", "nobody", "x" },
  }), { compare = "hello" })
end

-- One confirmation each. In RESP2 most commands are refused while it listens.
function Traffic:listen()
  if not self.calm then return end
  local random = self.random
  local kind, channel = random:pick({ "", "P", "S" }), self.name .. ":" .. random:below(3)
  self:add({ kind .. "SUBSCRIBE", channel })
  for _ = 1, random:below(4) do
    local key = self:key()
    self:add(random:pick({ { "PING" }, { "PING", "x" }, { "EXISTS", key }, { "NOSUCH" }, { "SUBSCRIBE" } }), { keys = { key } })
  end
  if random:chance(30) then self:add({ kind .. "SUBSCRIBE", channel }) end
  self:add(random:chance(60) and { kind .. "UNSUBSCRIBE", channel } or { "RESET" })
  if self.list[#self.list].words[1]:upper() == "RESET" then self.db = 0 end
end

-- Commands whose replies are not wanted.
function Traffic:silent()
  if not self.calm then return end
  local function hush(words)
    self:add(words, { silent = true })
  end
  if self.random:chance(50) then
    hush({ "CLIENT", "REPLY", "SKIP" })
    self:fill()
    self.list[#self.list].silent = true
    return
  end
  hush({ "CLIENT", "REPLY", "OFF" })
  for _ = 1, self.random:below(4) do
    local first = #self.list + 1
    self[self.random:pick({ "fill", "any", "many", "read" })](self)
    for i = first, #self.list do self.list[i].silent = true end
  end
  self:add({ "CLIENT", "REPLY", "ON" })
end

-- All keys at once, in the database that is the client's alone.
function Traffic:keyless()
  local random, before = self.random, self.db
  self:select(self.database)
  for _ = 1, random:between(1, 4) do
    local pick = random:below(6)
    if pick == 0 then
      self:add({ "FLUSHDB", random:pick({ "ASYNC", "SYNC", "NONSENSE" }) }, { keys = { "all" } })
    elseif pick == 1 then
      self:add({ "KEYS", random:pick({ "*", "*string*", "nothing" }) }, { keys = { "all" }, compare = "set" })
    elseif pick == 2 then
      self:fill()
    elseif pick == 3 then
      self:add({ "RANDOMKEY" }, { keys = { "all" }, compare = "null" })
    else
      self:add({ "DBSIZE" }, { keys = { "all" } })
    end
  end
  if random:chance(50) then self:select(before) end
end

-- ---- transactions

-- What is queued has its reply inside that of EXEC.
function Traffic:transaction()
  local random, tag, keys, inside = self.random, self:tag(), {}, {}
  local first = #self.list + 1
  local tag_of = self.tag
  self.tag = function() return tag end
  if random:chance(25) then
    local key = self:key()
    self:add({ "WATCH", key, self:key() }, { keys = { key } })
    if random:chance(40) then self:fill() end
    if random:chance(10) then self:add({ "UNWATCH" }) end
  end
  self:add({ "MULTI" })
  for _ = 1, random:below(8) do
    random:weighted({
      { 10, self.any }, { 10, self.fill }, { 10, self.read }, { 4, self.movable }, { 3, self.stream }, { 2, self.script },
      { 2, self.unblocked }, { 2, self.many }, { 1, self.wrong_inside },
    })(self)
  end
  for i = first, #self.list do
    inside[#inside + 1] = self.list[i]
    for _, key in ipairs(self.list[i].keys) do keys[#keys + 1] = key end
  end
  local exec = self:add({ random:chance(85) and "EXEC" or "DISCARD" })
  exec.keys, exec.inside = keys, inside
  self.tag = tag_of
end

function Traffic:wrong_inside()
  self:add(self.random:pick({ { "MULTI" }, { "WATCH", self:key() }, { "GET" }, { "NOSUCHCOMMAND" }, { "PING" } }))
end

-- A command that blocks, inside of a transaction or with something there.
function Traffic:unblocked()
  local key = self:key("list")
  self:add({ self.random:pick({ "BLPOP", "BRPOP" }), key, 0.01 }, { keys = { key }, blocks = true })
end

-- ---- blocking

-- Two of three block until a sibling pushes; the key is new, so it does not matter when.
function Traffic:blocking()
  if self.db == self.database then return end -- what is pushed may be flushed
  local random, tag, value = self.random, self:tag(), self:value()
  local key, other = self:new_key(tag), self:new_key(tag)
  if random:chance(20) then
    self:add({ random:pick({ "BLPOP", "BRPOP", "BZPOPMIN", "BZPOPMAX" }), key, other, random:pick({ "0.01", "0.02", "-1", "x" }) },
      { keys = { key, other }, blocks = true })
    return
  end
  local list, zset = { "RPUSH", key, value }, { "ZADD", key, 1, value }
  local choice = random:pick({
    { { "BLPOP", key, 0 }, list }, { { "BRPOP", other, key, "0" }, list }, { { "BLMOVE", key, other, "LEFT", "RIGHT", 0 }, list },
    { { "BRPOPLPUSH", key, other, 0 }, list }, { { "BLMPOP", 0, 2, other, key, "LEFT" }, list },
    { { "BZPOPMIN", key, 0 }, zset }, { { "BZPOPMAX", other, key, 0 }, zset }, { { "BZMPOP", 0, 1, key, "MAX" }, zset },
    { { "XREAD", "BLOCK", 0, "STREAMS", key, "0-0" }, { "XADD", key, "1-1", "field", value } },
  })
  self:add(choice[1], { keys = { key, other }, blocks = true, push = choice[2], db = self.db })
  if random:chance(50) then self:add({ "DEL", key, other }, { keys = { key, other } }) end
end

-- ---------------------------------------------------------------- all of them

local ACTS = {
  { 30, "any" }, { 25, "fill" }, { 20, "read" }, { 12, "many" }, { 6, "movable" }, { 6, "stream" }, { 5, "script" },
  { 5, "evalsha" }, { 6, "connection" }, { 2, "keyless" }, { 7, "transaction" }, { 4, "blocking" }, { 1, "big" },
  { 2, "hello" }, { 2, "listen" }, { 2, "silent" },
}

function Traffic:steps(count)
  self.list = {}
  while #self.list < count do
    self[self.random:weighted(ACTS)](self)
  end
  return self.list
end

return Traffic
