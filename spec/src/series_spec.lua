-- Series and the area they lie in, by FFI; names of other specs of this process may be there.

local ffi = require("ffi")
local support = require("support")
local sys = require("support.sys")

support.header("base/series.h")
support.header("base/log.h")
local C = support.lib()

local text = ffi.new("char[256]")

local function find(kind, name, ends)
  local wish = ffi.new("struct series_wish", { kind = kind, name = name, name_size = #name })
  local place, bounds = ffi.new("uint32_t[1]"), ends and ffi.new("struct series_bounds", { count = #ends, ends = ends })
  if bounds then wish.bounds = bounds end
  if C.series_find(wish, place, text, 256) then return place[0] end
  return nil, ffi.string(text)
end

local function walk()
  local index, series, list = ffi.new("uint32_t[1]"), ffi.new("struct series"), {}
  while C.series_next(index, series) do
    list[#list + 1] = { kind = tonumber(series.kind), name = ffi.string(series.name), place = series.place }
  end
  return list
end

local function histogram(place)
  local sum = ffi.new("struct series_histogram")
  C.series_histogram(place, sum)
  return sum
end

describe("series", function()
  setup(function() C.log_set_level(C.LOG_ERROR) end)
  teardown(function() C.log_set_level(C.LOG_INFO) end)

  it("have places, by name and kind", function()
    local a, b, c = find(C.AREA_COUNTER, "spec_a"), find(C.AREA_GAUGE, "spec_b"), find(C.AREA_HISTOGRAM, "spec_c")
    assert.equal(a + 1, b)
    assert.equal(a, find(C.AREA_COUNTER, "spec_a"))
    assert.equal("there is a counter of that name", select(2, find(C.AREA_GAUGE, "spec_a")))
    assert.equal("there is a gauge of that name", select(2, find(C.AREA_HISTOGRAM, "spec_b")))
    assert.equal(c + 1, find(C.AREA_HISTOGRAM, "spec_d"))
    assert.equal("a name has 1 to 127 bytes", select(2, find(C.AREA_COUNTER, "")))
    local list = walk()
    assert.same({ kind = C.AREA_GAUGE, name = "spec_b", place = b }, list[#list - 2])
    C.series_own()[a] = 7
    assert.equal(7, C.series_sum(a))
    assert.equal(0, C.series_sum(b))
  end)

  it("forget the gauges of a worker that has left", function()
    local counter, gauge = find(C.AREA_COUNTER, "spec_left_c"), find(C.AREA_GAUGE, "spec_left_g")
    C.series_own()[counter], C.series_own()[gauge] = 5, 5
    C.series_settle(0)
    assert.same({ 5, 0 }, { C.series_sum(counter), C.series_sum(gauge) })
  end)

  it("put every value into the bucket that it belongs to", function()
    local place, values = find(C.AREA_HISTOGRAM, "spec_buckets"), 0
    local before = histogram(place)
    for exponent = -35, 35 do
      for _, factor in ipairs({ 1, 1.1, 1.25, 1.5, 1.75, 1.9999 }) do
        local value = factor * 2 ^ exponent
        C.series_observe(place, value)
        values = values + 1
        local after = histogram(place)
        for bucket = 0, C.SERIES_BUCKETS - 1 do
          if after.at[bucket] ~= before.at[bucket] then
            if bucket < C.SERIES_BUCKETS - 1 then assert.is_true(value < C.series_bucket_end(after, bucket)) end
            if bucket > 0 then assert.is_true(value >= C.series_bucket_end(after, bucket - 1)) end
          end
        end
        before = after
      end
    end
    assert.equal(values, tonumber(C.series_count(before)))
  end)

  it("know quantiles within an eighth", function()
    local place = find(C.AREA_HISTOGRAM, "spec_quantiles")
    for i = 1, 10000 do C.series_observe(place, i * 1e-5) end
    local sum = histogram(place)
    for _, part in ipairs({ 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999 }) do
      assert.near(1, C.series_quantile(sum, part) / (part * 0.1), 0.125)
    end
    assert.equal(0, C.series_quantile(histogram(find(C.AREA_HISTOGRAM, "spec_empty")), 0.5))
  end)

  it("have the buckets that are asked for first", function()
    local ends = { -1, 0, 0.1, 0.5, 1, 10 }
    local place = find(C.AREA_HISTOGRAM, "spec_bounds", ends)
    local expected = { 2, 2, 3, 1, 2, 1, 2 }
    for _, value in ipairs({ -5, -1, -0.5, 0, 0.05, 0.1, 0.01, 0.2, 0.6, 1, 3, 11, 1e300 }) do C.series_observe(place, value) end
    assert.equal(place, find(C.AREA_HISTOGRAM, "spec_bounds", { 1, 2 }))
    local sum, got = histogram(place), {}
    for i = 1, 7 do got[i] = tonumber(sum.at[i - 1]) end
    assert.same(expected, got)
    for i, last in ipairs(ends) do assert.equal(last, C.series_bucket_end(sum, i - 1)) end
    assert.equal(math.huge, C.series_bucket_end(sum, 6))
    assert.equal(-1, C.series_quantile(sum, 0))
    assert.near(0.0333, C.series_quantile(sum, 5 / 13), 0.001)
    assert.equal(10, C.series_quantile(sum, 1))
  end)

  it("are there for others, when who makes them is killed", function()
    for round = 1, 10 do
      local pid = ffi.C.fork()
      if pid == 0 then
        ffi.C.prctl(1, ffi.cast("long", 9)) -- it ends with us
        for i = 1, 40 do pcall(find, C.AREA_GAUGE, ("spec_killed_%d_%d"):format(round, i)) end
        while true do find(C.AREA_GAUGE, "spec_b") end
      end
      local first = ("spec_killed_%d_1"):format(round)
      support.wait_until(function() return walk()[1] and find(C.AREA_GAUGE, first) end, 5, "the other process")
      sys.kill(pid, "KILL")
      support.wait_until(function() return sys.reap(pid) end, 5, "its end")
    end
    local seen = {}
    for _, series in ipairs(walk()) do
      local place = (series.kind == C.AREA_HISTOGRAM and "h" or "n") .. series.place
      assert.is_nil(seen[place])
      seen[place] = true
    end
  end)

  it("end at a bound", function()
    local problem
    for i = 1, 1030 do
      local place, message = find(C.AREA_COUNTER, "spec_many_" .. i)
      assert.is_true(not place or place < 1024)
      problem = message or problem
    end
    assert.equal("there are 1024 already, which stay until the server ends", problem)
    for i = 1, 70 do problem = select(2, find(C.AREA_HISTOGRAM, "spec_many_h" .. i)) end
    assert.equal("there are 64 already, which stay until the server ends", problem)
    assert.is_number(find(C.AREA_GAUGE, "spec_b"))
  end)
end)
