-- Commands that the table lacks and a host's COMMAND knows.

local support = require("support")

local encode = support.encode
local PONG = "+PONG\r\n"

-- RESP of a Lua value; { status = "x" } is a status.
local function value(v)
  if type(v) == "number" then return (":%d\r\n"):format(v) end
  if type(v) == "string" then return ("$%d\r\n%s\r\n"):format(#v, v) end
  if v.status then return "+" .. v.status .. "\r\n" end
  local out = {}
  for i, item in ipairs(v) do out[i] = value(item) end
  return ("*%d\r\n%s"):format(#out, table.concat(out))
end

local function statuses(line)
  local list = {}
  for word in line:gmatch("%S+") do list[#list + 1] = { status = word } end
  return list
end

local function range(first, last, step, limit)
  return { "flags", statuses("RO access"), "begin_search", { "type", "index", "spec", { "index", first } },
    "find_keys", { "type", "range", "spec", { "lastkey", last, "keystep", step or 1, "limit", limit or 0 } } }
end

local function keyword(word, from, last, limit)
  local spec = range(1, last, 1, limit)
  spec[4] = { "type", "keyword", "spec", { "keyword", word, "startfrom", from } }
  return spec
end

local function keynum(at, index, first)
  local spec = range(at, 0)
  spec[6] = { "type", "keynum", "spec", { "keynumidx", index, "firstkey", first, "keystep", 1 } }
  return spec
end

local UNKNOWN = { "flags", statuses("RW incomplete"), "begin_search", { "type", "unknown", "spec", {} },
  "find_keys", { "type", "unknown", "spec", {} } }

-- A row as Redis 7 writes it. more: categories, tips, specs, subs, keys = { first, last, step }.
local function row(name, arity, flags, more)
  local keys = more.keys or { 0, 0, 0 }
  return { name, arity, statuses(flags), keys[1], keys[2], keys[3], statuses(more.categories or ""), more.tips or {},
    more.specs or {}, more.subs or {} }
end

-- What redis-server says, and rows in front of it.
local function real_and(rows)
  local client = support.redis():client()
  client:command("COMMAND")
  local _, bytes = client:read()
  local count, rest = bytes:match("^%*(%d+)\r\n(.*)$")
  local mine = {}
  for i, one in ipairs(rows) do mine[i] = value(one) end
  return ("*%d\r\n%s%s"):format(count + #rows, table.concat(mine), rest)
end

-- Keys that begin with a, b or c go to hosts[1], [2] or [3], as far as there are so many.
local BY_LETTER = [[
local cluster = ...
local nydus = require("nydus")
local letters = { default = cluster.hosts[1] }
for i, letter in ipairs({ "a", "b", "c" }) do
  if i <= #cluster.hosts then letters[letter] = cluster.hosts[i] end
end
]]

local function by_letter(hosts, body)
  return support.nydus({ config = { router = "by_letter.lua", hosts = hosts },
    files = { ["by_letter.lua"] = BY_LETTER .. (body or "return nydus.prefix(letters)") } })
end

local function fakes(count, commands)
  local hosts = {}
  for i = 1, count do hosts[i] = support.fake({ auto = { PING = PONG, COMMAND = commands } }) end
  return hosts
end

-- The client's next reply, while hosts answer by themselves; they get nothing else.
local function read_beside(client, hosts)
  support.wait_until(function()
    for _, host in ipairs(hosts) do host:expect_silence(0.005) end
    return client:pending() ~= ""
  end, 5, "a reply")
  return (client:read())
end

local unknown = "ERR unknown command 'MY.GET', with args beginning with: 'a1' "

describe("learned commands", function()
  local ROWS = {
    row("my.get", 2, "readonly module fast", { specs = { range(1, 0) }, keys = { 1, 1, 1 } }),
    row("my.count", -3, "readonly movablekeys", { specs = { keynum(1, 0, 1) } }),
    row("my.join", -3, "write movablekeys", { specs = { range(1, 0), keyword("FROM", 2, -1) } }),
    row("my.last", -3, "write movablekeys", { specs = { keyword("to", -2, 0) } }),
    row("my.half", -3, "readonly movablekeys", { specs = { keyword("streams", 1, -1, 2) } }),
    row("my.mget", -3, "readonly", { specs = { range(1, -2) }, keys = { 1, -2, 1 },
      tips = { "request_policy:multi_shard" } }),
    row("my.total", 1, "readonly", { tips = { "request_policy:all_shards", "response_policy:agg_sum" } }),
    row("my.list", 1, "readonly", {}),
    row("my.box", -2, "", { subs = { row("my.box|open", 3, "write", { specs = { range(2, 0) }, keys = { 2, 2, 1 } }) } }),
    { "my.old", 3, statuses("write denyoom"), 1, 1, 1 },
    { "my.olds", -2, statuses("write denyoom"), 1, -1, 1 },
    row("my.admin", 1, "admin noscript", {}),
    row("my.listen", -2, "pubsub", {}),
    row("my.login", -2, "no_auth fast", {}),
    row("my.state", 1, "fast", { categories = "@fast @connection" }),
    row("my.hidden", -2, "write movablekeys", { specs = { UNKNOWN } }),
    row("my.wait", -2, "write blocking", { specs = { range(1, 0) }, keys = { 1, 1, 1 } }),
    row("get", 5, "admin", {}),
    row("xinfo", -2, "", { subs = { row("xinfo|age", 3, "readonly", { specs = { range(2, 0) }, keys = { 2, 2, 1 } }) } }),
    row("config", -2, "", { subs = { row("config|wreck", 2, "fast", {}) } }),
    row("client", -2, "", { subs = { row("client|wreck", 2, "fast", {}) } }),
  }
  local all

  setup(function() all = real_and(ROWS) end)

  it("are asked for only when they are needed, once", function()
    local host = fakes(1)[1]
    local client = by_letter({ host }):client()
    client:command("GET", "a1")
    host:expect("GET a1")
    host:answer("$1\r\n1\r\n")
    assert.equal("1", client:read())
    host.auto.COMMAND = all
    for _ = 1, 2 do
      client:command("my.GET", "a1")
      host:expect("my.GET a1")
      host:answer("$1\r\n2\r\n")
      assert.equal("2", client:read())
      host.auto.COMMAND = nil -- would be an unexpected request
    end
  end)

  it("go to the host of their keys, wherever those stand", function()
    local hosts = fakes(3, all)
    local client = by_letter(hosts):client()
    for i, words in ipairs({
      { "MY.GET", "a1" }, { "my.get", "b1" }, { "my.get", "c1" }, -- one after the other, by an index
      { "my.count", "2", "a1", "a2", "b3" }, { "my.count", "1", "b1", "x" }, { "my.count", "3", "c1", "c2", "c3" },
      { "my.join", "a1", "x", "from", "a2", "a3" }, { "my.join", "b1", "b2" }, { "my.join", "c1", "FROM", "c2" },
      { "my.last", "x", "to", "a1" }, { "my.last", "to", "a1", "to", "b1" }, { "my.last", "by", "x", "TO", "c1" },
      { "my.half", "x", "streams", "a1", "b" }, { "my.half", "streams", "b1", "b2", "c", "c" },
      { "my.half", "streams", "c1", "a" },
      { "my.old", "a1", "b" }, { "my.old", "b1", "c" }, { "my.old", "c1", "a" },
      { "my.olds", "a1", "a2" }, { "my.olds", "b1" }, { "my.olds", "c1", "c2", "c3" },
      { "my.box", "open", "a1" }, { "MY.BOX", "OPEN", "b1" }, { "my.box", "Open", "c1" },
      { "xinfo", "age", "a1" }, { "XINFO", "AGE", "b1" }, { "xinfo", "age", "c1" },
    }) do
      local host = hosts[(i - 1) % 3 + 1]
      client:command(unpack(words))
      host:expect(words)
      host:answer(":" .. i .. "\r\n")
      assert.equal(i, client:read())
    end
    for _, words in ipairs({ { "my.count", "2", "a1", "b1" }, { "my.join", "a1", "from", "b1" }, { "my.olds", "a1", "b1" } }) do
      assert.matches("^CROSSSLOT", client:call(unpack(words)).err)
    end
  end)

  it("are taken apart and joined as their tips say", function()
    local hosts = fakes(3, all)
    local client = by_letter(hosts):client()
    client:command("my.mget", "b1", "a1", "b2", ".path")
    hosts[1]:expect("my.mget a1 .path")
    hosts[1]:answer("*1\r\n:1\r\n")
    hosts[2]:expect("my.mget b1 b2 .path")
    hosts[2]:answer("*2\r\n:21\r\n:22\r\n")
    assert.same({ 21, 1, 22 }, (client:read()))

    local nydus = support.nydus({ config = { router = "ketama", hosts = hosts } })
    client = nydus:client()
    client:command("MY.TOTAL")
    for i, host in ipairs(hosts) do
      host:expect("MY.TOTAL")
      host:answer((":%d\r\n"):format(10 ^ i))
    end
    assert.equal(1110, client:read())
    client:command("my.list") -- no tip: one host is as good as any
    hosts[1]:expect("my.list")
    hosts[1]:answer("*0\r\n")
    assert.same({}, (client:read()))
    hosts[2]:expect_silence(0.05)
  end)

  it("are checked for the number of their arguments", function()
    local host = fakes(1, all)[1]
    local client = by_letter({ host }):client()
    client:command("MY.get", "a1", "a2")
    assert.same({ err = "ERR wrong number of arguments for 'my.get' command" }, read_beside(client, { host }))
    client:command("my.box", "open")
    assert.same({ err = "ERR wrong number of arguments for 'my.box|open' command" }, (client:read()))
    assert.same({ err = "ERR unknown subcommand 'shut'. Try MY.BOX HELP." }, client:call("my.box", "shut", "x"))
  end)

  it("are refused with a sentence when they would wreck a shared link", function()
    local hosts = fakes(2, all)
    local client = by_letter(hosts):client()
    client:command("my.admin")
    assert.matches("^ERR this command is not allowed through Nydus: .* operator", read_beside(client, hosts).err)
    for _, line in ipairs({ "my.listen x", "my.login x", "my.state" }) do
      local words = {}
      for word in line:gmatch("%S+") do words[#words + 1] = word end
      assert.matches("^ERR this command is not allowed through Nydus: .* connection", client:call(unpack(words)).err, line)
    end
    assert.matches("^ERR this command cannot be routed over several hosts", client:call("my.hidden", "a1").err)
    assert.matches("^ERR 'config' is not allowed", client:call("config", "wreck").err)
    assert.matches("^ERR ", client:call("client", "wreck").err)
    for _, host in ipairs(hosts) do host:expect_silence(0.1) end
  end)

  it("run on a private link when they may block", function()
    local host = fakes(1, all)[1]
    local nydus = by_letter({ host })
    local client, other = nydus:client(), nydus:client()
    client:command("my.wait", "a1")
    local private = host:expect("my.wait a1")
    other:command("my.get", "a1")
    local shared = host:expect("my.get a1")
    assert.is_true(private ~= shared)
    host:answer("$5\r\nother\r\n", shared)
    assert.equal("other", other:read())
    host:answer("+DONE\r\n", private)
    assert.equal("DONE", client:read())
  end)

  it("never take the place of one that is known", function()
    local host = fakes(1, all)[1]
    local client = by_letter({ host }):client()
    client:command("my.get", "a1")
    host:expect("my.get a1")
    host:answer("+OK\r\n")
    client:read()
    client:command("get", "a1")
    host:expect("get a1")
    host:answer("$1\r\n1\r\n")
    assert.equal("1", client:read())
  end)

  it("are seen by router scripts under their names and classes", function()
    local hosts = fakes(3, all)
    local client = by_letter(hosts, [[
      local by_class = nydus.command{ ["my.get"] = cluster.hosts[3], xinfo = cluster.hosts[1], default = function(req)
        assert(req.write == not req.read)
        return req.command == "my.old" and req.write and cluster.hosts[2] or nydus.error("ERR it is " .. req.command)
      end }
      return by_class]]):client()
    hosts[1].auto.COMMAND = nil
    client:command("MY.GET", "a1")
    hosts[1]:expect("COMMAND")
    hosts[1]:answer(all)
    hosts[3]:expect("MY.GET a1")
    hosts[3]:answer("+3\r\n")
    assert.equal("3", client:read())
    client:command("my.old", "a1", "x")
    hosts[2]:expect("my.old a1 x")
    hosts[2]:answer("+2\r\n")
    assert.equal("2", client:read())
    client:command("xinfo", "age", "a1")
    hosts[1]:expect("xinfo age a1")
    hosts[1]:answer("+1\r\n")
    assert.equal("1", client:read())
    assert.same({ err = "ERR it is my.box" }, client:call("my.box", "open", "a1"))
  end)

  it("are told of by COMMAND", function()
    local host = fakes(1, all)[1]
    local client = by_letter({ host }):client()
    client:command("COMMAND", "INFO", "My.Get", "my.box|open")
    assert.same({ (support.decode(value(ROWS[1]))), (support.decode(value(ROWS[9][10][1]))) }, read_beside(client, { host }))
    local listed = {}
    for _, name in ipairs(client:call("COMMAND", "LIST")) do listed[name] = true end
    assert.is_true(listed["my.old"] and listed["my.box|open"] and listed["xinfo|age"] and listed["xinfo|stream"])
    assert.is_true(not listed["my.admin"] and not listed["my.listen"] and not listed["config|wreck"])
    assert.same({ "a", "b" }, client:call("COMMAND", "GETKEYS", "my.count", "2", "a", "b", "c"))
    assert.same({ { "a", { "RO", "access" } } }, client:call("COMMAND", "GETKEYSANDFLAGS", "my.box", "open", "a"))
  end)

  it("stay learned over a reload, and in transactions", function()
    local host = fakes(1, all)[1]
    local nydus = by_letter({ host })
    local client = nydus:client()
    client:command("my.get", "a1")
    host:expect("my.get a1")
    host:answer("+1\r\n")
    assert.equal("1", client:read())
    host.auto.COMMAND = nil
    nydus:hup()
    nydus:wait_log("generation 2")
    client:command("my.get", "a2")
    host:expect("my.get a2")
    host:answer("+2\r\n")
    assert.equal("2", client:read())
    assert.equal("OK", client:call("MULTI"))
    assert.equal("QUEUED", client:call("my.get", "a1"))
    client:command("EXEC")
    host:expect("MULTI")
    host:expect("my.get a1")
    host:expect("EXEC")
    host:answer("+OK\r\n+QUEUED\r\n*1\r\n:7\r\n")
    assert.same({ 7 }, (client:read()))
  end)

  it("are learned from whichever host knows them", function()
    local hosts = fakes(3)
    hosts[3].auto.COMMAND = all
    local client = by_letter(hosts):client()
    client:command("my.get", "c1")
    hosts[1]:expect("COMMAND")
    hosts[1]:answer("*0\r\n")
    hosts[2]:expect("COMMAND")
    hosts[2]:answer("-ERR no\r\n")
    hosts[3]:expect("my.get c1")
    hosts[3]:answer("+3\r\n")
    assert.equal("3", client:read())
  end)

  it("hold up their own client only, which may leave meanwhile", function()
    local host = fakes(1)[1]
    local nydus = by_letter({ host })
    local gone, client, other = nydus:client(), nydus:client(), nydus:client()
    gone:command("my.get", "a1")
    host:expect("COMMAND")
    local control = host.link
    gone:close()
    client:send(encode({ "my.get", "a2" }) .. encode({ "PING" }))
    other:command("GET", "a3")
    host:expect("GET a3")
    host:answer("$1\r\n3\r\n")
    assert.equal("3", other:read())
    host:answer(all, control)
    host:expect("my.get a1") -- nobody will read the reply, but it was sent before the leaving
    host:answer("$1\r\n1\r\n")
    host:expect("my.get a2")
    host:answer("$1\r\n2\r\n")
    assert.equal("2", client:read())
    assert.equal("PONG", client:read())
  end)
end)

describe("a host that does not teach", function()
  it("leaves unknown commands unknown in Redis's own words", function()
    local redis = support.redis()
    local peer, client = redis:client(), support.nydus({ config = { hosts = { redis } } }):client()
    for _, words in ipairs({
      { "nonsense" }, { "NonSense", "a", "b" }, { "my.get", ("x"):rep(200), "y" }, { ("n"):rep(300), "a" },
      { "x\r\ny", "a\r\nb" }, { "" }, { "\0", "\255" }, { "xgroup", "hm" }, { "object", "" }, { "config|get", "x" },
    }) do
      peer:send(encode(words))
      client:send(encode(words))
      local _, theirs = peer:read()
      local _, ours = client:read()
      assert.equal(theirs, ours)
    end
  end)

  local DEEP = ("*1\r\n"):rep(100) .. ":1\r\n"
  for name, reply in pairs({
    ["an error"] = "-ERR unknown command 'COMMAND'\r\n",
    ["no permission"] = "-NOPERM this user has no permissions to run the 'command' command\r\n",
    ["LOADING"] = "-LOADING Redis is loading the dataset in memory\r\n",
    ["a status"] = "+OK\r\n",
    ["null"] = "*-1\r\n",
    ["an empty list"] = "*0\r\n",
    ["garbage"] = "garbage\r\n",
    ["a list of anything"] = "*6\r\n:1\r\n$-1\r\n*0\r\n*2\r\n+a\r\n+b\r\n*-1\r\n+x\r\n",
    ["a huge promise"] = "*2000000000\r\n",
    ["huge promises in each other"] = ("*200000\r\n"):rep(5),
    ["a long bulk that does not come"] = "*1\r\n$500000000\r\nabc",
    ["a deep nesting"] = DEEP,
    ["wrong rows"] = "*3\r\n" .. value({ "my.get", 0, {}, 1, 1, 1 }) .. value({ "my.get", 2, {}, 1, 1, 99999999 })
      .. value({ "my get", 2, {}, 1, 1, 1 }),
    ["a row without end"] = "*2\r\n*10\r\n$6\r\nmy.get\r\n:2\r\n*100000\r\n" .. ("+fast\r\n"):rep(1000),
  }) do
    it("but answers with " .. name .. " harms nobody", function()
      local host = fakes(1, reply)[1]
      local nydus = by_letter({ host })
      local client = nydus:client()
      local worker = support.wait_until(function() return nydus:workers()[1] end, 5, "the worker")
      local before = support.rss(worker)
      client:command("MY.GET", "a1")
      assert.same({ err = unknown }, read_beside(client, { host }))
      client:command("GET", "a1")
      host:expect("GET a1")
      host:answer("$1\r\n1\r\n")
      assert.equal("1", client:read())
      if not support.sanitized then assert.is_true(support.rss(worker) - before < 20e6) end
    end)
  end

  it("but is silent keeps a client waiting for a moment only", function()
    local host = fakes(1)[1]
    local client = by_letter({ host }):client()
    client:command("MY.GET", "a1")
    host:expect("COMMAND")
    assert.same({ err = unknown }, (client:read()))
    assert.same({ err = unknown }, client:call("MY.GET", "a1")) -- it has just been asked
  end)

  it("because it is loading teaches later", function()
    local host = fakes(1, "-LOADING Redis is loading the dataset in memory\r\n")[1]
    local client = by_letter({ host }):client()
    client:command("MY.GET", "a1")
    assert.same({ err = unknown }, read_beside(client, { host }))
    host.auto.COMMAND = real_and({ row("my.get", 2, "readonly", { specs = { range(1, 0) }, keys = { 1, 1, 1 } }) })
    host.auto["MY.GET"] = "+learned\r\n"
    support.wait_until(function()
      client:command("MY.GET", "a1")
      return read_beside(client, { host }) == "learned"
    end, 10, "the host's lesson")
  end)

  it("because it wants a password is given it", function()
    local redis = support.redis({ args = { "--requirepass", "secret", "--rename-command", "COMMAND", "" } })
    local nydus = support.nydus({ config = { hosts = { redis:address({ password = "secret" }) } } })
    assert.same({ err = unknown }, nydus:client():call("MY.GET", "a1"))
    nydus:wait_log("does not say which commands it knows: ERR unknown command 'COMMAND'")
  end)
end)
