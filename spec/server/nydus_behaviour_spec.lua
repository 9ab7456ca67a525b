-- What Nydus, the Python toolkit, has always done, and people rely on.

local support = require("support")

local null, encode = support.null, support.encode
local PONG = { auto = { PING = "+PONG\r\n" } }

local function server(config, files)
  return support.nydus({ config = config, files = files })
end

describe("nydus", function()
  it("without a router, INCR foo on three hosts gives an array of three", function()
    local hosts = { support.redis(), support.redis(), support.redis() }
    local client = server({ hosts = hosts }):client()
    assert.same({ 1, 1, 1 }, client:call("INCR", "foo"))
    assert.same({ 2, 2, 2 }, client:call("INCR", "foo"))
    for _, redis in ipairs(hosts) do assert.equal("2", redis:call("GET", "foo")) end
  end)

  it("with one host gives the bare reply", function()
    local client = server({ hosts = { support.redis() } }):client()
    assert.equal(1, client:call("INCR", "foo"))
    assert.equal(1, client:call("DBSIZE"))
  end)

  it("without a router, the array is in host order, whoever answers first", function()
    local a, b, c = support.fake(PONG), support.fake(PONG), support.fake(PONG)
    local client = server({ hosts = { a, b, c } }):client()
    client:command("GET", "foo")
    for _, host in ipairs({ c, b, a }) do
      host:expect("GET foo")
      host:answer(host == a and "$1\r\na\r\n" or host == b and "-ERR b\r\n" or "$-1\r\n")
    end
    assert.same({ "a", { err = "ERR b" }, null }, (client:read()))
  end)

  it("without a router, a command of several keys goes whole to every host", function()
    local a, b = support.redis(), support.redis()
    local client = server({ hosts = { a, b } }):client()
    assert.same({ "OK", "OK" }, client:call("MSET", "x", "1", "y", "2"))
    assert.same({ { "1", "2" }, { "1", "2" } }, client:call("MGET", "x", "y"))
    assert.same({ "2" }, a:call("MGET", "y"))
  end)

  it("keeps numeric keys of hosts as their order", function()
    local a, b = support.redis(), support.redis()
    a:call("SET", "who", "zero")
    b:call("SET", "who", "one")
    local nydus = support.nydus({
      config = "return { listen = '127.0.0.1:$port', hosts = { [1] = { port = $one }, [0] = { port = $zero } } }",
      vars = { zero = a.port, one = b.port },
    })
    assert.same({ "zero", "one" }, nydus:client():call("GET", "who"))
  end)

  describe("map", function()
    it("reaches each host as one batch", function()
      local hosts = {}
      for i = 1, 3 do hosts[i] = support.redis({ databases = 1 }) end
      local nydus = server({ router = "ketama", hosts = hosts })
      local client, gets = nydus:client(), {}
      for i = 1, 300 do gets[i] = encode({ "GET", "key:" .. i }) end
      client:send(encode({ "GET", "warm" }))
      client:read()
      local function reads(redis)
        return tonumber(redis:call("INFO", "stats"):match("total_reads_processed:(%d+)"))
      end
      local before = {}
      for i, redis in ipairs(hosts) do before[i] = reads(redis) end
      client:send(table.concat(gets))
      for _ = 1, 300 do assert.equal(null, (client:read())) end
      for i, redis in ipairs(hosts) do
        local batches = reads(redis) - before[i] - 1 -- but for the INFO itself
        assert.is_true(batches <= 3, ("host %d read %d times"):format(i, batches))
      end
    end)

    it("lets hosts work in parallel: one that hangs keeps no other from its commands", function()
      local hosts, gets = {}, {}
      for i = 1, 3 do hosts[i] = support.redis({ databases = 1 }) end
      for i = 1, 60 do gets[i] = { "GET", "key:" .. i } end
      local client = server({ router = "ketama", hosts = hosts }):client()
      local function served(redis)
        return tonumber(redis:call("INFO", "stats"):match("keyspace_misses:(%d+)"))
      end
      client:pipeline(gets)
      local share = {}
      for i, redis in ipairs(hosts) do share[i] = served(redis) end
      for round, slow in ipairs(hosts) do
        slow:pause()
        for _, words in ipairs(gets) do client:command(unpack(words)) end
        for i, redis in ipairs(hosts) do
          support.wait_until(function() return redis == slow or served(redis) == share[i] * (round + 1) end, 5, "its GETs")
        end
        slow:resume()
        for _ = 1, 60 do assert.equal(null, (client:read())) end
      end
    end)

    it("gives replies in call order, with errors beside results", function()
      local redis = support.redis()
      local hosts = {}
      for i = 1, 3 do hosts[i] = redis:address({ db = i - 1 }) end
      local client = server({ router = "modulus", hosts = hosts }):client()
      local commands, expected = {}, {}
      for i = 1, 100 do
        commands[#commands + 1], expected[#expected + 1] = { "SET", "k" .. i, "v" .. i }, "OK"
        commands[#commands + 1], expected[#expected + 1] = { "GET", "k" .. i }, "v" .. i
        commands[#commands + 1], expected[#expected + 1] =
          { "LPUSH", "k" .. i, "x" }, { err = "WRONGTYPE Operation against a key holding the wrong kind of value" }
        commands[#commands + 1], expected[#expected + 1] =
          { "NOSUCH" }, { err = "ERR unknown command 'NOSUCH', with args beginning with: " }
      end
      assert.same(expected, client:pipeline(commands))
    end)

    it("gives errors of a host that is away beside results of the others", function()
      local redis = support.redis()
      local gone = { host = "127.0.0.1", port = support.free_port() }
      local client = server({ router = "modulus", hosts = { redis, gone } }):client()
      local commands, results, errors = {}, 0, 0
      for i = 1, 100 do commands[i] = { "SET", "k" .. i, i } end
      for _, reply in ipairs(client:pipeline(commands)) do
        if reply == "OK" then
          results = results + 1
        else
          assert.matches("^ERR host redis://127.0.0.1:%d+/0 is down: ", reply.err)
          errors = errors + 1
        end
      end
      assert.equal(redis:call("DBSIZE"), results)
      assert.is_true(results > 20 and errors > 20)
    end)
  end)

  it("gives two identical commands in one pipeline their own replies", function()
    local hosts = { support.redis(), support.redis() }
    local client = server({ router = "ketama", hosts = hosts }):client()
    assert.same({ 1, 2, 3, 1 }, client:pipeline({ { "INCR", "n" }, { "INCR", "n" }, { "INCR", "n" }, { "INCR", "m" } }))
  end)

  it("sends a call without a key to every host", function()
    local a, b, c = support.fake(PONG), support.fake(PONG), support.fake(PONG)
    local client = server({ router = "ketama", hosts = { a, b, c } }):client()
    client:command("DBSIZE")
    for i, host in ipairs({ a, b, c }) do
      host:expect("DBSIZE")
      host:answer(":" .. i .. "\r\n")
    end
    assert.equal(6, (client:read()))
  end)

  it("sends the key to all hosts with one identifier", function()
    local a, twin, c = support.redis(), support.redis(), support.redis()
    local client = server({ router = "ketama", hosts = {
      a:address({ identifier = "x" }), twin:address({ identifier = "x" }), c:address({ identifier = "y" }),
    } }):client()
    local arrays, single = 0, 0
    for i = 1, 100 do
      local reply = client:call("INCR", "key:" .. i)
      if reply == 1 then single = single + 1 else
        assert.same({ 1, 1 }, reply)
        arrays = arrays + 1
      end
    end
    assert.is_true(arrays > 10 and single > 10)
    assert.equal(arrays, a:call("DBSIZE"))
    assert.equal(arrays, twin:call("DBSIZE"))
    assert.equal(single, c:call("DBSIZE"))
  end)

  it("answers HostListExhausted as an error reply, when no host is up", function()
    local hosts = {}
    for i = 1, 3 do hosts[i] = { host = "127.0.0.1", port = support.free_port() } end
    for _, router in ipairs({ "ketama", "round_robin" }) do
      local client = server({ router = router, hosts = hosts }):client()
      local reply
      support.wait_until(function()
        reply = client:call("GET", "foo").err
        return reply:find("HostListExhausted", 1, true)
      end, 5, "all hosts to be down")
      assert.matches("^ERR HostListExhausted: ", reply)
      assert.equal("PONG", client:call("PING"))
    end
  end)

  it("raises under modulus, when the key's host is away, and goes on with the others", function()
    local redis = support.redis()
    local gone = { host = "127.0.0.1", port = support.free_port() }
    local client = server({ router = "modulus", hosts = { redis, gone } }):client()
    local first = {}
    for round = 1, 2 do
      for i = 1, 20 do
        local up = client:call("SET", "k" .. i, round) == "OK"
        if round == 1 then first[i] = up else assert.equal(first[i], up) end -- no key moves
      end
    end
  end)

  it("tries the next host under ketama, when the key's host refuses", function()
    local redis = support.redis()
    local gone = { host = "127.0.0.1", port = support.free_port() }
    local client = server({ router = "ketama", hosts = { redis, gone } }):client()
    for i = 1, 50 do assert.equal("OK", client:call("SET", "k" .. i, i)) end
    assert.equal(50, redis:call("DBSIZE"))
  end)
end)
