-- What a router script hands to the next one of its place.

local script = require("support.script")

local HEAD = "local cluster = ... local nydus = require(\"nydus\") local kept = nydus.kept\n"

-- Replies with what `show` gives after having run what stands in the key.
local function body(load, names, show)
  return HEAD .. (load or "") .. [[
    local function show(value)
      if type(value) ~= "table" then return tostring(value) end
      local out = {}
      for key, item in pairs(value) do out[#out + 1] = tostring(key) .. "=" .. show(item) end
      table.sort(out)
      return "{" .. table.concat(out, ",") .. "}"
    end
    return { route = function(req)
      if req.write then assert(load("local kept, nydus, cluster = ... " .. req:arg(2)))(kept, nydus, cluster) end
      return nydus.reply(show(]] .. (show or "kept.x") .. [[))
    end, keep = ]] .. (names or "{ 'x' }") .. " }"
end

local function text(s, ...)
  return (s:route(...):gsub("^reply %$%d+\r\n", ""):gsub("\r\n$", ""))
end

-- What the second of two has at load and when it takes over, the first one having run `code`.
local function heir(code, between, options)
  options = options or {}
  local one = script.new({ router = options.first or body() })
  one:begin()
  text(one, "SET", "k", code)
  local two = script.new({ router = options.second or body(), from = one })
  local loaded = text(two, "GET", "k")
  if between then text(one, "SET", "k", between) end
  one:leave()
  two:inherit(one)
  two:begin()
  local last = text(two, "GET", "k")
  one:close()
  two:close()
  return last, loaded
end

describe("what a router script keeps", function()
  it("is of plain values", function()
    for code, expected in pairs({
      ["kept.x = 1.5"] = "1.5",
      ["kept.x = -1/0"] = "-inf",
      ["kept.x = 'text'"] = "text",
      ["kept.x = ('x'):rep(100000)"] = ("x"):rep(100000),
      ["kept.x = 'a\\0\\r\\n\\255'"] = "a\0\r\n\255",
      ["kept.x = ''"] = "",
      ["kept.x = true"] = "true",
      ["kept.x = false"] = "false",
      ["kept.x = nil"] = "nil",
      ["kept.x = {}"] = "{}",
      ["kept.x = { 1, 2, { 3, a = 'b', [true] = {} }, [1.5] = false }"] = "{1.5=false,1=1,2=2,3={1=3,a=b,true={}}}",
      ["kept.y = 1"] = "nil",
    }) do
      local last, loaded = heir(code)
      assert.equal(expected, last)
      assert.equal(expected, loaded)
    end
  end)

  it("leaves out what is no plain value, and what is too deep or too large", function()
    for _, code in ipairs({ "kept.x = print", "kept.x = { 1, { function() end } }", "kept.x = cluster",
      "kept.x = { [cluster.hosts[1]] = 1 }", "kept.x = setmetatable({}, {})", "kept.x = nydus", "kept.x = kept",
      "kept.x = {} kept.x.x = kept.x", "local t = {} kept.x = t for i = 1, 16 do t.t = {} t = t.t end",
      "local t = {} for i = 1, 20 do t[i] = ('x'):rep(60000) end kept.x = t",
      "local t = {} for i = 1, 200000 do t[i] = i end kept.x = t" }) do
      assert.equal("nil", (heir(code)), code)
    end
    assert.equal("{t={t={}}}", (heir("local t = {} kept.x = t for i = 1, 2 do t.t = {} t = t.t end")))
    assert.matches("^{t={t=", (heir("local t = {} kept.x = t for i = 1, 15 do t.t = {} t = t.t end")))
    local both = { first = body(nil, "{ 'bad', 'x' }"), second = body() }
    assert.equal("1", (heir("kept.bad = print kept.x = 1", nil, both)))
  end)

  it("is what it was last", function()
    local last, loaded = heir("kept.x = 1", "kept.x = 2")
    assert.same({ "2", "1" }, { last, loaded })
    assert.equal("nil", (heir("kept.x = 1", "kept.x = nil")))
    assert.equal("1", (heir("kept.y = 1", "kept.x = 1")))
  end)

  it("stays as the next one made it at load, where it has not changed since", function()
    local options = { second = body("kept.x = (kept.x or 0) + 1 ") }
    assert.equal("2", (heir("kept.x = 1", nil, options)))
    assert.equal("5", (heir("kept.x = 1", "kept.x = 5", options)))
    options.second = body("kept.x.n = kept.x.n + 1 ")
    assert.equal("{l={1=1},n=2}", (heir("kept.x = { n = 1, l = { 1 } }", nil, options)))
    assert.equal("{l={1=2},n=1}", (heir("kept.x = { n = 1, l = { 1 } }", "kept.x.l[1] = 2", options)))
  end)

  it("is put into the tables that the script took at load", function()
    local options = { second = body("local list = kept.x or {} kept.x = list ", nil, "list") }
    assert.equal("{1=1,2=b,t={2=2}}",
      (heir("kept.x = { 1, 2, t = { 1, 2 }, gone = {} }", "kept.x = { 1, 'b', t = { [2] = 2 } }", options)))
    local inner = { second = body("local inner = kept.x.t ", nil, "inner") }
    assert.equal("{1=2}", (heir("kept.x = { t = { 1 } }", "kept.x.t[1] = 2", inner)))
  end)

  it("is of the script of the same file and cluster", function()
    local one = script.new({ router = body() })
    one:begin()
    text(one, "SET", "k", "kept.x = 1")
    local config = 'return { listen = ":1", router = "other.lua", hosts = { "127.0.0.1:1" } }'
    local two = script.new({ config = config, files = { ["other.lua"] = body() }, from = one })
    one:leave()
    two:inherit(one)
    assert.equal("nil", text(two, "GET", "k"))
    one:close()
    two:close()
  end)

  it("may be read and written at any time, and is there without a hook", function()
    local s = script.new({ router = HEAD .. [[nydus.kept.n = 1
      return function(req) nydus.kept.n = nydus.kept.n + 1 return nydus.reply(kept.n) end]] })
    assert.equal("reply :2\r\n", s:route("GET", "k"))
    s:close()
  end)

  it("is named by a list", function()
    for hook, expected in pairs({
      ["'x'"] = "keep: a list of names is expected, got a string",
      ["true"] = "keep: a list of names is expected, got a boolean",
      ["{ x = true }"] = "keep: a list of names is expected, got a table with the key x",
      ["{ [2] = 'x' }"] = "keep: a list of names is expected, got a table with the key 2",
      ["{ 'x', 1 }"] = "keep: a list of names is expected, item 2 is a number",
      ["(function() local t = {} for i = 1, 101 do t[i] = 'x' end return t end)()"] = "keep: more than 100 names",
    }) do
      assert.equal("main.lua: " .. expected, script.refused({ router = body(nil, hook) }))
    end
    assert.equal("main.lua: stop: a function is expected, got a table",
      script.refused({ router = HEAD .. "return { route = cluster.hosts[1], stop = {} }" }))
  end)
end)
