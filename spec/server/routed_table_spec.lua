-- Commands whose keys are not in the usual place, or several: over three hosts
-- with a hash tag, byte for byte what one Redis says.

local rows = require("support.rows")
local support = require("support")

-- "@" stands for the tag: keys that share it share a host. The lines run in
-- order; each begins with what Redis's own reply begins with.
local TABLE = [[
:3      RPUSH @list 3 1 2
*3      SORT @list
*3      SORT @list DESC ALPHA
*2      SORT @list LIMIT 1 2
+OK     MSET @w_1 30 @w_2 20 @w_3 10
+OK     MSET @o_1 one @o_2 two @o_3 three
*3      SORT @list BY @w_*
*3      SORT @list BY @w_* GET @o_*
*6      SORT @list BY @w_* GET # GET @o_* DESC
*3      SORT @list BY nosort GET @o_*
*3      SORT_RO @list BY @w_* GET @o_*
:3      SORT @list BY @w_* GET @o_* STORE @sorted
*3      LRANGE @sorted 0 -1
:3      SORT @list STORE @sorted
:0      SORT @nothing STORE @sorted
:0      EXISTS @sorted
-ERR    SORT @list BY
-ERR    SORT @o_1 BY @w_* LIMIT x y
$3      OBJECT ENCODING @w_1
$-1     OBJECT ENCODING @nothing
:1      OBJECT REFCOUNT @o_1
$-1     OBJECT IDLETIME @nothing
-ERR    OBJECT FREQ @o_1
$3      XADD @stream 1-1 f v
$3      XADD @stream 1-2 f w
*       XINFO STREAM @stream FULL
+OK     XGROUP CREATE @stream group 0
*0      XINFO CONSUMERS @stream group
:1      XGROUP CREATECONSUMER @stream group ann
+OK     XGROUP SETID @stream group 0
*20     XINFO STREAM @stream
*1      XINFO GROUPS @stream
-ERR    XINFO STREAM @nothing
*1      XREAD COUNT 1 STREAMS @stream 0
*1      XREADGROUP GROUP group bob COUNT 5 STREAMS @stream >
*4      XPENDING @stream group
:2      XACK @stream group 1-1 1-2
*1      XREAD STREAMS @stream @stream2 0 0
:0      XGROUP DELCONSUMER @stream group ann
:1      XGROUP DESTROY @stream group
:       MEMORY USAGE @stream
:       MEMORY USAGE @o_1 SAMPLES 0
$-1     MEMORY USAGE @nothing
$       DUMP @o_1
$-1     DUMP @nothing
:1      COPY @o_1 @copy
:0      COPY @o_2 @copy
:1      COPY @o_2 @copy REPLACE
$3      GET @copy
+OK     RENAME @copy @renamed
:0      RENAMENX @renamed @o_1
-ERR    RENAME @nothing @copy
:2      GEOADD @geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
:2      GEORADIUS @geo 15 37 200 km STORE @near
:2      GEORADIUS @geo 15 37 200 km STOREDIST @near
:1      GEORADIUSBYMEMBER @geo Palermo 100 km STORE @near
*2      GEORADIUS @geo 15 37 200 km WITHDIST ASC
*1      GEORADIUS_RO @geo 15 37 100 km
*1      GEORADIUSBYMEMBER_RO @geo Palermo 100 km
:2      GEOSEARCHSTORE @near @geo FROMLONLAT 15 37 BYRADIUS 200 km
:2      GEOSEARCHSTORE @near @geo FROMMEMBER Palermo BYBOX 400 400 km STOREDIST
*2      GEOSEARCH @geo FROMMEMBER Palermo BYRADIUS 200 km ASC
*4      ZRANGE @near 0 -1 WITHSCORES
:2      ZADD @z1 1 a 2 b
:2      ZADD @z2 1 b 2 c
*3      ZUNION 2 @z1 @z2
*6      ZUNION 2 @z1 @z2 WEIGHTS 2 3 AGGREGATE MAX WITHSCORES
*1      ZINTER 2 @z1 @z2
*1      ZDIFF 2 @z1 @z2
:1      ZINTERCARD 2 @z1 @z2 LIMIT 5
:3      ZUNIONSTORE @z3 2 @z1 @z2
:1      ZINTERSTORE @z3 2 @z1 @z2 WEIGHTS 1 2
:1      ZDIFFSTORE @z3 2 @z1 @z2
:2      ZRANGESTORE @z3 @z1 0 -1
*2      ZMPOP 2 @nothing @z3 MIN
-ERR    ZUNION 0 @z1
-ERR    ZUNIONSTORE @z3 3 @z1 @z2
:2      SADD @s1 a b
:2      SADD @s2 b c
:1      SINTERCARD 2 @s1 @s2
:1      SINTERSTORE @s3 @s1 @s2
:3      SUNIONSTORE @s3 @s1 @s2
:1      SDIFFSTORE @s3 @s1 @s2
*1      SINTER @s1 @s2
:1      SMOVE @s1 @s2 a
:4      RPUSH @l1 a b c d
$1      LMOVE @l1 @l2 LEFT RIGHT
$1      RPOPLPUSH @l1 @l2
*2      LMPOP 2 @nothing @l1 LEFT COUNT 1
-ERR    LMPOP 0 @l1 LEFT
+OK     MSET @b1 abc @b2 abd
:3      BITOP AND @b3 @b1 @b2
:3      BITOP NOT @b3 @b1
$2      LCS @b1 @b2
:1      PFADD @p1 a b
:1      PFADD @p2 c
+OK     PFMERGE @p3 @p1 @p2
:3      PFCOUNT @p1 @p2
:1      MSETNX @m1 1 @m2 2
:0      MSETNX @m2 1 @m3 2
*2      EVAL return{KEYS[1],KEYS[2]} 2 @k1 @k2
:1      HSET @h f v
*2      HSCAN @h 0
:3      SADD @ints 1 2 3
*2      SSCAN @ints 0 COUNT 10
*2      ZSCAN @z1 0 MATCH *
+string TYPE @o_1
*3      MGET @o_1 @nothing @o_2
:3      EXISTS @o_1 @o_1 @o_2
:2      TOUCH @o_1 @o_2
:2      UNLINK @o_1 @o_2
]]

local TAGS = { "{a}", "{b}", "{c}", "{d}", "{e}", "{f}" }

describe("routed table", function()
  local plain, hosts

  setup(function()
    plain, hosts = support.redis(), { support.redis(), support.redis(), support.redis() }
  end)

  local function server(router)
    local tagged = router ~= "all" and router ~= "first"
    return support.nydus({ config = { router = tagged and { router, hash_tag = "{}" } or router, hosts = hosts } })
  end

  for _, router in ipairs({ "ketama", "modulus", "slots" }) do
    it("is what one Redis says, byte for byte, under " .. router, function()
      plain:call("FLUSHALL")
      local client, direct = server(router):client(), plain:client()
      client:call("FLUSHALL")
      for _, tag in ipairs(TAGS) do
        for _, row in ipairs(rows.parse(TABLE, tag)) do
          local expected = rows.raw(direct, row.words)
          assert.equal(row.begins, expected:sub(1, #row.begins), row.line .. " at Redis: " .. expected)
          assert.equal(expected, rows.raw(client, row.words), row.line)
        end
      end
      assert.equal(direct:call("DBSIZE"), client:call("DBSIZE"))
      local used = 0
      for _, host in ipairs(hosts) do used = used + (host:call("DBSIZE") > 0 and 1 or 0) end
      assert.is_true(used > 1, "the tags should lie on several hosts")
    end)
  end

  describe("SORT by a pattern", function()
    local SCATTERED = "^ERR 'sort' reads keys by a pattern that may lie on other hosts"

    it("is refused where its keys may lie on other hosts", function()
      local client = server("ketama"):client()
      for i, tag in ipairs(TAGS) do client:call("RPUSH", tag .. "list", i) end
      for _, tag in ipairs(TAGS) do
        for _, words in ipairs({
          { "BY", "w_*" }, { "by", "*" }, { "GET", "o_*" }, { "GET", "#", "GET", "h_*->f" }, { "BY", "*" .. tag },
          { "LIMIT", "0", "1", "BY", "{*}" }, { "BY", "nosort", "STORE", tag .. "to", "GET", "{}*" },
        }) do
          assert.matches(SCATTERED, client:call("SORT", tag .. "list", unpack(words)).err)
        end
        assert.is_nil(client:call("SORT", tag .. "list", "LIMIT", "0", "-1", "BY", tag .. "*", "GET", "#").err)
        assert.is_nil(client:call("SORT", tag .. "list", "BY", "nosort", "GET", "none").err)
        assert.equal("ERR syntax error", client:call("SORT", tag .. "list", "BY").err)
      end
      local refused = 0
      for _, tag in ipairs(TAGS) do
        refused = refused + (client:call("SORT_RO", "{a}list", "BY", tag .. "w_*").err and 1 or 0)
      end
      assert.is_true(refused > 0 and refused < #TAGS)
    end)

    it("passes where one host, or each, has all keys", function()
      for _, router in ipairs({ "first", "all" }) do
        local client = server(router):client()
        client:call("RPUSH", "list", "2", "1")
        assert.is_nil(client:call("SORT", "list", "BY", "w_*", "GET", "o_*").err)
      end
      local one = support.nydus({ config = { router = "ketama", hosts = { hosts[1] } } }):client()
      assert.is_nil(one:call("SORT", "list", "BY", "w_*").err)
    end)

    it("passes where a table leads list and pattern to one host", function()
      local client = support.nydus({ config = { router = "tree.lua", hosts = hosts }, files = { ["tree.lua"] = [[
        local cluster = ...
        return require("nydus").prefix{ ["a:"] = cluster.hosts[1], ["b:"] = cluster.hosts[2] }
      ]] } }):client()
      client:call("RPUSH", "a:list", "2", "1")
      client:call("MSET", "a:w_1", "9", "a:w_2", "3")
      assert.same({ "2", "1" }, client:call("SORT", "a:list", "BY", "a:w_*"))
      assert.matches(SCATTERED, client:call("SORT", "a:list", "BY", "b:w_*").err)
    end)
  end)

  it("is RESTORE of what DUMP gave", function()
    local client = server("ketama"):client()
    for _, tag in ipairs(TAGS) do
      client:call("RPUSH", tag .. "from", "a", "b", "c")
      local dump = client:call("DUMP", tag .. "from")
      assert.equal("OK", client:call("RESTORE", tag .. "to", "0", dump))
      assert.same({ "a", "b", "c" }, client:call("LRANGE", tag .. "to", "0", "-1"))
      assert.matches("^BUSYKEY", client:call("RESTORE", tag .. "to", "0", dump).err)
      assert.equal("OK", client:call("RESTORE", tag .. "to", "1000", dump, "REPLACE"))
    end
  end)
end)
