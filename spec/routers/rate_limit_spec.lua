local testing = require("nydus.testing")

describe("routers/rate_limit", function()
  local t
  after_each(function() if t then t:close() end t = nil end)

  local function load(options, clusters)
    t = testing.load("routers/rate_limit.lua", { hosts = { "a" }, options = options, clusters = clusters })
  end

  local function passed(client, count, ...)
    local n = 0
    for _ = 1, count do
      local reply = client:call(...)
      n = n + (type(reply) == "table" and reply.err and 0 or 1)
    end
    return n
  end

  it("lets so many through, for each client, and more when time has passed", function()
    load({ rate = 0.5, burst = 3, key = "client", name = "spec client" })
    local one, two = t:client(), t:client()
    assert.equal(3, passed(one, 8, "SET", "k", "v"))
    assert.equal(3, passed(two, 8, "SET", "k", "v"))
    assert.equal(6, #t:requests("a"))
    assert.is_string(one:call("GET", "k").err)
    t:advance(3)
    assert.equal(1, passed(one, 8, "GET", "k"))
  end)

  it("counts only the commands it is told", function()
    load({ rate = 0.01, burst = 2, only = { "write", "DBSIZE" }, name = "spec only" })
    assert.equal(8, passed(t, 8, "EXISTS", "k"))
    assert.equal(2, passed(t, 8, "SET", "k", "v"))
    assert.equal(0, passed(t, 1, "DBSIZE"))
  end)

  it("sends what is above the rate elsewhere, as it is told", function()
    load({ rate = 0.01, burst = 2, over = "spare", name = "spec over" }, { spare = { hosts = { "s" } } })
    assert.equal(6, passed(t, 6, "SET", "k", "v"))
    assert.equal(2, #t:requests("a"))
  end)

  it("is refused with a reason", function()
    for expected, options in pairs({
      ["rate_limit: unknown option 'rates'"] = { rates = 1 },
      ["rate_limit: rate: a number of commands a second is expected"] = {},
      ["nydus.limit: key: 'ip' is none of"] = { rate = 1, key = "ip" },
      ["nydus.cluster: there is no cluster 'x'"] = { rate = 1, over = "x" },
      ["there is no command 'gett'"] = { rate = 1, only = { "gett" } },
    }) do
      local ok, text = pcall(load, options)
      assert.is_false(ok)
      assert.is_truthy(text:find(expected, 1, true), text)
    end
  end)
end)
