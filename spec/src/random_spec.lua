-- The generator of random numbers.

local support = require("support")

support.header("base/random.h")
local C = support.lib()

describe("random", function()
  describe("random_next", function()
    it("does not repeat itself", function()
      local seen = {}
      for _ = 1, 10000 do
        local number = tostring(C.random_next())
        assert.is_nil(seen[number])
        seen[number] = true
      end
    end)
  end)

  describe("random_below", function()
    it("stays below and reaches each number about equally often", function()
      for _, n in ipairs({ 1, 2, 3, 7, 100 }) do
        local counts = {}
        for _ = 1, n * 1000 do
          local number = C.random_below(n)
          assert.is_true(number < n)
          counts[number] = (counts[number] or 0) + 1
        end
        for i = 0, n - 1 do
          assert.is_true(counts[i] > 800 and counts[i] < 1200, i .. " of " .. n .. ": " .. counts[i])
        end
      end
    end)

    it("takes the largest bound", function()
      local above = 0
      for _ = 1, 1000 do
        if C.random_below(0xffffffff) >= 0x80000000 then above = above + 1 end
      end
      assert.is_true(above > 400 and above < 600)
    end)
  end)
end)
