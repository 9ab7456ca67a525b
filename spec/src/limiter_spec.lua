-- Token buckets by FFI, on a clock of our own.

local ffi = require("ffi")
local support = require("support")

support.header("base/limiter.h")
local C = support.lib()

local SECOND = 1e9
local names = 0

local function limiter(rate, burst, name)
  names = names + 1
  name = name or "limiter " .. names
  local l, text = ffi.new("struct limiter"), ffi.new("char[256]")
  if not C.limiter_find(l, name, #name, rate, burst, text, 256) then return nil, ffi.string(text) end
  return l
end

-- The clock begins late, so that what is empty is in the past.
local function allow(l, key, seconds, cost)
  return C.limiter_allow(l, key, key and #key or 0, cost or 1, 1e15 + seconds * SECOND)
end

local function allowed(l, key, seconds, times)
  local count = 0
  for _ = 1, times do count = count + (allow(l, key, seconds) == 0 and 1 or 0) end
  return count
end

describe("a limiter", function()
  it("gives a burst, then so many a second, and says how long to wait", function()
    local l = limiter(10, 5)
    assert.equal(5, allowed(l, nil, 0, 20))
    assert.near(0.1, allow(l, nil, 0), 1e-6)
    assert.near(0.04, allow(l, nil, 0.06), 1e-6)
    assert.equal(0, allow(l, nil, 0.1))
    assert.equal(2, allowed(l, nil, 0.3, 20))
    assert.equal(5, allowed(l, nil, 1000, 20))
    local count = 0
    for i = 1, 10000 do count = count + (allow(l, nil, 2000 + i / 1000) == 0 and 1 or 0) end
    assert.near(105, count, 1)
  end)

  it("takes more than one at once, or none", function()
    local l = limiter(1, 10)
    assert.equal(0, allow(l, nil, 0, 7))
    assert.near(1, allow(l, nil, 0, 4), 1e-6)
    assert.equal(0, allow(l, nil, 0, 3))
    assert.equal(0, allow(l, nil, 0, 0))
    assert.near(0.5, allow(l, nil, 0, 0.5), 1e-6)
    assert.equal(math.huge, allow(l, nil, 0, 10.5))
    assert.equal(math.huge, allow(l, nil, 0, 0 / 0))
  end)

  it("has a bucket for every key", function()
    local l = limiter(1, 3)
    for i = 1, 1000 do assert.equal(3, allowed(l, "key" .. i, 0, 5)) end
    local wrong = 0
    for i = 1, 1000 do wrong = wrong + allowed(l, "key" .. i, 0, 1) end
    assert.equal(0, wrong)
    assert.equal(3, allowed(l, nil, 0, 5))
    assert.equal(3, allowed(l, "", 0, 5))
  end)

  it("forgets the keys that are nearest to full, when there are too many", function()
    local l = limiter(1, 100)
    for _ = 1, 90 do allow(l, "greedy", 0) end
    for i = 1, 100000 do assert.equal(0, allow(l, "key" .. i, 0)) end
    assert.near(10, allowed(l, "greedy", 0, 100), 1)
  end)

  it("is the same for the same name, with the rate of who asks", function()
    local slow, fast = limiter(0.001, 10, "same"), limiter(1000, 20, "same")
    assert.equal(10, allowed(slow, nil, 0, 20))
    assert.near(0.001, allow(fast, nil, 0), 1e-6)
    assert.equal(20, allowed(fast, nil, 0.03, 50))
  end)

  it("refuses what is no rate", function()
    for _, pair in ipairs({ { 0, 1 }, { -1, 1 }, { 0 / 0, 1 }, { math.huge, 1 }, { 1, 0 }, { 1, 0 / 0 },
      { 1, 1e9 }, { 1e-9, 1 } }) do
      local l, problem = limiter(pair[1], pair[2])
      assert.is_nil(l)
      assert.matches("rate is up to", problem)
    end
    assert.matches("1 to 127 bytes", select(2, limiter(1, 1, "")))
    assert.matches("1 to 127 bytes", select(2, limiter(1, 1, ("x"):rep(128))))
  end)

  it("costs little", function()
    local l, count = limiter(1e7, 1e7), 3e5
    local start = os.clock()
    for i = 1, count do C.limiter_allow(l, nil, 0, 1, 1e15 + i) end
    local middle = os.clock()
    for i = 1, count do C.limiter_allow(l, "tenant", 6, 1, 1e15 + i) end
    local last = os.clock()
    print(("          limiter_allow: %.1f ns, with a key %.1f ns"):format(
      (middle - start) / count * 1e9, (last - middle) / count * 1e9))
    assert.is_true(last - start < 1)
  end)

  it("ends at a bound", function()
    local problem
    for i = 1, 300 do
      local l, text = limiter(1, 1, "many " .. i)
      problem = not l and text or problem
    end
    assert.equal("there are 256 already, which stay until the server ends", problem)
  end)
end)
