-- SPDX-License-Identifier: Apache-2.0
local bundle = require("nydus.bundle")
local config = require("nydus.config")
local ffi = require("ffi")
local schema = require("nydus.config.schema")
local support = require("support")

local HOSTS = 'hosts = { "127.0.0.1:6379" }'

-- What rules of users may name.
local function rule_names()
  support.header("resp/command.h")
  local C, names = support.lib(), { commands = {}, categories = {} }
  for row = 0, tonumber(C.command_count()) - 1 do
    names.commands[row + 1] = ffi.string(C.command_row(row).name)
  end
  local bit = 0
  while C.command_category_name(bit) ~= nil do
    names.categories[bit + 1] = ffi.string(C.command_category_name(bit))
    bit = bit + 1
  end
  return names
end
local NAMES = rule_names()

local function load(text, files, options)
  files = files or {}
  options = options or {}
  options.names = NAMES
  files["config.lua"] = text
  return config.load(bundle.of(files), "config.lua", options)
end

local function good(...)
  local result, problems = load(...)
  assert(result, problems and table.concat(problems, "\n"))
  return result
end

local function bad(...)
  local result, problems = load(...)
  assert.is_nil(result)
  return problems
end

-- One cluster in the short form, which listens and has a host unless the text says otherwise.
local function short(text)
  local listen = text:find("listen =", 1, true) and "" or "listen = 6380, "
  local hosts = text:find("hosts =", 1, true) and "" or HOSTS .. ", "
  return "return { " .. listen .. hosts .. text .. " }"
end

local function cluster_of(text, files)
  return good(short(text), files).clusters[1]
end

local function host_of(text)
  return cluster_of("hosts = { " .. text .. " }").hosts[1]
end

-- Field or value in the short form -> the problem, less "config.lua: ".
local BAD = {
  -- the top level
  { "workers = 0", 'workers: 0 is not "auto" or a whole number from 1 to 1024' },
  { "workers = 1.5", 'workers: 1.5 is not "auto" or a whole number from 1 to 1024' },
  { 'workers = "4"', 'workers: "4" is not "auto" or a whole number from 1 to 1024; '
    .. "it is a text, tonumber() makes it a number" },
  { "workers = 1/0", 'workers: inf is not "auto" or a whole number from 1 to 1024' },
  { "router_memory = -1",
    'router_memory: -1 is not a size from 1mb to 64gb (a number of bytes, or a text like "64mb")' },
  { 'router_memory = "64m"',
    'router_memory: "64m" is not a size from 1mb to 64gb (a number of bytes, or a text like "64mb")' },
  { "router_memory = 0/0",
    'router_memory: nan is not a size from 1mb to 64gb (a number of bytes, or a text like "64mb")' },
  { 'router_memory = "99999999999999999999gb"',
    'router_memory: "99999999999999999999gb" is not a size from 1mb to 64gb '
    .. '(a number of bytes, or a text like "64mb")' },
  { "log = 3", 'log: 3 is not a table like { level = "info" }' },
  { 'log = { level = "warning" }',
    "log.level: \"warning\" is not one of debug, info, warn, error" },
  { 'log = { level = "wran" }',
    "log.level: \"wran\" is not one of debug, info, warn, error; did you mean 'warn'?" },
  { "log = { file = false }", "log.file: false is not a text" },
  { 'log = { file = "" }', "log.file: it is empty; leave it out, or is an environment variable not set?" },
  { 'log = { lvel = "info" }', "log.lvel: unknown field; did you mean 'level'?" },
  { 'admin = "127.0.0.1:6390"', "admin: unknown field" },
  { "[1] = 5", "[1]: unknown field" },
  { "[{}] = 5", "[a table]: unknown field" },
  { '["a b"] = 5', '["a b"]: unknown field' },
  { 'ruoter = "ketama"', "ruoter: unknown field; did you mean 'router'?" },
  { "timeout = 3", "timeout: unknown field; it is an option of hosts, write it into defaults" },
  -- who may log in, and what may be run
  { 'password = ""', "password: it is empty; is an environment variable not set?" },
  { "password = 1234", "password: a number is not a password" },
  { "password = false", "password: a boolean is not a password" },
  { 'password = "sha256:abcd"', 'password: behind "sha256:" there have to be 64 hexadecimal digits' },
  { 'password = ("x"):rep(16385)', "password: it is longer than 16384 bytes" },
  { 'password = "a\\0b"', "password: it has a NUL byte" },
  { "users = {}", "users: empty; leave it out, or nobody could log in" },
  { 'users = "ann"', 'users: "ann" is not a table of users ({ name = { password = … } })' },
  { "users = { ann = {} }", "users.ann.password: missing; nobody could log in" },
  { "users = { ann = { password = false } }", "users.ann.password: a boolean is not a password" },
  { "users = { default = {} }",
    "users.default.password: missing; give one, or false so that clients need none" },
  { 'password = "a", users = { default = { password = "b" } }',
    "users.default.password: given here and for the whole cluster, keep one of them" },
  { 'password = "a", users = { default = { password = false } }',
    "users.default.password: given here and for the whole cluster, keep one of them" },
  { 'users = { ["a b"] = { password = "x" } }',
    'users["a b"]: the name of a user is up to 128 characters without spaces' },
  { "users = { ann = 3 }",
    "users.ann: 3 is not a user ({ password = …, commands = { … }, keys = { … } })" },
  { 'users = { ann = { password = "x", pasword = "y" } }',
    "users.ann.pasword: unknown field; did you mean 'password'?" },
  { 'users = { ann = { password = "x", commands = "+@all" } }',
    'users.ann.commands: "+@all" is not a list of rules; write it into braces: { "…" }' },
  { 'users = { ann = { password = "x", commands = { "get" } } }',
    'users.ann.commands[1]: "get" is not a rule; write "+…" to allow, "-…" to forbid' },
  { 'users = { ann = { password = "x", commands = { "+gte" } } }',
    "users.ann.commands[1]: \"gte\" is not a command; did you mean 'get'?" },
  { 'users = { ann = { password = "x", commands = { "+config|gett" } } }',
    "users.ann.commands[1]: \"config|gett\" is not a command; did you mean 'config|get'?" },
  { 'users = { ann = { password = "x", commands = { "+get", "-@raed" } } }',
    "users.ann.commands[2]: \"@raed\" is not a category of commands; did you mean '@read'?" },
  { 'users = { ann = { password = "x", commands = { "+read" } } }',
    "users.ann.commands[1]: \"read\" is not a command; did you mean '@read'?" },
  { 'users = { ann = { password = "x", commands = { 7 } } }',
    'users.ann.commands[1]: 7 is not a rule like "+@read" or "-keys"' },
  { 'users = { ann = { password = "x", commands = { a = "+get" } } }',
    "users.ann.commands.a: a list has the keys 1, 2, 3 and so on" },
  { 'users = { ann = { password = "x", keys = { "~user:*" } } }',
    'users.ann.keys[1]: "~user:*" begins as in ACL SETUSER; write only the pattern, as in "user:*"' },
  { 'users = { ann = { password = "x", keys = { "" } } }',
    'users.ann.keys[1]: "" is not a pattern like "user:*"' },
  { 'deny = { "-get" }', 'deny[1]: "-get" has a sign; name what is denied, as in "flushall"' },
  { 'deny = { "flusall" }', "deny[1]: \"flusall\" is not a command; did you mean 'flushall'?" },
  { 'deny = { "AUTH" }', 'deny[1]: "AUTH" cannot be denied: it is needed to log in and to leave' },
  { 'deny = "keys"', 'deny: "keys" is not a list of commands; write it into braces: { "…" }' },
  -- listen
  { 'listen = "127.0.0.1"', 'listen: "127.0.0.1" is not an address to listen on: there is no port' },
  { 'listen = "127.0.0.1:0"',
    'listen: "127.0.0.1:0" is not an address to listen on: what follows the colon is not a port (1-65535)' },
  { "listen = 70000",
    "listen: 70000 is not an address to listen on: what follows the colon is not a port (1-65535)" },
  { 'listen = "::1:6380"',
    'listen: "::1:6380" is not an address to listen on: an IPv6 address needs brackets, as in [::1]:6380' },
  { 'listen = "[::g]:6380"',
    'listen: "[::g]:6380" is not an address to listen on: what stands in the brackets is not an IPv6 address' },
  { 'listen = "[::1]6380"',
    'listen: "[::1]6380" is not an address to listen on: only :port can follow the bracket' },
  { 'listen = "256.0.0.1:6380"',
    'listen: "256.0.0.1:6380" is not an address to listen on: the host is neither a name nor an address' },
  { 'listen = "a b:6380"',
    'listen: "a b:6380" is not an address to listen on: the host is neither a name nor an address' },
  { 'listen = "/run/x.sock"',
    'listen: "/run/x.sock" is not an address to listen on: write a unix socket as "unix:/path"' },
  { 'listen = "unix:"', 'listen: "unix:" is not an address to listen on: the path is empty' },
  { 'listen = "unix:/" .. ("x"):rep(107)', 'listen: "unix:/' .. ("x"):rep(54)
    .. '..." is not an address to listen on: the path is longer than 107 bytes' },
  { 'listen = "unix:/a\\0b"',
    'listen: "unix:/a\\0b" is not an address to listen on: the path has a NUL byte' },
  { 'listen = { 6380, "x" }', 'listen[2]: "x" is not an address to listen on: there is no port' },
  { "listen = { [2] = 6380 }", "listen[2]: a list of addresses has the keys 1, 2, 3 and so on" },
  { 'listen = { 6380, ":6380" }', "listen[2]: :6380 is taken already by listen[1]" },
  { 'listen = { 6380, "[0::0]:6380" }', "listen[2]: [0::0]:6380 is taken already by listen[1]" },
  { 'listen = { "127.0.0.1:1", "localhost:1" }', "listen[2]: localhost:1 is taken already by listen[1]" },
  { "listen = true", "listen: true is not an address to listen on: expected a text like "
    .. '"127.0.0.1:6380", ":6380", "[::1]:6380" or "unix:/path"' },
  { "listen = {}", 'nothing to listen on; give a cluster listen = "127.0.0.1:6380"' },
  -- engine
  { 'engine = "redis_cluster"', 'engine: "redis_cluster" is not supported yet (only "redis" is)' },
  { 'engine = "redis_sentinel"', 'engine: "redis_sentinel" is not supported yet (only "redis" is)' },
  { 'engine = "memcached"', 'engine: "memcached" is not an engine (only "redis" is)' },
  { "engine = {}", 'engine: a table is not an engine (only "redis" is)' },
  -- router
  { 'router = "ketma"',
    "router: \"ketma\" is not a router; did you mean 'ketama'? (there are all, first, jump, ketama, "
    .. "least_pending, modulus, random, rendezvous, round_robin, slots, and scripts that end in .lua)" },
  { "router = function() end",
    'router: a function is not a router; put it into a file: router = "routers/mine.lua"' },
  { "router = 5", "router: 5 is not the name of a router or of a script" },
  { 'router = { hash = "md5" }',
    'router: the name of a router or of a script comes first, as in { "ketama", … }' },
  { 'router = { "ketama", hash = "md6" }',
    'router.hash: "md6" is not one of crc16, crc32, crc32a, fnv1_32, fnv1_64, '
    .. "fnv1a_32, fnv1a_64, hsieh, jenkins, md5, murmur, one_at_a_time, xxh64; did you mean 'md5'?" },
  { 'router = { "ketama", hash_tag = "{" }', 'router.hash_tag: "{" is not two characters, as in "{}"' },
  { 'router = { "ketama", compat = "memcached" }',
    'router.compat: "memcached" is not one of nydus, twemproxy, redis' },
  { 'router = { "ketama", hsah = "md5" }', "router.hsah: unknown field; did you mean 'hash'?" },
  { 'router = { "ketama", 5 }', "router[2]: unknown field" },
  { 'router = { "ketama", eject = 1 }', "router.eject: 1 is not true or false" },
  { 'router = { "ketama", eject = true }, eject = true',
    "eject: given here and in router, keep one of them" },
  { 'router = { "round_robin", hash = "md5" }', "router.hash: it has no meaning for the router round_robin" },
  { 'router = { "all", eject = true }', "router.eject: it has no meaning for the router all" },
  { "eject = true", "eject: it has no meaning for the router all" },
  { 'router = { "jump", compat = "twemproxy" }', "router.compat: twemproxy has no router jump" },
  { 'router = { "slots", hash = "md5" }', 'router.hash: the router slots has "crc16" and no other' },
  { 'router = "routers/mine.lua"', "router: routers/mine.lua: not among the files that were read at load" },
  { 'router = setmetatable({ "ketama" }, {})',
    "router: a table with a metatable is not a table of a router and its options" },
  -- hosts
  { "hosts = nil, router = 'all'", "hosts: missing; a cluster needs at least one host" },
  { "hosts = {}", "hosts: empty; a cluster needs at least one host" },
  { 'hosts = "127.0.0.1:6379"', 'hosts: "127.0.0.1:6379" is not a list of hosts' },
  { "hosts = { a = {} }", "hosts.a: the key of a host is a whole number from 0 on" },
  { "hosts = { [1.5] = {} }", "hosts[1.5]: the key of a host is a whole number from 0 on" },
  { "hosts = { [-1] = {} }", "hosts[-1]: the key of a host is a whole number from 0 on" },
  { "hosts = { 6379 }",
    'hosts[1]: 6379 is not a host ({ host = …, port = … }, a redis:// URL or "host:port")' },
  { "hosts = (function() local t = {} for i = 1, 65537 do t[i] = {} end return t end)()",
    "hosts: 65537 hosts are too many (65536 at most)" },
  { "hosts = { { weight = 1000000 }, { weight = 1000000 } }",
    "hosts: the weights add up to 2000000 (1048576 at most)" },
  { "hosts = (function() local t = {} t[1] = t return t end)()", "hosts[1][1]: unknown field" },
  { "hosts = setmetatable({}, { __index = error })",
    "hosts: a table with a metatable is not a list of hosts" },
  { "hosts = { [0] = {}, [1] = { port = 70000 } }", "hosts[1].port: 70000 is not a port (1-65535)" },
  { 'hosts = { { port = "6379" } }',
    'hosts[1].port: "6379" is not a port (1-65535); it is a text, tonumber() makes it a number' },
  { "hosts = { { prot = 1 } }", "hosts[1].prot: unknown field; did you mean 'port'?" },
  { "hosts = { { replicas = {} } }", "hosts[1].replicas: unknown field" },
  { "hosts = { { tls = true } }", "hosts[1].tls: unknown field" },
  { 'hosts = { { host = "" } }', 'hosts[1].host: "" is not a host name or an address' },
  { 'hosts = { { host = "10.0.0.1:6379" } }',
    'hosts[1].host: "10.0.0.1:6379" is not a host; the port is a field of its own' },
  { 'hosts = { { host = "redis://u:hunter2@h" } }',
    'hosts[1].host: "redis://***@h" is not a host; write a URL in place of the whole { … }' },
  { "hosts = { { db = -1 } }", "hosts[1].db: -1 is not a whole number from 0 to 2147483647" },
  { "hosts = { { db = 2^31 } }", "hosts[1].db: 2147483648 is not a whole number from 0 to 2147483647" },
  { "hosts = { { timeout = 0 } }", "hosts[1].timeout: 0 is not a time in seconds above 0 and up to 3600" },
  { "hosts = { { timeout = 0/0 } }",
    "hosts[1].timeout: nan is not a time in seconds above 0 and up to 3600" },
  { "hosts = { { connect_timeout = 1/0 } }",
    "hosts[1].connect_timeout: inf is not a time in seconds above 0 and up to 3600" },
  { "hosts = { { weight = 0 } }", "hosts[1].weight: 0 is not a whole number from 1 to 1000000" },
  { "hosts = { { weight = 1.5 } }", "hosts[1].weight: 1.5 is not a whole number from 1 to 1000000" },
  { "hosts = { { weight = print } }", "hosts[1].weight: a function is not a whole number from 1 to 1000000" },
  { "hosts = { { connections = 65 } }", "hosts[1].connections: 65 is not a whole number from 1 to 64" },
  { 'hosts = { { identifier = "a\\r\\nb" } }',
    'hosts[1].identifier: "a\\13\\10b" is not a text without control characters' },
  { 'hosts = { { identifier = ("x"):rep(256) } }', "hosts[1].identifier: it is longer than 255 bytes" },
  { 'hosts = { { user = "u" } }', "hosts[1].user: a user needs a password too" },
  { "hosts = { { password = 12345 } }", "hosts[1].password: a number is not a text" },
  { 'hosts = { { password = "" } }',
    "hosts[1].password: it is empty; leave it out, or is an environment variable not set?" },
  { 'hosts = { { password = "a\\0b" } }', "hosts[1].password: it has a NUL byte" },
  { 'hosts = { { unix_socket_path = "/x", port = 1 } }',
    "hosts[1].unix_socket_path: give it, or host and port, not both" },
  { 'hosts = { "10.0.0.1:x" }',
    'hosts[1]: "10.0.0.1:x" is not a host: what follows the colon is not a port (1-65535)' },
  { 'hosts = { "" }', 'hosts[1]: "" is not a host: it is empty' },
  { 'hosts = { "/run/redis.sock" }',
    'hosts[1]: "/run/redis.sock" is not a host: write a unix socket as "unix:/path"' },
  { 'hosts = { "http://u:hunter2@h/" }',
    'hosts[1]: "http://***@h/" is not a host: a URL begins with redis:// or unix://' },
  { 'hosts = { "rediss://u:hunter2@h" }',
    'hosts[1]: "rediss://***@h" is not a host: TLS (rediss://) is not supported yet' },
  { 'hosts = { "redis://u:hunter2@h/x" }',
    'hosts[1]: "redis://***@h/x" is not a host: the database is not a number (0-2147483647)' },
  { 'hosts = { "redis://u@h" }',
    'hosts[1]: "redis://***@h" is not a host: a user needs a password: user:password@' },
  { 'hosts = { "redis://u:hunter2%zz@h" }', 'hosts[1]: "redis://***@h" is not a host: '
    .. "a % is not followed by two hexadecimal digits (write % itself as %25)" },
  { 'hosts = { "redis://u:hunter2@h?password=hunter2" }',
    'hosts[1]: "redis://***@h?***" is not a host: only db= can follow the question mark' },
  { 'hosts = { "redis://h/1?db=2" }', 'hosts[1]: "redis://***" is not a host: the database is given twice' },
  { 'hosts = { "redis://:hunter2" }',
    'hosts[1]: "redis://***" is not a host: what follows the colon is not a port (1-65535)' },
  { 'hosts = { "redis://u:hunter2@" }', 'hosts[1]: "redis://***@" is not a host: there is no host in it' },
  { 'hosts = { "u:hunter2@h:6379" }', 'hosts[1]: "***@h:6379" is not a host: '
    .. "a password needs the whole URL: redis://user:password@host:port" },
  { 'hosts = { "redis:/:hunter2" }',
    'hosts[1]: "redis:/***" is not a host: an IPv6 address needs brackets, as in [::1]:6380' },
  { 'hosts = { ["redis://u:hunter2@h"] = {} }',
    'hosts["redis://***@h"]: the key of a host is a whole number from 0 on' },
  { 'hosts = { "unix://run/redis.sock" }',
    'hosts[1]: "unix://***" is not a host: three slashes begin a path, as in unix:///run/redis.sock' },
  { 'hosts = { "unix:/x?password=hunter2" }',
    'hosts[1]: "unix:/x?***" is not a host: only db= can follow the question mark' },
  -- defaults and limits
  { "defaults = 5", "defaults: 5 is not a table of host options" },
  { 'defaults = { identifier = "a" }', "defaults.identifier: an identifier belongs to one host" },
  { "defaults = { timeuot = 1 }", "defaults.timeuot: unknown field; did you mean 'timeout'?" },
  { "max_connection_retries = -1", "max_connection_retries: -1 is not a whole number from 0 to 1000" },
  { "retry_timeout = 0", "retry_timeout: 0 is not a time in seconds above 0 and up to 86400" },
  { "failure_limit = 0", "failure_limit: 0 is not a whole number from 1 to 1000000" },
  { "max_clients = 0", "max_clients: 0 is not a whole number from 1 to 10000000" },
  { 'max_request = "4gb"', 'max_request: "4gb" is not a size from 1kb to 4095mb '
    .. '(a number of bytes, or a text like "64mb")' },
  { "max_reply_buffer = 1", 'max_reply_buffer: 1 is not a size from 64kb to 1tb '
    .. '(a number of bytes, or a text like "64mb")' },
  { "client_timeout = -1", "client_timeout: -1 is not a time in seconds from 0 to 31536000" },
}

-- Whole files -> the one problem.
local BAD_FILES = {
  { "", "config.lua: it returns nothing, but has to end with return { … }" },
  { "return 5", "config.lua: it returns a number, but has to end with return { … }" },
  { "return setmetatable({}, {})", "config.lua: a table with a metatable is not plain data" },
  { "return {}", "config.lua: no clusters; write clusters = { main = { hosts = { … } } }" },
  { "return { clusters = {} }", "config.lua: clusters: empty; at least one cluster is needed" },
  { "return { clusters = 5 }", "config.lua: clusters: 5 is not a table of clusters" },
  { "return { clusters = { main = 5 } }",
    "config.lua: clusters.main: 5 is not a cluster ({ listen = …, hosts = { … } })" },
  { 'return { clusters = { ["a b"] = {} } }', 'config.lua: clusters["a b"]: the name of a cluster is made of '
    .. "up to 64 letters, digits, '_', '-' and '.'" },
  { "return { clusters = { {} } }", "config.lua: clusters[1]: the name of a cluster is made of "
    .. "up to 64 letters, digits, '_', '-' and '.'" },
  { "return { listen = 1, clusters = { a = { " .. HOSTS .. " } }, " .. HOSTS .. " }",
    "config.lua: clusters: cannot stand beside the fields of one cluster at the top level: hosts, listen" },
  { "return { clusters = { a = { listen = 1, " .. HOSTS .. " }, b = { listen = ':1', " .. HOSTS .. " } } }",
    "config.lua: clusters.b.listen: :1 is taken already by clusters.a.listen" },
  { "return { clusters = { a = { listen = 1, timeout = 5, " .. HOSTS .. " } } }",
    "config.lua: clusters.a.timeout: unknown field; it is an option of hosts, write it into defaults" },
  { "return {\n  clusters = }", "config.lua:2: unexpected symbol near '}'" },
  { "local x\nreturn { listen = x.y }", "config.lua:2: attempt to index local 'x' (a nil value)" },
  { "return {\n  listen = prot,\n}", "config.lua:2: undefined variable 'prot'" },
  { "error({})", "config.lua: it raised a table" },
  { "error('no good', 0)", "config.lua: no good" },
  { "error('a\\nb')", "config.lua:1: a b" },
  { "local function f() return f() + 1 end return f()", "config.lua:1: stack overflow" },
  { "hosts = {}", "config.lua:1: assignment to the undeclared variable 'hosts', write: local hosts" },
  { "local t = require('none') return t",
    "config.lua:1: module 'none' not found (none.lua: not among the files that were read at load)" },
  -- LuaJIT would repeat the text in all of these
  { 'return {\n  password = "hunter2,\n}', "config.lua:2: unfinished string" },
  { 'return {\n  x = "hunter2\\q",\n}', "config.lua:2: invalid escape sequence" },
  { 'return {\n  x = "a" "hunter2",\n}', "config.lua:2: '}' expected (to close '{' at line 1)" },
  { "return {\n  x = 1 'hunter2',\n}", "config.lua:2: '}' expected (to close '{' at line 1)" },
  { "return {\n  x = 1 [[hunter2]],\n}", "config.lua:2: '}' expected (to close '{' at line 1)" },
  { "return {\n  password = 123hunter2,\n}", "config.lua:2: malformed number" },
  { "return {\n  password = hunter2,\n}", "config.lua:2: undefined variable '***'" },
}

describe("config", function()
  describe("load", function()
    it("refuses a bad field with its path and the reason", function()
      for _, case in ipairs(BAD) do
        assert.same({ "config.lua: " .. case[2] }, bad(short(case[1])), case[1])
      end
    end)

    it("refuses a bad file with its place and the reason", function()
      for _, case in ipairs(BAD_FILES) do
        assert.same({ case[2] }, bad(case[1]), case[1])
      end
    end)

    it("shows no secret in any problem", function()
      for _, cases in ipairs({ BAD, BAD_FILES }) do
        for _, case in ipairs(cases) do
          assert.is_nil(case[2]:find("hunter2", 1, true), case[2])
          assert.is_nil(case[2]:find("12345", 1, true), case[2])
        end
      end
    end)

    it("tells all problems at once, in order", function()
      assert.same({
        "config.lua: lgo: unknown field; did you mean 'log'?",
        "config.lua: workers: -1 is not \"auto\" or a whole number from 1 to 1024",
        "config.lua: clusters.a.engine: \"x\" is not an engine (only \"redis\" is)",
        "config.lua: clusters.a.listen: 0 is not an address to listen on: "
          .. "what follows the colon is not a port (1-65535)",
        "config.lua: clusters.a.hosts[0].port: 0 is not a port (1-65535)",
        "config.lua: clusters.a.hosts[0].weight: 0 is not a whole number from 1 to 1000000",
        "config.lua: clusters.a.hosts[10].db: -1 is not a whole number from 0 to 2147483647",
        "config.lua: clusters.b.hosts: missing; a cluster needs at least one host",
      }, bad([[
        return { lgo = {}, workers = -1, clusters = {
          b = { listen = 6380 },
          a = { engine = "x", listen = 0, hosts = { [10] = { db = -1 }, [0] = { port = 0, weight = 0 }, [2] = {} } },
        } }]]))
    end)

    it("counts the problems after the first hundred", function()
      local hosts = "(function() local t = {} for i = 1, 150 do t[i] = { port = 0 } end return t end)()"
      local problems = bad(short("hosts = " .. hosts))
      assert.equal(101, #problems)
      assert.equal("config.lua: hosts[100].port: 0 is not a port (1-65535)", problems[100])
      assert.equal("config.lua: and 50 more problems", problems[101])
    end)

    it("names the file as the operator did", function()
      local b = bundle.of({ ["/etc/nydus/my.lua"] = short("workers = 0"), ["./my.lua"] = short("workers = 0") })
      local rest = ': workers: 0 is not "auto" or a whole number from 1 to 1024'
      assert.same({ "/etc/nydus/my.lua" .. rest }, select(2, config.load(b, "/etc/nydus/my.lua")))
      assert.same({ "my.lua" .. rest }, select(2, config.load(b, "./my.lua")))
      assert.same({ "/none.lua: No such file or directory" }, select(2, config.load(bundle.new(), "/none.lua")))
    end)

    it("hides secrets of a file with a long name and of required files", function()
      local folder = "/" .. ("folder/"):rep(20)
      local files = {
        [folder .. "config.lua"] = "return {\n  password = hunter2,\n}",
        [folder .. "main.lua"] = "return require('config')",
      }
      for _, name in ipairs({ "config.lua", "main.lua" }) do
        local _, problems = config.load(bundle.of(files), folder .. name)
        assert.equal(1, #problems)
        assert.truthy(problems[1]:find("config.lua:2: undefined variable '***'", 1, true), problems[1])
      end
    end)

    it("fills in every default", function()
      assert.same({
        workers = 0,
        log = { level = "info" },
        router_memory = 64 * 1024 * 1024,
        clusters = { {
          name = "main",
          engine = "redis",
          listen = { { kind = "tcp", host = "127.0.0.1", port = 6380, text = "127.0.0.1:6380" } },
          router = { kind = "all" },
          eject = false,
          max_connection_retries = 20,
          retry_timeout = 30,
          failure_limit = 1,
          max_clients = 10000,
          max_request = 1024 * 1024 * 1024,
          max_reply_buffer = 256 * 1024 * 1024,
          client_timeout = 0, users = {}, deny = {},
          hosts = { {
            key = 1, host = "127.0.0.1", port = 6379, db = 0, timeout = 1, connect_timeout = 1, weight = 1,
            connections = 1, named = false, identifier = "redis://127.0.0.1:6379/0", address = "127.0.0.1:6379",
          } },
        } },
      }, good('return { listen = "127.0.0.1:6380", hosts = { {} } }'))
    end)

    it("keeps what is given", function()
      local result = good([[return {
        workers = 3, log = { level = "debug", file = "/var/log/nydus.log" }, router_memory = "1GB",
        clusters = { c = { listen = 1, hosts = { {} }, max_connection_retries = 0, retry_timeout = 0.5,
          failure_limit = 3, max_clients = 5, max_request = 4096, max_reply_buffer = "512kb", client_timeout = 2.5 } },
      }]])
      assert.same({ level = "debug", file = "/var/log/nydus.log" }, result.log)
      assert.same({ 3, 2 ^ 30 }, { result.workers, result.router_memory })
      local c = result.clusters[1]
      assert.same({ 0, 0.5, 3, 5, 4096, 512 * 1024, 2.5 }, {
        c.max_connection_retries, c.retry_timeout, c.failure_limit, c.max_clients, c.max_request,
        c.max_reply_buffer, c.client_timeout,
      })
    end)

    it("names the one cluster of the short form main", function()
      local result = good("return { workers = 2, listen = 6380, " .. HOSTS .. " }")
      assert.equal("main", result.clusters[1].name)
      assert.equal(1, #result.clusters)
      assert.same(result.clusters, good("return { clusters = { main = { listen = 6380, " .. HOSTS .. " } } }").clusters)
    end)

    it("sorts clusters by name, and one of them may do without an address", function()
      local result = good("return { clusters = { b = { listen = 1, " .. HOSTS .. " }, a = { " .. HOSTS .. " } } }")
      assert.same({ "a", "b" }, { result.clusters[1].name, result.clusters[2].name })
      assert.same({}, result.clusters[1].listen)
    end)

    it("takes hosts in numeric order of their keys, 0 first", function()
      local hosts = cluster_of("hosts = { [10] = {}, [0] = {}, [2] = {}, [1] = {} }").hosts
      local keys = {}
      for i, host in ipairs(hosts) do
        keys[i] = host.key
      end
      assert.same({ 0, 1, 2, 10 }, keys)
    end)

    it("takes 65536 hosts", function()
      local text = "hosts = (function() local t = {} for i = 0, 65535 do t[i] = {} end return t end)()"
      local hosts = cluster_of(text).hosts
      assert.equal(65536, #hosts)
      assert.equal(65535, hosts[65536].key)
    end)

    it("lets hosts inherit defaults, and keep what is their own", function()
      local hosts = cluster_of([[defaults = { host = "10.0.0.1", db = 3, timeout = 2, password = "p", weight = 4 },
        hosts = { {}, { db = 1, timeout = 5, host = "h" }, "redis://:q@10.0.0.2/7", "unix:/s" }]]).hosts
      local function row(host)
        return { host.address, host.db, host.timeout, host.password, host.weight }
      end
      assert.same({ "10.0.0.1:6379", 3, 2, "p", 4 }, row(hosts[1]))
      assert.same({ "h:6379", 1, 5, "p", 4 }, row(hosts[2]))
      assert.same({ "10.0.0.2:6379", 7, 2, "q", 4 }, row(hosts[3]))
      assert.same({ "/s", 3, 2, "p", 4 }, row(hosts[4]))
    end)

    it("lets a host's own address win over an inherited unix socket", function()
      local hosts = cluster_of('defaults = { unix_socket_path = "/s" }, hosts = { {}, { port = 7 } }').hosts
      assert.same({ "/s", "127.0.0.1:7" }, { hosts[1].address, hosts[2].address })
    end)

    it("reads URLs and short forms of hosts", function()
      local cases = {
        ["redis://10.0.0.3"] = { "10.0.0.3", 6379, nil, 0, nil, nil, "redis://10.0.0.3:6379/0" },
        ["REDIS://10.0.0.3:1/"] = { "10.0.0.3", 1, nil, 0, nil, nil, "redis://10.0.0.3:1/0" },
        ["redis://user:secret@10.0.0.3:6379/2"] = {
          "10.0.0.3", 6379, nil, 2, "user", "secret", "redis://10.0.0.3:6379/2",
        },
        ["redis://:pw@h"] = { "h", 6379, nil, 0, nil, "pw", "redis://h:6379/0" },
        ["redis://:@h"] = { "h", 6379, nil, 0, nil, nil, "redis://h:6379/0" },
        ["redis://h?db=4"] = { "h", 6379, nil, 4, nil, nil, "redis://h:6379/4" },
        ["redis://u%40x:p%3A%2f%25@h"] = { "h", 6379, nil, 0, "u@x", "p:/%", "redis://h:6379/0" },
        ["redis://[::1]:7/1"] = { "::1", 7, nil, 1, nil, nil, "redis://::1:7/1" },
        ["unix:/s"] = { nil, 0, "/s", 0, nil, nil, "redis:///s/0" },
        ["unix:///s%20t?db=1"] = { nil, 0, "/s t", 1, nil, nil, "redis:///s t/1" },
        ["unix:///a@b"] = { nil, 0, "/a@b", 0, nil, nil, "redis:///a@b/0" },
        ["unix://u:p@/s"] = { nil, 0, "/s", 0, "u", "p", "redis:///s/0" },
        ["h:5"] = { "h", 5, nil, 0, nil, nil, "redis://h:5/0" },
        ["redis_1.example.com"] = {
          "redis_1.example.com", 6379, nil, 0, nil, nil, "redis://redis_1.example.com:6379/0",
        },
        [":5"] = { "127.0.0.1", 5, nil, 0, nil, nil, "redis://127.0.0.1:5/0" },
        ["[fe80::1%eth0]:5"] = { "fe80::1%eth0", 5, nil, 0, nil, nil, "redis://fe80::1%eth0:5/0" },
      }
      for text, want in pairs(cases) do
        local host = host_of(("%q"):format(text))
        assert.same(want, {
          host.host, host.port, host.unix_socket_path, host.db, host.user, host.password, host.identifier,
        }, text)
      end
      assert.equal("p@ss/w?rd", host_of('"redis://:p@ss/w?rd@h:5"').password)
    end)

    it("knows whether an identifier was given", function()
      local given, none = host_of('{ identifier = "b" }'), host_of("{ db = 3 }")
      assert.same({ "b", true }, { given.identifier, given.named })
      assert.same({ "redis://127.0.0.1:6379/3", false }, { none.identifier, none.named })
    end)

    it("lets hosts share an identifier, as Nydus does", function()
      assert.equal(2, #cluster_of('hosts = { { identifier = "a" }, { identifier = "a", port = 1 } }').hosts)
    end)

    it("reads all forms of listen", function()
      local cases = {
        ['"127.0.0.1:6380"'] = { kind = "tcp", host = "127.0.0.1", port = 6380, text = "127.0.0.1:6380" },
        ['":6380"'] = { kind = "tcp", host = "", port = 6380, text = ":6380" },
        ["6380"] = { kind = "tcp", host = "", port = 6380, text = ":6380" },
        ['"6380"'] = { kind = "tcp", host = "", port = 6380, text = ":6380" },
        ['"[::1]:6380"'] = { kind = "tcp", host = "::1", port = 6380, text = "[::1]:6380" },
        ['"[::ffff:10.0.0.1]:1"'] = { kind = "tcp", host = "::ffff:10.0.0.1", port = 1, text = "[::ffff:10.0.0.1]:1" },
        ['"localhost:6380"'] = { kind = "tcp", host = "localhost", port = 6380, text = "localhost:6380" },
        ['"unix:/run/x.sock"'] = { kind = "unix", path = "/run/x.sock", text = "unix:/run/x.sock" },
        ['"unix:///run/x.sock"'] = { kind = "unix", path = "/run/x.sock", text = "unix:/run/x.sock" },
      }
      for text, want in pairs(cases) do
        assert.same({ want }, cluster_of("listen = " .. text).listen, text)
      end
      local list = cluster_of('listen = { "127.0.0.1:1", "[::1]:1", "unix:/s" }').listen
      assert.same({ "127.0.0.1:1", "[::1]:1", "unix:/s" }, { list[1].text, list[2].text, list[3].text })
    end)

    it("reads built-in routers with their defaults", function()
      local cases = {
        ['"ketama"'] = { "ketama", "nydus", "md5", nil, true },
        ['{ "ketama" }'] = { "ketama", "nydus", "md5", nil, true },
        ['{ "ketama", compat = "twemproxy" }'] = { "ketama", "twemproxy", "fnv1a_64", nil, false },
        ['{ "ketama", compat = "redis", hash_tag = "{}" }'] = { "ketama", "redis", "md5", "{}", true },
        ['{ "ketama", compat = "twemproxy", eject = true }'] = { "ketama", "twemproxy", "fnv1a_64", nil, true },
        ['"modulus"'] = { "modulus", "nydus", "crc32", nil, false },
        ['{ "modulus", compat = "twemproxy", hash = "murmur" }'] = { "modulus", "twemproxy", "murmur", nil, false },
        ['"round_robin"'] = { "round_robin", "nydus", nil, nil, true },
        ['"random"'] = { "random", "nydus", nil, nil, true },
        ['"first"'] = { "first", "nydus", nil, nil, true },
        ['{ "first", eject = false }'] = { "first", "nydus", nil, nil, false },
        ['"jump"'] = { "jump", "nydus", "xxh64", nil, false },
        ['"rendezvous"'] = { "rendezvous", "nydus", "xxh64", nil, false },
        ['"slots"'] = { "slots", "nydus", "crc16", "{}", false },
      }
      for text, want in pairs(cases) do
        local cluster = cluster_of("router = " .. text)
        local r = cluster.router
        assert.same(want, { r.name, r.compat, r.hash, r.hash_tag, r.eject }, text)
        assert.same({ "builtin", true, r.eject }, { r.kind, r.signed, cluster.eject }, text)
      end
      assert.is_false(cluster_of('router = { "ketama", signed = false }').router.signed)
      assert.is_false(cluster_of('router = "ketama", eject = false').router.eject)
      assert.same({ kind = "all" }, cluster_of('router = { "all" }').router)
    end)

    it("gives a host two failures with compat = twemproxy", function()
      assert.equal(2, cluster_of('router = { "ketama", compat = "twemproxy" }').failure_limit)
      assert.equal(1, cluster_of('router = { "ketama", compat = "redis" }').failure_limit)
      assert.equal(5, cluster_of('router = { "ketama", compat = "twemproxy" }, failure_limit = 5').failure_limit)
    end)

    it("finds a router script relative to config.lua and leaves its options alone", function()
      local b = bundle.of({ ["etc/config.lua"] = short([[
        router = { "routers/mine.lua", rate = 5, map = { a = 1 }, f = function() return 7 end, "second" }]]),
        ["etc/routers/mine.lua"] = "return 1" })
      local router = assert(config.load(b, "etc/config.lua")).clusters[1].router
      assert.same({ "script", "etc/routers/mine.lua", "routers/mine.lua" }, { router.kind, router.path, router.text })
      assert.same({ 5, { a = 1 }, "second", nil },
        { router.options.rate, router.options.map, router.options[2], router.options[1] })
      assert.equal(7, router.options.f())
      assert.same({}, cluster_of('router = "mine.lua"', { ["mine.lua"] = "" }).router.options)
    end)

    it("says that a router script is not there, at once", function()
      local folder = support.temp_dir()
      support.write_file(folder .. "/config.lua", short('router = "routers/mine.lua"'))
      local _, problems = config.load(bundle.new(), folder .. "/config.lua")
      assert.same({ folder .. "/config.lua: router: " .. folder .. "/routers/mine.lua: No such file or directory" },
        problems)
    end)

    it("gives the environment to os.getenv", function()
      ffi.C.setenv("NYDUS_SPEC_SECRET", "s3cret", 1)
      finally(function() ffi.C.unsetenv("NYDUS_SPEC_SECRET") end)
      assert.equal("s3cret", host_of('{ password = os.getenv("NYDUS_SPEC_SECRET") }').password)
    end)

    it("requires modules beside config.lua", function()
      local files = { ["pools/users.lua"] = "return { 'a:1', 'b:2' }" }
      assert.equal("b:2", cluster_of('hosts = require("pools.users")', files).hosts[2].address)
    end)

    it("decides the same from the packed bundle as from disk", function()
      local folder = support.temp_dir()
      support.write_file(folder .. "/config.lua", short('router = "r.lua", hosts = require("hosts")'))
      support.write_file(folder .. "/hosts.lua", "return { 'a:1' }")
      support.write_file(folder .. "/r.lua", "return cluster")
      local b = bundle.new()
      local first = assert(config.load(b, folder .. "/config.lua"))
      support.write_file(folder .. "/config.lua", "return 5")
      local copy = bundle.unpack(b:pack())
      assert.same(first, config.load(copy, folder .. "/config.lua"))
      assert.equal("return cluster", copy:read(first.clusters[1].router.path))
    end)

    it("compiles through options.load, prints to options.log", function()
      local compiled, lines = {}, {}
      good(short("workers = (function() print('hi') end)()"), {}, {
        load = function(source, name, env)
          compiled[#compiled + 1] = name
          return loadstring(source) and _G.load(source, name, "t", env)
        end,
        log = function(text) lines[#lines + 1] = text end,
      })
      assert.same({ "@config.lua" }, compiled)
      assert.same({ "hi" }, lines)
    end)

    it("never runs code of the tables it reads", function()
      local problems = bad([[
        local meta = { __index = error, __pairs = error, __tostring = error, __len = error, __lt = error }
        local trap = setmetatable({}, meta)
        return { listen = trap, hosts = { trap, { db = trap } }, log = trap, workers = trap, [trap] = 1 }]])
      assert.equal(6, #problems)
    end)
  end)

  describe("users", function()
    local HASH = ("0aF"):rep(21) .. "1"

    local function users_of(text)
      return cluster_of(text).users
    end

    it("are none by default", function()
      assert.same({}, users_of(""))
      assert.same({}, cluster_of("").deny)
    end)

    it("have the default user, when the cluster has a password", function()
      local default = { name = "default", password = "pw", commands = { "+@all" } }
      assert.same({ default }, users_of('password = "pw"'))
      assert.same({ { name = "a", password = "x", commands = { "+@all" } }, default },
        users_of('password = "pw", users = { a = { password = "x" } }'))
      assert.same({ { name = "default", password = "pw", commands = { "+get" } } },
        users_of('password = "pw", users = { default = { commands = { "+get" } } }'))
    end)

    it("lack the default user or have it without a password, as is written", function()
      assert.same({ { name = "a", password = "x", commands = { "+@all" } } },
        users_of('users = { a = { password = "x" } }'))
      assert.same({ { name = "default", commands = { "+ping" }, keys = {} } },
        users_of('users = { default = { password = false, commands = { "+ping" }, keys = {} } }'))
    end)

    it("have a digest for a password, in any case of letters", function()
      assert.equal("sha256:" .. HASH:lower(), users_of(('password = "SHA256:%s"'):format(HASH))[1].password)
    end)

    it("begin with everything, when the first rule takes away", function()
      for text, rules in pairs({
        [ [["+@Read", "-KEYS"]] ] = { "+@read", "-keys" }, [ [["-keys"]] ] = { "+@all", "-keys" }, [""] = {},
        [ [["+config|GET", "+json.get", "-bf.add", "+@all"]] ] = { "+config|get", "+json.get", "-bf.add", "+@all" },
      }) do
        assert.same(rules, users_of(('users = { a = { password = "x", commands = { %s } } }'):format(text))[1].commands)
      end
    end)

    it("keep their patterns as they are", function()
      assert.same({ "User:*", "a[~]" },
        users_of('users = { a = { password = "x", keys = { "User:*", "a[~]" } } }')[1].keys)
    end)

    it("share what is denied", function()
      assert.same({ "+flushall", "+@dangerous", "+config|set", "+json.del" },
        cluster_of('deny = { "FLUSHALL", "@dangerous", "config|set", "json.del" }').deny)
    end)

    it("never show a password", function()
      for _, text in ipairs({
        'password = { "hunter2" }', 'password = "sha256:hunter2"', 'users = { a = { password = { hunter2 = 1 } } }',
        'users = { a = { password = "sha256:hunter2" } }', 'users = { default = { password = "hunter2\\0" } }',
        'password = "hunter2", users = { default = { password = "hunter2" } }',
        'users = { a = { password = "hunter2", commands = "hunter2@x" } }',
      }) do
        for _, problem in ipairs(bad(short(text))) do
          assert.is_nil(problem:find('password.*hunter2'), problem)
        end
      end
    end)
  end)

  describe("address", function()
    local address = require("nydus.config.address")

    it("tells names and addresses from other texts", function()
      for _, text in ipairs({ "h", "redis-1.example.com", "a_b", "0.0.0.0", "255.255.255.255", "::", "::1", "1::",
        "1:2:3:4:5:6:7:8", "1::3:4:5:6:7:8", "::ffff:1.2.3.4", "fe80::1%eth0", ("a"):rep(253) }) do
        assert.is_true(address.is_host(text), text)
      end
      for _, text in ipairs({ "", "-a", ".a", "a b", "a/b", "256.1.1.1", "1.256.1.1", "1.1.256.1", "1.1.1.256",
        "1.2.3", "1.2.3.4.5", "1", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7::8:9", "12345::", "g::", "::1.2.3.256", "::1%", ("a"):rep(254), "a\0b" }) do
        assert.is_false(address.is_host(text), text)
      end
    end)

    it("spells an IPv6 address in one way", function()
      for _, text in ipairs({ "::1", "0::1", "0:0:0:0:0:0:0:1", "::0001", "::0.0.0.1" }) do
        assert.equal("0:0:0:0:0:0:0:1", address.ipv6(text), text)
      end
      assert.equal("fe80:0:0:0:0:0:0:a", address.ipv6("FE80::A"))
      assert.equal("0:0:0:0:0:0:0:0", address.ipv6("::"))
    end)
  end)

  describe("reference", function()
    local text

    setup(function()
      text = support.read_file("config.lua")
    end)

    it("loads as it is, with the ports of make run", function()
      local result = good(text)
      local main = result.clusters[1]
      assert.same({ "main", "ketama", "127.0.0.1:6380" }, { main.name, main.router.name, main.listen[1].text })
      assert.same({ 6379, 6381, 6382 }, { main.hosts[1].port, main.hosts[2].port, main.hosts[3].port })
      ffi.C.setenv("NYDUS_RUN_PORT2", "7002", 1)
      ffi.C.setenv("NYDUS_RUN_LISTEN", "127.0.0.1:7000", 1)
      finally(function()
        ffi.C.unsetenv("NYDUS_RUN_PORT2")
        ffi.C.unsetenv("NYDUS_RUN_LISTEN")
      end)
      main = good(text).clusters[1]
      assert.same({ 7002, "127.0.0.1:7000" }, { main.hosts[2].port, main.listen[1].text })
    end)

    it("lists every option, with its default", function()
      local function default_text(value)
        return type(value) == "string" and '"' .. value .. '"' or tostring(value)
      end
      for _, name in ipairs({ "top", "log", "cluster", "host", "router", "user" }) do
        for key, field in pairs(schema[name]) do
          assert.truthy(text:find("%f[%w_]" .. key .. " ="), name .. " " .. key)
          if field.default ~= nil and name ~= "cluster" or type(field.default) == "number" then
            local value = default_text(field.default)
            local line = key .. " = " .. value
            assert.truthy(text:find(line, 1, true) or text:find(line .. ".0", 1, true), line)
          end
        end
      end
      for name in pairs(schema.routers) do
        assert.truthy(text:find('"' .. name .. '" ', 1, true), name)
      end
    end)

    it("shows the defaults it says it shows", function()
      local shown, plain = good(text).clusters[1], cluster_of('router = "ketama"')
      for _, key in ipairs({ "max_connection_retries", "retry_timeout", "failure_limit", "max_clients",
        "max_request", "max_reply_buffer", "client_timeout", "engine", "eject" }) do
        assert.equal(plain[key], shown[key], key)
      end
      for _, key in ipairs({ "db", "timeout", "connect_timeout", "weight", "connections", "host" }) do
        assert.equal(plain.hosts[1][key], shown.hosts[1][key], key)
      end
    end)
  end)
end)
