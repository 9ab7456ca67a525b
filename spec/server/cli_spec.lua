local support = require("support")

local HOSTS = [[
  hosts = {
    [0] = { port = 7001, identifier = "a" },
    [1] = { port = 7002, identifier = "b", db = 3, weight = 2 },
    [2] = "redis://user:secret@10.0.0.3:6379/2",
  },
]]

local function config(text)
  return "return { listen = '127.0.0.1:6380', " .. text .. HOSTS .. " }"
end

local function run(arguments, text, files)
  arguments.config = text and config(text) or config("router = 'ketama',")
  arguments.files = files
  return support.nydus_run(arguments)
end

local function has(text, words)
  assert.is_truthy(text:find(words, 1, true), ("%q is not in:\n%s"):format(words, text))
end

describe("nydus", function()
  describe("--version", function()
    it("prints the versions and exits with 0", function()
      local code, out = run({ "--version" })
      assert.equal(0, code)
      assert.matches("^nydus %d+%.%d+%.%d+ %(LuaJIT 2%.1%S*, libev %d+%.%d+%)\n$", out)
    end)
  end)

  describe("--help", function()
    it("names every option and signal and exits with 0", function()
      local code, out, err = run({ "--help", "--nonsense" })
      assert.equal(0, code)
      assert.equal("", err)
      local words = { "--check", "--route", "--diff", "--version", "--help", "HUP", "TERM", "USR1" }
      for _, word in ipairs(words) do has(out, word) end
      for line in out:gmatch("[^\n]+") do assert.is_true(#line <= 80, line) end
    end)
  end)

  describe("a wrong command line", function()
    local bad = {
      { "unknown option --chek", "--chek" },
      { "unknown option -x", "-x" },
      { "one configuration file is enough", "a.lua", "b.lua" },
      { "--route needs a command", "--route" },
      { "--diff needs the old configuration", "--diff" },
      { "unknown option --diffs", "--diffs" },
    }
    it("is one line with a hint and exit code 2", function()
      for _, case in ipairs(bad) do
        local code, out, err = run({ unpack(case, 2) })
        assert.equal(2, code)
        assert.equal("", out)
        assert.equal(1, select(2, err:gsub("\n", "")))
        assert.matches("^nydus: ", err)
        has(err, case[1])
        has(err, "nydus --help")
      end
    end)
  end)

  describe("--check", function()
    it("prints clusters, hosts and trees, when all is well", function()
      local code, out, err = run({ "--check", "config.lua" })
      assert.equal(0, code, err)
      assert.equal("", err)
      has(out, "cluster main")
      has(out, "127.0.0.1:6380")
      has(out, "[1]  b  at 127.0.0.1:7002 db 3  weight 2")
      has(out, "C    ketama over 3 hosts, hash md5, compat nydus")
    end)

    it("shows no password", function()
      local code, out = run({ "--check", "config.lua" })
      assert.equal(0, code)
      assert.is_nil(out:find("secret", 1, true))
    end)

    it("marks each node of a router script with C or Lua", function()
      local code, out, err = run({ "--check", "config.lua" }, "router = 'tree.lua',", { ["tree.lua"] = [[
        local cluster = ...
        local nydus = require("nydus")
        local ring = nydus.modulus(cluster)
        return nydus.prefix({
          ["hot:"] = cluster.hosts[0],
          ["all:"] = { cluster.hosts[0], cluster.hosts[1] },
          ["lua:"] = function() return ring end,
          default = nydus.command({ GET = cluster.hosts[1], read = ring, default = nydus.error("ERR no") }),
        })
      ]] })
      assert.equal(0, code, err)
      assert.matches("C +prefix of the key\n", out)
      assert.matches('C +"hot:" %-> host a ', out)
      assert.matches('C +"all:" %-> list of 2\n +C +1 %-> host a .-\n +C +2 %-> host b ', out)
      assert.matches('Lua +"lua:" %-> function %S*tree%.lua:7', out)
      assert.matches("C +default %-> command\n +C +get %-> host b ", out)
      assert.matches("C +read %-> modulus over 3 hosts", out)
      assert.matches('C +default %-> reply "%-ERR no', out)
    end)

    it("marks every kind of target, and shows what is below it", function()
      local kinds = { -- how it is made, its language and its line, what is below it
        { "a", "C", "host a " },
        { "nydus.cluster('other')", "C", "cluster other\n" },
        { "nydus.jump(cluster)", "C", "jump over 3 hosts" },
        { "{ a, b }", "C", "list of 2\n", "1 -> host a ", "2 -> host b " },
        { "nydus.all({ a, b }, { reply = 'sum' })", "C", "list of 2, reply sum\n", "1 -> host a " },
        { "nydus.reply(1)", "C", [[reply ":1\r\n"]] },
        { "nydus.prefix{ ['x:'] = a, default = b }", "C", "prefix of the key\n", '"x:" -> host a ', "default -> host b " },
        { "nydus.command{ GET = a, write = b }", "C", "command\n", "get -> host a ", "write -> host b " },
        { "nydus.split{ { a, 90 }, { b, 10 }, by = 'key' }", "C", "split by key\n", "90 % -> host a ", "10 % -> host b " },
        { "nydus.failover{ a, b }", "C", "failover, on down\n", "1 -> host a ", "2 -> host b " },
        { "nydus.hedge{ a, b, after = 0.1 }", "C", "hedge, ", "1 -> host a ", "2 -> host b " },
        { "nydus.shadow{ a, b }", "C", "shadow, ", "next -> host a ", "copy -> host b " },
        { "nydus.limit{ rate = 5, next = a, over = b }", "C", "limit, 5 a second", "next -> host a ", "over -> host b " },
        { "function() return a end", "Lua", "function " },
      }
      local script = { [[
        local cluster = ...
        local nydus = require("nydus")
        local a, b = cluster.hosts[0], cluster.hosts[1]
        return nydus.prefix{
      ]] }
      for i, kind in ipairs(kinds) do script[#script + 1] = ("['%02d:'] = %s,\n"):format(i, kind[1]) end
      local code, out, err = support.nydus_run({ "--check", "config.lua",
        config = ("return { clusters = { main = { listen = '127.0.0.1:1', router = 'tree.lua', %s },"
          .. " other = { router = 'ketama', %s } } }"):format(HOSTS, HOSTS),
        files = { ["tree.lua"] = table.concat(script) .. "}" } })
      assert.equal(0, code, err)
      local at = 1
      for i, kind in ipairs(kinds) do
        local line = ('    %-4s   "%02d:" -> %s'):format(kind[2], i, kind[3])
        at = out:find(line, at, true)
        assert.is_truthy(at, line .. " is not in:\n" .. out)
        for below = 4, #kind do
          at = out:find("\n    C        " .. kind[below], at, true)
          assert.is_truthy(at, kind[below] .. " is not below " .. line .. " in:\n" .. out)
        end
      end
    end)

    it("says which hosts a router is over, unless it is all, and ends however often targets nest", function()
      local code, out = run({ "--check", "config.lua" }, "router = 'tree.lua',", { ["tree.lua"] = [[
        local cluster = ...
        local nydus = require("nydus")
        local many = { cluster.hosts[0], cluster.hosts[1] }
        for _ = 1, 14 do many = { many, many } end
        return { nydus.ketama({ cluster.hosts[0], cluster.hosts[1] }), nydus.jump(cluster), many }
      ]] })
      assert.equal(0, code)
      assert.matches("ketama over 2 hosts, [^\n]+: a, b\n", out)
      assert.matches("jump over 3 hosts, hash xxh64, compat nydus\n", out)
      assert.matches("\n    and more\n[^\n]+no problems\n$", out)
      assert.is_true(#out < 1e6)
    end)

    it("prints every problem in a line of its own and exits with 1", function()
      local code, out, err = run({ "--check", "config.lua" }, "workers = -1, router = 'ketma',")
      assert.equal(1, code)
      assert.equal("", out)
      assert.equal(2, select(2, err:gsub("config%.lua: ", "")), err)
      has(err, "workers: ")
      has(err, "did you mean")
    end)

    it("prints the problem of a router script with its place", function()
      local code, _, err = run({ "--check", "config.lua" }, "router = 'bad.lua',",
        { ["bad.lua"] = "\nerror('no luck')" })
      assert.equal(1, code)
      assert.matches("config%.lua: clusters%.main%.router: %S*bad%.lua:2: no luck\n$", err)
    end)

    it("opens no port and does not touch the log", function()
      local other = support.fake()
      local path = support.temp_dir() .. "/nydus.log"
      local code = support.nydus_run({ "--check", "config.lua", config = {
        listen = "127.0.0.1:" .. other.port, hosts = { "127.0.0.1:1" }, log = { file = path },
      } })
      assert.equal(0, code)
      assert.is_nil(support.read_file(path))
    end)

    it("takes ./config.lua, when no file is named", function()
      local code, _, err = run({ "--check" })
      assert.is_true(code == 0 or err:find("^config%.lua: ") ~= nil, err)
    end)

    it("tells what a router holds to no use, and what it has no way for", function()
      local head = "local cluster = ... local nydus = require('nydus') local h = cluster.hosts\n"
      for body, expected in pairs({
        ["return nydus.prefix{ ['a:'] = h[0] }"] = "commands without a key .* have no route: give nydus.prefix a `default`",
        ["return nydus.prefix{ ['a:'] = nydus.prefix{ ['b:'] = h[0] }, default = h[1] }"] =
          'the prefix "b:" is never met: only keys that begin with "a:" come there',
        ["return nydus.command{ read = h[0], write = h[1], default = h[2] }"] = "`default` of nydus.command is never met",
        ["return nydus.command{ read = nydus.command{ SET = h[0], default = h[1] }, default = h[2] }"] =
          "'set' of nydus.command is never met: only commands that read come there",
        ["return nydus.split{ { h[0], 1 }, { h[1], 0 } }"] = "target 2 of a split gets nothing: its weight is 0",
        ["return nydus.failover{ h[0], h[0] }"] = "targets 1 and 2 of a failover are the same",
        ["return nydus.prefix{ ['a:'] = nydus.prefix{ ['a:b'] = h[0], default = h[2] }, default = nydus.command{ "
          .. "GET = h[0], write = h[1], default = h[2] } }"] = false,
      }) do
        local code, out = run({ "--check", "config.lua" }, "router = 'x.lua',", { ["x.lua"] = head .. body })
        assert.equal(0, code)
        if expected then assert.matches("note: " .. expected, out, nil, nil, body)
        else assert.is_nil(out:find("note:", 1, true), out) end
      end
    end)
  end)

  describe("--route", function()
    it("says class, key, way and host", function()
      local code, out, err = run({ "--route", "GET user:1", "config.lua" })
      assert.equal(0, code, err)
      has(out, "GET user:1\n")
      has(out, "get, reads")
      has(out, 'key      "user:1"')
      has(out, "ketama over 3 hosts")
      assert.matches("md5 %d+, point %d+", out)
      assert.matches("C +host %S+ %(%S+ db %d+%)\n$", out)
      assert.is_nil(out:find("secret", 1, true))
    end)

    it("agrees with the server", function()
      local hosts = {}
      for i = 1, 3 do hosts[i] = support.redis() end
      local nydus = support.nydus({ config = { router = "ketama", hosts = hosts } })
      local client = nydus:client()
      local lines = {}
      for i = 1, 50 do
        client:call("SET", "key:" .. i, "v")
        lines[i] = "GET key:" .. i
      end
      local code, out = support.nydus_run({
        "--route", "-", nydus.dir .. "/config.lua", stdin = table.concat(lines, "\n") .. "\n",
      })
      assert.equal(0, code)
      local seen = 0
      for key, port in out:gmatch("GET (key:%d+)\n.-host %S+ %(127%.0%.0%.1:(%d+) db 0%)\n") do
        for _, redis in ipairs(hosts) do
          assert.equal(redis.port == tonumber(port) and 1 or 0, redis:call("EXISTS", key))
        end
        seen = seen + 1
      end
      assert.equal(50, seen)
    end)

    it("may be repeated, and reads lines from stdin for -", function()
      local code, out = run({ "--route", "GET a", "--route=GET b", "--route", "-", "config.lua",
        stdin = "GET c\n\nSET 'd e' \"f\\x00\"" })
      assert.equal(0, code)
      for _, command in ipairs({ "GET a\n", "GET b\n", "GET c\n", "SET 'd e' \"f\\x00\"\n" }) do has(out, command) end
      has(out, 'key      "d e"')
    end)

    it("names every host of a list", function()
      local code, out = run({ "--route", "INCR n", "config.lua" }, "router = 'all',")
      assert.equal(0, code)
      has(out, "list of 3")
      has(out, "the client gets an array of the replies")
      for _, host in ipairs({ "host a ", "host b ", "host redis://10.0.0.3:6379/2 " }) do has(out, host) end
    end)

    it("routes each key of a command with several, and says what comes of it", function()
      local keys = {}
      for i = 1, 30 do keys[i] = "k" .. i end
      local code, out = run({
        "--route", "MGET " .. table.concat(keys, " "), "--route", "SINTER " .. table.concat(keys, " "),
        "config.lua",
      })
      assert.equal(0, code)
      assert.equal(60, select(2, out:gsub("\n +key  ", "")))
      has(out, "taken apart: each of the 3 gets its keys")
      has(out, "-CROSSSLOT")
    end)

    local special = {
      { "PING", "by Nydus itself" },
      { "SUBSCRIBE news", "by Nydus itself" },
      { "SHUTDOWN", "refused" },
      { "NONSENSE", "-ERR unknown command" },
      { "GET", "-ERR wrong number of arguments" },
      { "EVAL x 5 a", "ERR" },
      { "DBSIZE", "no key: every host" },
      { "DBSIZE", "the replies are joined into one" },
      { "SCAN 0", "one of them at a time" },
      { "EVAL x 0", "one of them at a time" },
    }
    it("says what needs no router", function()
      for _, case in ipairs(special) do
        local code, out = run({ "--route", case[1], "config.lua" })
        assert.equal(0, code)
        has(out, case[2])
      end
    end)

    it("walks through a router script", function()
      local code, out, err = run({
        "--route", "GET hot:1", "--route", "GET odd", "--route", "GET lost", "--route", "GET broken", "config.lua",
      }, "router = 'tree.lua',", { ["tree.lua"] = [[
        local cluster = ...
        local nydus = require("nydus")
        return nydus.prefix({ ["hot:"] = cluster.hosts[0], default = function(req)
          if req:prefix("lost") then return nil end
          if req:prefix("broken") then error("no luck") end
          return cluster.hosts[1]
        end })
      ]] })
      assert.equal(0, code, err)
      has(out, 'the key begins with "hot:"')
      assert.matches("GET hot:1\n.-C +host a .-GET odd\n", out)
      assert.matches("GET odd\n.-no prefix fits: default\n +Lua +function %S*tree%.lua:%d+\n +it returned\n +C +host b ", out)
      assert.matches("GET lost\n.-no route", out)
      assert.matches("GET broken\n.-ERR router: .*no luck", out)
    end)

    describe("tells each step:", function()
      local script = [[
        local cluster = ...
        local nydus = require("nydus")
        local a, b, ring = cluster.hosts[0], cluster.hosts[1], nydus.jump(cluster)
        return nydus.prefix({
          ["p:"] = a, ["p:long:"] = a,
          ["c:"] = nydus.command({ GET = a, read = b }),
          ["f:"] = function() return ring end,
          ["nil:"] = function() end,
          ["bad:"] = function() error("no luck") end,
          ["o:"] = nydus.failover({ nydus.modulus({ a, b }), { b, ring } }),
          ["r:"] = nydus.reply("x"),
          ["s:"] = nydus.split({ { a, 1 }, { b, 3 }, by = "key" }),
        })
      ]]
      local steps = {
        { "GET p:1", 'the key begins with "p:"\n' },
        { "GET p:long:1", 'the key begins with "p:long:"\n' },
        { "GET other", "no prefix fits: default: there is none\n    answer   -ERR no route for 'get'\n" },
        { "GET c:1", "as the command get\n    C        host a " },
        { "HGET c:1 f", "as one of the class read\n    C        host b " },
        { "SET c:1 v", "neither set nor its class write is named: default: there is none\n" },
        { "GET f:1", "tree.lua:7\n               it returned\n    C        jump over 3 hosts" },
        { "GET f:1", "xxh64 11626138074289616074, bucket 3 of 4\n    C        host redis://10.0.0.3:6379/2 " },
        { "GET nil:1", "tree.lua:8\n               it returned nil\n    answer   -ERR no route" },
        { "GET bad:1", "tree.lua:9\n    answer   -ERR router: tree.lua:9: no luck\n" },
        { "GET o:1", "failover, on down\n               1:\n    C          modulus over 2 hosts" },
        { "GET o:1", "compat nydus: a, b\n" },
        { "GET o:1", "               2:\n    C          list of 2\n" },
        { "GET o:1", "    C            host b " },
        { "GET r:1", [[reply "$1\r\nx\r\n"]] },
        { "GET s:1", "by the hash of the key: target " },
      }
      for _, step in ipairs(steps) do
        it(step[1], function()
          local code, out = run({ "--route", step[1], "config.lua" }, "router = 'tree.lua',", { ["tree.lua"] = script })
          assert.equal(0, code)
          has((out:gsub("%S*/tree%.lua", "tree.lua")), step[2])
        end)
      end
    end)

    it("is through with 100,000 lines within seconds", function()
      local lines = {}
      for i = 1, 100000 do lines[i] = "GET user:" .. i end
      local start = support.now()
      local code, out = run({ "--route", "-", "config.lua", stdin = table.concat(lines, "\n"), seconds = 60 })
      assert.equal(0, code)
      assert.equal(100000, select(2, out:gsub("\n    C        host ", "")))
      assert.is_true(support.now() - start < (support.sanitized and 40 or 10)) -- one, when nothing else runs
    end)

    it("exits with 1, when the text is no command", function()
      local code, out = run({ "--route", "GET 'a", "config.lua" })
      assert.equal(1, code)
      has(out, "unbalanced quotes")
    end)
  end)
end)
