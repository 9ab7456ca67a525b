-- SPDX-License-Identifier: Apache-2.0
-- Loads the source of scripts so that every loop and every function looks at
-- the stop flag, compiled or not. It guards against accidents, not attackers.
--
--   guard.instrument(source, check)    the source with the checks in it, or nil, message; calls check() often
--   guard.loader(check)                load(source, chunkname, env) -> function or nil, message;
--                                      check() is called by every loop and function
--   guard.check(state)                 such a check over the struct nydus_guard of C
--   guard.MAX_SOURCE                   bytes that are accepted
--
-- A check is put behind `do`, `repeat` and a function's parameters, and before
-- `goto`; line numbers stay. The name it is called by holds a byte that no
-- name in a script may hold, so that no script reaches it.
local M = {}

M.MAX_SOURCE = 4 * 1024 * 1024

local NAME = "_\254"
local CHECK = " " .. NAME .. "();"

local find, sub, byte = string.find, string.sub, string.byte

-- Where a long bracket that may open at `at` ends, or nil when none opens.
local function long_bracket(source, at)
  local _, open_end, level = find(source, "^%[(=*)%[", at)
  if not open_end then
    return nil
  end
  local _, close = find(source, "]" .. level .. "]", open_end + 1, true)
  return close or #source
end

-- Where the string whose quote is at `at` ends. A backslash takes the next
-- byte with it, of a line break both, and \z the blanks that follow.
local function quoted(source, at)
  local quote = sub(source, at, at)
  local pattern = "[\\" .. quote .. "\r\n]"
  local pos = at + 1
  while true do
    pos = find(source, pattern, pos)
    if not pos then
      return #source
    elseif sub(source, pos, pos) ~= "\\" then
      return pos
    elseif sub(source, pos + 1, pos + 1) == "z" then
      pos = select(2, find(source, "^%s*", pos + 2)) + 1
    elseif find(source, "^\r\n", pos + 1) or find(source, "^\n\r", pos + 1) then
      pos = pos + 3
    else
      pos = pos + 2
    end
  end
end

local function comment(source, at)
  local close = long_bracket(source, at + 2)
  return close or (find(source, "[\r\n]", at + 2) or #source + 1) - 1
end

-- As LuaJIT reads numbers: letters, digits, dots, and a sign behind an exponent.
local function number(source, at)
  local exponent = find(source, "^0[xX]", at) and "[pP]" or "[eE]"
  local pos = at
  while true do
    local _, stop = find(source, "^[%w_.]+", pos)
    if not stop then
      return pos - 1
    end
    pos = stop + 1
    if not (find(source, "^" .. exponent, stop) and find(source, "^[+-]", pos)) then
      return stop
    end
    pos = pos + 1
  end
end

-- After these a new statement cannot begin, so a `goto` there is a name.
local OPERATORS = {}
for mark in ("= ( { [ , + - * / % ^ # < > ~ . :"):gmatch("%S") do
  OPERATORS[mark] = true
end
for word in ("and or not return until if while elseif in"):gmatch("%a+") do
  OPERATORS[word] = true
end

local function line_of(source, at)
  local _, lines = sub(source, 1, at - 1):gsub("\r\n?", "\n"):gsub("\n", "\n")
  return lines + 1
end

local methods = {}
methods.__index = methods

function methods:insert(upto)
  self.out[#self.out + 1] = sub(self.source, self.copied, upto)
  self.out[#self.out + 1] = CHECK
  self.copied = upto + 1
end

function methods:fail(at, message)
  self.problem, self.problem_line = message, line_of(self.source, at)
  return #self.source
end

function methods:jump(at, stop)
  if OPERATORS[self.last] or not find(self.source, "^%s+[%a_]", stop + 1) then
    return self:fail(at, "'goto' cannot be a name here")
  end
  self:insert(at - 1)
  return stop
end

function methods:word(at)
  local _, stop, word = find(self.source, "^([%a_][%w_]*)", at)
  if word == "do" or word == "repeat" then
    self:insert(stop)
  elseif word == "function" then
    self.parameters = true
  elseif word == "goto" then
    stop = self:jump(at, stop)
  end
  self.last = word
  return stop
end

function methods:mark(at, char)
  if char == ":" and find(self.source, "^::", at) then
    self.last = "::"
    return at + 1
  end
  self.last = char
  if char == ")" and self.parameters then
    self.parameters = false
    self:insert(at)
  end
  return at
end

-- Where the token at `at` ends.
function methods:token(at)
  local source, char = self.source, sub(self.source, at, at)
  if find(char, "[%a_]") then
    return self:word(at)
  elseif find(char, "%d") or find(source, "^%.%d", at) then
    self.last = "0"
    return number(source, at)
  elseif char == '"' or char == "'" then
    self.last = "''"
    return quoted(source, at)
  elseif find(source, "^%-%-", at) then
    return comment(source, at)
  elseif byte(char) >= 128 then
    return self:fail(at, "unexpected byte " .. byte(char) .. "; names are made of ASCII letters")
  end
  local close = char == "[" and long_bracket(source, at)
  if close then
    self.last = "''"
    return close
  end
  return self:mark(at, char)
end

-- The source has to be correct Lua: load() has seen it before.
function M.instrument(source, check)
  local self = setmetatable({ source = source, out = {}, copied = 1 }, methods)
  local at = find(source, "%S")
  while at do
    if check then
      check()
    end
    at = find(source, "%S", self:token(at) + 1)
    if self.problem then
      return nil, self.problem, self.problem_line
    end
  end
  self.out[#self.out + 1] = sub(source, self.copied)
  return table.concat(self.out)
end

function M.check(state)
  return function()
    -- A store that may be one to `stop`, of another value each time: without it
    -- a compiled loop would read `stop` once.
    state.barrier[0] = state.barrier[0] + 1
    if state.stop ~= 0 then
      local words = "stopped: it ran for more than %d ms"
      local limit = state.limit
      if limit >= 1000 then
        words, limit = "stopped: it ran for more than %d s", limit / 1000
      end
      error(words:format(limit), 2)
    end
  end
end

local function place(chunkname)
  return (chunkname:gsub("^[@=]", ""))
end

-- Two loads: the first for the messages that people know, the second runs.
function M.loader(check)
  return function(source, chunkname, env)
    if byte(source) == 27 then
      return nil, place(chunkname) .. ": bytecode is not allowed"
    elseif #source > M.MAX_SOURCE then
      return nil, place(chunkname) .. ": larger than 4 MB"
    end
    local chunk, message = loadstring(source, chunkname)
    if not chunk then
      return nil, message
    end
    local text, problem, line = M.instrument(source, check)
    if not text then
      return nil, ("%s:%d: %s"):format(place(chunkname), line, problem)
    end
    text = table.concat({ "local ", NAME, " = ... return function(...)", CHECK, " ", text, "\nend" })
    chunk, message = loadstring(text, chunkname)
    if not chunk then
      return nil, message
    end
    return setfenv(chunk, env)(check)
  end
end

return M
