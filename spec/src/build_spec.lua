-- A generation is made in steps; it may be given up between any two of them.

local ffi = require("ffi")
local files = require("support.files")
local support = require("support")

support.header("server/build.h")
pcall(ffi.cdef, "void free(void *memory);")
pcall(ffi.cdef, "int setenv(const char *name, const char *value, int overwrite);")
pcall(ffi.cdef, "int unsetenv(const char *name);")
local C = support.lib()

local HOSTS = 600

local function write(main, router)
  local dir = files.temp_dir()
  files.write(dir .. "/main.lua", main)
  return files.write(dir .. "/config.lua", ([[
local hosts = {}
for i = 1, %d do hosts[i] = "127.0.0.1:" .. i end
local function cluster(port) return { listen = "127.0.0.1:" .. port, router = %s, hosts = hosts } end
return { clusters = { one = cluster(1), two = cluster(2) } }]]):format(HOSTS, router))
end

local function build(path, most)
  local b, steps, going = C.build_begin(nil, path, nil), 0, true
  while going and steps < (most or math.huge) do
    going = C.build_step(b)
    steps = steps + 1
  end
  return b, steps, going
end

-- The number of hosts, or the problems.
local function result(b)
  local problems = ffi.new("char *[1]")
  local generation = C.build_end(b, problems)
  if generation == nil then
    local text = ffi.string(problems[0])
    ffi.C.free(problems[0])
    return nil, text
  end
  local count = 0
  for i = 0, generation.count - 1 do count = count + generation.clusters[i].count end
  C.generation_unref(generation)
  return count
end

describe("build", function()
  local before = os.getenv("NYDUS_LUA_PATH")

  setup(function()
    if not before then ffi.C.setenv("NYDUS_LUA_PATH", "lua", 1) end
  end)

  teardown(function()
    if not before then ffi.C.unsetenv("NYDUS_LUA_PATH") end
  end)

  it("takes steps of many hosts and of one router", function()
    local b, steps = build(write("local cluster = ...\nreturn require('nydus').ketama(cluster)", "'main.lua'"))
    assert.is_true(steps >= 4 + 1 + 1 + 2 * 3 + 1 + 2, steps)
    assert.equal(2 * HOSTS, result(b))
  end)

  it("ends with the problems of all routers", function()
    local path = write("error('no, ' .. (...).name)", "'main.lua'")
    local _, problems = result((build(path)))
    assert.truthy(problems:find("main.lua:1: no, one", 1, true), problems)
    assert.truthy(problems:find("main.lua:1: no, two", 1, true), problems)
    assert.truthy(select(2, result((build(path .. ".gone")))):find("gone", 1, true))
  end)

  it("is given up after any step", function()
    local path = write("return (...).hosts[1]", "'main.lua'")
    local b, steps = build(path)
    C.build_cancel(b)
    for most = 0, steps - 1 do
      local cut, _, going = build(path, most)
      assert.is_true(going)
      C.build_cancel(cut)
    end
  end)
end)
