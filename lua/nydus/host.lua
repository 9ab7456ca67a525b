-- SPDX-License-Identifier: Apache-2.0
-- What a script knows of a host while it runs, and what it may do to it.
--
--   host.state           as this worker sees it: "up", "down" (marked down), "away" (cannot be reached),
--                        "connecting" (for the first time), "idle" (nothing was tried)
--   host:down(seconds)   marks it down in this worker: routers with eject do not choose it. It stays so for that
--                        time at least, and until it can be reached; default: the cluster's retry_timeout;
--                        math.huge: until host:up(), or the configuration is replaced
--   host:up()            takes it back at once; it may fail again
--
-- What is said at load holds as soon as the configuration is in force.
--
--   host.setup(native)
local abi = require("nydus.abi")
local target = require("nydus.target")

local M = {}

local function check_host(self, method)
  if not target.is(self) or target.info(self).kind ~= "host" then
    error(("write host:%s(), with a colon"):format(method), 3)
  end
end

function M.setup(native)
  local batch = abi.batch
  local state_of, names = batch.host_state, native.host_states()

  target.computed.host = {
    state = function(self)
      return names[state_of(batch.owner, self.id_)]
    end,
  }

  target.methods.host = {
    down = function(self, seconds)
      check_host(self, "down")
      if seconds ~= nil and type(seconds) ~= "number" then
        error(("bad argument #1 to 'down' (seconds are expected, got %s)"):format(target.kind(seconds)), 2)
      elseif seconds and (seconds <= 0 or seconds ~= seconds) then
        error(("bad argument #1 to 'down' (seconds above 0 are expected, got %g)"):format(seconds), 2)
      end
      native.host_down(self.id_, seconds)
    end,
    up = function(self)
      check_host(self, "up")
      native.host_up(self.id_)
    end,
  }
end

return M
