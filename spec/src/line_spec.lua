-- No line of memory is written by two workers while they serve: of everything
-- that they share, each row begins and ends with a line.

local ffi = require("ffi")
local support = require("support")
local files = require("support.files")

for _, name in ipairs({ "line", "board", "tally", "crowd", "area" }) do support.header("base/" .. name .. ".h") end
local C = support.lib()
local LINE = tonumber(C.LINE_SIZE)

local function address(pointer) return tonumber(ffi.cast("uintptr_t", pointer)) end

describe("line", function()
  -- What is added to this list, or to the structs, has to have its place in this file.
  it("is looked after wherever memory is shared", function()
    local found = {}
    for _, path in ipairs(files.list("src", "%.c$")) do
      if files.read(path):find("%f[%w_]MAP_SHARED%f[^%w_]") then found[#found + 1] = path end
    end
    assert.same({ "src/base/area.c", "src/base/board.c", "src/base/crowd.c", "src/base/tally.c",
      "src/server/worker.c" --[[ only reads ]] }, found)
  end)

  it("is never shared by two rows", function()
    for _, row in ipairs({ "stats", "board_worker", "slowlog_slot", "crowd_row", "tally" }) do
      assert.equal(0, ffi.sizeof("struct " .. row) % LINE, row)
      assert.equal(0, ffi.alignof("struct " .. row) % LINE, row)
    end
  end)

  it("is never shared by a row and what is beside it", function()
    for _, field in ipairs({ "worker", "stats", "stats_base", "slowlog" }) do
      assert.equal(0, ffi.offsetof("struct board", field) % LINE, field)
    end
    assert.equal(0, ffi.offsetof("struct slowlog", "slots") % LINE)
    assert.is_true(ffi.offsetof("struct slowlog", "slots") >= LINE)
  end)

  it("is never shared by two rows of the area, nor by two things in it", function()
    local area = C.area_create()
    finally(function() C.area_destroy(area) end)
    C.area_enter(area)
    assert.equal(0, address(C.area_row(0)) % LINE)
    assert.equal(0, (address(C.area_row(1)) - address(C.area_row(0))) % LINE)
    for _, name in ipairs({ "a", "b" }) do
      local wish = ffi.new("struct area_wish", { kind = C.AREA_LIMITER, name = name, name_size = #name, size = 8 })
      local thing = C.area_find(wish, ffi.new("char[64]"), 64)
      assert.equal(0, address(C.area_memory(thing)) % LINE)
    end
  end)
end)
