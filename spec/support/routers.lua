-- C routers by FFI, for the specs of placement.
--
--   routers.new(kind, hosts, options)   hosts: a count, or a list of
--       { identifier = "a", address = "h:1", port = 1, named = true, weight = 2 }
--       options: compat, hash, hash_tag, unsigned_bytes
--       returns a router, or nil and the error
--   router:pick(key) :mark(i, up) :is_up(i) :group(i) :explain(key)   indices from 0
--   router:placement(keys)              the list of picks
--   routers.keys(count, prefix)         "key0", "key1", …
--   routers.table(name)                 the rows of a golden table, split at tabs
--   routers.unhex(text)

local ffi = require("ffi")
local header = require("support.header")
local files = require("support.files")

header.give("route/router.h")
local C = header.lib()

local M = {}
local Router = {}
Router.__index = Router

local function parse(what, name, type)
  local value = ffi.new(type .. "[1]")
  assert(C[what](name, value), name)
  return value[0]
end

local function host_list(hosts)
  if type(hosts) == "table" then return hosts end
  local list = {}
  for i = 1, hosts do list[i] = { identifier = "redis://localhost:6379/" .. (i - 1) } end
  return list
end

function M.new(kind, hosts, options)
  options = options or {}
  hosts = host_list(hosts)
  local o = ffi.new("struct router_options")
  o.kind = parse("router_kind_parse", kind, "enum router_kind")
  o.compat = parse("router_compat_parse", options.compat or "nydus", "enum router_compat")
  o.hash = options.hash and parse("hash_kind_parse", options.hash, "enum hash_kind")
    or C.router_default_hash(o.kind, o.compat)
  o.unsigned_bytes = options.unsigned_bytes or false
  if options.hash_tag then
    o.hash_tag[0], o.hash_tag[1] = options.hash_tag:byte(1), options.hash_tag:byte(2) or 0
  end

  local members = ffi.new("struct member[?]", math.max(1, #hosts))
  for i, host in ipairs(hosts) do
    local member = members[i - 1]
    member.identifier, member.address = host.identifier or host.address, host.address
    member.port, member.named, member.weight = host.port or 0, host.named or false, host.weight or 1
  end
  local text = ffi.new("char[256]")
  local router = C.router_create(o, members, #hosts, text, 256)
  if router == nil then return nil, ffi.string(text) end
  return setmetatable({ c = ffi.gc(router, C.router_destroy), size = #hosts }, Router)
end

function Router:pick(key)
  return C.router_pick(self.c, key, key and #key or 0)
end

function Router:mark(index, up)
  C.router_mark(self.c, index, up)
end

function Router:is_up(index)
  return C.router_is_up(self.c, index)
end

function Router:group(index)
  local group = ffi.new("const uint32_t *[1]")
  local list = {}
  for i = 1, tonumber(C.router_group(self.c, index, group)) do list[i] = group[0][i - 1] end
  return list
end

function Router:explain(key)
  local text = ffi.new("char[160]")
  C.router_explain(self.c, key, #key, text, 160)
  return ffi.string(text)
end

function Router:placement(keys)
  local list = {}
  for i, key in ipairs(keys) do list[i] = self:pick(key) end
  return list
end

function M.keys(count, prefix)
  local list = {}
  for i = 1, count do list[i] = (prefix or "key") .. (i - 1) end
  return list
end

function M.unhex(text)
  return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

function M.table(name)
  local rows = {}
  for line in assert(files.read("spec/vectors/" .. name)):gmatch("[^\n]+") do
    if line:sub(1, 1) ~= "#" then
      local row = {}
      for field in (line .. "\t"):gmatch("(.-)\t") do row[#row + 1] = field end
      rows[#rows + 1] = row
    end
  end
  return rows
end

return M
