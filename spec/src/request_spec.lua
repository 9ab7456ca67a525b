-- Requests by FFI: clean, each on cache lines of its own, and their memory goes back.

local ffi = require("ffi")
local support = require("support")

local C = support.lib()

ffi.cdef([[
  struct request;
  struct request *request_get(void);
  void request_put(struct request *request);
  void request_shrink(void);
  size_t tile_used(void);
]])

local LINE, REQUEST = 64, 192

local function address(request)
  return tonumber(ffi.cast("uintptr_t", request))
end

local function is_clean(request)
  local bytes = ffi.cast("const uint8_t *", request)
  for i = 0, REQUEST - 1 do
    if bytes[i] ~= 0 then return false end
  end
  return true
end

-- Fills each with rubbish, but for what request_put looks at: those that are not answered, own nothing.
local function take(count)
  local taken = {}
  for i = 1, count do
    taken[i] = C.request_get()
    assert.is_true(is_clean(taken[i]))
    assert.equal(0, address(taken[i]) % LINE)
    ffi.fill(taken[i], 64, 0xAA)
  end
  return taken
end

local function put(taken, from, step)
  for i = from, #taken, step do C.request_put(taken[i]) end
end

describe("requests", function()
  after_each(function() C.request_shrink() end)

  it("are clean and lie apart", function()
    local taken = take(1000)
    local places = {}
    for i, request in ipairs(taken) do places[i] = address(request) end
    table.sort(places)
    for i = 2, #places do assert.is_true(places[i] - places[i - 1] >= REQUEST) end
    put(taken, 1, 1)
  end)

  it("are clean again when they come back in another order", function()
    for _ = 1, 5 do
      local taken = take(700)
      put(taken, 1, 3)
      local more = take(300)
      put(taken, 2, 3)
      put(more, 1, 1)
      put(taken, 3, 3)
    end
  end)

  it("give their memory back", function()
    if support.sanitized then return end -- there each is freed at once
    local taken = take(2000)
    local peak = C.tile_used()
    put(taken, 1, 1)
    C.request_shrink()
    assert.is_true(tonumber(peak - C.tile_used()) > 0.9 * 2000 * REQUEST)
  end)

  it("keep the memory of those that are in use", function()
    local taken = take(2000)
    put(taken, 2, 2)
    C.request_shrink()
    for i = 1, #taken, 2 do
      assert.equal(0xAA, ffi.cast("const uint8_t *", taken[i])[63])
    end
    put(taken, 1, 2)
  end)
end)
