-- Keys of requests: what COMMAND GETKEYS of a real redis-server answers, and
-- the errors that its commands themselves give.

local ffi = require("ffi")
local guard = require("support.guard")
local support = require("support")

support.header("resp/keys.h")
local C = support.lib()
local list = ffi.new("struct key_list")

-- "SET k ''" → { "SET", "k", "" }
local function words_of(line)
  local words = {}
  for word in line:gmatch("%S+") do words[#words + 1] = word == "''" and "" or word end
  return words
end

local function command_of(words)
  local command = C.command_find(words[1], #words[1])
  assert(command ~= nil, words[1])
  if words[2] then
    local sub = C.command_find_sub(command, words[2], #words[2])
    if sub ~= nil then return sub end
  end
  return command
end

-- The keys and their argument numbers, or nil and the error.
local function find(words)
  local bytes = support.encode(words)
  local start, scan = guard.place(bytes), ffi.new("struct resp_request")
  assert.equal(C.RESP_DONE, C.resp_scan_request(scan, start, #bytes, 2 ^ 32 - 1))
  if C.keys_find(command_of(words), start, scan, list) == C.KEYS_INVALID then
    return nil, ffi.string(list.error)
  end
  local keys, numbers = {}, {}
  for i = 0, list.count - 1 do
    keys[i + 1] = ffi.string(start + list.at[i].at, list.at[i].size)
    numbers[i + 1] = list.arg[i]
    if words[list.arg[i] + 1] ~= keys[i + 1] then error("key and argument number disagree", 2) end
  end
  return keys, numbers
end

-- Each line as COMMAND GETKEYS sees it. Keys are named so that sorting keeps
-- the order of arguments where Redis gives another one.
local lines = {
  "GET k", "SET k v", "SET k v GET EX 10", "SETEX k 1 v", "GETEX k PERSIST", "INCR k", "APPEND k v", "STRLEN k",
  "GETDEL k", "SETRANGE k 0 v", "GETRANGE k 0 1", "GETBIT k 1", "BITCOUNT k", "BITFIELD k GET u8 0",
  "BITFIELD_RO k GET u8 0", "MGET a", "MGET a b c d e f g", "MGET a a", "MSET a 1", "MSET a 1 b 2 c 3",
  "MSETNX a 1 b 2", "DEL a", "DEL a b c d e", "UNLINK a b", "EXISTS a a b", "TOUCH a b", "TYPE k", "DUMP k",
  "RESTORE k 0 x", "EXPIRE k 1", "PERSIST k", "TTL k", "RENAME a b", "RENAMENX a b", "COPY a b",
  "COPY a b DB 1 REPLACE", "MOVE k 1", "LCS a b", "LCS a b LEN", "BITOP AND a b", "BITOP AND a b c d e",
  "BITOP NOT a b", "PFADD k x", "PFCOUNT a b c", "PFMERGE a b c d", "LPUSH k a b c", "LMOVE a b LEFT RIGHT",
  "BLMOVE a b LEFT RIGHT 0", "RPOPLPUSH a b", "BRPOPLPUSH a b 0", "BLPOP a 0", "BLPOP a b c 0", "BRPOP a b 0",
  "BZPOPMIN a b 0", "BZPOPMAX a 0", "LPOS k x", "LINSERT k BEFORE a b", "LMPOP 1 a LEFT",
  "LMPOP 3 a b c LEFT COUNT 2", "BLMPOP 0 2 a b LEFT", "ZMPOP 2 a b MIN", "BZMPOP 0 1 a MAX COUNT 1", "SADD k a",
  "SMOVE a b x", "SINTER a b c", "SUNION a", "SDIFF a b", "SINTERSTORE a b c", "SUNIONSTORE a b",
  "SDIFFSTORE a b c d", "SINTERCARD 2 a b", "SINTERCARD 1 a LIMIT 5", "SMISMEMBER k a b", "ZADD k 1 a",
  "ZUNION 2 a b", "ZUNION 2 a b WEIGHTS 1 2", "ZINTER 1 a WITHSCORES", "ZDIFF 3 a b c", "ZINTERCARD 2 a b",
  "ZUNIONSTORE a 2 b c", "ZUNIONSTORE a 2 b c WEIGHTS 1 2 AGGREGATE MAX", "ZINTERSTORE a 1 b", "ZDIFFSTORE a 2 b c",
  "ZRANGESTORE a b 0 -1", "ZRANGE k 0 -1", "ZRANDMEMBER k", "HSET k f v", "HMGET k a b c", "HSCAN k 0", "SSCAN k 0",
  "GEOADD k 1 2 m", "GEODIST k a b", "GEOSEARCH k FROMMEMBER m BYRADIUS 1 m",
  "GEOSEARCHSTORE a b FROMMEMBER m BYRADIUS 1 m", "GEORADIUS a 1 2 3 m", "GEORADIUS a 1 2 3 m STORE b",
  "GEORADIUS a 1 2 3 m COUNT 5 ASC STOREDIST b", "GEORADIUS_RO k 1 2 3 m", "GEORADIUS a 1 2 3 m STORE b STOREDIST c",
  "GEORADIUSBYMEMBER a m 1 m", "GEORADIUSBYMEMBER a m 1 m store b", "GEORADIUSBYMEMBER a store 1 m STORE b",
  "SORT a", "SORT a BY nosort GET #", "SORT a STORE b", "SORT a LIMIT 0 1 GET x GET y store b ALPHA",
  "SORT a BY STORE", "SORT a GET store STORE b", "SORT a STORE x STORE b", "SORT a STORE", "SORT_RO a BY w",
  "SORT_RO a LIMIT 0 1", "EVAL s 0", "EVAL s 1 a", "EVAL s 2 a b c d", "EVAL s 0 a b", "EVALSHA s 1 a x",
  "EVAL_RO s 1 a", "EVALSHA_RO s 2 a b", "FCALL f 0", "FCALL f 2 a b x", "FCALL_RO f 1 a", "XADD k * f v", "XLEN k",
  "XRANGE k - +", "XDEL k 1-1", "XACK k g 1-1", "XCLAIM k g c 0 1-1", "XAUTOCLAIM k g c 0 0", "XREAD STREAMS a 0",
  "XREAD STREAMS a b c 0 0 0", "XREAD COUNT 2 BLOCK 0 STREAMS a b $ $", "XREAD COUNT 1 streams a 0",
  "XREADGROUP GROUP g c STREAMS a >", "XREADGROUP GROUP g c COUNT 1 NOACK STREAMS a b > >", "XPENDING k g",
  "XREADGROUP GROUP streams streams STREAMS a >", "XGROUP CREATE k g $", "XGROUP DESTROY k g", "XGROUP HELP",
  "XINFO STREAM k", "XINFO GROUPS k", "XINFO CONSUMERS k g", "XINFO HELP", "OBJECT ENCODING k", "OBJECT FREQ k",
  "OBJECT HELP", "MEMORY USAGE k", "MEMORY USAGE k SAMPLES 5", "MEMORY DOCTOR", "WATCH a b c", "PFDEBUG x k",
  "MIGRATE h 1 k 0 10", "MIGRATE h 1 k 0 10 COPY REPLACE AUTH p", "MIGRATE h 1 '' 0 10 KEYS a",
  "MIGRATE keys 1 k 0 10", "MIGRATE h 1 '' 0 10 COPY REPLACE AUTH keys KEYS a b c",
  "MIGRATE h 1 '' 0 10 AUTH2 u KEYS KEYS a b", "CONFIG GET x", "KEYS *", "SCAN 0", "PUBLISH c m", "SUBSCRIBE a",
  "DBSIZE x", "ECHO x", "SELECT 1", "DEBUG OBJECT k", "CLIENT ID x", "SCRIPT LOAD x", "WAIT 1 0", "ACL WHOAMI x",
  "SLOWLOG GET", "CLUSTER KEYSLOT k", "RESTORE-ASKING k 0 x",
}

describe("keys", function()
  describe("keys_find", function()
    it("agrees with COMMAND GETKEYS of a real server", function()
      local redis = support.redis()
      local with_keys = 0
      for _, line in ipairs(lines) do
        local words = words_of(line)
        local keys = assert(find(words))
        local expected = redis:call("COMMAND", "GETKEYS", unpack(words))
        if expected.err then
          assert.equal("ERR The command has no key arguments", expected.err, line)
          expected = {}
        end
        table.sort(expected)
        assert.same(expected, keys, line)
        with_keys = with_keys + math.min(1, #keys)
      end
      assert.is_true(with_keys >= 140)
    end)

    local own = {
      -- line                                            argument numbers
      { "MSET a 1 a 2", { 1, 3 } },
      { "ZUNIONSTORE d 2 d a", { 1, 3, 4 } },
      { "SPUBLISH channel m", { 1 } }, -- channels of shards are routed like keys
      { "SSUBSCRIBE a b c", { 1, 2, 3 } },
      { "SUNSUBSCRIBE", {} },
      { "GEORADIUS k 1 2 3 m STORE a STORE b", { 1, 9 } }, -- Redis stores to the last
      { "GEORADIUS k 1 2 3 m STORE store STOREDIST x", { 1, 7, 9 } },
      { "GEORADIUS k 1 2 3 m STORE", { 1 } }, -- the host refuses it
      { "XREADGROUP BLOCK 0 GROUP STREAMS c STREAMS k >", { 7 } },
      { "XREAD COUNT streams STREAMS k 0", { 4 } },
      { "MIGRATE h 1 '' 0 10", { 3 } },
      { "HEXPIRE k 10 FIELDS 1 f", { 1 } },
      { "GET ''", { 1 } },
      { "PFMERGE a", { 1 } },
    }
    it("knows what GETKEYS gets wrong or does not tell", function()
      for _, row in ipairs(own) do
        local _, numbers = find(words_of(row[1]))
        assert.same(row[2], numbers, row[1])
      end
    end)

    local invalid = {
      "EVAL s abc a", "EVAL s -1 a", "EVAL s 2 a", "EVAL s 01 a", "EVAL s 99999999999999999999 a",
      "EVAL s 4294967297 a", "EVAL s '' a", "EVAL s 1", "EVAL_RO s -1", "ZUNION abc a", "ZUNION 0 a", "ZUNION -1 a",
      "ZUNION 2 a", "ZINTER 0 a", "ZDIFF 0 a", "ZINTERCARD 0 a", "ZINTERCARD 5 a", "ZUNIONSTORE d 0 a",
      "ZUNIONSTORE d 2 a", "ZUNIONSTORE d x a", "ZINTERSTORE d 0 a", "ZDIFFSTORE d 0 a",
      "ZDIFFSTORE d 9223372036854775807 a", "SINTERCARD 0 a", "SINTERCARD x a", "SINTERCARD 2 a", "LMPOP 0 a LEFT",
      "LMPOP x a LEFT", "LMPOP 9 a LEFT", "ZMPOP 0 a MIN", "ZMPOP 9 a MIN", "BLMPOP 0 0 a LEFT", "BLMPOP 0 9 a LEFT",
      "BZMPOP 0 -1 a MIN", "FCALL f -1", "FCALL f x", "FCALL f 2 a", "FCALL_RO f 9", "XREAD STREAMS a b 0",
      "XREAD COUNT 1 a 0", "XREAD COUNT 2 STREAMS", "XREADGROUP GROUP g c STREAMS a b >",
      "XREADGROUP GROUP g c COUNT 1 STREAMS", "MSET a 1 b", "MSETNX a 1 b", "MSET a b c d e",
      "MIGRATE 127.0.0.1 1 k 0 10 KEYS a",
    }
    it("refuses wrong numbers of keys in the words of the command itself", function()
      local redis = support.redis()
      local library = "#!lua name=l\nredis.register_function{function_name='f', callback=function() end, "
        .. "flags={'no-writes'}}"
      redis:call("FUNCTION", "LOAD", "REPLACE", library)
      for _, line in ipairs(invalid) do
        local words = words_of(line)
        local keys, why = find(words)
        assert.is_nil(keys, line)
        assert.equal(redis:call(unpack(words)).err, why, line)
      end
    end)

    it("finds binary keys that look like headers", function()
      local keys = assert(find({ "MGET", "$3\r\nabc\r\n", "\0", "", "*1\r\n", "\255\254" }))
      assert.same({ "$3\r\nabc\r\n", "\0", "", "*1\r\n", "\255\254" }, keys)
      assert.is_nil((find({ "EVAL", "s", "1\r\n", "k" })))
      assert.is_nil((find({ "EVAL", "s", "1\0", "k" })))
    end)

    it("finds 100,000 keys and the last keyword in linear time", function()
      local many, sort = { "EVAL", "s", "100000" }, { "SORT", "k" }
      for i = 1, 100000 do
        many[i + 3] = "k" .. i
        sort[i + 2] = "GET"
      end
      sort[#sort + 1], sort[#sort + 2] = "STORE", "d"
      local begin = os.clock()
      local keys = assert(find(many))
      assert.equal(100000, #keys)
      assert.equal("k100000", keys[100000])
      assert.same({ "k", "d" }, (find(sort)))
      assert.is_true(os.clock() - begin < 2)
    end)

    it("stays inside of any request, for any command", function()
      for id = 0, tonumber(C.command_count()) - 1 do
        local command = C.command_row(id)
        for argc = 1, 9 do
          for _, filler in ipairs({ "1", "3", "streams", "store", "keys", "" }) do
            local words = {}
            for i = 1, argc do words[i] = filler end
            local bytes = support.encode(words)
            local start, scan = guard.place(bytes), ffi.new("struct resp_request")
            assert.equal(C.RESP_DONE, C.resp_scan_request(scan, start, #bytes, 2 ^ 32 - 1))
            local status = C.keys_find(command, start, scan, list)
            if status == C.KEYS_FOUND then
              for i = 0, list.count - 1 do
                assert.is_true(list.arg[i] > 0 and list.arg[i] < argc)
                assert.is_true(i == 0 or list.arg[i] > list.arg[i - 1])
              end
            else
              assert.is_true(list.error ~= nil)
            end
          end
        end
      end
    end)
  end)
end)
