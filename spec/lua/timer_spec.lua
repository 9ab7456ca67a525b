-- Timers of router scripts, on virtual time.

local script = require("support.script")

local HEAD = "local cluster = ... local nydus = require(\"nydus\") local said = {}\n" ..
  "local function say(text) said[#said + 1] = text end\n"
local TAIL = "\nreturn function(req) local text = table.concat(said, ' ') said = {} return nydus.reply(text) end"

-- A script that has run `body`, in force; said() is what it said since.
local function with(body, tail)
  local s = script.new({ router = HEAD .. body .. (tail or TAIL) })
  s:begin()
  return s, function(seconds)
    if seconds then s:advance(seconds) end
    return (s:route("GET", "k"):gsub("^reply %$%d+\r\n", ""):gsub("\r\n$", ""))
  end
end

local function said(body, ...)
  local s, ask = with(body)
  local out = {}
  for i, seconds in ipairs({ ... }) do out[i] = ask(seconds) end
  s:close()
  return #out == 1 and out[1] or out
end

describe("timers", function()
  it("of every() go off each time, those of after() once", function()
    assert.same({ "", "e", "e a", "e", "e e e" },
      said("nydus.after(2.5, function() say('a') end) nydus.every(1, function() say('e') end)", 0.5, 0.5, 1.5, 0.5, 3))
  end)

  it("go off in the order of their time, and of their making where that is one", function()
    assert.equal("1 2 3 4 5", said([[nydus.after(3, function() say(4) end) nydus.after(1, function() say(1) end)
      nydus.after(2, function() say(2) nydus.after(0.5, function() say(3) end) end)
      nydus.after(4, function() say(5) end)]], 10))
    local body = {}
    for i = 1, 300 do body[i] = ("nydus.after(%g, function() say(%d) end)"):format((i * 7919 % 1000 + 1) / 100, i) end
    local order = {}
    for i = 1, 300 do order[i] = { at = i * 7919 % 1000 + 1, name = i } end
    table.sort(order, function(a, b) return a.at < b.at end)
    for i, item in ipairs(order) do order[i] = item.name end
    assert.equal(table.concat(order, " "), said(table.concat(body, "\n"), 20))
  end)

  it("begin when the script is in force, and end with it", function()
    local s = script.new({ router = HEAD .. "nydus.every(1, function() say('e') end)" .. TAIL })
    s:advance(100)
    assert.equal("reply $0\r\n\r\n", s:route("GET", "k"))
    s:begin()
    s:advance(1.5)
    assert.equal("reply $1\r\ne\r\n", s:route("GET", "k"))
    s:leave()
    s:advance(100)
    assert.equal("reply $0\r\n\r\n", s:route("GET", "k"))
    s:close()
  end)

  it("can be cancelled, once, also by themselves and by each other", function()
    assert.same({ "true false", "" }, said([[local t = nydus.every(1, function() say('no') end)
      say(tostring(t:cancel())) say(tostring(t:cancel()))]], 0, 5))
    assert.equal("1 2 3 true", said([[local n, t = 0
      t = nydus.every(1, function() n = n + 1 say(n) if n == 3 then say(tostring(t:cancel())) end end)]], 9))
    assert.equal("a true", said([[local b
      nydus.after(1, function() say('a') say(tostring(b:cancel())) end)
      b = nydus.after(2, function() say('b') end)]], 9))
    assert.equal("false", said([[local t t = nydus.after(1, function() say(tostring(t:cancel())) end)]], 9))
  end)

  it("are found among many when they are cancelled", function()
    assert.equal(("x "):rep(333):sub(1, -2), said([[local list = {}
      for i = 1, 999 do list[i] = nydus.after(i * 7919 % 1000 / 100 + 0.01, function() say('x') end) end
      for i = 1, 999 do if i % 3 ~= 0 then assert(list[i]:cancel()) end end]], 20))
  end)

  it("may be made by decisions and by timers", function()
    local s = script.new({ router = HEAD .. [[return function(req)
      if req.write then nydus.after(1, function() say('late') nydus.after(1, function() say('later') end) end) end
      return nydus.reply(table.concat(said, ' '))
    end]] })
    s:begin()
    s:route("SET", "k", "v")
    s:advance(1.5)
    assert.equal("reply $4\r\nlate\r\n", s:route("GET", "k"))
    s:advance(1.5)
    assert.equal("reply $10\r\nlate later\r\n", s:route("GET", "k"))
    s:close()
  end)

  it("are 1000 at most", function()
    local s, ask = with([[for i = 1, 1000 do nydus.every(i, function() end) end
      local ok, message = pcall(nydus.after, 1, say) say(message)]])
    assert.matches("^nydus%.after: more than 1000 timers$", ask())
    s:close()
    assert.equal("fine", said([[for i = 1, 10000 do nydus.after(1000, say):cancel() end say('fine')]], 0))
  end)

  it("that raise, loop, or eat all memory go on, and others do not notice", function()
    for _, body in ipairs({ "error('oops')", "error({})", "error()", "local x = nil + 1", "while true do end",
      "repeat pcall(function() while true do end end) until false", "return (function() return f() end)()",
      "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end" }) do
      local s = script.new({ memory = 8 * 1024 * 1024, router = HEAD .. [[local n, m = 0, 0
        local function f() return f() end
        nydus.every(1, function() n = n + 1 if n < 3 then ]] .. body .. [[ end end)
        nydus.every(1, function() m = m + 1 end)
        return function() return nydus.reply({ f and n, m }) end]] })
      s:begin()
      for _ = 1, 6 do s:advance(1) end
      assert.equal("reply *2\r\n:6\r\n:6\r\n", s:route("GET", "k"), body)
      s:close()
    end
  end)

  it("rest for a second when they had to be stopped", function()
    local s = script.new({ router = HEAD .. [[local n = 0
      nydus.every(0.001, function() n = n + 1 while true do end end)
      return function() return nydus.reply(n) end]] })
    s:begin()
    s:advance(3.5)
    assert.equal("reply :4\r\n", s:route("GET", "k"))
    s:close()
  end)

  it("have no request", function()
    assert.equal("main.lua:4: request is over", said([[local kept
      nydus.after(2, function() say((select(2, pcall(function() return kept.command end)))) end)
      local function f(req) kept = req return nydus.reply('') end
      if cluster then return function(req) return kept and ]] ..
      [[nydus.reply(table.concat(said)) or f(req) end end]], 1, 2)[2])
  end)

  it("say what is wrong with their arguments, at the caller's line", function()
    local number = "bad argument #1 to 'every' (seconds are expected, got "
    local range = "bad argument #1 to 'every' (0.001 or more seconds are expected, got "
    for arguments, expected in pairs({
      [""] = number .. "nil)",
      ["'1', say"] = number .. "a string)",
      ["{}, say"] = number .. "a table)",
      ["0, say"] = range .. "0)",
      ["-1, say"] = range .. "-1)",
      ["0/0, say"] = range .. (tostring(0 / 0)) .. ")",
      ["math.huge, say"] = range .. "inf)",
      ["0.0009, say"] = range .. "0.0009)",
      ["1"] = "bad argument #2 to 'every' (a function is expected, got nil)",
      ["1, 'say'"] = "bad argument #2 to 'every' (a function is expected, got a string)",
      ["1, cluster"] = "bad argument #2 to 'every' (a function is expected, got cluster main)",
      ["1, setmetatable({}, { __call = say })"] = "bad argument #2 to 'every' (a function is expected, got a table)",
    }) do
      assert.equal("main.lua:3: " .. expected, script.refused({ router = HEAD .. "nydus.every(" .. arguments .. ")" }))
    end
    for body, expected in pairs({
      ["local t = nydus.after(1, say) t.cancel()"] = "write timer:cancel(), with a colon",
      ["local t = nydus.after(1, say) t.cancel(cluster)"] = "write timer:cancel(), with a colon",
      ["local t = nydus.after(1, say) t:stop()"] = "a timer has no field 'stop' (it has cancel)",
      ["local t = nydus.after(1, say) t.due = 5"] = "a timer cannot be changed (field 'due')",
    }) do
      assert.matches(expected:gsub("%p", "%%%0"), script.refused({ router = HEAD .. body }))
    end
  end)
end)
