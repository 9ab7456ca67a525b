-- SPDX-License-Identifier: Apache-2.0
-- What the script layer in C calls: reads the configuration, runs router scripts.
--
--   runtime.start(native)           native: the C functions; once per state
--   runtime.load_config(path, packed, known)   the normalised configuration, or nil, problems as lines;
--                                   packed: the bytes of runtime.pack, nil: read from disk;
--                                   known: the configuration as another state has read it, or nil
--   runtime.pack()                  all files that were read so far
--   runtime.load_router(index, path)    the number of the cluster's target, or nil, message;
--                                   it may raise: what the script raised
--   runtime.notes(index)            what is slow in the functions of that router, as lines; "" when nothing is
--   runtime.begin leave step place host_changed   see nydus.events
--   runtime.values give             see nydus.keep
--   runtime.check(index)            runs the hook check of a cluster's script; true, or it raises
local abi = require("nydus.abi")
local bundle = require("nydus.bundle")
local config = require("nydus.config")
local driver = require("nydus.driver")
local events = require("nydus.events")
local guard = require("nydus.guard")
local hooks = require("nydus.hooks")
local init = require("nydus.init")
local limiter = require("nydus.limiter")
local keep = require("nydus.keep")
local limits = require("nydus.limits")
local received = require("nydus.received")
local request = require("nydus.request")
local sandbox = require("nydus.sandbox")
local target = require("nydus.target")
local trial = require("nydus.trial")

local M = {}

-- LuaJIT's own limits are made for smaller programs: a large router is one
-- loop with very many ways through it.
local JIT = { "maxtrace=8000", "maxside=1000", "maxmcode=8192", "maxsnap=2000" }

local native, load_chunk, files, current, nydus

function M.start(bindings)
  native = bindings
  jit.opt.start(unpack(JIT))
  abi.open(native)
  limits.install(native)
  getmetatable("").__metatable = false
  target.setup(native)
  driver.setup(native, target.id)
  hooks.setup(native)
  received.setup()
  request.setup(native)
  load_chunk = guard.loader(guard.check(abi.guard))
  return M
end

-- What rules of users may name.
local function rule_names()
  local commands = {}
  for _, name in pairs(native.commands()) do
    commands[#commands + 1] = name
  end
  return { commands = commands, categories = native.categories() }
end

function M.load_config(path, packed, known)
  local message
  if packed then
    files, message = bundle.unpack(packed)
  else
    files = bundle.new()
  end
  if not files then
    return nil, path .. ": " .. message
  end
  M.folder = config.folder(path)
  if known then
    current = known
    return known
  end
  local problems
  current, problems = config.load(files, path, {
    load = load_chunk,
    log = native.log,
    names = rule_names(),
  })
  if not current then
    return nil, table.concat(problems, "\n")
  end
  return current
end

function M.pack()
  return files:pack()
end

-- Scripts get a copy: what they do to their options stays theirs.
local function copy(value)
  if type(value) ~= "table" then
    return value
  end
  local to = {}
  for key, item in pairs(value) do
    to[key] = copy(item)
  end
  return to
end

local function run(index, path)
  nydus = nydus or init.create(native)
  limiter.load(current.clusters[index + 1].name)
  local cluster = current.clusters[index + 1]
  local kept = keep.open(index, ("cluster %s, %s"):format(cluster.name, cluster.router.text))
  local box = sandbox.new({
    bundle = files,
    folder = M.folder,
    load = load_chunk,
    log = native.log,
    modules = { nydus = nydus.module({ kept = kept }) },
  })
  local chunk, message = box:load(path)
  if not chunk then
    return nil, message
  end
  local value = chunk(nydus.clusters[index + 1], copy(cluster.router.options or {}))
  if value == nil then
    return nil, sandbox.display(path) .. ": it returns nothing; it has to end with `return` and a target"
  end
  local id
  id, message = hooks.take(value, index)
  if not id then
    return nil, sandbox.display(path) .. ": " .. message
  end
  return id
end

local functions = {} -- by the cluster's index: those that decide

-- When it is done decisions are made, and nothing more that is kept for ever.
function M.load_router(index, path)
  target.loading, target.functions = true, {}
  target.cluster = current.clusters[index + 1].name
  local id, message = run(index, path)
  target.loading, functions[index] = false, target.functions
  return id, message
end

function M.notes(index)
  local lint = require("nydus.lint") -- seldom wanted
  return table.concat(lint.notes(functions[index] or {}), "\n")
end

for _, name in ipairs({ "begin", "leave", "step", "place", "host_changed" }) do
  M[name] = events[name]
end
M.values, M.give, M.check = keep.values, keep.give, trial.run

return M
