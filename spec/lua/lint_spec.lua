-- What --check says of slow functions in router scripts.

local support = require("support")

local HEAD = "local cluster, options = ... local nydus = require(\"nydus\")\n"

-- The notes of --check for a script, without its folder.
local function notes_of(router, hosts, options)
  local entry = { router }
  for key, value in pairs(options or {}) do entry[key] = value end
  local files = {}
  if router == "main.lua" then
    files[router], entry = hosts, router
  else
    files[router] = support.read_file(router)
  end
  local code, out, err = support.nydus_run({ "--check", "config.lua", files = files,
    config = { router = entry, hosts = { "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3" } } })
  local notes = {}
  for line in out:gmatch("([^\n]*: note: [^\n]*)") do notes[#notes + 1] = line:match("main%.lua:.*") or line end
  return notes, code, err
end

-- "3 closure, 4 table": line and the first words that tell notes apart.
local function brief(body)
  local words = {}
  for i, note in ipairs((notes_of("main.lua", HEAD .. body))) do
    local line, text = note:match("^main%.lua:(%d+): note: (.*)$")
    words[i] = line .. " " .. (text:match("^a (%l+)") or text:match("^[%l%.]+"))
  end
  return table.concat(words, ", ")
end

describe("lint", function()
  it("has a note for each thing that is slow per request", function()
    for body, expected in pairs({
      ["local f = function() return req end f()"] = "3 closure",
      ["local t = {} if t == req then return end"] = "3 table",
      ["local t = { 1, 2 } if t == req then return end"] = "3 table",
      ["for _ in pairs(map) do end"] = "3 pairs",
      ["for _ in ipairs(map) do end"] = "3 ipairs",
      ["local x = req:key():match('a+')"] = "3 string.match",
      ["for x in req:key():gmatch('a+') do end"] = "3 string.gmatch",
      ["local x = req:key():gsub('a', 'b')"] = "3 string.gsub",
      ["local x = req:key():find('^a')"] = "3 string.find",
      ["local x = ('%d'):format(req.size)"] = "3 string.format",
      ["local x = string.format('%d', req.size)"] = "3 string.format",
      ["local x = match(req:key(), 'a')"] = "3 string.match",
      ["local x = table.concat(map)"] = "3 table.concat",
      ["local x = load('return 1')"] = "3 load",
      ["return tostring(req)"] = "3 function",
      ["return helper(req)"] = "2 closure",
      ["helper(req)\n helper(req)"] = "2 closure",
    }) do
      assert.equal(expected, brief("local match, map = string.match, {} local function helper(r) return function() " ..
        "return r end end\nreturn function(req) " .. body .. " end"), body)
    end
    assert.same({ "main.lua:2: note: a closure is made per request: it keeps LuaJIT from compiling the loop (about 2 µs " ..
      "more for every request, also for those that do not come here); make the function at load" },
      (notes_of("main.lua", HEAD .. "return function(req) return (function() return cluster.hosts[1] end)() end")))
  end)

  it("looks at every function that decides, wherever it stands in the tree", function()
    assert.equal("2 table, 3 closure, 4 table, 4 pairs", brief([[
local function slow(req) return ({ cluster.hosts[1] })[req.nkeys] end
local function slower(req) return (function() return req end)() end
return { route = nydus.command{ GET = slow, default = { slower, cluster.hosts[1] } }, fallback = function() pairs({}) end }
]]))
  end)

  it("has none for what is made at load, and what is compiled", function()
    for _, body in ipairs({
      "local map, list = {}, { 1 } for i in pairs(list) do map[i] = function() end end\n" ..
        "return function(req) return cluster.hosts[1] end",
      "return function(req) if req:prefix('a') then return cluster.hosts[1] end return cluster end",
      "return function(req) if req:key():find('plain text') then return cluster.hosts[1] end return cluster end",
      "local function pick(n) return cluster.hosts[n] end return function(req) return pick(req.nkeys + 1) end",
      "return function(req) for i = 1, 3 do if req.db == i then return cluster.hosts[i] end end end",
      "return function(req) return nydus.reply(tostring(req.size)) end",
      "return nydus.prefix{ a = cluster.hosts[1] }",
    }) do
      assert.equal("", brief(body), body)
    end
  end)

  it("has none for the routers that come with Nydus", function()
    local options = { ["routers/prefix.lua"] = { map = { ["a:"] = 1 }, default = 2 } }
    local seen = 0
    for _, path in ipairs(support.list_files("routers", "%.lua$")) do
      local notes, code, err = notes_of(path, nil, options[path])
      if code == 0 then
        assert.same({}, notes)
        seen = seen + 1
      else
        print(("          %s wants options: %s"):format(path, err:match("[^\n]*")))
      end
    end
    assert.is_true(seen >= 2)
  end)
end)
