-- SPDX-License-Identifier: Apache-2.0
-- The environment of config.lua and of router scripts. It guards against
-- accidents and keeps code away from files, bytecode and the real globals;
-- loops and memory are the business of the caller's guard.
--
--   sandbox.new(options) -> box
--     options.bundle   where files come from (nydus.bundle)
--     options.folder   where require() looks: "" or a path that ends in "/"
--     options.log      function(text): what print() writes; default stderr
--     options.load     function(source, chunkname, env) -> function or nil, message;
--                      default load() in mode "t"
--     options.globals  more global variables
--     options.modules  more modules: name -> value
--   box.env            the environment
--   box:load(path)     the file as a function, or nil, message
--   box:require(name)  what the file's `require` does
local M = {}

local BASE = {
  "assert", "error", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawset", "select",
  "tonumber", "tostring", "type", "unpack", "xpcall", "_VERSION",
}
local LIBRARIES = { "string", "table", "math", "bit" }
local MAX_PIECES = 10000 -- of a chunk that load() gets bit by bit
local OS = { "getenv", "time", "date", "clock" }

local methods = {}
methods.__index = methods

local function copy(from, names)
  local to = {}
  if names then
    for _, name in ipairs(names) do
      to[name] = from[name]
    end
  else
    for name, value in pairs(from) do
      to[name] = value
    end
  end
  return to
end

local function load_text(source, chunkname, env)
  return load(source, chunkname, "t", env)
end

local function log_to_stderr(text)
  io.stderr:write(text, "\n")
end

-- All the pieces of a chunk that is given as a function, as load() takes it.
local function read_pieces(reader)
  local pieces = {}
  while true do
    if #pieces == MAX_PIECES then
      error(("load: more than %d pieces"):format(MAX_PIECES), 3)
    end
    local piece = reader()
    if piece == nil or piece == "" then
      return table.concat(pieces)
    elseif type(piece) ~= "string" then
      error("reader function must return a string", 3)
    end
    pieces[#pieces + 1] = piece
  end
end

function methods:compile(source, chunkname, env)
  if source:byte() == 27 then
    return nil, "bytecode is not allowed"
  end
  return self.load_hook(source, chunkname, env or self.env)
end

-- A byte order mark and a #! line are no Lua, but editors and habits leave them.
local function strip(source)
  return (source:gsub("^\239\187\191", ""):gsub("^#[^\n]*", ""))
end

-- "./config.lua" is shown as "config.lua".
function M.display(path)
  return (path:gsub("^%./+", ""))
end

function methods:load(path)
  local source, message = self.bundle:read(path)
  if not source then
    return nil, M.display(message)
  end
  local chunk
  chunk, message = self:compile(strip(source), "@" .. M.display(path))
  if not chunk and not message:find(":", 1, true) then
    message = M.display(path) .. ": " .. message
  end
  return chunk, message
end

local function cycle_text(loading, name)
  local names = {}
  for i, other in ipairs(loading) do
    if other == name or names[1] then
      names[#names + 1] = loading[i]
    end
  end
  names[#names + 1] = name
  return table.concat(names, " -> ")
end

local function is_module_name(name)
  return type(name) == "string" and name:find("^[%w_%-%.]+$") and not ("." .. name .. "."):find("..", 1, true)
end

-- Runs a module's chunk; what it raises goes on to the caller, so that neither
-- a guard's stop nor a lack of memory ends here.
local function run_module(self, name, chunk)
  self.loading[#self.loading + 1] = name
  self.is_loading[name] = true
  local ok, value = pcall(chunk, name)
  self.loading[#self.loading] = nil
  self.is_loading[name] = nil
  if not ok then
    error(value, 0)
  end
  return value
end

function methods:require(name)
  if not is_module_name(name) then
    error("require: expected a name like \"tenants\" or \"lib.tenants\"", 2)
  elseif self.loaded[name] ~= nil then
    return self.loaded[name]
  elseif self.is_loading[name] then
    error("modules require each other in a circle: " .. cycle_text(self.loading, name), 2)
  end
  local path = self.folder .. name:gsub("%.", "/") .. ".lua"
  local source, message = self.bundle:read(path)
  if not source then
    error("module '" .. name .. "' not found (" .. M.display(message) .. ")", 2)
  end
  local chunk
  chunk, message = self:load(path)
  if not chunk then
    error(message, 0)
  end
  local value = run_module(self, name, chunk)
  self.loaded[name] = value == nil and true or value
  return self.loaded[name]
end

local function loader(self)
  return function(chunk, chunkname, mode, env)
    if type(chunk) == "function" then
      chunk = read_pieces(chunk)
    elseif type(chunk) ~= "string" then
      error("load: expected a string or a function", 2)
    end
    if chunkname ~= nil and type(chunkname) ~= "string" then
      error("load: expected a string as the chunk's name", 2)
    elseif env ~= nil and type(env) ~= "table" then
      error("load: expected a table as the environment", 2)
    elseif mode ~= nil and (type(mode) ~= "string" or not mode:find("t", 1, true)) then
      return nil, "bytecode is not allowed"
    end
    return self:compile(chunk, chunkname or "=(load)", env)
  end
end

local function printer(log)
  return function(...)
    local parts = {}
    for i = 1, select("#", ...) do
      parts[i] = tostring((select(i, ...)))
    end
    log(table.concat(parts, "\t"))
  end
end

-- The metatable that strings share is not for the code in the box.
local function table_metatable(value)
  if type(value) == "table" then
    return getmetatable(value)
  end
  return nil
end

local STRICT = {
  __index = function(_, name)
    error("undefined variable '" .. tostring(name) .. "'", 2)
  end,
  __newindex = function(_, name)
    error(("assignment to the undeclared variable '%s', write: local %s"):format(name, name), 2)
  end,
  __metatable = false,
}

local function make_env(self, options)
  local env = copy(_G, BASE)
  for _, name in ipairs(LIBRARIES) do
    env[name] = copy(_G[name])
  end
  env.string.dump = nil
  env.os = copy(os, OS)
  env.setmetatable = setmetatable
  env.getmetatable = table_metatable
  env.print = printer(options.log or log_to_stderr)
  env.require = function(name)
    return self:require(name)
  end
  env.load = loader(self)
  env.loadstring = function(chunk, chunkname)
    return env.load(chunk, chunkname)
  end
  for name, value in pairs(options.globals or {}) do
    env[name] = value
  end
  return setmetatable(env, STRICT)
end

function M.new(options)
  if type(options) ~= "table" or not options.bundle then
    error("sandbox.new: expected options with a bundle", 2)
  end
  local self = setmetatable({
    bundle = options.bundle,
    folder = options.folder or "",
    load_hook = options.load or load_text,
    loaded = copy(options.modules or {}),
    loading = {},    -- names of the modules that run now, outermost first
    is_loading = {},
  }, methods)
  self.env = make_env(self, options)
  return self
end

return M
