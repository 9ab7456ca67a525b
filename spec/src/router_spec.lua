-- The built-in routers: what each kind promises, whatever the compat mode.
-- Placement against other programs is in spec/compat/placement_spec.lua.

local ffi = require("ffi")
local routers = require("support.routers")
local support = require("support")

local C = support.lib()

local HASHING = { "modulus", "ketama", "jump", "rendezvous", "slots" }
local ALL = { "modulus", "ketama", "jump", "rendezvous", "slots", "round_robin", "random", "first", "least_pending" }
local COMPATS = { "nydus", "twemproxy", "redis" }

local function each_router(kinds, hosts, check)
  for _, kind in ipairs(kinds) do
    for _, compat in ipairs(COMPATS) do
      check(assert(routers.new(kind, hosts, { compat = compat })), kind, compat)
    end
  end
end

local function weighted(...)
  local hosts = {}
  for i, weight in ipairs({ ... }) do hosts[i] = { identifier = "host-" .. i, weight = weight } end
  return hosts
end

local function counts_of(router, keys)
  local counts = {}
  for i = 0, router.size - 1 do counts[i] = 0 end
  for _, key in ipairs(keys) do
    local host = router:pick(key)
    counts[host] = counts[host] + 1
  end
  return counts
end

-- Not "key0", "key1", …: fnv mixes the last bytes so badly that some numbers of
-- hosts leave one of them without such keys.
local keys = {}
for i = 1, 3000 do keys[i] = ("user:%d:session"):format(i * 7919) end

describe("router", function()
  describe("names", function()
    it("of kinds and modes are those of config.lua, and no others", function()
      local kind, compat = ffi.new("enum router_kind[1]"), ffi.new("enum router_compat[1]")
      for _, name in ipairs(ALL) do
        assert.is_true(C.router_kind_parse(name, kind))
        assert.equal(name, ffi.string(C.router_kind_name(kind[0])))
      end
      for _, name in ipairs(COMPATS) do assert.is_true(C.router_compat_parse(name, compat)) end
      for _, name in ipairs({ "", "all", "Ketama", "modula", "slot" }) do
        assert.is_false(C.router_kind_parse(name, kind))
        assert.is_false(C.router_compat_parse(name, compat))
      end
    end)

    it("say which kinds look at the key", function()
      local hashes = {}
      for _, name in ipairs(HASHING) do hashes[name] = true end
      for _, name in ipairs(ALL) do
        local kind = ffi.new("enum router_kind[1]")
        C.router_kind_parse(name, kind)
        assert.equal(hashes[name] or false, C.router_kind_hashes(kind[0]), name)
      end
    end)
  end)

  describe("router_create", function()
    local bad = {
      { "ketama", {}, {}, "a router needs 1 to 1048576 hosts" },
      { "ketama", weighted(1, 0), {}, "host 1 has weight 0; a weight is 1 or more" },
      { "modulus", weighted(1000000, 1000000), {}, "the weights add up to 2000000; 1048576 is the most" },
      {
        "ketama", weighted(50000), { compat = "redis" },
        "the weights ask for a ring of 8000000 points; 4194304 is the most",
      },
      { "ketama", 3, { hash_tag = "{" }, "hash_tag is two characters" },
      { "slots", 3, { hash = "md5" }, 'router "slots" hashes with crc16, not with md5' },
      { "slots", 3, { hash_tag = "<>" }, 'router "slots" has the hash tag "{}" and no other' },
      { "slots", 16385, {}, "16385 hosts for 16384 slots" },
    }
    it("refuses what makes no sense, with a sentence", function()
      for _, row in ipairs(bad) do
        local router, why = routers.new(row[1], row[2], row[3])
        assert.is_nil(router, row[4])
        assert.equal(row[4], why)
      end
    end)

    it("copies what it is given", function()
      local identifier = ffi.new("char[8]", "alpha")
      local members = ffi.new("struct member[2]", {
        { identifier = identifier, weight = 1 }, { identifier = "beta", weight = 1 },
      })
      local options = ffi.new("struct router_options", { kind = C.ROUTER_KETAMA, hash = C.HASH_MD5 })
      local router = ffi.gc(C.router_create(options, members, 2, nil, 0), C.router_destroy)
      local before = C.router_pick(router, "key1", 4)
      ffi.fill(identifier, 8, 0x78)
      C.router_mark(router, 0, false)
      C.router_mark(router, 0, true)
      assert.equal(before, C.router_pick(router, "key1", 4))
      assert.equal(2, tonumber(C.router_size(router)))
      assert.equal(tonumber(C.HASH_MD5), tonumber(C.router_options_of(router).hash))
    end)
  end)

  describe("router_pick", function()
    it("uses every host", function()
      local kinds = { "modulus", "ketama", "jump", "rendezvous", "slots", "round_robin", "random", "least_pending" }
      each_router(kinds, 7, function(router, kind)
        for host, count in pairs(counts_of(router, keys)) do
          assert.is_true(count > 3000 / 7 / 3, kind .. " gives host " .. host .. " " .. count)
        end
      end)
    end)

    it("gives a key the same host again, in another router of the same hosts", function()
      each_router(HASHING, 7, function(router, kind, compat)
        local other = routers.new(kind, 7, { compat = compat })
        assert.same(router:placement(keys), other:placement(keys))
      end)
    end)

    it("takes any bytes and any length", function()
      each_router(HASHING, 7, function(router)
        for _, key in ipairs({ "", "\0", "a\0b", "\255\254", ("x"):rep(100000) }) do
          local host = router:pick(key)
          assert.is_true(host >= 0 and host < 7)
          assert.equal(host, router:pick(key))
        end
        assert.equal(router:pick(""), router:pick(nil))
        assert.is_true(#router:explain("\0\255\"{a}") > 0)
      end)
    end)

    it("gives hosts their weight's share", function()
      local hosts = weighted(1, 2, 5)
      for _, kind in ipairs({ "modulus", "ketama", "jump", "rendezvous", "slots", "round_robin", "random" }) do
        local counts = counts_of(routers.new(kind, hosts), routers.keys(16000))
        for i, share in ipairs({ 2000, 4000, 10000 }) do
          local off = math.abs(counts[i - 1] - share) / share
          assert.is_true(off < 0.3, ("%s gives host %d %d, not about %d"):format(kind, i - 1, counts[i - 1], share))
        end
      end
    end)

    it("takes every hash of every hashing kind", function()
      for _, kind in ipairs({ "modulus", "ketama", "jump", "rendezvous" }) do
        for i = 0, C.HASH_KINDS - 1 do
          local name = ffi.string(C.hash_kind_name(i))
          local router = routers.new(kind, 5, { hash = name })
          local used = {}
          for _, key in ipairs(keys) do used[router:pick(key)] = true end
          -- a crc16 is too small for a ring of 32 bits: all keys lie before its first points
          if not (kind == "ketama" and name == "crc16") then
            for host = 0, 4 do assert.is_true(used[host], kind .. " with " .. name) end
          end
        end
      end
    end)
  end)

  describe("router_text", function()
    local function in_two_steps(router, key)
      local text, hash = ffi.new("struct hash_text"), ffi.new("uint32_t[1]")
      if not C.router_text(router.c, key, #key, text) then return nil end
      C.hash_md5_many(text, 1, hash)
      return C.router_pick_hash(router.c, hash[0])
    end
    local some = { "", "\0", "k", "a{tag}b", "a{}b", "{tag", ("x"):rep(55), ("x"):rep(56), ("y"):rep(1000) }
    for i = 1, 200 do some[#some + 1] = keys[i] end

    -- All in one text, as in a request.
    local function all_in_two_steps(router, list)
      local bytes, at = table.concat(list), 0
      local places, texts = ffi.new("struct resp_arg[?]", #list), ffi.new("struct hash_text[?]", #list)
      local hashes, hosts = ffi.new("uint32_t[?]", #list), ffi.new("int[?]", #list)
      for i, key in ipairs(list) do
        places[i - 1].at, places[i - 1].size = at, #key
        at = at + #key
      end
      if not C.router_texts(router.c, bytes, places, #list, texts) then return nil end
      C.hash_md5_many(texts, #list, hashes)
      C.router_pick_hashes(router.c, hashes, #list, hosts)
      local picked = {}
      for i = 1, #list do picked[i] = hosts[i - 1] end
      return picked
    end

    it("with router_pick_hash picks what router_pick picks, wherever md5 is the hash", function()
      for _, kind in ipairs({ "modulus", "ketama", "jump", "rendezvous" }) do
        for _, compat in ipairs(COMPATS) do
          for _, tag in ipairs({ "", "{}" }) do
            local options = { compat = compat, hash = "md5", hash_tag = tag ~= "" and tag or nil }
            local router = routers.new(kind, weighted(1, 2, 3, 1, 1), options)
            for _, down in ipairs({ -1, 3, 0 }) do
              if down >= 0 then router:mark(down, false) end
              router:pick("k") -- what was marked is looked at with a pick
              local hashed, expected = {}, {}
              for _, key in ipairs(some) do
                if not (compat == "twemproxy" and key == "") then -- the empty key is not hashed there
                  hashed[#hashed + 1], expected[#expected + 1] = key, router:pick(key)
                  assert.equal(router:pick(key), in_two_steps(router, key), kind .. " " .. compat .. " " .. key)
                end
              end
              assert.same(expected, all_in_two_steps(router, hashed), kind .. " " .. compat)
            end
          end
        end
      end
    end)

    it("leaves to router_pick what it would not make quicker, or what is not hashed", function()
      assert.is_nil(in_two_steps(routers.new("ketama", 3, { hash = "crc32" }), "k"))
      assert.is_nil(in_two_steps(routers.new("round_robin", 3, { hash = "md5" }), "k"))
      assert.is_nil(in_two_steps(routers.new("ketama", 1), "k"))
      local twemproxy = routers.new("ketama", 3, { compat = "twemproxy", hash = "md5" })
      assert.is_nil(in_two_steps(twemproxy, ""))
      assert.is_nil(all_in_two_steps(twemproxy, { "a", "", "b" }))
      assert.is_nil(all_in_two_steps(routers.new("ketama", 1), { "a", "b" }))
      local router = routers.new("ketama", 2)
      router:mark(0, false)
      router:mark(1, false)
      assert.is_nil(in_two_steps(router, "k"))
      assert.is_nil(all_in_two_steps(router, { "k" }))
    end)
  end)

  describe("hash tag", function()
    -- key, what is hashed
    local good = {
      { "{user}:a", "user" }, { "a:{user}", "user" }, { "a{user}b", "user" },
      { "{}", "{}" }, { "{}{a}", "{}{a}" }, { "a{}b", "a{}b" }, { "{a", "{a" }, { "a}", "a}" },
      { "a}b{c}", "c" }, { "{{a}}", "{a" }, { "{a}{b}", "a" }, { "foo{bar}{zap}", "bar" },
      { "}{", "}{" }, { "x{y", "x{y" }, { "{", "{" }, { "", "" }, { "{\0}x", "\0" },
    }
    it("is what lies between the first opening and the next closing character", function()
      for _, kind in ipairs(HASHING) do
        for _, compat in ipairs(COMPATS) do
          local tagged = routers.new(kind, 97, { compat = compat, hash_tag = "{}" })
          local whole = routers.new(kind, 97, { compat = compat })
          for _, row in ipairs(good) do
            assert.equal(whole:pick(row[2]), tagged:pick(row[1]), kind .. " " .. row[1])
          end
        end
      end
    end)

    local same = { { "$user$x", "user" }, { "a$user$", "user" }, { "$$", "$$" }, { "$a", "$a" }, { "$$a$", "$$a$" } }
    it("may have two equal characters", function()
      local tagged, whole = routers.new("ketama", 97, { hash_tag = "$$" }), routers.new("ketama", 97)
      for _, row in ipairs(same) do assert.equal(whole:pick(row[2]), tagged:pick(row[1]), row[1]) end
    end)

    it("is nothing special unless asked for, but for slots", function()
      for _, kind in ipairs({ "modulus", "ketama", "jump", "rendezvous" }) do
        local router = routers.new(kind, 97)
        local together = 0
        for i = 1, 200 do
          if router:pick("{tag}" .. i) == router:pick("{tag}x") then together = together + 1 end
        end
        assert.is_true(together < 30, kind)
      end
      local slots = routers.new("slots", 97)
      for i = 1, 200 do assert.equal(slots:pick("tag"), slots:pick("{tag}" .. i)) end
    end)
  end)

  describe("router_mark", function()
    it("takes a host out of the choice and puts it back where it was", function()
      each_router(HASHING, 6, function(router, kind, compat)
        local before = router:placement(keys)
        router:mark(2, false)
        assert.is_false(router:is_up(2))
        for i, key in ipairs(keys) do
          local host = router:pick(key)
          assert.is_true(host ~= 2)
          -- twemproxy's modula closes the gap; a ring that normalises its weights moves a little
          if before[i] ~= 2 and not (kind == "modulus" and compat == "twemproxy") and kind ~= "ketama" then
            assert.equal(before[i], host, kind .. " " .. compat)
          end
        end
        router:mark(2, true)
        assert.is_true(router:is_up(2))
        assert.same(before, router:placement(keys))
      end)
    end)

    it("spreads the keys of the host that is down over all the others", function()
      each_router(HASHING, 4, function(router, kind, compat)
        local before = router:placement(keys)
        router:mark(1, false)
        local got = { [0] = 0, 0, 0, 0 }
        for i, key in ipairs(keys) do
          if before[i] == 1 then
            local host = router:pick(key)
            got[host] = got[host] + 1
          end
        end
        for _, host in ipairs({ 0, 2, 3 }) do assert.is_true(got[host] > 50, kind .. " " .. compat) end
      end)
    end)

    it("leaves no host to pick when all are down", function()
      each_router(ALL, 3, function(router)
        for host = 0, 2 do router:mark(host, false) end
        assert.equal(-1, router:pick("key"))
        assert.equal("every host is down", router:explain("key"))
        router:mark(1, true)
        for _ = 1, 10 do assert.equal(1, router:pick("key")) end
      end)
      each_router(ALL, 1, function(router)
        assert.equal(0, router:pick("key"))
        router:mark(0, false)
        assert.equal(-1, router:pick("key"))
      end)
    end)

    it("may be told twice", function()
      local router = routers.new("ketama", 3)
      local before = router:placement(keys)
      router:mark(0, false)
      router:mark(0, false)
      router:mark(0, true)
      assert.same(before, router:placement(keys))
    end)
  end)

  describe("points", function()
    support.header("route/rings.h")

    -- 40 MD5s for each host that is new; with weights as they are, nydus makes one less or more now and then.
    it("are hashed once for a name, for all rings that have it", function()
      for _, compat in ipairs(COMPATS) do
        local hosts = {}
        for i = 1, 20 do hosts[i] = { identifier = ("%s points %d"):format(compat, i), weight = 1 } end
        local first = assert(routers.new("ketama", hosts, { compat = compat }))
        local before = C.points_hashed()
        assert.is_true(before >= 20 * 40)
        local second = assert(routers.new("ketama", hosts, { compat = compat }))
        assert.equal(0, tonumber(C.points_hashed() - before), compat)
        assert.same(first:placement(keys), second:placement(keys))
        hosts[21] = { identifier = compat .. " points, one more", weight = 1 }
        local third = assert(routers.new("ketama", hosts, { compat = compat }))
        assert.is_true(tonumber(C.points_hashed() - before) <= 40 + 21 * 1, compat)
        assert.equal(21, third.size)
      end
    end)

    -- With these weights, a host that leaves changes how many points the others have: but not in redis.
    local function uneven(compat, name)
      local hosts = {}
      for i = 1, 5 do hosts[i] = { identifier = ("%s %s %d"):format(compat, name, i), weight = i * i } end
      return hosts
    end

    it("make one ring for all routers over the same hosts that are up", function()
      for _, compat in ipairs({ "nydus", "twemproxy" }) do
        local hosts = uneven(compat, "rings")
        local first = assert(routers.new("ketama", hosts, { compat = compat }))
        local before = C.rings_made()
        local second = assert(routers.new("ketama", hosts, { compat = compat }))
        assert.equal(0, tonumber(C.rings_made() - before), compat)
        local all = first:placement(keys)
        second:mark(2, false)
        assert.are_not.same(all, second:placement(keys))
        assert.equal(1, tonumber(C.rings_made() - before), compat)
        assert.same(all, first:placement(keys))
        first:mark(2, false)
        assert.same(first:placement(keys), second:placement(keys))
        first:mark(2, true)
        second:mark(2, true)
        assert.same(all, first:placement(keys))
        assert.same(all, second:placement(keys))
        assert.equal(2, tonumber(C.rings_made() - before), compat) -- nobody had the first one any more
        hosts[1], hosts[2] = hosts[2], hosts[1]
        assert(routers.new("ketama", hosts, { compat = compat }))
        assert.equal(3, tonumber(C.rings_made() - before), compat)
      end
    end)

    it("make one ring for all hosts that are marked between two picks", function()
      for _, compat in ipairs({ "nydus", "twemproxy" }) do
        local router = assert(routers.new("ketama", uneven(compat, "at once"), { compat = compat }))
        local before = C.rings_made()
        for host = 0, 3 do router:mark(host, false) end
        assert.equal(0, tonumber(C.rings_made() - before), compat)
        assert.equal(4, router:pick("key"), compat)
        assert.equal(1, tonumber(C.rings_made() - before), compat)
      end
    end)

    it("stay on the ring while a host is down, unless the others' numbers change", function()
      for _, compat in ipairs(COMPATS) do
        local router = assert(routers.new("ketama", compat == "redis" and uneven(compat, "gaps") or 60, { compat = compat }))
        local all = router:placement(keys)
        local before = C.rings_made()
        for host = 0, router.size - 2 do
          router:mark(host, false)
          assert.is_true(router:pick("key") > host)
        end
        for host = 0, router.size - 2 do router:mark(host, true) end
        assert.same(all, router:placement(keys))
        -- twemproxy counts in 32-bit floats, where some numbers of hosts give a host less points
        assert.is_true(tonumber(C.rings_made() - before) <= (compat == "twemproxy" and 2 * 60 or 0), compat)
      end
    end)
  end)

  describe("a value that two hosts have on a ring", function()
    -- Found by looking for one: the hash that meets it first.
    local TIES = {
      nydus = { "tie94", "tie309", 3986018310 - 1 }, -- points that are larger than the hash
      redis = { "tie253", "tie397", 667653269 },
    }

    it("is the last one's in nydus, the first one's in redis", function()
      for compat, row in pairs(TIES) do
        for _, swapped in ipairs({ false, true }) do
          local first, last = row[swapped and 2 or 1], row[swapped and 1 or 2]
          local router = assert(routers.new("ketama", { { identifier = first }, { identifier = last } }, { compat = compat }))
          assert.equal(compat == "nydus" and 1 or 0, C.router_pick_hash(router.c, row[3]), compat)
        end
      end
    end)
  end)

  describe("a router whose hosts come and go", function()
    -- Some share an identifier, where that is allowed.
    local function some_hosts(compat, weights)
      local hosts = {}
      for i = 1, 12 do
        local name = compat ~= "twemproxy" and i % 5 == 0 and "shared" or "host " .. i
        hosts[i] = { identifier = name, weight = weights and math.random(1, 4) or 1 }
      end
      return hosts
    end

    -- The router that has never heard of the others; what it picks, by their numbers.
    local function of_live_hosts(router, hosts, compat)
      local live, numbers = {}, {}
      for host = 0, #hosts - 1 do
        if router:is_up(host) then
          live[#live + 1] = hosts[host + 1]
          numbers[#live] = host
        end
      end
      local picks = assert(routers.new("ketama", live, { compat = compat })):placement(keys)
      for i, pick in ipairs(picks) do picks[i] = numbers[pick + 1] end
      return picks
    end

    it("picks as one that has only those which are up", function()
      math.randomseed(5)
      for _, compat in ipairs(COMPATS) do
        for round = 1, 30 do
          local hosts = some_hosts(compat, round % 2 == 0)
          local router = assert(routers.new("ketama", hosts, { compat = compat }))
          for _ = 1, 4 do
            for _ = 1, math.random(1, 12) do router:mark(math.random(1, 11), math.random(2) == 1) end -- 0 stays up
            assert.same(of_live_hosts(router, hosts, compat), router:placement(keys), compat)
          end
        end
      end
    end)
  end)

  describe("router_group", function()
    local hosts = {
      { identifier = "a" }, { identifier = "b" }, { identifier = "a" }, { identifier = "c" }, { identifier = "a" },
    }

    it("is the host alone when identifiers differ", function()
      each_router(ALL, 4, function(router)
        for host = 0, 3 do assert.same({ host }, router:group(host)) end
      end)
    end)

    it("is all hosts with the identifier, in routing order, where identifiers place keys", function()
      for _, kind in ipairs({ "ketama", "rendezvous" }) do
        local router = routers.new(kind, hosts)
        for _, host in ipairs({ 0, 2, 4 }) do assert.same({ 0, 2, 4 }, router:group(host)) end
        assert.same({ 1 }, router:group(1))
        assert.same({ 3 }, router:group(3))
      end
      for _, kind in ipairs({ "modulus", "jump", "slots", "round_robin" }) do
        assert.same({ 2 }, routers.new(kind, hosts):group(2))
      end
    end)

    it("is found through its first host that is up, and keeps its keys until the last is down", function()
      for _, kind in ipairs({ "ketama", "rendezvous" }) do
        local router = routers.new(kind, hosts)
        local before = router:placement(keys)
        for _, host in ipairs(before) do assert.is_true(host == 0 or host == 1 or host == 3) end
        router:mark(0, false)
        for i, key in ipairs(keys) do assert.equal(before[i] == 0 and 2 or before[i], router:pick(key)) end
        router:mark(2, false)
        router:mark(4, false)
        for _, key in ipairs(keys) do
          local host = router:pick(key)
          assert.is_true(host == 1 or host == 3)
        end
      end
    end)

    it("has the weight of its heaviest host that is up", function()
      local router = routers.new("ketama", {
        { identifier = "a", weight = 1 }, { identifier = "a", weight = 1000 },
      })
      assert.equal(0, router:pick("key"))
      router:mark(0, false)
      assert.equal(1, router:pick("key"))
      router:mark(0, true)
      router:mark(1, false)
      assert.equal(0, router:pick("key"))
    end)
  end)

  describe("jump", function()
    it("moves one key in n to the host that is added last, and no other", function()
      for n = 1, 20 do
        local small, large = routers.new("jump", n), routers.new("jump", n + 1)
        local moved = 0
        for _, key in ipairs(keys) do
          local before, after = small:pick(key), large:pick(key)
          if before ~= after then
            assert.equal(n, after)
            moved = moved + 1
          end
        end
        local share = #keys / (n + 1)
        assert.is_true(math.abs(moved - share) < 6 * math.sqrt(share), n .. " hosts: " .. moved .. " moved")
      end
    end)
  end)

  describe("rendezvous", function()
    it("does not care in which order the hosts are listed", function()
      local one = routers.new("rendezvous", { { identifier = "a" }, { identifier = "b" }, { identifier = "c" } })
      local two = routers.new("rendezvous", { { identifier = "c" }, { identifier = "b" }, { identifier = "a" } })
      for _, key in ipairs(keys) do assert.equal(2 - one:pick(key), two:pick(key)) end
    end)

    it("moves keys only to a host whose weight grows", function()
      local before = routers.new("rendezvous", weighted(1, 2, 5)):placement(keys)
      local after = routers.new("rendezvous", weighted(1, 3, 5)):placement(keys)
      for i in ipairs(keys) do assert.is_true(before[i] == after[i] or after[i] == 1) end
    end)

    it("is the same with equal weights, whatever they are", function()
      local one = routers.new("rendezvous", weighted(1, 1, 1)):placement(keys)
      assert.same(one, routers.new("rendezvous", weighted(7, 7, 7)):placement(keys))
    end)
  end)

  describe("slots", function()
    it("are split evenly and in order", function()
      for _, n in ipairs({ 2, 3, 7, 1000 }) do
        local router = routers.new("slots", n)
        local last = -1
        local by_slot = {}
        for _, key in ipairs(keys) do
          by_slot[tonumber(router:explain(key):match("slot (%d+)"))] = router:pick(key)
        end
        for slot = 0, 16383 do
          if by_slot[slot] then
            assert.is_true(by_slot[slot] >= last)
            last = by_slot[slot]
            assert.is_true(math.abs(slot - (by_slot[slot] + 0.5) * 16384 / n) <= 16384 / n / 2 + 1)
          end
        end
      end
    end)
  end)

  describe("round_robin", function()
    it("goes round from the first host, over those that are up", function()
      local router = routers.new("round_robin", 3)
      assert.same({ 0, 1, 2, 0, 1, 2 }, router:placement({ "", "", "", "", "", "" }))
      router:mark(1, false)
      assert.same({ 0, 2, 0, 2 }, router:placement({ "", "", "", "" }))
      router:mark(1, true)
      assert.same({ 0, 1, 2 }, router:placement({ "", "", "" }))
    end)

    it("goes on with those that are left when its next host goes down", function()
      local router = routers.new("round_robin", 3)
      assert.same({ 0, 1 }, router:placement({ "", "" }))
      router:mark(2, false)
      router:mark(1, false)
      assert.same({ 0, 0 }, router:placement({ "", "" }))
    end)

    it("spreads the turns of a heavy host", function()
      local router = routers.new("round_robin", weighted(1, 3))
      assert.same({ 1, 0, 1, 1, 1, 0, 1, 1 }, router:placement({ "", "", "", "", "", "", "", "" }))
      local even = routers.new("round_robin", weighted(1000, 1000))
      assert.same({ 0, 1, 0, 1 }, even:placement({ "", "", "", "" }))
    end)

    it("is not moved by an explanation", function()
      local router = routers.new("round_robin", 3)
      for _ = 1, 5 do router:explain("key") end
      assert.equal(0, router:pick("key"))
    end)
  end)

  describe("random", function()
    it("ignores weights in twemproxy's mode only", function()
      local many = routers.keys(4000)
      local hosts = weighted(1, 3)
      local nydus = counts_of(routers.new("random", hosts), many)
      local twemproxy = counts_of(routers.new("random", hosts, { compat = "twemproxy" }), many)
      assert.is_true(math.abs(nydus[1] - 3000) < 200)
      assert.is_true(math.abs(twemproxy[1] - 2000) < 200)
    end)
  end)

  describe("least_pending", function()
    it("takes turns while nobody owes anything, by weight", function()
      assert.same({ 0, 1, 2, 0, 1, 2 }, routers.new("least_pending", 3):placement({ "", "", "", "", "", "" }))
      local counts = counts_of(routers.new("least_pending", weighted(1, 3)), keys)
      assert.is_true(math.abs(counts[1] / counts[0] - 3) < 0.1)
    end)
  end)

  describe("first", function()
    it("is the first host that is up", function()
      local router = routers.new("first", 3)
      assert.equal(0, router:pick())
      router:mark(0, false)
      assert.equal(1, router:pick())
      router:mark(1, false)
      assert.equal(2, router:pick())
      router:mark(0, true)
      assert.equal(0, router:pick())
    end)
  end)

  describe("router_explain", function()
    local good = {
      { "ketama", "foo", {}, "^md5 3675831724, point %d+ %(%d+ of 480%)$" },
      { "ketama", "{foo}x", { hash_tag = "{}" }, '^tag "foo", md5 3675831724, point %d+ %(%d+ of 480%)$' },
      { "ketama", '{f\n"}x', { hash_tag = "{}" }, '^tag "f\\x0a\\x22", md5 ' },
      { "modulus", "foo", {}, "^crc32 2356372769, signed, modulo 3 is 1$" },
      { "modulus", "foo", { compat = "redis" }, "^crc32 2356372769, modulo 3 is 2$" },
      { "jump", "foo", {}, "^xxh64 %d+, bucket %d of 3$" },
      { "rendezvous", "foo", {}, "^xxh64 %d+, highest score of 3 hosts$" },
      { "slots", "foo", {}, "^crc16 44950, slot 12182$" },
      { "round_robin", "foo", {}, "^3 hosts take turns$" },
      { "random", "foo", {}, "^one of 3 hosts by chance$" },
      { "first", "foo", {}, "^the first host$" },
      { "least_pending", "foo", {}, "^the one of 3 hosts that owes the fewest replies$" },
    }
    it("says in a line how the key got there", function()
      for _, row in ipairs(good) do assert.matches(row[4], routers.new(row[1], 3, row[3]):explain(row[2])) end
    end)

    it("stays within the room it is given", function()
      local router = routers.new("ketama", 3, { hash_tag = "{}" })
      local key = "{" .. ("\1"):rep(1000) .. "}"
      for room = 1, 300 do
        local text = ffi.new("char[304]", ("~"):rep(303))
        C.router_explain(router.c, key, #key, text, room)
        assert.is_true(#ffi.string(text) < room)
        assert.equal(("~"):byte(), text[room])
      end
    end)
  end)
end)
