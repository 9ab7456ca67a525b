-- COMMAND: the table as clients read it, side by side with a redis-server.

local support = require("support")

describe("command", function()
  local client, peer

  setup(function()
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis } } })
    client, peer = nydus:client(), redis:client()
    client.nydus_port = nydus.port
  end)

  local function words_of(line)
    local words = {}
    for word in line:gmatch("%S+") do words[#words + 1] = word end
    return words
  end

  -- The bytes of a row of COMMAND INFO; its subcommands come in the order of a hash.
  local function info(from, name)
    from:command("COMMAND", "INFO", name)
    local _, bytes = from:read()
    return bytes
  end

  it("INFO gives every command as Redis does, byte by byte", function()
    local known = 0
    for _, name in ipairs(peer:call("COMMAND", "LIST")) do
      local row = peer:call("COMMAND", "INFO", name)[1]
      if #row[10] == 0 then assert.equal(info(peer, name), info(client, name)) end
      known = known + 1
    end
    assert.is_true(known > 300)
  end)

  it("lists what this cluster can do", function()
    local function names(list)
      local set = {}
      for _, name in ipairs(list) do set[name] = true end
      return set
    end
    local ours, theirs = names(client:call("COMMAND", "LIST")), names(peer:call("COMMAND", "LIST"))
    for _, name in ipairs({ "get", "object|freq", "eval", "blpop", "multi", "command|docs", "client|list" }) do
      assert.is_true(theirs[name] and ours[name], name)
    end
    for _, name in ipairs({ "shutdown", "debug", "acl", "acl|cat", "swapdb", "config|set" }) do
      assert.is_true(theirs[name] and not ours[name], name)
      assert.equal((name:gsub("|.*", "")), (client:call("COMMAND", "INFO", name)[1][1]:gsub("|.*", "")))
    end
    assert.is_nil(ours.hexpire) -- Nydus knows it, this Redis does not
    local rows = {}
    for _, row in ipairs(client:call("COMMAND")) do rows[row[1]] = row end
    assert.is_nil(rows.acl)
    assert.is_truthy(rows.config)
    assert.is_true(#rows.object[10] > 3)
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

  it("alone, COUNT and INFO agree", function()
    local all = client:call("COMMAND")
    assert.equal(#all, client:call("COMMAND", "COUNT"))
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
      "COMMAND GETKEYS OBJECT nonsense k", "COMMAND GETKEYS MSET a 1 b", "COMMAND GETKEYS SPUBLISH a b",
      "COMMAND GETKEYSANDFLAGS SET a b", "COMMAND GETKEYSANDFLAGS SET a b EX 1 get", "COMMAND GETKEYSANDFLAGS PING x",
      "COMMAND GETKEYSANDFLAGS SORT a BY x STORE b", "COMMAND GETKEYSANDFLAGS ZUNIONSTORE d 2 a b",
      "COMMAND GETKEYSANDFLAGS EVAL x 1 a", "COMMAND GETKEYSANDFLAGS EVAL x 0", "COMMAND GETKEYSANDFLAGS nonsense x",
      "COMMAND GETKEYSANDFLAGS BITFIELD a GET u8 0", "COMMAND GETKEYSANDFLAGS BITFIELD a SET u8 0 1",
      "COMMAND GETKEYSANDFLAGS MIGRATE h p x 0 1", "COMMAND GETKEYSANDFLAGS GEORADIUS a 1 1 1 m STORE b",
      "COMMAND GETKEYSANDFLAGS XREAD STREAMS a b", "COMMAND GETKEYSANDFLAGS OBJECT FREQ a", "COMMAND GETKEYSANDFLAGS",
      "COMMAND DOCS get", "COMMAND DOCS nonsense shutdown", "COMMAND LIST nonsense", "COMMAND LIST FILTERBY x y", "COMMAND nonsense",
      "COMMAND COUNT x", "COMMAND LIST FILTERBY ACLCAT",
    }) do
      local words = words_of(line)
      assert.same(peer:call(unpack(words)), client:call(unpack(words)), line)
    end
  end)

  it("DOCS is what a host says, less what is refused here", function()
    local docs = {}
    local list = client:call("COMMAND", "DOCS")
    for i = 1, #list, 2 do docs[list[i]] = list[i + 1] end
    assert.same(peer:call("COMMAND", "DOCS", "get")[2], docs.get)
    assert.is_truthy(docs.config)
    assert.is_nil(docs.shutdown)
    local three = support.client(client.nydus_port)
    three:call("HELLO", "3")
    assert.equal(#list, #three:call("COMMAND", "DOCS").map)
  end)

  it("INFO of too many names is refused", function()
    local words = { "COMMAND", "INFO" }
    for i = 3, 5000 do words[i] = "config" end
    assert.matches("^ERR COMMAND INFO takes no more than 4096 names", client:call(unpack(words)).err)
  end)
end)
