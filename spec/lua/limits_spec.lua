local script = require("support.script")

-- Runs in both states: there with our string functions, here with LuaJIT's.
local COMPARE = [==[
local pieces = { "a", "b", ".", "%a", "%d", "%s", "%w", "%W", "%.", "[ab]", "[^a]", "[a-c1]", "[]]", "[%d_]", "[^%w]",
  "(", ")", "()", "%1", "%b()", "%f[%w]", "^", "$", "x", "%z", "-", "*", "%", "[", "[a", "%f", "%b(", "%2" }
local suffixes = { "", "", "", "*", "+", "-", "?" }
local letters = { "a", "b", "c", "1", "_", " ", "(", ")", ".", "]", "\0", "\255" }
local seed = 7
local function random(n) seed = (seed * 16807) % 2147483647 return seed % n + 1 end
local function show(...)
  local out = {}
  for i = 1, select("#", ...) do out[i] = tostring((select(i, ...))) end
  return table.concat(out, "|"):gsub("^(.-):%d+: ", "")
end
local out = {}
for i = 1, 6000 do
  local pattern, subject = {}, {}
  for k = 1, random(5) do pattern[k] = pieces[random(i % 3 == 0 and 33 or 25)] .. suffixes[random(7)] end
  for k = 1, random(14) - 1 do subject[k] = letters[random(12)] end
  pattern, subject = table.concat(pattern), table.concat(subject)
  local init = random(9) - 5
  local found = {}
  for piece, second in (function()
    local ok, next = pcall(string.gmatch, subject, pattern)
    return function()
      if not ok or #found > 30 then return nil end
      local good, first, more = pcall(next)
      return good and first or nil, more
    end
  end)() do found[#found + 1] = tostring(piece) .. "," .. tostring(second) end
  out[i] = ("%q %q %d"):format(pattern, subject, init) .. "\t" .. show(pcall(string.find, subject, pattern, init)) ..
    "\t" .. show(pcall(string.match, subject, pattern)) ..
    "\t" .. show(pcall(string.gsub, subject, pattern, "<%0>")) .. "\t" ..
    show(pcall(string.gsub, subject, pattern, "<%1>", 2)) .. "\t" ..
    show(pcall(string.gsub, subject, pattern, function(a, b) return b end)) .. "\t" ..
    show(pcall(string.gsub, subject, pattern, { a = "A", ["1"] = 7 })) .. "\t" .. table.concat(found, ";")
end
return table.concat(out, "\n\1")
]==]

local function lines(text)
  local list = {}
  for line in (text .. "\n\1"):gmatch("(.-)\n\1") do list[#list + 1] = line end
  return list
end

describe("limits", function()
  local s
  setup(function() s = script.new({ router = "return (...).hosts[1]" }) end)
  teardown(function() s:close() end)

  it("keeps what patterns mean", function()
    local expected, got = lines(loadstring(COMPARE)()), lines(s:eval(COMPARE))
    assert.equal(#expected, #got)
    for i, line in ipairs(expected) do assert.equal(line, got[i]) end
  end)

  it("keeps what find, match, gmatch and gsub do otherwise", function()
    for source, expected in pairs({
      ["return (string.find('a.b', '.', 2, true))"] = "2",
      ["return (string.find('a.b', 'b'))"] = "3",
      ["return tostring(string.find('abc', 'b', -1))"] = "nil",
      ["return (string.find('abc', '.-', 10))"] = "4",
      ["return (string.find('abc', '', 4))"] = "4",
      ["return ('x'):rep(3, ',')"] = "x,x,x",
      ["return (('a b'):gsub('%w', { a = false, b = 'c' }))"] = "a c",
      ["return (('abc'):gsub('', '-'))"] = "-a-b-c-",
      ["return (('abc'):gsub('b', '%%'))"] = "a%c",
      ["return select(2, pcall(string.gsub, 'a', 'a', true))"] =
        "bad argument #3 to '?' (string/function/table expected)",
      ["return select(2, pcall(string.gsub, 'a', 'a', function() return {} end))"] =
        "invalid replacement value (a table)",
      ["return table.concat({ 1, 2, 3 }, '-')"] = "1-2-3",
    }) do
      assert.equal(expected, s:eval(source), source)
    end
  end)

  it("gives iterators that can be called, and share their compiled code", function()
    assert.equal("a,b,nil", s:eval([[local next = ("a b"):gmatch("%w")
      return table.concat({ next(), next(), tostring((next())) }, ",")]]))
    local traces = tonumber(s:eval([[local util, count = require("jit.util"), 0
      for i = 1, 5000 do
        for word in ("a b c"):gmatch("%w") do count = count + #word end
      end
      count = 0
      for i = 1, 8000 do count = count + (util.traceinfo(i) and 1 or 0) end
      return count]]))
    assert.is_true(traces < 200, "traces: " .. traces) -- thousands, if each iterator were a function
  end)

  it("gives up on a pattern that takes too long, within milliseconds", function()
    for _, source in ipairs({
      "return string.find(('a'):rep(100), ('a-'):rep(12) .. 'b')",
      "return string.match(('a'):rep(5000), '.-.-.-.-.-.-b')",
      "return (string.gsub(('a'):rep(100), ('a*'):rep(12) .. 'b', ''))",
      "for x in string.gmatch(('a'):rep(100), ('a?'):rep(90) .. 'b') do end",
      "return string.find(('x'):rep(1000000), ('x'):rep(500000) .. 'y')",
      "return string.find(('x'):rep(1000000), ('x'):rep(500000) .. 'y', 1, true)",
    }) do
      local start = os.clock()
      local ok, message = pcall(s.eval, s, source)
      assert.is_false(ok)
      assert.is_truthy(message:find("the pattern takes too long", 1, true), message)
      assert.is_true(os.clock() - start < 0.2)
    end
  end)

  it("refuses what would be too large", function()
    for source, expected in pairs({
      ["return ('x'):rep(1048577)"] = "string.rep: 1048577 bytes are too many (1048576 at most)",
      ["return ('x'):rep(1e5, ('y'):rep(100))"] = "string.rep: 10100000 bytes are too many (1048576 at most)",
      ["local t = {} for i = 1, 100001 do t[i] = 1 end return table.concat(t)"] =
        "table.concat: more than 100000 items",
      ["local t = {} for i = 1, 10001 do t[i] = 1 end table.sort(t)"] = "table.sort: more than 10000 items",
    }) do
      local ok, message = pcall(s.eval, s, source)
      assert.is_false(ok)
      assert.is_truthy(message:find(expected, 1, true), message)
    end
  end)
end)
