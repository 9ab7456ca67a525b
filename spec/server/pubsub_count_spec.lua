-- Numbers of pub/sub: a worker's clients share one subscription at a host, but
-- PUBLISH and PUBSUB count them all, of all workers, as one Redis does.

local support = require("support")

local function pubsub(client, ...)
  local reply = client:call("PUBSUB", ...)
  if (select(1, ...)):find("CHANNELS") then table.sort(reply) end
  return reply
end

describe("one host", function()
  local redis, nydus, publisher

  before_each(function()
    redis = support.redis()
    nydus = support.nydus({ config = { hosts = { redis }, workers = 3 } })
    publisher = nydus:client()
  end)

  local function subscribers(count, ...)
    local list = {}
    for i = 1, count do
      list[i] = nydus:client()
      list[i]:call(...)
    end
    return list
  end

  it("has as many subscribers as there are clients", function()
    assert.equal(0, publisher:call("PUBLISH", "c", "x"))
    local list = subscribers(20, "SUBSCRIBE", "c")
    assert.equal(20, publisher:call("PUBLISH", "c", "x"))
    assert.equal(0, publisher:call("PUBLISH", "C", "x"))
    redis:client():call("SUBSCRIBE", "c")
    assert.equal(21, publisher:call("PUBLISH", "c", "x"))
    assert.same({ "c", 21, "other", 0 }, pubsub(publisher, "NUMSUB", "c", "other"))
    for i = 20, 1, -1 do
      list[i]:call("RESET") -- at least behind the messages that wait
      support.wait_until(function() return publisher:call("PUBLISH", "c", "x") == i end, 3, i .. " subscribers")
    end
  end)

  it("counts patterns that fit, each for itself", function()
    subscribers(9, "PSUBSCRIBE", "a*")
    subscribers(5, "PSUBSCRIBE", "*b")
    subscribers(3, "SUBSCRIBE", "ab")
    assert.equal(9 + 5 + 3, publisher:call("PUBLISH", "ab", "x"))
    assert.equal(9, publisher:call("PUBLISH", "ac", "x"))
    assert.equal(0, publisher:call("PUBLISH", "Ac", "x"))
    assert.equal(2, pubsub(publisher, "NUMPAT"))
    assert.same({ "ab", 3 }, pubsub(publisher, "NUMSUB", "ab"))
  end)

  it("counts shard channels apart", function()
    subscribers(7, "SSUBSCRIBE", "c")
    subscribers(2, "SUBSCRIBE", "c")
    assert.equal(7, publisher:call("SPUBLISH", "c", "x"))
    assert.equal(2, publisher:call("PUBLISH", "c", "x"))
    assert.same({ "c", 7 }, pubsub(publisher, "SHARDNUMSUB", "c"))
    assert.same({ "c" }, pubsub(publisher, "SHARDCHANNELS"))
    assert.same({ "c", 2 }, pubsub(publisher, "NUMSUB", "c"))
  end)

  it("is right when a worker has died", function()
    subscribers(12, "SUBSCRIBE", "c")
    subscribers(12, "PSUBSCRIBE", "c*")
    publisher:close()
    for _, pid in ipairs(nydus:workers()) do require("support.sys").kill(pid, "KILL") end
    support.wait_until(function()
      local ok, number = pcall(function() return nydus:client():call("PUBLISH", "c", "x") end)
      return ok and number == 0
    end, 10, "new workers")
  end)

  it("has numbers for a thousand channels", function()
    local one, other = nydus:client(), nydus:client()
    local words, publishes = { "SUBSCRIBE" }, {}
    for i = 1, 1000 do
      words[i + 1] = "c" .. i
      publishes[i] = { "PUBLISH", "c" .. i, "x" }
    end
    for _, client in ipairs({ one, other }) do
      client:command(unpack(words))
      for _ = 1, 1000 do client:read() end
    end
    for i, number in ipairs(publisher:pipeline(publishes)) do assert.equal(2, number, i) end
    words = { "NUMSUB" }
    for i = 1, 1000 do words[i + 1] = "c" .. i end
    local reply = pubsub(publisher, unpack(words))
    for i = 1, 1000 do assert.same({ "c" .. i, 2 }, { reply[2 * i - 1], reply[2 * i] }) end
    assert.equal(1000, #pubsub(publisher, "CHANNELS"))
    assert.equal(111, #pubsub(publisher, "CHANNELS", "c1*") - 1)
  end)

  it("shows what its clients listen to", function()
    local list = subscribers(2, "SUBSCRIBE", "c")
    list[1]:call("PSUBSCRIBE", "p*")
    list[1]:call("SSUBSCRIBE", "s")
    local text = publisher:call("CLIENT", "LIST", "TYPE", "pubsub")
    assert.matches("flags=P .*sub=1 psub=1 ssub=1 ", text)
    assert.equal(2, select(2, text:gsub("\n", "")))
    assert.is_nil(publisher:call("CLIENT", "LIST", "TYPE", "normal"):find("flags=P"))
    local info = publisher:call("INFO")
    assert.matches("pubsub_channels:[12]\r\n", info) -- a worker's each
    assert.matches("pubsub_patterns:1\r\n", info)
    assert.matches("pubsubshard_channels:1\r\n", info)
    assert.equal(2, publisher:call("CLIENT", "KILL", "TYPE", "pubsub"))
    support.wait_until(function() return publisher:call("PUBLISH", "c", "x") == 0 end, 3, "nobody to listen")
  end)

  it("counts nobody who has been told that it listens no more", function()
    for i = 1, 200 do
      local one = nydus:client()
      one:call("SUBSCRIBE", "c" .. i)
      one:call("PSUBSCRIBE", "?" .. i)
      assert.equal(2, publisher:call("PUBLISH", "c" .. i, "x"))
      one:read()
      one:read()
      one:call("UNSUBSCRIBE", "c" .. i)
      assert.equal(1, publisher:call("PUBLISH", "c" .. i, "x"))
      one:read()
      one:call("PUNSUBSCRIBE")
      assert.equal(0, publisher:call("PUBLISH", "c" .. i, "x"))
      one:close()
    end
  end)
end)

describe("several hosts", function()
  local hosts

  local function start(router, more)
    hosts = { support.redis(), support.redis(), support.redis() }
    local config = { router = router, hosts = hosts, workers = 2 }
    for key, value in pairs(more or {}) do config[key] = value end
    return support.nydus({ config = config })
  end

  it("are one to PUBSUB", function()
    local nydus = start("ketama")
    local publisher, names, expected = nydus:client(), {}, {}
    for i = 1, 4 do
      names[i] = nydus:client()
      for k = 1, 10 do names[i]:call("SUBSCRIBE", "c" .. k) end
      names[i]:call("PSUBSCRIBE", "p*")
    end
    for k = 1, 10 do
      expected[k] = "c" .. k
      assert.equal(4, publisher:call("PUBLISH", "c" .. k, "x"))
      assert.same({ "c" .. k, 4 }, pubsub(publisher, "NUMSUB", "c" .. k))
    end
    table.sort(expected)
    assert.same(expected, pubsub(publisher, "CHANNELS"))
    assert.same({ "c1", "c10" }, pubsub(publisher, "CHANNELS", "c1*"))
    assert.same({}, pubsub(publisher, "CHANNELS", "nothing"))
    assert.same({}, pubsub(publisher, "NUMSUB"))
    assert.equal(1, pubsub(publisher, "NUMPAT"))
    assert.equal(4, publisher:call("PUBLISH", "pp", "x"))
  end)

  it("that each get the message say how many heard it there", function()
    local nydus = start("all")
    local publisher, list = nydus:client(), {}
    for i = 1, 5 do
      list[i] = nydus:client()
      list[i]:call("SUBSCRIBE", "c")
    end
    assert.same({ 5, 0, 0 }, publisher:call("PUBLISH", "c", "x"))
    assert.same({ "c", 5 }, pubsub(publisher, "NUMSUB", "c"))
    assert.same({ "c" }, pubsub(publisher, "CHANNELS"))
  end)

  it("count a subscriber of all of them once", function()
    local nydus = start("round_robin")
    local publisher, list = nydus:client(), {}
    for i = 1, 5 do
      list[i] = nydus:client()
      list[i]:call("SUBSCRIBE", "c", "__keyspace@0__:k")
      list[i]:read()
    end
    for _ = 1, 6 do assert.equal(5, publisher:call("PUBLISH", "c", "x")) end
    assert.same({ "c", 5, "__keyspace@0__:k", 5 }, pubsub(publisher, "NUMSUB", "c", "__keyspace@0__:k"))
    assert.same({ "__keyspace@0__:k", "c" }, pubsub(publisher, "CHANNELS"))
  end)

  it("number databases as clients do", function()
    local one = support.redis()
    local nydus = support.nydus({ config = { hosts = { one:address({ db = 3 }) } } })
    local client, publisher = nydus:client(), nydus:client()
    client:call("SUBSCRIBE", "__keyspace@1__:k")
    assert.same({ "__keyspace@4__:k" }, one:call("PUBSUB", "CHANNELS"))
    assert.same({ "__keyspace@1__:k" }, pubsub(publisher, "CHANNELS"))
    assert.same({ "__keyspace@1__:k" }, pubsub(publisher, "CHANNELS", "__keyspace@1__:*"))
    assert.same({ "__keyspace@1__:k", 1 }, pubsub(publisher, "NUMSUB", "__keyspace@1__:k"))
  end)

  it("are all needed", function()
    local nydus = start("ketama", { eject = false })
    hosts[2] = nil
    local gone = support.redis({ fresh = true })
    local other = support.nydus({ config = { router = "ketama", hosts = { hosts[1], gone } } })
    local client = other:client()
    assert.same({}, pubsub(client, "CHANNELS"))
    gone:stop()
    support.wait_until(function() return client:call("PUBSUB", "NUMPAT").err end, 5, "an error")
    assert.matches("^ERR host .* is down", client:call("PUBSUB", "NUMSUB", "c").err)
    assert.same({}, pubsub(nydus:client(), "CHANNELS"))
  end)
end)

describe("PUBSUB", function()
  it("fails in Redis's words, and has HELP", function()
    local redis = support.redis()
    local client, plain = support.nydus({ config = { hosts = { redis } } }):client(), redis:client()
    for _, words in ipairs({ { "PUBSUB" }, { "PUBSUB", "NONSENSE" }, { "PUBSUB", "CHANNELS", "a", "b" },
      { "PUBSUB", "NUMPAT", "a" }, { "PUBSUB", "SHARDCHANNELS", "a", "b" }, { "PUBSUB", "NUMSUB" } }) do
      assert.same(plain:call(unpack(words)), client:call(unpack(words)), table.concat(words, " "))
    end
    assert.matches("^PUBSUB <subcommand>", client:call("PUBSUB", "HELP")[1])
  end)
end)
