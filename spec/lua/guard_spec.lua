local guard = require("nydus.guard")

local MARK = "_\254"

-- The checks as one readable word.
local function instrument(source)
  local text, message, line = guard.instrument(source)
  if not text then return nil, message, line end
  return (text:gsub(" " .. MARK .. "%(%);", "<!>"))
end

describe("guard", function()
  describe("instrument", function()
    it("puts a check into every loop, into functions and before goto", function()
      for source, expected in pairs({
        ["while x do end"] = "while x do<!> end",
        ["repeat until x"] = "repeat<!> until x",
        ["for i = 1, 2 do end"] = "for i = 1, 2 do<!> end",
        ["for k in pairs{} do end"] = "for k in pairs{} do<!> end",
        ["do end"] = "do<!> end",
        ["local function f(a, ...) end"] = "local function f(a, ...)<!> end",
        ["function a.b:c() end"] = "function a.b:c()<!> end",
        ["return function() return function(x) end end"] = "return function()<!> return function(x)<!> end end",
        ["::a:: goto a"] = "::a:: <!>goto a",
        ["if x then goto a end ::a::"] = "if x then <!>goto a end ::a::",
        ["while (function() return 1 end)() do end"] = "while (function()<!> return 1 end)() do<!> end",
      }) do
        assert.equal(expected, instrument(source))
      end
    end)

    it("leaves strings, comments, numbers and names alone", function()
      for _, source in ipairs({
        "return 'do', \"repeat\", [[function()]], [==[ ]] do ]==]",
        "-- do\n--[[ repeat\n function() ]] --[=[ do ]] ]=]\nx = 1",
        "return 'a\\' do', \"\\\"do\", '\\\\', 'a\\\ndo'",
        "return '\\z\n   do', '\\x41do'",
        "return 1e+5, 0x1p-3, 0xDo, 1LL, 3.5e-2, .5",
        "local doit, redo, functional, repeater, t = 1, t.x, t['do']",
        "return a[b[1]], a.b, -a, #a, a..b, a--[[]]-b",
        "--",
        "--[==",
        "",
      }) do
        assert.equal(source, (instrument(source)))
      end
    end)

    it("keeps every line where it was", function()
      local source = "local a\n\nwhile a do\n  goto x\n\r\n  ::x::\nend\nreturn [[\n\n]], function()\n\nend\n"
      local _, before = source:gsub("\n", "")
      local _, after = instrument(source):gsub("\n", "")
      assert.equal(before, after)
    end)

    it("refuses names that are not ASCII, and goto as a name", function()
      for source, expected in pairs({
        ["local " .. MARK .. " = 1"] = { "unexpected byte 254; names are made of ASCII letters", 1 },
        ["\n\nlocal \195\169 = 1"] = { "unexpected byte 195; names are made of ASCII letters", 3 },
        ["a" .. MARK .. "()"] = { "unexpected byte 254; names are made of ASCII letters", 1 },
        ["local goto = 1"] = { "'goto' cannot be a name here", 1 },
        ["x = goto\ny = 1"] = { "'goto' cannot be a name here", 1 },
        ["return t.goto"] = { "'goto' cannot be a name here", 1 },
      }) do
        local text, message, line = instrument(source)
        assert.same({ nil, expected[1], expected[2] }, { text, message, line })
      end
    end)

    it("gives code that still means the same", function()
      local load_chunk = guard.loader(function() end)
      for source, expected in pairs({
        ["for i = 1, 3 do if i == 2 then goto next end local x = i ::next:: end return 7"] = 7,
        ["local n = 0 ::top:: n = n + 1 if n < 5 then goto top end return n"] = 5,
        ["local function f(a, ...) return select('#', ...) + a end return f(1, 2, 3)"] = 3,
        ["local n = 0 repeat local x = n n = n + 1 until x == 3 return n"] = 4,
        ["local t = {f = function(self) return self.x end, x = 2} return t:f()"] = 2,
        ["return (...)"] = "given",
        ["do local a = 1; (function() a = a + 1 end)() return a end"] = 2,
        ["return -- the end"] = "nothing",
      }) do
        local value = load_chunk(source, "@x.lua", { select = select })("given")
        assert.equal(expected, value == nil and "nothing" or value)
      end
    end)
  end)

  describe("loader", function()
    local count
    local load_chunk = guard.loader(function() count = count + 1 end)
    before_each(function() count = 0 end)

    it("calls the check for every turn and every function", function()
      local chunk = load_chunk("for i = 1, 10 do end local function f() end f() f()", "@x.lua", {})
      assert.is_true(count > 1, "a long text cannot be stopped")
      count = 0
      chunk()
      assert.equal(1 + 10 + 2, count)
    end)

    it("gives Lua's own messages, with the file's lines", function()
      for source, expected in pairs({
        ["x = = 1"] = "x.lua:1: unexpected symbol near '='",
        ["\nend"] = "x.lua:2: '<eof>' expected near 'end'",
        ["end while true do"] = "x.lua:1: '<eof>' expected near 'end'",
        ["\27LJ\2"] = "x.lua: bytecode is not allowed",
        ["\n goto nowhere"] = "x.lua:2: undefined label 'nowhere'",
        ["\n\nlocal \255 = 1"] = "x.lua:3: unexpected byte 255; names are made of ASCII letters",
        [("x"):rep(guard.MAX_SOURCE + 1)] = "x.lua: larger than 4 MB",
      }) do
        assert.same({ nil, expected }, { load_chunk(source, "@x.lua", {}) })
      end
    end)

    it("names the line of an error in the middle of a script", function()
      local ok, message = pcall(load_chunk("\n\nfor i = 1, 1 do\nlocal x = nil + 1\nend", "@x.lua", {}))
      assert.is_false(ok)
      assert.equal("x.lua:4: attempt to perform arithmetic on a nil value", message)
    end)

    it("loads the program's own Lua modules unchanged in meaning", function()
      local support = require("support")
      for _, path in ipairs(support.list_files("lua", "%.lua$")) do
        assert.is_function((load_chunk(support.read_file(path), "@" .. path, {})), path)
      end
    end)
  end)
end)
