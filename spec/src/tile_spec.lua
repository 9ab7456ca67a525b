-- Tiles: 16 KB each, in place, apart, and given back to the system when free.

local support = require("support")
local ffi = require("ffi")

local C = support.lib()
support.header("base/tile.h")

local SIZE, COUNT = 16 * 1024, 200 -- more than three fields

local function anonymous() return tonumber(support.read_file("/proc/self/smaps_rollup"):match("Anonymous:%s*(%d+)")) end

describe("a tile", function()
  local taken = {}

  local function take(count)
    for _ = 1, count do
      taken[#taken + 1] = C.tile_get()
      ffi.fill(taken[#taken], SIZE, #taken % 256)
    end
  end

  local function put(count)
    for _ = 1, count do C.tile_put(table.remove(taken)) end
  end

  after_each(function()
    put(#taken)
    C.tile_trim()
  end)

  it("begins at a multiple of its size and shares nothing with another", function()
    take(COUNT)
    assert.equal(COUNT * SIZE, tonumber(C.tile_used()))
    for i, tile in ipairs(taken) do
      assert.equal(0, tonumber(ffi.cast("uintptr_t", tile) % SIZE))
      local bytes = ffi.cast("unsigned char *", tile)
      assert.same({ i % 256, i % 256 }, { bytes[0], bytes[SIZE - 1] })
    end
    put(COUNT)
    assert.equal(0, tonumber(C.tile_used()))
  end)

  it("that is free goes to whoever asks next", function()
    take(10)
    local last = taken[10]
    put(1)
    take(1)
    assert.equal(last, taken[10])
  end)

  it("that is free costs nothing after a trim, also between others that stay", function()
    take(COUNT)
    local full = anonymous()
    local kept = {}
    for i = COUNT, 1, -1 do
      local tile = table.remove(taken)
      if i % 20 == 0 then
        kept[#kept + 1] = tile
      else
        C.tile_put(tile)
      end
    end
    C.tile_trim()
    local freed = full - anonymous()
    taken = kept
    assert.is_true(freed > (COUNT - #kept - 8) * SIZE / 1024, ("%d KB of %d"):format(freed, COUNT * SIZE / 1024))
    for i, tile in ipairs(kept) do
      local bytes = ffi.cast("unsigned char *", tile)
      local value = (COUNT + 20 - 20 * i) % 256
      assert.same({ value, value }, { bytes[0], bytes[SIZE - 1] })
    end
    take(COUNT)
  end)
end)
