local lfs = require("lfs")
local source = require("style.source")

-- A file includes its own folder and those to its left.
local order = { "base", "resp", "route", "net", "proxy", "script", "server" }
local rank = {}
for i, name in ipairs(order) do rank[name] = i end

describe("layers", function()
  it("include only themselves and those below", function()
    local wrong = {}
    for _, file in ipairs(source.files("src", "%.[ch]$")) do
      local own = file.path:match("^src/([^/]+)/")
      for i, line in ipairs(file.lines) do
        local used = line:match('^%s*#%s*include%s+"([^"]+)"')
        local folder = used and used:match("^([^/]+)/")
        if used and not rank[folder] then
          wrong[#wrong + 1] = ("%s:%d: %s is not named with its folder"):format(file.path, i, used)
        elseif own and used and rank[folder] > rank[own] then
          wrong[#wrong + 1] = ("%s:%d: %s is above %s"):format(file.path, i, used, own)
        end
      end
    end
    source.complain(wrong)
  end)

  it("are the folders of src, and no others", function()
    for name in lfs.dir("src") do
      if lfs.attributes("src/" .. name, "mode") == "directory" and name:sub(1, 1) ~= "." then
        assert.is_not_nil(rank[name], name)
      end
    end
  end)
end)

describe("top level", function()
  local known = {}
  local names = "src lua routers spec bench docs build Makefile config.lua README.md LICENSE CHANGELOG.md"
  for name in names:gmatch("%S+") do known[name] = true end

  it("holds what every mature project has, and no more", function()
    for name in lfs.dir(".") do
      if name:sub(1, 1) ~= "." then assert.is_true(known[name] or false, name) end
    end
  end)
end)

describe("lua", function()
  it("calls ffi.cdef in one place, with script/abi.h; in tests, also with server/trial.h", function()
    local allowed = { ["lua/nydus/abi.lua"] = true, ["lua/nydus/testing.lua"] = true }
    local wrong = {}
    for _, folder in ipairs({ "lua", "routers" }) do
      for _, file in ipairs(source.files(folder, "%.lua$")) do
        if file.text:find("ffi%.cdef") and not allowed[file.path] then wrong[#wrong + 1] = file.path end
      end
    end
    source.complain(wrong)
  end)
end)
