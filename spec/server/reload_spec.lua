local support = require("support")

local function kill(signal, pid)
  assert.equal(0, (support.run({ "sh", "-c", ("kill -%s %d"):format(signal, pid) })))
end

local function start(config, options)
  options = options or {}
  options.config = config
  local nydus = support.nydus(options)
  nydus:wait_log("master info nydus .- (ready: )")
  return nydus
end

-- SIGHUP, and the generation that came of it.
local function reload(nydus, config)
  if config then nydus:write("config.lua", config) end
  nydus:forget_log()
  nydus:hup()
  return tonumber((nydus:wait_log("master info generation (%d+): .- reloaded in %d+ ms", 15)))
end

-- SIGHUP that must fail; returns what the log says about it.
local function refused(nydus, config)
  if config then nydus:write("config.lua", config) end
  nydus:forget_log()
  nydus:hup()
  nydus:wait_log("master error generation %d+ of .- (stays in force)", 15)
  return nydus:log():sub(nydus.seen + 1)
end

local function info(client)
  local fields = {}
  for name, value in client:call("INFO"):gmatch("([%w_]+):([^\r\n]*)") do fields[name] = value end
  return fields
end

local function refuses(port)
  return not pcall(support.client, port)
end

-- How many reloads have gone through; reads each byte of the log once.
local function reload_counter(nydus)
  local file, count, rest = assert(io.open(nydus.process.log_path)), 0, ""
  return function()
    local text = rest .. (file:read("*a") or "")
    local last = text:match(".*\n()") or 1
    count = count + select(2, text:sub(1, last - 1):gsub(" reloaded in ", ""))
    rest = text:sub(last)
    return count
  end
end

-- As many clients as this process may have descriptors for.
local function many_clients(nydus, count)
  local clients = {}
  for i = 1, count do
    local ok, client = pcall(nydus.client, nydus)
    if not ok then break end
    clients[i] = client
  end
  assert.is_true(#clients >= count / 10)
  return clients
end

describe("reload", function()
  it("routes by the new configuration, on connections that stay", function()
    local a, b = support.redis(), support.redis()
    local nydus = start({ workers = 2, hosts = { a } })
    local clients = {}
    for i = 1, 10 do clients[i] = nydus:client() end
    for i, client in ipairs(clients) do client:call("SET", "k" .. i, "old") end
    assert.equal(2, reload(nydus, { workers = 2, hosts = { b } }))
    for i, client in ipairs(clients) do
      assert.equal("OK", client:call("SET", "k" .. i, "new"))
      assert.equal("old", a:call("GET", "k" .. i))
      assert.equal("new", b:call("GET", "k" .. i))
    end
  end)

  it("says in INFO which generation is in force and how the last one went", function()
    local redis = support.redis()
    local nydus = start({ hosts = { redis } })
    local client = nydus:client()
    assert.equal("1", info(client).nydus_config_generation)
    assert.equal("1", info(client).nydus_config_last_reload_success)
    reload(nydus)
    assert.equal("2", info(client).nydus_config_generation)
    refused(nydus, "return {")
    assert.equal("2", info(client).nydus_config_generation)
    assert.equal("0", info(client).nydus_config_last_reload_success)
    reload(nydus, { hosts = { redis } })
    assert.equal("1", info(client).nydus_config_last_reload_success)
  end)

  it("opens the links of many hosts, and closes those of many that go", function()
    local redis = support.redis({ fresh = true })
    local function config(count, timeout)
      local hosts = {}
      for i = 1, count do hosts[i] = { host = "127.0.0.1", port = redis.port, identifier = "host " .. i } end
      return { router = "ketama", workers = 1, hosts = hosts, defaults = { connect_timeout = timeout } }
    end
    local nydus = start(config(80, 2))
    local client = nydus:client()
    local function links()
      return tonumber(redis:call("INFO", "clients"):match("connected_clients:(%d+)")) - 1 -- that one
    end
    support.wait_until(function() return links() == 80 end, 5, "80 links")
    local fds = support.fds(nydus:workers()[1])
    reload(nydus, config(80, 3)) -- all of them others
    for i = 1, 200 do assert.equal("OK", client:call("SET", "k" .. i, i)) end
    support.wait_until(function() return links() == 80 end, 5, "80 links and no others")
    assert.equal(fds, support.fds(nydus:workers()[1]))
    reload(nydus, config(3, 3))
    reload(nydus, config(40, 3)) -- 37 of which have just left
    support.wait_until(function() return links() == 40 end, 5, "40 links")
    for i = 1, 200 do assert.equal(tostring(i), client:call("GET", "k" .. i)) end
  end)

  it("keeps the links of hosts that stay as they are, and drops those of hosts that go", function()
    local staying, going = support.redis({ fresh = true }), support.redis({ fresh = true })
    local nydus = start({ workers = 2, hosts = { staying, going } })
    local function links(redis)
      local text = redis:call("INFO", "clients") .. redis:call("INFO", "stats")
      return tonumber(text:match("connected_clients:(%d+)")),
        tonumber(text:match("total_connections_received:(%d+)"))
    end
    support.wait_until(function() return links(going) == 3 and links(staying) == 3 end, 5, "two links each")
    local _, before = links(staying)
    reload(nydus, { workers = 2, hosts = { staying } })
    support.wait_until(function() return links(going) == 1 end, 5, "the links to be dropped")
    local now, after = links(staying)
    assert.equal(3, now)
    assert.is_true(after - before <= 2, "new links were opened") -- each look is a connection, too
  end)

  it("lets requests that are under way end on the generation they began with", function()
    local host, redis = support.fake({ auto = { PING = "+PONG\r\n" } }), support.redis()
    local nydus = start({ hosts = { host } })
    local client = nydus:client()
    client:command("GET", "k")
    host:expect("GET k")
    reload(nydus, { hosts = { redis } })
    client:command("SET", "k", "new")
    host:answer("$3\r\nold\r\n")
    assert.equal("old", client:read())
    assert.equal("OK", client:read())
    assert.equal("new", redis:call("GET", "k"))
  end)

  it("opens and closes addresses", function()
    local redis, one, two = support.redis(), support.free_port(), support.free_port()
    local path = support.temp_dir() .. "/nydus.sock"
    local function config(...)
      return { workers = 2, hosts = { redis }, listen = { ... } }
    end
    local nydus = start(config("127.0.0.1:" .. one), { port = one })
    local staying = support.client(one)
    reload(nydus, config("127.0.0.1:" .. two, "unix:" .. path))
    assert.is_true(refuses(one))
    assert.equal("PONG", staying:call("PING"))
    for _ = 1, 10 do
      assert.equal("PONG", support.client(two):call("PING"))
      assert.equal("PONG", support.client(path):call("PING"))
    end
    reload(nydus, config("127.0.0.1:" .. one))
    assert.is_true(refuses(two))
    assert.is_true(refuses(path))
    assert.same({}, support.list_files((path:gsub("/[^/]+$", "")), "sock"))
    for _ = 1, 10 do assert.equal("PONG", support.client(one):call("PING")) end
    assert.equal("PONG", staying:call("PING"))
  end)

  it("moves an address to another cluster, for new clients", function()
    local a, b, one, two = support.redis(), support.redis(), support.free_port(), support.free_port()
    local function config(first, second)
      return { workers = 2, clusters = {
        a = { listen = "127.0.0.1:" .. first, hosts = { a } },
        b = { listen = "127.0.0.1:" .. second, hosts = { b } },
      } }
    end
    local nydus = start(config(one, two), { port = one })
    reload(nydus, config(two, one))
    assert.equal("OK", support.client(one):call("SET", "k", "one"))
    assert.equal("OK", support.client(two):call("SET", "k", "two"))
    assert.equal("two", a:call("GET", "k"))
    assert.equal("one", b:call("GET", "k"))
  end)

  it("is refused and opens nothing, when a new address is in use", function()
    local redis, taken, path = support.redis(), support.fake(), support.temp_dir() .. "/nydus.sock"
    local port = support.free_port()
    local nydus = start({ hosts = { redis }, listen = "127.0.0.1:" .. port }, { port = port })
    local said = refused(nydus, {
      hosts = { redis },
      listen = { "127.0.0.1:" .. port, "unix:" .. path, "127.0.0.1:" .. taken.port },
    })
    assert.matches("reload refused: cannot listen on 127%.0%.0%.1:" .. taken.port .. ": Address already in use", said)
    assert.is_true(refuses(path))
    assert.same({}, support.list_files((path:gsub("/[^/]+$", "")), "sock"))
    assert.equal("PONG", support.client(port):call("PING"))
  end)

  it("changes the number of workers", function()
    local redis = support.redis()
    local nydus = start({ workers = 1, hosts = { redis } })
    local client = nydus:client()
    reload(nydus, { workers = 3, hosts = { redis } })
    nydus:wait_log("(worker 3 is ready)")
    nydus:wait_log("(worker 2 is ready)")
    assert.equal(3, #nydus:workers())
    local slots = {}
    support.wait_until(function()
      slots[nydus:client():call("CLIENT", "ID") % 1024] = true
      return slots[1] and slots[2] and slots[3]
    end, 5, "clients at all three")
    assert.equal("PONG", client:call("PING"))
    reload(nydus, { workers = 1, hosts = { redis } })
    support.wait_until(function() return #nydus:workers() == 1 end, 5, "two workers to leave")
    assert.equal("PONG", client:call("PING"))
    for _ = 1, 20 do
      assert.equal(1, nydus:client():call("CLIENT", "ID") % 1024)
    end
    assert.is_nil(nydus:log():find("died", 1, true))
  end)

  it("leaves no client waiting at a worker that has left", function()
    local redis = support.redis()
    local nydus = start({ workers = 3, hosts = { redis } })
    reload(nydus, { workers = 1, hosts = { redis } })
    support.wait_until(function() return #nydus:workers() == 1 end, 5, "two workers to leave")
    for _ = 1, 30 do
      assert.equal("PONG", nydus:client():call("PING"))
    end
  end)

  it("changes where the log goes and how much of it", function()
    local redis, path = support.redis(), support.temp_dir() .. "/new.log"
    local nydus = start({ hosts = { redis } })
    nydus:write("config.lua", { hosts = { redis }, log = { file = path, level = "debug" } })
    nydus:hup()
    support.wait_until(function() return (support.read_file(path) or ""):find("generation 2: ", 1, true) end)
    local client = nydus:client()
    client:call("PING")
    client:close()
    support.wait_until(function() return support.read_file(path):find("worker 1 debug ", 1, true) end)
  end)

  it("collapses a storm of signals into few reloads, and the last one counts", function()
    local a, b = support.redis(), support.redis()
    local nydus = start({ workers = 2, hosts = { a } })
    for _ = 1, 200 do nydus:hup() end
    nydus:write("config.lua", { workers = 2, hosts = { b } })
    nydus:hup()
    local client = nydus:client()
    support.wait_until(function()
      client:call("SET", "k", "v")
      return b:call("GET", "k") == "v"
    end, 5, "the last configuration")
    assert.is_true(reload_counter(nydus)() < 200)
    assert.is_nil(nydus:log():find("error", 1, true))
  end)
end)

describe("a refused reload", function()
  local redis
  setup(function() redis = support.redis() end)

  -- The reason is a pattern for the log.
  local bad = {
    { "syntax error", "return {", "config%.lua:%d+: " },
    { "no return", "local x = 1", "return" },
    { "not a table", "return 42", "number" },
    { "runtime error", "error('boom')", "boom" },
    { "nil index", "local x = nil; return x.y", "nil value" },
    { "unknown field", "return { hosts = { '127.0.0.1:$redis' }, lissten = ':1' }", "did you mean" },
    { "unknown option of a host", "return { hosts = { { prot = 1 } } }", "did you mean" },
    { "no hosts", "return { listen = ':$port' }", "hosts" },
    { "empty hosts", "return { listen = ':$port', hosts = {} }", "hosts" },
    { "bad port", "return { listen = ':$port', hosts = { { port = 70000 } } }", "70000 is not a port" },
    { "bad type", "return { listen = ':$port', hosts = 'x' }", "hosts" },
    { "bad listen", "return { listen = 'nonsense', hosts = { '127.0.0.1:$redis' } }", "listen" },
    { "nothing to listen on", "return { hosts = { '127.0.0.1:$redis' } }", "listen" },
    { "unknown router", "return { listen = ':$port', router = 'ketma', hosts = { 'a' } }", "did you mean" },
    { "unknown hash", "return { listen = ':$port', router = { 'ketama', hash = 'x' }, hosts = { 'a' } }", "hash" },
    { "workers of 0", "return { workers = 0, listen = ':$port', hosts = { 'a' } }", "workers" },
    { "a missing module", "require('missing'); return {}", "missing" },
    { "a missing script", "return { listen = ':$port', router = 'none.lua', hosts = { 'a' } }", "none%.lua" },
    { "a broken script", "return { listen = ':$port', router = 'broken.lua', hosts = { 'a' } }", "broken%.lua" },
    { "a failing script", "return { listen = ':$port', router = 'failing.lua', hosts = { 'a' } }", "failing%.lua" },
    { "a script without target", "return { listen = ':$port', router = 'empty.lua', hosts = { 'a' } }", "empty%.lua" },
    { "an endless loop", "while true do end", "" },
    { "endless memory", "local t = {} for i = 1, 1e9 do t[i] = { i } end", "" },
    { "a log in no folder", "return { listen = ':$port', hosts = { 'a' }, log = { file = '/nonexistent/x' } }",
      "cannot open the log file" },
  }

  local function bad_start(text)
    local nydus = start({ workers = 2, hosts = { redis } }, {
      vars = { redis = redis.port },
      files = {
        ["broken.lua"] = "return function(",
        ["failing.lua"] = "error('the script fails')",
        ["empty.lua"] = "return nil",
      },
    })
    return nydus, text
  end

  it("changes nothing and says why, whatever is wrong", function()
    local nydus = bad_start()
    local client, workers = nydus:client(), nydus:workers()
    for i, case in ipairs(bad) do
      local said = refused(nydus, case[2])
      assert.matches("error reload refused: .*" .. case[3], said, nil, nil, case[1] .. ":\n" .. said)
      assert.equal("OK", client:call("SET", case[1], i))
      assert.equal(tostring(i), redis:call("GET", case[1]))
      assert.equal("PONG", nydus:client():call("PING"))
    end
    assert.same(workers, nydus:workers())
    assert.equal("1", info(client).nydus_config_generation)
    assert.equal(2, reload(nydus, { workers = 2, hosts = { redis } }))
  end)

  it("does not keep a worker that dies from coming back, on the last good configuration", function()
    local nydus = start({ workers = 1, hosts = { redis } })
    refused(nydus, "return {")
    nydus:forget_log()
    kill("KILL", nydus:workers()[1])
    nydus:wait_log("(worker 1 is ready)")
    assert.equal("PONG", nydus:client():call("PING"))
    assert.equal("OK", nydus:client():call("SET", "k", "v"))
  end)

  it("is every problem in a line of its own", function()
    local nydus = start({ workers = 1, hosts = { redis } })
    local said = refused(nydus, "return { workers = -1, listen = 'x', hosts = { { port = 0 } } }")
    assert.equal(3, select(2, said:gsub("reload refused: ", "")), said)
  end)
end)

describe("a configuration that cannot even be read", function()
  -- A FIFO that nobody writes to is like a file on a server that is gone.
  local function hanging()
    local nydus = start({ workers = 1, hosts = { support.redis() } })
    local worker = nydus:workers()[1]
    os.remove(nydus.dir .. "/config.lua")
    support.run({ "mkfifo", nydus.dir .. "/config.lua" })
    nydus:forget_log()
    nydus:hup()
    support.wait_until(function() return #nydus:workers() == 2 end, 5, "the loader")
    local children = nydus:workers()
    return nydus, worker, children[1] == worker and children[2] or children[1]
  end

  it("leaves the server at work, which still replaces workers and stops when it is told to", function()
    local nydus, worker = hanging()
    assert.equal("PONG", nydus:client():call("PING"))
    kill("KILL", worker)
    nydus:wait_log("(worker 1 is ready)")
    assert.equal("PONG", nydus:client():call("PING"))
    nydus:stop()
  end)

  it("is refused, when the loader dies", function()
    local nydus, worker, loader = hanging()
    kill("KILL", loader)
    nydus:wait_log("reload refused: %S+config%.lua: the process that loaded it (died: signal 9)")
    assert.same({ worker }, nydus:workers())
    os.remove(nydus.dir .. "/config.lua")
    assert.equal(2, reload(nydus, { workers = 1, hosts = { support.redis() } }))
  end)
end)

describe("a worker that fails during a reload", function()
  it("is replaced, and the reload goes through, when it hangs", function()
    local a, b = support.redis(), support.redis()
    local nydus = start({ workers = 2, hosts = { a } })
    kill("STOP", nydus:workers()[1])
    assert.equal(2, reload(nydus, { workers = 2, hosts = { b } }))
    for i = 1, 20 do
      assert.equal("OK", nydus:client():call("SET", "k" .. i, "v"))
      assert.equal("v", b:call("GET", "k" .. i))
    end
    assert.equal(2, #nydus:workers())
  end)

  it("is replaced on the one configuration that all have, when it is killed at any moment", function()
    local a, b = support.redis(), support.redis()
    local nydus = start({ workers = 3, hosts = { a } })
    for round = 1, 10 do
      local host = round % 2 == 0 and a or b
      nydus:write("config.lua", { workers = 3, hosts = { host } })
      nydus:forget_log()
      nydus:hup()
      local victim = nydus:workers()[round % 3 + 1]
      if victim then kill("KILL", victim) end
      nydus:wait_log("(reloaded in)", 10)
      support.wait_until(function() return #nydus:workers() == 3 end, 15, "three workers")
      for i = 1, 9 do
        local client = nydus:client()
        assert.equal("OK", client:call("SET", round .. "/" .. i, "v"))
        assert.equal("v", host:call("GET", round .. "/" .. i))
        client:close()
      end
    end
  end)
end)

describe("many reloads", function()
  it("under traffic lose, double and reorder nothing", function()
    local hosts = { support.redis(), support.redis(), support.redis() }
    local nydus = start({ workers = 2, router = "ketama", hosts = hosts, defaults = { timeout = 30 } })
    local clients, reloads = many_clients(nydus, 1000), reload_counter(nydus)
    local sent, rounds, wanted = {}, 0, support.sanitized and 60 or 200
    while reloads() < wanted do
      nydus:hup()
      rounds = rounds + 1
      for i = rounds % 10 + 1, #clients, 10 do -- a tenth of them in each round
        for _ = 1, 5 do clients[i]:command("INCR", "counter" .. i) end
      end
      for i = rounds % 10 + 1, #clients, 10 do
        local before = sent[i] or 0
        for step = 1, 5 do assert.equal(before + step, (clients[i]:read())) end
        sent[i] = before + 5
      end
    end
    for i, client in ipairs(clients) do
      assert.equal(tostring(sent[i]), client:call("GET", "counter" .. i))
    end
    assert.is_nil(nydus:log():find("error", 1, true))
  end)

  -- With many hosts that takes longer than all the rest.
  it("have their configuration evaluated once for all workers, unless there is a function in it", function()
    local redis = support.redis()
    local main = "local cluster, options = ...\nreturn cluster.hosts[options.deep.list[1]]"
    local text = [[
print("evaluated, " .. "really")
return { workers = 2, listen = "127.0.0.1:$port", hosts = { "127.0.0.1:$redis" }, router = { "main.lua", %s } }]]
    local nydus = support.nydus({ config = text:format("deep = { list = { 1, 'two' } }"),
      files = { ["main.lua"] = main }, vars = { redis = redis.port } })
    nydus:wait_log("master info nydus .- (ready: )")
    local function evaluated()
      return select(2, nydus:log():gsub("evaluated, really", ""))
    end
    assert.equal(1, evaluated())
    reload(nydus)
    assert.equal(2, evaluated())
    nydus:write("main.lua", "local cluster, options = ...\nreturn cluster.hosts[options.choose()]")
    reload(nydus, text:format("choose = function() return 1 end"))
    assert.equal(2 + 3, evaluated())
    assert.equal("PONG", nydus:client():call("PING"))
  end)

  it("leave no memory and no descriptors behind", function()
    local redis = support.redis()
    local nydus = start({ workers = 1, router = "ketama", hosts = { redis } })
    local master, worker = nydus.pid, nydus:workers()[1]
    local done, reloads = 0, reload_counter(nydus)
    local function run(count)
      for _ = 1, count do
        nydus:hup()
        done = done + 1
        support.wait_until(function() return reloads() >= done end, 10, "the reload")
      end
      return { support.rss(master), support.rss(worker), support.fds(master), support.fds(worker) }
    end
    local before = run(20)
    local after = run(80)
    assert.equal(before[3], after[3])
    assert.equal(before[4], after[4])
    if support.sanitized then return end -- it keeps freed memory for a while
    local room = 256 * 1024 -- less than 4 KB for each
    assert.is_true(after[1] - before[1] < room, ("the master grew from %d to %d"):format(before[1], after[1]))
    assert.is_true(after[2] - before[2] < room, ("the worker grew from %d to %d"):format(before[2], after[2]))
  end)
end)
