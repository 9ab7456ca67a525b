-- What Nydus does not do: each with a sentence, and no byte of it reaches a host.

local ffi = require("ffi")
local support = require("support")

support.header("proxy/policy.h")
local C = support.lib()

-- The shortest request of a row of the command table.
local function words_of(command)
  local words = {}
  for word in ffi.string(command.name):gmatch("[^|]+") do words[#words + 1] = word end
  for i = #words + 1, math.abs(command.arity) do words[i] = "1" end
  return words
end

local function refused_commands()
  local commands = {}
  for id = 0, tonumber(C.command_count()) - 1 do
    local command, policy = C.command_row(id), C.policies[C.policy_index[id]]
    local container = bit.band(command.flags, C.COMMAND_CONTAINER) ~= 0
    if policy.refusal ~= nil and policy.when == nil and not container then
      commands[#commands + 1] = { words = words_of(command), error = ffi.string(policy.refusal) }
    end
  end
  return commands
end

describe("refused", function()
  local host, nydus, client

  before_each(function()
    host = support.fake({ auto = { PING = "+PONG\r\n" } })
    nydus = support.nydus({ config = { hosts = { host } } })
    client = nydus:client()
    host:accept()
  end)

  -- The host gets the command.
  local function passes(words)
    client:command(unpack(words))
    host:expect(words)
    host:answer("+OK\r\n")
    assert.equal("OK", client:read())
  end

  it("is answered with its sentence, and the connection stays usable", function()
    local commands, pipeline, errors = refused_commands(), {}, {}
    for i, command in ipairs(commands) do
      pipeline[i], errors[i] = command.words, { err = command.error }
    end
    assert.is_true(#commands > 50)
    assert.same(errors, client:pipeline(pipeline))
    assert.equal("PONG", client:call("PING"))
  end)

  it("never reaches the host", function()
    for _, command in ipairs(refused_commands()) do assert.is_string(client:call(unpack(command.words)).err) end
    passes({ "GET", "k" }) -- the first thing it hears
  end)

  it("is one sentence that says why", function()
    assert.same({ err = "ERR 'shutdown' is not allowed through Nydus: it is for the operator of a host, at that host" },
      client:call("SHUTDOWN", "NOSAVE"))
    assert.same({ err = "ERR This instance has cluster support disabled" }, client:call("CLUSTER", "NODES"))
    assert.matches("^ERR 'config' is not allowed through Nydus: its configuration is config.lua",
      client:call("CONFIG", "SET", "maxmemory", "1").err)
  end)

  it("is an unknown subcommand in Redis's words", function()
    assert.same({ err = "ERR unknown subcommand 'nonsense'. Try ACL HELP." }, client:call("ACL", "nonsense"))
    assert.same({ err = "ERR unknown subcommand 'x'. Try OBJECT HELP." }, client:call("OBJECT", "x", "k"))
  end)

  describe("XREAD and XREADGROUP", function()
    it("pass without", function()
      passes({ "XREAD", "STREAMS", "s", "0" })
      passes({ "XREAD", "COUNT", "5", "STREAMS", "block", "0" })
      passes({ "XREADGROUP", "GROUP", "block", "block", "STREAMS", "s", ">" })
    end)
  end)

  describe("MOVE and COPY to another database", function()
    it("pass, when the host counts from 0", function()
      passes({ "MOVE", "k", "1" })
      passes({ "COPY", "a", "b", "DB", "1" })
    end)

    it("are refused, when its own db shifts the numbers", function()
      local shifted = support.nydus({ config = { hosts = { support.redis():address({ db = 2 }) } } }):client()
      assert.matches("^ERR 'move' cannot name a database here", shifted:call("MOVE", "k", "1").err)
      assert.matches("^ERR 'copy' cannot name a database here", shifted:call("COPY", "a", "b", "DB", "1").err)
      assert.equal(0, shifted:call("COPY", "a", "b", "REPLACE"))
    end)
  end)

  describe("PUBLISH", function()
    it("goes to the host of its channel", function()
      local one, other = support.redis(), support.redis()
      local two = support.nydus({ config = { router = "ketama", hosts = { one, other } } }):client()
      local listeners = { one:client(), other:client() }
      for _, listener in ipairs(listeners) do listener:call("PSUBSCRIBE", "*") end
      local heard = 0
      for i = 1, 20 do
        two:call("SET", "news" .. i, "x")
        assert.equal(1, two:call("PUBLISH", "news" .. i, "x"))
        local at = one:call("EXISTS", "news" .. i) == 1 and listeners[1] or listeners[2]
        assert.same({ "pmessage", "*", "news" .. i, "x" }, (at:read()))
        heard = heard + (at == listeners[1] and 1 or 0)
      end
      assert.is_true(heard > 0 and heard < 20)
    end)
  end)
end)
