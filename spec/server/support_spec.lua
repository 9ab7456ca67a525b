local support = require("support")
local scope = require("support.scope")
local sys = require("support.sys")

describe("support", function()
  describe("redis", function()
    local shared
    setup(function() shared = support.redis() end)

    it("starts a private server, which answers", function()
      assert.equal("OK", shared:call("SET", "a", "1"))
      assert.equal("1", shared:call("GET", "a"))
    end)

    it("lives as long as its describe, when a setup made it", function()
      assert.equal("1", shared:call("GET", "a"))
    end)

    it("passes options on, when there are any", function()
      local redis = support.redis({
        requirepass = "secret",
        databases = 2,
        unix = true,
        user = { name = "bob", password = "pw", rules = "~b:* +@all" },
      })
      local client = support.client(redis.path)
      assert.same({ err = "NOAUTH Authentication required." }, client:call("GET", "b:1"))
      assert.equal("OK", client:call("AUTH", "bob", "pw"))
      assert.matches("^NOPERM", client:call("GET", "a").err)
      assert.equal("PONG", redis:call("PING"))
      assert.same({ err = "ERR DB index is out of range" }, redis:call("SELECT", "2"))
    end)

    it("is empty again, when it comes from the pool", function()
      scope.enter()
      local first = support.redis()
      first:call("SET", "left", "over")
      local port = first.port
      scope.leave()
      local again = support.redis()
      assert.equal(port, again.port)
      assert.equal(0, again:call("DBSIZE"))
    end)

    it("comes back on its port, when it is restarted", function()
      local redis = support.redis()
      redis:kill()
      assert.has_error(function() support.client(redis.port) end)
      redis:restart()
      assert.equal("PONG", redis:call("PING"))
    end)

    it("says nothing, while it is paused", function()
      local redis = support.redis()
      local client = support.client({ port = redis.port, timeout = 0.05 })
      redis:pause()
      client:command("PING")
      assert.has_error(function() client:read() end)
      redis:resume()
      assert.equal("PONG", (client:read(5)))
    end)
  end)

  describe("nydus", function()
    it("runs with a configuration of its own, until its scope ends", function()
      local nydus = support.nydus({ config = { router = "ketama", hosts = { support.redis(), support.redis() } } })
      assert.equal("PONG", nydus:client():call("PING"))
      assert.equal(1, #nydus:workers())
      nydus:stop()
      assert.error_matches(function() nydus:client() end, "refused")
    end)

    it("puts the port and the variables into a configuration in words", function()
      local nydus = support.nydus({
        config = [[return { listen = "127.0.0.1:$port", workers = 2, hosts = { { port = $one } } }]],
        vars = { one = support.redis().port },
      })
      assert.equal("OK", nydus:client():call("SET", "k", "v"))
      assert.equal(2, #nydus:workers())
    end)

    it("gives exit code and reason, when it refuses to start", function()
      local code, log = support.nydus_fails({ config = { hosts = { { port = 70000 } } } })
      assert.equal(1, code)
      assert.matches("port", log)
    end)
  end)

  describe("client", function()
    local replies = {
      { "+OK\r\n", "OK" },
      { "$0\r\n\r\n", "" },
      { "$-1\r\n", support.null },
      { "*-1\r\n", support.null },
      { "_\r\n", support.null },
      { ":-7\r\n", -7 },
      { ":9223372036854775807\r\n", "9223372036854775807" },
      { "-ERR no\r\n", { err = "ERR no" } },
      { "*3\r\n:1\r\n*1\r\n+a\r\n$1\r\nb\r\n", { 1, { "a" }, "b" } },
      { "%1\r\n+k\r\n#t\r\n", { map = { "k", { bool = true } } } },
      { ">2\r\n+message\r\n,1.5\r\n", { push = { "message", { double = "1.5" } } } },
      { "|1\r\n+ttl\r\n:1\r\n$1\r\nx\r\n", { attribute = { "ttl", 1 }, value = "x" } },
    }

    it("reads every kind of reply, when it comes byte by byte", function()
      for _, case in ipairs(replies) do
        for cut = 1, #case[1] - 1 do
          assert.is_nil((select(2, support.decode(case[1]:sub(1, cut)))))
        end
        local value, after = support.decode(case[1])
        assert.same(case[2], value)
        assert.equal(#case[1] + 1, after)
      end
    end)

    it("writes and reads at once, when the pipeline is larger than all buffers", function()
      local client = support.client(support.redis().port)
      local commands, value = {}, ("x"):rep(100000)
      for i = 1, 100 do commands[i] = { "ECHO", value .. i } end
      local got = client:pipeline(commands)
      assert.equal(100, #got)
      assert.equal(value .. "100", got[100])
    end)

    it("reads a huge value without copying it again and again", function()
      local client = support.client(support.redis().port)
      local value = ("0123456789abcdef"):rep(1024 * 1024)
      assert.equal("OK", client:call("SET", "big", value))
      assert.is_true(client:call("GET", "big") == value)
    end)

    it("says what it waited for, when nothing comes", function()
      local client = support.client({ port = support.fake().port, timeout = 0.02 })
      assert.error_matches(function() client:read() end, "no reply within")
    end)

    it("says that the server left, when it did", function()
      local fake = support.fake()
      local client = support.client(fake.port)
      fake:accept():close()
      client:expect_end()
      assert.error_matches(function() client:read() end, "connection ended")
    end)
  end)

  describe("fake", function()
    it("plays a host step by step", function()
      local host = support.fake({ auto = { auth = "+OK\r\n" } })
      local client = support.client(host.port)
      client:command("AUTH", "x"):command("GET", "k")
      host:expect("GET k"):send("$1\r\n")
      host:drip("v\r\n")
      assert.equal("OK", client:read())
      assert.equal("v", client:read())
      host:expect_silence(0.01)
      assert.error_matches(function() client:command("SET", "k", "v") host:expect("GET k") end, "SET k v")
    end)

    it("refuses connections, while it is down", function()
      local host = support.fake()
      host:down()
      assert.error_matches(function() support.client(host.port) end, "refused")
      host:up()
      support.client(host.port)
      assert.equal(1, #host:links())
    end)

    it("sees a reset, when the client resets", function()
      local host = support.fake()
      local client = support.client(host.port)
      local link = host:accept()
      client:reset()
      assert.error_matches(function() link:read() end, "reset")
    end)
  end)

  describe("scope", function()
    it("ends what it started, in reverse order", function()
      local order = {}
      scope.enter()
      for i = 1, 3 do
        scope.add({ close = function() order[#order + 1] = i end })
      end
      scope.leave()
      assert.same({ 3, 2, 1 }, order)
    end)

    it("counts a clean-up that fails as a problem", function()
      scope.enter()
      scope.add({ close = function() error("stuck", 0) end })
      scope.leave()
      assert.same({ "stuck" }, scope.take_problems())
    end)

    it("leaves no process behind, when the spec process is killed", function()
      local inner = support.temp_dir() .. "/inner_spec.lua"
      support.write_file(inner, [[
        it("hangs", function()
          local redis = require("support").redis()
          io.stderr:write("pid ", redis.pid, "\n")
          require("support.sys").pause(60)
        end)
      ]])
      local outer = support.start({ name = "busted", argv = { "luajit", "spec/support/busted.lua", inner } })
      support.wait_until(function() return outer:log():match("pid (%d+)\n") end, 10, "the inner spec")
      local pid = tonumber(outer:log():match("pid (%d+)\n"))
      assert.is_true(sys.kill(pid, 0))
      outer:signal("KILL")
      support.wait_until(function()
        local stat = support.read_file(("/proc/%d/stat"):format(pid))
        return not stat or stat:match("%) (%S)") == "Z"
      end, 5, "the orphan to die")
    end)
  end)

  describe("busted", function()
    local function run(text)
      local path = support.temp_dir() .. "/x_spec.lua"
      support.write_file(path, text)
      return support.run({ "luajit", "spec/support/busted.lua", path })
    end

    local cases = {
      { "it('a', function() end)", 0, "\n1 passed, 0 failed\n$" },
      { "it('a', function() end) it('b', function() error('x') end)", 1, "\n1 passed, 1 failed\n$" },
      { "it('a', function() end) it('b', function() pending('why') end)", 0, "\n1 passed, 0 failed, 1 skipped\n$" },
      { "it('a', function() end) describe('b', function() setup(error) it('c', function() end) end)", 1,
        "\n1 passed, 1 failed\n$" },
      { "it('a', function() end) before_each(function() error('x') end)", 1, "\n0 passed, 1 failed\n$" },
      { "syntax error", 1, "\n0 passed, 1 failed\n$" },
      { "", 1, "\n0 passed, 0 failed\n$" },
      { "it('a', function() require('support.scope').problem('leak') end)", 1, "\n1 passed, 1 failed\n$" },
    }

    it("ends with the counts alone on a line, and with 0 only when all is well", function()
      for _, case in ipairs(cases) do
        local code, out = run(case[1])
        assert.equal(case[2], code, case[1] .. out)
        assert.matches(case[3], out)
      end
    end)
  end)

  describe("process", function()
    it("gives exit code, output and errors", function()
      local code, out, err = support.run({ "sh", "-c", "cat; echo $X >&2; exit 3", stdin = "in", env = { X = "y" } })
      assert.equal(3, code)
      assert.equal("in", out)
      assert.equal("y\n", err)
    end)

    it("tells memory, descriptors and CPU of a process", function()
      local pid = support.redis().pid
      assert.is_true(support.rss(pid) > 1024 * 1024)
      assert.is_true(support.fds(pid) > 3)
      assert.is_true(support.cpu(pid) >= 0)
    end)
  end)

  describe("header", function()
    it("gives a C header to FFI, so that its functions can be called", function()
      local ffi = require("ffi")
      support.header("resp/resp.h")
      support.header("resp/resp.h")
      local scan, text = ffi.new("struct resp_request"), "*1\r\n$4\r\nPING\r\n"
      assert.equal(ffi.C.RESP_DONE, support.lib().resp_scan_request(scan, text, #text, 1000))
      assert.equal(#text, scan.size)
    end)
  end)
end)
