-- docs/routers.md: every example is run, and goes where the page says.

local support = require("support")
local testing = require("nydus.testing")

-- The Lua blocks of a page: path in the first line, the code, what is expected of it.
local function examples(path)
  local list = {}
  for block in support.read_file(path):gmatch("```lua\n(.-)```") do
    local name = block:match("^%-%- (%S+%.lua)\n")
    assert(name, "an example without a name: " .. block:sub(1, 60))
    local expected = {}
    for command, answer in block:gmatch("\n%-%-> ([^\n:]*[^\n]-): ([^\n]+)") do
      expected[#expected + 1] = { command, answer }
    end
    list[#list + 1] = { name = name, code = block, expected = expected }
  end
  return list
end

local function words(text)
  local out = {}
  for word in text:gmatch("%S+") do out[#out + 1] = word end
  return out
end

-- "a", "a, b", or what the command answers.
local function outcome(t, command)
  local found = t:route(unpack(words(command)))
  if found and found.identifier then return found.identifier end
  if found then
    for i, host in ipairs(found) do found[i] = host.identifier end
    return table.concat(found, ", ")
  end
  local reply = t:call(unpack(words(command)))
  return type(reply) == "table" and reply.err and "-" .. reply.err or tostring(reply)
end

describe("docs/routers.md", function()
  local list = examples("docs/routers.md")
  local here = io.popen("pwd"):read("*l")
  local dir

  setup(function()
    dir = support.temp_dir()
    support.run({ "mkdir", dir .. "/routers" })
    for _, example in ipairs(list) do support.write_file(dir .. "/" .. example.name, example.code) end
  end)

  it("has examples", function() assert.is_true(#list > 10) end)

  for _, example in ipairs(list) do
    it("shows " .. example.name, function()
      if example.name:find("_test.lua", 1, true) then
        local code, out, err = support.run({
          "sh", "-c", ("cd '%s' && exec luajit %s"):format(dir, example.name),
          env = { LUA_PATH = here .. "/lua/?.lua;;" },
        })
        assert.equal(0, code, out .. err)
      elseif example.name == "config.lua" then
        local code, out, err = support.run({ os.getenv("NYDUS_BIN"), "--check", dir .. "/config.lua" })
        assert.equal(0, code, out .. err)
      else
        assert.is_true(#example.expected > 0, "nothing is expected of it")
        local t = testing.load(dir .. "/" .. example.name, { hosts = { "a", "b", "c" } })
        for _, pair in ipairs(example.expected) do
          local command, answer = pair[1], pair[2]
          local got = answer:find("^= ") and "= " .. tostring(t:call(unpack(words(command)))) or outcome(t, command)
          assert.equal(answer, got, command)
        end
        t:close()
      end
    end)
  end
end)

describe("docs/routers.md", function()
  it("names every ready-made router", function()
    local text = support.read_file("docs/routers.md")
    for _, path in ipairs(support.list_files("routers", "%.lua$")) do
      local name = path:match("([%w_]+)%.lua$")
      assert.is_truthy(text:find("\n| `" .. name .. "` |", 1, true), name)
    end
  end)
end)
