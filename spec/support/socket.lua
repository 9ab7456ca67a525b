-- A connected socket with a read buffer and deadlines: what support.client
-- and the links of support.fake share. Every wait raises after `timeout`
-- seconds (5) and says what it waited for and what is in the buffer.

local sys = require("support.sys")
local resp = require("support.resp")

local Socket = {}
Socket.__index = Socket

function Socket.new(fd, name)
  return setmetatable({ fd = fd, name = name, buffer = "", at = 1, timeout = 5, ended = nil }, Socket)
end

local function fail(self, what)
  local rest = self.buffer:sub(self.at, self.at + 200)
  error(("%s: %s; %d unread bytes: %q"):format(self.name, what, #self.buffer - self.at + 1, rest), 0)
end

-- Takes in what is there now. false when nothing came; self.ended says why no
-- more will.
function Socket:fill()
  if self.ended or not self.fd then return false end
  local bytes, why = sys.read(self.fd)
  if bytes then
    self.buffer = self.buffer:sub(self.at) .. bytes
    self.at = 1
    return true
  end
  if why ~= "again" then self.ended = why end
  return false
end

-- Waits until `ready()` is true, reading meanwhile.
function Socket:wait_for(what, ready, seconds)
  local deadline = sys.now() + (seconds or self.timeout)
  while not ready() do
    if self.ended then fail(self, ("connection ended (%s) while waiting for %s"):format(self.ended, what)) end
    local left = deadline - sys.now()
    if left <= 0 then fail(self, ("no %s within %.1f s"):format(what, seconds or self.timeout)) end
    if not self.fd then fail(self, "is closed") end
    sys.poll(self.fd, "r", left)
    self:fill()
  end
end

-- Reads `size` bytes in pieces, for values too big to concatenate each time.
function Socket:collect(size)
  local pieces, have = { self.buffer:sub(self.at) }, #self.buffer - self.at + 1
  self.buffer, self.at = "", 1
  while have < size do
    self:wait_for(("%d of %d bytes"):format(size - have, size), function()
      return self.buffer ~= "" or self:fill()
    end)
    pieces[#pieces + 1], have = self.buffer, have + #self.buffer
    self.buffer = ""
  end
  self.buffer = table.concat(pieces)
end

-- One RESP value as a Lua value (see support.resp), and its raw bytes.
function Socket:read(seconds)
  local value, after
  self:wait_for("reply", function()
    local need = resp.need(self.buffer, self.at)
    if need and need - #self.buffer > 1024 * 1024 then
      self:collect(need - self.at + 1)
      need = nil
    end
    if need and #self.buffer < need then return false end
    local ok
    ok, value, after = pcall(resp.decode, self.buffer, self.at)
    if not ok then fail(self, tostring(value)) end
    return after ~= nil
  end, seconds)
  local raw = self.buffer:sub(self.at, after - 1)
  self.at = after
  return value, raw
end

-- Exactly `size` bytes as they came.
function Socket:read_raw(size, seconds)
  self:wait_for(("%d raw bytes"):format(size), function() return #self.buffer - self.at + 1 >= size end, seconds)
  local raw = self.buffer:sub(self.at, self.at + size - 1)
  self.at = self.at + size
  return raw
end

-- All bytes until the other side ends the connection.
function Socket:read_to_end(seconds)
  local pieces = { self.buffer:sub(self.at) }
  self.buffer, self.at = "", 1
  local deadline = sys.now() + (seconds or self.timeout)
  while not self.ended do
    local left = deadline - sys.now()
    if left <= 0 then fail(self, "the other side did not close") end
    sys.poll(self.fd, "r", left)
    while self:fill() do
      pieces[#pieces + 1] = self.buffer
      self.buffer = ""
    end
  end
  return table.concat(pieces)
end

-- Writes all bytes, waiting for room; reads meanwhile when `reading`.
function Socket:send(bytes, reading)
  local from, deadline = 1, sys.now() + self.timeout
  while from <= #bytes do
    local put, why = sys.write(self.fd, bytes, from)
    if put then
      from, deadline = from + put, sys.now() + self.timeout
    elseif why == "again" then
      if sys.now() > deadline then fail(self, ("no room to send %d bytes"):format(#bytes - from + 1)) end
      sys.poll(self.fd, reading and "rw" or "w", 0.2)
      if reading then self:fill() end
    else
      fail(self, "cannot send: " .. why)
    end
  end
  return self
end

-- Writes what fits now; returns how many bytes that were (0: no room).
function Socket:try_send(bytes)
  local put, why = sys.write(self.fd, bytes, 1)
  if not put and why ~= "again" then fail(self, "cannot send: " .. why) end
  return put or 0
end

-- Unread bytes that are here now, without waiting and without taking them.
function Socket:pending()
  while self:fill() do end -- luacheck: ignore 542
  return self.buffer:sub(self.at)
end

-- Has the other side ended the connection? Does not wait.
function Socket:is_ended()
  self:pending()
  return self.ended ~= nil
end

function Socket:shutdown_write()
  sys.shutdown_write(self.fd)
end

function Socket:close()
  if self.fd then sys.close(self.fd) end
  self.fd = nil
end

-- Ends the connection with a RST.
function Socket:reset()
  if self.fd then sys.reset(self.fd) end
  self.fd = nil
end

return Socket
