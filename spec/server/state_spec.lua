-- What router scripts share with all workers: alive over reloads and over workers that are killed.

local support = require("support")
local sys = require("support.sys")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\")\n"

local function start(body, extra)
  local config = { router = "main.lua", hosts = { support.redis() }, workers = 4 }
  for key, value in pairs(extra or {}) do config[key] = value end
  local nydus = support.nydus({ config = config, files = { ["main.lua"] = HEAD .. body } })
  nydus:wait_log("master info (nydus .- ready: )")
  nydus.config = config
  return nydus
end

local function kill(pid)
  sys.kill(pid, "KILL")
end

local function wait_workers(nydus, count)
  support.wait_until(function()
    local ok, text = pcall(function() return nydus:client():call("INFO", "nydus") end)
    return ok and #nydus:workers() == count and text:match("nydus_workers:")
  end, 10, "workers to be there again")
end

-- Clients of more than one worker.
local function clients(nydus, count)
  local list = {}
  for i = 1, count do list[i] = nydus:client() end
  return list
end

local function info(nydus, name)
  return nydus:client():call("INFO", "router"):match("\n" .. name .. ":([^\r]*)\r\n")
end

-- Every client sends the command `count` times; returns how many were answered before its worker died.
local function hammer(list, count, words, meanwhile)
  local bytes = require("support.resp").encode(words):rep(count)
  for _, client in ipairs(list) do pcall(client.send, client, bytes) end
  if meanwhile then meanwhile() end
  local answered = 0
  for _, client in ipairs(list) do
    for _ = 1, count do
      if not pcall(client.read, client) then break end
      answered = answered + 1
    end
  end
  return answered
end

describe("counters of a router script", function()
  local BODY = [[local hits, live, sizes = nydus.counter("hits"), nydus.gauge("live"), nydus.histogram("sizes")
    live:set(1)
    return function(req)
      if req:prefix("value") then return nydus.reply(hits:value()) end
      hits:add()
      sizes:observe(0.5)
      return nydus.reply("x")
    end]]

  it("are those of all workers, and stand in INFO", function()
    local nydus = start(BODY)
    local list = clients(nydus, 20)
    for i, client in ipairs(list) do
      for _ = 1, i do assert.equal("x", client:call("GET", "k")) end
    end
    for _, client in ipairs(list) do assert.equal(210, client:call("GET", "value")) end
    assert.equal("210", info(nydus, "hits"))
    assert.equal("4", info(nydus, "live"))
    assert.matches("^count=210,sum=105,p50=0%.%d+,p99=0%.%d+,p99%.9=0%.%d+$", info(nydus, "sizes"))
    assert.is_nil(nydus:client():call("INFO"):match("\nhits:"))
    assert.matches("\nhits:210\r\n", nydus:client():call("INFO", "everything"))
  end)

  it("stay over reloads and over workers that are killed", function()
    local nydus = start(BODY)
    local answered, sent = 0, 0
    for round = 1, 4 do
      local list = clients(nydus, 8)
      answered = answered + hammer(list, 200, { "GET", "k" }, function()
        if round % 2 == 0 then kill(nydus:workers()[1]) end
      end)
      sent = sent + 8 * 200
      for _, client in ipairs(list) do client:close() end
      wait_workers(nydus, 4)
      for _ = 1, 4 do assert.equal("OK", nydus:client():call("NYDUS", "RELOAD")) end
    end
    local hits = nydus:client():call("GET", "value")
    assert.is_true(hits >= answered and hits <= sent, ("%d <= %d <= %d"):format(answered, hits, sent))
    assert.is_true(answered > sent / 2)
    assert.equal("4", info(nydus, "live"))
  end)

  it("forget the gauges of workers that have left for good, not what was counted", function()
    local nydus = start(BODY)
    local list = clients(nydus, 20)
    for _, client in ipairs(list) do client:call("GET", "k") end
    for _, client in ipairs(list) do client:close() end
    nydus.config.workers = 2
    nydus:write("config.lua", nydus.config)
    assert.equal("OK", nydus:client():call("NYDUS", "RELOAD"))
    support.wait_until(function() return info(nydus, "live") == "2" end, 10, "two gauges")
    assert.equal("20", info(nydus, "hits"))
  end)

  it("keep their buckets, also when a reload asks for others", function()
    local body = [[local h = nydus.histogram("h", { buckets = { BUCKETS } })
      return function(req) h:observe(3) return nydus.reply(h:quantile(1)) end]]
    local nydus = start((body:gsub("BUCKETS", "1, 5")))
    assert.equal(5, nydus:client():call("GET", "k"))
    nydus:write("main.lua", HEAD .. body:gsub("BUCKETS", "2, 4"))
    assert.equal("OK", nydus:client():call("NYDUS", "RELOAD"))
    nydus:wait_log("warn (histogram h: it keeps the buckets that it has)")
    assert.equal(5, nydus:client():call("GET", "k"))
    assert.matches("^count=2,sum=6,", info(nydus, "h"))
  end)

  it("of another kind under the same name refuse the reload, and say so", function()
    local nydus = start(BODY)
    nydus:write("main.lua", HEAD .. "nydus.gauge('hits') return cluster.hosts[1]")
    assert.matches("main%.lua:2: nydus%.gauge: hits: there is a counter of that name",
      nydus:client():call("NYDUS", "RELOAD").err)
    assert.equal("x", nydus:client():call("GET", "k"))
  end)
end)

describe("a limiter of a router script", function()
  it("is one for all workers, over reloads and over workers that are killed", function()
    local nydus = start([[local l = nydus.limiter{ rate = 0.001, burst = 50 }
      return function(req) return nydus.reply(l:allow(req:key()) and 1 or 0) end]])
    local function allowed(key, count)
      local sum, list = 0, clients(nydus, 10)
      for i = 1, count do sum = sum + list[i % 10 + 1]:call("GET", key) end
      return sum
    end
    assert.equal(50, allowed("k", 80))
    assert.equal(30, allowed("other", 30))
    for _ = 1, 20 do assert.equal("OK", nydus:client():call("NYDUS", "RELOAD")) end
    for _, pid in ipairs(nydus:workers()) do kill(pid) end
    wait_workers(nydus, 4)
    nydus:write("main.lua", "-- a line more\n" .. support.read_file(nydus.dir .. "/main.lua"))
    assert.equal("OK", nydus:client():call("NYDUS", "RELOAD"))
    assert.equal(0, allowed("k", 20))
    assert.equal(20, allowed("other", 40))
  end)
end)

describe("a shared dictionary of router scripts", function()
  local BODY = [[local d = nydus.shared("d", { size = SIZE })
    local large = ("x"):rep(100000)
    return function(req)
      local key = req:key()
      if req.command == "set" then d:set(key, req:arg(2)) end
      if req.command == "incr" then return nydus.reply(d:incr(key, 1, 0)) end
      if key == "large" then d:set("large", large) d:set("large", "x") end
      return nydus.reply(d:get(key) or nydus.null)
    end]]

  it("is one for all workers, and is there after reloads and after workers that are killed", function()
    local nydus = start((BODY:gsub("SIZE", "'256kb'")))
    local list = clients(nydus, 12)
    for i, client in ipairs(list) do assert.equal("v" .. i, client:call("SET", "k" .. i, "v" .. i)) end
    for i = 1, 120 do assert.equal(i, list[i % 12 + 1]:call("INCR", "n")) end
    for _ = 1, 20 do assert.equal("OK", nydus:client():call("NYDUS", "RELOAD")) end
    for _, pid in ipairs(nydus:workers()) do kill(pid) end
    wait_workers(nydus, 4)
    for i = 1, 12 do assert.equal("v" .. i, nydus:client():call("GET", "k" .. i)) end
    assert.equal(121, nydus:client():call("INCR", "n"))
  end)

  it("keeps its size when a reload asks for another, and says so", function()
    local nydus = start((BODY:gsub("SIZE", "'256kb'")), { workers = 1 })
    nydus:client():call("SET", "k", "v")
    nydus:write("main.lua", HEAD .. BODY:gsub("SIZE", "'1mb'"))
    assert.equal("OK", nydus:client():call("NYDUS", "RELOAD"))
    nydus:wait_log("shared dictionary d: it keeps its size of (262144) bytes, not 1048576, until")
    assert.equal("v", nydus:client():call("GET", "k"))
  end)

  it("lets nobody wait for a worker that is killed inside", function()
    local nydus = start((BODY:gsub("SIZE", "'1mb'")))
    for _ = 1, 3 do
      local list = clients(nydus, 8)
      hammer(list, 300, { "GET", "large" }, function()
        for _, pid in ipairs({ unpack(nydus:workers(), 1, 2) }) do kill(pid) end
      end)
      for _, client in ipairs(list) do client:close() end
      wait_workers(nydus, 4)
      for _, client in ipairs(clients(nydus, 8)) do
        assert.equal("v", client:call("SET", "k", "v"))
        assert.equal("v", client:call("GET", "k"))
        client:close()
      end
    end
    assert.is_nil(nydus:log():match("hangs"))
  end)
end)

describe("the log of a router script", function()
  local function wait_line(nydus, pattern)
    support.wait_until(function() return nydus:log():find(pattern) end, 5, pattern)
  end

  local function lines(nydus, pattern)
    local count = 0
    for _ in nydus:log():gmatch(pattern) do count = count + 1 end
    return count
  end

  it("says where a line comes from, on one line and not too long", function()
    local nydus = start([[nydus.log.info("loaded %d hosts", 1)
      return function(req)
        local key = req:key()
        if key == "debug" then nydus.log.debug("never") end
        if key == "plain" then nydus.log.warn("50%s of " .. key) end
        if key == "values" then nydus.log.error("%s %s %5.1f %q", nil, {} ~= nil, 1.5, "x") end
        if key == "lines" then nydus.log.info("one\ntwo\0three\27[31m") end
        if key == "long" then nydus.log.info(("x"):rep(100000)) end
        if key == "nothing" then nydus.log.info() nydus.log.info(nil) nydus.log.info({} and true) end
        if key == "caught" then pcall(nydus.log.info, "in pcall") end
        if key == "wrong" then nydus.log.info("%d", "x") end
        if key == "level" then nydus.log.warns("x") end
        if key == "change" then nydus.log.info = 1 end
        return nydus.reply("x")
      end]], { workers = 1 })
    local client = nydus:client()
    wait_line(nydus, "worker 1 info [^\n]*/main%.lua:2: loaded 1 hosts\n")
    for _, key in ipairs({ "debug", "plain", "values", "lines", "long", "nothing", "caught" }) do
      assert.equal("x", client:call("GET", key))
    end
    wait_line(nydus, "worker 1 warn [^\n]*/main%.lua:6: 50%%s of plain\n")
    wait_line(nydus, "worker 1 error [^\n]*/main%.lua:7: nil true   1%.5 \"x\"\n")
    wait_line(nydus, "worker 1 info [^\n]*/main%.lua:8: one two three %[31m\n")
    wait_line(nydus, "worker 1 info [^\n]*/main%.lua:9: " .. ("x"):rep(1000) .. "%.%.%.\n")
    wait_line(nydus, "worker 1 info [^\n]*/main%.lua:10: true\n")
    wait_line(nydus, "worker 1 info [^\n]*/main%.lua:11: in pcall\n")
    assert.equal(0, lines(nydus, "never"))
    assert.matches("^ERR router: .*/main%.lua:12: nydus%.log%.info: bad argument #2 %(number expected, got string%)",
      client:call("GET", "wrong").err)
    assert.matches("/main%.lua:13: nydus%.log%.warns: no such level; did you mean 'warn'%?$",
      client:call("GET", "level").err)
    assert.matches("/main%.lua:14: nydus%.log cannot be changed$", client:call("GET", "change").err)
  end)

  it("is limited at each place, and tells how much was left out", function()
    local nydus = start([[return function(req)
      if req:prefix("other") then nydus.log.info("other")
      else nydus.log.info("flood") end
      return nydus.reply("x")
    end]], { workers = 1 })
    local client, sent = nydus:client(), 0
    local function send(count)
      for _ = 1, count do assert.equal("x", client:call("GET", "k")) end
      sent = sent + count
    end
    send(100)
    assert.equal("x", client:call("GET", "other"))
    wait_line(nydus, "main%.lua:3: other\n")
    support.wait_until(function()
      send(1)
      return nydus:log():match("main%.lua:4: %d+ more like this were left out\n")
    end, 5, "the next second")
    local written, left_out = lines(nydus, "main%.lua:4: flood\n"), 0
    for count in nydus:log():gmatch("main%.lua:4: (%d+) more") do left_out = left_out + tonumber(count) end
    assert.equal(sent, written + left_out)
    assert.is_true(written <= 20)
  end)
end)

describe("random numbers of a router script", function()
  it("are others in every worker", function()
    local nydus = start([[local seed = nydus.random(1e15) return function(req) return nydus.reply(seed) end]])
    local seen, count = {}, 0
    for _, client in ipairs(clients(nydus, 40)) do
      local seed = client:call("GET", "k")
      count = count + (seen[seed] and 0 or 1)
      seen[seed] = true
    end
    assert.is_true(count >= 2 and count <= 4)
  end)
end)
