-- SELECT: per client, on links of that database, never by changing a shared link.

local support = require("support")

describe("select", function()
  local redis, nydus, client

  setup(function()
    redis = support.redis({ databases = 8 })
    nydus = support.nydus({ config = { hosts = { redis:address({ db = 1 }) } } })
  end)

  before_each(function()
    client = nydus:client()
  end)

  local function value_in(db, key)
    redis:call("SELECT", db)
    return redis:call("GET", key)
  end

  it("applies to the commands behind it, in one pipeline", function()
    assert.same({ "OK", "OK", "OK", "OK", "b", "OK", "a" }, client:pipeline({
      { "SET", "where", "a" }, { "SELECT", "3" }, { "SET", "where", "b" }, { "SELECT", "3" },
      { "GET", "where" }, { "SELECT", "0" }, { "GET", "where" },
    }))
    assert.equal("a", value_in(1, "where")) -- the host's db is where counting begins
    assert.equal("b", value_in(4, "where"))
  end)

  it("comes after what was pipelined before it, though databases have links of their own", function()
    local plain = support.nydus({ config = { hosts = { redis } } }):client()
    for i = 1, 100 do
      assert.same({ "OK", 1, "OK", ":" .. i, 1, "OK", "OK", support.null }, plain:pipeline({
        { "SET", "moves", ":" .. i }, { "MOVE", "moves", "2" }, { "SELECT", "2" }, { "GET", "moves" }, { "MOVE", "moves", "0" },
        { "SELECT", "0" }, { "FLUSHALL" }, { "GET", "moves" },
      }))
    end
  end)

  it("changes nothing for other clients", function()
    local other = nydus:client()
    for i = 1, 20 do
      assert.equal("OK", client:call("SELECT", "2"))
      client:command("SET", "mine", i)
      assert.equal(support.null, other:call("GET", "mine"))
      assert.equal("OK", client:read())
      assert.equal("OK", client:call("SELECT", "0"))
      assert.equal(support.null, client:call("GET", "mine"))
    end
  end)

  it("fails in Redis's words for what is no database number", function()
    local peer = redis:client()
    for _, word in ipairs({ "x", "", "-1", "1.0", "01", " 1", "2147483648", "-2147483649", "99999999999999999999" }) do
      assert.same(peer:call("SELECT", word), client:call("SELECT", word), word)
    end
    assert.same(peer:call("SELECT"), client:call("SELECT"))
    assert.same({ err = "ERR DB index is out of range" }, client:call("SELECT", "2147483647"))
  end)

  it("passes on what the host says, and stays where it was", function()
    assert.equal("OK", client:call("SELECT", "6"))
    assert.equal("OK", client:call("SET", "stay", "6"))
    assert.same({ { err = "ERR DB index is out of range" }, "6", { err = "ERR DB index is out of range" } },
      client:pipeline({ { "SELECT", "7" }, { "GET", "stay" }, { "SELECT", "99" } }))
    assert.matches(" db=6 ", client:call("CLIENT", "INFO"))
    assert.equal("6", value_in(7, "stay"))
    assert.equal("PONG", nydus:client():call("PING"))
  end)

  it("is answered at once, when the database is known", function()
    client:call("SELECT", "5")
    redis:pause()
    local other = nydus:client()
    assert.equal("OK", other:call("SELECT", "5"))
    assert.equal("OK", other:call("SELECT", "0"))
    redis:resume()
  end)

  it("outlives a client that leaves while the host is asked", function()
    local host = support.fake()
    local server = support.nydus({ config = { hosts = { host }, workers = 1 } })
    local leaver, stayer = server:client(), server:client()
    host:expect("PING")
    host:answer("+PONG\r\n")
    leaver:command("SELECT", "2")
    host:expect("SELECT 2")
    local link = host:expect("PING")
    leaver:reset()
    host:answer("+OK\r\n+PONG\r\n", link)
    host:expect("PING")
    host:answer("+PONG\r\n", link)
    support.wait_until(function()
      return stayer:call("INFO", "clients"):find("worker_clients:1\r\n", 1, true)
    end, 5, "the other client to be gone")
    assert.equal("OK", stayer:call("SELECT", "2"))
    stayer:command("GET", "k")
    host:expect("GET k")
    host:answer("$1\r\nv\r\n")
    assert.equal("v", stayer:read())
  end)

  it("never lets a SELECT onto a link that has served a client", function()
    local host = support.fake({ auto = { PING = "+PONG\r\n", SELECT = "+OK\r\n" } })
    local other = support.nydus({ config = { hosts = { host } } }):client()
    other:command("GET", "a")
    local first = host:expect("GET a")
    host:answer("$-1\r\n")
    assert.equal(support.null, other:read())
    other:command("SELECT", "4")
    other:command("GET", "b")
    local second = host:expect("GET b")
    host:answer("$-1\r\n")
    assert.are_not.equal(first, second)
    assert.same({ "OK", support.null }, { other:read(), (other:read()) })
  end)

  it("says why, when no host can be asked", function()
    local gone = support.nydus({ config = { hosts = { { host = "127.0.0.1", port = support.free_port() } } } })
    local lonely = gone:client()
    assert.matches("^ERR host .* is down: ", lonely:call("SELECT", "3").err)
    assert.equal("PONG", lonely:call("PING"))
    assert.matches(" db=0 ", lonely:call("CLIENT", "INFO"))
  end)
end)
