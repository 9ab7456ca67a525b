-- Targets that lead back to themselves through functions, which no check at load can see.

local support = require("support")

local HEAD = "local cluster = ... local nydus = require(\"nydus\") local h = cluster.hosts\n"

local CIRCLES = {
  "return function() return { cluster, cluster, cluster } end",
  "return nydus.failover{ function() return cluster end, h[1] }",
  "local f f = nydus.failover{ function() return f end, h[1] } return f",
  "local f f = nydus.hedge{ function() return f end, h[1], after = 1 } return f",
  "local c, f c = nydus.cache{ next = function() return f or c end } return c",
  "local c, f c = nydus.cache{ next = function() return f end } f = nydus.failover{ c, h[1] } return f",
  "return nydus.all({ function() return { cluster } end, h[1] }, { reply = 'all_succeeded' })",
  "return nydus.shadow{ function() return nydus.cluster('main') end, function() return cluster end }",
  "local f f = function() return { f } end return f",
  "local t, u = nil, nydus.shadow{ h[1], function() return t end } t = u return function() return u end",
}

describe("targets in a circle", function()
  it("give an error, to every kind of command, and the worker lives", function()
    local redis = support.redis()
    for _, body in ipairs(CIRCLES) do
      local nydus = support.nydus({
        config = { router = "main.lua", hosts = { redis }, workers = 1 }, files = { ["main.lua"] = HEAD .. body },
      })
      local client = nydus:client()
      local pid = client:call("INFO", "server"):match("process_id:(%d+)")
      for _, words in ipairs({ { "GET", "k" }, { "MGET", "k", "l" }, { "DBSIZE" }, { "BLPOP", "k", "0.01" },
        { "SCRIPT", "KILL" }, { "WAIT", "0", "1" } }) do
        client:call(unpack(words))
      end
      assert.is_true(#client:call("NYDUS", "ROUTE", "GET", "k") < 1500, body)
      assert.equal("PONG", client:call("PING"))
      client:call("SUBSCRIBE", "news")
      assert.equal(pid, nydus:client():call("INFO", "server"):match("process_id:(%d+)"), body)
      nydus:stop()
    end
  end)

  it("say so", function()
    local nydus = support.nydus({
      config = { router = "main.lua", hosts = { support.redis() }, workers = 1 },
      files = { ["main.lua"] = HEAD .. "return nydus.failover{ function() return cluster end, h[1] }" },
    })
    assert.matches("^ERR router: .*main.lua:2: returned its own cluster, which would ask it again$",
      nydus:client():call("GET", "k").err)
    nydus = support.nydus({
      config = { router = "main.lua", hosts = { support.redis() }, workers = 1 },
      files = { ["main.lua"] = HEAD .. "local a a = nydus.shadow{ function() return a end, h[1] } return a" },
    })
    assert.equal("ERR router: the targets lead back to themselves without end", nydus:client():call("GET", "k").err)
  end)

  it("are no circle where a table's default is meant: keys of one command, taken apart", function()
    local one, two = support.redis(), support.redis()
    local client = support.nydus({
      config = { router = "main.lua", hosts = { one, two }, workers = 1 },
      files = { ["main.lua"] = HEAD .. "return nydus.prefix{ ['a:'] = function() end, b = h[2], default = h[1] }" },
    }):client()
    assert.equal("OK", client:call("MSET", "a:1", "1", "b:1", "2", "c", "3"))
    assert.same({ "1", "2", "3" }, client:call("MGET", "a:1", "b:1", "c"))
    assert.same({ 2, 1 }, { one:call("DBSIZE"), two:call("DBSIZE") })
    assert.matches("it returned nil: the default above", table.concat(client:call("NYDUS", "ROUTE", "GET", "a:1"), "\n"))
  end)
end)
