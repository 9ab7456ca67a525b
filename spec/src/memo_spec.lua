-- Kept replies by FFI: found by command, dropped by key, bounded in bytes.

local ffi = require("ffi")
local support = require("support")

support.header("base/memo.h")
local C = support.lib()

local LEAST = 64 * 1024

local function open(limit)
  return ffi.gc(C.memos_create(limit or LEAST), C.memos_destroy)
end

local era = ffi.new("uint32_t[1]", 1)

local function name_of(text, db, resp)
  return ffi.new("struct memo_name", { text, #text, db or 0, resp or 2, 0 })
end

local function find(memos, text, ...)
  local memo = C.memos_find(memos, name_of(text, ...))
  return memo ~= nil and memo or nil
end

local function add(memos, text, key, ...)
  local name = name_of(text, ...)
  assert(C.memos_find(memos, name) == nil)
  return C.memos_add(memos, name, key, #key, era)
end

local function keep(memos, text, key, reply, ...)
  local memo = add(memos, text, key, ...)
  memo.expires = 1
  return C.memos_keep(memos, memo, reply, #reply, 0)
end

local function drop_key(memos, key)
  local found = C.memos_key(memos, key, #key)
  return found ~= nil and C.memos_drop_key(memos, found) or 0
end

describe("memos", function()
  it("are found by command, database and protocol, and fall with their key", function()
    local memos = open()
    local empty = C.memos_bytes(memos)
    assert.is_true(keep(memos, "GET k", "k", "one"))
    assert.is_true(keep(memos, "GET k", "k", "two", 1))
    assert.is_true(keep(memos, "GET k", "k", "three", 0, 3))
    assert.is_true(keep(memos, "GET kk", "kk", "four"))
    assert.equal("one", ffi.string(find(memos, "GET k").reply, 3))
    assert.equal("two", ffi.string(find(memos, "GET k", 1).reply, 3))
    assert.equal("three", ffi.string(find(memos, "GET k", 0, 3).reply, 5))
    assert.is_nil(find(memos, "get k"))
    assert.equal(3, drop_key(memos, "k"))
    assert.is_nil(find(memos, "GET k", 1))
    assert.is_truthy(find(memos, "GET kk"))
    assert.equal(1, drop_key(memos, "kk"))
    assert.equal(0, drop_key(memos, "kk"))
    assert.equal(empty, C.memos_bytes(memos))
  end)

  it("that wait and are dropped are found no more, and are their owner's", function()
    local memos = open()
    local empty = C.memos_bytes(memos)
    local memo = add(memos, "GET k", "k")
    assert.is_truthy(find(memos, "GET k"))
    assert.equal(0, drop_key(memos, "k"))
    assert.is_true(memo.key == nil)
    assert.is_nil(find(memos, "GET k"))
    C.memo_free(memo)
    assert.equal(empty, C.memos_bytes(memos))
  end)

  it("leave a key that is held, until it is let go", function()
    local memos = open()
    local empty = C.memos_bytes(memos)
    local key = C.memos_hold(memos, "k", 1)
    assert.is_true(key == C.memos_hold(memos, "k", 1))
    keep(memos, "GET k", "k", "v")
    assert.equal(1, C.memos_drop_key(memos, key))
    C.memos_release(memos, key)
    assert.equal(1, key.holds)
    C.memos_release(memos, key)
    assert.is_true(C.memos_key(memos, "k", 1) == nil)
    assert.equal(empty, C.memos_bytes(memos))
  end)

  it("that are too large for the whole are not kept", function()
    local memos = open()
    local empty = C.memos_bytes(memos)
    assert.is_false(keep(memos, "GET k", "k", ("x"):rep(LEAST / 8)))
    assert.is_true(keep(memos, "GET k", "k", ("x"):rep(LEAST / 16)))
    drop_key(memos, "k")
    assert.equal(empty, C.memos_bytes(memos))
  end)

  it("stay within their bytes, and those that are asked for stay longest", function()
    local memos = open()
    keep(memos, "GET hot", "hot", "v")
    for i = 1, 5000 do
      keep(memos, "GET " .. i, tostring(i), ("x"):rep(i % 300))
      find(memos, "GET hot").used = true
      assert.is_true(C.memos_bytes(memos) <= LEAST)
    end
    assert.is_truthy(find(memos, "GET hot"))
    assert.is_truthy(find(memos, "GET 5000"))
    assert.is_nil(find(memos, "GET 1"))
    era[0] = era[0] + 1 -- none is good any more: each that comes takes others with it
    for i = 1, 300 do keep(memos, "GET new" .. i, "new" .. i, "v") end
    assert.is_nil(find(memos, "GET hot"))
  end)

  it("agree with a table of Lua, whatever is done to them", function()
    math.randomseed(7)
    local memos, model = open(1024 * 1024), {}
    local empty = C.memos_bytes(memos)
    for _ = 1, 20000 do
      local key, field = "k" .. math.random(40), "f" .. math.random(5)
      local text = "HGET " .. key .. " " .. field
      model[key] = model[key] or {}
      local memo = find(memos, text)
      assert.equal(model[key][field], memo and ffi.string(memo.reply, memo.reply_size))
      local what = math.random(10)
      if what == 1 then
        drop_key(memos, key)
        model[key] = nil
      elseif what == 2 and memo then
        C.memos_drop(memos, memo)
        model[key][field] = nil
      elseif not memo then
        local value = tostring(math.random())
        keep(memos, text, key, value)
        model[key][field] = value
      end
    end
    for key in pairs(model) do drop_key(memos, key) end
    assert.equal(empty, C.memos_bytes(memos))
  end)
end)
