-- The sources as the style specs see them: files, lines, functions.
--
--   source.files(folder, pattern)  → { { path=, text=, lines={…} }, … }
--   source.functions(file)         → { { name=, line=, length= }, … }
--   source.complain(list)          raises with all complaints, if there are any

local files = require("support.files")

local M = {}

local function lines_of(text)
  local lines = {}
  for line in (text:sub(-1) == "\n" and text or text .. "\n"):gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  return lines
end

function M.files(folder, pattern)
  local found = {}
  for i, path in ipairs(files.list(folder, pattern)) do
    local text = assert(files.read(path))
    found[i] = { path = path, text = text, lines = lines_of(text) }
  end
  return found
end

-- Functions of a C file by their shape: "{" or "… {" and "}" in column one.
-- The length counts all lines from the first of the signature to the brace.
function M.functions(file)
  local found, start, open = {}, nil, nil
  for i, line in ipairs(file.lines) do
    if open then
      if line:match("^}") then
        local name = table.concat(file.lines, " ", open, i):match("([%w_]+)%s*%(") or "?"
        found[#found + 1] = { name = name, line = open, length = i - open + 1 }
        open, start = nil, nil
      end
    elseif line:match("^{") or line:match("^[%a_].*%)%s*{%s*$") or (start and line:match("%)%s*{%s*$")) then
      open = start or i
    elseif line:match("^[%a_].*%)%s*{.*}%s*$") then
      found[#found + 1] = { name = line:match("([%w_]+)%s*%("), line = i, length = 1 }
    elseif line:match("^[%a_][^;={]*%(") then
      start = i
    elseif line:match("^$") or line:match("[;}]%s*$") then
      start = nil
    end
  end
  return found
end

function M.complain(list)
  if #list > 0 then error(table.concat(list, "\n"), 2) end
end

return M
