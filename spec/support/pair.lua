-- Nydus in front of two hosts that are told apart by the key: what begins with
-- a goes to "alpha", what begins with b to "beta". Trouble at one, and the
-- other is there to show that nobody else notices.
--
--   local nydus = pair.nydus(alpha, beta, { timeout = 0.3 }, { max_clients = 5 })
--                        redis or fake objects, host options, cluster options
--   pair.nobody()                          a host that refuses connections
--   pair.blackhole() → host, close()       a host that takes no connection
--   pair.error(reply)                      the text of an error reply
--   pair.until_reply(client, words, expected, seconds)
--   pair.until_up(client, fake, key)       asks until the fake host sees it
--   pair.worker(nydus) → pid               the first worker, once it is there
--   pair.sanitized                         the build under test keeps freed memory for a while
--   pair.stats(client)                     the counters in INFO as numbers

local sys = require("support.sys")
local ports = require("support.ports")
local Nydus = require("support.nydus")

local M = {}

M.sanitized = (os.getenv("SANITIZER") or "") ~= ""

local ROUTER = [[
local cluster = ...
return require("nydus").prefix({ a = cluster:host("alpha"), b = cluster:host("beta") })
]]

function M.nydus(alpha, beta, host_options, cluster_options)
  local config = {
    router = "prefix.lua",
    hosts = { alpha:address({ identifier = "alpha" }), beta:address({ identifier = "beta" }) },
    defaults = { timeout = 0.5, connect_timeout = 0.3 },
  }
  for key, value in pairs(host_options or {}) do config.defaults[key] = value end
  for key, value in pairs(cluster_options or {}) do config[key] = value end
  return Nydus.new({ config = config, files = { ["prefix.lua"] = ROUTER } })
end

local function host_at(port)
  return {
    port = port,
    address = function(_, more)
      local host = { host = "127.0.0.1", port = port }
      for key, value in pairs(more or {}) do host[key] = value end
      return host
    end,
  }
end

function M.nobody()
  return host_at(ports.free())
end

-- Its queue of connections is full: further SYNs are dropped, as by a firewall.
function M.blackhole()
  local port = ports.free()
  local fds = { assert(sys.listen({ port = port }, 1)) }
  for _ = 1, 8 do
    local fd = sys.connect({ port = port }, 0.05)
    if not fd then break end
    fds[#fds + 1] = fd
  end
  return host_at(port), function()
    for _, fd in ipairs(fds) do sys.close(fd) end
  end
end

function M.error(reply)
  return type(reply) == "table" and reply.err or ("no error but " .. tostring(reply))
end

function M.until_reply(client, words, expected, seconds)
  local got
  local ok = pcall(sys.wait_until, function()
    got = client:call(unpack(words))
    return got == expected
  end, seconds or 3)
  if not ok then
    error(("%s: wanted %s, last got %s"):format(table.concat(words, " "), tostring(expected),
      type(got) == "table" and got.err or tostring(got)), 2)
  end
end

function M.until_up(client, fake, key)
  sys.wait_until(function()
    client:command("GET", key)
    local asked
    sys.wait_until(function()
      asked = pcall(fake.request, fake, 0.005)
      return asked or client:pending() ~= ""
    end, 3, "an answer or a request")
    if asked then fake:answer("$2\r\nup\r\n") end
    return client:read() == "up"
  end, 4, "the link to be up again")
end

function M.worker(nydus)
  return sys.wait_until(function() return nydus:workers()[1] end, 5, "a worker")
end

function M.stats(client)
  local field = {}
  for name, value in client:call("INFO", "stats"):gmatch("nydus_([%w_]+):(%d+)") do
    field[name] = tonumber(value)
  end
  return field
end

return M
