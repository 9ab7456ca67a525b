-- What specs use. See README.md beside this file, and the head of each module.
--
--   support.redis{…}         a private redis-server            support/redis.lua
--   support.nydus{…}         the server under test             support/nydus.lua
--   support.nydus_fails{…}   … that must refuse to start
--   support.nydus_run{…}     … run to its end (--check, --route)
--   support.client(target)   a raw RESP client                 support/client.lua
--   support.fake{…}          a host played by the spec         support/fake.lua
--   support.run{…}           any program to its end            support/process.lua
--   support.start{…}         any program beside the spec
--   support.lib() header(name) cdef(text)   C by FFI           support/header.lua
--   support.null encode(words) decode(bytes)   RESP values     support/resp.lua
--   support.wait_until(fn, seconds, what)
--   support.free_port() temp_dir() read_file(path) write_file(path, bytes) list_files(folder, pattern)
--   support.rss(pid) fds(pid) cpu(pid) children(pid)
--   support.has(program)     is it installed?
--   support.now()            seconds, monotonic
--   support.sanitized        this is a sanitizer's run: everything is five times slower

local sys = require("support.sys")
local resp = require("support.resp")
local files = require("support.files")
local scope = require("support.scope")
local header = require("support.header")
local Process = require("support.process")
local Nydus = require("support.nydus")

local M = {
  redis = require("support.redis").new,
  nydus = Nydus.new,
  nydus_fails = Nydus.fails,
  nydus_run = Nydus.run,
  client = require("support.client").new,
  fake = require("support.fake").new,
  run = Process.run,
  lib = header.lib,
  header = header.give,
  cdef = header.cdef,
  null = resp.null,
  encode = resp.encode,
  decode = resp.decode,
  wait_until = sys.wait_until,
  now = sys.now,
  free_port = require("support.ports").free,
  temp_dir = files.temp_dir,
  read_file = files.read,
  write_file = files.write,
  list_files = files.list,
  rss = files.rss,
  fds = files.fds,
  cpu = files.cpu,
  children = files.children,
  sanitized = (os.getenv("SANITIZER") or "") ~= "",
}

-- A program that is killed with its scope; see support/process.lua.
function M.start(options)
  local process = Process.start(options)
  return scope.add(setmetatable({ close = function() process:kill() end }, { __index = process }))
end

function M.has(program)
  for folder in (os.getenv("PATH") or ""):gmatch("[^:]+") do
    local file = io.open(folder .. "/" .. program)
    if file then
      file:close()
      return true
    end
  end
  return false
end

return M
