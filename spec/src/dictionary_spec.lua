-- Shared dictionaries by FFI, beside a Lua table that does the same, on a clock of our own.

local ffi = require("ffi")
local Random = require("support.random")
local support = require("support")
local sys = require("support.sys")

support.header("base/dictionary.h")
support.header("base/log.h")
local C = support.lib()

local names = 0

local function dictionary(size, name)
  names = names + 1
  name = name or "dictionary " .. names
  local text = ffi.new("char[256]")
  local d = C.dictionary_find(name, #name, size, text, 256)
  if d == nil then return nil, ffi.string(text) end
  return d
end

local function key_of(text, now)
  return ffi.new("struct dictionary_key", { bytes = text, size = #text, now = now or 1 })
end

local function value_of(value)
  local v = ffi.new("struct dictionary_value")
  if type(value) == "string" then
    v.type, v.bytes, v.size = C.DICTIONARY_STRING, value, #value
  elseif type(value) == "number" then
    v.type, v.number = C.DICTIONARY_NUMBER, value
  else
    v.type, v.number = C.DICTIONARY_BOOLEAN, value and 1 or 0
  end
  return v
end

local function get(d, key, now)
  local v = ffi.new("struct dictionary_value")
  if not C.dictionary_get(d, key_of(key, now), v) then return nil end
  if v.type == C.DICTIONARY_STRING then return ffi.string(v.bytes, v.size) end
  if v.type == C.DICTIONARY_NUMBER then return v.number end
  return v.number ~= 0
end

local function set(d, key, value, life, only_new, now)
  return tonumber(C.dictionary_set(d, key_of(key, now), value_of(value), life or 0, only_new or false))
end

local function random_value(roll)
  local kind = roll(6)
  if kind == 1 then return roll(1000) / 8 end
  if kind == 2 then return roll(2) == 1 end
  if kind == 3 then return "" end
  local sizes = { 20, 70, 90, 200, 500, 3000 }
  return (string.char(roll(256) - 1) .. "x"):rep(roll(sizes[roll(#sizes)]))
end

-- Runs `steps` random calls on the dictionary and on a table; `loses`: it may have forgotten keys.
local function compare(d, seed, steps, keys, loses)
  local random, model, now = Random.new(seed), {}, 1000
  local function roll(n) return random:between(1, n) end
  local function expected(key)
    local item = model[key]
    if item and item.expires and item.expires <= now then model[key] = nil end
    return model[key]
  end
  for step = 1, steps do
    now = now + roll(3) - 1
    local key = "key" .. ("k"):rep(roll(4) == 1 and 150 or 0) .. roll(keys)
    local item, what, life = expected(key), roll(20), roll(3) == 1 and roll(50) or 0
    local function check(ok, got)
      if not ok then error(("step %d of seed %d: call %d gave %s"):format(step, seed, what, tostring(got))) end
    end
    local expires = life > 0 and now + life or nil
    if what <= 8 then
      local got = get(d, key, now)
      check(item and got == item.value or got == nil and (loses or not item), got)
      if got == nil then model[key] = nil end
    elseif what <= 13 then
      local value = random_value(roll)
      check(set(d, key, value, life, false, now) == C.DICTIONARY_DONE)
      model[key] = { value = value, expires = expires }
    elseif what <= 15 then
      local value = random_value(roll)
      local got = set(d, key, value, life, true, now)
      check(got == C.DICTIONARY_DONE and (loses or not item) or got == C.DICTIONARY_THERE and item, got)
      if got == C.DICTIONARY_DONE then model[key] = { value = value, expires = expires } end
    elseif what <= 17 then
      local sum, init = ffi.new("double[1]"), ffi.new("double[1]", 5)
      local got = tonumber(C.dictionary_add(d, key_of(key, now), 2, roll(2) == 1 and init or nil, life, sum))
      if got == C.DICTIONARY_DONE then
        check(item and item.value == sum[0] - 2 or (loses or not item) and sum[0] == 7, sum[0])
        model[key] = { value = sum[0], expires = item and item.value == sum[0] - 2 and item.expires or nil }
        if not (item and item.value == sum[0] - 2) then model[key].expires = expires end
      elseif got == C.DICTIONARY_NO_NUMBER then
        check(item and type(item.value) ~= "number", got)
      else
        check(got == C.DICTIONARY_NOT_THERE and (loses or not item), got)
        model[key] = nil
      end
    elseif what <= 19 then
      local got = C.dictionary_delete(d, key_of(key, now))
      check(got == (item ~= nil) or loses and not got, got)
      model[key] = nil
    elseif roll(50) == 1 then
      C.dictionary_flush(d)
      model = {}
    end
    if step % 97 == 0 then check(C.dictionary_is_sound(d), "unsound") end
  end
  local count = 0
  for key in pairs(model) do
    if expected(key) then count = count + 1 end
  end
  local got = C.dictionary_count(d, now)
  if not loses then assert.equal(count, got) end
  assert.is_true(got <= count)
  assert.is_true(C.dictionary_is_sound(d))
end

describe("a shared dictionary", function()
  it("does what a table does, when there is room", function()
    for seed = 1, 8 do compare(dictionary(4 * 1024 * 1024), seed, 4000, seed % 2 == 0 and 12 or 300, false) end
  end)

  it("forgets some keys but is never wrong, when there is not", function()
    for seed = 11, 18 do compare(dictionary(16 * 1024 + seed * 1000), seed, 4000, 200, true) end
  end)

  it("forgets what was not used for longest", function()
    local d = dictionary(32 * 1024)
    for i = 1, 1000 do
      set(d, "key" .. i, i)
      get(d, "key1")
    end
    assert.equal(1, get(d, "key1"))
    assert.equal(1000, get(d, "key1000"))
    assert.is_nil(get(d, "key2"))
    local count = C.dictionary_count(d, 1)
    assert.is_true(count > 150 and count < 260, count)
    assert.equal(1000 - (count - 2), get(d, "key" .. 1000 - (count - 2)))
  end)

  it("refuses what is too large, and keeps what was there", function()
    local d = dictionary(64 * 1024)
    local large = ("x"):rep(40 * 1024)
    set(d, "k", "v")
    assert.equal(C.DICTIONARY_TOO_LARGE, set(d, "k", large))
    assert.equal(C.DICTIONARY_TOO_LARGE, set(d, large, 1))
    assert.equal(C.DICTIONARY_TOO_LARGE, tonumber(C.dictionary_add(d, key_of(large), 1, nil, 0, nil)))
    assert.equal("v", get(d, "k"))
    assert.is_nil(get(d, large))
    local most = ("y"):rep(28 * 1024)
    for i = 1, 5 do assert.equal(C.DICTIONARY_DONE, set(d, "most" .. i, most)) end
    assert.equal(most, get(d, "most5"))
    assert.is_true(C.dictionary_is_sound(d))
    assert.equal(C.DICTIONARY_TOO_LARGE, set(dictionary(16 * 1024 * 1024), "k", ("z"):rep(1024 * 1024)))
  end)

  it("takes keys and values of any bytes and any size", function()
    local d = dictionary(256 * 1024)
    for size = 0, 700 do
      local bytes = ("\0\255\r\n"):rep(size):sub(1, size)
      set(d, bytes, bytes .. "!")
      set(d, "short" .. size, bytes)
    end
    for size = 600, 700 do
      local bytes = ("\0\255\r\n"):rep(size):sub(1, size)
      assert.is_true(get(d, bytes) == bytes .. "!" and get(d, "short" .. size) == bytes, size)
    end
    assert.is_true(C.dictionary_is_sound(d))
  end)

  it("is the same for the same name, with the size it has", function()
    local one, other = dictionary(32 * 1024, "same"), dictionary(64 * 1024, "same")
    assert.equal(one, other)
    assert.equal(32 * 1024, tonumber(C.dictionary_size(other)))
    set(one, "k", true)
    assert.is_true(get(other, "k"))
    assert.matches("at least 16384 bytes", select(2, dictionary(1)))
    assert.matches("300000000 bytes are too many", select(2, dictionary(3e8)))
  end)
end)

-- Another process that does this until it is killed.
local function other(work)
  local pid = ffi.C.fork()
  if pid > 0 then return pid end
  ffi.C.prctl(1, ffi.cast("long", 9)) -- it ends with us
  while pcall(work) do end
  ffi.C._exit(1)
end

local function kill(pid)
  sys.kill(pid, "KILL")
  support.wait_until(function() return sys.reap(pid) end, 5, "a process to end")
end

describe("a shared dictionary of several processes", function()
  local log = support.temp_dir() .. "/log"

  setup(function() assert(C.log_open(log)) end)
  teardown(function() assert(C.log_open(nil)) end)

  it("counts right when all of them count", function()
    local d, processes = dictionary(64 * 1024), {}
    local key, init, sum = key_of("n"), ffi.new("double[1]"), ffi.new("double[1]")
    for i = 1, 3 do
      processes[i] = other(function()
        for _ = 1, 20000 do C.dictionary_add(d, key, 1, init, 0, sum) end
        ffi.C._exit(0)
      end)
    end
    for _, pid in ipairs(processes) do
      local code
      support.wait_until(function() code = sys.reap(pid) return code end, 10, "a process to end")
      assert.equal(0, code)
    end
    assert.equal(60000, get(d, "n"))
  end)

  it("is emptied when one dies while it changes it, and nobody waits for ever", function()
    local d = dictionary(4 * 1024 * 1024, "fragile")
    local large, small = value_of(("x"):rep(500000)), value_of("y")
    local keys = { key_of("large"), key_of("other") }
    local emptied, rounds = 0, 30
    for round = 1, rounds do
      set(d, "marker", round)
      local pids = {}
      for i = 1, 2 do
        pids[i] = other(function()
          C.dictionary_set(d, keys[i], large, 0, false)
          C.dictionary_set(d, keys[i], small, 0, false)
        end)
      end
      support.wait_until(function() return get(d, "large") and get(d, "other") or get(d, "marker") == nil end, 5, "work")
      kill(pids[1])
      assert.is_true(C.dictionary_is_sound(d))
      kill(pids[2])
      assert.is_true(C.dictionary_is_sound(d))
      local marker = get(d, "marker")
      if marker == nil then emptied = emptied + 1 else assert.equal(round, marker) end
      set(d, "after", "all")
      assert.equal("all", get(d, "after"))
    end
    assert.is_true(emptied > 0)
    local _, said = support.read_file(log):gsub("shared dictionary fragile: emptied, as a worker died", "")
    assert.is_true(said >= emptied, said .. " lines for " .. emptied)
  end)
end)
