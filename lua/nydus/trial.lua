-- SPDX-License-Identifier: Apache-2.0
-- What the hook check gets, to try its router before clients do:
--
--   check = function(test)
--     assert(test:route("GET", "user:1") == cluster.hosts[1], "user:1 has moved")
--   end
--
--   test:route("GET", "k", …)    the host that would get it, or a list of hosts; else nil, and what
--                                test:explain says. Of failover and its like: the first
--   test:explain("GET", "k", …)  the decision step by step, as `nydus --route` prints it
--   test:down(host) test:up(host)   marks a host down, and back, as host:down() does
--
-- It runs when the files are checked: at the start, before each reload, by --check; in a state
-- that serves nobody, so that nothing it does is left, and nydus.kept is empty. It may take a second.
--
--   trial.setup(native)
--   trial.add(index, fn)         the hook of the script of cluster `index`
--   trial.run(index)             calls it, if there is one: true, or it raises
local target = require("nydus.target")

local M = {}

local native
local hooks = {} -- by index
local running    -- the index, while one runs

local function check(self, method)
  if type(self) ~= "table" or rawget(self, "is_test") == nil then
    error(("write test:%s(…), with a colon"):format(method), 3)
  elseif not running then
    error("the test is over: it is good while check runs", 3)
  end
end

-- The command in RESP, or an error where it was called.
local function encode(method, ...)
  local words = { ... }
  if #words == 0 then
    error(("bad argument #1 to '%s' (a command is expected, got nil)"):format(method), 3)
  end
  for i = 1, select("#", ...) do
    if type(words[i]) ~= "string" and type(words[i]) ~= "number" then
      error(("bad argument #%d to '%s' (a string is expected, got %s)"):format(i, method, target.kind(words[i])), 3)
    end
    local word = tostring(words[i])
    words[i] = ("$%d\r\n%s\r\n"):format(#word, word)
  end
  return ("*%d\r\n%s"):format(#words, table.concat(words))
end

local function check_host(value, method)
  if not target.is(value) or target.info(value).kind ~= "host" then
    error(("bad argument #1 to '%s' (a host is expected, got %s)"):format(method, target.kind(value)), 3)
  end
end

local methods = {}

local function try(bytes)
  local ids, text = native.trial(running, bytes)
  if not ids then
    error("stopped: it ran for more than 1 s", 3)
  end
  return ids, text
end

function methods.route(self, ...)
  check(self, "route")
  local ids, text = try(encode("route", ...))
  for i, id in ipairs(ids) do
    ids[i] = target.object(id)
  end
  if #ids == 0 then
    return nil, text
  end
  return #ids == 1 and ids[1] or ids
end

function methods.explain(self, ...)
  check(self, "explain")
  local _, text = try(encode("explain", ...))
  return text
end

function methods.down(self, host)
  check(self, "down")
  check_host(host, "down")
  native.host_down(host.id_, math.huge)
end

function methods.up(self, host)
  check(self, "up")
  check_host(host, "up")
  native.host_up(host.id_)
end

local TEST = {
  __index = function(_, name)
    return methods[name] or error(("a test has no method '%s' (it has route, explain, down and up)")
      :format(tostring(name)), 2)
  end,
  __newindex = function(_, name)
    error(("a test cannot be changed (field '%s')"):format(tostring(name)), 2)
  end,
  __tostring = function()
    return "test"
  end,
  __metatable = false,
}

function M.setup(bindings)
  native = bindings
end

function M.add(index, fn)
  hooks[index] = fn
end

function M.run(index)
  if not hooks[index] then
    return true
  end
  running = index
  hooks[index](setmetatable({ is_test = true }, TEST))
  running = nil
  return true
end

return M
