-- The ready-made scripts of routers/, each as little configured as can be, in front of real hosts.

local support = require("support")

local ROOT = require("lfs").currentdir()

-- What all of them answer to these, in this order.
local COMMANDS = {
  { "SET k v", "OK" }, { "GET k", "v" }, { "MGET k none", { "v", support.null } }, { "DBSIZE", 1 },
  { "MULTI", "OK" }, { "get k", "QUEUED" }, { "set k w", "QUEUED" }, { "get k", "QUEUED" },
  { "EXEC", { "v", "OK", "w" } },
  { "RPUSH list x", 1 }, { "BLPOP list 1", { "list", "x" } }, { "DEL k", 1 },
}

-- The options of each over the hosts 0 and 1, and where it answers something else; a string that begins with ^ is a
-- pattern of an error. `twin`: both hosts have the same data, as a primary and its replica.
local SCRIPTS = {
  broadcast = { {}, ["get k"] = "^ERR 'get' needs one host", ["set k w"] = "^ERR 'set' needs one host",
    EXEC = "^EXECABORT", ["BLPOP list 1"] = "^ERR 'blpop' needs one host" },
  deny_big = { {} },
  numeric = { { ranges = { { 99, 0 }, { 1 } }, default = 0 } },
  rate_limit = { { rate = 1e6 } },
  tenants = { { tenants = { k = { to = 0 }, list = { to = 1 } }, separator = "" },
    ["MGET k none"] = "^ERR tenants: ", DBSIZE = "^ERR tenants: " },
  canary = { { to = 1, percent = 50, by = "client" } },
  failover = { { standby = { [0] = 1 } } },
  hedge = { { replicas = { [0] = 1 } }, twin = true },
  hot_keys = { {} },
  near_cache = { {} },
  prefix = { { map = { k = 0 }, default = 1 } },
  read_write = { { replicas = { [0] = 1 } }, twin = true },
  read_your_writes = { { replicas = { [0] = 1 } }, twin = true },
  shadow = { { to = 1 } },
}

local function names()
  local list = {}
  for _, path in ipairs(support.list_files("routers", "%.lua$")) do
    local name = path:match("([%w_]+)%.lua$")
    if name ~= "migrate" then list[#list + 1] = name end -- its own spec has real hosts, too
  end
  table.sort(list)
  return list
end

describe("routers/", function()
  local nydus, ports, one, two = nil, {}, nil, nil

  local function config()
    local clusters = {}
    for i, name in ipairs(names()) do
      local script = SCRIPTS[name]
      local router = { ("%s/routers/%s.lua"):format(ROOT, name) }
      for key, value in pairs(script[1]) do router[key] = value end
      ports[name] = ports[name] or support.free_port()
      clusters[name] = { listen = "127.0.0.1:" .. ports[name], router = router, hosts = {
        [0] = one:address({ db = i, identifier = "a" }),
        [1] = (script.twin and one or two):address({ db = i, identifier = "b" }),
      } }
    end
    return { workers = 1, clusters = clusters }
  end

  setup(function()
    one, two = support.redis({ databases = 64 }), support.redis({ databases = 64 })
    for _, name in ipairs(names()) do assert.is_table(SCRIPTS[name], name .. " is not in this spec") end
    local text = config()
    nydus = support.nydus({ config = text, wait = ports.shadow })
  end)

  local function assert_reply(expected, reply, what)
    if type(expected) == "string" and expected:sub(1, 1) == "^" then
      assert.is_table(reply, what)
      assert.matches(expected, reply.err, what)
    else
      assert.same(expected, reply, what)
    end
  end

  it("have no remarks of --check", function()
    nydus:write("config.lua", config())
    local code, out, err = support.nydus_run({ "--check", nydus.dir .. "/config.lua" })
    assert.equal(0, code, err)
    assert.is_nil(out:match("[^\n]*note[^\n]*"))
    assert.equal("", err)
  end)

  for _, name in ipairs(names()) do
    it(name .. " serves what clients ask, or refuses it as its header says", function()
      local script = SCRIPTS[name]
      local client = support.client({ port = ports[name] })
      for _, row in ipairs(COMMANDS) do
        local words = {}
        for word in row[1]:gmatch("%S+") do words[#words + 1] = word end
        assert_reply(script[row[1]] or row[2], client:call(unpack(words)), row[1])
      end
    end)
  end
end)
