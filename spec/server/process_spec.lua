local support = require("support")

-- Other programs' words for a signal sent by hand.
local function kill(signal, pid)
  assert.equal(0, (support.run({ "sh", "-c", ("kill -%s %d"):format(signal, pid) })))
end

local function lines(text)
  local list = {}
  for line in text:gmatch("[^\n]+") do list[#list + 1] = line end
  return list
end

-- It ends with this code after exactly one line, which matches.
local function assert_refuses(pattern, options)
  local code, log = support.nydus_fails(options)
  assert.equal(1, code)
  assert.equal(1, #lines(log), log)
  assert.matches(pattern, log)
end

local function start(options)
  options = options or {}
  options.config = options.config or {}
  options.config.hosts = options.config.hosts or { support.redis() }
  options.config.workers = options.config.workers or 2
  local nydus = support.nydus(options)
  nydus:wait_log("master info (nydus .- ready: )")
  return nydus
end

-- A host that answers the links' own PING and leaves the rest to the spec.
local function fake_host()
  return support.fake({ auto = { PING = "+PONG\r\n" } })
end

-- One call on a connection of its own, closed again.
local function call_once(nydus, ...)
  local client = nydus:client()
  local ok, reply = pcall(client.call, client, ...)
  client:close()
  return ok and reply
end

local function lua_path()
  return os.getenv("NYDUS_LUA_PATH") or require("lfs").currentdir() .. "/lua"
end

local function is_gone(pid)
  return support.read_file(("/proc/%d/stat"):format(pid)) == nil
    or support.read_file(("/proc/%d/stat"):format(pid)):match("%) (%a)") == "Z"
end

-- The pid of a worker that serves this client.
local function worker_of(nydus, client)
  local id = tonumber(client:call("CLIENT", "ID"))
  local slot = (id - 1) % 1024 + 1
  return slot, tonumber((nydus:log():match(".*worker " .. slot .. " is ready %(pid (%d+)%)")))
end

describe("workers", function()
  it("are replaced when they are killed, and the others' clients notice nothing", function()
    local nydus = start()
    local staying = nydus:client()
    assert.equal("OK", staying:call("SET", "k", "v"))
    local kept, kept_pid = worker_of(nydus, staying)
    local victim
    for _, pid in ipairs(nydus:workers()) do
      if pid ~= kept_pid then victim = pid end
    end
    nydus:forget_log()
    kill("KILL", victim)
    nydus:wait_log(("worker %d %%(pid %d%%) (died: signal 9 %%(Killed%%))"):format(3 - kept, victim))
    nydus:wait_log(("worker %d is ready (%%(pid %%d+%%))"):format(3 - kept))
    for _ = 1, 20 do
      assert.equal("v", nydus:client():call("GET", "k"))
    end
    assert.equal("v", staying:call("GET", "k"))
    assert.equal(2, #nydus:workers())
  end)

  it("are replaced when they hang", function()
    local nydus = start()
    local hung = nydus:workers()[1]
    nydus:forget_log()
    kill("STOP", hung)
    nydus:wait_log(("%%(pid %d%%) (hangs)"):format(hung), 12)
    nydus:wait_log("(worker %d is ready)", 5)
    assert.equal("PONG", nydus:client():call("PING"))
    assert.is_true(is_gone(hung))
  end)

  it("are started again later and later, when they die young", function()
    local nydus = start({ config = { workers = 1 } })
    local delays = {}
    for i = 1, 5 do
      nydus:forget_log()
      kill("KILL", nydus:workers()[1])
      delays[i] = tonumber((nydus:wait_log("died young, it is started again in ([%d.]+) s")))
      nydus:wait_log("(worker 1 is ready)")
    end
    assert.same({ 0.1, 0.2, 0.4, 0.8, 1 }, delays)
    assert.equal("PONG", nydus:client():call("PING"))
  end)

  it("leave their counters behind, when they die", function()
    local nydus = start({ config = { workers = 1 } })
    local client = nydus:client()
    for _ = 1, 7 do client:call("GET", "k") end
    nydus:forget_log()
    kill("KILL", nydus:workers()[1])
    nydus:wait_log("(worker 1 is ready)")
    local info = nydus:client():call("INFO")
    assert.is_true(tonumber(info:match("nydus_requests:(%d+)")) >= 7)
    local accepted = tonumber(info:match("nydus_clients_accepted:(%d+)"))
    assert.equal(accepted - 1, tonumber(info:match("nydus_clients_closed:(%d+)")))
  end)

  it("count clients of all together, when max_clients is reached", function()
    local nydus = start({ config = { workers = 2, max_clients = 5 } })
    local clients = {}
    support.wait_until(function()
      local client = nydus:client()
      local ok, reply = pcall(client.call, client, "PING")
      if ok and reply == "PONG" then clients[#clients + 1] = client else client:close() end
      return #clients == 5
    end, 5, "five clients")
    assert.same({ err = "ERR max number of clients reached" }, (nydus:client():read()))
    clients[1]:close()
    support.wait_until(function() return call_once(nydus, "PING") == "PONG" end, 5, "room for one more")
  end)

  it("die with the master, however it dies", function()
    local nydus = start()
    local workers = nydus:workers()
    kill("STOP", workers[2]) -- one that hangs, too
    kill("KILL", nydus.pid)
    support.wait_until(function() return is_gone(workers[1]) and is_gone(workers[2]) end, 5, "the workers to die")
    nydus:crash()
  end)

  it("do not leave, when a signal reaches the whole group", function()
    local nydus = start()
    local before = nydus:workers()
    for _, signal in ipairs({ "INT", "TERM", "HUP", "USR1", "USR2" }) do
      for _, pid in ipairs(before) do kill(signal, pid) end
    end
    assert.equal("PONG", nydus:client():call("PING"))
    assert.same(before, nydus:workers())
  end)
end)

describe("stopping", function()
  for _, signal in ipairs({ "TERM", "INT" }) do
    it("answers what is under way and exits with 0, on SIG" .. signal, function()
      local host = fake_host()
      local nydus = start({ config = { hosts = { host } } })
      local client, idle = nydus:client(), nydus:client()
      client:command("GET", "k")
      host:expect("GET k")
      kill(signal, nydus.pid)
      nydus:wait_log("(stopping)")
      idle:expect_end()
      support.wait_until(function() return not pcall(nydus.client, nydus) end, 5, "nobody to listen")
      host:answer("$1\r\nv\r\n")
      assert.equal("v", client:read())
      client:expect_end()
      assert.equal(0, nydus.process:wait(5))
      assert.matches("master info stopped\n$", nydus:log())
    end)
  end

  it("is at once, when the signal comes again", function()
    local host = fake_host()
    local nydus = start({ config = { hosts = { { host = "127.0.0.1", port = host.port, timeout = 60 } } } })
    local client = nydus:client()
    client:command("GET", "k")
    host:expect("GET k")
    nydus:term()
    nydus:wait_log("(stopping)")
    assert.is_true(nydus.process:alive())
    nydus:term()
    assert.equal(0, nydus.process:wait(3))
    client:expect_end()
  end)

  it("removes the socket files", function()
    local path = support.temp_dir() .. "/nydus.sock"
    local nydus = start({ config = { listen = "unix:" .. path }, wait = path })
    assert.equal("PONG", support.client(path):call("PING"))
    nydus:stop()
    assert.is_nil(support.read_file(path))
    assert.same({}, support.list_files((path:gsub("/[^/]+$", "")), "sock"))
  end)
end)

describe("the log", function()
  it("goes on in a new file after SIGUSR1, in every process", function()
    local path = support.temp_dir() .. "/nydus.log"
    local nydus = support.nydus({
      config = { log = { file = path, level = "debug" }, workers = 2, hosts = { support.redis() } },
    })
    support.wait_until(function() return (support.read_file(path) or ""):find("ready:", 1, true) end)
    assert.equal("", nydus:log(), "nothing may go to stderr")
    assert(os.rename(path, path .. ".1"))
    nydus:usr1()
    support.wait_until(function() return (support.read_file(path) or ""):find("log reopened", 1, true) end)
    local size = #support.read_file(path .. ".1")
    support.wait_until(function()
      call_once(nydus, "PING") -- whoever takes it says so at the level debug
      local text = support.read_file(path)
      return text:find("worker 1 debug", 1, true) and text:find("worker 2 debug", 1, true)
    end, 5, "lines of both workers in the new file")
    assert.is_true(#support.read_file(path .. ".1") - size < 1000, "only what came before the signal was read")
  end)

  it("stays in the old file, when the new one cannot be opened", function()
    local dir = support.temp_dir()
    local path = dir .. "/logs/nydus.log"
    support.write_file(path, "")
    local nydus = support.nydus({ config = { log = { file = path }, hosts = { support.redis() } } })
    assert(os.rename(dir .. "/logs", dir .. "/gone"))
    nydus:usr1()
    support.wait_until(function()
      return support.read_file(dir .. "/gone/nydus.log"):find("cannot reopen the log file .*No such file")
    end, 5, "the complaint")
  end)

  it("says that SIGUSR2 does nothing yet", function()
    local nydus = start()
    kill("USR2", nydus.pid)
    nydus:wait_log("warn (SIGUSR2 is ignored)")
    assert.equal("PONG", nydus:client():call("PING"))
  end)
end)

describe("starting", function()
  local hosts = { "127.0.0.1:1" }

  it("is refused with one line, when the port is in use", function()
    local other = support.fake() -- something that listens
    assert_refuses("^nydus: cannot listen on 127%.0%.0%.1:" .. other.port .. ": Address already in use\n$",
      { config = { hosts = hosts, listen = "127.0.0.1:" .. other.port } })
  end)

  it("is refused with one line, when another Nydus has the port", function()
    local other = start()
    assert_refuses("cannot listen on 127%.0%.0%.1:" .. other.port .. ": Address already in use",
      { config = { hosts = hosts, listen = "127.0.0.1:" .. other.port } })
    assert.equal("PONG", other:client():call("PING"))
  end)

  it("is refused with one line, when the folder of the socket is not there", function()
    assert_refuses("cannot listen on unix:/nonexistent/n%.sock: No such file or directory",
      { config = { hosts = hosts, listen = "unix:/nonexistent/n.sock" } })
  end)

  it("is refused with one line, when the log cannot be opened", function()
    assert_refuses("^nydus: cannot open the log file /nonexistent/n%.log: No such file or directory",
      { config = { hosts = hosts, log = { file = "/nonexistent/n.log" } } })
  end)

  it("is refused with one line, when there is no such configuration", function()
    local code, _, err = support.nydus_run({ "/nonexistent/config.lua" })
    assert.equal(1, code)
    assert.equal("/nonexistent/config.lua: No such file or directory\n", err)
  end)

  it("is refused with one line per problem, when the configuration is wrong", function()
    local code, log = support.nydus_fails({ config = "return { workers = -1, hosts = {}, lissten = ':1' }" })
    assert.equal(1, code)
    assert.is_true(#lines(log) >= 3, log)
    for _, line in ipairs(lines(log)) do assert.matches("config%.lua: ", line) end
  end)

  it("is refused with one line, when the Lua modules are not there", function()
    assert_refuses("^nydus: cannot read the Lua modules in /nonexistent: No such file or directory",
      { config = { hosts = hosts }, env = { NYDUS_LUA_PATH = "/nonexistent" } })
  end)

  -- Root may do what these forbid.
  local function run_as_nobody(options)
    local nydus = os.getenv("NYDUS_BIN") or "build/nydus"
    local as = { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups" }
    if support.run({ "id", "-u" }) ~= 0 or not support.has("setpriv") then return nil end
    local function run(...)
      local argv = { env = options.env }
      for _, word in ipairs(as) do argv[#argv + 1] = word end
      for _, word in ipairs({ nydus, ... }) do argv[#argv + 1] = word end
      return support.run(argv)
    end
    local able = run("--version")
    return able == 0 and run or nil
  end

  it("is refused with one line, when the configuration cannot be read", function()
    local dir = support.temp_dir()
    local path = dir .. "/config.lua"
    support.write_file(path, "return {}")
    support.run({ "chmod", "755", dir })
    support.run({ "chmod", "000", path })
    local run = run_as_nobody({ env = { NYDUS_LUA_PATH = lua_path() } })
    if not run then return pending("cannot become another user") end
    local code, _, err = run(path)
    assert.equal(1, code)
    assert.matches("config%.lua: Permission denied\n$", err)
    assert.equal(1, #lines(err), err)
  end)

  it("is refused with one line, when the socket's folder is not ours", function()
    local dir = support.temp_dir()
    support.run({ "chmod", "755", dir })
    support.write_file(dir .. "/config.lua",
      ("return { listen = %q, hosts = { '127.0.0.1:1' } }"):format("unix:" .. dir .. "/n.sock"))
    local run = run_as_nobody({ env = { NYDUS_LUA_PATH = lua_path() } })
    if not run then return pending("cannot become another user") end
    local code, _, err = run(dir .. "/config.lua")
    assert.equal(1, code)
    assert.matches("^nydus: cannot listen on unix:.*n%.sock: Permission denied\n$", err)
  end)

  -- Starts it under a limit of file descriptors.
  local function under_limit(limit, config)
    local dir, port = support.temp_dir(), support.free_port()
    support.write_file(dir .. "/config.lua", config:gsub("$port", tostring(port)))
    return support.start({
      name = "limited",
      argv = {
        "sh", "-c", 'ulimit -n "$1"; exec "$2" "$3"', "sh", tostring(limit),
        os.getenv("NYDUS_BIN") or "build/nydus", dir .. "/config.lua",
      },
      env = { NYDUS_LUA_PATH = lua_path() },
    }), port
  end

  local LISTEN = "return { workers = 1, listen = '127.0.0.1:$port', hosts = { '127.0.0.1:1' } }"

  it("is refused with one line, when there are too few file descriptors", function()
    local process = under_limit(24, LISTEN)
    assert.equal(1, process:wait(5))
    assert.matches("^nydus: too few file descriptors: 24 are allowed, at least %d+ are needed", process:log())
    assert.equal(1, #lines(process:log()))
  end)

  it("goes on with a warning, when there are fewer file descriptors than max_clients", function()
    local process, port = under_limit(256, LISTEN)
    support.wait_until(function() return process:log():find("ready:", 1, true) end, 5, "it to be ready")
    assert.matches("warn only 256 file descriptors are allowed", process:log())
    assert.equal("PONG", support.client(port):call("PING"))
  end)
end)

describe("systemd", function()
  it("is told about start, reload and stop, when it listens", function()
    local path = support.temp_dir() .. "/notify"
    local notify = assert(require("socket.unix").dgram())
    assert(notify:bind(path))
    notify:settimeout(5)
    local nydus = start({ env = { NOTIFY_SOCKET = path } })
    assert.equal("READY=1", (notify:receive()))
    nydus:hup()
    assert.matches("^RELOADING=1\nMONOTONIC_USEC=%d+$", (notify:receive()))
    assert.equal("READY=1", (notify:receive()))
    nydus:stop()
    assert.equal("STOPPING=1", (notify:receive()))
    notify:close()
  end)
end)
