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
