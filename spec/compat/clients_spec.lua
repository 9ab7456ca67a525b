-- Programs and libraries that know nothing of Nydus, with their defaults:
-- through one host and through three.

local lfs = require("lfs")
local support = require("support")

-- A Nydus before these hosts, on a port and on a socket.
local function nydus_before(hosts, port, socket)
  return support.nydus({
    port = port,
    config = {
      listen = { "127.0.0.1:" .. port, "unix:" .. socket },
      router = { "ketama", hash_tag = "{}" },
      hosts = hosts,
      defaults = { timeout = 30, connect_timeout = 10 },
    },
  })
end

local function start(count)
  local at = { count = count, hosts = {}, port = support.free_port(), socket = support.temp_dir() .. "/nydus.sock" }
  for i = 1, count do at.hosts[i] = support.redis() end
  at.nydus = nydus_before(at.hosts, at.port, at.socket)
  return at
end

local function restart(at)
  at.nydus:stop()
  at.nydus = nydus_before(at.hosts, at.port, at.socket)
end

local function key_count(at)
  local sum, used = 0, 0
  for _, redis in ipairs(at.hosts) do
    local size = redis:call("DBSIZE")
    sum, used = sum + size, used + (size > 0 and 1 or 0)
  end
  return sum, used
end

-- Runs a program that is ended after 30 s; what it wrote, and its exit code.
local function run(words)
  local argv = { "timeout", "-k", "1", "30", stdin = words.stdin, seconds = 35 }
  for _, word in ipairs(words) do argv[#argv + 1] = word end
  local code, out, err = support.run(argv)
  return out .. err, code
end

-- Each `it` twice: fn(at) with all that belongs to one Nydus.
local function both(what, fn)
  for _, case in ipairs({ { 1, "one host" }, { 3, "three hosts" } }) do
    it(("%s, through %s"):format(what, case[2]), function() fn(start(case[1])) end)
  end
end

describe("redis-cli", function()
  local function cli(at, ...)
    local argv = { "redis-cli", "-p", at.port, ... }
    return (run(argv):gsub("\n$", ""))
  end

  both("runs commands", function(at)
    for _, words in ipairs({
      { "OK", "set", "a", "1" }, { "1", "get", "a" }, { "2", "incr", "a" }, { "", "get", "none" },
      { "OK", "mset", "x", "1", "y", "2", "z", "3" }, { "3\n2\n\n1", "mget", "z", "y", "none", "x" },
      { "4", "del", "x", "y", "z", "a" }, { "PONG", "ping" }, { "0", "dbsize" },
      { "ERR unknown command 'nosuch', with args beginning with: 'x' \n", "nosuch", "x" },
      { "3\n4\n5", "-r", "3", "--eval", support.write_file(support.temp_dir() .. "/a.lua",
        "return redis.call('incrby', KEYS[1], ARGV[1])"), "n", ",", "1", setup = { "set", "n", "2" } },
    }) do
      if words.setup then cli(at, unpack(words.setup)) end
      assert.equal(words[1], cli(at, unpack(words, 2)), table.concat(words, " ", 2))
    end
  end)

  both("selects a database, and uses a socket", function(at)
    assert.equal("OK", cli(at, "-n", "3", "set", "k", "three"))
    assert.equal("", cli(at, "get", "k"))
    assert.equal("three\n", (run({ "redis-cli", "-s", at.socket, "-n", "3", "get", "k" })))
    assert.equal("three", cli(at, "-n", "3", "get", "k"))
    assert.equal("ERR DB index is out of range", cli(at, "select", "99"):gsub("\n", ""))
  end)

  both("--pipe takes 100,000 SETs", function(at)
    local commands = {}
    for i = 1, 100000 do commands[i] = support.encode({ "SET", "key:" .. i, "value " .. i }) end
    local out = run({ "redis-cli", "-p", at.port, "--pipe", stdin = table.concat(commands) })
    assert.matches("errors: 0, replies: 100000", out)
    local sum, used = key_count(at)
    assert.same({ 100000, at.count }, { sum, used })
  end)

  both("looks through all keys", function(at)
    local commands = { support.encode({ "RPUSH", "big:list", "a", "b", "c", "d" }) }
    for i = 1, 300 do commands[i + 1] = support.encode({ "SET", "key:" .. i, i }) end
    run({ "redis-cli", "-p", at.port, "--pipe", stdin = table.concat(commands) })
    local _, lines = cli(at, "--scan"):gsub("[^\n]+", "")
    assert.equal(301, lines)
    assert.equal("big:list", cli(at, "--scan", "--pattern", "big*"))
    local biggest = cli(at, "--bigkeys")
    assert.matches("Sampled 301 keys", biggest)
    assert.matches('Biggest +list found \'"big:list"\' has 4 items', biggest)
    assert.matches("Sampled 301 keys", cli(at, "--memkeys"))
  end)

  both("speaks RESP3", function(at)
    assert.equal("2", cli(at, "-3", "hset", "h", "f", "v", "g", "w"))
    assert.equal('1# "f" => "v"\n2# "g" => "w"', cli(at, "-3", "--no-raw", "hgetall", "h"))
    assert.equal('1~ "one"', cli(at, "-3", "--no-raw", "eval", "redis.call('sadd', KEYS[1], 'one'); " ..
      "redis.setresp(3); return redis.call('smembers', KEYS[1])", "1", "s"))
    assert.equal("(nil)", cli(at, "-3", "--no-raw", "get", "none"))
    assert.equal("(double) 1.5", cli(at, "-3", "--no-raw", "zincrby", "z", "1.5", "m"))
    assert.equal("OK", cli(at, "-3", "mset", "x", "1", "y", "2", "z2", "3"))
    assert.equal("1\n\n3", cli(at, "-3", "mget", "x", "none", "z2"))
  end)

  both("hints and helps in a terminal", function(at)
    if not support.has("python3") then pending("no python3") end
    local out, code = run({
      "python3", "spec/compat/terminal.py", 20,
      "", "> ", "SET ", "key value [NX|XX]", "typed 1\r", "OK\r\n", "", "> ", "help get\r", "Get the value of a key",
      "", "> ", "select 2\r", "[2]> ", "--", "redis-cli", "-p", at.port,
    })
    assert.equal("", out)
    assert.equal(0, code)
  end)
end)

describe("redis-benchmark", function()
  -- Its default tests; Nydus refuses none of them.
  local first = {
    "PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP", "SADD", "HSET", "SPOP", "ZADD",
    "ZPOPMIN",
  }
  local ranges = {
    "LPUSH (needed to benchmark LRANGE)", "LRANGE_100 (first 100 elements)", "LRANGE_300 (first 300 elements)",
    "LRANGE_500 (first 500 elements)", "LRANGE_600 (first 600 elements)",
  }

  -- The tests that ended with a number.
  local function finished(out)
    local list = {}
    for name in out:gsub("\r", "\n"):gmatch("([^\n]+): [%d.]+ requests per second") do list[#list + 1] = name end
    return list
  end

  local function benchmark(at, expected, ...)
    local out, code = run({ "redis-benchmark", "-p", at.port, "-q", "-n", 2000, ... })
    assert.equal(0, code, out)
    assert.same(expected, finished(out))
    assert.is_nil(out:find("WARNING", 1, true), out)
    assert.is_nil(out:lower():find("error", 1, true), out)
  end

  both("runs its default tests", function(at)
    local all = {}
    for _, list in ipairs({ first, ranges, { "MSET (10 keys)" } }) do
      for _, name in ipairs(list) do all[#all + 1] = name end
    end
    benchmark(at, all)
  end)

  both("runs them in RESP3", function(at)
    benchmark(at, first, "-3", "-t", "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin")
  end)

  both("runs them on random keys with 16 in a pipeline", function(at)
    benchmark(at, first, "-r", 1000, "-P", 16, "-t",
      "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin")
  end)
end)

describe("python3-redis", function()
  local python = "/usr/bin/python3" -- Debian's, which Debian's modules are for

  both("works", function(at)
    if run({ python, "-c", "import redis" }) ~= "" then pending("no python3-redis") end
    local out, code = run({ python, "spec/compat/client.py", at.port, at.socket, at.count })
    assert.equal(0, code, out)
  end)
end)

describe("node", function()
  local modules = lfs.currentdir() .. "/build/npm/node_modules"

  local function is_missing(library)
    if not support.has("node") then return "no node" end
    if not lfs.attributes(modules .. "/" .. library, "mode") then return library .. " is not in build/npm" end
  end

  -- The program says when it wants the server to be started again.
  local function run_with_restart(library, at)
    local program = support.start({
      name = library,
      argv = { "timeout", "-k", "1", "60", "node", ("spec/compat/client_%s.js"):format(library), at.port, at.socket,
        at.count },
      env = { NODE_PATH = modules },
    })
    support.wait_until(function() return program:log():find("restart it", 1, true) or not program:alive() end, 40,
      library .. " to ask for a restart")
    restart(at)
    return program:wait(40), program:log()
  end

  for _, library in ipairs({ "ioredis", "redis" }) do
    it(library .. " works, through one host and through three", function()
      local missing = is_missing(library)
      if missing then pending(missing) end
      for _, count in ipairs({ 1, 3 }) do
        local code, out = run_with_restart(library, start(count))
        assert.equal(0, code, out)
      end
    end)
  end
end)
