-- The hooks of router scripts around a reload: check before it, keep and stop.

local support = require("support")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\")\n"

describe("a router script that is replaced", function()
  local host

  setup(function()
    host = support.redis()
  end)

  local function config(extra)
    local out = { router = "main.lua", hosts = { host }, workers = 2 }
    for key, value in pairs(extra or {}) do out[key] = value end
    return out
  end

  local function start(body, extra)
    local nydus = support.nydus({ config = config(extra), files = { ["main.lua"] = HEAD .. body } })
    nydus:wait_log("master info nydus .- (ready: )")
    return nydus
  end

  local function reload(nydus, body)
    if body then nydus:write("main.lua", HEAD .. body) end
    nydus:forget_log()
    nydus:hup()
    nydus:wait_log("(reloaded in )", 15)
  end

  local function refused(nydus, body)
    nydus:write("main.lua", HEAD .. body)
    nydus:forget_log()
    nydus:hup()
    nydus:wait_log("(stays in force)", 15)
  end

  local function count(nydus, pattern)
    return select(2, nydus:log():gsub(pattern, ""))
  end

  local COUNTING = [[local kept = nydus.kept
    kept.n, kept.seen = kept.n or 0, kept.seen or {}
    local seen = kept.seen
    return { keep = { "n", "seen" }, route = function(req)
      kept.n = kept.n + 1
      seen[#seen + 1] = req:key()
      return nydus.reply(kept.n .. " " .. table.concat(seen, ","))
    end }
  ]]

  it("hands its values on in each worker, whatever happens while the next one is built", function()
    local nydus = start(COUNTING)
    local clients = { nydus:client(), nydus:client(), nydus:client() }
    local worker, said = {}, {}
    for i, client in ipairs(clients) do worker[i] = client:call("CLIENT", "ID") % 1024 end
    for round = 1, 30 do
      for i, client in ipairs(clients) do
        local seen = said[worker[i]] or { n = 0 }
        seen.n, seen[#seen + 1], said[worker[i]] = seen.n + 1, tostring(round), seen
        assert.equal(seen.n .. " " .. table.concat(seen, ","), client:call("GET", tostring(round)))
      end
      if round % 5 == 0 then reload(nydus) else nydus:hup() end
    end
  end)

  it("hands nothing on to one that is refused, and goes on", function()
    local nydus = start(COUNTING, { workers = 1 })
    local client = nydus:client()
    assert.equal("1 a", client:call("GET", "a"))
    refused(nydus, "nydus.kept.n = 100 nydus.kept.seen[1] = 'no' error('oops')")
    assert.equal("2 a,b", client:call("GET", "b"))
    reload(nydus, COUNTING)
    assert.equal("3 a,b,c", client:call("GET", "c"))
  end)

  it("says in the log what it cannot hand on", function()
    local nydus = start("nydus.kept.f = print return { keep = { 'f' }, route = cluster.hosts[1] }", { workers = 1 })
    reload(nydus)
    nydus:wait_log("(keep: 'f' of cluster main, main.lua is not handed on: it has a function)")
  end)

  it("is told once in every worker, with its values still its own", function()
    local body = [[nydus.kept.n = (nydus.kept.n or 0) + 1
      return { keep = { "n" }, route = function() return nydus.reply(nydus.kept.n) end,
        stop = function() nydus.kept.n = nydus.kept.n + 100 print("stop " .. nydus.kept.n) end }]]
    local nydus = start(body)
    refused(nydus, body .. " error(")
    assert.equal(0, count(nydus, "stop"))
    reload(nydus, body)
    assert.equal(2, count(nydus, "stop 101"))
    for _ = 1, 10 do assert.equal(101, nydus:client():call("GET", "k")) end -- at load it had 1
    reload(nydus, "return cluster.hosts[1]")
    assert.equal(2, count(nydus, "stop 201"))
    reload(nydus, "return cluster.hosts[1]")
    assert.equal(4, count(nydus, "stop"))
  end)

  it("is told when the workers leave", function()
    local nydus = start("return { route = cluster.hosts[1], stop = function() print('stop') end }")
    nydus:stop()
    assert.equal(2, count(nydus, "script: stop"))
  end)

  it("may fail at its end: that is in the log, and nothing else", function()
    for _, fails in ipairs({ "error('oops')", "while true do end", "repeat pcall(error) until false",
      "cluster.hosts[1]:down() nydus.after(1, print) error({})" }) do
      local nydus = start("return { route = nydus.reply('old'), stop = function() " .. fails .. " end }", { workers = 1 })
      reload(nydus, "return nydus.reply('new')")
      assert.equal("new", nydus:client():call("GET", "k"))
      nydus:wait_log("router: (.- %(called by nydus%.stop, .*main%.lua:2%))")
      nydus:stop()
    end
  end)
end)

describe("a router script that checks itself", function()
  local CHECKS = HEAD .. [[
    local ring = nydus.ketama(cluster)
    nydus.every(0.01, function() nydus.kept.n = (nydus.kept.n or 0) + 1 end)
    return { keep = { "n" }, route = function(req)
      if req.write then nydus.kept.writes = (nydus.kept.writes or 0) + 1 end
      if req.command == "get" then return nydus.reply(nydus.kept.writes or 0) end
      return ring
    end, check = function(test)
      print("check")
      for i = 1, 100 do assert(test:route("SET", "k" .. i, "v") ~= nil) end
      test:down(cluster.hosts[1])
      assert(test:route("SET", options.key or "k", "v") == cluster.hosts[options.host or 2], "the key has moved")
      nydus.after(0.01, function() print("never") end)
    end }]]

  local function config(options)
    local router = { "main.lua" }
    for key, value in pairs(options or {}) do router[key] = value end
    return { router = router, hosts = { support.redis(), support.redis() }, workers = 2 }
  end

  it("is asked once before each swap, where nobody is served", function()
    local given = config()
    local nydus = support.nydus({ config = given, files = { ["main.lua"] = CHECKS } })
    nydus:wait_log("master info nydus .- (ready: )")
    nydus:hup()
    nydus:wait_log("(reloaded in )", 15)
    local _, checks = nydus:log():gsub("script: check", "")
    assert.equal(2, checks)
    assert.is_nil(nydus:log():find("worker %d info script: check"))
    assert.is_nil(nydus:log():find("never", 1, true))
    for _ = 1, 5 do assert.equal(0, nydus:client():call("GET", "k")) end
    nydus:write("config.lua", { router = { "main.lua", host = 1 }, hosts = given.hosts, workers = 2 })
    nydus:hup()
    nydus:wait_log("reload refused: .*config%.lua: clusters%.main%.router: its check refuses it: " ..
      ".*main%.lua:%d+: (the key has moved)")
    nydus:wait_log("(stays in force)")
    assert.equal(0, nydus:client():call("GET", "k"))
  end)

  it("refuses the start, and --check says why", function()
    local given = config({ host = 1 })
    local code, log = support.nydus_fails({ config = given, files = { ["main.lua"] = CHECKS } })
    assert.equal(1, code)
    assert.matches("its check refuses it: .*main%.lua:%d+: the key has moved", log)
    local files = { ["main.lua"] = CHECKS,
      ["config.lua"] = 'return { listen = ":1", router = { "main.lua", host = 1 }, hosts = { "a:1", "b:1" } }' }
    local _, _, problems = support.nydus_run({ "--check", "config.lua", files = files })
    assert.matches("config%.lua: clusters%.main%.router: its check refuses it: .*main%.lua:%d+: the key has moved",
      problems)
    files["config.lua"] = 'return { listen = ":1", router = "main.lua", hosts = { "a:1", "b:1" } }'
    local fine, out = support.nydus_run({ "--check", "config.lua", files = files })
    assert.equal(0, fine)
    assert.matches("no problems", out)
  end)
end)
