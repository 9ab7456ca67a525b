-- Tables of commands kept as text, a line each: how the reply begins, then the words. `@` is the tag.
--
--   for _, row in ipairs(rows.parse(TEXT, "{a}")) do   row.begins row.words row.line
--     assert.equal(rows.raw(plain, row.words), rows.raw(client, row.words), row.line)

local M = {}

function M.parse(text, tag)
  local list = {}
  for begins, line in text:gmatch("(%S+) +([^\n]+)\n") do
    local words = {}
    for word in line:gmatch("%S+") do words[#words + 1] = (word:gsub("@", tag)) end
    list[#list + 1] = { begins = begins, words = words, line = line }
  end
  return list
end

-- The bytes of the reply.
function M.raw(client, words)
  client:command(unpack(words))
  return (select(2, client:read()))
end

return M
