-- Free ports on loopback, below the range the kernel gives to outgoing
-- connections, and never the same one twice in specs that run side by side.
--
--   ports.free() → port

local sys = require("support.sys")

local M = {}

local FIRST, COUNT = 15000, 16000
local next_port = (sys.getpid() * 61) % COUNT

function M.free()
  for _ = 1, COUNT do
    local port = FIRST + next_port
    next_port = (next_port + 1) % COUNT
    local fd = sys.lock("nydus-spec-port-" .. port) and sys.listen({ port = port })
    if fd then
      sys.close(fd)
      return port
    end
  end
  error("no free port", 2)
end

return M
