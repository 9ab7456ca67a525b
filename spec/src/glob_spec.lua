local support = require("support")

support.header("proxy/glob.h")
local C = support.lib()

local function fits(pattern, text)
  return C.glob_fits(pattern, #pattern, text, #text)
end

describe("glob", function()
  describe("fits", function()
    local good = {
      { "", "" }, { "*", "" }, { "*", "save" }, { "save", "save" }, { "SAVE", "save" }, { "s?ve", "save" },
      { "s*", "save" }, { "*e", "save" }, { "*a*", "save" }, { "**v**", "save" }, { "*a*e", "save" },
      { "s[a-c]ve", "save" }, { "s[c-a]ve", "save" }, { "s[^b]ve", "save" }, { "s[xya]ve", "save" },
      { "s[\\]a]ve", "s]ve" }, { "s\\*ve", "s*ve" }, { "s\\ave", "save" }, { "[a", "a" }, { "a-\\", "a-\\" },
      { "[a-]", "-" }, { "*aab", "aaaaaaab" }, { "a*b*c", "a-b-b-c" }, { "\0*", "\0x" }, { "[^]x", "ax" },
    }
    local bad = {
      { "", "save" }, { "?", "" }, { "sav", "save" }, { "saves", "save" }, { "s\\?ve", "save" }, { "[^s]*", "save" },
      { "s[b-d]ve", "save" }, { "*x*", "save" }, { "a*b*c", "a-c-b" }, { "?*", "" }, { "*aab", "aaaaaaa" },
    }

    it("says yes, when the pattern fits the whole text in any case", function()
      for _, case in ipairs(good) do
        assert.is_true(fits(case[1], case[2]), ("%q %q"):format(case[1], case[2]))
      end
    end)

    it("says no, when it does not", function()
      for _, case in ipairs(bad) do
        assert.is_false(fits(case[1], case[2]), ("%q %q"):format(case[1], case[2]))
      end
    end)

    it("answers soon, whatever the pattern", function()
      local before = os.clock()
      assert.is_false(fits(("*a"):rep(20000) .. "b", ("a"):rep(60)))
      assert.is_false(fits(("*?"):rep(30) .. "z", ("a"):rep(60)))
      assert.is_true(os.clock() - before < 1)
    end)
  end)

  it("tells upper from lower case in keys", function()
    local function key(pattern, text) return C.glob_fits_key(pattern, #pattern, text, #text) end
    for _, case in ipairs({ { "User:*", "User:1" }, { "[A-C]x", "Bx" }, { "\255*", "\255\0" }, { "*", "" } }) do
      assert.is_true(key(case[1], case[2]), case[1])
    end
    for _, case in ipairs({ { "User:*", "user:1" }, { "user:*", "User:1" }, { "[A-C]x", "bx" }, { "*X", "x" } }) do
      assert.is_false(key(case[1], case[2]), case[1])
    end
  end)
end)
