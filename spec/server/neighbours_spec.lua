-- Commands about clients reach those of all workers.

local support = require("support")

-- Clients of every worker: `count` of each, by worker number (that is in the id).
local function spread(nydus, workers, count)
  local by_worker, left = {}, workers * count
  support.wait_until(function()
    local client = nydus:client()
    local worker = (client:call("CLIENT", "ID") - 1) % 1024 + 1
    by_worker[worker] = by_worker[worker] or {}
    if #by_worker[worker] < count then
      table.insert(by_worker[worker], client)
      left = left - 1
    else
      client:close()
    end
    return left == 0
  end, 10, "clients of all workers")
  return by_worker
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    local fields = {}
    for key, value in line:gmatch("([%w-]+)=(%S*)") do fields[key] = value end
    lines[#lines + 1] = fields
  end
  return lines
end

local function pairs_of(list)
  local map = {}
  for i = 1, #list, 2 do map[list[i]] = list[i + 1] end
  return map
end

local function names_of(text)
  local names = {}
  for _, fields in ipairs(lines_of(text)) do
    if fields.name ~= "" then names[#names + 1] = fields.name end
  end
  table.sort(names)
  return names
end

for _, workers in ipairs({ 1, 2, 4 }) do
  describe(("with %d worker(s)"):format(workers), function()
    local redis, nydus, clients

    before_each(function()
      redis = support.redis()
      nydus = support.nydus({ config = { hosts = { redis }, workers = workers } })
      clients = spread(nydus, workers, 2)
      for worker, pair in pairs(clients) do
        for i, client in ipairs(pair) do
          client.name = ("client-%d-%d"):format(worker, i)
          client.id = client:call("CLIENT", "ID")
          assert.equal("OK", client:call("CLIENT", "SETNAME", client.name))
        end
      end
    end)

    local function each(fn)
      for worker, pair in pairs(clients) do
        for i, client in ipairs(pair) do fn(client, worker, i) end
      end
    end

    it("CLIENT LIST shows all clients", function()
      local expected = {}
      each(function(client) expected[#expected + 1] = client.name end)
      table.sort(expected)
      each(function(client) assert.same(expected, names_of(client:call("CLIENT", "LIST"))) end)
      assert.same(expected, names_of(clients[1][1]:call("CLIENT", "LIST", "TYPE", "NORMAL")))
      assert.equal("", clients[1][1]:call("CLIENT", "LIST", "TYPE", "replica"))
      assert.equal("", clients[1][1]:call("CLIENT", "LIST", "TYPE", "pubsub"))
    end)

    it("CLIENT LIST ID keeps the order that was asked for", function()
      local a, b = clients[workers][2], clients[1][1]
      for _, order in ipairs({ { a.id, b.id }, { b.id, a.id }, { b.id, a.id, b.id }, { 0, a.id, 999999999 } }) do
        local got, wanted = {}, {}
        for _, fields in ipairs(lines_of(a:call("CLIENT", "LIST", "ID", unpack(order)))) do
          got[#got + 1] = tonumber(fields.id)
        end
        for _, id in ipairs(order) do
          if id == a.id or id == b.id then wanted[#wanted + 1] = id end
        end
        assert.same(wanted, got)
      end
    end)

    it("CLIENT UNBLOCK ends a command anywhere", function()
      local last, first = clients[workers][1], clients[1][2]
      last:command("BLPOP", "k", "0")
      support.wait_until(function() return first:call("CLIENT", "UNBLOCK", last.id) == 1 end, 5, "a blocked client")
      assert.equal(support.null, last:read())
      last:command("BLPOP", "k", "0")
      support.wait_until(function() return first:call("CLIENT", "UNBLOCK", last.id, "ERROR") == 1 end, 5, "a blocked client")
      assert.equal("UNBLOCKED client unblocked via CLIENT UNBLOCK", last:read().err)
      assert.equal(0, first:call("CLIENT", "UNBLOCK", last.id))
    end)

    it("CLIENT KILL closes clients by id, address and rule", function()
      local last, first = clients[workers][1], clients[1][2]
      assert.equal(1, first:call("CLIENT", "KILL", "ID", last.id))
      last:expect_end()
      assert.equal(0, first:call("CLIENT", "KILL", "ID", last.id))
      local other = clients[workers][2]
      if other ~= first then
        local address = lines_of(other:call("CLIENT", "INFO"))[1].addr
        assert.equal("OK", first:call("CLIENT", "KILL", address))
        other:expect_end()
        assert.equal("ERR No such client", first:call("CLIENT", "KILL", address).err)
      end
      local left = #lines_of(first:call("CLIENT", "LIST"))
      assert.equal(left - 1, first:call("CLIENT", "KILL", "TYPE", "normal"))
      assert.equal(1, #lines_of(first:call("CLIENT", "LIST")))
    end)

    it("CLIENT KILL of the asker answers, and then closes", function()
      local count = #lines_of(clients[1][1]:call("CLIENT", "LIST"))
      local client = clients[1][2]
      client:send(support.encode({ "SET", "k", "1" }) .. support.encode({ "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no" })
        .. support.encode({ "SET", "k", "2" }))
      assert.equal("OK", client:read())
      assert.equal(count, client:read())
      client:expect_end()
      assert.equal("1", nydus:client():call("GET", "k"))
      each(function(one) if one ~= client then one:expect_end() end end)
      client = nydus:client()
      local address = lines_of(client:call("CLIENT", "INFO"))[1].addr
      assert.equal("OK", client:call("CLIENT", "KILL", address))
      client:expect_end()
    end)

    it("goes on in order behind the answer", function()
      local client = clients[workers][1]
      local bytes = {}
      for i = 1, 50 do
        bytes[#bytes + 1] = support.encode({ "SET", "k", i })
        bytes[#bytes + 1] = support.encode({ "CLIENT", "LIST" })
        bytes[#bytes + 1] = support.encode({ "GET", "k" })
      end
      client:send(table.concat(bytes))
      for i = 1, 50 do
        assert.equal("OK", (client:read()))
        assert.equal(2 * workers, #names_of((client:read())))
        assert.equal(tostring(i), (client:read()))
      end
    end)
  end)
end

describe("a worker that", function()
  local nydus, clients

  before_each(function()
    nydus = support.nydus({ config = { hosts = { support.redis() }, workers = 2 } })
    clients = spread(nydus, 2, 3)
  end)

  local function pid_of(worker)
    for _ = 1, 3 do
      local pid = nydus:log():match(("worker %d is ready %%(pid (%%d+)%%)"):format(worker))
      if pid then return tonumber(pid) end
    end
  end

  local function signal(name, pid)
    assert.equal(0, (support.run({ "sh", "-c", ("kill -%s %d"):format(name, pid) })))
  end

  it("hangs is left out after a second", function()
    signal("STOP", pid_of(2))
    finally(function() signal("CONT", pid_of(2)) end)
    local start = support.now()
    local own = lines_of(clients[1][1]:call("CLIENT", "LIST"))
    assert.equal(3, #own)
    assert.is_true(support.now() - start >= 0.9)
    assert.equal("OK", clients[1][2]:call("SET", "k", "1"))
    signal("CONT", pid_of(2))
    support.wait_until(function() return #lines_of(clients[1][1]:call("CLIENT", "LIST")) == 6 end, 5, "all clients")
  end)

  it("has no file descriptor left for a question says so at once, and is asked again", function()
    if not support.has("prlimit") then
      pending("no prlimit")
      return
    end
    local function allow(limit)
      assert.equal(0, (support.run({ "prlimit", "--pid", pid_of(2), ("--nofile=%d:"):format(limit) })))
    end
    allow(3)
    for _ = 1, 17 do -- more than a worker may leave unanswered
      assert.equal(3, #lines_of(clients[1][1]:call("CLIENT", "LIST")))
    end
    assert.matches("worker 2 error a message of another worker cannot be read: no file descriptor is free", nydus:log())
    assert.is_nil(nydus:log():find("does not answer a question", 1, true))
    allow(1000)
    assert.equal(6, #lines_of(clients[1][1]:call("CLIENT", "LIST")))
  end)

  it("has just begun to serve is asked, although the master does not know it yet", function()
    local function workers() return table.concat(nydus:workers(), " ") end
    local before = workers()
    signal("KILL", pid_of(2))
    support.wait_until(function() return workers() ~= before and #nydus:workers() == 2 end, 5, "its successor")
    signal("STOP", nydus.pid)
    finally(function() signal("CONT", nydus.pid) end)
    local id
    support.wait_until(function()
      local client = nydus:client()
      id = client:call("CLIENT", "ID")
      return id % 1024 == 2
    end, 5, "a client of its")
    clients[1][1]:command("CLIENT", "KILL", "ID", id)
    signal("CONT", nydus.pid)
    assert.equal(1, clients[1][1]:read())
  end)

  it("dies is left out", function()
    signal("KILL", pid_of(2))
    support.wait_until(function()
      return #lines_of(clients[1][1]:call("CLIENT", "LIST")) == 3
    end, 5, "the clients that are left")
  end)

  it("dies leaves nobody behind who blocks or listens", function()
    clients[1][1]:command("BLPOP", "list", "0")
    for i = 1, 2 do clients[2][i]:command("BLPOP", "list", "0") end
    local function blocked()
      return tonumber(clients[1][2]:call("INFO", "clients"):match("blocked_clients:(%d+)"))
    end
    support.wait_until(function() return blocked() == 3 end, 5, "three to block")
    clients[2][3]:call("SUBSCRIBE", "news")
    local function channels()
      return tonumber(clients[1][2]:call("INFO", "stats"):match("pubsub_channels:(%d+)"))
    end
    assert.equal(1, channels())
    signal("KILL", pid_of(2))
    support.wait_until(function() return blocked() == 1 end, 5, "the one that is left")
    assert.equal(0, channels())
    local stats = pairs_of(clients[1][2]:call("NYDUS", "STATS"))
    local under_way = stats.requests + stats.protocol_errors - stats.replies - stats.orphaned
    assert.equal(2, under_way) -- BLPOP, and the question itself
  end)

  it("hears of a client that leaves before the answer", function()
    signal("STOP", pid_of(2))
    finally(function() signal("CONT", pid_of(2)) end)
    for i = 1, 2 do
      clients[1][i]:command("CLIENT", "LIST")
      clients[1][i]:close()
    end
    local client = clients[1][3]
    client:command("CLIENT", "LIST")
    signal("CONT", pid_of(2))
    client:read()
    support.wait_until(function() return #lines_of(client:call("CLIENT", "LIST")) == 4 end, 5, "the clients that are left")
  end)
end)

describe("thousands of clients", function()
  it("are listed over workers", function()
    local count = support.sanitized and 500 or 3000
    local nydus = support.nydus({ config = { hosts = { support.redis() }, workers = 2 } })
    local clients = {}
    for i = 1, count do clients[i] = nydus:client() end
    for _, client in ipairs(clients) do client:call("PING") end
    assert.equal(count, #lines_of(clients[1]:call("CLIENT", "LIST")))
    assert.equal(count - 1, clients[2]:call("CLIENT", "KILL", "TYPE", "normal"))
    assert.equal(1, #lines_of(clients[2]:call("CLIENT", "LIST")))
  end)
end)
