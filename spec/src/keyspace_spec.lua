-- Channels on which Redis tells what happens to keys.

local ffi = require("ffi")
local support = require("support")

support.header("proxy/keyspace.h")
local C = support.lib()
ffi.cdef("void free(void *);")

-- The shifted name, "same" when nothing changes, "none" when there is no such database.
local function shift(name, offset)
  local out, size = ffi.new("char *[1]"), ffi.new("size_t[1]")
  if not C.keyspace_shift(name, #name, offset, out, size) then return "none" end
  if out[0] == nil then return "same" end
  local text = ffi.string(out[0], size[0])
  ffi.C.free(out[0])
  return text
end

describe("keyspace", function()
  it("shifts the number of a database that is written out", function()
    for _, case in ipairs({
      { "__keyspace@0__:k", 3, "__keyspace@3__:k" }, { "__keyevent@9__:del", 1, "__keyevent@10__:del" },
      { "__keyspace@10__:k", -1, "__keyspace@9__:k" }, { "__keyspace@3__:__keyspace@3__:", -3, "__keyspace@0__:__keyspace@3__:" },
      { "__keyspace@0__*", 3, "__keyspace@3__*" }, { "__keyspace@2__:\0\r\n", 5, "__keyspace@7__:\0\r\n" },
      { "__keyspace@999999999__:k", 15, "__keyspace@1000000014__:k" },
    }) do
      assert.equal(case[3], shift(case[1], case[2]), case[1])
    end
  end)

  it("leaves alone what is none, or is for several databases", function()
    for _, name in ipairs({
      "", "k", "__keyspace", "__keyspace@", "__keyspace@*__:k", "__keyspace@[12]__:k", "__keyspace@0", "__keyspace@01__:k",
      "__keyspace@-1__:k", "__keyspaces@0__:k", "x__keyspace@0__:k", "__keyspace@0x__:k", "__keyspace@0*", "__key*@0__:k",
    }) do
      assert.equal("same", shift(name, 3), name)
    end
    assert.equal("same", shift("__keyspace@0__:k", 0))
  end)

  it("knows no databases below the first", function()
    assert.equal("none", shift("__keyspace@2__:k", -3))
    assert.equal("__keyspace@0__:k", shift("__keyspace@3__:k", -3))
  end)

  it("finds the key that a message is about", function()
    local function key(channel, payload)
      local out, size = ffi.new("const char *[1]"), ffi.new("size_t[1]")
      if not C.keyspace_key(channel, #channel, payload, #payload, out, size) then return nil end
      return ffi.string(out[0], size[0])
    end
    assert.equal("a:b", key("__keyspace@0__:a:b", "set"))
    assert.equal("a:b", key("__keyevent@0__:set", "a:b"))
    assert.equal("", key("__keyspace@0__:", "set"))
    assert.is_nil(key("news", "text"))
  end)
end)
