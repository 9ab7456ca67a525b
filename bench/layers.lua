-- Which part of Nydus a function belongs to, by the file it stands in.
--
--   layers.new(root) → of      of(symbol, object, path below src or nil) → a name
--
-- Where a path is not known, what the compiler has put in line counts for its caller.

local M = {}

-- The first that fits: a pattern of the path below src.
local FILES = {
  { "^resp/resp", "scan" },
  { "^resp/", "command" },
  { "^base/hash", "hash" },
  { "^base/tally", "measure" }, { "^base/clock", "measure" }, { "^proxy/measure", "measure" },
  { "^base/", "memory" }, { "^proxy/request", "memory" },
  { "^route/", "route" },
  { "^net/stream", "loop" }, { "^proxy/proxy", "loop" },
  { "^proxy/client", "client" },
  { "^proxy/link", "link" }, { "^proxy/host", "link" },
  { "^proxy/dispatch", "dispatch" }, { "^proxy/cluster", "dispatch" },
  { "^proxy/split", "dispatch" }, { "^proxy/join", "dispatch" },
  { "^proxy/intake", "intake" }, { "^proxy/login", "intake" }, { "^proxy/policy", "intake" },
}

-- Of other objects.
local FOREIGN = {
  { "^__vdso", "measure" }, { "clock_gettime", "measure" },
  { "^ev_", "loop" }, { "epoll", "loop" },
  { "send", "loop" }, { "recv", "loop" },
  { "mem", "memory" }, { "alloc", "memory" }, { "free", "memory" },
}

local function first(rules, text)
  for _, rule in ipairs(rules) do
    if text:find(rule[1]) then return rule[2] end
  end
end

-- Function → path below src, of all functions: a name in column one, or behind its type, with a body.
local function places(root)
  local found = {}
  local pipe = io.popen(("cd '%s/src' && grep -rnE '^[a-z].*[a-z0-9_]\\(' --include='*.[ch]' ."):format(root))
  for line in pipe:lines() do
    local path, rest = line:match("^%./([^:]+):%d+:(.*)$")
    local name = rest and rest:match("([%w_]+)%(")
    if name and not rest:find(";%s*$") and (not found[name] or path:find("%.c$")) then found[name] = path end
  end
  pipe:close()
  return found
end

function M.new(root)
  local place = places(root)
  return function(symbol, object, path)
    symbol = symbol:gsub("@.*", ""):gsub("%.[%w_.]*$", "") -- versions, and what the compiler adds: ".part.0"
    path = path or place[symbol]
    if path then return first(FILES, path) or "other" end
    if object and object:find("libev", 1, true) then return "loop" end
    return first(FOREIGN, symbol) or "other"
  end
end

return M
