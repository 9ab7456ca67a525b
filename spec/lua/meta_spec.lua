-- lua/nydus/meta.lua tells editors all that scripts get, and nothing else.

local support = require("support")
local script = require("support.script")

-- In the script layer's state: the names in require("nydus").
local NAMES = [[
  local function upvalue(fn, name)
    for i = 1, 100 do
      local key, value = debug.getupvalue(fn, i)
      if key == name then return value end
      if not key then error("no upvalue " .. name) end
    end
  end
  local run = upvalue(require("nydus.runtime").load_router, "run")
  local module = upvalue(run, "nydus").module({})
  local names = {}
  for name in pairs(upvalue(debug.getmetatable(module).__index, "api")) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, " ")
]]

-- A word of each kind of object.
local OBJECTS = {
  Host = "cluster.hosts[1]", Cluster = "cluster", Router = "nydus.ketama(cluster)", Counter = "nydus.counter('meta_c')",
  Gauge = "nydus.gauge('meta_g')", Histogram = "nydus.histogram('meta_h')", Shared = "nydus.shared('meta_s')",
  Limiter = "nydus.limiter{ rate = 1 }", Timer = "nydus.after(1, function() end)",
}

describe("lua/nydus/meta.lua", function()
  local text = support.read_file("lua/nydus/meta.lua")

  it("is Lua, and documents every function", function()
    assert.is_truthy(loadstring(text))
    for before, name in text:gmatch("([^\n]*)\nfunction ([%w_.:]+)%(") do
      assert.is_true(before:find("^%-%-%-") ~= nil or name:find("^%u%w+[:.]%l") ~= nil, name .. " has no comment")
    end
  end)

  it("has what require(\"nydus\") gives, by its name", function()
    local s = script.new({ router = "local nydus = require('nydus') local cluster = ... return cluster.hosts[1]" })
    local known, given = {}, {}
    for name in text:gmatch("\nfunction nydus%.([%w_]+)%(") do known[name] = true end
    for name in text:match("%-%-%-@class nydus\n(.-)local nydus"):gmatch("@field ([%w_]+)") do known[name] = true end
    known.kept = nil -- of one script
    for name in s:eval(NAMES):gmatch("%S+") do given[name] = true end
    s:close()
    assert.same(given, known)
  end)

  it("has methods that are there", function()
    for class, source in pairs(OBJECTS) do
      for name in text:gmatch("\nfunction " .. class .. ":([%w_]+)%(") do
        local body = ("local cluster = ... local nydus = require('nydus') local object = %s if type(object.%s) ~= "
          .. "'function' then error('no function') end return cluster.hosts[1]"):format(source, name)
        local ok, why = pcall(function() script.new({ router = body }):close() end)
        assert.is_true(ok, class .. ":" .. name .. ": " .. tostring(why))
      end
    end
  end)
end)
