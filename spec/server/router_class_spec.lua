-- Routers in Nydus's class form over hosts that die and come back.

local support = require("support")

local HEAD = "local cluster = ... local nydus = require(\"nydus\") local h = cluster.hosts\n"

local function start(body, hosts, extra)
  local config = { router = "main.lua", hosts = hosts, workers = 1, retry_timeout = 0.2,
    defaults = { timeout = 2, connect_timeout = 0.5 } }
  for key, value in pairs(extra or {}) do config[key] = value end
  return support.nydus({ config = config, files = { ["main.lua"] = HEAD .. body } })
end

local function gone(name)
  return { host = "127.0.0.1", port = support.free_port(), identifier = name }
end

describe("a retryable router class", function()
  it("marks a host that is away down, and routes again", function()
    local a, b = support.redis(), support.redis()
    local nydus = start([[return nydus.router_class{ retryable = true,
      post_route = function(self, attr, args, kwargs, dbs)
        if args[1] ~= "list" then return self.super.post_route(self, attr, args, kwargs, dbs) end
        local down = {}
        for db in pairs(self.down_connections) do down[#down + 1] = db end
        return nydus.reply(table.concat(down, " "))
      end }]], { a, gone("gone"), b })
    local client = nydus:client()
    for _ = 1, 9 do assert.equal(1, client:call("INCR", "n" .. _)) end
    assert.equal(9, a:call("DBSIZE") + b:call("DBSIZE"))
    assert.equal("2", client:call("GET", "list"))
  end)

  it("says HostListExhausted when no host is left", function()
    local client = start("return nydus.router_class{ retryable = true }", { gone("a"), gone("b") }):client()
    local words = "ERR HostListExhausted: no host of cluster main is up (2 of 2 are down)"
    assert.equal(words, client:call("GET", "k").err)
    assert.equal(words, client:call("SET", "k", "v").err)
    client = start([[return nydus.router_class{ retryable = true,
      on_error = function(self, e) return e == self.HostListExhausted and nydus.reply("nobody") or error(e, 0) end }]],
      { gone("a"), gone("b") }):client()
    assert.equal("nobody", client:call("GET", "k"))
  end)

  it("takes a host back that is up again, after retry_timeout", function()
    local a, b = support.redis(), support.redis({ databases = 2 })
    local client = start([[return nydus.router_class{ retryable = true, retry_timeout = 0.05,
      route = function(self) return { self.down_connections[2] and 1 or 2 } end,
      pre_route = function(self, attr, args, kwargs)
        self:check_down_connections()
        return self.super.pre_route(self, attr, args, kwargs)
      end }]], { a, b }):client()
    assert.equal("OK", client:call("SET", "k", "b"))
    assert.equal("b", b:call("GET", "k"))
    b:kill()
    support.wait_until(function() return client:call("SET", "k", "a") == "OK" end)
    assert.equal("a", a:call("GET", "k"))
    b:restart()
    support.wait_until(function()
      assert.equal("OK", client:call("SET", "k", "again"))
      return b:call("GET", "k") == "again"
    end)
  end)

  it("gives up what may have run and writes, and does not mix up several hosts", function()
    local a = support.redis()
    local fake = support.fake({ auto = { PING = "+PONG\r\n" } })
    local client = start([[return nydus.router_class{ retryable = true,
      route = function(self, attr, args, kwargs)
        if attr == "del" then return { 1, 2 } end
        return { kwargs.retry_for and 2 or 1 }
      end }]], { fake, a }):client()
    client:command("SET", "k", "v")
    fake:expect("SET k v")
    fake:close_link()
    assert.matches("the command may have run$", (client:read()).err)
    fake:down()
    support.wait_until(function() return client:call("GET", "k") == support.null end)
    local replies = client:call("DEL", "k")
    assert.matches("is down", replies[1].err)
    assert.equal(0, replies[2])
  end)

  it("refuses several hosts for a command that is routed again, as Nydus does", function()
    local client = start([[return nydus.router_class{ retryable = true,
      route = function(self, attr, args, kwargs) return kwargs.retry_for and { 2, 2 } or { 1 } end }]],
      { gone("a"), support.redis() }):client()
    assert.matches("^ERR router: .*Retryable router returned multiple DBs$", client:call("GET", "k").err)
  end)

  it("tries no more often than max_connection_retries", function()
    local client = start([[return nydus.router_class{ retryable = true, tried = 0,
      route = function(self, attr, args)
        if args[1] == "tried" then return nydus.reply(self.tried) end
        self.tried = self.tried + 1
        return { 1 }
      end }]], { gone("a") }, { max_connection_retries = 5 }):client()
    assert.matches("^ERR host a is down: ", client:call("GET", "k").err)
    assert.equal(6, client:call("GET", "tried"))
  end)

  it("routes the keys of one command each by itself, and all hosts get what has no key", function()
    local a, b = support.redis(), support.redis()
    local client = start([[return nydus.router_class{ retryable = true,
      route = function(self, attr, args, kwargs)
        local db = kwargs.req:hash("crc32") % #self.dbs + 1
        for i = 0, #self.dbs - 1 do
          local next_db = (db - 1 + i) % #self.dbs + 1
          if not self.down_connections[next_db] then return { next_db } end
        end
        error(self.HostListExhausted)
      end, post_route = function(self, attr, args, kwargs, dbs) return dbs end }]], { a, b, gone("c") }):client()
    local mset, mget, values = { "MSET" }, { "MGET" }, {}
    for i = 1, 60 do
      mset[2 * i], mset[2 * i + 1], mget[i + 1], values[i] = "k" .. i, tostring(i), "k" .. i, tostring(i)
    end
    assert.equal("OK", client:call(unpack(mset)))
    assert.same(values, client:call(unpack(mget)))
    assert.equal(60, a:call("DBSIZE") + b:call("DBSIZE"))
    assert.matches("is down", client:call("DBSIZE").err)
  end)
end)

describe("a router class that is not retryable", function()
  it("leaves failures as they are, and stands in a tree beside others", function()
    local a = support.redis()
    local nydus = start([[return nydus.prefix{
      ["once:"] = nydus.router_class{ route = function() return { 1 } end },
      ["again:"] = nydus.router_class{ retryable = true }, default = h[2] }]], { gone("a"), a })
    local client = nydus:client()
    assert.matches("^ERR host a is down: ", client:call("SET", "once:1", "x").err)
    assert.equal("OK", client:call("SET", "again:1", "x"))
    assert.equal("OK", client:call("SET", "k", "x"))
    local text = table.concat(client:call("NYDUS", "ROUTE", "SET", "again:1", "x"), "\n")
    assert.matches("Lua +retry by nydus.router_class", text)
  end)
end)
