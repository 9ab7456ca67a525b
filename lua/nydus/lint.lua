-- SPDX-License-Identifier: Apache-2.0
-- What makes a function that decides slow, told from its bytecode: for --check,
-- never in a worker.
--
--   lint.notes(functions)   a list of "routers/x.lua:12: note: …", by file and line, for the functions
--                           and those of the script that they call by a local name
--
-- The costs are those of one request in a batch of 32, measured with LuaJIT 2.1.
-- It looks at instructions one after the other and follows no branch: what it
-- says is a hint, not a proof.
local bit = require("bit")
local util = require("jit.util")

local M = {}

local NOTES = {
  closure = "a closure is made per request: it keeps LuaJIT from compiling the loop (about 2 µs more for every " ..
    "request, also for those that do not come here); make the function at load",
  table = "a table is made per request (about 50 ns, and garbage); make it at load, or keep one and fill it",
  loop = "%s() per request (about 100 ns for four items); look up by key, or write for i = 1, n do",
  pattern = "%s() per request is not compiled (about 400 ns); req:prefix, req:upto, nydus.prefix and find with " ..
    "plain text are",
  format = "string.format() makes a string per request (about 60 ns, and garbage)",
  slow = "%s() per request is not compiled (100 ns and more)",
  load = "%s() per request compiles source code (5 µs and more); do that at load",
  tail = "a function of the Lua library is called in tail position, where older LuaJITs do not compile it and an " ..
    "error loses its line; write: local x = f(…) return x",
}

-- Library functions, by the name that notes call them, and their notes.
local FUNCTIONS = {
  ["pairs"] = "loop", ["ipairs"] = "loop",
  ["string.match"] = "pattern", ["string.gmatch"] = "pattern", ["string.gsub"] = "pattern",
  ["string.find"] = "find",
  ["string.format"] = "format",
  ["table.concat"] = "slow", ["table.sort"] = "slow", ["os.time"] = "slow", ["os.date"] = "slow",
  ["os.clock"] = "slow", ["os.getenv"] = "slow", ["unpack"] = "slow",
  ["load"] = "load", ["loadstring"] = "load",
}

-- What strings can be asked to do: their metatable is not followed.
local METHODS = { match = "string.match", gmatch = "string.gmatch", gsub = "string.gsub", find = "string.find",
  format = "string.format" }

-- Instructions ----------------------------------------------------------------

local function fields(instruction)
  local function bits(at, count)
    return bit.band(bit.rshift(instruction, at), 2 ^ count - 1)
  end
  return bits(0, 8), bits(8, 8), bits(16, 8), bits(16, 16)
end

-- The numbers of opcodes change with LuaJIT's version: each is that of an instruction in a text.
local SAMPLES = {
  FNEW = { "return function() end", 1 },
  TNEW = { "return {}", 1 },
  TDUP = { "return { 1 }", 1 },
  GGET = { "return x", 1 },
  KSTR = { "return 'x'", 1 },
  TGETS = { "local a return a.b", 2 },
  MOV = { "local a local b = a return b", 2 },
  CALL = { "local a a()", 3 },
  CALLT = { "local a return a()", 3 },
  CALLM = { "local a a(...)", 4 },
  CALLMT = { "local a return a(...)", 4 },
}

local function opcodes()
  local names = {}
  for name, sample in pairs(SAMPLES) do
    names[(fields(util.funcbc(loadstring(sample[1]), sample[2])))] = name
  end
  local reader = loadstring("local a = ... return function() return a end")(1)
  names[(fields(util.funcbc(reader, 1)))] = "UGET"
  return names
end

-- Values that registers hold as far as they are known -------------------------

local UNKNOWN = {}

local function constant(fn, index)
  return util.funck(fn, -index - 1)
end

local function global(fn, name)
  local value = rawget(getfenv(fn), name)
  return value == nil and UNKNOWN or value
end

-- A field of a table of the library; of anything else only its name is known.
local function field(base, name)
  if type(base) == "table" and base ~= UNKNOWN and base.method == nil then
    local value = rawget(base, name)
    return value == nil and UNKNOWN or value
  end
  return { method = name }
end

-- The library's functions by value, as a script of this environment has them.
local function library(env)
  local names = {}
  for name in pairs(FUNCTIONS) do
    local value = env
    for part in name:gmatch("%a+") do
      value = type(value) == "table" and rawget(value, part) or nil -- a script may change its own
    end
    if value then
      names[value] = name
    end
  end
  return names
end

local function upvalue(fn, index)
  local _, value = debug.getupvalue(fn, index + 1)
  return value == nil and UNKNOWN or value
end

-- Findings ----------------------------------------------------------------------

local scanner = {}
scanner.__index = scanner

local function is_script(fn)
  return type(fn) == "function" and debug.getinfo(fn, "S").what ~= "C" and getfenv(fn) ~= _G
end

function scanner:note(pc, kind, name)
  local info = util.funcinfo(self.fn, pc)
  local text = ("%s:%d: note: %s"):format(debug.getinfo(self.fn, "S").short_src, info.currentline,
    NOTES[kind]:format(name))
  if not self.seen[text] then
    self.seen[text] = true
    self.found[#self.found + 1] = { file = debug.getinfo(self.fn, "S").short_src, line = info.currentline, text = text }
  end
end

-- Has a constant argument behind the function characters that make it a pattern?
function scanner:has_pattern(base)
  for i = base + 2, base + 3 do
    local value = self.registers[i]
    if type(value) == "string" and value:find("[%^%$%*%+%?%.%(%[%%%-]") then
      return true
    end
  end
  return false
end

function scanner:call(pc, base, is_tail)
  local callee = self.registers[base]
  local name = self.names[callee]
  if type(callee) == "table" then
    name = METHODS[callee.method]
  end
  local kind = FUNCTIONS[name]
  if kind == "find" then
    kind = self:has_pattern(base) and "pattern" or nil
  end
  if kind then
    self:note(pc, kind, name)
  elseif is_tail and type(callee) == "function" and debug.getinfo(callee, "S").what == "C" then
    self:note(pc, "tail")
  elseif is_script(callee) then
    self.queue[#self.queue + 1] = callee
  end
end

local STEPS = {}

function STEPS.FNEW(self, pc)
  self:note(pc, "closure")
end

function STEPS.TNEW(self, pc)
  self:note(pc, "table")
end
STEPS.TDUP = STEPS.TNEW

function STEPS.KSTR(self, _, a, _, d)
  self.registers[a] = constant(self.fn, d)
end

function STEPS.GGET(self, _, a, _, d)
  self.registers[a] = global(self.fn, constant(self.fn, d))
end

function STEPS.UGET(self, _, a, _, d)
  self.registers[a] = upvalue(self.fn, d)
end

function STEPS.MOV(self, _, a, _, d)
  self.registers[a] = self.registers[d]
end

function STEPS.TGETS(self, _, a, c, _, instruction)
  self.registers[a] = field(self.registers[bit.rshift(instruction, 24)], constant(self.fn, c))
end

function STEPS.CALL(self, pc, a)
  self:call(pc, a, false)
  self.registers[a] = UNKNOWN
end
STEPS.CALLM = STEPS.CALL

function STEPS.CALLT(self, pc, a)
  self:call(pc, a, true)
end
STEPS.CALLMT = STEPS.CALLT

function scanner:scan(fn)
  self.fn, self.registers, self.names = fn, {}, library(getfenv(fn))
  for pc = 1, util.funcinfo(fn).bytecodes - 1 do
    local instruction = util.funcbc(fn, pc)
    local op, a, c, d = fields(instruction)
    local step = STEPS[self.opcodes[op]]
    if step then
      step(self, pc, a, c, d, instruction)
    end
  end
end


function M.notes(functions)
  local self = setmetatable({ opcodes = opcodes(), seen = {}, found = {}, queue = {} }, scanner)
  for i, fn in ipairs(functions) do
    self.queue[i] = fn
  end
  local scanned, next = {}, 1
  while self.queue[next] do
    local fn = self.queue[next]
    next = next + 1
    if not scanned[fn] and is_script(fn) then
      scanned[fn] = true
      self:scan(fn)
    end
  end
  table.sort(self.found, function(a, b)
    if a.file ~= b.file or a.line ~= b.line then
      return a.file < b.file or a.file == b.file and a.line < b.line
    end
    return a.text < b.text
  end)
  local texts = {}
  for i, found in ipairs(self.found) do
    texts[i] = found.text
  end
  return texts
end

return M
