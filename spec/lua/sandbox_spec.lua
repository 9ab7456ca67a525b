-- SPDX-License-Identifier: Apache-2.0
local bundle = require("nydus.bundle")
local sandbox = require("nydus.sandbox")

local function box_of(files, options)
  options = options or {}
  options.bundle = bundle.of(files)
  return sandbox.new(options)
end

-- Runs a text as config.lua; what pcall returns.
local function run(text, files, options)
  files = files or {}
  files["config.lua"] = text
  local chunk, message = box_of(files, options):load("config.lua")
  if not chunk then
    return false, message
  end
  return pcall(chunk)
end

local function result(...)
  local ok, value = run(...)
  assert(ok, value)
  return value
end

local function failure(...)
  local ok, message = run(...)
  assert.is_false(ok)
  return message
end

describe("sandbox", function()
  describe("env", function()
    it("offers what a configuration computes with", function()
      local good = {
        { 'return ("x"):rep(3) .. string.upper("y")', "xxxY" },
        { "return table.concat({ 1, 2 }, '-')", "1-2" },
        { "return math.max(1, 2) + bit.band(6, 3)", 4 },
        { "return type(os.time()) .. type(os.clock()) .. type(os.date())", "numbernumberstring" },
        { "return os.getenv('HOME') == nil or type(os.getenv('HOME')) == 'string'", true },
        { "return os.getenv('NYDUS_SPEC_NOT_SET') == nil", true },
        { "local t = setmetatable({}, { __index = function(_, k) return k end }) return t.x", "x" },
        { "return getmetatable(setmetatable({}, { 7 }))[1]", 7 },
        { "return select('#', pcall(error, 'x')) .. tostring(xpcall(error, function() end))", "2false" },
        { "return load('return ...')(5)", 5 },
        { "return loadstring('return 6')()", 6 },
        { "local i = 0 return load(function() i = i + 1 return ({ 'return ', '7' })[i] end)()", 7 },
        { "return load('return x', 'n', 't', { x = 8 })()", 8 },
        { "return unpack({ 9 })", 9 },
        { "return _VERSION", "Lua 5.1" },
      }
      for _, case in ipairs(good) do
        assert.equal(case[2], result(case[1]), case[1])
      end
    end)

    it("has nothing that reaches files, programs, bytecode or the real globals", function()
      local names = {
        "io", "ffi", "debug", "package", "jit", "_G", "dofile", "loadfile", "getfenv", "setfenv", "module",
        "newproxy", "collectgarbage", "gcinfo", "coroutine", "arg",
      }
      for _, name in ipairs(names) do
        assert.equal("config.lua:1: undefined variable '" .. name .. "'", failure("return " .. name))
      end
      for _, name in ipairs({ "execute", "exit", "remove", "rename", "tmpname", "setlocale" }) do
        assert.is_nil(result("return os." .. name), name)
      end
      assert.is_nil(result("return string.dump"))
    end)

    it("keeps the metatable of strings and of the environment out of reach", function()
      assert.is_nil(result("return getmetatable('')"))
      assert.is_nil(result("return getmetatable(1)"))
      failure("setmetatable('', {})")
      assert.truthy(failure("return load('return _ENV')()"):find("undefined variable '_ENV'", 1, true))
    end)

    it("has its own copy of each library", function()
      local one = box_of({ ["a.lua"] = "string.format = 1; table.insert = 2; math.pi = 3; os.time = 4" })
      one:load("a.lua")()
      assert.equal("function", type(string.format))
      assert.equal("function", type(table.insert))
      assert.equal("function", type(os.time))
      assert.equal("function", type(box_of({}).env.string.format))
    end)

    it("raises at an undefined variable and names it", function()
      assert.equal("config.lua:2: undefined variable 'prot'", failure("\nreturn prot"))
    end)

    it("raises at an assignment to a global and names it", function()
      assert.equal("config.lua:1: assignment to the undeclared variable 'x', write: local x", failure("x = 1"))
      assert.equal("config.lua:1: assignment to the undeclared variable 'f', write: local f",
        failure("function f() end"))
    end)

    it("sends print to the log, joined by tabs", function()
      local lines = {}
      run("print('a', nil, 1) print()", {}, { log = function(text) lines[#lines + 1] = text end })
      assert.same({ "a\tnil\t1", "" }, lines)
    end)

    it("takes more globals", function()
      assert.equal(5, result("return five", {}, { globals = { five = 5 } }))
    end)
  end)

  describe("load", function()
    it("names the file and line of a syntax error", function()
      assert.equal("config.lua:2: '}' expected (to close '{' at line 1) near 'b'", failure("return {\na b =\n}"))
    end)

    it("refuses bytecode in files and in strings", function()
      local code = string.dump(function() return 1 end)
      assert.equal("config.lua: bytecode is not allowed", failure(code))
      local box = box_of({})
      assert.same({ nil, "bytecode is not allowed" }, { box.env.load(code) })
      assert.same({ nil, "bytecode is not allowed" }, { box.env.loadstring(code) })
      assert.same({ nil, "bytecode is not allowed" }, { box.env.load("return 1", "x", "b") })
      local given
      assert.same({ nil, "bytecode is not allowed" }, { box.env.load(function()
        local piece = not given and code or nil
        given = true
        return piece
      end) })
    end)

    it("skips a byte order mark and a #! line", function()
      assert.equal(1, result("\239\187\191return 1"))
      assert.equal("config.lua:2: x", failure("#!/usr/bin/nydus\nerror('x')"))
    end)

    it("says what is wrong with a file that cannot be read", function()
      local chunk, message = box_of({}):load("./config.lua")
      assert.is_nil(chunk)
      assert.equal("config.lua: not among the files that were read at load", message)
    end)

    it("compiles everything through the loader hook, with the environment", function()
      local seen = {}
      local function hook(source, chunkname, env)
        seen[#seen + 1] = chunkname
        return load(source, chunkname, "t", env)
      end
      local files = { ["lib.lua"] = "return load('return 3', '=text')()" }
      assert.equal(3, result("return require('lib')", files, { load = hook }))
      assert.same({ "@config.lua", "@lib.lua", "=text" }, seen)
    end)

    it("raises at what load cannot take", function()
      for _, text in ipairs({ "load(1)", "load('', 5)", "load('', 'x', 't', 5)",
        "load(function() return 5 end)", "load()" }) do
        assert.truthy(failure(text):find("^config.lua:1: "), text)
      end
    end)
  end)

  describe("require", function()
    it("finds name.lua beside config.lua, dots as slashes, each once", function()
      local files = {
        ["etc/lib.lua"] = "return { n = 1 }",
        ["etc/a/b.lua"] = "require('lib').n = require('lib').n + 1 return ...",
      }
      local box = box_of(files, { folder = "etc/" })
      assert.equal("a.b", box:require("a.b"))
      assert.equal("a.b", box:require("a.b"))
      assert.equal(2, box:require("lib").n)
      assert.equal(box:require("lib"), box:require("lib"))
    end)

    it("returns true for a module that returns nothing, and keeps false", function()
      local box = box_of({ ["none.lua"] = "", ["no.lua"] = "return false" })
      assert.is_true(box:require("none"))
      assert.is_false(box:require("no"))
    end)

    it("gives modules the same strict environment", function()
      assert.equal("lib.lua:1: undefined variable 'io'", failure("require('lib')", { ["lib.lua"] = "return io" }))
    end)

    it("names the circle when modules require each other", function()
      local files = { ["a.lua"] = "require('b')", ["b.lua"] = "return require('c')", ["c.lua"] = "require('b')" }
      assert.equal("c.lua:1: modules require each other in a circle: b -> c -> b", failure("require('a')", files))
    end)

    it("tries a module again after it failed", function()
      local text = "local ok, why = pcall(require, 'bad') local again, same = pcall(require, 'bad') "
        .. "return tostring(ok) .. tostring(again) .. tostring(why == same) .. why"
      assert.equal("falsefalsetruebad.lua:1: boom", result(text, { ["bad.lua"] = "error('boom')" }))
    end)

    it("says that a module is not there", function()
      assert.equal("config.lua:1: module 'x.y' not found (x/y.lua: not among the files that were read at load)",
        failure("require('x.y')"))
    end)

    it("passes on the syntax error of a module", function()
      assert.truthy(failure("require('bad')", { ["bad.lua"] = "\nreturn =" }):find("^bad.lua:2: unexpected symbol"))
    end)

    it("refuses names that leave the folder", function()
      for _, name in ipairs({ "../x", "..x", "a..b", "/etc/x", "a/b", "", ".a", "a.", "a\\0b" }) do
        local message = failure('require("' .. name .. '")')
        assert.truthy(message:find("expected a name like", 1, true), name)
      end
      assert.truthy(failure("require(5)"):find("expected a name like", 1, true))
    end)

    it("knows the modules it was given, and no others of the program", function()
      assert.equal(1, result("return require('nydus').one", {}, { modules = { nydus = { one = 1 } } }))
      for _, name in ipairs({ "io", "ffi", "debug", "string", "nydus.config", "jit.util" }) do
        assert.truthy(failure("require('" .. name .. "')"):find("not found", 1, true), name)
      end
    end)
  end)

  describe("new", function()
    it("raises without a bundle", function()
      assert.has_error(function() sandbox.new({}) end, "sandbox.new: expected options with a bundle")
    end)
  end)
end)
