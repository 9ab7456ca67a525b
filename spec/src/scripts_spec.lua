-- The memory of script bodies, by FFI.

local ffi = require("ffi")
local support = require("support")

ffi.cdef([[
  void scripts_learn(const char *body, size_t size);
  const char *scripts_find(const char *sha, size_t *size);
  void scripts_forget(void);
  size_t scripts_memory(void);
]])
local C = support.lib()

local LIMIT = 16 * 1024 * 1024

local function find(sha)
  local size = ffi.new("size_t[1]")
  local body = C.scripts_find(sha, size)
  if body == nil then return nil end
  return ffi.string(body, size[0])
end

-- SHA1 of bodies as Redis computes them.
local shas = {
  ["return 1"] = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db",
  ["return KEYS[1]"] = "4a2267357833227dd98abdedb8cf24b15a986445",
  [""] = "da39a3ee5e6b4b0d3255bfef95601890afd80709",
}

describe("scripts", function()
  before_each(function()
    C.scripts_forget()
  end)

  it("are found by their SHA1, in any case", function()
    for body, sha in pairs(shas) do
      assert.is_nil(find(sha))
      C.scripts_learn(body, #body)
      assert.equal(body, find(sha))
      assert.equal(body, find(sha:upper()))
    end
    assert.is_nil(find(("0"):rep(40)))
    assert.is_nil(find(("g"):rep(40)))
  end)

  it("are kept once, and forgotten together", function()
    C.scripts_learn("return 1", 8)
    local one = C.scripts_memory()
    for _ = 1, 100 do C.scripts_learn("return 1", 8) end
    assert.equal(one, C.scripts_memory())
    C.scripts_forget()
    assert.equal(0, tonumber(C.scripts_memory()))
    assert.is_nil(find(shas["return 1"]))
  end)

  it("stay within their memory: the one not used for longest goes", function()
    C.scripts_learn("return 1", 8)
    C.scripts_learn("return KEYS[1]", 14)
    local filler = ("x"):rep(100000)
    for i = 1, 400 do
      local body = i .. filler
      C.scripts_learn(body, #body)
      assert.is_true(C.scripts_memory() <= LIMIT)
      assert.equal("return 1", find(shas["return 1"]))
    end
    assert.is_true(C.scripts_memory() > LIMIT - 200000)
    assert.is_nil(find(shas["return KEYS[1]"]))
  end)

  it("stay within their memory when there are very many", function()
    for i = 1, 200000 do
      local body = "return " .. i
      C.scripts_learn(body, #body)
    end
    assert.is_true(C.scripts_memory() <= LIMIT)
    C.scripts_forget()
    assert.equal(0, tonumber(C.scripts_memory()))
  end)

  it("are not kept when they are big", function()
    local body = ("x"):rep(1024 * 1024 + 1)
    C.scripts_learn(body, #body)
    assert.equal(0, tonumber(C.scripts_memory()))
    C.scripts_learn(body, #body - 1)
    assert.is_true(C.scripts_memory() > #body)
  end)
end)
