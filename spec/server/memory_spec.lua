-- What Nydus keeps in memory: little for who is idle, nothing for what is over.

local support = require("support")
local pair = require("support.pair")

local MB = 1024 * 1024
local CLIENTS = 2000

-- Heap and stacks: without pages of files, and without what it shares with other
-- processes, where it counts in tables of a fixed size. Counted page by page: what
-- /proc/PID/status says is off by up to 32 pages for each core (Linux 6.2 and later).
local function resident(worker)
  return support.read_file("/proc/" .. worker .. "/smaps_rollup"):match("Anonymous:%s*(%d+) kB") * 1024
end

-- Waits until the worker is at most that large; returns what it came to.
local function settles(worker, limit, seconds)
  local bytes
  pcall(support.wait_until, function()
    bytes = resident(worker)
    return bytes <= limit
  end, seconds or 8)
  return bytes
end

-- The worker is small itself: a fifth, and what it keeps of memory for what comes next.
local function goes_back_to(before) return before * 1.2 + 1.5 * MB end

local function report(name, text)
  if os.getenv("NYDUS_REPORT") then print(("%s: %s"):format(name, text)) end
end

describe("memory", function()
  it("of an idle client is 512 bytes at most, also after it has sent traffic", function()
    if pair.sanitized then
      pending("not with a sanitizer")
      return
    end
    local nydus = support.nydus({ config = { router = "ketama", hosts = { support.redis(), support.redis() } } })
    local worker = pair.worker(nydus)
    local client = nydus:client()
    local words = { "MSET" }
    for i = 1, 200 do words[#words + 1], words[#words + 2] = "key" .. i, ("x"):rep(100) end
    client:call(unpack(words))
    local clients = {}
    local function connect(count)
      for _ = 1, count do clients[#clients + 1] = nydus:client() end
      local line = ("connected_clients:%d\r"):format(#clients + 1)
      support.wait_until(function() return client:call("INFO", "clients"):find(line, 1, true) end)
    end
    local function talk()
      for i, one in ipairs(clients) do one:command("GET", "key" .. i % 200 + 1) end
      for _, one in ipairs(clients) do one:read() end
      for i, one in ipairs(clients) do one:command("SET", "key" .. i % 200 + 1, ("y"):rep(2000)) end
      for _, one in ipairs(clients) do one:read() end
    end
    -- What it has freed is given back at once, to measure what it has not.
    local function purged()
      assert.equal("OK", client:call("MEMORY", "PURGE"))
      return resident(worker)
    end
    connect(CLIENTS / 4) -- they fill the pools that all clients share
    talk()
    local before, start = purged(), support.now()
    support.wait_until(function()
      before = math.min(before, purged())
      return support.now() - start > 2.2 -- pools keep for two seconds what nobody needs
    end)
    connect(CLIENTS)
    local fresh = (purged() - before) / CLIENTS
    talk()
    local function settled()
      local bytes
      pcall(support.wait_until, function()
        bytes = (purged() - before) / CLIENTS
        return bytes <= fresh + 32
      end, 3)
      return bytes
    end
    local used = settled()
    local hello = support.encode({ "HELLO", "3", "SETNAME", "a-service-with-a-name" }) ..
      support.encode({ "CLIENT", "SETINFO", "LIB-NAME", "redis-py" }) ..
      support.encode({ "CLIENT", "SETINFO", "LIB-VER", "4.5.1" })
    for _, one in ipairs(clients) do one:send(hello) end
    for _, one in ipairs(clients) do for _ = 1, 3 do one:read() end end
    local named = settled()
    report("idle client", ("%.0f bytes, %.0f after traffic, %.0f with names"):format(fresh, used, named))
    assert.is_true(fresh <= 512, ("%.0f bytes before traffic"):format(fresh))
    assert.is_true(used <= 512, ("%.0f bytes after traffic"):format(used))
    assert.is_true(named <= 512, ("%.0f bytes with names"):format(named))
    for _, one in ipairs(clients) do one:close() end
    support.wait_until(function() return client:call("INFO", "clients"):find("connected_clients:1\r", 1, true) end)
  end)

  it("goes back after 256 MB of requests were in flight", function()
    if pair.sanitized then
      pending("not with a sanitizer")
      return
    end
    local a = support.redis({ fresh = true })
    local nydus = pair.nydus(a, support.redis(), { timeout = 20 })
    local worker = pair.worker(nydus)
    local client, other = nydus:client(), nydus:client()
    client.timeout = 20
    for i = 1, 100 do client:call("SET", "a" .. i, "v") end
    local before, most = resident(worker), 0
    for _, size in ipairs({ 1000, 20000, MB }) do
      a:pause()
      local count = math.min(256 * MB / size, 4000)
      local request = support.encode({ "SET", "a", ("x"):rep(size) })
      for _ = 1, count do client:send(request) end
      support.wait_until(function() return pair.stats(other).requests >= count end, 10, "all to be in flight")
      most = math.max(most, resident(worker))
      a:resume()
      for _ = 1, count do assert.equal("OK", (client:read())) end
    end
    local limit = goes_back_to(before)
    local after = settles(worker, limit)
    local text = ("%.1f MB before, %.1f MB at the peak, %.1f MB after"):format(before / MB, most / MB, after / MB)
    report("peak", text)
    assert.is_true(most > 200 * MB and after <= limit, text)
  end)

  it("goes back after clients have left 200 MB of replies unread", function()
    if pair.sanitized then
      pending("not with a sanitizer")
      return
    end
    local redis = support.redis({ fresh = true })
    local nydus = support.nydus({ config = { hosts = { redis }, defaults = { timeout = 10 } } })
    local worker = pair.worker(nydus)
    local other = nydus:client()
    local before = resident(worker)
    for _, size in ipairs({ 10000, 100000, 20 * MB }) do
      redis:call("SETRANGE", "big" .. size, tostring(size - 1), "x")
      local client, start = nydus:client({ receive_buffer = 65536 }), resident(worker)
      for _ = 1, math.min(3000, 200 * MB / size) do client:command("GET", "big" .. size) end
      support.wait_until(function() return resident(worker) > start + 20 * MB end, 10, "replies to pile up")
      client:close()
    end
    local limit = goes_back_to(before)
    local after = settles(worker, limit)
    local text = ("%.1f MB before, %.1f MB after"):format(before / MB, after / MB)
    report("unread", text)
    assert.is_true(after <= limit, text)
    assert.equal("PONG", other:call("PING"))
  end)

  it("goes back after the KEYS of large hosts, which take twice their size meanwhile", function()
    if pair.sanitized then
      pending("not with a sanitizer")
      return
    end
    local KEYS, hosts = 60000, {}
    for i = 1, 3 do
      hosts[i] = support.redis({ fresh = true })
      hosts[i]:call("DEBUG", "POPULATE", KEYS, ("host%d:"):format(i) .. ("x"):rep(80))
    end
    local nydus = support.nydus({ config = { router = "ketama", hosts = hosts, defaults = { timeout = 20 } } })
    local worker = pair.worker(nydus)
    local client, header, size = nydus:client(), ("*%d\r\n"):format(3 * KEYS), 0
    client.timeout = 20
    for i = 0, KEYS - 1 do size = size + 3 * (#support.encode({ ("host1:%s:%d"):format(("x"):rep(80), i) }) - 4) end
    client:call("PING")
    local before = resident(worker)
    for _ = 1, 2 do
      client:command("KEYS", "*")
      assert.equal(header, client:read_raw(#header))
      client:collect(size)
      assert.equal("\r\n", client:read_raw(size):sub(-2))
    end
    local peak = tonumber(support.read_file("/proc/" .. worker .. "/status"):match("VmHWM:%s*(%d+) kB")) * 1024
    assert.is_true(peak < before + 2.2 * size + 10 * MB, ("%.1f MB for %.1f MB"):format((peak - before) / MB, size / MB))
    local limit = goes_back_to(before)
    local after = settles(worker, limit)
    report("keys", ("before %.1f MB, peak %.1f MB, after %.1f MB"):format(before / MB, peak / MB, after / MB))
    assert.is_true(after <= limit, ("%.1f MB before, %.1f MB after"):format(before / MB, after / MB))
    assert.equal("PONG", client:call("PING"))
  end)

  it("does not grow with clients that come and go, and with hosts that break", function()
    local fake_port = support.redis()
    local nydus = pair.nydus(fake_port, support.redis())
    local worker = pair.worker(nydus)
    local function round()
      for i = 1, 300 do
        local one = nydus:client()
        one:command("SET", "a" .. i, ("x"):rep(5000))
        one:command("GET", "b" .. i)
        if i % 3 == 0 then one:reset() else one:close() end
      end
      fake_port:call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
      local client = nydus:client()
      pair.until_reply(client, { "SET", "a", "v" }, "OK", 3)
      client:close()
    end
    for _ = 1, 2 do round() end
    local before, fds = resident(worker), support.fds(worker)
    for _ = 1, 5 do round() end
    local after = settles(worker, before + 2 * MB, 3)
    assert.is_true(after <= before + (pair.sanitized and 64 or 2) * MB, ("grew by %d bytes"):format(after - before))
    support.wait_until(function() return support.fds(worker) <= fds end, 3, "the descriptors to be closed")
  end)
end)
