-- A client of Nydus that lives twice: what it sends goes to a plain redis-server, too,
-- and each reply must be the same, byte for byte. It writes in pieces of any size, reads
-- when it likes, and leaves in any way. Used by the random specs.
--
--   local twin = Twin.new{ nydus =, model = redis, random =, name =, database =, phases =, steps =,
--                          excuse = function(step, since, reply) → may it be this error?, calm = no host is lost }
--   twin:turn() → did anything move?     until twin.over; raises on a wrong reply
--
-- A life is some pipelines, each answered by the model first, with a look around (SCAN and
-- the like, whose replies depend on the last) between them, and an end.
-- After an excused error nobody knows whether the command has run: what it touched is
-- doubtful from then on, and so are replies that depend on it.

local sys = require("support.sys")
local resp = require("support.resp")
local Traffic = require("support.traffic")

local Twin = {}
Twin.__index = Twin

function Twin.new(options)
  local self = setmetatable({ phase = 0, doubtful = {}, started = sys.now() }, Twin)
  for name, value in pairs(options) do self[name] = value end
  self.client, self.plain = self.nydus:client(), self.model:client()
  self.sibling, self.plain_sibling = self.nydus:client(), self.model:client()
  self.client.timeout, self.plain.timeout = 60, 60
  self.client.name = self.name
  self.traffic = Traffic.new({ random = self.random, name = self.name, database = self.database,
    model = self.model, calm = self.calm })
  return self
end

-- ---------------------------------------------------------------- what is expected

-- Asks the model; a sibling's push comes first there.
local function ask_model(self)
  for _, step in ipairs(self.steps) do
    if step.push then
      self.plain_sibling:call("SELECT", step.db)
      step.pushed = self.plain_sibling:call(unpack(step.push))
    end
  end
  local bytes = {}
  for i, step in ipairs(self.steps) do bytes[i] = step.bytes end
  self.bytes = table.concat(bytes)
  self.plain:send(self.bytes, true)
  local answered = {}
  for _, step in ipairs(self.steps) do
    if not step.silent then
      local _, raw = self.plain:read()
      step.want = raw
      answered[#answered + 1] = step
    end
  end
  self.steps = answered
end

-- The raw elements of an array, a map or a set; nil when it is something else.
local function elements_of(raw)
  local count, at = raw:match("^[*%%~](%d+)\r\n()")
  if not count then return nil end
  local list = {}
  while at <= #raw do
    local _, after = resp.decode(raw, at)
    list[#list + 1] = raw:sub(at, after - 1)
    at = after
  end
  return list
end

local function sorted(list, width)
  local out = {}
  for i = 1, #list, width do out[#out + 1] = table.concat(list, "", i, i + width - 1) end
  table.sort(out)
  return table.concat(out)
end

local function in_any_order(width)
  return function(got, want)
    local a, b = elements_of(got), elements_of(want)
    return a and b and #a == #b and sorted(a, width) == sorted(b, width)
  end
end

local COMPARE = {
  set = in_any_order(1),
  pairs = in_any_order(2),
  null = function(got, want) return (got:find("^[$_]%-?1?\r") ~= nil) == (want:find("^[$_]%-?1?\r") ~= nil) end,
  hello = function(got, want) -- all but the version and the number of the client
    local a, b = elements_of(got), elements_of(want)
    if not a or not b then return false end
    a[4], a[8] = b[4], b[8]
    return #a == #b and got:sub(1, 4) == want:sub(1, 4) and table.concat(a) == table.concat(b)
  end,
  -- a script that is loaded further on in the pipeline may be known already
  healed = function(got, want, step) return want:find("^%-NOSCRIPT") ~= nil and got == step.healed end,
}

local function same(step, got, want)
  if got == want then return true end
  if step.inside then
    local a, b, at = elements_of(got), elements_of(want), 0
    if not a or not b or #a ~= #b then return false end
    for _, inner in ipairs(step.inside) do
      if inner.want == "+QUEUED\r\n" then
        at = at + 1
        if not same(inner, a[at], b[at]) then return false end
      end
    end
    return true
  end
  return step.compare ~= nil and COMPARE[step.compare](got, want, step) or false
end

-- ---------------------------------------------------------------- doubt

local function is_doubtful(self, step)
  local doubtful = self.doubtful
  for _, key in ipairs(step.keys) do
    if doubtful[key] or (key:find("/all$") and next(doubtful)) then return true end
  end
  return doubtful["0/connection"] or false
end

local function doubt(self, step)
  for _, key in ipairs(step.keys) do
    self.doubtful[key:find("/connection$") and "0/connection" or key] = true
    if key:find("/all$") then self.doubtful["0/connection"] = true end
  end
end

-- ---------------------------------------------------------------- failing

local function shown(text)
  text = #text > 300 and text:sub(1, 300) .. "… " .. #text .. " bytes" or text
  return (("%q"):format(text):gsub("\\\n", "\\n"):gsub("\\13", "\\r"))
end

local function describe(self, step, number)
  local words = {}
  for i, word in ipairs(step.words) do words[i] = shown(tostring(word)) end
  local mark = is_doubtful(self, step) and " (doubtful)" or ""
  return ("  %d: %s → %s%s"):format(number, table.concat(words, " "), step.want and shown(step.want) or "?", mark)
end

function Twin:fail(what, ...)
  local lines = { ("%s, pipeline %d: %s"):format(self.name, self.phase, what:format(...)) }
  for i = math.max(1, (self.at or 1) - 12), math.min(#self.steps, (self.at or 1) + 1) do
    lines[#lines + 1] = describe(self, self.steps[i], i)
  end
  error(table.concat(lines, "\n"), 0)
end

-- ---------------------------------------------------------------- a pipeline

local function begin(self)
  local random = self.random
  self.phase = self.phase + 1
  self.steps = self.traffic:steps(random:between(1, self.length))
  ask_model(self)
  self.at, self.written, self.sent_at, self.pushes = 1, 0, {}, {}
  self.greedy = random:chance(70) -- else it reads only when it has written all
  self.piece = random:pick({ 1, 7, 100, 5000, 65536, 4000000 })
  for _, step in ipairs(self.steps) do
    if step.push then self.pushes[#self.pushes + 1] = step end
  end
end

local function write(self)
  if self.written == #self.bytes then return false end
  local size = self.random:between(1, self.piece)
  if #self.bytes > 20000 then size = math.max(size, 1000) end
  local piece = self.bytes:sub(self.written + 1, self.written + size)
  local ok, put = pcall(self.client.try_send, self.client, piece)
  if not ok then
    self.client:fill()
    self:fail("%s", put)
  end
  self.written = self.written + put
  self.full = put < #piece
  return put > 0
end

-- The sibling pushes what the client blocks for, whenever; again when its host was away.
local function push(self)
  local step = self.pushes[1]
  if not step or self.random:chance(50) then return false end
  local reply = self.sibling:call("SELECT", step.db)
  if reply == "OK" then reply = self.sibling:call(unpack(step.push)) end
  if type(reply) == "table" and self.excuse(step, self.began, "-" .. reply.err) then return true end
  if reply ~= step.pushed then
    self:fail("the sibling's %s is answered %s, not %s", step.push[1], tostring(reply.err or reply), tostring(step.pushed))
  end
  table.remove(self.pushes, 1)
  return true
end

-- One reply out of what has been read; false: it is not whole.
local function take(self)
  local step, buffer, at = self.steps[self.at], self.client.buffer, self.client.at
  local want, have = step.want, #buffer - at + 1
  if have == 0 then return false end
  if have >= #want and buffer:sub(at, at + #want - 1) == want then
    self.client.at = at + #want
    self.at = self.at + 1
    return true
  end
  if have < #want and want:sub(1, have) == buffer:sub(at) then return false end
  local ok, value, after = pcall(resp.decode, buffer, at)
  if not ok then self:fail("no reply: %s", tostring(value)) end
  if not after then return false end
  local got = buffer:sub(at, after - 1)
  if not same(step, got, want) then
    if self.excuse(step, self.began, got) then
      doubt(self, step)
    elseif is_doubtful(self, step) then
      doubt(self, step)
    else
      self:fail("reply %d is %s:\n%s", self.at, shown(got), describe(self, step, self.at))
    end
  end
  self.client.at = after
  self.at = self.at + 1
  return true
end

local function read(self)
  if not self.greedy and self.written < #self.bytes and not self.full then return false end
  local moved = self.client:fill()
  while self.at <= #self.steps and take(self) do moved = true end
  if self.client.ended and self.at <= #self.steps then
    self:fail("the connection ended (%s) with %d replies missing", self.client.ended, #self.steps - self.at + 1)
  end
  return moved
end

-- ---------------------------------------------------------------- between pipelines

local function expect_nothing_more(self)
  if self.client:pending() ~= "" then self:fail("more than was asked for: %s", shown(self.client:pending())) end
end

-- All elements that a cursor leads to, sorted, without those that come twice.
local function walk(client, words, cursor_at, width)
  local seen, list, cursor = {}, {}, "0"
  repeat
    words[cursor_at] = cursor
    local reply = client:call(unpack(words))
    if reply.err then return reply.err end
    cursor = reply[1]
    for i = 1, #reply[2], width do
      local item = table.concat(reply[2], " ", i, i + width - 1)
      if not seen[item] then list[#list + 1] = item end
      seen[item] = true
    end
  until cursor == "0"
  table.sort(list)
  return table.concat(list, "\n")
end

local function look_around(self)
  local random, traffic = self.random, self.traffic
  local words, cursor_at, width
  if random:chance(50) then
    words, cursor_at, width = { "SCAN", "0", "MATCH", "{" .. self.name .. ".*", "COUNT", random:pick({ 1, 7, 1000 }) }, 2, 1
    if random:chance(30) then words[7], words[8] = "TYPE", "list" end
  else
    local name, kind, wide = unpack(random:pick({ { "HSCAN", "hash", 2 }, { "SSCAN", "set", 1 }, { "ZSCAN", "zset", 2 } }))
    words, cursor_at, width = { name, traffic:key(kind), "0", "COUNT", random:pick({ 1, 1000 }) }, 3, wide
  end
  local got, want = walk(self.client, words, cursor_at, width), walk(self.plain, words, cursor_at, width)
  if got ~= want and not next(self.doubtful) and not self.excuse({ keys = {} }, self.began, "-" .. got) then
    self:fail("%s finds %s, not %s", words[1], shown(got), shown(want))
  end
end

-- Another client changes what this one watches.
local function interfere(self)
  local key = self.traffic:key("string")
  if next(self.doubtful) then return end
  for _, pair in ipairs({ { self.plain, self.plain_sibling }, { self.client, self.sibling } }) do
    local replies = {}
    local function ask(client, ...) replies[#replies + 1] = client:call(...) end
    ask(pair[1], "WATCH", key)
    ask(pair[2], "SELECT", self.traffic.db)
    ask(pair[2], "SET", key, "interfered")
    ask(pair[1], "MULTI")
    ask(pair[1], "SET", key, "mine")
    ask(pair[1], "EXEC")
    ask(pair[1], "GET", key)
    local words = {}
    for i, reply in ipairs(replies) do words[i] = type(reply) == "table" and reply.err or tostring(reply) end
    words = table.concat(words, ", ")
    if words ~= "OK, OK, OK, OK, QUEUED, null, interfered" and pair[1] == self.plain then
      error("the model says " .. words)
    elseif words ~= "OK, OK, OK, OK, QUEUED, null, interfered" then
      local excused = words:match("ERR host.*")
      if not excused or not self.excuse({ keys = {} }, self.began, "-" .. excused) then
        self:fail("WATCH, with another client's SET: %s", words)
      end
      self.doubtful["0/connection"] = true
    end
  end
end

-- What a sibling publishes, comes in order.
local function overhear(self)
  local random, channel = self.random, self.name .. ":heard"
  local kind = random:pick({ "", "P", "S" })
  local words, expected = { kind .. "SUBSCRIBE", kind == "P" and channel:gsub("heard", "h?ar*") or channel }, nil
  local count = random:between(1, 40)
  for _, pair in ipairs({ { self.plain, self.plain_sibling }, { self.client, self.sibling } }) do
    local heard = { select(2, pair[1]:command(unpack(words)):read()) }
    for i = 1, count do
      local publish = kind == "S" and "SPUBLISH" or "PUBLISH"
      local ears = pair[2]:call(publish, channel, "message " .. i)
      if ears ~= 1 then self:fail("%s is for %s clients, not for one", publish, tostring(type(ears) == "table" and ears.err or ears)) end
    end
    for i = 1, count do heard[i + 1] = select(2, pair[1]:read()) end
    heard[count + 2] = select(2, pair[1]:command(kind .. "UNSUBSCRIBE", words[2]):read())
    for _, question in ipairs({ { "PUBSUB", "NUMSUB", channel }, { "PUBSUB", "CHANNELS", channel }, { "PUBLISH", channel, "" } }) do
      heard[#heard + 1] = select(2, pair[1]:command(unpack(question)):read())
    end
    heard = table.concat(heard)
    expected = expected or heard
    if heard ~= expected then self:fail("%s hears %s, not %s", words[1], shown(heard), shown(expected)) end
  end
end

-- ---------------------------------------------------------------- the end

-- What breaks the protocol; both say the same and close.
local BROKEN = {
  "*1\r\n+PING\r\n", "*2\r\n$3\r\nGET\r\n$-1\r\n", "*2147483648\r\n", "*x\r\n", "GET \"unbalanced\r\n", "*1\r\n$536870913\r\n",
  "$5\r\n\"\r\n",
}

local ENDS = {}

function ENDS.quit(self)
  local bytes = resp.encode({ "QUIT" }) .. (self.random:chance(50) and resp.encode({ "SET", self.traffic:key(), "late" }) or "")
  self.client:send(bytes)
  if self.client:read_to_end(20) ~= "+OK\r\n" then self:fail("QUIT is not answered OK and nothing else") end
end

function ENDS.broken(self)
  local bytes = self.random:pick(BROKEN)
  self.client:send(bytes)
  self.plain:send(bytes)
  local got, want = self.client:read_to_end(20), self.plain:read_to_end(20)
  if got ~= want then self:fail("%s is answered %s, not %s", shown(bytes), shown(got), shown(want)) end
end

-- All that is owed comes, then the end; half a command is never run.
function ENDS.half_close(self)
  begin(self)
  local half = resp.encode({ "SET", self.traffic:key(), "half" })
  self.client:send(self.bytes .. half:sub(1, self.random:below(#half)), true)
  while #self.pushes > 0 do push(self) end
  local blocks = false
  for _, step in ipairs(self.steps) do blocks = blocks or step.blocks end
  if not blocks then self.client:shutdown_write() end -- who leaves while it blocks is owed nothing
  self.client:wait_for("the replies", function()
    self.client:fill()
    while self.at <= #self.steps and take(self) do end -- luacheck: ignore 542
    return self.at > #self.steps
  end, 60)
  self.client:shutdown_write()
  if self.client:read_to_end(20) ~= "" then self:fail("more than was asked for") end
end

local function write_some(self)
  begin(self)
  self.client:try_send(self.bytes:sub(1, self.random:between(1, #self.bytes)))
  if self.random:chance(50) then self.client:fill() end
end

function ENDS.reset(self)
  write_some(self)
  self.client:reset()
end

function ENDS.close(self)
  write_some(self)
  self.client:close()
end

local function finish(self)
  ENDS[self.random:pick({ "quit", "broken", "half_close", "reset", "close" })](self)
  for _, client in ipairs({ self.client, self.plain, self.sibling, self.plain_sibling }) do client:close() end
  self.over = true
end

-- ---------------------------------------------------------------- a life

function Twin:turn()
  if not self.steps then
    self.began = sys.now()
    begin(self)
  end
  local moved = write(self)
  moved = read(self) or moved
  moved = push(self) or moved
  if self.written < #self.bytes or self.at <= #self.steps or #self.pushes > 0 then return moved end
  expect_nothing_more(self)
  if self.random:chance(50) then look_around(self) end
  if self.random:chance(30) then interfere(self) end
  if self.calm and self.random:chance(30) then overhear(self) end
  self.began = sys.now()
  if self.phase < self.phases then
    begin(self)
  else
    finish(self)
  end
  return true
end

return Twin
