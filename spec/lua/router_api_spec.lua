local script = require("support.script")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\")\n"

-- A script whose second line on is `body`; the answers to the commands.
local function routes(body, commands, options)
  options = options or {}
  options.router = HEAD .. body
  local s = script.new(options)
  local out = s:routes(commands, options.extra)
  s:close()
  return out
end

local function route(body, ...)
  return routes(body, { { ... } })[1]
end

-- What a function that returns `expression` as a reply says to a command.
local function value(expression, ...)
  local answer = route("return function(req) return nydus.reply(" .. expression .. ") end", ...)
  return (answer:gsub("^reply ", ""):gsub("\r\n", " "):gsub(" $", ""))
end

local function refused(body, options)
  options = options or {}
  options.router = HEAD .. body
  return script.refused(options)
end

describe("a router script", function()
  it("may return any target", function()
    for body, expected in pairs({
      ["return cluster.hosts[2]"] = "host b",
      ["local t = cluster:host('c') return t"] = "host c",
      ["return { cluster.hosts[1], cluster.hosts[3] }"] = "list [host a, host c]",
      ["return { cluster.hosts[1], { cluster.hosts[2], cluster.hosts[3] } }"] =
        "list [host a, list [host b, host c]]",
      ["return cluster.hosts"] = "list [host a, host b, host c]",
      ["return nydus.first{ cluster.hosts[3], cluster.hosts[1] }"] = "host c",
      ["return nydus.reply('hi')"] = "reply $2\r\nhi\r\n",
      ["return nydus.error('ERR no')"] = "reply -ERR no\r\n",
      ["return nydus.prefix{ ['us'] = cluster.hosts[1], ['user:'] = cluster.hosts[2] }"] = "host b",
      ["return nydus.prefix{ ['x'] = cluster.hosts[1], default = cluster.hosts[3] }"] = "host c",
      ["return nydus.prefix{ ['x'] = cluster.hosts[1] }"] = "none",
      ["return nydus.command{ GET = cluster.hosts[2], default = cluster.hosts[1] }"] = "host b",
      ["return nydus.command{ write = cluster.hosts[2], read = cluster.hosts[3] }"] = "host c",
      ["return nydus.command{ get = function(req) return cluster.hosts[2] end }"] = "host b",
      ["return { route = cluster.hosts[2] }"] = "host b",
      ["return function(req) return cluster.hosts[2] end"] = "host b",
      ["return { route = function(req) return { cluster.hosts[2], cluster.hosts[1] } end }"] =
        "list [host b, host a]",
      ["return function(req) return cluster.hosts end"] = "list [host a, host b, host c]",
      ["local f = function(req) return cluster.hosts[1] end return function(req) return f end"] = "host a",
      ["return function(req) return nydus.reply(req:key()) end"] = "reply $6\r\nuser:1\r\n",
      ["return function(req) return nydus.error('ERR x ' .. req:key()) end"] = "reply -ERR x user:1\r\n",
      ["local no = nydus.error('NO') return function(req) return no end"] = "reply -NO\r\n",
    }) do
      assert.equal(expected, route(body, "GET", "user:1"), body)
    end
  end)

  it("picks as the built-in routers of config.lua do", function()
    local commands = {}
    for i = 1, 200 do commands[i] = { "GET", "{" .. i % 50 .. "}key" .. i } end
    for _, name in ipairs({ "ketama", "modulus", "jump", "rendezvous", "slots" }) do
      local expected = routes("", commands, { name = name })
      assert.same(expected, routes("return nydus." .. name .. "(cluster)", commands))
      assert.same(expected, routes("local r = nydus." .. name ..
        "(cluster.hosts) return function(req) return r:pick(req:key()) end", commands))
    end
  end)

  it("may name other clusters, whichever comes first", function()
    local config = [[return { clusters = {
      main = { listen = ":1", router = "main.lua", hosts = { { port = 7001, identifier = "a" } } },
      zoo = { router = "zoo.lua", hosts = { { port = 7002, identifier = "z" } } },
    } }]]
    local files = { ["zoo.lua"] = "local c = ... return function() return c.hosts[1] end" }
    local out = routes("return nydus.prefix{ ['z:'] = nydus.cluster('zoo'), default = cluster.hosts[1] }",
      { { "GET", "z:1" }, { "GET", "b" } }, { config = config, files = files })
    assert.same({ "host z", "host a" }, out)
  end)

  it("gets its options, and modules beside config.lua", function()
    local out = routes("return require('lib.more')(cluster, options.which)", { { "GET", "k" } },
      { options = { which = 3 }, files = { ["lib/more.lua"] = "return function(c, i) return c.hosts[i] end" } })
    assert.same({ "host c" }, out)
  end)

  it("sees the hosts with the keys of config.lua", function()
    local config = [[return { listen = ":1", router = "main.lua", hosts = {
      [0] = { host = "10.0.0.1", port = 7001, db = 2, weight = 3, identifier = "a" },
      [1] = "unix:/tmp/x.sock", [7] = "10.0.0.3:7003" } }]]
    local out = routes([[
      local h = cluster.hosts
      return nydus.reply({ cluster.name, h[0].identifier, h[0].host, h[0].port, h[0].db, h[0].weight, h[0].key,
        tostring(h[0]), tostring(cluster), h[7].key, h[7].identifier, tostring(h[1].host) })]],
      { { "GET", "k" } }, { config = config:gsub("\"unix:/tmp/x.sock\"", "{ unix_socket_path = \"/tmp/x.sock\" }") })
    assert.equal("reply *12\r\n$4\r\nmain\r\n$1\r\na\r\n$8\r\n10.0.0.1\r\n:7001\r\n:2\r\n:3\r\n:0\r\n" ..
      "$6\r\nhost a\r\n" ..
      "$12\r\ncluster main\r\n:7\r\n$23\r\nredis://10.0.0.3:7003/0\r\n$3\r\nnil\r\n", out[1])
  end)
end)

describe("a built-in router in a script", function()
  it("takes the options that config.lua knows", function()
    local body = [[local r = nydus.modulus({ cluster.hosts[1], cluster.hosts[2] }, { hash = "crc16", compat = "redis",
      hash_tag = "{}" }) return { r:pick("{a}1"), r:pick("{a}2"), r:pick("{b}1") }]]
    local a, b = route(body, "GET", "k"):match("^list %[host (.), host (.), host .%]$")
    assert.equal(a, b)
  end)

  it("is refused with a reason", function()
    for body, expected in pairs({
      ["nydus.ketama()"] = "bad argument #1 to 'ketama' (a cluster or a list of its hosts is expected, got nil)",
      ["nydus.ketama(7)"] = "bad argument #1 to 'ketama' (a cluster or a list of its hosts is expected, got a number)",
      ["nydus.ketama({})"] = "bad argument #1 to 'ketama' (a cluster or a list of its hosts is expected, got a table)",
      ["nydus.ketama({ cluster.hosts[1], 3 })"] = "bad argument #1 to 'ketama' (item 2 is a number, not a host)",
      ["nydus.ketama({ cluster })"] = "bad argument #1 to 'ketama' (item 1 is cluster main, not a host)",
      ["nydus.ketama(cluster, 3)"] = "bad argument #2 to 'ketama' (a table of options is expected, got a number)",
      ["nydus.ketama(cluster, { hash = 'md6' })"] = "nydus.ketama: hash: ",
      ["nydus.ketama(cluster, { hsah = 'md5' })"] = "nydus.ketama: hsah: unknown field; did you mean 'hash'?",
      ["nydus.ketama(cluster):pick()"] = "bad argument #1 to 'pick' (a key is expected, got nil)",
      ["nydus.ketama(cluster).pick('k')"] = "write router:pick(key), with a colon",
    }) do
      local text = refused("local r = " .. body .. " return r")
      assert.equal("main.lua:2: " .. expected, text:sub(1, #expected + 12), body)
      text = refused("return " .. body) -- a tail call: the line is gone
      assert.equal("main.lua: " .. expected, text:sub(1, #expected + 10), body)
    end
  end)
end)

describe("nydus", function()
  it("refuses misuse at load, with file and line and what to do", function()
    for body, expected in pairs({
      [""] = "main.lua: it returns nothing; it has to end with `return` and a target",
      ["return 7"] = "main.lua: a target is expected (a host, a cluster, a router, a list, a reply or a function), " ..
        "got a number",
      ["return {}"] = "main.lua: an empty list",
      ["return { cluster.hosts[1], 3 }"] = "main.lua: item 2: a target is expected (a host, a cluster, a router, " ..
        "a list, a reply or a function), got a number",
      ["return { [1] = cluster, [3] = cluster }"] = "main.lua: a list with a gap",
      ["return { retry = function() end }"] = "main.lua: the hook 'route' is missing",
      ["return { ruote = cluster }"] = "main.lua: unknown hook 'ruote'; did you mean 'route'?",
      ["return tostring"] = "main.lua: a target is expected (a host, a cluster, a router, a list, a reply or a " ..
        "function), got a function of the Lua library",
      ["return cluster.hosts[9]"] = "main.lua:2: cluster main has no host with the key 9 (it has 1, 2, 3)",
      ["cluster.hosts[9] = 3"] = "main.lua:2: the hosts of a cluster cannot be changed",
      ["local t = cluster:host('d') return t"] = "main.lua:2: cluster main has no host 'd'; did you mean 'a'?",
      ["local t = cluster:host(9) return t"] = "main.lua:2: cluster main has no host with the key 9 (it has",
      ["local t = cluster:host() return t"] =
        "main.lua:2: bad argument #1 to 'host' (an identifier or a key is expected, got nil)",
      ["return cluster.hots"] = "main.lua:2: a cluster has no field 'hots'; did you mean 'host'?",
      ["cluster.name = 'x'"] = "main.lua:2: a cluster cannot be changed (field 'name')",
      ["return cluster.hosts[1].prot"] = "main.lua:2: a host has no field 'prot'; did you mean 'port'?",
      ["return cluster.hosts[1].id"] = "main.lua:2: a host has no field 'id'",
      ["cluster.hosts[1].id_ = 2"] = "main.lua:2: attempt to write to constant location",
      ["local t = nydus.cluster('mian') return t"] =
        "main.lua:2: nydus.cluster: there is no cluster 'mian'; did you mean 'main'?",
      ["local t = nydus.cluster() return t"] = "main.lua:2: bad argument #1 to 'cluster' (a name is expected, got nil)",
      ["local t = nydus.spilt{ cluster } return t"] = "main.lua:2: nydus.spilt: no such function; did you mean 'split'?",
      ["local t = nydus.stream(function() end) return t"] = "main.lua:2: nydus.stream: no such function",
      ["local t = nydus.ketama(cluster, { to = 3 }) return t"] =
        "main.lua:2: nydus.ketama: to: a table from hosts to targets is expected, got a number",
      ["local t = nydus.ketama({ cluster.hosts[1] }, { to = { [cluster.hosts[2]] = cluster } }) return t"] =
        "main.lua:2: nydus.ketama: to: host b is none of its hosts",
      ["local t = nydus.ketama(cluster, { to = { [cluster.hosts[2]] = 1 } }) return t"] =
        "main.lua:2: nydus.ketama: to: b: a target is expected",
      ["local t = nydus.replay('x') return t"] = "main.lua:2: nydus.replay: no such function; did you mean 'reply'?",
      ["nydus.reply = nil"] = "main.lua:2: nydus.reply: the module cannot be changed",
      ["local t = nydus.reply() return t"] =
        "main.lua:2: bad argument #1 to 'reply' (a string, number, list, nydus.null or " ..
        "nydus.status is expected, got nil)",
      ["local t = nydus.reply({ a = 1 }) return t"] =
        "main.lua:2: bad argument #1 to 'reply' (a list is expected, got a table " ..
        "with the key a)",
      ["local t = nydus.reply({ 1, nil, 3 }) return t"] =
        "main.lua:2: bad argument #1 to 'reply' (a list with a gap; " ..
        "nydus.null stands for nothing)",
      ["local t = {} t[1] = t local r = nydus.reply(t)"] = "main.lua:2: bad argument #1 to 'reply' (lists in lists, " ..
        "more than 32 deep)",
      ["local t = nydus.error('no such tenant') return t"] =
        "main.lua:2: nydus.error: an error begins with a word in " ..
        "capitals, as in \"ERR no such tenant\"",
      ["local t = nydus.error('ERR a\\nb') return t"] = "main.lua:2: nydus.error: an error is one line",
      ["local t = nydus.error() return t"] = "main.lua:2: bad argument #1 to 'error' (a string is expected, got nil)",
      ["local t = nydus.status('a\\nb') return t"] =
        "main.lua:2: bad argument #1 to 'status' (a string of one line is expected)",
      ["local t = nydus.prefix() return t"] =
        "main.lua:2: bad argument #1 to 'prefix' (a table of targets is expected, got nil)",
      ["local t = nydus.prefix{ cluster } return t"] = "main.lua:2: nydus.prefix: the key 1 is not a string",
      ["local t = nydus.prefix{ ['a'] = 1 } return t"] =
        "main.lua:2: nydus.prefix: a: a target is expected (a host, a cluster, " ..
        "a router, a list, a reply or a function), got a number",
      ["local t = nydus.command{ GTE = cluster } return t"] =
        "main.lua:2: nydus.command: there is no command 'GTE'; " ..
        "did you mean 'get'?",
      ["return cluster"] = "clusters.main.router: it leads back to itself through a cluster main",
      ["return nydus.prefix{ a = cluster }"] = "clusters.main.router: it leads back to itself through a prefix",
      ["error('no reason')"] = "main.lua:2: no reason",
      ["error({})"] = "main.lua: it raised a table, not a message",
      ["x = 1"] = "main.lua:2: assignment to the undeclared variable 'x', write: local x",
      ["return x"] = "main.lua:2: undefined variable 'x'",
      ["return ffi"] = "main.lua:2: undefined variable 'ffi'",
      ["return debug"] = "main.lua:2: undefined variable 'debug'",
      ["return _G"] = "main.lua:2: undefined variable '_G'",
      ["return collectgarbage()"] = "main.lua:2: undefined variable 'collectgarbage'",
      ["return setfenv(1, {})"] = "main.lua:2: undefined variable 'setfenv'",
      ["return getfenv(1)"] = "main.lua:2: undefined variable 'getfenv'",
      ["return os.exit()"] = "main.lua:2: attempt to call field 'exit' (a nil value)",
      ["return io.open('x')"] = "main.lua:2: undefined variable 'io'",
      ["local m = require('ffi')"] = "main.lua:2: module 'ffi' not found",
      ["return coroutine.yield()"] = "main.lua:2: undefined variable 'coroutine'",
      ["while true do end"] = "main.lua:2: stopped: it ran for more than 1 s",
      ["pcall(function() while true do end end) return cluster.hosts[1]"] = "stopped: it ran for more than 1 s",
      ["local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e6) .. i end"] = "not enough memory",
      ["return string.rep('x', 1e9)"] = "string.rep: 1000000000 bytes are too many (1048576 at most)",
      ["return ("] = "main.lua:2: unexpected symbol near '<eof>'",
      ["return load('return 1', 'x', 'b')()"] = "main.lua:2: attempt to call a nil value",
      ["local m = getmetatable('') m.__index = {}"] = "main.lua:2: attempt to index local 'm' (a nil value)",
    }) do
      local ok, text = pcall(refused, body)
      assert.is_true(ok, body .. " was accepted")
      assert.is_truthy(text:find(expected, 1, true), body .. "\n  expected " .. expected .. "\n  got      " .. text)
    end
  end)

  it("keeps what is made at load out of decisions", function()
    for name, call in pairs({
      ketama = "nydus.ketama(cluster)",
      prefix = "nydus.prefix{ a = cluster.hosts[1] }",
      command = "nydus.command{ get = cluster.hosts[1] }",
    }) do
      assert.equal(("error ERR router: main.lua:2: nydus.%s: make it at load, outside of the function that decides")
        :format(name), (route("return function(req) return " .. call:gsub("^return ", "") .. ", nil end", "GET", "k")))
    end
  end)
end)

describe("req", function()
  it("tells what the command is", function()
    for expression, expected in pairs({
      ["req.command"] = "$3 set",
      ["req.write"] = ":1",
      ["req.read"] = "$-1",
      ["req.admin"] = "$-1",
      ["req.blocking"] = "$-1",
      ["req.pubsub"] = "$-1",
      ["req.argc"] = ":3",
      ["req.nkeys"] = ":1",
      ["req.size"] = ":34",
      ["req.db"] = ":0",
      ["req.attempt"] = ":0",
      ["req:key()"] = "$8 {user}:1",
      ["req:key(1)"] = "$8 {user}:1",
      ["tostring(req:key(2))"] = "$3 nil",
      ["tostring(req:key(0))"] = "$3 nil",
      ["tostring(req:key(0/0))"] = "$3 nil",
      ["tostring(req:arg(0/0))"] = "$3 nil",
      ["tostring(req:key(1/0))"] = "$3 nil",
      ["tostring(req:arg(2^32))"] = "$3 nil",
      ["req:arg(0)"] = "$3 SET",
      ["req:arg(2)"] = "$1 v",
      ["tostring(req:arg(3))"] = "$3 nil",
      ["tostring(req:arg(-1))"] = "$3 nil",
      ["req:prefix('{user}:')"] = ":1",
      ["req:prefix('')"] = ":1",
      ["req:prefix('user')"] = "$-1",
      ["req:prefix('{user}:1x')"] = "$-1",
      ["req:upto(':')"] = "$6 {user}",
      ["req:upto('{')"] = "$0 ",
      ["tostring(req:upto('z'))"] = "$3 nil",
      ["req:number()"] = ":1",
      ["tostring(req:number(8))"] = "$3 nil",
      ["req:number(7)"] = ":1",
      ["tostring(req:number(0/0))"] = "$3 nil",
      ["tostring(req:number(-1))"] = "$3 nil",
      ["tostring(req:number(2^40))"] = "$3 nil",
      ["req:tag()"] = "$4 user",
      ["tostring(req.client)"] = "$3 nil",
      ["tostring(req)"] = "$11 request set",
    }) do
      assert.equal(expected, value(expression, "SET", "{user}:1", "v"), expression)
    end
  end)

  it("hashes keys as the hash functions do", function()
    local lib = require("support").lib()
    require("support").header("base/hash.h")
    local kind = require("ffi").new("enum hash_kind[1]")
    for _, name in ipairs({ "crc32", "md5", "fnv1a_64", "murmur", "crc16", "xxh64", "jenkins" }) do
      assert.is_true(lib.hash_kind_parse(name, kind))
      local number = lib.hash_key(kind[0], 0, "foo", 3)
      assert.equal((":%d"):format(tonumber(number)), value("req:hash('" .. name .. "')", "GET", "foo"))
    end
    assert.equal(value("req:hash('crc32')", "GET", "foo"), value("req:hash()", "GET", "foo"))
  end)

  it("knows the class of a command", function()
    for command, expected in pairs({
      ["GET k"] = "*5 :1 $-1 $-1 $-1 $-1",
      ["DEL k"] = "*5 $-1 :1 $-1 $-1 $-1",
      ["EVAL x 0"] = "*5 $-1 :1 $-1 $-1 $-1",
      ["BLPOP k 0"] = "*5 $-1 :1 $-1 :1 $-1",
      ["PUBLISH k v"] = "*5 $-1 :1 $-1 $-1 :1",
    }) do
      local words = {}
      for word in command:gmatch("%S+") do words[#words + 1] = word end
      assert.equal(expected, value("{ req.read, req.write, req.admin, req.blocking, req.pubsub }", unpack(words)))
    end
  end)

  it("finds all keys of a command with several", function()
    assert.equal("*4 :3 $1 a $1 b $1 c",
      value("{ req.nkeys, req:key(1), req:key(2), req:key(3) }", "SUNION", "a", "b", "c"))
    assert.equal("*3 :2 $1 y $3 nil",
      value("{ req.nkeys, req:key(2), tostring(req:key(3)) }", "EVAL", "s", "2", "x", "y", "z"))
  end)

  it("has empty answers for a command without a key", function()
    assert.equal("*6 :0 $3 nil $5 false $3 nil $3 nil :0",
      value("{ req.nkeys, tostring(req:key()), tostring(req:prefix('')), tostring(req:upto(':')), " ..
        "tostring(req:tag()), req:hash() }", "DBSIZE"))
  end)

  it("passes any bytes, and keys of any size", function()
    local key = "a\0b\r\n\255" .. ("k"):rep(300000)
    assert.equal("$" .. #key .. "\r\n" .. key .. "\r\n",
      (route("return function(req) return nydus.reply(req:key()) end", "GET", key):gsub("^reply ", "")))
    assert.equal(":1", value("req:prefix('a\\0b\\r\\n\\255')", "GET", key))
    assert.equal("$3 a\0b", value("req:upto('\\r')", "GET", key))
  end)

  it("refuses misuse with the script's line", function()
    for expression, expected in pairs({
      ["req:prefix()"] = "bad argument #1 to 'prefix' (a string is expected, got nil)",
      ["req:prefix(3)"] = "bad argument #1 to 'prefix' (a string is expected, got number)",
      ["req:upto('')"] = "bad argument #1 to 'upto' (one character is expected, got 0)",
      ["req:upto('ab')"] = "bad argument #1 to 'upto' (one character is expected, got 2)",
      ["req:arg('x')"] = "bad argument #1 to 'arg' (a number is expected, got string)",
      ["req:key('x')"] = "bad argument #1 to 'key' (a number is expected, got string)",
      ["req:number('x')"] = "bad argument #1 to 'number' (a number is expected, got string)",
      ["req:hash('md6')"] = "bad argument #1 to 'hash' (there is no hash function 'md6'; did you mean 'md5'?)",
      ["req.comand"] = "a request has no field 'comand'; did you mean 'command'?",
      ["req.prefix('x')"] = "this is no request: write req:method(…), with a colon",
      ["req.client.id"] = "attempt to index field 'client' (a nil value)",
      ["req[1]"] = "size of C type is unknown or too large",
      ["req + 1"] = "attempt to perform arithmetic on 'struct nydus_req *' and 'number'",
    }) do
      local body = "return function(req)\nlocal x = " .. expression .. " return cluster.hosts[1] end"
      local answer = route(body, "GET", "k")
      assert.equal("error ERR router: main.lua:3: " .. expected, answer, expression)
    end
    assert.equal("error ERR router: main.lua:2: a request cannot be changed (field 'db')",
      route("return function(req) req.db = 3 end", "GET", "k"))
  end)
end)
