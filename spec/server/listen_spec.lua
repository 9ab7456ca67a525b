local support = require("support")

local function has_ipv6()
  local text = support.read_file("/proc/net/if_inet6")
  return text and text:find("00000000000000000000000000000001", 1, true) ~= nil
end

local function config(listen)
  return { listen = listen, workers = 2, hosts = { support.redis() } }
end

local function assert_serves(address)
  assert.equal("PONG", support.client(address):call("PING"))
end

local function refuses(address)
  return not pcall(support.client, address)
end

describe("listen", function()
  it("takes an IPv4 address, and nothing else listens", function()
    local port = support.free_port()
    support.nydus({ config = config("127.0.0.1:" .. port), port = port })
    assert_serves(port)
    assert.is_true(refuses({ host = "127.0.0.2", port = port }))
  end)

  it("takes an IPv6 address, and IPv4 may have another server", function()
    if not has_ipv6() then return pending("no IPv6 here") end
    local port = support.free_port()
    support.nydus({ config = config(("[::1]:%d"):format(port)), wait = { host = "::1", port = port } })
    assert_serves({ host = "::1", port = port })
    assert.is_true(refuses(port))
  end)

  it("takes both kinds on the same port, when they are written apart", function()
    if not has_ipv6() then return pending("no IPv6 here") end
    local port = support.free_port()
    support.nydus({ config = config({ ("0.0.0.0:%d"):format(port), ("[::]:%d"):format(port) }), port = port })
    assert_serves(port)
    assert_serves({ host = "::1", port = port })
  end)

  it("takes every address, when only a port is written", function()
    local port = support.free_port()
    support.nydus({ config = config(":" .. port), port = port })
    assert_serves(port)
    assert_serves({ host = "127.0.0.2", port = port })
    assert.matches("addr=127%.0%.0%.1:%d+ laddr=127%.0%.0%.1:" .. port, support.client(port):call("CLIENT", "INFO"))
    if has_ipv6() then assert_serves({ host = "::1", port = port }) end
  end)

  it("takes a unix socket, which all workers serve", function()
    local path = support.temp_dir() .. "/nydus.sock"
    support.nydus({ config = config("unix:" .. path), wait = path })
    for _ = 1, 10 do assert_serves(path) end
  end)

  it("takes a list", function()
    local one, two = support.free_port(), support.free_port()
    local path = support.temp_dir() .. "/nydus.sock"
    support.nydus({
      config = config({ "127.0.0.1:" .. one, "localhost:" .. two, "unix:" .. path }),
      port = one,
    })
    assert_serves(one)
    assert_serves(two)
    assert_serves(path)
  end)

  it("gives each cluster addresses of its own", function()
    local a, b, first, second = support.redis(), support.redis(), support.free_port(), support.free_port()
    support.nydus({
      config = { workers = 2, clusters = {
        one = { listen = "127.0.0.1:" .. first, hosts = { a } },
        two = { listen = "127.0.0.1:" .. second, hosts = { b } },
      } },
      port = first,
    })
    support.client(first):call("SET", "k", "a")
    support.client(second):call("SET", "k", "b")
    assert.equal("a", a:call("GET", "k"))
    assert.equal("b", b:call("GET", "k"))
  end)

  it("shares new connections among the workers", function()
    local port = support.free_port()
    support.nydus({ config = config("127.0.0.1:" .. port), port = port })
    local slots = {}
    for _ = 1, 40 do
      slots[tonumber(support.client(port):call("CLIENT", "ID")) % 1024] = true
    end
    assert.same({ true, true }, slots)
  end)
end)

describe("a socket file", function()
  it("is taken over, when its process is gone", function()
    local path = support.temp_dir() .. "/nydus.sock"
    local first = support.nydus({ config = config("unix:" .. path), wait = path })
    first:crash()
    support.wait_until(function() return refuses(path) end, 5, "the workers to die, too")
    assert.equal(1, #support.list_files((path:gsub("/[^/]+$", "")), "nydus%.sock"))
    support.nydus({ config = config("unix:" .. path), wait = path })
    assert_serves(path)
  end)

  it("is left alone, when its process lives", function()
    local path = support.temp_dir() .. "/nydus.sock"
    support.nydus({ config = config("unix:" .. path), wait = path })
    local code, log = support.nydus_fails({ config = config("unix:" .. path) })
    assert.equal(1, code)
    assert.equal(("nydus: cannot listen on unix:%s: Address already in use\n"):format(path), log)
    assert_serves(path)
  end)

  it("is left alone, when it is no socket", function()
    local path = support.temp_dir() .. "/nydus.sock"
    support.write_file(path, "precious")
    local code, log = support.nydus_fails({ config = config("unix:" .. path) })
    assert.equal(1, code)
    assert.equal(("nydus: cannot listen on unix:%s: File exists\n"):format(path), log)
    assert.equal("precious", support.read_file(path))
  end)

  it("is left alone at the end, when somebody has put another in its place", function()
    local path = support.temp_dir() .. "/nydus.sock"
    local nydus = support.nydus({ config = config("unix:" .. path), wait = path })
    assert(os.remove(path))
    support.write_file(path, "precious")
    nydus:stop()
    assert.equal("precious", support.read_file(path))
  end)
end)
