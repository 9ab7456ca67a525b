-- The command table against the redis-server it was made from.

local bit = require("bit")
local ffi = require("ffi")
local guard = require("support.guard")
local support = require("support")

support.header("resp/command.h")
local C = support.lib()

local function find(name) return C.command_find(guard.place(name), #name) end

local function name_of(command) return command ~= nil and ffi.string(command.name) or nil end

local function set_of(list)
  local set = {}
  for _, word in ipairs(list) do set[word] = true end
  return set
end

local flags = {
  "write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading", "stale", "fast", "no_auth",
  "movablekeys", "no_multi", "allow_busy", "asking", "no_async_loading", "no_mandatory_keys",
  "skip_monitor", "skip_slowlog",
}

local function flags_of(command)
  local set = {}
  for _, name in ipairs(flags) do
    if bit.band(command.flags, C["COMMAND_" .. name:upper()]) ~= 0 then set[name] = true end
  end
  return set
end

local function categories_of(command)
  local set = {}
  for i = 0, 31 do
    if bit.band(command.categories, bit.lshift(1, i)) ~= 0 then
      set["@" .. ffi.string(C.command_category_name(i))] = true
    end
  end
  return set
end

local requests = {
  [""] = C.REQUEST_DEFAULT, all_nodes = C.REQUEST_ALL_NODES, all_shards = C.REQUEST_ALL_SHARDS,
  multi_shard = C.REQUEST_MULTI_SHARD, special = C.REQUEST_SPECIAL,
}
local responses = {
  [""] = C.RESPONSE_DEFAULT, one_succeeded = C.RESPONSE_ONE_SUCCEEDED, all_succeeded = C.RESPONSE_ALL_SUCCEEDED,
  agg_logical_and = C.RESPONSE_AGG_LOGICAL_AND, agg_logical_or = C.RESPONSE_AGG_LOGICAL_OR,
  agg_min = C.RESPONSE_AGG_MIN, agg_max = C.RESPONSE_AGG_MAX, agg_sum = C.RESPONSE_AGG_SUM,
  special = C.RESPONSE_SPECIAL,
}

-- { "index", 1, "index" … } as pairs; the maps of RESP2 are flat lists.
local function map_of(list)
  local map = {}
  for i = 1, #list, 2 do map[list[i]] = list[i + 1] end
  return map
end

local function spec_of(reply)
  local spec = map_of(reply)
  local begin, keys = map_of(spec.begin_search), map_of(spec.find_keys)
  return { begin = begin.type, find = keys.type, from = map_of(begin.spec), keys = map_of(keys.spec) }
end

local function check_spec(reply, spec, name)
  local expected = spec_of(reply)
  local begin = { index = C.KEY_BEGIN_INDEX, keyword = C.KEY_BEGIN_KEYWORD, unknown = C.KEY_BEGIN_UNKNOWN }
  local keys = { range = C.KEY_FIND_RANGE, keynum = C.KEY_FIND_KEYNUM, unknown = C.KEY_FIND_UNKNOWN }
  assert.equal(begin[expected.begin], tonumber(spec.begin), name)
  assert.equal(keys[expected.find], tonumber(spec.find), name)
  if expected.begin ~= "unknown" then assert.equal(expected.from.index or expected.from.startfrom, spec.index, name) end
  if expected.begin == "keyword" then assert.equal(expected.from.keyword, ffi.string(spec.keyword), name) end
  if expected.find == "range" then
    assert.same({ expected.keys.lastkey, expected.keys.keystep, expected.keys.limit },
      { spec.last, spec.step, spec.limit }, name)
  elseif expected.find == "keynum" then
    assert.same({ expected.keys.keynumidx, expected.keys.firstkey, expected.keys.keystep },
      { spec.keynum_index, spec.first, spec.keystep }, name)
  end
end

-- One row of COMMAND's reply against ours; returns how many rows it held.
local function check_row(row, command)
  local name, arity, words, first, last, step, categories, tips, specs, subs = unpack(row)
  assert.equal(name, name_of(command))
  assert.equal(arity, command.arity, name)
  assert.same(set_of(words), flags_of(command), name)
  assert.same({ first, last, step }, { command.first_key, command.last_key, command.key_step }, name)
  assert.same(set_of(categories), categories_of(command), name)
  local policy = { request = "", response = "" }
  for _, tip in ipairs(tips) do
    local kind, value = tip:match("^(%a+)_policy:(.*)$")
    if kind then policy[kind] = value end
  end
  assert.equal(requests[policy.request], tonumber(command.request_policy), name)
  assert.equal(responses[policy.response], tonumber(command.response_policy), name)
  assert.equal(#specs, command.spec_count, name)
  for i, spec in ipairs(specs) do check_spec(spec, command.specs[i - 1], name) end
  assert.equal(#subs > 0, bit.band(command.flags, C.COMMAND_CONTAINER) ~= 0, name)
  local rows = 1
  for _, sub in ipairs(subs) do
    local word = sub[1]:match("|(.*)$")
    local found = C.command_find_sub(command, word, #word)
    assert.is_true(bit.band(found.flags, C.COMMAND_SUBCOMMAND) ~= 0, sub[1])
    rows = rows + check_row(sub, found)
  end
  return rows
end

describe("command", function()
  it("table says what redis-server 7.0 says of every command", function()
    local redis = support.redis()
    if not redis:call("INFO", "server"):find("redis_version:7.0.", 1, true) then
      pending("made from Redis 7.0, another one is installed")
    end
    local rows = 0
    for _, row in ipairs(redis:call("COMMAND")) do rows = rows + check_row(row, find(row[1])) end
    assert.is_true(rows > 360)
    assert.is_true(rows <= tonumber(C.command_count()))
  end)

  describe("command_find", function()
    it("finds every command by its name in any case", function()
      local commands = 0
      for id = 0, tonumber(C.command_count()) - 1 do
        local command = C.command_row(id)
        local name = ffi.string(command.name)
        assert.equal(id, command.id)
        if not name:find("|", 1, true) then
          commands = commands + 1
          local mixed = name:gsub("..", function(two) return two:sub(1, 1):upper() .. two:sub(2) end)
          for _, form in ipairs({ name, name:upper(), mixed }) do assert.equal(command, find(form), form) end
        end
      end
      assert.is_true(commands >= 240)
    end)

    it("finds nothing else", function()
      local names = {
        "", "g", "ge", "gett", "get\0", "\0get", "ge\0t", "get ", "g\1t", "\199ET", "GE\244", "config|get", "config|",
        "|", "\0", "\0\0\0", ("x"):rep(24), ("x"):rep(25), ("get"):rep(30), ("\255"):rep(64), "GE[", "@et", "zrange_",
        "georadiusbymember_r", "georadiusbymember_rO ", "eval\127ro", "sort\31ro", ("a"):rep(100000),
      }
      for _, name in ipairs(names) do assert.is_nil(name_of(find(name)), ("%q"):format(name)) end
    end)
  end)

  describe("command_find_sub", function()
    local function sub_of(name, word) return name_of(C.command_find_sub(find(name), guard.place(word), #word)) end

    it("finds subcommands of their container only", function()
      assert.equal("config|get", sub_of("config", "GET"))
      assert.equal("client|no-evict", sub_of("CLIENT", "No-Evict"))
      assert.equal("object|encoding", sub_of("object", "encoding"))
      assert.equal("cluster|count-failure-reports", sub_of("cluster", "COUNT-FAILURE-REPORTS"))
      assert.is_nil(sub_of("config", "encoding"))
      assert.is_nil(sub_of("config", ""))
      assert.is_nil(sub_of("config", "config|get"))
      assert.is_nil(sub_of("get", "get"))
      assert.is_nil(sub_of("config", ("get"):rep(20)))
    end)
  end)

  describe("command_arity_fits", function()
    local rows = {
      -- name   fits                does not
      { "get", { 2 }, { 0, 1, 3, 4294967295 } },
      { "ping", { 1, 2, 3, 1048576 }, { 0 } },
      { "set", { 3, 4, 100 }, { 0, 1, 2 } },
    }
    it("reads negative arities as at least", function()
      for _, row in ipairs(rows) do
        for _, argc in ipairs(row[2]) do assert.is_true(C.command_arity_fits(find(row[1]), argc)) end
        for _, argc in ipairs(row[3]) do assert.is_false(C.command_arity_fits(find(row[1]), argc)) end
      end
    end)
  end)

  describe("command_row", function()
    it("gives nothing past the last", function()
      assert.is_true(C.command_row(C.command_count()) == nil)
      assert.is_true(C.command_row(C.command_count() - 1) ~= nil)
    end)
  end)

  describe("command_category_name", function()
    it("names the categories in the order of ACL CAT", function()
      local names = {}
      while C.command_category_name(#names) ~= nil do
        names[#names + 1] = ffi.string(C.command_category_name(#names))
      end
      assert.same(support.redis():call("ACL", "CAT"), names)
    end)
  end)
end)
