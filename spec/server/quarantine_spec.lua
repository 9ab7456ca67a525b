-- A router script that keeps failing is taken out of service until the next reload.

local support = require("support")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\")\n"
local BAD = [[
return {
  route = function(req)
    if req:prefix("loop") then while true do end end
    if req:prefix("raise") then error("oops") end
    return cluster.hosts[1]
  end,
  fallback = %s,
}]]

describe("a router in quarantine", function()
  local host, spare

  setup(function()
    host, spare = support.redis(), support.redis()
    host:call("SET", "k", "router")
    spare:call("SET", "k", "fallback")
  end)

  local function start(body)
    return support.nydus({ config = { router = "main.lua", hosts = { host, spare } },
      files = { ["main.lua"] = HEAD .. body } })
  end

  local function times(count, ...)
    local commands = {}
    for i = 1, count do commands[i] = { ... } end
    return commands
  end

  local function quarantined(client)
    return client:call("INFO", "hosts"):match("router_quarantined:(%d)")
  end

  it("answers with an error that says why, when there is no fallback, until the next reload", function()
    local nydus = start(BAD:format("nil"))
    local client = nydus:client()
    assert.equal("router", client:call("GET", "k"))
    assert.equal("0", quarantined(client))
    for _, reply in ipairs(client:pipeline(times(12, "GET", "loop"))) do assert.is_truthy(reply.err) end
    local text = client:call("GET", "k").err
    assert.matches("^ERR router: .*main%.lua is quarantined since %d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d until the next " ..
      "reload: .*main%.lua:4: stopped: it ran for more than 15 ms$", text)
    assert.same({ { err = text }, { err = text } }, { client:call("SET", "k", "v"), client:call("MGET", "a", "b") })
    assert.equal("1", quarantined(client))
    local info = client:call("INFO")
    assert.matches("router_quarantined_reason:.*main%.lua:4: stopped", info)
    assert.matches("nydus_routers_quarantined:1\r\n", info)
    local line = "clusters%.main%.router: .-main%.lua is quarantined until the next reload, clients get an error: .-stopped"
    nydus:wait_log(line)
    assert.equal(1, select(2, nydus:log():gsub(line, "")))
    assert.equal("OK", client:call("NYDUS", "RELOAD"))
    assert.same({ "router", "0" }, { client:call("GET", "k"), quarantined(client) })
  end)

  it("has its fallback answer, for the commands right behind as well", function()
    local nydus = start(BAD:format("cluster.hosts[2]"))
    local client = nydus:client()
    local commands = times(10, "GET", "loop")
    commands[11], commands[12] = { "GET", "k" }, { "MGET", "k", "k" }
    local replies = client:pipeline(commands)
    assert.is_truthy(replies[3].err:find("stopped", 1, true))
    assert.same({ support.null, "fallback", { "fallback", "fallback" } }, { replies[4], replies[11], replies[12] })
    assert.equal("fallback", nydus:client():call("GET", "k"))
    nydus:wait_log("its fallback answers: .*stopped")
  end)

  it("passes commands on that were read before it failed", function()
    local nydus = start(BAD:format("{ [1] = cluster.hosts[2] }"))
    local replies = nydus:client():pipeline(times(600, "GET", "loop")) -- more than one batch
    assert.is_truthy(replies[3].err:find("stopped", 1, true))
    for i = 4, 600 do assert.same({ support.null }, replies[i]) end
  end)

  it("may have a function as its fallback, which may fail as well", function()
    local nydus = start(BAD:format([[nydus.prefix{ default = function(req)
        if req:prefix("loop:twice") then while true do end end
        return cluster.hosts[2]
      end }]]))
    local client = nydus:client()
    client:pipeline(times(5, "GET", "loop"))
    assert.equal("fallback", client:call("GET", "k"))
    client:pipeline(times(12, "GET", "loop:twice"))
    for _, reply in ipairs(client:pipeline(times(12, "GET", "loop:twice"))) do assert.is_truthy(reply.err) end
    assert.matches("^ERR router: .*main%.lua is quarantined since ", client:call("GET", "k").err)
    nydus:wait_log("the fallback of .-main%.lua is quarantined")
    assert.matches("nydus_routers_quarantined:2\r\n", client:call("INFO"))
  end)

  it("is one that fails nearly always, not one that refuses some", function()
    local nydus = start(BAD:format("cluster.hosts[2]"))
    local client = nydus:client()
    client:pipeline(times(300, "GET", "k"))
    client:pipeline(times(1100, "GET", "raise"))
    assert.same({ "router", "0" }, { client:call("GET", "k"), quarantined(client) })
    client:pipeline(times(3000, "GET", "raise"))
    assert.same({ "fallback", "1" }, { client:call("GET", "k"), quarantined(client) })
    nydus:wait_log("its fallback answers: .*oops")
  end)

  it("is none that loops for some and works for others", function()
    local nydus = start(BAD:format("cluster.hosts[2]"))
    local client = nydus:client()
    client:pipeline(times(20, "GET", "k"))
    for _ = 1, 10 do client:pipeline({ { "GET", "loop" }, { "GET", "k" } }) end
    assert.same({ "router", "0" }, { client:call("GET", "k"), quarantined(client) })
  end)

  it("leaves the other clusters alone", function()
    local ports = { support.free_port(), support.free_port() }
    local nydus = support.nydus({ wait = ports[2], files = { ["main.lua"] = HEAD .. BAD:format("nil") },
      config = { workers = 1, clusters = {
        bad = { listen = "127.0.0.1:" .. ports[1], router = "main.lua", hosts = { host, spare } },
        good = { listen = "127.0.0.1:" .. ports[2], router = "main.lua", hosts = { host, spare } },
      } } })
    local bad, good = nydus:client({ port = ports[1] }), nydus:client({ port = ports[2] })
    bad:pipeline(times(5, "GET", "loop"))
    assert.same({ "1", "0" }, { quarantined(bad), quarantined(good) })
    assert.equal("router", good:call("GET", "k"))
  end)

  it("is shown with its fallback by --check, which refuses one that is none", function()
    local function check(fallback)
      return support.nydus_run({ "--check", "config.lua", files = { ["main.lua"] = HEAD .. BAD:format(fallback) },
        config = { router = "main.lua", hosts = { host, spare } } })
    end
    local code, out = check("nydus.prefix{ a = cluster.hosts[1], default = cluster.hosts[2] }")
    assert.equal(0, code)
    assert.matches("router  main%.lua\n    Lua  function [^\n]*main%.lua:3\n  fallback\n    C    prefix of the key\n", out)
    for fallback, expected in pairs({
      ["7"] = "main.lua: fallback: a target is expected (a host, a cluster, a router, a list, a reply or a function), " ..
        "got a number",
      ["cluster"] = "clusters.main.router: its fallback leads back to itself",
      ["{ cluster.hosts[1], cluster }"] = "clusters.main.router: its fallback leads back to itself",
    }) do
      local refused, _, err = check(fallback)
      assert.equal(1, refused)
      assert.is_truthy(err:find(expected, 1, true), err)
    end
  end)
end)
