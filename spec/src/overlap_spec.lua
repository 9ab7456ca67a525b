-- Two routers counted side by side, against what they pick.

local ffi = require("ffi")
local bit = require("bit")
local routers = require("support.routers")
local support = require("support")

support.header("route/overlap.h")
local C = support.lib()

-- C calls back: not from compiled code.
local function count(old, new)
  local pairs_of, total = {}, 0
  local add = ffi.cast("overlap_add *", function(_, a, b, values)
    local key = a .. ">" .. b
    pairs_of[key] = (pairs_of[key] or 0) + tonumber(values)
    total = total + tonumber(values)
  end)
  local range = tonumber(C.overlap_count(old and old.c, new and new.c, add, nil))
  add:free()
  return range, pairs_of, total
end
jit.off(count)

local function named(...)
  local hosts = {}
  for i, name in ipairs({ ... }) do
    local identifier, weight = name:match("^(%a+)(%d*)$")
    hosts[i] = { identifier = identifier, named = true, weight = tonumber(weight) or 1 }
  end
  return hosts
end

-- The points of a ring in compat "redis", by hand: value -> host, sorted.
local function points_of(hosts)
  local words, by_value, values = ffi.new("uint32_t[4]"), {}, {}
  for i, host in ipairs(hosts) do
    for k = 0, 40 * host.weight - 1 do
      local text = host.identifier .. "-" .. k
      C.hash_md5_words(text, #text, words)
      for w = 0, 3 do
        local value = tonumber(words[w])
        if not by_value[value] then values[#values + 1] = value end
        by_value[value] = by_value[value] or i - 1
      end
    end
  end
  table.sort(values)
  return values, by_value
end

-- The owner of a hash: the first point at or after it, looked for from the first one on.
local function owner(hash, values, by_value)
  for _, value in ipairs(values) do
    if value >= hash then return by_value[value] end
  end
  return by_value[values[1]]
end

-- Every stretch between two neighbouring points of both rings has one owner in each.
local function brute_force(old, new)
  local old_values, old_owner = points_of(old)
  local new_values, new_owner = points_of(new)
  local ends, pairs_of, from = {}, {}, 0
  for _, list in ipairs({ old_values, new_values, { 2 ^ 32 - 1 } }) do
    for _, value in ipairs(list) do ends[#ends + 1] = value end
  end
  table.sort(ends)
  for _, last in ipairs(ends) do
    if last >= from then
      local key = owner(last, old_values, old_owner) .. ">" .. owner(last, new_values, new_owner)
      pairs_of[key] = (pairs_of[key] or 0) + (last - from + 1)
      from = last + 1
    end
  end
  return pairs_of
end

-- Shares of the pairs, from keys.
local function sample(old, new, keys)
  local shares = {}
  for i = 1, keys do
    local key = ("user:%d:session"):format(i * 7919)
    local pair = (old and old:pick(key) or 0) .. ">" .. (new and new:pick(key) or 0)
    shares[pair] = (shares[pair] or 0) + 1 / keys
  end
  return shares
end

local function agrees(old, new, keys)
  local range, pairs_of, total = count(old, new)
  assert.is_true(range > 0)
  assert.equal(range, total)
  local shares = sample(old, new, keys or 20000)
  for pair in pairs(shares) do assert.is_not_nil(pairs_of[pair], pair) end
  for pair, values in pairs(pairs_of) do
    local share = values / range
    local error = 5 * math.sqrt(share * (1 - share) / (keys or 20000)) + 1e-4
    assert.is_true(math.abs(share - (shares[pair] or 0)) <= error,
      ("%s: %g counted, %g sampled"):format(pair, share, shares[pair] or 0))
  end
  return pairs_of, range
end

describe("overlap", function()
  it("of two rings is that of their points, to the last hash value", function()
    local sides = {
      { named("a", "b", "c"), named("a", "b", "c", "d") },
      { named("a", "b", "c"), named("c", "a") },
      { named("a2", "b", "c"), named("a", "b3", "x") },
    }
    for _, side in ipairs(sides) do
      local old = assert(routers.new("ketama", side[1], { compat = "redis" }))
      local new = assert(routers.new("ketama", side[2], { compat = "redis" }))
      local _, pairs_of = count(old, new)
      assert.same(brute_force(side[1], side[2]), pairs_of)
    end
  end)

  it("agrees with picks, for every kind that can be counted and every mode", function()
    for _, kind in ipairs({ "ketama", "modulus", "slots", "first" }) do
      for _, compat in ipairs({ "nydus", "twemproxy", "redis" }) do
        if not (kind == "slots" and compat == "twemproxy") then
          local options = { compat = compat }
          agrees(assert(routers.new(kind, named("a", "b2", "c"), options)),
            assert(routers.new(kind, named("c", "a", "x3", "y"), options)))
        end
      end
    end
  end)

  it("of a router with itself has no pair of two hosts", function()
    for _, kind in ipairs({ "ketama", "modulus", "slots" }) do
      local router = assert(routers.new(kind, named("a", "b2", "c")))
      local _, pairs_of = count(router, router)
      for i = 0, 2 do
        assert.is_true(pairs_of[i .. ">" .. i] > 0)
        pairs_of[i .. ">" .. i] = nil
      end
      assert.is_nil(next(pairs_of))
    end
  end)

  it("counts a router of one host, or none, as one that has every key", function()
    local ring, one = assert(routers.new("ketama", 3)), assert(routers.new("jump", 1))
    agrees(ring, one)
    agrees(nil, ring)
    agrees(assert(routers.new("first", 2)), ring)
    assert.same({ ["0>0"] = 2 ^ 32 }, agrees(nil, one))
  end)

  it("is exact where 2^32 is no multiple of the hosts", function()
    local function modulus(n, compat) return assert(routers.new("modulus", n, { compat = compat })) end
    local _, plain = count(modulus(3, "redis"), nil)
    assert.same({ ["0>0"] = (2 ^ 32 - 1) / 3 + 1, ["1>0"] = (2 ^ 32 - 1) / 3, ["2>0"] = (2 ^ 32 - 1) / 3 }, plain)
    local _, signed = count(modulus(5), nil) -- Python's remainder of the numbers from -2^31 on
    for rest = 0, 4 do
      local below, above = math.floor((2 ^ 31 - 1 - rest) / 5) + 1, math.floor((2 ^ 31 + rest) / 5)
      assert.equal(below + above, signed[rest .. ">0"])
    end
    agrees(modulus(4), modulus(6, "redis"))
  end)

  it("knows hashes that have fewer values", function()
    local _, range = agrees(assert(routers.new("modulus", 3, { compat = "twemproxy", hash = "crc32" })), nil)
    assert.equal(bit.lshift(1, 15), range)
    _, range = agrees(assert(routers.new("ketama", 3, { hash = "crc16" })), nil)
    assert.equal(bit.lshift(1, 16), range)
  end)

  it("is not told of what cannot be counted", function()
    local ring = assert(routers.new("ketama", 3))
    local uncountable = {
      { ring, assert(routers.new("ketama", 3, { hash = "murmur" })) },
      { ring, assert(routers.new("ketama", 3, { hash_tag = "{}" })) },
      { ring, assert(routers.new("modulus", 3, { hash = "md5" })) },
      { assert(routers.new("jump", 2)), assert(routers.new("jump", 3)) },
      { ring, assert(routers.new("random", 3)) },
      { nil, assert(routers.new("round_robin", 3)) },
      { nil, assert(routers.new("modulus", 3, { hash = "crc16", compat = "twemproxy" })) },
    }
    for _, case in ipairs(uncountable) do
      local range, pairs_of = count(case[1], case[2])
      assert.equal(0, range)
      assert.is_nil(next(pairs_of))
    end
  end)
end)
