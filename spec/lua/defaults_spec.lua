-- What a function that knows no way leads to: the default of the table above it.

local script = require("support.script")

local HEAD = [[local cluster = ... local nydus, h = require("nydus"), cluster.hosts
local function no() end
local function last() return h[3] end
]]

local function routes(body, commands, files)
  local s = script.new({ router = HEAD .. body, files = files })
  local out = s:routes(commands)
  s:close()
  return out
end

local function route(body, ...)
  return routes(body, { { ... } })[1]
end

describe("a function that returns nil", function()
  it("leads to the default of the table that it stands in", function()
    for body, expected in pairs({
      ["return nydus.prefix{ ['a:'] = no, default = h[2] }"] = "host b",
      ["return nydus.command{ GET = no, default = h[2] }"] = "host b",
      ["return nydus.command{ read = no, write = h[1], default = last }"] = "host c",
      ["return nydus.prefix{ ['a:'] = nydus.split{ { no, 1 } }, default = h[2] }"] = "host b",
      ["return nydus.prefix{ ['a:'] = function() return no end, default = h[2] }"] = "host b",
      ["local t = nydus.prefix{ ['a:'] = no, default = h[2] } return function() return t end"] = "host b",
    }) do
      assert.equal(expected, route(body, "GET", "a:1"), body)
    end
  end)

  it("leads to the nearest default, and on to the next one when that is a function that returns nil", function()
    for inner, expected in pairs({
      ["{ GET = no, default = h[2] }"] = "host b",
      ["{ GET = no }"] = "host a",
      ["{ GET = no, default = no }"] = "host a",
      ["{ SET = h[2], default = no }"] = "host a",
    }) do
      local body = "return nydus.prefix{ ['a:'] = nydus.command" .. inner .. ", default = h[1] }"
      assert.equal(expected, route(body, "GET", "a:1"), body)
    end
  end)

  it("has no route where no default is above", function()
    for _, body in ipairs({
      "return no",
      "return nydus.prefix{ ['a:'] = no }",
      "return nydus.prefix{ ['b:'] = h[1], default = no }",
      "return nydus.prefix{ ['a:'] = nydus.command{ GET = no, default = no }, default = no }",
      "local t = nydus.prefix{ ['b:'] = no, default = h[1] } return function() return h[9 - 9 + 1] == t and t or nil end",
    }) do
      assert.equal("none", route(body, "GET", "a:1"), body)
    end
  end)

  it("knows which way it was come by, when it stands in several places", function()
    local body = [[local t = nydus.command{ GET = no, default = no }
      return nydus.prefix{ ['a:'] = t, ['b:'] = nydus.prefix{ ['b:x'] = t, default = h[2] }, default = h[1] }]]
    assert.same({ "host a", "host b", "host a", "host b" },
      routes(body, { { "GET", "a:" }, { "GET", "b:x" }, { "GET", "a:" }, { "GET", "b:x" } }))
  end)

  it("does not hide what another raises or answers", function()
    local body = "return nydus.prefix{ ['a:'] = function() error('oh', 0) end, ['b:'] = function() return 7 end, " ..
      "default = h[1] }"
    assert.same({ "error ERR router: oh", "error ERR router: main.lua:4: returned a number, not a target" },
      routes(body, { { "GET", "a:" }, { "GET", "b:" } }))
  end)

  it("is asked a bounded number of times, however the tables stand in each other", function()
    local body = [[local f
      local t = nydus.prefix{ ['a:'] = function() return f end, default = function() return f end }
      local u = nydus.command{ GET = function() return f end, default = function() return f end }
      local n = 0
      f = function() n = n + 1 return n % 3 == 0 and t or n % 3 == 1 and u or nil end
      return t]]
    for _, answer in ipairs(routes(body, { { "GET", "a:" }, { "GET", "a:" }, { "GET", "b:" } })) do
      assert.is_true(answer == "none" or answer == "error ERR router: functions return functions without end", answer)
    end
  end)
end)
