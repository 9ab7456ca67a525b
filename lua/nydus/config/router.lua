-- SPDX-License-Identifier: Apache-2.0
-- Reads `router =` of a cluster: a built-in router, "all", or a script.
--
--   router.read(reader, path, value)   the normalised router; problems go to the reader
local schema = require("nydus.config.schema")
local suggest = require("nydus.config.suggest")
local types = require("nydus.config.types")

local M = {}

local NAMES = {}
for name in pairs(schema.routers) do
  NAMES[#NAMES + 1] = name
end
table.sort(NAMES)

-- Stands in for what could not be read; no further problem comes of it.
local BROKEN = { kind = "broken" }

local function is_script(name)
  return name:find("%.lua$") ~= nil
end

local function refuse(reader, path, value)
  local shown = types.show(value)
  if type(value) == "function" then
    reader:problem(path, "a function is not a router; put it into a file: router = \"routers/mine.lua\"")
  elseif type(value) ~= "string" then
    reader:problem(path, shown .. " is not the name of a router or of a script")
  else
    reader:problem(path, ("%s is not a router%s (there are %s, and scripts that end in .lua)")
      :format(shown, suggest.hint(value, NAMES), table.concat(NAMES, ", ")))
  end
  return BROKEN
end

local function read_script(reader, path, text, given)
  local file = text:sub(1, 1) == "/" and text or reader.folder .. text
  local bytes, message = reader.bundle:read(file)
  if not bytes then
    reader:problem(path, message)
  end
  local options = {}
  for key, value in next, given do
    if key ~= 1 then
      options[key] = value
    end
  end
  return { kind = "script", path = file, text = text, options = options }
end

local function has(list, word)
  for _, other in ipairs(list) do
    if other == word then
      return true
    end
  end
  return false
end

-- The given options, checked, without defaults.
local function read_options(reader, path, name, given)
  local known, allowed = {}, schema.routers[name].options
  for _, key in ipairs(reader.sorted_keys(given)) do
    if schema.router[key] and not has(allowed, key) then
      reader:problem(reader.join(path, key), "it has no meaning for the router " .. name)
    elseif key ~= 1 then -- 1 is the name itself
      known[key] = given[key]
    end
  end
  return reader:fields(path, known, schema.router, allowed)
end

local function read_builtin(reader, path, name, given)
  local row = schema.routers[name]
  local options = read_options(reader, path, name, given)
  if name == "all" then
    return { kind = "all" }
  end
  local compat = options.compat or schema.router.compat.default
  if compat == "twemproxy" and not row.twemproxy then
    reader:problem(reader.join(path, "compat"), "twemproxy has no router " .. name)
  end
  for _, key in ipairs(row.fixed or {}) do
    if options[key] and options[key] ~= row[key] then
      local text = ("the router %s has %s and no other"):format(name, types.show(row[key]))
      reader:problem(reader.join(path, key), text)
    end
  end
  local signed = options.signed
  if signed == nil then
    signed = schema.router.signed.default
  end
  return {
    kind = "builtin",
    name = name,
    compat = compat,
    hash = options.hash or compat == "twemproxy" and row.twemproxy_hash or row.hash,
    hash_tag = options.hash_tag or row.hash_tag,
    eject = options.eject,
    ejects = row.eject == true and compat ~= "twemproxy",
    signed = signed,
  }
end

function M.read(reader, path, value)
  local given = {}
  if type(value) == "table" then
    if not reader:plain(path, value, "a table of a router and its options") then
      return BROKEN
    end
    given, value = value, rawget(value, 1)
    if value == nil then
      reader:problem(path, "the name of a router or of a script comes first, as in { \"ketama\", … }")
      return BROKEN
    end
  end
  if type(value) == "string" and is_script(value) then
    return read_script(reader, path, value, given)
  elseif schema.routers[value] then
    return read_builtin(reader, path, value, given)
  end
  return refuse(reader, path, value)
end

return M
