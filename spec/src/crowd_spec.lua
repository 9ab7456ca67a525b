-- What workers tell each other of how many listen; here, one process.

local ffi = require("ffi")
local support = require("support")

support.header("base/crowd.h")
local C = support.lib()

local function key(name, place) return C.crowd_key(place or 1, name, #name) end

describe("crowd", function()
  after_each(function()
    C.crowd_set(key("a"), 0)
    C.crowd_set(key("b"), 0)
    C.crowd_set_patterns("", 0)
  end)

  it("remembers a number for a name at a place", function()
    assert.equal(0, tonumber(C.crowd_sum(key("a"))))
    C.crowd_set(key("a"), 7)
    C.crowd_set(key("b"), -2)
    assert.same({ 7, -2, 0 },
      { tonumber(C.crowd_sum(key("a"))), tonumber(C.crowd_sum(key("b"))), tonumber(C.crowd_sum(key("a", 2))) })
    C.crowd_set(key("a"), 100000)
    assert.equal(100000, tonumber(C.crowd_sum(key("a"))))
    C.crowd_set(key("a"), 0)
    assert.equal(0, tonumber(C.crowd_sum(key("a"))))
    C.crowd_set(key("a"), 0)
    assert.equal(-2, tonumber(C.crowd_sum(key("b"))))
  end)

  it("has room for thousands of names, forgets those that it has none for, and none for another's", function()
    local wrong = 0
    for i = 1, 8000 do C.crowd_set(key("n" .. i), i) end
    for i = 1, 8000 do
      local number = tonumber(C.crowd_sum(key("n" .. i)))
      assert.is_true(number == i or number == 0)
      wrong = wrong + (number == 0 and 1 or 0)
    end
    assert.is_true(wrong < 400, wrong)
    for i = 8001, 60000 do C.crowd_set(key("n" .. i), i) end
    for i = 1, 60000 do C.crowd_set(key("n" .. i), 0) end
    for i = 1, 60000 do assert.equal(0, tonumber(C.crowd_sum(key("n" .. i)))) end
  end)

  it("forgets what a process has said that is no more", function()
    C.crowd_set(key("a"), 7)
    C.crowd_add_name(0, 3)
    C.crowd_set_patterns("some", 4)
    C.crowd_settle(0)
    assert.same({ 0, 0, 0 }, { tonumber(C.crowd_sum(key("a"))), tonumber(C.crowd_names(0)),
      tonumber(C.crowd_patterns(0, ffi.new("char[?]", C.CROWD_PATTERNS))) })
  end)

  it("keeps what is said about patterns", function()
    local out = ffi.new("char[?]", C.CROWD_PATTERNS)
    assert.equal(0, tonumber(C.crowd_patterns(0, out)))
    C.crowd_set_patterns("some\0bytes", 10)
    assert.equal("some\0bytes", ffi.string(out, C.crowd_patterns(0, out)))
    C.crowd_set_patterns("", 0)
    assert.equal(0, tonumber(C.crowd_patterns(0, out)))
  end)
end)
