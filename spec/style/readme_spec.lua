-- README's table of commands names every row of the command table, once.

local source = require("style.source")

local own = { nydus = true } -- Nydus's own commands, which no Redis has

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

-- The names of src/resp/command.def: "get", "acl|cat", …
local function table_rows()
  local rows = {}
  for name in read("src/resp/command.def"):gmatch('\nCOMMAND%("([^"]+)"') do rows[name] = true end
  return rows
end

-- What one `…` names: commands, or a container and its subcommands.
local function names_in(span, rows)
  local words = {}
  for word in span:lower():gmatch("%S+") do words[#words + 1] = word end
  local container = words[1]
  if not (words[2] and rows[container .. "|" .. words[2]]) then return words end
  local names = {}
  for i = 2, #words do names[#names + 1] = container .. "|" .. words[i] end
  return names
end

-- name → how often the first column of the table has it
local function named(rows)
  local section = read("README.md"):match("\n## What clients can do\n(.-)\n## ")
  local count = {}
  for line in section:gmatch("[^\n]+") do
    local column = line:match("^|(.-)|")
    for span in (column or ""):gmatch("`([^`]+)`") do
      for _, name in ipairs(names_in(span, rows)) do count[name] = (count[name] or 0) + 1 end
    end
  end
  return count
end

describe("README", function()
  local rows = table_rows()
  local count = named(rows)

  -- A container is covered by a name of its own, or by any of its subcommands.
  local function covered(name)
    if count[name] then return true end
    local container = name:match("^(.-)|")
    if container then return count[container] ~= nil end
    for other in pairs(count) do
      if other:sub(1, #name + 1) == name .. "|" then return true end
    end
    return false
  end

  it("names every command", function()
    local missing = {}
    for name in pairs(rows) do
      if not covered(name) then missing[#missing + 1] = "README.md: no row of the table of commands names " .. name end
    end
    source.complain(missing)
  end)

  it("names no command twice, and none that is not there", function()
    local wrong = {}
    for name, times in pairs(count) do
      if times > 1 then wrong[#wrong + 1] = "README.md: named twice: " .. name end
      if not rows[name] and not own[name:match("^[^|]+")] then wrong[#wrong + 1] = "README.md: no such command: " .. name end
    end
    source.complain(wrong)
  end)
end)
