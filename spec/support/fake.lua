-- A host played by the spec, written like a sequence chart:
--
--   local host = support.fake()                    -- { port=, path=, auto= }
--   client:command("GET", "k")
--   host:expect("GET k")                           -- or a list { "GET", "k" }
--   host:answer("$1\r\nv\r\n")
--   assert.equal("v", client:read())
--
-- All in the spec's own process: the host does something only while one of
-- its functions runs. Requests come from any of its links in the order they
-- arrive; `host.link` is the one the last request came from.
--
--   host:accept() → link            the next new link
--   host:request() → words, link    the next request of any link
--   host:expect(words) → link       raises when it is another one
--   host:expect_silence(seconds)    no request may come
--   host:answer(bytes, link)        on the last request's link, or on link
--   host:drip(bytes, link)          one byte per packet
--   host:close_link(link) / reset_link(link)
--   host:down() / up()              refuses connections / takes them again
--   host:links()                    the open ones, oldest first
--   host:address(more)              as a host in a config table
--
-- auto = { PING = "+PONG\r\n" } answers those commands by itself when it
-- sees them (AUTH, SELECT, …) instead of giving them to expect.

local sys = require("support.sys")
local ports = require("support.ports")
local resp = require("support.resp")
local scope = require("support.scope")
local Socket = require("support.socket")

local Fake = {}
Fake.__index = Fake

function Fake.new(options)
  options = options or {}
  local self = setmetatable({ open = {}, auto = {}, timeout = 5 }, Fake)
  self.path = options.path
  self.port = not options.path and (options.port or ports.free()) or nil
  for name, bytes in pairs(options.auto or {}) do
    self.auto[name:upper()] = bytes
  end
  self.name = "fake " .. (self.path or self.port)
  self:up()
  return scope.add(self)
end

function Fake:up()
  if self.listener then return end
  if self.path then os.remove(self.path) end
  local fd, why = sys.listen({ path = self.path, port = self.port })
  if not fd then error(("%s: cannot listen: %s"):format(self.name, why), 2) end
  self.listener = fd
end

-- Stops listening and ends all links.
function Fake:down()
  if self.listener then sys.close(self.listener) end
  self.listener = nil
  for _, link in ipairs(self.open) do link:close() end
  self.open, self.link = {}, nil
end

function Fake:close()
  self:down()
  if self.path then os.remove(self.path) end
end

-- Takes in new links and bytes, waiting at most `seconds` for the first.
local function pump(self, seconds)
  local fds = { self.listener }
  for _, link in ipairs(self.open) do
    if not link.ended then fds[#fds + 1] = link.fd end
  end
  sys.poll_many(fds, seconds)
  local fd = self.listener and sys.accept(self.listener)
  while fd do
    self.open[#self.open + 1] = Socket.new(fd, self.name .. " link")
    fd = sys.accept(self.listener)
  end
  for _, link in ipairs(self.open) do link:fill() end
end

-- Waits until find() returns something.
local function wait(self, find, seconds, what)
  local deadline = sys.now() + (seconds or self.timeout)
  while true do
    local a, b = find()
    if a then return a, b end
    local left = deadline - sys.now()
    if left <= 0 then error(("%s: no %s within %.1f s"):format(self.name, what, seconds or self.timeout), 0) end
    pump(self, left)
  end
end

function Fake:accept(seconds)
  return (wait(self, function()
    for _, link in ipairs(self.open) do
      if not link.accepted then
        link.accepted = true
        return link
      end
    end
  end, seconds, "new link"))
end

-- A whole request that lies in a link's buffer, or nil.
local function take_request(link)
  local words, after = resp.decode(link.buffer, link.at)
  if not after then return nil end
  link.at = after
  return words
end

local function next_request(self)
  for _, link in ipairs(self.open) do
    local words = link.fd and take_request(link)
    while words do
      local bytes = self.auto[tostring(words[1]):upper()]
      if not bytes then return words, link end
      link:send(bytes)
      words = take_request(link)
    end
  end
end

function Fake:request(seconds)
  local words, link = wait(self, function() return next_request(self) end, seconds, "request")
  link.accepted = true
  self.link = link
  return words, link
end

local function to_text(words)
  return type(words) == "table" and table.concat(words, " ") or words
end

function Fake:expect(words, seconds)
  local got, link = self:request(seconds)
  if to_text(got) ~= to_text(words) then
    error(("%s: expected %q, got %q"):format(self.name, to_text(words), to_text(got)), 2)
  end
  return link
end

-- Nothing but automatic answers may be asked for within `seconds`.
function Fake:expect_silence(seconds)
  local deadline = sys.now() + (seconds or 0.1)
  repeat
    local words = next_request(self)
    if words then error(("%s: unexpected request %q"):format(self.name, to_text(words)), 2) end
    pump(self, math.max(0, deadline - sys.now()))
  until sys.now() >= deadline
end

local function link_of(self, link)
  link = link or self.link
  if not link then error(self.name .. ": no link yet: expect or accept first", 3) end
  return link
end

function Fake:answer(bytes, link)
  link_of(self, link):send(bytes)
  return self
end

function Fake:drip(bytes, link)
  link = link_of(self, link)
  for i = 1, #bytes do
    link:send(bytes:sub(i, i))
    sys.pause(0.0005)
  end
  return self
end

local function forget(self, link)
  for i, one in ipairs(self.open) do
    if one == link then table.remove(self.open, i) end
  end
  if self.link == link then self.link = nil end
end

function Fake:close_link(link)
  link = link_of(self, link)
  link:close()
  forget(self, link)
end

function Fake:reset_link(link)
  link = link_of(self, link)
  link:reset()
  forget(self, link)
end

-- The links that the other side has not ended.
function Fake:links()
  pump(self, 0)
  local alive = {}
  for _, link in ipairs(self.open) do
    if not link.ended then alive[#alive + 1] = link end
  end
  return alive
end

function Fake:address(more)
  local host = self.path and { unix_socket_path = self.path } or { host = "127.0.0.1", port = self.port }
  for key, value in pairs(more or {}) do host[key] = value end
  return host
end

return Fake
