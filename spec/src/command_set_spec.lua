-- Rules of users: what ACL DRYRUN of a real redis-server allows.

local ffi = require("ffi")
local support = require("support")

support.header("resp/command_set.h")
local C = support.lib()

local function set_of(...)
  local set = ffi.gc(ffi.new("struct command_set"), C.command_set_deinit)
  for _, rule in ipairs({ ... }) do C.command_set_apply(set, rule) end
  return set
end

local function set_has(set, command) -- as in command_set.h, for what has a row
  return bit.band(bit.rshift(set.rows[math.floor(command.id / 64)], command.id % 64), 1ULL) == 1ULL
end

local function has(set, name)
  local command = C.command_find(name:match("^[^|]+"), #name:match("^[^|]+"))
  local sub = name:match("|(.+)")
  return set_has(set, sub and C.command_find_sub(command, sub, #sub) or command)
end

-- The same for one that a host has taught.
local function has_learned(set, name, category)
  local row = ffi.new("struct command", { name = name, categories = category and C.command_category(category, #category) })
  row.id = C.COMMAND_IDS - 1
  return C.command_set_has_learned(set, row)
end

-- Every command of the table with as many arguments as it needs.
local function commands()
  local list = {}
  for row = 0, tonumber(C.command_count()) - 1 do
    local command = C.command_row(row)
    local words = {}
    for word in ffi.string(command.name):gmatch("[^|]+") do words[#words + 1] = word end
    for i = #words + 1, math.abs(command.arity) do words[i] = "1" end
    list[#list + 1] = { name = ffi.string(command.name), flags = command.flags, words = words }
  end
  return list
end

describe("a set of commands", function()
  local redis, known

  -- Those that the real one knows, and which can be run by themselves.
  setup(function()
    redis, known = support.redis(), {}
    for _, command in ipairs(commands()) do
      local alone = bit.band(command.flags, bit.bor(C.COMMAND_CONTAINER, C.COMMAND_NO_AUTH)) == 0
      if alone and redis:call("COMMAND", "INFO", command.name)[1] ~= support.null then known[#known + 1] = command end
    end
  end)

  local function agrees(...)
    local set = set_of(...)
    assert.equal("OK", redis:call("ACL", "SETUSER", "u", "reset", "~*", "&*", ...))
    local differ = {}
    for _, command in ipairs(known) do
      local allowed = redis:call("ACL", "DRYRUN", "u", unpack(command.words)) == "OK"
      if has(set, command.name) ~= allowed then differ[#differ + 1] = command.name end
    end
    assert.same({}, differ, table.concat({ ... }, " "))
  end

  it("knows nearly all commands of the real one", function()
    assert.is_true(#known > 300)
  end)

  it("is that of the ACL, for every category", function()
    local bits = 0
    while C.command_category_name(bits) ~= nil do
      local name = ffi.string(C.command_category_name(bits))
      agrees("+@" .. name)
      agrees("+@all", "-@" .. name)
      bits = bits + 1
    end
    assert.equal(21, bits)
  end)

  it("is that of the ACL, for several rules in order", function()
    agrees()
    agrees("+@all")
    agrees("+@all", "-@all")
    agrees("+@read", "-keys", "+set")
    agrees("-keys", "+@read")
    agrees("+config", "-config|set", "+xgroup|create", "-client", "+client|id")
    agrees("+@all", "-@dangerous", "+config|get", "-config", "+info")
    agrees("+@all", "-@write", "-@read", "+@string", "-mset", "+@fast", "-get")
  end)

  it("has what the table lacks only with all, or by name", function()
    local cases = {
      { {}, false }, { { "+@all" }, true }, { { "+@read", "+@write" }, false }, { { "+@all", "-@all" }, false },
      { { "+json.get" }, true }, { { "+@all", "-json.get" }, false }, { { "+json.get", "-@all" }, false },
      { { "+json.get", "-json.get" }, false }, { { "-json.get", "+@all" }, true }, { { "+json.set" }, false },
      { { "+json.ge" }, false }, { { "+json.gett" }, false },
    }
    for _, case in ipairs(cases) do
      assert.equal(case[2], has_learned(set_of(unpack(case[1])), "json.get"), table.concat(case[1], " "))
    end
    assert.is_true(has_learned(set_of("+ft.config"), "ft.config|get"))
    assert.is_false(has_learned(set_of("+ft.config|set"), "ft.config|get"))
  end)

  it("loses what the table lacks by its category, but gets it so only when it is wide", function()
    assert.is_false(has_learned(set_of("+@all", "-@write"), "json.set", "write"))
    assert.is_true(has_learned(set_of("+@all", "-@write"), "json.get", "read"))
    assert.is_true(has_learned(set_of("+@all", "-@write", "+json.set"), "json.set", "write"))
    assert.is_false(has_learned(set_of("+@write"), "json.set", "write"))
    local wide = set_of()
    wide.wide = true
    C.command_set_apply(wide, "+@write")
    assert.is_true(has_learned(wide, "json.set", "write"))
    assert.is_false(has_learned(wide, "json.get", "read"))
  end)

  it("equals one of the same content", function()
    assert.is_true(C.command_set_equals(set_of("+get", "+set"), set_of("+set", "+get")))
    assert.is_false(C.command_set_equals(set_of("+get"), set_of("+set")))
    assert.is_true(C.command_set_equals(set_of("+a.b"), set_of("+a.b")))
    assert.is_false(C.command_set_equals(set_of("+a.b"), set_of("-a.b")))
    assert.is_false(C.command_set_equals(set_of("+a.b"), set_of("+a.c")))
    assert.is_false(C.command_set_equals(set_of("+@all"), set_of()))
  end)
end)
