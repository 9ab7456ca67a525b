-- A raw RESP client.
--
--   local client = support.client(port)            -- or "/path/of.sock", or
--                                                  -- { host=, port=, timeout=, receive_buffer= }
--   client:call("SET", "k", "v") → one decoded reply (see support.resp)
--   client:command("GET", "k")                     sends, reads nothing
--   client:send(bytes)                             raw bytes
--   client:read() → value, raw bytes               the next reply
--   client:read_raw(size)   read_to_end()          bytes as they are
--   client:pipeline{ {"GET","a"}, … } → { reply, … }, written and read at once
--   client:try_send(bytes)  pending()  is_ended()  without waiting
--   client:shutdown_write() close() reset()        FIN of one half, FIN, RST
--   client:expect_end()                            raises unless the server ends it
--
-- Waits end after client.timeout seconds (5) with an error that says what was
-- missing. A connection is closed with its scope.

local sys = require("support.sys")
local resp = require("support.resp")
local scope = require("support.scope")
local Socket = require("support.socket")

local Client = setmetatable({}, { __index = Socket })
Client.__index = Client

local function address_of(target)
  if type(target) == "number" then return { port = target } end
  if type(target) == "string" then return { path = target } end
  return target
end

function Client.new(target)
  local address = address_of(target)
  local fd, why = sys.connect(address, address.timeout or 5, address)
  local place = address.path or ("%s:%d"):format(address.host or "127.0.0.1", address.port)
  if not fd then error(("cannot connect to %s: %s"):format(place, why), 2) end
  local self = setmetatable(Socket.new(fd, "client of " .. place), Client)
  self.timeout = address.timeout or 5
  self.place = place
  return scope.add(self)
end

function Client:command(...)
  return self:send(resp.encode({ ... }))
end

function Client:call(...)
  self:command(...)
  return (self:read())
end

function Client:pipeline(commands)
  local bytes, replies = {}, {}
  for i, words in ipairs(commands) do
    bytes[i] = resp.encode(words)
  end
  self:send(table.concat(bytes), true)
  for i = 1, #commands do
    replies[i] = self:read()
  end
  return replies
end

-- The server must end the connection, having sent nothing more than `bytes`.
function Client:expect_end(bytes)
  local rest = self:read_to_end()
  if rest ~= (bytes or "") then
    error(("%s: expected %q before the end, got %q"):format(self.name, bytes or "", rest:sub(1, 400)), 2)
  end
end

return Client
