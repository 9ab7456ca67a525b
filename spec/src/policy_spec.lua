-- What is not simply routed: the rows of policy.def against the command table.

local ffi = require("ffi")
local support = require("support")

support.header("proxy/policy.h")
local C = support.lib()

local function has(command, flag)
  return bit.band(command.flags, flag) ~= 0
end

local function row(name)
  local container, sub = name:match("^(.-)|(.+)$")
  local command = C.command_find(container or name, #(container or name))
  if command ~= nil and sub then command = C.command_find_sub(command, sub, #sub) end
  return command ~= nil and command or nil
end

local function policy(name)
  return C.policies[C.policy_index[row(name).id]]
end

-- Commands whose row satisfies the test and that are routed without a second look.
local function plainly_routed(test)
  local names = {}
  for id = 0, tonumber(C.command_count()) - 1 do
    local command = C.command_row(id)
    local container = has(command, C.COMMAND_CONTAINER) and command.arity ~= -1
    if not container and test(command) and C.policy_index[id] == 0 then
      names[#names + 1] = ffi.string(command.name)
    end
  end
  table.sort(names)
  return names
end

local function in_category(name)
  return function(command)
    local number = 0
    while true do
      local category = C.command_category_name(number)
      assert(category ~= nil, name)
      if ffi.string(category) == name then
        return bit.band(bit.rshift(command.categories, number), 1) == 1
      end
      number = number + 1
    end
  end
end

describe("policy", function()
  describe("table", function()
    it("names commands that there are", function()
      for i = 1, C.policy_count() - 1 do
        local name = ffi.string(C.policies[i].name)
        assert.is_truthy(C.policies[i].learned ~= nil or row(name), name)
      end
    end)

    it("has each command once, with one thing to do", function()
      local seen = {}
      for i = 1, C.policy_count() - 1 do
        local at = C.policies[i]
        local name = ffi.string(at.name)
        assert.is_nil(seen[name], name)
        seen[name] = true
        local things = (at.answer ~= nil and 1 or 0) + (at.refusal ~= nil and 1 or 0)
          + ((at.key > 0 or at.keyless ~= nil or at.seen ~= nil or at.mend ~= nil) and 1 or 0)
        assert.equal(1, things, name)
      end
    end)

    it("refuses in one line that starts with the code word", function()
      for i = 1, C.policy_count() - 1 do
        if C.policies[i].refusal ~= nil then
          assert.matches("^ERR [^\r\n]+$", ffi.string(C.policies[i].refusal))
        end
      end
    end)
  end)

  describe("index", function()
    it("is 0 for commands that are routed", function()
      for _, name in ipairs({ "get", "set", "mget", "dbsize", "object|encoding", "xinfo|stream" }) do
        assert.equal(0, C.policy_index[row(name).id], name)
      end
    end)

    it("gives a container's refusal to its subcommands, but not its answer", function()
      assert.matches("^ERR 'acl'", ffi.string(policy("acl|whoami").refusal))
      assert.matches("^ERR 'config'", ffi.string(policy("config|set").refusal))
      assert.is_true(policy("config|get").refusal == nil)
      assert.is_true(policy("command|info").answer ~= policy("command").answer)
    end)
  end)

  describe("safety", function()
    it("lets no command that blocks onto a shared link", function()
      assert.same({}, plainly_routed(function(command) return has(command, C.COMMAND_BLOCKING) end))
    end)

    it("lets no subcommand of CLIENT, CONFIG or COMMAND onto a shared link", function()
      local ours = { client = true, config = true, command = true }
      assert.same({}, plainly_routed(function(command)
        return ours[ffi.string(command.name):match("^(%a+)|") or ""] ~= nil
      end))
    end)

    it("lets administration through where it is one key's or the cluster's own", function()
      assert.same({ "pfdebug" }, plainly_routed(function(command) return has(command, C.COMMAND_ADMIN) end))
      assert.same({ "flushall", "flushdb", "keys", "pfdebug", "restore", "restore-asking" },
        plainly_routed(in_category("dangerous")))
    end)

    it("lets nothing through that is about the connection, a transaction or a subscription", function()
      assert.same({}, plainly_routed(in_category("connection")))
      assert.same({}, plainly_routed(in_category("transaction")))
      assert.same({}, plainly_routed(in_category("pubsub")))
    end)
  end)

  describe("key", function()
    it("is the channel, for PUBLISH", function()
      assert.equal(1, policy("publish").key)
      assert.is_true(policy("publish").refusal == nil)
    end)
  end)
end)
