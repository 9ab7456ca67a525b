-- The long list of commands in spec/compat/commands, and what it takes to
-- compare two servers by it; see commands/README.md.
--
--   differential.families() → { { name = "strings", sections = { { line, … }, … } }, … }
--                        a section is a connection; a line is
--                        { text=, words={…}, replies=1, keyed=true, loose=, different= }
--   differential.words(line, tag)             "@" is the tag
--   differential.run(client, lines, tag)      → per line the bytes of its replies
--   differential.run_in_transactions(…)       the same, each line in a MULTI … EXEC of its own
--   differential.normal(bytes, rule)          what is left to compare under a loose rule
--   differential.row(words, rows)             the name of the command table's row

local resp = require("support.resp")
local files = require("support.files")
local differences = require("compat.commands.differences")

local M = {}

local FOLDER = "spec/compat/commands"

-- ---- reading the lists ----

local escapes = { n = "\n", r = "\r", t = "\t", a = "\a", b = "\b" }

local function unquote(text)
  text = text:gsub("\\x(%x%x)", function(hex) return "\1" .. hex end)
  text = text:gsub("\\(.)", function(letter) return escapes[letter] or letter end)
  return (text:gsub("\1(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- Words as in redis-cli: bare, or "…" with \n \r \t \" \\ \xHH.
local function split(text)
  local words, at = {}, 1
  while true do
    at = text:match("^%s*()", at)
    if at > #text then return words end
    local quoted, after = text:match('^"(.-[^\\])"()', at)
    if text:sub(at, at + 1) == '""' then quoted, after = "", at + 2 end
    local bare
    if not quoted then bare, after = text:match("^(%S+)()", at) end
    words[#words + 1], at = quoted and unquote(quoted) or bare, after
  end
end

local function first_match(list, text)
  for _, row in ipairs(list) do
    for i = 1, #row do
      if text:find(row[i]) then return row end
    end
  end
end

local function parse(text)
  local replies, command = text:match("^%[(%d+)%]%s+(.+)$")
  command = command or text
  local plain = command:upper()
  return {
    text = command,
    words = split(command),
    replies = tonumber(replies) or 1,
    keyed = not replies and command:find("@", 1, true) ~= nil,
    loose = first_match(differences.loose, plain),
    different = first_match(differences.different, plain),
  }
end

function M.families()
  local families = {}
  for i, path in ipairs(files.list(FOLDER, "%.txt$")) do
    local family = { name = path:match("([%w_]+)%.txt$"), sections = { {} } }
    for text in files.read(path):gmatch("[^\n]+") do
      local sections = family.sections
      if text:find("^%-%-%-") then
        sections[#sections + 1] = {}
      elseif not text:find("^#") then
        table.insert(sections[#sections], parse(text))
      end
    end
    families[i] = family
  end
  return families
end

function M.words(line, tag)
  local words = {}
  for i, word in ipairs(line.words) do words[i] = (word:gsub("@", tag)) end
  return words
end

function M.row(words, rows)
  local name = words[1]:lower()
  local sub = words[2] and name .. "|" .. words[2]:lower()
  return sub and rows[sub] and sub or name
end

-- ---- running ----

local function read_raw(client, count)
  local raw = {}
  for i = 1, count do raw[i] = select(2, client:read()) end
  return table.concat(raw)
end

-- A walk by cursor, whose pages are no two servers' business to share: the
-- bytes of an array of all that it found.
local function walk(client, words)
  local found, cursor = {}, words[2]
  for _ = 1, 1000 do
    words[2] = cursor
    client:command(unpack(words))
    local reply, raw = client:read()
    if type(reply) ~= "table" or reply.err then return raw end
    for _, item in ipairs(reply[2]) do found[item] = true end
    cursor = reply[1]
    if cursor == "0" then break end
  end
  local list = {}
  for item in pairs(found) do list[#list + 1] = item end
  table.sort(list)
  return resp.encode(list)
end

-- Sends all at once, but for the walks.
function M.run(client, lines, tag)
  local replies, from = {}, 1
  local function flush(to)
    local bytes = {}
    for i = from, to do bytes[#bytes + 1] = resp.encode(M.words(lines[i], tag)) end
    client:send(table.concat(bytes), true)
    for i = from, to do replies[i] = read_raw(client, lines[i].replies) end
  end
  for i, line in ipairs(lines) do
    if line.loose and line.loose.rule == "walk" then
      flush(i - 1)
      replies[i], from = walk(client, M.words(line, tag)), i + 1
    end
  end
  flush(#lines)
  return replies
end

-- Per line the bytes of MULTI and QUEUED, and of EXEC without its array of one.
function M.run_in_transactions(client, lines, tag)
  local bytes, replies = {}, {}
  for i, line in ipairs(lines) do
    bytes[i] = resp.encode({ "MULTI" }) .. resp.encode(M.words(line, tag)) .. resp.encode({ "EXEC" })
  end
  client:send(table.concat(bytes), true)
  for i in ipairs(lines) do
    local queued, done = read_raw(client, 2), read_raw(client, 1)
    replies[i] = done:sub(1, 4) == "*1\r\n" and queued == "+OK\r\n+QUEUED\r\n" and done:sub(5) or queued .. done
  end
  return replies
end

-- ---- comparing ----

-- bytes at → node { type=, line = header or all bytes, children... }, next position
local function tree(bytes, at)
  local finish = bytes:find("\r\n", at, true)
  local node = { type = bytes:sub(at, at), line = bytes:sub(at, finish + 1) }
  local number = tonumber(node.line:match("^.(%-?%d+)"))
  local after = finish + 2
  if ("$="):find(node.type, 1, true) and number >= 0 then
    node.bulk = bytes:sub(after, after + number + 1)
    return node, after + number + 2
  end
  if ("*%~>"):find(node.type, 1, true) then
    for i = 1, number * (node.type == "%" and 2 or 1) do node[i], after = tree(bytes, after) end
  end
  return node, after
end

local function text_of(node)
  local out = { node.line, node.bulk or "" }
  for i, child in ipairs(node) do out[i + 2] = text_of(child) end
  return table.concat(out)
end

-- Elements by their bytes; a map by its pairs.
local function sort(node)
  local texts, step = {}, node.type == "%" and 2 or 1
  for i = 1, #node, step do
    texts[#texts + 1] = text_of(node[i]) .. (step == 2 and text_of(node[i + 1]) or "")
  end
  table.sort(texts)
  return node.line .. table.concat(texts)
end

local function sort_deep(node)
  for i, child in ipairs(node) do
    if #child > 0 then node[i] = { type = "", line = sort_deep(child) } end
  end
  return sort(node)
end

-- Kinds and lengths of aggregates, no contents.
local function shape(node)
  if #node == 0 and not ("*%~>"):find(node.type, 1, true) then
    return (node.line:find("^%$%-1") and "null" or node.type) .. " "
  end
  local out = { node.line }
  for i, child in ipairs(node) do out[i + 1] = shape(child) end
  return table.concat(out)
end

local rules = {
  walk = function(node) return text_of(node) end,
  unordered = sort,
  unordered_deep = sort_deep,
  shape = shape,
  type = function(node) return node.type end,
}

function M.normal(bytes, rule)
  local ok, node = pcall(tree, bytes, 1)
  if not ok then return bytes end
  return rules[rule](node)
end

return M
