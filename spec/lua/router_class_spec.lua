-- nydus.router_class: what routers of the Python toolkit Nydus do, by the cases of its own specs.

local script = require("support.script")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\") local h = cluster.hosts\n"

-- Five hosts, 0 to 4, called h0 to h4, as there.
local CONFIG = "return { listen = ':1', router = 'main.lua', hosts = {\n"
for i = 0, 4 do
  CONFIG = CONFIG .. ("[%d] = { host = '127.0.0.1', port = %d, identifier = 'h%d' },\n"):format(i, 7000 + i, i)
end
CONFIG = CONFIG .. "} }"

local ALL = "list [host h0, host h1, host h2, host h3, host h4]"

local function routes(body, commands)
  local s = script.new({ config = CONFIG, router = HEAD .. body })
  local out = s:routes(commands)
  s:close()
  return out
end

local function route(body, ...)
  return routes(body, { { ... } })[1]
end

-- The answers to GETs of these keys.
local function gets(class, keys)
  local commands = {}
  for i, key in ipairs(keys) do commands[i] = { "GET", key } end
  return routes("return nydus.router_class" .. class, commands)
end

describe("a router class without methods", function()
  it("names every host, with a key and without", function()
    assert.equal(ALL, route("return nydus.router_class{}", "GET", "foo"))
    assert.equal(ALL, route("return nydus.router_class{}", "DBSIZE"))
  end)

  it("is not retried", function()
    assert.equal("reply $5\r\nfalse\r\n", route([[return nydus.router_class{
      route = function(self) return nydus.reply(tostring(self.retryable)) end }]], "GET", "foo"))
  end)
end)

describe("the order of the methods", function()
  it("is setup, once; pre_route, route, post_route for each command", function()
    local out = gets([[{
      setup = function(self) self.log = { "setup" } return true end,
      pre_route = function(self, attr, args, kwargs) self.log[#self.log + 1] = "pre " .. attr .. " " .. args[1] end,
      route = function(self, attr, args, kwargs) self.log[#self.log + 1] = "route " .. kwargs.key return { 3 } end,
      post_route = function(self, attr, args, kwargs, dbs)
        self.log[#self.log + 1] = "post " .. dbs[1]
        return args[1] == "log" and nydus.reply(table.concat(self.log, ", ")) or dbs
      end }]], { "a", "log" })
    assert.equal("host h3", out[1])
    assert.equal("setup, pre get a, route a, post 3, pre get log, route log, post 3", out[2]:match("\n(.*)\r\n$"))
  end)

  it("asks a setup again that said false, and refuses until then", function()
    local out = gets("{ setup = function(self) self.n = (self.n or 0) + 1 return self.n > 2 end }", { "a", "b", "c" })
    assert.equal("reply -ERR UnableToSetupRouter: the router of cluster main is not ready\r\n", out[1])
    assert.same({ ALL, ALL }, { out[2], out[3] })
  end)

  it("lets pre_route give other arguments, or a key to a command that has none", function()
    local body = [[return nydus.router_class{
      pre_route = function(self, attr, args, kwargs)
        if attr == "dbsize" then return {}, { key = "3" } end
        if args[2] == "no" then return {}, {} end
        return { args[1]:sub(3) }, { key = args[1]:sub(3) }
      end,
      route = function(self, attr, args, kwargs) return { kwargs.key } end }]]
    assert.same({ "host h2", "host h3", ALL }, routes(body, { { "GET", "x:2" }, { "DBSIZE" }, { "SET", "k", "no" } }))
  end)

  it("gives every argument of a short command", function()
    assert.equal("reply $12\r\nset k v EX 9\r\n", route([[return nydus.router_class{
      route = function(self, attr, args) return nydus.reply(attr .. " " .. table.concat(args, " ")) end }]],
      "SET", "k", "v", "EX", "9"))
    local long = { "RPUSH", "k" }
    for i = 3, 1000 do long[i] = ("x"):rep(100 * (i % 3)) end
    long[7] = ("y"):rep(100000)
    assert.equal("reply *2\r\n:128\r\n:65536\r\n", routes([[return nydus.router_class{
      route = function(self, attr, args) return nydus.reply({ #args, #args[6] }) end }]], { long })[1])
  end)

  it("hands what route raises to on_error, which raises it again or names hosts", function()
    local failing = "route = function() error('oh', 0) end"
    assert.same({ "error ERR router: oh" }, gets("{ " .. failing .. " }", { "a" }))
    assert.same({ "host h2" }, gets("{ " .. failing .. ", on_error = function(self, e) return { #e } end }", { "a" }))
    assert.same({ "none" }, gets("{ " .. failing .. ", on_error = function(self, e) end }", { "a" }))
    assert.same({ "error ERR router: oh dear" },
      gets("{ " .. failing .. ", on_error = function(self, e) error(e .. ' dear', 0) end }", { "a" }))
  end)

  it("takes hosts by key, as themselves, in lists, and other targets", function()
    for value, expected in pairs({
      ["{ 2 }"] = "host h2", ["2"] = "host h2", ["{ '2' }"] = "host h2", ["h[2]"] = "host h2",
      ["{ 0, 3 }"] = "list [host h0, host h3]", ["{ h[1], '4' }"] = "list [host h1, host h4]",
      ["{}"] = "none", ["nil"] = "none", ["self.dbs"] = ALL, ["h"] = ALL,
      ["nydus.error('NO')"] = "reply -NO\r\n", ["function() return h[4] end"] = "host h4",
      ["{ 9 }"] = "error ERR router: main.lua:2: InvalidDBNum: cluster main has no host with the key 9 " ..
        "(it has 0, 1, 2, 3, 4)",
      ["true"] = "error ERR router: main.lua:2: returned a boolean, not a target",
    }) do
      assert.equal(expected, gets("{ route = function(self) return " .. value .. " end }", { "k" })[1], value)
    end
  end)

  it("is as a function's in a tree: nil leads to the default above", function()
    assert.equal("host h1", route([[return nydus.prefix{ ["a:"] = nydus.router_class{ route = function() end },
      default = h[1] }]], "GET", "a:1"))
  end)
end)

-- A class whose route does what a key says before it goes on as the one of Nydus.
local DRIVEN = [[{ retryable = true, %s
  route = function(self, attr, args, kwargs)
    local word, db = args[1]:match("^(%%a+) ?(%%w*)$")
    if word == "down" then self:mark_connection_down(db) return nydus.reply("done") end
    if word == "up" then self:mark_connection_up(db) return nydus.reply("done") end
    if word == "check" then self:check_down_connections() return nydus.reply("done") end
    if word == "flush" then self:flush_down_connections() return nydus.reply("done") end
    if word == "attempts" then return nydus.reply(self.get_db_attempts) end
    if word == "list" then
      local dbs = {}
      for db in pairs(self.down_connections) do dbs[#dbs + 1] = db end
      table.sort(dbs)
      return nydus.reply(table.concat(dbs, " "))
    end
    return self.super.route(self, attr, args, kwargs)
  end }]]

local function driven(keys, fields)
  local out = gets(DRIVEN:format(fields or ""), keys)
  local short = {}
  for i, answer in ipairs(out) do
    short[i] = answer:match("^host h(%d)$") or answer:match("^reply %$%d+\r\n(.*)\r\n$") or answer:match("^reply (:%d+)") or
      answer:gsub("^reply ", ""):gsub("\r\n$", "")
  end
  return table.concat(short, ", ")
end

describe("a router class that is retryable", function()
  it("has Nydus's numbers", function()
    assert.equal("reply *3\r\n:1\r\n:30\r\n:100000\r\n", route([[return nydus.router_class{ retryable = true,
      route = function(self)
        return nydus.reply({ self.retryable, self.retry_timeout, self.attempt_reconnect_threshold })
      end }]], "GET", "k"))
  end)

  it("goes through the hosts in turn", function()
    assert.equal("0, 1, 2, 3, 4, 0, 1, 2, 3, 4", driven({ "k", "k", "k", "k", "k", "k", "k", "k", "k", "k" }))
    assert.equal(ALL, route("return nydus.router_class{ retryable = true }", "DBSIZE"))
  end)

  it("passes over hosts that are marked down, named by key, as text or as themselves", function()
    assert.equal("done, 1, 2, 3, 4, 1", driven({ "down 0", "k", "k", "k", "k", "k" }))
    assert.equal("done, done, 0 3, done, 3, 0, 1, 2, 4, 0",
      driven({ "down 0", "down 3", "list", "up 0", "list", "k", "k", "k", "k", "k" }))
    assert.same({ "host h1" }, gets([[{ retryable = true, setup = function(self) self:mark_connection_down(h[0]) end }]],
      { "k" }))
  end)

  it("raises HostListExhausted when all are down, in Nydus's word", function()
    local keys = { "down 0", "down 1", "down 2", "down 3", "down 4", "k", "up 2", "k" }
    assert.equal("done, done, done, done, done, " ..
      "-ERR HostListExhausted: no host of cluster main is up (5 of 5 are down), done, 2", driven(keys))
  end)

  it("tries a host again after retry_timeout, and marks it up when it was chosen", function()
    assert.equal("done, 0, 0, ", driven({ "down 0", "list", "k", "list" }, "retry_timeout = 0,"))
  end)

  it("flushes and checks on demand", function()
    assert.equal("done, done, 0 1, done, , :0",
      driven({ "down 0", "down 1", "list", "flush", "list", "attempts" }, "pre_route = function() end,"))
    assert.equal("done, done, 0", driven({ "down 0", "check", "list" }))
    assert.equal("done, done, ", driven({ "down 0", "check", "list" }, "retry_timeout = 0,"))
  end)

  it("counts the routes, and looks at hosts that are down when they are more than the threshold", function()
    assert.equal(":1, :2, :3", driven({ "attempts", "attempts", "attempts" }))
    assert.equal("done, 0, 0, ", driven({ "down 0", "list", "list", "list" },
      "retry_timeout = 0, attempt_reconnect_threshold = 3,"))
    assert.equal("done, 0, 0, 0", driven({ "down 0", "list", "list", "list" }, "attempt_reconnect_threshold = 1,"))
  end)

  it("refuses numbers that name no host", function()
    for _, db in ipairs({ "a", "9", "0x", "" }) do
      assert.matches("ERR router: main.lua:5: InvalidDBNum: cluster main has no host with the key " .. db,
        driven({ "down " .. db }))
    end
  end)

  it("may be told otherwise by methods of its own, and has other fields", function()
    assert.same({ "host h2" }, gets([[{ retryable = true, first = 2,
      mark_connection_down = function(self, db) self.super.mark_connection_down(self, db) self.first = 2 end,
      setup = function(self) self:mark_connection_down(0) end,
      route = function(self) return { self:pick() } end,
      pick = function(self) return self.down_connections[0] and self.first or 0 end }]], { "k" }))
  end)

  it("counts each instance by itself", function()
    local body = [[local class = { retryable = true }
      return nydus.prefix{ ["a:"] = nydus.router_class(class), ["b:"] = nydus.router_class(class) }]]
    assert.same({ "host h0", "host h1", "host h0", "host h2" },
      routes(body, { { "GET", "a:" }, { "GET", "a:" }, { "GET", "b:" }, { "GET", "a:" } }))
  end)
end)

describe("nydus.router_class", function()
  it("refuses what is no class, at the line", function()
    for given, expected in pairs({
      ["()"] = "a table of methods is expected, got nil",
      ["(cluster)"] = "a table of methods is expected, got cluster main",
      ["{ rout = function() end }"] = "unknown field 'rout'; did you mean 'route'?",
      ["{ route = h[1] }"] = "route: a function is expected, got host h1",
      ["{ retryable = 1 }"] = "retryable: true or false is expected, got a number",
      ["{ retry_timeout = -1 }"] = "retry_timeout: a number is expected (0 or more), got -1",
      ["{ retry_timeout = 0/0 }"] = "retry_timeout: a number is expected (0 or more), got nan",
      ["{ attempt_reconnect_threshold = '3' }"] = "attempt_reconnect_threshold: a number is expected (0 or more), got 3",
      ["{ cluster = 'main' }"] = "cluster: a cluster is expected, got a string",
      ["{ function() end }"] = "unknown field '1'",
    }) do
      local text = script.refused({ config = CONFIG, router = HEAD .. "local t = nydus.router_class" .. given ..
        " return t" })
      text = text:gsub("%-nan", "nan")
      expected = "main.lua:2: nydus.router_class: " .. expected
      assert.equal(expected, text:sub(1, #expected), given)
    end
    assert.matches("^no host here$", script.refused({ config = CONFIG, router = HEAD ..
      "return nydus.router_class{ setup = function() error('no host here', 0) end }" }))
    assert.same({ "error ERR router: main.lua:2: nydus.router_class: make it at load, outside of the function that " ..
      "decides" }, routes("return function() local t = nydus.router_class{} return t end", { { "GET", "k" } }))
  end)
end)
