-- The CLIENT family where it is about the client's own connection.

local support = require("support")

local function fields_of(line)
  local fields = {}
  for key, value in line:gmatch("([%w-]+)=(%S*)") do fields[key] = value end
  return fields
end

describe("CLIENT REPLY", function()
  local redis, nydus

  before_each(function()
    redis = support.redis()
    nydus = support.nydus({ config = { hosts = { redis }, workers = 1 } })
  end)

  -- Sends the lines to Nydus and to a Redis; what comes back has to be the same, byte by byte.
  local function compare(lines)
    local bytes = {}
    for _, target in ipairs({ redis, nydus }) do
      local client = target:client()
      for _, line in ipairs(lines) do client:send(line .. "\r\n") end
      client:shutdown_write()
      bytes[#bytes + 1] = client:read_to_end()
    end
    assert.equal(bytes[1], bytes[2], table.concat(lines, "; "))
    return bytes[1]
  end

  it("OFF, ON and SKIP are as in Redis", function()
    compare({ "CLIENT REPLY OFF", "SET k 1", "GET k", "FOO", "GET", "CLIENT REPLY ON", "GET k" })
    compare({ "CLIENT REPLY SKIP", "ECHO a", "ECHO b", "CLIENT REPLY SKIP", "CLIENT REPLY SKIP", "ECHO c", "ECHO d" })
    compare({ "CLIENT REPLY SKIP", "CLIENT REPLY ON", "ECHO a", "CLIENT REPLY SKIP", "FOO", "ECHO b" })
    compare({ "CLIENT REPLY OFF", "CLIENT REPLY SKIP", "ECHO a", "ECHO b", "CLIENT REPLY x", "CLIENT REPLY ON" })
    compare({ "CLIENT REPLY OFF", "ECHO a", "RESET", "ECHO b" })
    compare({ "CLIENT REPLY SKIP", "MULTI", "SET k 2", "EXEC", "CLIENT REPLY OFF", "MULTI", "GET k", "EXEC", "RESET" })
    compare({ "CLIENT REPLY SKIP", "BLPOP none 0.01", "ECHO a", "CLIENT REPLY x", "CLIENT REPLY", "CLIENT REPLY ON x" })
    compare({ "CLIENT REPLY OFF", "SUBSCRIBE a", "UNSUBSCRIBE a", "ECHO a", "CLIENT REPLY ON", "ECHO b" })
    compare({ "CLIENT REPLY SKIP", "SUBSCRIBE a", "PING" })
    compare({ "ECHO a", "CLIENT REPLY OFF", "ECHO b", "QUIT" })
    compare({ "CLIENT REPLY OFF", "*1", "$x" })
  end)

  it("OFF does not hold up others, and what was asked before is answered", function()
    local one, two = nydus:client(), nydus:client()
    local bytes = {}
    for _ = 1, 100 do bytes[#bytes + 1] = support.encode({ "INCR", "n" }) .. support.encode({ "GET", "n" }) end
    one:send(table.concat(bytes) .. support.encode({ "CLIENT", "REPLY", "OFF" }) .. table.concat(bytes)
      .. support.encode({ "CLIENT", "REPLY", "ON" }) .. table.concat(bytes))
    for i = 1, 100 do
      assert.equal(i, (one:read()))
      assert.equal(tostring(i), (one:read()))
    end
    assert.equal("OK", (one:read()))
    for i = 201, 300 do
      assert.equal(i, (one:read()))
      assert.equal(tostring(i), (one:read()))
    end
    assert.equal("300", two:call("GET", "n"))
  end)

  it("OFF keeps big replies back, and takes none of their memory", function()
    local client = nydus:client()
    client:call("SET", "big", ("x"):rep(1000000))
    client:send(support.encode({ "CLIENT", "REPLY", "OFF" }))
    for _ = 1, 50 do client:send(support.encode({ "GET", "big" })) end
    client:send(support.encode({ "CLIENT", "REPLY", "ON" }))
    assert.equal("OK", (client:read()))
  end)
end)

describe("CLIENT INFO", function()
  local redis, nydus, client

  before_each(function()
    redis = support.redis()
    nydus = support.nydus({ config = { hosts = { redis }, workers = 1 } })
    client = nydus:client()
  end)

  local function of(id)
    return fields_of(nydus:client():call("CLIENT", "LIST", "ID", id))
  end

  it("has the fields of Redis, in its order, and those of its libraries", function()
    local function names(line)
      local out = {}
      for key in line:gmatch("([%w-]+)=") do
        if key ~= "lib-name" and key ~= "lib-ver" then out[#out + 1] = key end
      end
      return out
    end
    assert.same(names(redis:call("CLIENT", "INFO")), names(client:call("CLIENT", "INFO")))
  end)

  it("tells what a client is at", function()
    local id = client:call("CLIENT", "ID")
    assert.equal("client|id", of(id).cmd)
    assert.equal("N", of(id).flags)
    client:call("SELECT", 3)
    client:call("FOO")
    client:call("GET", "k")
    local fields = of(id)
    assert.same({ "3", "get", "-1", "2", "default" }, { fields.db, fields.cmd, fields.multi, fields.resp, fields.user })
    client:pipeline({ { "MULTI" }, { "SET", "a", "1" }, { "GET", "a" } })
    fields = of(id)
    assert.same({ "x", "2", "get" }, { fields.flags, fields.multi, fields.cmd })
    assert.is_true(tonumber(fields["multi-mem"]) > 0)
    client:call("DISCARD")
    client:command("BLPOP", "none", 0)
    support.wait_until(function() return of(id).flags == "b" end, 5, "a blocked client")
    assert.equal("blpop", of(id).cmd)
  end)

  it("keeps a client's name, library and version apart, whatever is set, changed and taken away", function()
    local kept = { name = "", ["lib-name"] = "", ["lib-ver"] = "" }
    local function set(word, text)
      if word == "name" then client:call("CLIENT", "SETNAME", text) else client:call("CLIENT", "SETINFO", word, text) end
      kept[word] = text
      local line = client:call("CLIENT", "INFO")
      for key, value in pairs(kept) do assert.equal(value, line:match(" " .. key:gsub("%-", "%%-") .. "=(%S*)"), line) end
    end
    for _, step in ipairs({
      { "lib-ver", "4.5.1" }, { "name", "me" }, { "lib-name", "redis-py" }, { "name", ("n"):rep(1024) },
      { "lib-name", ("l"):rep(1024) }, { "lib-ver", ("v"):rep(1024) }, { "lib-name", "" }, { "name", "x" }, { "lib-ver", "1" },
      { "name", "" }, { "lib-name", "go" },
    }) do set(step[1], step[2]) end
    client:call("CLIENT", "SETNAME", "again")
    client:call("CLIENT", "NO-EVICT", "ON")
    client:call("RESET")
    local line = client:call("CLIENT", "INFO")
    assert.equal("", line:match(" name=(%S*)"))
    assert.equal("go", line:match("lib%-name=(%S*)"))
    assert.equal("N", line:match("flags=(%S*)"))
  end)

  it("counts subscriptions", function()
    local id = client:call("CLIENT", "ID")
    client:command("SUBSCRIBE", "a", "b")
    client:command("PSUBSCRIBE", "c*")
    client:command("SSUBSCRIBE", "d")
    for _ = 1, 4 do client:read() end
    local fields = of(id)
    assert.same({ "P", "2", "1", "1" }, { fields.flags, fields.sub, fields.psub, fields.ssub })
    local other = nydus:client()
    assert.equal(tostring(id), fields_of(other:call("CLIENT", "LIST", "TYPE", "pubsub")).id)
    assert.equal(1, other:call("CLIENT", "KILL", "TYPE", "pubsub"))
    client:expect_end()
    assert.equal("", other:call("CLIENT", "LIST", "TYPE", "pubsub"))
  end)

  it("shows NO-EVICT and NO-TOUCH", function()
    local id = client:call("CLIENT", "ID")
    assert.equal("OK", client:call("CLIENT", "NO-EVICT", "ON"))
    assert.equal("e", of(id).flags)
    assert.equal("OK", client:call("CLIENT", "NO-TOUCH", "on"))
    assert.equal("eT", of(id).flags)
    client:call("RESET")
    assert.equal("N", of(id).flags)
  end)
end)

describe("CLIENT", function()
  it("fails in Redis's words", function()
    local redis = support.redis()
    local client = support.nydus({ config = { hosts = { redis }, workers = 1 } }):client()
    local plain = redis:client()
    redis.plain = false
    for _, line in ipairs({
      "KILL", "KILL x", "KILL 1.2.3.4:5", "KILL ID", "KILL ID x", "KILL ID 0", "KILL ID 999999999", "KILL TYPE x",
      "KILL TYPE normal USER x", "KILL FOO x", "KILL SKIPME x", "KILL ID 1 TYPE", "KILL MAXAGE 10", "KILL TYPE master",
      "KILL ADDR 1:2 LADDR 3:4 SKIPME no", "KILL USER default ID 999999999",
      "LIST TYPE", "LIST TYPE x", "LIST TYPE pubsub", "LIST ID", "LIST ID x", "LIST ID 1 x", "LIST ID 0", "LIST ID -1",
      "LIST FOO", "LIST TYPE normal x", "INFO x", "NO-EVICT x", "UNBLOCK 1", "UNBLOCK x", "UNBLOCK 1 X",
      "UNBLOCK 1 ERROR x", "TRACKING x", "TRACKING off", "CACHING yes", "GETREDIR", "TRACKINGINFO", "REPLY x",
      "SETNAME a\tb", "SETNAME", "GETNAME", "ID x", "NO-EVICT", "FOO", "CACHING x",
      "TRACKING on x", "TRACKING off BCAST", "TRACKING on REDIRECT", "TRACKING off x", "TRACKING off PREFIX",
    }) do
      local words = { "CLIENT" }
      for word in line:gmatch("[^ ]+") do words[#words + 1] = word end
      assert.same(plain:call(unpack(words)), client:call(unpack(words)), line)
    end
  end)
end)

describe("CLIENT KILL", function()
  it("ends a client whose SUBSCRIBE waits for its host", function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis }, workers = 1 } })
    local client, boss = nydus:client(), nydus:client()
    assert.equal("OK", client:call("SET", "k", "1"))
    redis:pause()
    client:command("SUBSCRIBE", "channel")
    support.wait_until(function()
      return boss:call("CLIENT", "LIST"):find("cmd=subscribe", 1, true)
    end, 5, "the command")
    assert.equal(1, boss:call("CLIENT", "KILL", "TYPE", "normal"))
    client:expect_end()
    redis:resume()
    assert.equal("1", boss:call("GET", "k"))
    assert.is_number(boss:call("PUBLISH", "channel", "message"))
    assert.is_nil(nydus:log():find("died", 1, true))
  end)
end)
