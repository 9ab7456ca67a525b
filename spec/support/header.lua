-- Gives our C headers to ffi.cdef, so that specs of C modules declare nothing
-- by hand and always agree with the build.
--
--   local C = support.lib()
--   support.header("resp/resp.h")        -- and what it includes of ours, once
--   C.resp_scan_request(…)
--
-- Understood: what src/ uses (structs, enums, prototypes, one-line #define of
-- numbers as constants). Inline functions are left out.

local ffi = require("ffi")
local files = require("support.files")

local M = {}

local given = {}

local function strip_comments(text)
  return (text:gsub("/%*.-%*/", " "):gsub("//[^\n]*", " "))
end

-- "static inline int f(…) { … }" cannot be declared, only compiled.
local function strip_inline(text)
  return (text:gsub("static%s+inline%s[^;{]-%b()%s*%b{}", " "))
end

local function defines(text)
  local out = {}
  for name, value in text:gmatch("\n%s*#define%s+([A-Z][A-Z0-9_]*)[ \t]+%(?(%-?[0-9][xXa-fA-F0-9]*)u?%)?[ \t]*\n") do
    if math.abs(tonumber(value) or 2 ^ 40) < 2 ^ 31 then
      out[#out + 1] = ("enum { %s = %s };"):format(name, value)
    end
  end
  return table.concat(out, "\n")
end

-- Declarations one by one: what another header already gave is skipped.
local function declare(text, path)
  local from, depth = 1, 0
  for at, mark in text:gmatch("()([{};])") do
    depth = depth + (mark == "{" and 1 or mark == "}" and -1 or 0)
    if mark == ";" and depth == 0 then
      local ok, why = pcall(ffi.cdef, text:sub(from, at))
      if not ok and not tostring(why):find("redefine", 1, true) then
        error(("%s: %s in:\n%s"):format(path, why, text:sub(from, at)), 0)
      end
      from = at + 1
    end
  end
end

function M.give(name)
  if given[name] then return end
  given[name] = true
  local text = "\n" .. strip_comments(assert(files.read("src/" .. name)):gsub("\\\n", " "))
  for inner in text:gmatch('\n%s*#include%s+"([^"]+)"') do M.give(inner) end
  declare(defines(text), name)
  declare(strip_inline(text:gsub("\n%s*#[^\n]*", "\n")), name)
end

-- What ffi.cdef would do, but for text that overlaps with another spec's.
function M.cdef(text)
  declare(strip_comments(text), "support.cdef")
end

local library

-- The build under test: every object but main.o.
function M.lib()
  if not library then
    local path = os.getenv("NYDUS_LIB") or "build/libnydus.so"
    library = ffi.load(path:find("/", 1, true) == 1 and path or "./" .. path)
  end
  return library
end

return M
