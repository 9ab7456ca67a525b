-- The hooks of a router script that take part in a request after it was routed: retry and on_reply.

local support = require("support")

local null = support.null
local HEAD = "local cluster = ... local nydus = require(\"nydus\") local h = cluster.hosts\n"

local function start(body, hosts, extra)
  local config = { router = "main.lua", hosts = hosts, workers = 1, defaults = { timeout = 2, connect_timeout = 0.5 } }
  for key, value in pairs(extra or {}) do config[key] = value end
  return support.nydus({ config = config, files = { ["main.lua"] = HEAD .. body } })
end

local function gone(name)
  return { host = "127.0.0.1", port = support.free_port(), identifier = name or "gone" }
end

describe("retry", function()
  local redis
  setup(function() redis = support.redis() end)
  before_each(function() redis:call("FLUSHALL") end)

  it("names another host for a command that did not reach its own", function()
    local client = start([[return { route = h[1], retry = function(req, failed, reason)
      if failed ~= h[1] or req.attempt ~= 1 or not reason:find("refused") then return nydus.error("ERR bad") end
      return h[2]
    end }]], { gone(), redis }):client()
    assert.equal("OK", client:call("SET", "k", "v"))
    assert.equal("v", client:call("GET", "k"))
    assert.same({ "v", null }, client:call("MGET", "k", "l"))
    assert.same({ "OK", "v", 1 }, client:pipeline({ { "SET", "k", "v" }, { "GET", "k" }, { "DEL", "k" } }))
  end)

  it("is asked for each part of a command that is taken apart", function()
    local other = support.redis()
    local client = start([[local away = nydus.prefix{ ["a:"] = h[1], ["b:"] = h[2], default = h[3] }
      return { route = away, retry = function(req, failed)
        return failed.identifier == "gone" and req:prefix("a:") and h[3] or nil
      end }]], { gone(), redis, other }):client()
    assert.equal("OK", client:call("MSET", "a:1", "1", "b:1", "2", "a:2", "3"))
    assert.same({ "1", "2", "3" }, client:call("MGET", "a:1", "b:1", "a:2"))
    assert.equal(2, other:call("DBSIZE"))
  end)

  it("gives up by nil, after max_connection_retries, and says what it raises", function()
    local hosts = { gone(), redis }
    local client = start("return { route = h[1], retry = function() end }", hosts):client()
    assert.matches("^ERR host gone is down: Connection refused$", client:call("GET", "k").err)
    client = start([[local asked = nydus.counter("asked")
      return { route = h[1], retry = function(req) asked:add(1) return req.attempt == 4 and h[2] or h[1] end }]],
      hosts, { max_connection_retries = 3 }):client()
    assert.matches("^ERR host gone is down: ", client:call("GET", "k").err)
    client = start("return { route = h[1], retry = function(req) return req.attempt == 250 and h[2] or h[1] end }",
      hosts, { max_connection_retries = 1000 }):client()
    assert.equal("OK", client:call("SET", "k", "v"))
    client = start("return { route = h[1], retry = function(req) error('no idea') end }", hosts):client()
    assert.matches("^ERR router: .*main.lua:2: no idea$", client:call("GET", "k").err)
    client = start("return { route = h[1], retry = function(req) return 7 end }", hosts):client()
    assert.matches("^ERR router: .*main.lua:2: returned a number, not a target$", client:call("GET", "k").err)
    client = start("return { route = h[1], retry = function(req) while true do end end }", hosts):client()
    assert.matches("^ERR router: .*stopped: it ran for more than 15 ms$", client:call("GET", "k").err)
    assert.equal("PONG", client:call("PING"))
  end)

  it("may return any target, asks functions again and knows who asks", function()
    local client = start([[return {
        route = nydus.prefix{ ["r:"] = h[1], ["f:"] = h[1], ["l:"] = h[1], ["c:"] = function(req)
          return req.attempt == 0 and h[1] or h[2] end },
        retry = function(req, failed)
          if req:prefix("r:") then return nydus.reply(req.client.id > 0 and req:arg(0) or "") end
          if req:prefix("f:") then return function(again) return again.attempt == 1 and h[2] end end
          if req:prefix("l:") then return { h[2], failed, h[2] } end
          return cluster
        end }]], { gone(), redis }):client()
    assert.equal("GET", client:call("GET", "r:1"))
    assert.equal("OK", client:call("SET", "f:1", "x"))
    assert.equal("OK", client:call("SET", "c:1", "x"))
    local list = client:call("SET", "l:1", "x")
    assert.same({ "OK", "OK" }, { list[1], list[3] })
    assert.matches("^ERR host gone is down: ", list[2].err)
  end)

  it("is not asked for what may have run and writes, and not for a host among several", function()
    local function lose(...)
      local fake = support.fake({ auto = { PING = "+PONG\r\n" } })
      local client = start([[return { route = nydus.command{ DBSIZE = { h[1], h[2] }, default = h[1] },
        retry = function() return h[2] end }]], { fake, redis }):client()
      client:command(...)
      fake:expect({ ... })
      fake:close_link()
      return (client:read())
    end
    assert.matches("^ERR host .* is down: .*; the command may have run$", lose("SET", "k", "v").err)
    assert.equal(null, lose("GET", "k"))
    local list = lose("DBSIZE")
    assert.equal(0, list[2])
    assert.matches("is down", list[1].err)
  end)

  it("is asked for what other targets have passed on", function()
    for route, key in pairs({
      ["nydus.limit{ rate = 1000, next = h[1] }"] = "k",
      ["nydus.cache{ ttl = 1, next = h[1] }"] = "k",
      ["nydus.split{ { h[1], 1 } }"] = "k", ["nydus.ketama({ h[1] })"] = "k", ["nydus.shadow{ h[1], h[3] }"] = "k",
    }) do
      redis:call("FLUSHALL")
      local client = start("return { route = " .. route .. ", retry = function(req) return h[2] end }",
        { gone(), redis, support.redis() }):client()
      assert.equal("OK", client:call("SET", "k", "v"), route)
      assert.equal("v", client:call("GET", "k"), route)
      assert.equal("v", redis:call("GET", key), route)
    end
  end)

  it("is asked when a router has no host left", function()
    local client = start([[return { route = nydus.ketama({ h[1], h[2] }), retry = function(req, failed, reason)
      return reason:find("^ERR HostListExhausted: ") and failed == nil and req:prefix("k") and h[3] or nil
    end }]], { gone(), gone("too"), redis }):client()
    support.wait_until(function() return client:call("GET", "x").err:find("HostListExhausted") end)
    assert.equal("OK", client:call("SET", "k", "v"))
    assert.matches("^ERR HostListExhausted", client:call("MGET", "k", "k2").err) -- other keys may have their hosts
    assert.equal("ERR HostListExhausted: no host of cluster main is up (2 of 2 are down)", client:call("GET", "x").err)
    assert.matches("down", client:call("BLPOP", "k", "1").err)
  end)

  it("is not asked for a command that was rewritten, so that it is not rewritten twice", function()
    local client = start([[return { retry = function(req) return req.attempt > 1 and h[2] or cluster end,
      route = nydus.rewrite{ add = 'v:', next = nydus.prefix{ ['v:a'] = h[1],
        ['v:b'] = nydus.router_class{ retryable = true, route = function(self, attr, args, kwargs)
          return { kwargs.retry_for and 2 or 1 } end } } } }]], { gone(), redis }):client()
    assert.matches("is down", client:call("SET", "a", "1").err)
    assert.equal("OK", client:call("SET", "b", "1"))
    assert.same({ "v:b" }, redis:call("KEYS", "*"))
  end)

  it("leaves private links alone: transactions and commands that block", function()
    local client = start("return { route = h[1], retry = function() return h[2] end }", { gone(), redis }):client()
    assert.matches("is down", client:call("BLPOP", "k", "1").err)
    client:call("MULTI")
    client:call("SET", "k", "v")
    assert.is_truthy(client:call("EXEC").err)
    assert.equal("OK", client:call("SET", "k", "v"))
    local up = start("return { route = h[1], retry = function() return h[2] end }", { redis, gone() }):client()
    assert.equal("OK", up:call("MULTI"))
    assert.equal("QUEUED", up:call("GET", "k"))
    assert.same({ "v" }, up:call("EXEC"))
    up:call("RPUSH", "list", "x")
    assert.same({ "list", "x" }, up:call("BLPOP", "list", "1"))
  end)
end)

describe("on_reply", function()
  local redis
  setup(function() redis = support.redis() end)
  before_each(function() redis:call("FLUSHALL") end)

  local function client_of(body, extra)
    return start("return { route = h[1], on_reply = function(req, reply) " .. body .. " end }", { redis }, extra):client()
  end

  it("looks at replies, and at what they hold", function()
    local client = client_of([[
      if req.command == "rpush" or req.command == "set" or req.command == "hset" then return nil end
      local words = { reply.type, reply.ok, reply.is_error, reply.is_null, reply:str() or "-", reply:int() or "-", #reply }
      for i = 1, #reply + 1 do words[#words + 1] = reply[i] and reply[i]:str() or "-" end
      for i = 1, #words do words[i] = tostring(words[i]) end
      return table.concat(words, " ")]])
    client:call("SET", "s", "12")
    client:call("SET", "t", "12")
    client:call("RPUSH", "l", "a", "7")
    client:call("HSET", "h", "f", "1")
    for command, expected in pairs({
      ["GET t"] = "string true false false 12 12 0 -",
      ["GET none"] = "null true false true - - 0 -",
      ["INCR s"] = "integer true false false 13 13 0 -",
      ["LPUSH s x"] = "error false true false WRONGTYPE Operation against a key holding the wrong kind of value - 0 -",
      ["LRANGE l 0 -1"] = "array true false false - - 2 a 7 -",
      ["HGETALL h"] = "array true false false - - 2 f 1 -",
      ["TYPE s"] = "status true false false string - 0 -",
    }) do
      local words = {}
      for word in command:gmatch("%S+") do words[#words + 1] = word end
      assert.equal(expected, client:call(unpack(words)), command)
    end
  end)

  it("replaces them by anything that may be a reply, and leaves them with nil or themselves", function()
    local client = client_of([[
      local way = req:arg(1)
      if way == "nil" then return nil end
      if way == "same" then return reply end
      if way == "item" then return reply[2] end
      if way == "text" then return "text" end
      if way == "number" then return #reply end
      if way == "null" then return nydus.null end
      if way == "status" then return nydus.status("FINE") end
      if way == "list" then return { 1, "b", { nydus.null } } end
      if way == "reply" then return nydus.reply(reply[1]:str()) end
      if way == "error" then return nydus.error("NO way") end]])
    for _, key in ipairs({ "nil", "same", "item", "text", "number", "null", "status", "list", "reply", "error" }) do
      redis:call("RPUSH", key, "one", "two")
    end
    for key, expected in pairs({
      ["nil"] = { "one", "two" }, same = { "one", "two" }, item = "two", text = "text", number = 2, null = null,
      status = "FINE", list = { 1, "b", { null } }, reply = "one", error = { err = "NO way" },
    }) do
      assert.same(expected, client:call("LRANGE", key, 0, -1), key)
    end
    assert.same({ "one", "two" }, (client:pipeline({ { "LRANGE", "nil", 0, -1 } }))[1])
  end)

  it("speaks the protocol of the client", function()
    local client = client_of([[
      if req:arg(1) == "h" then return { reply.type, reply[1]:str(), reply[2]:str(), #reply } end
      if req:arg(1) == "f" then return reply[1] end
      return nydus.null]])
    redis:call("HSET", "h", "f", "1")
    redis:call("HSET", "f", "f", "1")
    client:call("HELLO", "3")
    local function raw(...)
      client:command(...)
      return (select(2, client:read()))
    end
    assert.equal("*4\r\n$3\r\nmap\r\n$1\r\nf\r\n$1\r\n1\r\n:2\r\n", raw("HGETALL", "h"))
    assert.equal("$1\r\nf\r\n", raw("HGETALL", "f"))
    assert.equal("_\r\n", raw("GET", "other"))
  end)

  it("sees the replies of whole commands, and failures", function()
    local other = support.redis()
    local client = start([[return { route = nydus.prefix{ ["a:"] = h[1], ["g:"] = h[3], default = h[2] },
      on_reply = function(req, reply)
        if req.command == "mget" then return #reply end
        if req.command == "get" then return { reply:str(), req:key() } end
      end }]], { redis, other, gone() }):client()
    assert.equal("OK", client:call("MSET", "a:1", "1", "b:1", "2"))
    assert.equal(3, client:call("MGET", "a:1", "b:1", "c"))
    assert.same({ "ERR host gone is down: Connection refused", "g:1" }, client:call("GET", "g:1"))
    local replies = client:pipeline({ { "GET", "a:1" }, { "PING" }, { "GET", "b:1" }, { "MULTI" }, { "GET", "a:1" }, { "EXEC" } })
    assert.same({ { "1", "a:1" }, "PONG", { "2", "b:1" }, "OK", "QUEUED", { "1" } }, replies)
  end)

  it("fails its own request when it goes wrong, and no other", function()
    local client = client_of([[
      local way = req:arg(1)
      if way == "raise" then error("oh") end
      if way == "loop" then while true do end end
      if way == "memory" then local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1e6) .. i end end
      if way == "host" then return h[1] end
      if way == "fn" then return function() end end
      if way == "field" then return reply.tpye end
      if way == "write" then reply.ok = false end
      if way == "compare" then return reply == "x" end
      if way == "caught" then pcall(function() while true do end end) return "fine" end
      if way == "stash" then nydus_kept = reply end]])
    local function err(key) return client:call("GET", key).err or "" end
    for _ = 1, 20 do assert.equal(null, client:call("GET", "k")) end -- a few stops are no reason for quarantine
    assert.matches("^ERR router: .*main.lua:3: oh$", err("raise"))
    assert.matches("stopped: it ran for more than 15 ms", err("loop"))
    local said = err("memory")
    assert.is_truthy(said:find("not enough memory") or said:find("stopped: it ran"), said)
    assert.matches("returned no reply: got host redis", err("host"))
    assert.matches("returned no reply: a string, number, list, nydus.null or nydus.status is expected, got function", err("fn"))
    assert.matches("a reply has no field 'tpye'; did you mean 'type'%?", err("field"))
    assert.matches("a reply cannot be changed %(field 'ok'%); return another one", err("write"))
    assert.matches("a reply is no text or number: compare reply:str%(%) or reply:int%(%)", err("compare"))
    assert.matches("stopped", err("caught"))
    assert.matches("undeclared variable 'nydus_kept'", err("stash"))
    assert.same(null, client:call("GET", "k"))
  end)

  it("ends what it was given: a reply kept too long says that it is over", function()
    local client = start([[local kept, item
      return { route = h[1], on_reply = function(req, reply)
        if req:arg(1) == "first" then kept, item = reply, reply[1] return end
        local ok, said = pcall(function() return kept:str() end)
        local _, too = pcall(function() return item.type end)
        return { tostring(kept), said:match("reply is over"), too:match("reply is over"), tostring(reply) }
      end }]], { redis }):client()
    redis:call("RPUSH", "first", "x")
    assert.same({ "x" }, client:call("LRANGE", "first", 0, -1))
    assert.same({ "reply (over)", "reply is over", "reply is over", "reply array" }, client:call("LRANGE", "k", 0, -1))
  end)

  it("goes through a long array in one go, also one inside another", function()
    local client = client_of([[if req.command ~= "eval" then return end
      local sum = 0
      for i = 1, #reply do
        local row = reply[i]
        for j = 1, #row do sum = sum + row[j]:int() end
      end
      return sum]])
    local script = "local t = {} for i = 1, 30 do t[i] = {} for j = 1, 20 do t[i][j] = j end end return t"
    assert.equal(30 * 20 * 21 / 2, client:call("EVAL", script, 0))
  end)

  it("answers nobody when the client has left, and survives it", function()
    local fake = support.fake({ auto = { PING = "+PONG\r\n" } })
    local nydus = start("return { route = h[1], on_reply = function(req) return req.client and 1 or 2 end }", { fake })
    local client = nydus:client()
    client:command("GET", "k")
    fake:expect("GET k")
    client:close()
    support.wait_until(function() return nydus:client():call("INFO", "clients"):match("connected_clients:1") end)
    fake:answer("$1\r\nx\r\n")
    local other = nydus:client()
    other:command("GET", "k")
    fake:expect("GET k")
    fake:answer("$1\r\nx\r\n")
    assert.equal(1, (other:read()))
  end)

  it("stands beside retry, and in the tree of --check", function()
    local nydus = start([[return { route = h[1], retry = function() return h[2] end,
      on_reply = function(req, reply) return reply.ok and "ok" or "no" end }]], { gone(), redis })
    assert.equal("ok", nydus:client():call("GET", "k"))
    local text = table.concat(nydus:client():call("NYDUS", "ROUTE", "GET", "k"), "\n")
    assert.matches("Lua      on_reply by .*main.lua:3\n.*Lua +retry by .*main.lua:2\n.*host gone", text)
  end)
end)

describe("hooks", function()
  it("are functions", function()
    for body, expected in pairs({
      ["return { route = h[1], retry = h[1] }"] = "retry: a function is expected, got host ",
      ["return { route = h[1], retry = tostring }"] = "retry: a function of the Lua library",
      ["return { route = h[1], on_reply = 'x' }"] = "on_reply: a function is expected, got a string",
    }) do
      local problem = require("support.script").refused({ router = HEAD .. body })
      assert.equal("main.lua: " .. expected, problem:sub(1, #expected + 10), body)
    end
  end)

  it("and flows go together: one that is asked while Lua runs is asked a moment later", function()
    local redis = support.redis()
    local client = start([[
      local class = nydus.router_class{ retryable = true,
        route = function(self, attr, args, kwargs) return { kwargs.retry_for and 2 or 1 } end }
      local flow = nydus.flow(function(req)
        local reply = req:send(class)
        nydus.cast(class, "SET", "flow", "1")
        return reply
      end)
      return {
        route = nydus.prefix{ ["f:"] = flow,
          ["d:"] = function() nydus.cast(class, "SET", "decision", "1") return class end },
        on_reply = function(req, reply) return req.command == "get" and { reply:str(), req:key() } or nil end,
      }]], { gone(), redis }):client()
    for _, key in ipairs({ "f:1", "d:1" }) do
      for _ = 1, 20 do
        assert.same({ "OK", { "v", key } }, client:pipeline({ { "SET", key, "v" }, { "GET", key } }))
      end
    end
    support.wait_until(function() return redis:call("GET", "flow") == "1" and redis:call("GET", "decision") == "1" end)
  end)
end)
