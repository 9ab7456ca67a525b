-- nydus --diff OLD.lua config.lua.

local routers = require("support.routers")
local support = require("support")

local function has(text, words)
  assert.is_truthy(text:find(words, 1, true), ("%q is not in:\n%s"):format(words, text))
end

local function has_not(text, words)
  assert.is_nil(text:find(words, 1, true), ("%q is in:\n%s"):format(words, text))
end

-- "a=7001 b=7002/3*2": identifier, port, database, weight.
local function hosts(text)
  local list = {}
  for name, port, rest in text:gmatch("(%w+)=(%d+)(%S*)") do
    list[#list + 1] = ("{ port = %s, identifier = %q, db = %s, weight = %s }")
      :format(port, name, rest:match("/(%d+)") or 0, rest:match("%*(%d+)") or 1)
  end
  return ("hosts = { %s }"):format(table.concat(list, ", "))
end

local function cluster(router, text)
  return ("router = %s, %s"):format(router, hosts(text))
end

local function one(router, text)
  return ("return { listen = '127.0.0.1:6380', %s }"):format(cluster(router, text))
end

-- Writes both, with the scripts beside them, and runs. An ending of 0 is expected unless it is asked for.
local function diff(old, new, scripts)
  local dir = support.temp_dir()
  for name, text in pairs(scripts or {}) do support.write_file(dir .. "/" .. name, text) end
  support.write_file(dir .. "/old.lua", old)
  support.write_file(dir .. "/new.lua", new or old)
  local code, out, err = support.nydus_run({ "--diff", dir .. "/old.lua", dir .. "/new.lua", seconds = 30 })
  return out, code, err
end

local THREE, FOUR = "a=7001 b=7002 c=7003", "a=7001 b=7002 c=7003 d=7004"

local SCRIPT = [[
  local cluster, options = ...
  local nydus = require("nydus")
  local ring = nydus.jump(cluster)
  return function(req)
    if req:prefix("hot:") then return cluster.hosts[1] end
    if req.write then return cluster.hosts[#cluster.hosts] end
    return ring
  end
]]

describe("nydus --diff", function()
  it("says 0 % for the same file twice, whatever its router is", function()
    local scripts = { ["some.lua"] = SCRIPT }
    for _, kind in ipairs({ "ketama", "modulus", "slots", "jump", "rendezvous", "first", "all", "some.lua" }) do
      local out, code, err = diff(one(("%q"):format(kind), FOUR), nil, scripts)
      assert.equal(0, code, err)
      assert.equal("", err)
      assert.matches("^cluster main: 0 %% of the keys move %(.-%)\n", out)
      assert.matches("\nkeys move in 0 of 1 cluster\n$", out)
      for _, word in ipairs({ "  share ", "  move ", "  comes ", "  goes ", "  random ", "  old ", "  new " }) do
        has_not(out, word)
      end
    end
  end)

  it("gives the exact share of a ring, and who gives to whom", function()
    local function members(text)
      local list = {}
      for name in text:gmatch("(%w+)=") do list[#list + 1] = { identifier = name, named = true } end
      return list
    end
    local old, new = routers.new("ketama", members(THREE)), routers.new("ketama", members(FOUR))
    local moved, to_d, keys = 0, { 0, 0, 0 }, 50000
    for i = 1, keys do
      local from, to = old:pick("k:" .. i * 7919), new:pick("k:" .. i * 7919)
      if from ~= to then
        moved, to_d[from + 1] = moved + 1, to_d[from + 1] + 1
        assert.equal(3, to)
      end
    end
    local out, code = diff(one("'ketama'", THREE), one("'ketama'", FOUR))
    assert.equal(0, code)
    local share = tonumber(out:match("cluster main: ([%d.]+) %% of the keys move %(exactly%)\n"))
    assert.is_true(math.abs(share - moved / keys * 100) < 1, out)
    local sum = 0
    for i, name in ipairs({ "a", "b", "c" }) do
      local part = tonumber(out:match("\n  move +" .. name .. " %-> d: ([%d.]+) %%\n"))
      assert.is_true(math.abs(part - to_d[i] / keys * 100) < 1, out)
      sum = sum + part
    end
    assert.is_true(math.abs(share - sum) < 0.01)
    assert.equal(3, select(2, out:gsub("  move ", "")))
    local first, second, third = out:match("move[^\n]-([%d.]+) %%\n +move[^\n]-([%d.]+) %%\n +move[^\n]-([%d.]+) %%\n")
    assert.is_true(tonumber(first) >= tonumber(second) and tonumber(second) >= tonumber(third))
    has(out, "  comes    d at 127.0.0.1:7004 db 0\n")
    assert.matches("\n  share +d: 0 %% %-> " .. share .. " %%\n", out)
    assert.matches("\n  old +C +ketama over 3 hosts.-\n  new +C +ketama over 4 hosts", out)
  end)

  it("counts modulus and slots exactly, and a script that returns a router", function()
    has(diff(one("'modulus'", THREE), one("'modulus'", FOUR)), "cluster main: 75 % of the keys move (exactly)")
    has(diff(one("'slots'", "a=1 b=2"), one("'slots'", "a=1 b=2 c=3 d=4")),
      "cluster main: 75 % of the keys move (exactly)")
    local scripts = { ["ring.lua"] = "local cluster = ... return require('nydus').ketama(cluster)" }
    has(diff(one("'ketama'", THREE), one("'ring.lua'", THREE), scripts), "0 % of the keys move (exactly)")
    scripts["ring.lua"] = "local c = ... local n = require('nydus') return n.shadow{ n.ketama(c), c.hosts[1] }"
    has(diff(one("'ketama'", THREE), one("'ring.lua'", THREE), scripts), "0 % of the keys move (exactly)")
  end)

  it("counts exactly behind tables, too, prefix by prefix, reads and writes", function()
    local scripts = { ["table.lua"] = [[
      local cluster = ...
      local nydus = require("nydus")
      local first, ring = cluster.hosts[1], nydus.modulus(cluster)
      return nydus.prefix{ ["hot:"] = first, ["n:"] = ring, default = nydus.command{ read = ring, write = first } }
    ]] }
    local out = diff(one("'table.lua'", THREE), one("'table.lua'", FOUR), scripts)
    assert.matches("^cluster main: 75 %% of the keys move for reads, 0 %% of the keys move for writes %(exactly%)\n", out)
    has(out, '  prefix   "hot:": 0 % of the keys move\n')
    has(out, '  prefix   "n:": 75 % of the keys move\n')
    out = diff(one("'modulus'", THREE), one("'table.lua'", THREE), scripts)
    assert.matches("^cluster main: 0 %% of the keys move for reads, 66%.667 %% of the keys move for writes %(exactly%)\n", out)
    has(out, '  prefix   "hot:": 66.667 % of the keys move\n')
  end)

  it("samples what cannot be counted, and names the error of that", function()
    local out = diff(one("'jump'", THREE), one("'jump'", FOUR))
    local share, error = out:match("^cluster main: ([%d.]+) %% ± ([%d.]+) of the keys move %(100,000 keys sampled%)")
    assert.is_true(math.abs(share - 25) < 1, out)
    assert.equal(0.3, tonumber(error))
    share = diff(one("'ketama'", THREE), one("{ 'ketama', hash = 'murmur' }", THREE))
      :match("^cluster main: ([%d.]+) %% ± [%d.]+ of the keys move")
    assert.is_true(math.abs(share - 66.7) < 2)
  end)

  it("tells hosts that come and go from those that are called or found otherwise", function()
    local out = diff(one("'modulus'", "a=7001 b=7002 c=7003 x=7009/1 w=7005"),
      one("'modulus'", "a=7001 b=8002 d=7003 x=7009/2 w=7005*1"))
    has(out, "cluster main: 0 % of the keys move (exactly)")
    has(out, "  address  b: 127.0.0.1:7002 db 0 -> 127.0.0.1:8002 db 0: data does not move with it, "
      .. "20 % of the keys stay with the name\n")
    has(out, "  address  x: 127.0.0.1:7009 db 1 -> 127.0.0.1:7009 db 2: data does not move with it, 20 %")
    has(out, "  name     c -> d: the same host, 127.0.0.1:7003 db 0\n")
    has_not(out, "comes")
    has_not(out, "goes")
    out = diff(one("'modulus'", "a=1*1 b=2"), one("'modulus'", "a=1*3 c=3"))
    has(out, "  weight   a: 1 -> 3\n")
    has(out, "  goes     b at 127.0.0.1:2 db 0\n")
    has(out, "  comes    c at 127.0.0.1:3 db 0\n")
  end)

  it("knows a key by its server: hosts that change their names move it", function()
    local out = diff(one("'modulus'", "a=7001 b=7002"), one("'modulus'", "a=7002 b=7001"))
    has(out, "cluster main: 100 % of the keys move (exactly)")
    has(out, "  address  a: 127.0.0.1:7001 db 0 -> 127.0.0.1:7002 db 0: data does not move with it\n")
  end)

  it("says which clusters come and go", function()
    local function two(first, second)
      return ("return { clusters = { %s = { listen = '127.0.0.1:1', %s }, %s = { listen = '127.0.0.1:2', %s } } }")
        :format(first, cluster("'ketama'", THREE), second, cluster("'ketama'", "x=1"))
    end
    local out = diff(two("main", "left"), two("main", "right"))
    assert.matches("^cluster left: goes, with 1 host\ncluster main: 0 %% of .-\ncluster right: comes, with 1 host\n"
      .. "keys move in 0 of 1 cluster\n$", out)
  end)

  describe("with a router script", function()
    it("tells reads from writes, and looks at the prefixes that it names", function()
      local out = diff(one("'jump'", FOUR), one("'some.lua'", FOUR), { ["some.lua"] = SCRIPT })
      assert.matches("^cluster main: 0 %% of the keys move for reads, 7[45]%.%d %% ± 0%.3 of the keys move for writes", out)
      assert.matches("\n  new +Lua +function %S*some%.lua:4\n", out)
      assert.matches("\n  share +writes, d: 2[45]%.%d %% ± 0%.3 %-> 100 %%\n", out)
      assert.matches('\n  prefix +"hot:": 7[3-7]%.%d %% ± 0%.%d of the keys move\n', out)
      has_not(out, "  reads, ")
    end)

    it("counts a cluster of which only keys with a prefix move", function()
      local script = "local c = ... local nydus = require('nydus') local ring = nydus.ketama(c) "
        .. "return function(req) return req:prefix('hot:') and c.hosts[1] or ring end"
      local out = diff(one("'ketama'", THREE), one("'hot.lua'", THREE), { ["hot.lua"] = script })
      assert.matches("^cluster main: 0 %% of the keys move", out)
      assert.matches('\n  prefix +"hot:": 6%d%.%d %% ± %d%.%d of the keys move\n', out)
      assert.matches("\nkeys move in 1 of 1 cluster\n$", out)
    end)

    it("says which keys have no fixed host", function()
      local scripts = {
        ["turns.lua"] = "local c = ... local n = 0 return function() n = n + 1 return c.hosts[n % 3 + 1] end",
        ["canary.lua"] = [[
          local cluster = ...
          local nydus = require("nydus")
          return nydus.split{ { nydus.ketama(cluster), 90 }, { cluster.hosts[1], 10 }, by = "random" }
        ]],
      }
      for _, router in ipairs({ "turns.lua", "round_robin", "random" }) do
        local out = diff(one(("%q"):format(router), THREE), nil, scripts)
        has(out, "cluster main: no key has a fixed host (100,000 keys sampled)\n")
        assert.matches("\n  random +old: [19][09][09%.][^\n]- of the keys have no fixed host\n", out)
      end
      local out = diff(one("'ketama'", THREE), one("'canary.lua'", THREE), scripts)
      assert.matches("^cluster main: 0[%d.]* %%[^\n]- of the keys move, %d+%.%d %% ± 0%.%d have no fixed host", out)
      assert.matches("\n  random +new: %d", out)
      has_not(out, "random   old")
    end)

    it("names several hosts, errors and what has no route", function()
      local out = diff(one("'ketama'", "a=1 b=2"), one("'odd.lua'", "a=1 b=2"), { ["odd.lua"] = [[
        local cluster = ...
        return function(req)
          local rest = req:hash("md5") % 4
          if rest == 0 then error("no luck") end
          if rest == 1 then return nil end
          return { cluster.hosts[1], cluster.hosts[2] }
        end
      ]] })
      assert.matches("\n  error +new: 2%d%.%d %% ± 0%.3 of the keys get %-ERR router: %S*odd%.lua:4: no luck\n", out)
      assert.matches("\n  error +new: 2%d%.%d %% ± 0%.3 of the keys have no route\n", out)
      assert.matches("\n  move +[ab] %-> a %+ b: 2", out)
      assert.matches("\n  share +a %+ b: 0 %% %-> [45]", out)
    end)

    it("says when a router is taken out of service meanwhile", function()
      local out = diff(one("'jump'", "a=1 b=2"), one("'loop.lua'", "a=1 b=2"), {
        ["loop.lua"] = "return function() while true do end end",
      })
      assert.matches("^cluster main: 100 %% of the keys move", out)
      assert.matches("\n  error +new: 100 %% of the keys get %-ERR router: [^\n]*loop%.lua[^\n]* stopped", out)
      assert.matches("\n  error +new: the router is quarantined after a while, [^\n]*: [^\n]*stopped", out)
    end)

    it("ends, when lists lead back to themselves", function()
      local out = diff(one("'circle.lua'", "a=1 b=2"), nil, {
        ["circle.lua"] = "local c = ... return { function() return { c, c, c } end, c.hosts[1] }",
      })
      assert.matches("^cluster main: 0 %% of the keys move %(", out)
      has_not(out, "random")
    end)

    it("says what is otherwise in another database", function()
      local out = diff(one("'jump'", "a=1 b=2"), one("'db.lua'", "a=1 b=2"), { ["db.lua"] = [[
        local cluster = ...
        local ring = require("nydus").jump(cluster)
        return function(req) return req.db == 3 and cluster.hosts[1] or ring end
      ]] })
      has(out, "cluster main: 0 % of the keys move")
      assert.matches("\n  db +3: [45]%d %% ± 3 of the keys move\n", out)
      assert.equal(1, select(2, out:gsub("  db ", "")))
    end)

    it("asks about 100,000 keys within two seconds", function()
      local start = support.now()
      diff(one("'some.lua'", THREE), one("'some.lua'", FOUR), { ["some.lua"] = SCRIPT })
      assert.is_true(support.now() - start < (support.sanitized and 20 or 6)) -- and twice that on a busy machine
    end)
  end)

  describe("with a file that cannot be loaded", function()
    local good = one("'ketama'", THREE)

    it("says which one, and exits with 1", function()
      local out, code, err = diff(one("'ketma'", THREE), good)
      assert.equal(1, code)
      assert.equal("", out)
      assert.matches("^old: %S*old%.lua: router: [^\n]*ketma[^\n]*\n$", err)
      out, code, err = diff(good, "return {")
      assert.equal("", out)
      assert.equal(1, code)
      assert.matches("^new: %S*new%.lua:1: [^\n]*\n$", err)
    end)

    it("tells the problems of both, one per line", function()
      local _, code, err = diff(one("'ketma'", THREE), "return { workers = -1, router = 'modulo', hosts = { '127.0.0.1:1' } }")
      assert.equal(1, code)
      for line in err:gmatch("[^\n]+") do assert.matches("^%a%a%a: %S*%a%a%a%.lua: %S+: ", line) end
      assert.equal(1, select(2, ("\n" .. err):gsub("\nold: ", "")))
      assert.equal(2, select(2, ("\n" .. err):gsub("\nnew: ", "")))
    end)
  end)

  it("shows no password", function()
    local secret = "return { router = 'ketama', hosts = { 'redis://u:secret@10.0.0.1:6379/0' } }"
    has_not(diff(secret, (secret:gsub("0%.1:", "0.2:"))), "secret")
  end)
end)
