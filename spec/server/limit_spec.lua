-- nydus.limit: so many commands a second, for all workers together.

local support = require("support")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\") local h = cluster.hosts\n"

local redis
setup(function() redis = support.redis() end)

-- A rate so low that no token comes back while a spec runs.
local function start(body, extra)
  local config = { router = "main.lua", hosts = { redis }, workers = 1, defaults = { timeout = 2 } }
  for key, value in pairs(extra or {}) do config[key] = value end
  return support.nydus({ config = config, files = { ["main.lua"] = HEAD .. body } })
end

local function limited(options)
  return start(("return nydus.limit{ rate = 0.001, %s, next = h[1] }"):format(options))
end

local function is_over(reply)
  return type(reply) == "table" and reply.err ~= nil and reply.err:find("^ERR rate limit of") ~= nil
end

-- How many of `count` commands pass, sent as one pipeline.
local function passed(client, count, ...)
  local list, sum = {}, 0
  for i = 1, count do list[i] = { ... } end
  for _, reply in ipairs(client:pipeline(list)) do sum = sum + (is_over(reply) and 0 or 1) end
  return sum
end

describe("nydus.limit", function()
  it("lets so many through, and tells the others when to come again", function()
    local client = start("return nydus.limit{ rate = 10, burst = 5, next = h[1] }"):client()
    local replies = client:pipeline({ { "GET", "a" }, { "MGET", "a", "b", "c" }, { "GET", "a" }, { "GET", "a" }, { "GET", "a" },
      { "GET", "a" } })
    assert.equal(support.null, replies[5])
    local seconds = replies[6].err:match("^ERR rate limit of 10 a second is exceeded: try again in ([%d.]+) s$")
    assert.is_true(tonumber(seconds) > 0 and tonumber(seconds) <= 0.1, seconds)
    support.wait_until(function() return client:call("GET", "a") == support.null end)
    assert.is_true(tonumber(client:call("INFO", "stats"):match("limited:(%d+)")) >= 1)
  end)

  it("refills while time passes", function()
    local client = start("return nydus.limit{ rate = 200, burst = 2, next = h[1] }"):client()
    local done = 0
    support.wait_until(function()
      if client:call("GET", "a") == support.null then done = done + 1 end
      return done == 20
    end)
  end)

  it("has a bucket for each client, user, key, tag or command, if it is told so", function()
    local nydus = limited("burst = 2, key = 'client'")
    for _ = 1, 3 do assert.equal(2, passed(nydus:client(), 5, "GET", "a")) end
    local client = limited("burst = 2, key = 'key'"):client()
    for _, key in ipairs({ "a", "b", "bin\0\r\nary" }) do assert.equal(2, passed(client, 5, "GET", key)) end
    assert.equal(2, passed(client, 5, "DBSIZE"))
    client = limited("burst = 2, key = 'tag'"):client()
    assert.equal(2, passed(client, 5, "GET", "x{t}1"))
    assert.equal(0, passed(client, 5, "GET", "x{t}2"))
    assert.equal(2, passed(client, 5, "GET", "x{}2"))
    client = limited("burst = 2, key = 'command'"):client()
    assert.equal(2, passed(client, 5, "GET", "a"))
    assert.equal(2, passed(client, 5, "INCR", "n"))
    nydus = start("return nydus.limit{ rate = 0.001, burst = 2, key = 'user', next = h[1] }",
      { users = { default = { password = "d" }, eve = { password = "e" } } })
    for _, login in ipairs({ { "AUTH", "d" }, { "AUTH", "eve", "e" } }) do
      local one, two = nydus:client(), nydus:client()
      assert.equal("OK", one:call(unpack(login)))
      assert.equal("OK", two:call(unpack(login)))
      assert.equal(2, passed(one, 2, "GET", "a") + passed(two, 2, "GET", "a"))
    end
  end)

  it("knows an address without its port", function()
    local nydus = limited("burst = 3, key = 'addr'")
    assert.equal(2, passed(nydus:client(), 2, "GET", "a"))
    assert.equal(1, passed(nydus:client(), 2, "GET", "a"))
  end)

  it("sends to another target what is over", function()
    local client = start("return nydus.limit{ rate = 0.001, burst = 2, next = h[1], over = nydus.reply('later') }"):client()
    assert.same({ support.null, support.null, "later", "later" },
      client:pipeline({ { "GET", "a" }, { "GET", "a" }, { "GET", "a" }, { "BLPOP", "l", "1" } }))
  end)

  it("counts what is queued, watched and blocks", function()
    redis:call("DEL", "l", "n")
    redis:call("RPUSH", "l", "1", "2", "3")
    local client = limited("burst = 5"):client()
    assert.equal("OK", client:call("WATCH", "n"))
    assert.same({ "OK", "QUEUED", "QUEUED", { 1, 2 } }, client:pipeline({ { "MULTI" }, { "INCR", "n" }, { "INCR", "n" }, { "EXEC" } }))
    assert.same({ "l", "1" }, client:call("BLPOP", "l", "1"))
    assert.same({ "l", "2" }, client:call("BLPOP", "l", "1"))
    assert.is_true(is_over(client:call("BLPOP", "l", "1")))
    local replies = client:pipeline({ { "MULTI" }, { "INCR", "n" }, { "EXEC" } })
    assert.is_true(is_over(replies[2]))
    assert.matches("^EXECABORT", replies[3].err)
    assert.is_true(is_over(client:call("WATCH", "n")))
    assert.equal("2", redis:call("GET", "n"))
    assert.equal("PONG", client:call("PING"))
  end)

  it("is shared by all workers, and goes on over a reload", function()
    local nydus = start("return nydus.limit{ rate = 0.001, burst = 20, next = h[1] }", { workers = 2 })
    local sum = 0
    for _ = 1, 12 do sum = sum + passed(nydus:client(), 3, "GET", "a") end
    assert.equal(20, sum)
    assert.equal("OK", nydus:client():call("NYDUS", "RELOAD"))
    assert.equal(0, passed(nydus:client(), 3, "GET", "a"))
  end)

  it("shares its tokens with others of its name, and has its own without one", function()
    local client = start([[
      local function limit(name) return nydus.limit{ rate = 0.001, burst = 3, name = name, next = h[1] } end
      return nydus.prefix{ a = limit("same"), b = limit("same"), default = limit() }]]):client()
    assert.equal(2, passed(client, 2, "GET", "a"))
    assert.equal(1, passed(client, 2, "GET", "b"))
    assert.equal(3, passed(client, 5, "GET", "c"))
  end)

  it("is told by --check, and refused with a sentence when it is wrong", function()
    for options, expected in pairs({
      ["next = h[1]"] = "rate: nil is no number of commands a second",
      ["rate = 0/0, next = h[1]"] = "rate: %-?nan is no number",
      ["rate = 1e9, next = h[1]"] = "rate: 1000000000 is no number",
      ["rate = 1, burst = 0, next = h[1]"] = "burst: 0 is no number of commands",
      ["rate = 1e-6, burst = 1e9, next = h[1]"] = "nydus.limit: rate is up to",
      ["rate = 1"] = "next: a target is expected .*, got nil",
      ["rate = 1, next = h[1], over = 3"] = "over: a target is expected .*, got a number",
      ["rate = 1, next = h[1], key = 'ip'"] = "key: 'ip' is none of client, user, addr, key, tag, command",
      ["rate = 1, next = h[1], name = ''"] = "name: '' is no name",
      ["rate = 1, h[1]"] = "it takes named fields",
      ["rate = 1, next = h[1], cost = 2"] = "unknown option 'cost'",
    }) do
      local _, text = support.nydus_fails({ config = { router = "main.lua", hosts = { redis } },
        files = { ["main.lua"] = HEAD .. "return nydus.limit{ " .. options .. " }" } })
      assert.matches(expected, text, nil, nil, options)
    end
    local text = limited("burst = 7, key = 'user', over = nydus.error('ERR no')"):client():call("NYDUS", "ROUTE", "GET", "a")
    text = type(text) == "table" and table.concat(text, "\n") or text
    assert.matches("limit, 0.001 a second per user, burst 7", text)
  end)
end)
