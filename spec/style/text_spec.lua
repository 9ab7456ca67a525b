local source = require("style.source")

-- Joined here, so that this file is not found by its own rule.
local markers = { "TO" .. "DO", "FIX" .. "ME", "XX" .. "X", "HA" .. "CK" }

-- Lines of all sources for which rule(file, line) gives a complaint.
local function check(folders, pattern, rule)
  local wrong = {}
  for _, folder in ipairs(folders) do
    for _, file in ipairs(source.files(folder, pattern)) do
      for i, line in ipairs(file.lines) do
        local complaint = rule(line, file)
        if complaint then wrong[#wrong + 1] = ("%s:%d: %s"):format(file.path, i, complaint) end
      end
    end
  end
  source.complain(wrong)
end

local everything = { "src", "lua", "routers", "spec", "bench", "docs" }

describe("text", function()
  it("has no left-over markers", function()
    check(everything, "%.[chlmd][ude]?[af]?$", function(line)
      for _, marker in ipairs(markers) do
        if line:find("%f[%w_]" .. marker .. "%f[^%w_]") then return marker end
      end
    end)
  end)

  it("has no tabs and no blanks at the end of a line", function()
    check(everything, "%.[chl]u?a?$", function(line)
      if line:find("\t", 1, true) then return "a tab" end
      if line:find("%s$") then return "blanks at the end" end
    end)
  end)

  it("of C has at most 110 columns", function()
    check({ "src", "spec" }, "%.[ch]$", function(line)
      local _, columns = line:gsub("[^\128-\191]", "")
      if columns > 110 then return columns .. " columns" end
    end)
  end)

  it("ends with a newline", function()
    local wrong = {}
    for _, folder in ipairs(everything) do
      for _, file in ipairs(source.files(folder, "%.[chdl][euo]?[afc]?$")) do
        if file.text ~= "" and file.text:sub(-1) ~= "\n" then wrong[#wrong + 1] = file.path end
      end
    end
    source.complain(wrong)
  end)
end)

describe("C files", function()
  it("open with what they are for, and with the licence in one line", function()
    local wrong = {}
    for _, folder in ipairs({ "src", "spec/fuzz" }) do
      for _, file in ipairs(source.files(folder, "%.[ch]$")) do
        local head = table.concat(file.lines, "\n", 1, math.min(#file.lines, 25))
        if not file.lines[1]:match("^/%*") then wrong[#wrong + 1] = file.path .. ": no opening comment" end
        if not head:find("SPDX-License-Identifier: Apache-2.0", 1, true) then
          wrong[#wrong + 1] = file.path .. ": no SPDX line"
        end
      end
    end
    source.complain(wrong)
  end)

  it("say #pragma once, when they are headers", function()
    local wrong = {}
    for _, file in ipairs(source.files("src", "%.h$")) do
      if not file.text:find("\n#pragma once\n", 1, true) then wrong[#wrong + 1] = file.path end
    end
    source.complain(wrong)
  end)
end)

describe("Lua modules", function()
  it("open with what they are for", function()
    local wrong = {}
    for _, folder in ipairs({ "lua", "routers", "spec/support" }) do
      for _, file in ipairs(source.files(folder, "%.lua$")) do
        if not (file.lines[1] or ""):match("^%-%-") then wrong[#wrong + 1] = file.path end
      end
    end
    source.complain(wrong)
  end)
end)
