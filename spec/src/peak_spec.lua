-- When is a peak over, so that the heap is trimmed?

local support = require("support")

local C = support.lib()
support.header("base/peak.h")

local MB = 1024 * 1024

local function take(bytes)
  C.peak.now = C.peak.now + bytes
  C.peak.most = math.max(tonumber(C.peak.most), tonumber(C.peak.now))
end

local function give(bytes) C.peak.now = C.peak.now - bytes end

describe("a peak", function()
  before_each(function()
    C.peak.now, C.peak.most = 0, 0
    for _ = 1, 4 do C.peak_is_over() end
  end)

  it("is over when two seconds have needed much less, and then once", function()
    take(100 * MB)
    assert.is_false(C.peak_is_over())
    give(99 * MB)
    assert.is_false(C.peak_is_over())
    assert.is_false(C.peak_is_over())
    assert.is_true(C.peak_is_over())
    for _ = 1, 5 do assert.is_false(C.peak_is_over()) end
  end)

  it("is not over while it comes back within a second", function()
    for _ = 1, 10 do
      take(50 * MB)
      give(50 * MB)
      assert.is_false(C.peak_is_over())
    end
  end)

  it("is over although little comes and goes behind it", function()
    take(50 * MB)
    give(50 * MB)
    local times = 0
    for _ = 1, 10 do
      take(MB)
      times = times + (C.peak_is_over() and 1 or 0)
      give(MB)
    end
    assert.equal(1, times)
  end)

  it("is none when it is small", function()
    take(40 * MB)
    C.peak_is_over()
    for _ = 1, 5 do
      take(2 * MB)
      give(2 * MB)
      for _ = 1, 4 do assert.is_false(C.peak_is_over()) end
    end
  end)
end)
