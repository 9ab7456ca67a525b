-- COMMAND: the table as clients read it, side by side with a redis-server.

local support = require("support")

describe("command", function()
  local client, peer

  setup(function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis } } })
    client, peer = nydus:client(), redis:client()
  end)

  local function words_of(line)
    local words = {}
    for word in line:gmatch("%S+") do words[#words + 1] = word end
    return words
  end

  local function set_of(list)
    local set = {}
    for _, item in ipairs(list) do set[item] = true end
    return set
  end

  -- Name, arity, flags, keys, categories of a command and its subcommands: what
  -- does not depend on the order of things, nor on tips that the table leaves out.
  local function facts(row)
    local subs = {}
    for _, sub in ipairs(row[10]) do subs[sub[1]] = facts(sub) end
    return { row[1], row[2], set_of(row[3]), row[4], row[5], row[6], set_of(row[7]), #row[9], subs }
  end

  local newer = { "client|setinfo", "client|no-touch" } -- subcommands that Redis 7.0 has not

  it("INFO gives every command as Redis does", function()
    local known = 0
    for _, row in ipairs(peer:call("COMMAND")) do
      local ours, theirs = facts(client:call("COMMAND", "INFO", row[1])[1]), facts(row)
      for _, name in ipairs(newer) do ours[9][name] = nil end
      assert.same(theirs, ours)
      known = known + 1
    end
    assert.is_true(known > 200)
  end)

  it("INFO finds names in any case, subcommands, and says null for none", function()
    local rows = client:call("COMMAND", "INFO", "GeT", "config|get", "nonsense", "get|x", "client")
    assert.equal("get", rows[1][1])
    assert.equal("config|get", rows[2][1])
    assert.equal(support.null, rows[3])
    assert.equal(support.null, rows[4])
    assert.equal("client", rows[5][1])
    assert.is_true(#rows[5][10] > 10)
  end)

  it("INFO writes key specifications", function()
    local function specs(from, name) return from:call("COMMAND", "INFO", name)[1][9] end
    for _, name in ipairs({ "get", "xread", "zunionstore", "bitop", "georadius" }) do
      for i, spec in ipairs(specs(peer, name)) do
        local ours, theirs = {}, {}
        for at = 1, #spec, 2 do theirs[spec[at]] = spec[at + 1] end
        local row = specs(client, name)[i]
        for at = 1, #row, 2 do ours[row[at]] = row[at + 1] end
        assert.same(theirs.begin_search, ours.begin_search, name)
        assert.same(theirs.find_keys, ours.find_keys, name)
      end
    end
  end)

  it("alone, COUNT and LIST agree", function()
    local all = client:call("COMMAND")
    assert.equal(#all, client:call("COMMAND", "COUNT"))
    assert.equal(#all, #client:call("COMMAND", "LIST"))
    assert.equal(#all, #client:call("COMMAND", "INFO"))
  end)

  it("LIST filters", function()
    local function sorted(from, line)
      local list = from:call(unpack(words_of(line)))
      table.sort(list)
      return list
    end
    for _, line in ipairs({
      "COMMAND LIST FILTERBY PATTERN z*", "COMMAND LIST FILTERBY PATTERN XGROUP*", "COMMAND LIST FILTERBY ACLCAT geo",
      "COMMAND LIST FILTERBY ACLCAT nonsense", "COMMAND LIST FILTERBY MODULE x",
    }) do
      assert.same(sorted(peer, line), sorted(client, line), line)
    end
  end)

  it("GETKEYS and errors are as in Redis", function()
    for _, line in ipairs({
      "COMMAND GETKEYS GET k", "COMMAND GETKEYS mset a 1 b 2 a 3", "COMMAND GETKEYS EVAL x 2 a b c",
      "COMMAND GETKEYS EVAL x 0 a", "COMMAND GETKEYS EVAL x 9 a", "COMMAND GETKEYS XREAD COUNT 1 STREAMS a b 0 0",
      "COMMAND GETKEYS XGROUP CREATE s g 0", "COMMAND GETKEYS OBJECT ENCODING k", "COMMAND GETKEYS ZUNION 2 a b",
      "COMMAND GETKEYS ZUNION 5 a b", "COMMAND GETKEYS SORT a BY x STORE b", "COMMAND GETKEYS PING x",
      "COMMAND GETKEYS PING", "COMMAND GETKEYS nonsense k", "COMMAND GETKEYS GET a b", "COMMAND GETKEYS CONFIG GET x",
      "COMMAND GETKEYS OBJECT nonsense k", "COMMAND LIST nonsense", "COMMAND LIST FILTERBY x y", "COMMAND nonsense",
      "COMMAND COUNT x", "COMMAND LIST FILTERBY ACLCAT",
    }) do
      local words = words_of(line)
      assert.same(peer:call(unpack(words)), client:call(unpack(words)), line)
    end
  end)

  it("DOCS is unknown, so that redis-cli helps with texts of its own", function()
    assert.matches("^ERR Unknown subcommand", client:call("COMMAND", "DOCS").err)
    assert.matches("^ERR Unknown subcommand", client:call("COMMAND", "DOCS", "get").err)
  end)

  it("INFO of too many names is refused", function()
    local words = { "COMMAND", "INFO" }
    for i = 3, 5000 do words[i] = "config" end
    assert.matches("^ERR COMMAND INFO takes no more than 4096 names", client:call(unpack(words)).err)
  end)
end)
