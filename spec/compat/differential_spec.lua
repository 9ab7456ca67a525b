-- Every command against one Redis and against Nydus: the same bytes, but for
-- what spec/compat/commands/differences.lua says.

local support = require("support")
local differential = require("compat.differential")
local differences = require("compat.commands.differences")
local files = require("support.files")

local SHOWN = 15 -- complaints of one spec
local PROTOCOLS = { 2, 3 }
local CASES = {
  { server = "bare", name = "one host and no router", hosts = 1 },
  { server = "one", name = "one host", hosts = 1 },
  { server = "three", name = "three hosts", hosts = 3 },
}
-- Lists that are about the state of a connection, or about none.
local STATEFUL = { transactions = true, pubsub = true, connection = true, nydus = true, server = true }

-- A reply in one line.
local function show(reply)
  return (("%q"):format(reply:sub(1, 300)):gsub("\\13\\\n", "|"))
end

local families = differential.families()

-- The names of the command table, and which of them are containers.
local function command_rows()
  local rows = {}
  for name in files.read("src/resp/command.def"):gmatch('\nCOMMAND%("([^"]+)"') do rows[name] = true end
  return rows
end

local function all_lines()
  local list = {}
  for _, family in ipairs(families) do
    for _, section in ipairs(family.sections) do
      for _, line in ipairs(section) do list[#list + 1] = line end
    end
  end
  return list
end

local function complain(list)
  if #list == 0 then return end
  local more = #list > SHOWN and ("\n… and %d more"):format(#list - SHOWN) or ""
  error(table.concat(list, "\n", 1, math.min(#list, SHOWN)) .. more, 2)
end

describe("list of commands", function()
  it("has every row of the command table", function()
    local rows, missing = command_rows(), {}
    local seen = {}
    for _, line in ipairs(all_lines()) do seen[differential.row(line.words, rows)] = true end
    for name in pairs(rows) do
      if not seen[name] then missing[#missing + 1] = "no line for " .. name end
    end
    table.sort(missing)
    complain(missing)
  end)

  it("has a line for every difference", function()
    local used, unused = {}, {}
    for _, line in ipairs(all_lines()) do
      used[line.loose or false], used[line.different or false] = true, true
    end
    for _, list in ipairs({ differences.loose, differences.different }) do
      for _, row in ipairs(list) do
        if not used[row] then unused[#unused + 1] = "no line is like " .. row[1] end
        if not row.why then unused[#unused + 1] = "no reason for " .. row[1] end
      end
    end
    complain(unused)
  end)
end)

describe("every command", function()
  local servers, tags

  setup(function()
    local function redis() return support.redis({ hz = 500 }) end -- what blocks ends in time
    local hosts = { redis(), redis(), redis() }
    local ring = { "ketama", hash_tag = "{}" }
    servers = {
      plain = redis(),
      bare = support.nydus({ config = { hosts = { redis() } } }),
      one = support.nydus({ config = { router = ring, hosts = { redis() } } }),
      three = support.nydus({ config = { router = ring, hosts = hosts, defaults = { connections = 2 }, workers = 2 } }),
    }
    -- a tag for each of the three hosts
    local client, taken = servers.three:client(), {}
    tags = {}
    for i = 1, 100 do
      client:call("SET", ("{t%d}"):format(i), "x")
      for h, host in ipairs(hosts) do
        if not taken[h] and host:call("DBSIZE") > 0 then
          taken[h] = true
          tags[#tags + 1] = ("{t%d}"):format(i)
        end
      end
      if #tags == 3 then break end
      client:call("FLUSHALL")
    end
  end)

  local function fresh(server, protocol)
    local client = server:client()
    if protocol == 3 then
      local reply = client:call("HELLO", "3")
      if reply.err then error(reply.err, 0) end
    end
    return client
  end

  local function empty(server)
    local client = server:client()
    for _, words in ipairs({ { "FLUSHALL" }, { "SCRIPT", "FLUSH" }, { "FUNCTION", "FLUSH" } }) do
      client:call(unpack(words))
    end
    client:close()
  end

  -- Is the reply of Nydus, with so many hosts, not what it has to be?
  local function complaint(line, hosts, in_transaction, expected, got)
    local row = line.different
    if row and (row.hosts or hosts) ~= hosts then row = nil end
    if row and (row.in_transaction or false) ~= in_transaction then row = nil end
    if row then
      if not got:find(row.nydus) then return "should match " .. show(row.nydus) end
      if expected == got and not row.apart then return "no longer differs" end
      return
    end
    if expected == got then return end
    local rule = line.loose and line.loose.rule
    if rule and differential.normal(expected, rule) == differential.normal(got, rule) then return end
    return "should be " .. show(expected)
  end

  -- Two servers' replies to the same lines; the plain one was not asked all of them.
  local function compare(wrong, lines, hosts, in_transaction, expected, got)
    for _, line in ipairs(lines) do
      local what = complaint(line, hosts, in_transaction, expected[line], got[line])
      if what then
        wrong[#wrong + 1] = ("%s\n  is        %s\n  %s"):format(line.text, show(got[line]), what)
      end
    end
  end

  -- line → reply
  local function ask(server, lines, tag, protocol, run)
    local client = fresh(server, protocol)
    local replies, by_line = run(client, lines, tag), {}
    client:close()
    for i, line in ipairs(lines) do by_line[line] = replies[i] end
    return by_line
  end

  local function without(lines, property)
    local list = {}
    for _, line in ipairs(lines) do
      if not (line.different and line.different[property]) then list[#list + 1] = line end
    end
    return list
  end

  -- What to do with a family, on both servers; the plain one is asked once for each protocol and tag.
  local function comparison(run, choose)
    local asked = {}

    local function plain_replies(lines, section, tag, protocol)
      local key = ("%d %s"):format(protocol, tag)
      asked[section] = asked[section] or {}
      asked[section][key] = asked[section][key] or ask(servers.plain, without(lines, "apart"), tag, protocol, run)
      return asked[section][key]
    end

    return function(family, case, protocol)
      local wrong, server = {}, servers[case.server]
      for i = 1, case.hosts do
        empty(servers.plain)
        empty(server)
        for _, section in ipairs(family.sections) do
          local lines = choose(section)
          compare(wrong, lines, case.hosts, run == differential.run_in_transactions,
            plain_replies(lines, section, tags[i], protocol), ask(server, lines, tags[i], protocol, run))
        end
        if #wrong > 0 then break end
      end
      complain(wrong)
    end
  end

  local compare_alone = comparison(differential.run, function(lines) return lines end)

  -- In a transaction a walk is a page; what is different alone may be so there in other ways.
  local compare_in_transactions = comparison(differential.run_in_transactions, function(lines)
    local list = {}
    for _, line in ipairs(lines) do
      if line.keyed and (not line.different or line.different.in_transaction) then list[#list + 1] = line end
    end
    return list
  end)

  for _, protocol in ipairs(PROTOCOLS) do
    for _, case in ipairs(CASES) do
      describe(("through %s in RESP%d"):format(case.name, protocol), function()
        for _, family in ipairs(families) do
          it("is answered as by one Redis: " .. family.name, function() compare_alone(family, case, protocol) end)
          if not STATEFUL[family.name] then
            it("is answered as by one Redis in a transaction: " .. family.name, function()
              compare_in_transactions(family, case, protocol)
            end)
          end
        end
      end)
    end
  end

  -- The words with their first "@" on one host and the others on another, if both
  -- are in keys; Redis says which words are keys.
  local function scattered(line, plain)
    local words, seen = {}, false
    for i, word in ipairs(line.words) do
      words[i] = word:gsub("@", seen and tags[2] or tags[1])
      seen = seen or word:find("@", 1, true) ~= nil
    end
    local keys = plain:call("COMMAND", "GETKEYS", unpack(words))
    if keys.err then return end
    local text = table.concat(keys, " ")
    return text:find(tags[1], 1, true) and text:find(tags[2], 1, true) and words
  end

  local CROSSSLOT = "CROSSSLOT Keys in request don't hash to the same host"
  -- These can be taken apart; SORT may be refused for its patterns before that.
  local apart = { MGET = true, MSET = true, DEL = true, UNLINK = true, EXISTS = true, TOUCH = true, SORT = true }

  it("is refused with keys on several hosts, unless it can be taken apart", function()
    local plain, client, asked, wrong = servers.plain:client(), servers.three:client(), 0, {}
    client:call("FLUSHALL")
    for _, line in ipairs(all_lines()) do
      local words = line.keyed and not line.different and not apart[line.words[1]] and scattered(line, plain)
      if words then
        asked = asked + 1
        local reply = client:call(unpack(words))
        if reply.err ~= CROSSSLOT and reply.err ~= plain:call(unpack(words)).err then
          wrong[#wrong + 1] = ("%s: %s"):format(line.text, tostring(reply.err))
        end
        if line.words[1] == "WATCH" then client:call("UNWATCH") end
      end
    end
    complain(wrong)
    assert.is_true(asked > 100, asked .. " commands have several keys")
    assert.equal(0, client:call("DBSIZE"))
  end)
end)
