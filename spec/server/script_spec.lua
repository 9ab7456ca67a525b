-- Router scripts in the running server.

local support = require("support")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\")\n"

describe("a router script in the server", function()
  local hosts

  setup(function()
    hosts = { support.redis(), support.redis() }
  end)

  local function start(body, extra)
    local config = { router = "main.lua", hosts = hosts }
    for key, value in pairs(extra or {}) do config[key] = value end
    return support.nydus({ config = config, files = { ["main.lua"] = HEAD .. body } })
  end

  it("decides where keys live", function()
    local nydus = start("return function(req) return cluster.hosts[req:prefix('b') and 2 or 1] end")
    assert.same({ "OK", "OK", "1", "2" }, nydus:client():pipeline({
      { "SET", "a:1", "1" }, { "SET", "b:1", "2" }, { "GET", "a:1" }, { "GET", "b:1" } }))
    assert.equal("1", hosts[1]:call("GET", "a:1"))
    assert.equal("2", hosts[2]:call("GET", "b:1"))
    assert.same({ "1", "2" }, nydus:client():call("MGET", "a:1", "b:1"))
  end)

  it("answers by itself, in order with what hosts answer", function()
    local nydus = start([[return function(req)
      if req:prefix("x") then return nydus.reply({ req.command, req.argc, nydus.null, nydus.status("FINE"), { 1 } }) end
      if req:prefix("no") then return nydus.error("DENIED " .. req:key()) end
      return cluster.hosts[1]
    end]])
    assert.same({ "OK", { "get", 2, support.null, "FINE", { 1 } }, "v", { err = "DENIED no:1" } },
      nydus:client():pipeline({ { "SET", "k", "v" }, { "GET", "x" }, { "GET", "k" }, { "GET", "no:1" } }))
  end)

  it("sees who asks", function()
    local nydus = start([[return function(req)
      local client = req.client
      return nydus.reply({ client.id, client.addr, tostring(client.name), client.user, client.db, client.listen,
        req.db })
    end]])
    local client = nydus:client()
    local seen = client:call("GET", "k")
    assert.matches("^127%.0%.0%.1:%d+$", seen[2])
    assert.same({ "nil", "default", 0, "127.0.0.1:" .. nydus.port, 0 }, { seen[3], seen[4], seen[5], seen[6], seen[7] })
    assert.equal(client:call("CLIENT", "ID"), seen[1])
    client:call("CLIENT", "SETNAME", "me")
    assert.equal("me", client:call("GET", "k")[3])
    local out = client:pipeline({ { "GET", "k" }, { "SELECT", "3" }, { "GET", "k" }, { "SELECT", "0" },
      { "GET", "k" } })
    assert.same({ 0, 3, 0 }, { out[1][7], out[3][7], out[5][7] })
  end)

  it("keeps values for a client as long as that is connected", function()
    -- a decision that ends for want of memory is made again: nothing is counted where that may be
    local nydus = start([[return function(req)
      local own, id = req.client:slot("own"), req.client.id
      if req:prefix("other") then return nydus.reply(req.client:slot("other").n or "nothing") end
      if req:prefix("count") then own.n = (own.n or 0) + 1 end
      if req:prefix("big") then
        local fresh = own.owner == nil or own.owner == id
        own.owner, own.much = id, ("x"):rep(1000000) .. id
        return nydus.reply(fresh and "fresh" or "kept")
      end
      return nydus.reply(own.n or "nothing")
    end]], { router_memory = "16mb" })
    local first = nydus:client()
    assert.same({ 1, 2, 3 }, first:pipeline({ { "GET", "count" }, { "GET", "count" }, { "GET", "count" } }))
    for _ = 1, 60 do -- more than router_memory, if it were kept
      local client = nydus:client()
      assert.equal("fresh", client:call("GET", "big"))
      assert.equal("nothing", client:call("GET", "n"))
      client:close()
    end
    assert.same({ "nothing", 3 }, first:pipeline({ { "GET", "other" }, { "GET", "n" } }))
  end)

  it("answers an error to the request that caused it, the others do not notice", function()
    local nydus = start([[return function(req)
      if req:prefix("raise") then error("oops") end
      if req:prefix("loop") then while true do end end
      if req:prefix("eat") then local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end end
      if req:prefix("nil") then return nil end
      if req:prefix("type") then return 7 end
      return cluster.hosts[1]
    end]], { router_memory = "8mb" })
    local out = nydus:client():pipeline({ { "SET", "k", "v" }, { "GET", "raise" }, { "GET", "k" }, { "GET", "loop" },
      { "GET", "k" }, { "GET", "eat" }, { "GET", "k" }, { "GET", "nil" }, { "GET", "type" }, { "GET", "k" } })
    assert.same({ "OK", "v", "v", "v", "v" }, { out[1], out[3], out[5], out[7], out[10] })
    assert.matches("^ERR router: .*main%.lua:3: oops$", out[2].err)
    assert.matches("^ERR router: .*main%.lua:4: stopped: it ran for more than 15 ms$", out[4].err)
    assert.matches("^ERR router: .*main%.lua:", out[6].err)
    assert.equal("ERR no route for 'get'", out[8].err)
    assert.matches("^ERR router: .*main%.lua:2: returned a number, not a target$", out[9].err)
    assert.matches("main%.lua:3: oops", nydus:wait_log("(router: [^\n]*oops)"))
  end)

  it("does not keep other clients waiting, when one asks for a loop all the time", function()
    local nydus = start([[return function(req)
      if req:prefix("loop") then while true do end end
      return cluster.hosts[1]
    end]])
    local bad, good = nydus:client(), nydus:client()
    good:call("SET", "k", "v")
    for _ = 1, 20 do
      bad:command("GET", "loop")
      assert.equal("v", good:call("GET", "k"))
      assert.is_truthy(bad:read().err:find("stopped", 1, true))
    end
  end)

  it("is timed: nanoseconds and decisions, so that a slow one is seen", function()
    local function start_and_count(body)
      local nydus = start(body)
      local client, commands = nydus:client(), {}
      for i = 1, 50 do commands[i] = { "GET", "none" .. i } end
      client:pipeline(commands)
      client:call("PING") -- no script is asked
      local text = client:call("INFO", "stats")
      return tonumber(text:match("nydus_router_requests:(%d+)")), tonumber(text:match("nydus_router_ns:(%d+)"))
    end
    local requests, quick = start_and_count("return function() return cluster.hosts[1] end")
    assert.equal(50, requests)
    assert.is_true(quick > 0)
    local _, slow = start_and_count([[return function()
      for i = 1, 20000 do tostring(i) end
      return cluster.hosts[1]
    end]])
    assert.is_true(slow > 50 * 2000, "it was " .. slow) -- LuaJIT may have left the loop empty
    local _, none = start_and_count("return cluster.hosts[1]")
    assert.equal(0, none)
  end)

  it("makes garbage without a limit, and does not run out of memory", function()
    local nydus = start([[local recent, at = {}, 0
      return function(req)
        at = at % 16 + 1
        recent[at] = { ("x"):rep(20000) .. req:key() }
        return nydus.reply(#recent[at][1])
      end]], { router_memory = "4mb" })
    local client, commands, expected = nydus:client(), {}, {}
    for i = 1, 500 do commands[i], expected[i] = { "GET", ("k%03d"):format(i) }, 20004 end
    for _ = 1, 6 do assert.same(expected, client:pipeline(commands)) end
  end)

  it("that keeps very much is warned about, once", function()
    local nydus = start([[local kept = {}
      for i = 1, 34 do kept[i] = ("x"):rep(1000000) .. i end
      return function(req)
        kept[1] = req:key() .. kept[1]
        return cluster.hosts[1]
      end]])
    local text = "router scripts keep 3%d MB in Lua, which makes collecting garbage slow %(router_memory is 64 MB%)"
    nydus:wait_log(text)
    for i = 1, 50 do assert.equal(support.null, nydus:client():call("GET", "none" .. i)) end
    assert.equal(1, select(2, nydus:log():gsub(text, "")))
  end)

  it("broadcasts to a list", function()
    local nydus = start("return { cluster.hosts[2], cluster.hosts[1] }")
    assert.same({ 1, 1 }, nydus:client():call("INCR", "list:n"))
  end)

  it("that cannot be loaded is refused at the start", function()
    local code, log = support.nydus_fails({ config = { router = "main.lua", hosts = hosts },
      files = { ["main.lua"] = HEAD .. "return cluster:host('nobody')" } })
    assert.equal(1, code)
    assert.matches("main%.lua: cluster main has no host 'nobody'", log)
  end)
end)
