-- Router scripts as operators write them: targets inside of targets, on real hosts, with
-- what one redis-server would answer as the model.

local support = require("support")

local null = support.null
local HEAD = [[
local cluster, options = ...
local nydus = require("nydus")
local h = cluster.hosts
local ring = nydus.ketama(cluster, { hash_tag = "{}" })
]]

local function start(body, hosts, files)
  files = files or {}
  files["main.lua"] = HEAD .. body
  return support.nydus({
    config = { router = "main.lua", hosts = hosts, workers = 1, defaults = { timeout = 2, connect_timeout = 0.5 } },
    files = files,
  })
end

describe("a router script", function()
  local a, b
  setup(function() a, b = support.redis(), support.redis() end)
  before_each(function()
    a:call("FLUSHALL")
    b:call("FLUSHALL")
  end)

  it("may have more functions in its tree than one command passes through", function()
    local client = start([[local t = { default = ring }
      for i = 1, 40 do t["p" .. i .. ":"] = function() return ring end end
      return nydus.prefix(t)]], { a, b }):client()
    local commands, mset, mget, ok, values = {}, { "MSET" }, { "MGET" }, {}, {}
    for i = 1, 40 do
      local key, value = "p" .. i .. ":k", tostring(i)
      commands[i], ok[i], values[i] = { "SET", key, value }, "OK", value
      mset[2 * i], mset[2 * i + 1], mget[i + 1] = key, value, key
    end
    assert.same(ok, client:pipeline(commands))
    assert.same(values, client:call(unpack(mget)))
    assert.equal("OK", client:call(unpack(mset)))
  end)

  it("may pile actions up, and what needs one host finds it below them", function()
    local client = start("local t = ring for _ = 1, 40 do t = nydus.failover{ t, h[1] } end return t", { a, b }):client()
    assert.same({ "OK", "QUEUED", { "OK" } }, client:pipeline({ { "MULTI" }, { "SET", "k", "v" }, { "EXEC" } }))
    assert.equal("OK", client:call("WATCH", "k"))
    assert.same({ "subscribe", "c", 1 }, client:call("SUBSCRIBE", "c"))
  end)

  it("may make an answer for each key", function()
    local client = start([[local kept = nydus.cache{ next = function(req) return nydus.reply(req:key()) end }
      local none = nydus.error("NOPERM never")
      return function(req)
        if req:prefix("c:") then return kept end
        if req:prefix("n:") then return none end
        if req:prefix("s:") then return nydus.error("NOPERM no " .. req:key()) end
        if req:prefix("a:") then return nydus.reply(req:key()) end
        return ring
      end]], { a, b }):client()
    assert.same({ "c:1", "c:1", "a:1" }, client:pipeline({ { "GET", "c:1" }, { "GET", "c:1" }, { "GET", "a:1" } }))
    assert.equal("a:1", client:call("MGET", "a:1", "a:1"))
    assert.matches("^CROSSSLOT", client:call("MGET", "a:1", "a:2").err)
    assert.matches("^CROSSSLOT", client:call("MGET", "a:1", "k").err)
    -- who may not touch one of the keys is told so, and nothing is done
    assert.same({ err = "NOPERM no s:1" }, client:call("MSET", "k", "v", "s:1", "v", "s:2", "v"))
    assert.same({ err = "NOPERM never" }, client:call("MSET", "k", "v", "n:1", "v"))
    assert.same({ err = "NOPERM no s:1" }, client:call("SUBSCRIBE", "s:1"))
    assert.matches("^ERR the router answers 'publish' itself", client:call("SUBSCRIBE", "a:1").err)
    assert.equal(null, client:call("GET", "k"))
    assert.matches('answer +"%-NOPERM no s:1', table.concat(client:call("NYDUS", "ROUTE", "MGET", "k", "s:1"), "\n"))
  end)

  it("hears what it has returned instead of a target", function()
    local client = start([[return function(req)
        if req:prefix("n") then return nydus.null end
        return nydus.status("OK")
      end]], { a }):client()
    assert.matches("returned nydus.null %(write nydus.reply%(nydus.null%)%), not a target$", client:call("GET", "n").err)
    assert.matches("returned a status %(write nydus.reply%(.*%)%), not a target$", client:call("GET", "s").err)
  end)

  -- What a cache keeps is dropped when the host tells of the write, which is later than the next command of
  -- a pipeline.
  for name, body in pairs({
    ["a table of commands"] = "return nydus.command{ get = nydus.cache{ next = ring }, default = ring }",
    ["a function"] = [[local cached = nydus.cache{ next = nydus.failover{ ring, ring } }
      return function(req) return req.read and cached or ring end]],
    ["a function in front of hooks"] = [[local cached = nydus.cache{ next = function() return ring end }
      return { route = function(req) return req.command == "get" and cached or ring end, on_reply = function() end }]],
  }) do
    it("may write past a cache, and reads what it has written: " .. name, function()
      local client = start(body, { a, b }):client()
      for i = 1, 30 do
        local old, new = i .. "a", i .. "b"
        assert.same({ "OK", old, "OK", new, new, { new } }, client:pipeline({ { "SET", "k", old }, { "GET", "k" },
          { "SET", "k", new }, { "GET", "k" }, { "GET", "k" }, { "MGET", "k" } }))
      end
    end)
  end
end)

-- What stands in a script, what is sent, and what comes: the replies in order, as text.
local TABLE = {
  { "a cache in a limit in a failover", [[return nydus.failover{
      nydus.limit{ rate = 1e6, burst = 1e6, next = nydus.cache{ next = ring } }, h[1] }]],
    "SET k v; GET k; GET k; APPEND k w; GET k; DEL k; GET k", "OK; v; v; 2; vw; 1; null" },
  { "a split of splits", [[local function half(t) return nydus.split{ { t, 1 }, { t, 1 }, by = "key" } end
      return nydus.split{ { half(ring), 1 }, { half(ring), 3 }, by = "client" }]],
    "MSET a 1 b 2 c 3; MGET a b c; DEL a b c; MULTI; SET a 1; EXEC", "OK; [1 2 3]; 3; OK; QUEUED; [OK]" },
  { "a quorum of rings", [[local two = nydus.ketama({ h[2], h[1] })
      return nydus.all({ ring, two, nydus.first({ h[1] }) }, { reply = "quorum" })]],
    "SET k v; GET k; MSET a 1 b 2; MGET a b; GET none", "OK; v; OK; [1 2]; null" },
  { "a list of everything", [[return { nydus.cache{ next = h[1] }, nydus.failover{ h[2], h[1] },
      function(req) return nydus.reply(req.command) end, nydus.reply{ 1, nydus.null }, nydus.error("ERR no") }]],
    "SET k v; GET k; DEL k", "[OK OK set [1 null] -ERR no]; [v v get [1 null] -ERR no]; [1 1 del [1 null] -ERR no]" },
  { "a shadow into another cluster", [[return nydus.shadow{ ring, nydus.cluster("other") }]],
    "SET k v; GET k; INCR n; INCR n; EVAL return(ARGV[1]) 1 k x", "OK; v; 1; 2; x" },
  { "a prefix in a command in a prefix", [[local deny = nydus.error("NOPERM no")
      return nydus.prefix{ ["u:"] = nydus.command{ read = nydus.prefix{ ["u:x"] = deny, default = ring }, write = ring,
        flushall = deny, default = deny }, default = ring }]],
    "SET u:x 1; GET u:x; GET u:y; SET k v; GET k; MGET k u:x; MGET k u:y", "OK; -NOPERM no; null; OK; v; -NOPERM no; [v null]" },
  { "functions in everything", [[local function f() return ring end
      return nydus.prefix{ c = nydus.cache{ next = f }, h = nydus.hedge{ f, ring, after = 1 }, l = nydus.limit{ rate = 1e6, next = f },
        r = nydus.rewrite{ add = "z:", next = f }, s = nydus.split{ { f, 1 } }, a = nydus.all({ f }, { reply = "first" }), default = f }]],
    "MSET c 1 h 2 l 3 r 4 s 5 a 6 k 7; MGET c h l r s a k; GET z:r; DEL c h l r s a k", "OK; [1 2 3 4 5 6 7]; 4; 7" },
  { "functions that return functions", [[local last = function() return ring end
      local middle = function() return last end
      return function() return middle end]],
    "MSET a 1 b 2 c 3 d 4; MGET a b c d; BLPOP none 0.01", "OK; [1 2 3 4]; null" },
  { "defaults of several functions", [[local none = function() end
      return nydus.prefix{ a = nydus.prefix{ aa = none, default = nydus.reply("inner") }, b = none,
        default = nydus.command{ GET = none, default = nydus.reply("outer") } }]],
    "GET aa; GET ab; GET b; GET c", "inner; inner; outer; outer" },
  { "no way at all", "return function(req) if req.write then return ring end end",
    "GET k; SET k v; MGET a b", "-ERR no route for 'get'; OK; -ERR no route for 'mget'" },
  { "a cluster that names another, which names this one", [[return function(req)
      return req:prefix("o:") and nydus.cluster("other") or ring end]],
    "SET o:1 a; SET k b; MGET o:1 k; GET o:back", "OK; OK; [a b]; null" },
  { "to = a target for each host", [=[return nydus.ketama(cluster, { hash_tag = "{}", to = {
        [h[1]] = nydus.failover{ h[1], h[2] }, [h[2]] = nydus.rewrite{ add = "x:", next = h[2] } } })]=],
    "MSET a 1 b 2 c 3 d 4; MGET a b c d; DEL a b c d", "OK; [1 2 3 4]; 4" },
  { "rewrites in each other", [[return nydus.rewrite{ add = "a:", next = nydus.rewrite{ strip = "a:b", add = "b",
        next = nydus.rewrite{ add = "c:", next = ring } } }]],
    "SET b1 v; GET b1; MGET b1 x; KEYS *; RENAME {b}1 {b}2", "OK; v; [v null]; [b1]; -ERR no such key" },
  { "hooks of all kinds", [[return { route = function(req) return req:prefix("bad") and error("why", 0) or ring end,
        retry = function() return h[1] end, fallback = ring, keep = { "n" }, stop = function() end,
        check = function(test) assert(test:route("GET", "k")) end,
        on_reply = function(_, reply) if reply.is_null then return "nothing" elseif reply:int() then return reply:int() + 1 end end }]],
    "SET k v; GET k; GET none; INCR n; GET bad; MGET k none", "OK; v; nothing; 2; -ERR router: why; [v null]" },
  { "on_reply returns a part of it", "return { route = ring, on_reply = function(_, reply) return reply[2] end }",
    "MSET a 1 b 2; MGET a b; GET a", "OK; 2; 1" },
  { "shared state that decides", [[local calls, seen = nydus.counter("calls"), nydus.shared("seen")
      return function(req)
        calls:add()
        if req.write then seen:set(req:key(), req.size) end
        if req:prefix("size") then return nydus.reply(seen:get(req:arg(1):sub(6)) or nydus.null) end
        return ring
      end]], "GET size:k; SET k v; GET size:k; GET k", "null; OK; 27; v" },
  { "values of a connection", [[return function(req)
        local own = req.client:slot("n")
        own.n = (own.n or 0) + 1
        return own.n % 2 == 0 and nydus.reply(own.n) or ring
      end]], "SET k v; GET k; GET k; GET k", "OK; 2; v; 4" },
  { "all that a request says", [[return function(req)
        return nydus.reply{ req.command, req.read, req.write, req.blocking, req.pubsub, req.argc, req.nkeys, req.db, req.attempt,
          req:key(), req:arg(2) or "none", req:prefix("a"), req:upto(":") or "none", req:tag(), req.client.user } end]],
    "GET a:{b}; BLPOP k 1; SELECT 2; SET k v", "[get 1 null null null 2 1 0 0 a:{b} none 1 a b default]; " ..
      "[blpop null 1 1 null 3 1 0 0 k 1 null none k default]; OK; [set null 1 null null 3 1 2 0 k v null none k default]" },
  { "a flow in a cache in a table", [[return nydus.command{ default = ring, get = nydus.cache{ next =
        nydus.flow(function(req) return req:send(ring) end) } }]],
    "SET k 1; GET k; SET k 2; GET k; GET k; DEL k; GET k", "OK; 1; OK; 2; 2; 1; null" },
  { "a router class below a rewrite", [[local class = nydus.router_class{ route = function() return ring end }
      return nydus.rewrite{ add = "p:", next = class }]],
    "SET k v; GET k; SELECT 1; GET k", "OK; v; OK; null" },
}

local function words(text)
  local list = {}
  for word in text:gmatch("%S+") do list[#list + 1] = word end
  return list
end

local function shown(value)
  if type(value) ~= "table" or value == null then return tostring(value) end
  if value.err then return "-" .. value.err end
  local list = {}
  for i, item in ipairs(value) do list[i] = shown(item) end
  return "[" .. table.concat(list, " ") .. "]"
end

describe("router scripts that stack targets", function()
  local a, b, other
  setup(function() a, b, other = support.redis(), support.redis(), support.redis() end)
  before_each(function()
    for _, host in ipairs({ a, b, other }) do host:call("FLUSHALL") end
  end)

  for _, row in ipairs(TABLE) do
    local name, body, commands, replies = unpack(row)
    it(name, function()
      local nydus = support.nydus({
        config = ([[return { workers = 1, clusters = {
          main = { listen = "127.0.0.1:$port", router = "main.lua",
            hosts = { { port = %d, identifier = "a" }, { port = %d, identifier = "b" } } },
          other = { router = "other.lua", hosts = { { port = %d } } } } }]]):format(a.port, b.port, other.port),
        files = {
          ["main.lua"] = HEAD .. body,
          ["other.lua"] = [[local cluster = ... local nydus = require("nydus")
            return function(req) return req:prefix("o:back") and nydus.cluster("main").hosts[1] or cluster.hosts[1] end]],
        },
      })
      local client, list, got = nydus:client(), {}, {}
      for command in (commands .. "; "):gmatch("(.-); ") do list[#list + 1] = words(command) end
      -- one by one and, after a flush, in one pipeline: it is the same
      for i, command in ipairs(list) do got[i] = shown(client:call(unpack(command))) end
      assert.equal(replies, table.concat(got, "; "))
      for _, host in ipairs({ a, b, other }) do host:call("FLUSHALL") end
      local piped = nydus:client():pipeline(list)
      for i, reply in ipairs(piped) do got[i] = shown(reply) end
      if name ~= "shared state that decides" then assert.equal(replies, table.concat(got, "; ")) end
    end)
  end
end)
