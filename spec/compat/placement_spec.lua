-- Placement is exactly that of Nydus and of twemproxy: the golden tables in
-- spec/vectors/, and the oddities of both that no table shows.

local routers = require("support.routers")
local support = require("support")

support.header("route/twemproxy.h")
local C = support.lib()

local function servers(count, first)
  local list = {}
  for i = 1, count do
    list[i] = { address = ("10.0.0.%d:6379"):format((first or 1) + i - 1), port = 6379 }
  end
  return list
end

-- The pools of the table, as an operator would write them.
local function pools_of(rows)
  local pools = {}
  for _, row in ipairs(rows) do
    if row[1] == "R" then
      local ring = row[4]
      local host = { weight = tonumber(row[5]) }
      if row[2] == "memcacheport" then
        host.address, host.port = ring .. ":11211", 11211
      elseif ring:find(":", 1, true) then
        host.address, host.port = ring, tonumber(ring:match(":(%d+)$"))
      else
        host.identifier, host.named = ring, true
        host.address, host.port = ("127.0.0.1:%d"):format(7000 + row[3]), 7000 + row[3]
      end
      pools[row[2]] = pools[row[2]] or {}
      pools[row[2]][tonumber(row[3]) + 1] = host
    end
  end
  return pools
end

local function points_of(router)
  return tonumber(router:explain("x"):match("of (%d+)%)"))
end

local function point_and_hash(router, key)
  local hash, point = router:explain(key):match("^md5 (%d+), point (%d+)")
  return tonumber(point), tonumber(hash)
end

describe("twemproxy", function()
  local rows = routers.table("twemproxy_ketama.tsv")
  local pools = pools_of(rows)

  describe("ketama", function()
    it("sends every key of the golden table to the same server", function()
      local made, checked = {}, 0
      for _, row in ipairs(rows) do
        if row[1] == "K" then
          local name = row[2] .. " " .. row[3]
          made[name] = made[name] or routers.new("ketama", pools[row[2]], { compat = "twemproxy", hash = row[3] })
          assert.equal(tonumber(row[5]), made[name]:pick(routers.unhex(row[4])), name .. " " .. row[4])
          checked = checked + 1
        end
      end
      assert.equal(2550, checked)
    end)

    it("has as many points as twemproxy's rings", function()
      local good = {
        named3 = 480, hostport3 = 480, weighted2 = 320, weighted5 = 792, equal25 = 3900, memcacheport = 480,
      }
      for name, points in pairs(good) do
        local router = routers.new("ketama", pools[name], { compat = "twemproxy", hash = "md5" })
        assert.equal(points, points_of(router), name)
      end
    end)

    it("puts the published first keys where twemproxy does", function()
      local good = {
        fnv1a_64 = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2 },
        md5 = { 0, 1, 2, 1, 1, 2, 1, 0, 0, 2, 2, 2 },
        murmur = { 0, 0, 2, 2, 1, 0, 0, 0, 2, 1, 0, 2 },
      }
      for hash, expected in pairs(good) do
        local router = routers.new("ketama", pools.named3, { compat = "twemproxy", hash = hash })
        assert.same(expected, router:placement(routers.keys(12)))
      end
    end)

    it("takes a point that equals the hash", function()
      local router = routers.new("ketama", pools.named3, { compat = "twemproxy", hash = "md5" })
      for i, key in ipairs({ "server1-0", "server2-39", "server3-7" }) do
        local point, hash = point_and_hash(router, key)
        assert.equal(hash, point)
        assert.equal(i - 1, router:pick(key))
      end
    end)

    it("puts every key on one server with crc32, as twemproxy's 15 bits do", function()
      local router = routers.new("ketama", pools.named3, { compat = "twemproxy", hash = "crc32" })
      local first = router:pick("key0")
      for _, key in ipairs(routers.keys(1000)) do assert.equal(first, router:pick(key)) end
    end)

    it("takes fnv1a_64 when no hash is given", function()
      local given = routers.new("ketama", pools.named3, { compat = "twemproxy", hash = "fnv1a_64" })
      local default = routers.new("ketama", pools.named3, { compat = "twemproxy" })
      local keys = routers.keys(500)
      assert.same(given:placement(keys), default:placement(keys))
    end)

    it("does not care in which order the servers are listed", function()
      local one = routers.new("ketama", servers(12), { compat = "twemproxy" })
      local list = servers(12)
      for i = 1, 6 do list[i], list[13 - i] = list[13 - i], list[i] end
      local two = routers.new("ketama", list, { compat = "twemproxy" })
      for _, key in ipairs(routers.keys(1000)) do assert.equal(11 - one:pick(key), two:pick(key)) end
    end)

    it("finds the same server after its address changed, when it has a name", function()
      local before, after = {}, {}
      for i, name in ipairs({ "alpha", "beta", "gamma" }) do
        before[i] = { identifier = name, named = true, address = "10.0.0." .. i .. ":6379", port = 6379 }
        after[i] = { identifier = name, named = true, address = "10.9.9." .. i .. ":11211", port = 11211 }
      end
      local keys = routers.keys(1000)
      assert.same(routers.new("ketama", before, { compat = "twemproxy" }):placement(keys),
        routers.new("ketama", after, { compat = "twemproxy" }):placement(keys))
    end)

    it("is the ring of the remaining servers after an ejection, and the old one after a return", function()
      for _, name in ipairs({ "named3", "weighted5", "equal25" }) do
        local pool = pools[name]
        local keys = routers.keys(2000)
        local router = routers.new("ketama", pool, { compat = "twemproxy", hash = "murmur" })
        local before = router:placement(keys)
        router:mark(1, false)

        local rest, index = {}, {}
        for i, host in ipairs(pool) do
          if i ~= 2 then
            rest[#rest + 1] = host
            index[#rest - 1] = i - 1
          end
        end
        local smaller = routers.new("ketama", rest, { compat = "twemproxy", hash = "murmur" })
        for _, key in ipairs(keys) do assert.equal(index[smaller:pick(key)], router:pick(key)) end

        router:mark(1, true)
        assert.same(before, router:placement(keys))
      end
    end)
  end)

  describe("points", function()
    it("follow the weights", function()
      local good = { 52, 104, 160, 212, 264 }
      for weight, points in ipairs(good) do assert.equal(points, C.twemproxy_points(5, weight, 15)) end
    end)

    it("are those of 32-bit arithmetic, which is short of 160 for some numbers of equal servers", function()
      local short = { 25, 47, 50, 55, 61, 71, 94, 100, 107, 109, 110, 115, 122, 142 }
      local at, count = 1, 0
      for n = 1, 1000 do
        local points = C.twemproxy_points(n, 1, n)
        if n <= 142 then
          local is_short = n == short[at]
          if is_short then at = at + 1 end
          assert.equal(is_short and 156 or 160, points, n)
        end
        if points == 156 then count = count + 1 end
      end
      assert.equal(103, count)
    end)

    it("are 156 each on the rings of 25, 47 and 50 servers", function()
      for _, n in ipairs({ 25, 47, 50 }) do
        assert.equal(n * 156, points_of(routers.new("ketama", servers(n), { compat = "twemproxy" })))
      end
    end)
  end)

  describe("names", function()
    local function name_of(host)
      local ffi = require("ffi")
      local member = ffi.new("struct member", {
        identifier = host.identifier or "redis://x", address = host.address, port = host.port or 0,
        named = host.named or false, weight = 1,
      })
      local text = C.twemproxy_name(member)
      local name = ffi.string(text)
      support.cdef("void free(void *);")
      ffi.C.free(text)
      return name
    end

    local good = {
      ["10.0.0.1:6379"] = { address = "10.0.0.1:6379", port = 6379 },
      ["cache"] = { address = "cache:11211", port = 11211 },
      ["cache:11212"] = { address = "cache:11212", port = 11212 },
      ["::1"] = { address = "::1:11211", port = 11211 },
      ["/run/redis.sock:"] = { address = "/run/redis.sock" },
      ["alpha"] = { address = "10.0.0.1:11211", port = 11211, identifier = "alpha", named = true },
      ["beta"] = { address = "/run/redis.sock", identifier = "beta", named = true },
      ["redis://x"] = {},
    }
    it("are what twemproxy hashes", function()
      for name, host in pairs(good) do assert.equal(name, name_of(host)) end
    end)

    it("decide the ring, also of unix sockets", function()
      local by_path, by_name = {}, {}
      for i, path in ipairs({ "/tmp/a", "/tmp/b", "/tmp/c" }) do
        by_path[i] = { address = path }
        by_name[i] = { identifier = path .. ":", named = true }
      end
      local keys = routers.keys(500)
      assert.same(routers.new("ketama", by_name, { compat = "twemproxy" }):placement(keys),
        routers.new("ketama", by_path, { compat = "twemproxy" }):placement(keys))
    end)

    it("are refused when two servers have one", function()
      local same = {
        { address = "h:6379", port = 6379 }, { address = "g:1", port = 1 }, { address = "h:6379", port = 6379 },
      }
      local router, why = routers.new("ketama", same, { compat = "twemproxy" })
      assert.is_nil(router)
      assert.equal('hosts 0 and 2 are both "h:6379" to compat "twemproxy"; give them identifiers', why)
    end)
  end)

  describe("modula", function()
    local function modula(list)
      return assert(routers.new("modulus", list, { compat = "twemproxy", hash = "crc32a" }))
    end
    local function crc32(key)
      return C.hash_key(C.HASH_CRC32A, 0, key, #key)
    end

    it("counts over the servers sorted by the length of the name, then by bytes", function()
      local router = modula({
        { address = "10.0.0.10:6379", port = 6379 },
        { address = "10.0.0.9:6379", port = 6379 },
        { identifier = "redis-a", named = true },
        { identifier = "zz", named = true },
        { address = "10.0.0.11:6379", port = 6379 },
      })
      local sorted = { [0] = 3, 2, 1, 0, 4 }
      for _, key in ipairs(routers.keys(200)) do assert.equal(sorted[crc32(key) % 5], router:pick(key)) end
    end)

    it("counts a server as often as its weight", function()
      local router = modula({
        { identifier = "b", named = true, weight = 3 },
        { identifier = "a", named = true, weight = 1 },
        { identifier = "c", named = true, weight = 2 },
      })
      local sorted = { [0] = 1, 0, 0, 0, 2, 2 }
      for _, key in ipairs(routers.keys(200)) do assert.equal(sorted[crc32(key) % 6], router:pick(key)) end
    end)

    it("closes the gap of an ejected server, and is as before when it returns", function()
      local router = modula({
        { identifier = "b", named = true, weight = 3 },
        { identifier = "a", named = true, weight = 1 },
        { identifier = "c", named = true, weight = 2 },
      })
      local keys = routers.keys(200)
      local before = router:placement(keys)
      router:mark(0, false)
      local sorted = { [0] = 1, 2, 2 }
      for _, key in ipairs(keys) do assert.equal(sorted[crc32(key) % 3], router:pick(key)) end
      router:mark(0, true)
      assert.same(before, router:placement(keys))
    end)
  end)

  describe("pool", function()
    it("of one server does not hash", function()
      local router = routers.new("ketama", { { address = "h:1", port = 1 } }, { compat = "twemproxy" })
      assert.equal(0, router:pick("anything"))
      assert.equal("the only host, no hash", router:explain("anything"))
    end)

    it("gives the empty key the hash 0", function()
      local router = routers.new("ketama", pools.named3, { compat = "twemproxy", hash = "md5" })
      assert.matches("^md5 0, point 9796559 %(1 of 480%)$", router:explain(""))
      assert.equal(2, router:pick(""))
    end)
  end)
end)

describe("nydus", function()
  local rows = routers.table("nydus.tsv")

  local function check(letter, kind, expected)
    local made, checked = {}, 0
    for _, row in ipairs(rows) do
      if row[1] == letter then
        local count = tonumber(row[2])
        made[count] = made[count] or assert(routers.new(kind, count))
        assert.equal(tonumber(row[4]), made[count]:pick(routers.unhex(row[3])), row[2] .. " hosts, " .. row[3])
        checked = checked + 1
      end
    end
    assert.equal(expected, checked)
  end

  it("partitions as the PartitionRouter does, on every row of the table", function()
    check("P", "modulus", 595)
  end)

  it("hashes as the ConsistentHashingRouter does, on every row of the table", function()
    check("C", "ketama", 425)
  end)

  it("reads the crc32 of a key as signed", function()
    assert.equal(1, routers.new("modulus", 3):pick("foo"))
    assert.equal(2, routers.new("modulus", 3, { compat = "redis" }):pick("foo"))
    local differ = 0
    local nydus, redis = routers.new("modulus", 3), routers.new("modulus", 3, { compat = "redis" })
    for _, key in ipairs(routers.keys(10000)) do
      if nydus:pick(key) ~= redis:pick(key) then differ = differ + 1 end
    end
    assert.is_true(differ > 4500 and differ < 5500, differ)
  end)

  it("gives a weighted host the integer part of its share of the ring", function()
    -- floor(40 * 3 * w / 7) for 1, 2 and 4: 17, 34 and 68 MD5s
    local router = routers.new("ketama", {
      { identifier = "a" }, { identifier = "b", weight = 2 }, { identifier = "c", weight = 4 },
    })
    assert.equal(4 * (17 + 34 + 68), points_of(router))
  end)

  it("removes a host that is down from the ring, and has the old ring when it is back", function()
    local keys = routers.keys(2000)
    local router = routers.new("ketama", 5)
    local before = router:placement(keys)
    router:mark(4, false)
    assert.same(routers.new("ketama", 4):placement(keys), router:placement(keys))
    router:mark(3, false)
    assert.same(routers.new("ketama", 3):placement(keys), router:placement(keys))
    router:mark(4, true)
    router:mark(3, true)
    assert.same(before, router:placement(keys))
  end)

  it("takes the point after the hash, not one that equals it", function()
    -- The string of a ring is a key like any other, and its MD5 begins with a point.
    local key = "redis://localhost:6379/0-0-salt"
    local point, hash = point_and_hash(routers.new("ketama", 2), key)
    assert.is_true(point ~= hash)
  end)
end)

describe("redis", function()
  it("has 160 points per unit of weight", function()
    for _, n in ipairs({ 1 + 1, 3, 25, 47 }) do
      assert.equal(160 * n, points_of(routers.new("ketama", n, { compat = "redis" })))
    end
    assert.equal(160 * 7, points_of(routers.new("ketama", {
      { identifier = "a" }, { identifier = "b", weight = 2 }, { identifier = "c", weight = 4 },
    }, { compat = "redis" })))
  end)

  it("moves no key between hosts that stay, whatever their weights", function()
    local router = routers.new("ketama", {
      { identifier = "a" }, { identifier = "b", weight = 2 }, { identifier = "c", weight = 4 },
    }, { compat = "redis" })
    local keys = routers.keys(2000)
    local before = router:placement(keys)
    router:mark(1, false)
    for i, key in ipairs(keys) do
      if before[i] ~= 1 then assert.equal(before[i], router:pick(key)) end
    end
  end)

  it("gives keys the slots of Redis Cluster", function()
    local good = { foo = 12182, bar = 5061, ["123456789"] = 12739, ["{user1000}.following"] = 3443,
      ["{user1000}.followers"] = 3443, [""] = 0 }
    local router = routers.new("slots", 3)
    for key, slot in pairs(good) do
      assert.equal(slot, tonumber(router:explain(key):match("slot (%d+)")), key)
      assert.equal(slot <= 5460 and 0 or slot <= 10922 and 1 or 2, router:pick(key), key)
    end
  end)

  it("reads bytes as unsigned, always", function()
    local one = routers.new("ketama", 5, { compat = "redis", hash = "fnv1a_64" })
    assert.matches("^fnv1a_64 2293569623, ", one:explain("\xc3\xa9t\xc3\xa9"))
  end)
end)
