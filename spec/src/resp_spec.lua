-- The scanners of requests and replies: every input whole, cut in two at every
-- byte, and byte by byte, always ending at a page that must not be touched.

local ffi = require("ffi")
local guard = require("support.guard")
local support = require("support")

support.header("resp/resp.h")
support.cdef("void free(void *);")
local C = support.lib()
local DONE, MORE, ERROR, INLINE = C.RESP_DONE, C.RESP_MORE, C.RESP_ERROR, C.RESP_INLINE
local NO_LIMIT = 2 ^ 32 - 1

local function encode(...) return support.encode({ ... }) end

local function quoted(bytes)
  if #bytes > 60 then bytes = bytes:sub(1, 60) .. "…" end
  return (("%q"):format(bytes):gsub("\r", "\\r"):gsub("\n", "n"))
end

-- Both scanners behind one face.
local kinds = {
  request = {
    new = function() return ffi.new("struct resp_request") end,
    scan = function(scan, start, size, limit)
      return tonumber(C.resp_scan_request(scan, start, size, limit or NO_LIMIT))
    end,
  },
  reply = {
    new = function() return ffi.new("struct resp_reply") end,
    scan = function(scan, start, size) return tonumber(C.resp_scan_reply(scan, start, size)) end,
  },
}

-- Feeds `bytes` up to each of the ends in turn, each time at another place of
-- memory. Returns the last status and the scan; stops when it is not MORE.
local function feed(kind, bytes, ends, limit)
  local scan, status = kind.new(), nil
  for _, stop in ipairs(ends) do
    status = kind.scan(scan, guard.place(bytes:sub(1, stop)), stop, limit)
    if status ~= MORE then break end
    assert(scan.want >= 1, "wants nothing")
  end
  return status, scan
end

local function every_byte(bytes)
  local ends = {}
  for i = 1, #bytes do ends[i] = i end
  return ends
end

-- All ways to feed: whole, in two parts, in single bytes.
local function ways(bytes)
  local list = { { #bytes }, every_byte(bytes) }
  local step = math.max(1, math.floor(#bytes / 400))
  for cut = 0, #bytes - 1, step do list[#list + 1] = { cut, #bytes } end
  return list
end

local function message(scan) return scan.error ~= nil and ffi.string(scan.error) or nil end

local function scan_all(kind, bytes) return feed(kind, bytes, { #bytes }) end

-- The arguments as resp_args gives them, which scan.args must agree with.
local function arguments(scan, start)
  local argc = scan.argc
  local found = ffi.new("struct resp_arg[?]", argc + 1)
  assert.equal(argc, tonumber(C.resp_args(start, scan.size, 0, argc + 1, found)))
  local words = {}
  for i = 0, argc - 1 do
    if i < C.RESP_ARGS then
      assert.equal(found[i].at, scan.args[i].at)
      assert.equal(found[i].size, scan.args[i].size)
    end
    words[i + 1] = ffi.string(start + found[i].at, found[i].size)
  end
  return words
end

local requests = {
  { "PING" },
  { "GET", "key" },
  { "SET", "key", "value" },
  { "set", "", "" },
  { "", "" },
  { "MSET", "a", "1", "b", "2", "c", "3" },
  { "SET", "with\r\nlines and spaces", "\0\1\2\255\254" },
  { "SET", "naïve\195\169", "$3\r\nabc\r\n*1\r\n" },
  { ("X"):rep(64), ("long-name-"):rep(20) },
  { "APPEND", "k", ("v"):rep(1234) },
  { "\0", "\r", "\n", "$", "*" },
  -- many, which are compared with those before them
  { "MGET", "k1", "k2", "k3", "k4", "k5", "k6", "k7" },
  { "MGET", "k1", "k2", "k3", "", "k5", "key6", "k7", "k8", "long-key-9", "k10" },
  { "MSET", "k1", "value 1", "k2", "value 2", "k3", "value 3", "k4", "", "k5", "value 5" },
  { "DEL", "k1", "k2", "k3", ("\0"):rep(20), ("\0"):rep(20), ("$2\r\nk1\r\n"):rep(3), ("$2\r\nk1\r\n"):rep(3), "k" },
}

describe("resp", function()
  describe("resp_scan_request", function()
    it("finds size and arguments, cut at any byte", function()
      for _, words in ipairs(requests) do
        local bytes = support.encode(words)
        for _, ends in ipairs(ways(bytes)) do
          local status, scan = feed(kinds.request, bytes, ends)
          assert.equal(DONE, status, quoted(bytes))
          assert.equal(#bytes, scan.size)
          assert.same(words, arguments(scan, guard.place(bytes)))
        end
      end
    end)

    it("wants no more than is missing, and all of a bulk that is announced", function()
      local bytes = encode("SET", "key", ("v"):rep(5000))
      for cut = 0, #bytes - 1 do
        local status, scan = feed(kinds.request, bytes, { cut })
        assert.equal(MORE, status)
        assert.is_true(scan.want >= 1 and scan.want <= #bytes - cut)
        if cut > #bytes - 5000 then assert.equal(#bytes - cut, scan.want) end
      end
    end)

    it("takes one request at a time from a random pipeline in random pieces", function()
      math.randomseed(7)
      for _ = 1, 60 do
        local list, parts = {}, {}
        for i = 1, math.random(1, 12) do
          local words = {}
          for j = 1, math.random(1, 9) do
            words[j] = ("x"):rep(math.random(0, 1) * math.random(0, 300)) .. string.char(math.random(0, 255))
          end
          list[i], parts[i] = words, support.encode(words)
        end
        local bytes, from, got, have = table.concat(parts), 1, {}, 0
        local scan = kinds.request.new()
        while from <= #bytes do
          local start = guard.place(bytes:sub(from, have))
          local status = kinds.request.scan(scan, start, math.max(0, have - from + 1))
          if status == DONE then
            got[#got + 1] = arguments(scan, start)
            from, scan = from + scan.size, kinds.request.new()
          else
            assert.equal(MORE, status)
            have = math.min(#bytes, have + math.random(1, 200))
          end
        end
        assert.same(list, got)
      end
    end)

    it("calls *0 and negative counts empty requests", function()
      for _, bytes in ipairs({ "*0\r\n", "*-1\r\n", "*-5\r\n", "*-9223372036854775808\r\n" }) do
        for _, ends in ipairs(ways(bytes)) do
          local status, scan = feed(kinds.request, bytes, ends)
          assert.equal(DONE, status, bytes)
          assert.equal(0, scan.argc)
          assert.equal(#bytes, scan.size)
        end
      end
    end)

    it("leaves what follows alone", function()
      for _, rest in ipairs({ "*", "*1\r\n$4\r\nPING\r\n", "garbage", "\r\n", "\0" }) do
        local status, scan = scan_all(kinds.request, encode("GET", "k") .. rest)
        assert.equal(DONE, status)
        assert.equal(#encode("GET", "k"), scan.size)
      end
    end)

    local count, bulk = "invalid multibulk length", "invalid bulk length"
    local bad = {
      -- bytes                      error
      { "*\r\n", count }, { "*-\r\n", count }, { "*-0\r\n", count }, { "*+1\r\n", count }, { "*01\r\n", count },
      { "*00\r\n", count }, { "* 1\r\n", count }, { "*1 \r\n", count }, { "*x\r\n", count }, { "*1x\r\n", count },
      { "*-01\r\n", count }, { "*2147483648\r\n", count }, { "*18446744073709551617\r\n", count },
      { "*9223372036854775808\r\n", count }, { "*-9223372036854775809\r\n", count }, { "*4294967297\r\n", count },
      { "*" .. ("9"):rep(30) .. "\r\n", count }, { "*-" .. ("9"):rep(30) .. "\r\n", count },
      { "*" .. ("9"):rep(40) .. "-1\r\n", count },
      { "*1\r\n$-1\r\n", bulk }, { "*1\r\n$\r\n", bulk }, { "*1\r\n$+4\r\nPING\r\n", bulk }, { "*1\r\n$x\r\n", bulk },
      { "*1\r\n$04\r\nPING\r\n", bulk }, { "*1\r\n$536870913\r\n", bulk }, { "*1\r\n$-0\r\n", bulk },
      { "*1\r\n$18446744073709551615\r\n", bulk }, { "*1\r\n$4294967300\r\n", bulk }, { "*1\r\n$-4\r\nPING\r\n", bulk },
      { "*2\r\n$3\r\nGET\r\n$-1\r\n", bulk },
      { encode("MGET", "a", "b", "c", "d", "e", "f"):gsub("$1\r\nf", "$-1"), bulk },
      { "*1\r\nPING\r\n", "expected '$', got 'P'" }, { "*2\r\n$3\r\nGET\r\nkey\r\n", "expected '$', got 'k'" },
      { "*1\r\n\r\n\r\n", "expected '$', got ' '" }, { "*1\r\n*1\r\n", "expected '$', got '*'" },
      { "*1\r\n\255\r\n", "expected '$', got '\255'" },
    }
    -- Redis waits for a \r here, or looks at none of the two bytes that end a line.
    local stricter = {
      { "*\0\r\n", count }, { "*1\n$4\nPING\n", count }, { "*1\rx$4\r\nPING\r\n", count }, { "*2147483647\r\n", count },
      { "*1048577\r\n", count }, { "*" .. ("9"):rep(40) .. "x", count },
      { "*1\r\n$" .. ("9"):rep(40) .. "-", bulk }, { "*1\r\n$4\nPING\n", bulk }, { "*1\r\n$4\rxPING\r\n", bulk },
      -- No \r\n behind the bytes: CVE-2023-46853.
      { "*1\r\n$4\r\nPINGxx", bulk }, { "*1\r\n$4\r\nPING\n\n", bulk }, { "*1\r\n$4\r\nPING\r\r", bulk },
      { "*1\r\n$3\r\nPING\r\n", bulk }, { "*2\r\n$3\r\nGET\r\n$1\r\nkey\r\n", bulk },
      { encode("MGET", "a", "b", "c", "d", "e", "f"):gsub("f\r\n", "f\r\r"), bulk },
      { encode("MGET", "a", "b", "c", "d", "e", "f"):gsub("$1\r\nf", ("\0"):rep(8)), "expected '$', got ' '" },
      { "*1\r\n\0", "expected '$', got ' '" }, { "*1\r\n\n", "expected '$', got ' '" },
    }

    it("refuses what is wrong, cut at any byte", function()
      for _, rows in ipairs({ bad, stricter }) do
        for _, row in ipairs(rows) do
          for _, ends in ipairs(ways(row[1])) do
            local status, scan = feed(kinds.request, row[1], ends)
            assert.equal(ERROR, status, quoted(row[1]))
            assert.equal("Protocol error: " .. row[2], message(scan), quoted(row[1]))
          end
        end
      end
    end)

    it("says so in the words of a real server", function()
      local redis = support.redis()
      for _, row in ipairs(bad) do
        local client = redis:client()
        client:send(row[1])
        assert.same({ err = "ERR Protocol error: " .. row[2] }, client:read(), quoted(row[1]))
        client:close()
      end
    end)

    it("refuses endless numbers at 64 KB", function()
      for _, row in ipairs({ { "*", "mbulk" }, { "*-", "mbulk" }, { "*1\r\n$", "bulk" } }) do
        local bytes = row[1] .. ("1"):rep(65536 + 2)
        for _, ends in ipairs({ { #bytes }, { 40, #bytes }, { 10, 30, 5000, 65500, 65530, 65540, #bytes } }) do
          local status, scan = feed(kinds.request, bytes, ends)
          assert.equal(ERROR, status)
          assert.equal(("Protocol error: too big %s count string"):format(row[2]), message(scan))
        end
        assert.equal(MORE, (scan_all(kinds.request, bytes:sub(1, 60000))))
      end
    end)

    it("refuses a request beyond max_request, as soon as that is certain", function()
      local bytes = encode("SET", "k", "value")
      for _, ends in ipairs(ways(bytes)) do
        assert.equal(DONE, (feed(kinds.request, bytes, ends, #bytes)))
        local status, scan = feed(kinds.request, bytes, ends, #bytes - 1)
        assert.equal(ERROR, status)
        assert.equal("Protocol error: request is larger than max_request", message(scan))
      end
      for _, early in ipairs({ "*2\r\n$3\r\nGET\r\n$1000\r\n", "*1000\r\n", "*1\r\n$536870912\r\n" }) do
        assert.equal(ERROR, (feed(kinds.request, early, { #early }, 1000)), early)
      end
    end)

    it("believes the largest counts without touching memory for them", function()
      for _, bytes in ipairs({ "*1048576\r\n", "*1\r\n$536870912\r\n", "*1048576\r\n$536870912\r\nx" }) do
        for _, ends in ipairs(ways(bytes)) do
          assert.equal(MORE, (feed(kinds.request, bytes, ends)), bytes)
        end
      end
    end)

    it("takes 100,000 arguments in one request", function()
      local words = { "DEL" }
      for i = 2, 100000 do words[i] = "k" .. i end
      local bytes = support.encode(words)
      local status, scan = feed(kinds.request, bytes, { 10, 1000, 500000, #bytes })
      assert.equal(DONE, status)
      assert.same(words, arguments(scan, guard.place(bytes)))
    end)

    it("calls other first bytes an inline request, up to its newline", function()
      for _, line in ipairs({ "PING\r\n", "PING\n", "\r\n", "\n", "  GET foo\r\n", "$3\r\n", "POST / HTTP/1.1\r\n" }) do
        for _, ends in ipairs(ways(line)) do
          local status, scan = feed(kinds.request, line, ends)
          assert.equal(INLINE, status, line)
          assert.equal(#line, scan.size)
        end
        local status, scan = scan_all(kinds.request, line .. "PING\r\n")
        assert.equal(INLINE, status)
        assert.equal(#line, scan.size)
      end
    end)

    it("refuses an inline request above 64 KB, or above max_request", function()
      local longest, long = ("a"):rep(65536) .. "\n", ("a"):rep(65537) .. "\n"
      for _, cuts in ipairs({ { 65538 }, { 1, 65538 }, { 65536, 65537, 65538 }, { 30000, 65538 } }) do
        local status, scan = feed(kinds.request, long, cuts)
        assert.equal(ERROR, status)
        assert.equal("Protocol error: too big inline request", message(scan))
        cuts[#cuts] = 65537
        assert.equal(INLINE, (feed(kinds.request, longest, cuts)))
      end
      local status, scan = feed(kinds.request, "PING\r\n", { 6 }, 5)
      assert.equal(ERROR, status)
      assert.equal("Protocol error: request is larger than max_request", message(scan))
    end)
  end)

  describe("resp_args", function()
    it("gives any part of the arguments", function()
      local words = {}
      for i = 1, 20 do words[i] = ("w"):rep(i * 7 % 13) .. i end
      local bytes = support.encode(words)
      local start, found = guard.place(bytes), ffi.new("struct resp_arg[30]")
      for from = 0, 22 do
        for count = 0, 22 do
          local got = tonumber(C.resp_args(start, #bytes, from, count, found))
          assert.equal(math.max(0, math.min(count, 20 - from)), got)
          for i = 0, got - 1 do
            assert.equal(words[from + i + 1], ffi.string(start + found[i].at, found[i].size))
          end
        end
      end
    end)

    it("gives none of an empty request", function()
      local found = ffi.new("struct resp_arg[1]")
      for _, bytes in ipairs({ "*0\r\n", "*-1\r\n", "*-12\r\n" }) do
        assert.equal(0, tonumber(C.resp_args(guard.place(bytes), #bytes, 0, 1, found)))
      end
    end)
  end)

  describe("resp_inline", function()
    local function split(line)
      local out, size = ffi.new("char *[1]"), ffi.new("size_t[1]")
      if not C.resp_inline(guard.place(line), #line, out, size) then return nil end
      if size[0] == 0 then return {} end
      local request = ffi.string(out[0], size[0])
      ffi.C.free(out[0])
      local status, scan = scan_all(kinds.request, request)
      assert.equal(DONE, status)
      assert.equal(#request, scan.size)
      return arguments(scan, guard.place(request))
    end

    local good = {
      -- line                        arguments
      { "PING\r\n", { "PING" } }, { "PING\n", { "PING" } }, { "PING", { "PING" } }, { "\r\n", {} }, { "", {} },
      { "  \t \v \r\n", {} }, { " GET  foo ", { "GET", "foo" } }, { "a\tb\rc\nd", { "a", "b", "c", "d" } },
      { [[SET k "hello world"]], { "SET", "k", "hello world" } }, { [["\x41\xff\x0g"]], { "A\255x0g" } },
      { [["\n\r\t\b\a\q\"\\"]], { "\n\r\t\b\aq\"\\" } }, { [['a\'b\n"']], { [[a'b\n"]] } }, { [["" '']], { "", "" } },
      { [[a"b c"]], { "ab c" } }, { [[\x41]], { [[\x41]] } }, { "x\vy", { "x\vy" } }, { "'a'\vb", { "a", "b" } },
      { [["\x4"]], { "x4" } }, { "k \0 \200", { "k", "\0", "\200" } }, { ("k "):rep(2000), nil },
      { [["\x"]], { "x" } }, { [["a\\"]], { "a\\" } },
    }
    it("splits by Redis's quoting rules", function()
      for _, row in ipairs(good) do
        local expected = row[2]
        if not expected then
          expected = {}
          for i = 1, 2000 do expected[i] = "k" end
        end
        assert.same(expected, split(row[1]), quoted(row[1]))
      end
    end)

    it("refuses unbalanced quotes", function()
      local bad = {
        [["]], [[']], [["a]], [['a]], [[a"]], [["a"b]], [['a'b]], [["a""b"]], [["a\"]], [["\]], [['a\']], [[x "\x41]],
        "\"a\\\r\n",
      }
      for _, line in ipairs(bad) do assert.is_nil(split(line), line) end
    end)
  end)

  describe("resp_scan_reply", function()
    local good = {
      "+OK\r\n", "+\r\n", "+PONG\r\n", "-ERR no\r\n", ":0\r\n", ":-1\r\n", ":+5\r\n", ":9223372036854775807\r\n",
      ":-9223372036854775808\r\n", ":123456789\r\n", ":012\r\n", "$-1\r\n", "$0\r\n\r\n", "$3\r\nabc\r\n",
      "$4\r\n\r\n\r\n\r\n", "$12\r\nhello\0world!\r\n", "*-1\r\n", "*0\r\n", "*1\r\n+OK\r\n",
      "*2\r\n$1\r\na\r\n$-1\r\n",
      "*7\r\n$1\r\na\r\n$-1\r\n$1\r\nb\r\n$-1\r\n$1\r\nc\r\n:1\r\n$1\r\nd\r\n",
      "*9\r\n" .. ("$3\r\nabc\r\n"):rep(5) .. ("$4\r\nabcd\r\n"):rep(2) .. "$0\r\n\r\n$-1\r\n",
      "*3\r\n:1\r\n*2\r\n+a\r\n-b\r\n$1\r\nx\r\n", "*2\r\n*0\r\n*-1\r\n", "*1\r\n*1\r\n*1\r\n*0\r\n",
      "_\r\n", "#t\r\n", "#f\r\n", ",1.5\r\n", ",inf\r\n", ",-inf\r\n", ",nan\r\n", ",1e-7\r\n", ",10\r\n",
      "(12345678901234567890123\r\n", "(-1\r\n", "!5\r\nERR x\r\n", "=7\r\ntxt:abc\r\n", "%0\r\n", "~0\r\n",
      "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n#t\r\n", "~2\r\n:1\r\n:2\r\n", ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
      "|1\r\n+ttl\r\n:3\r\n$1\r\nv\r\n", "|0\r\n+OK\r\n", "*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n",
      "|1\r\n+k\r\n|1\r\n+x\r\n+y\r\n:1\r\n*1\r\n:2\r\n", "+" .. ("long "):rep(500) .. "\r\n",
      "%1\r\n*1\r\n:1\r\n~1\r\n%1\r\n_\r\n_\r\n", "+with \r inside\r\n", "$-1\r\n",
      ("*1\r\n"):rep(128) .. ":1\r\n", ("*2\r\n"):rep(100) .. (":1\r\n"):rep(101), "*3\r\n+OK\r\n+OKAY\r\n+OK\r\n",
    }

    it("finds the end, cut at any byte, whatever follows", function()
      for _, bytes in ipairs(good) do
        for _, ends in ipairs(ways(bytes)) do
          local status, scan = feed(kinds.reply, bytes, ends)
          assert.equal(DONE, status, quoted(bytes))
          assert.equal(#bytes, tonumber(scan.size), quoted(bytes))
        end
        local status, scan = scan_all(kinds.reply, bytes .. "$1\r\n")
        assert.equal(DONE, status)
        assert.equal(#bytes, tonumber(scan.size))
      end
    end)

    it("wants no more than is missing", function()
      for _, bytes in ipairs(good) do
        for cut = 0, #bytes - 1 do
          local status, scan = feed(kinds.reply, bytes, { cut })
          assert.equal(MORE, status, quoted(bytes))
          assert.is_true(scan.want >= 1 and scan.want <= #bytes - cut, quoted(bytes))
        end
      end
      local _, scan = scan_all(kinds.reply, "$1000\r\nabc")
      assert.equal(999, tonumber(scan.want))
    end)

    it("goes on with the next reply after a reset", function()
      local scan, at, bytes = kinds.reply.new(), 0, table.concat(good)
      local start = guard.place(bytes)
      for _, one in ipairs(good) do
        C.resp_reply_reset(scan)
        assert.equal(DONE, kinds.reply.scan(scan, start + at, #bytes - at))
        assert.equal(#one, tonumber(scan.size), quoted(one))
        at = at + #one
      end
    end)

    it("agrees with a decoder written apart, on random nested replies", function()
      math.randomseed(11)
      local leaves = { "+OK\r\n", ":7\r\n", "$-1\r\n", "$5\r\nhello\r\n", "_\r\n", "#t\r\n", ",2.5\r\n", "-ERR\r\n" }
      local function value(depth)
        if depth == 0 or math.random() < 0.5 then return leaves[math.random(#leaves)] end
        local kind, count = ("*~%"):sub(math.random(3)):sub(1, 1), math.random(0, 4)
        local parts = { ("%s%d\r\n"):format(kind, count) }
        for _ = 1, kind == "%" and count * 2 or count do parts[#parts + 1] = value(depth - 1) end
        return table.concat(parts)
      end
      for _ = 1, 300 do
        local bytes = value(5)
        local _, after = support.decode(bytes)
        assert.equal(#bytes + 1, after)
        for _, ends in ipairs({ { #bytes }, every_byte(bytes), { math.random(#bytes), #bytes } }) do
          local status, scan = feed(kinds.reply, bytes, ends)
          assert.equal(DONE, status, quoted(bytes))
          assert.equal(#bytes, tonumber(scan.size), quoted(bytes))
        end
      end
    end)

    it("finds the end of what is nested a hundred thousand times", function()
      for _, header in ipairs({ "*1\r\n", "|0\r\n", "%1\r\n:1\r\n" }) do
        local bytes = header:rep(100000) .. "$-1\r\n"
        for _, ends in ipairs({ { #bytes }, { 7, 100001, #bytes - 1, #bytes } }) do
          local status, scan = feed(kinds.reply, bytes, ends)
          assert.equal(DONE, status)
          assert.equal(#bytes, tonumber(scan.size))
        end
      end
    end)

    it("tells push frames from replies", function()
      local _, push = scan_all(kinds.reply, ">1\r\n+a\r\n")
      local _, array = scan_all(kinds.reply, "*1\r\n+a\r\n")
      assert.is_true(push.push)
      assert.is_false(array.push)
      C.resp_reply_reset(push)
      assert.is_false(push.push)
    end)

    local bad = {
      -- bytes                                          error
      { "x", "unknown type in reply" }, { "\r\n", "unknown type in reply" }, { "*1\r\nhi", "unknown type in reply" },
      { "\0", "unknown type in reply" }, { ".\r\n", "unknown type in reply" }, { "HTTP/1.1", "unknown type in reply" },
      { "$?\r\n", "streamed types are not supported" }, { "*?\r\n", "streamed types are not supported" },
      { "%?\r\n", "streamed types are not supported" }, { "$x\r\n", "invalid length in reply" },
      { "$01\r\n", "invalid length in reply" }, { "$\r\n", "invalid length in reply" },
      { "*99999999999999999999\r\n", "invalid length in reply" }, { "*1\n", "invalid length in reply" },
      { "$-2\r\n", "invalid bulk length in reply" }, { "=-1\r\n", "invalid bulk length in reply" },
      { "$99999999999\r\n", "invalid bulk length in reply" }, { "*-2\r\n", "invalid multibulk length in reply" },
      { "%-1\r\n", "invalid multibulk length in reply" }, { "*2147483647\r\n", "invalid multibulk length in reply" },
      { "%4294967296\r\n", "invalid multibulk length in reply" }, { "$1\r\nabc\r\n", nil },
      { "$3\r\nabc\n\n", nil },
      { "+OK\n", "invalid line in reply" }, { "+\n", "invalid line in reply" },
      { ":\r\n", "invalid line in reply" },
      { ":1x\r\n", "invalid line in reply" }, { ":-\r\n", "invalid line in reply" },
      { "(\r\n", "invalid line in reply" },
      { ",\r\n", "invalid line in reply" }, { ",x\r\n", "invalid line in reply" },
      { "#x\r\n", "invalid line in reply" },
      { "#\r\n", "invalid line in reply" }, { "_x\r\n", "invalid line in reply" }, { ":\n", "invalid line in reply" },
      { "*1\r\n:x\r\n", "invalid line in reply" }, { "*1\r\n_x\r\n", "invalid line in reply" },
      { ":123456789012345678901\r\n", "invalid line in reply" }, { "*1\r\n>1\r\n+a\r\n", "push inside a reply" },
    }

    it("refuses garbage, cut at any byte", function()
      for _, row in ipairs(bad) do
        for _, ends in ipairs(ways(row[1])) do
          local status, scan = feed(kinds.reply, row[1], ends)
          assert.equal(ERROR, status, quoted(row[1]))
          assert.equal("Protocol error: " .. (row[2] or "bulk in reply does not end in a newline"), message(scan))
        end
      end
    end)

    it("bounds a line at 1 MB and looks at none of its bytes twice", function()
      local bytes, scan = "+" .. ("x"):rep(1024 * 1024 - 1), kinds.reply.new()
      assert.equal(MORE, kinds.reply.scan(scan, guard.place(bytes:sub(1, -2)), #bytes - 1))
      assert.equal(#bytes - 1, tonumber(scan.pos))
      assert.equal(ERROR, kinds.reply.scan(scan, guard.place(bytes), #bytes))
    end)

    it("counts millions of values without memory for them", function()
      local scan = kinds.reply.new()
      local bytes = "*2147483646\r\n" .. (":1\r\n"):rep(1000)
      assert.equal(MORE, kinds.reply.scan(scan, guard.place(bytes), #bytes))
      assert.equal(2147483646 - 1000, tonumber(scan.left))
    end)
  end)

  describe("resp_write_header", function()
    it("writes any 64-bit number", function()
      local out = ffi.new("char[?]", C.RESP_HEADER_SIZE)
      local rows = {
        { 0LL, "0" }, { 7LL, "7" }, { -1LL, "-1" }, { 1234567890LL, "1234567890" },
        { 0x7fffffffffffffffLL, "9223372036854775807" }, { -0x7fffffffffffffffLL - 1, "-9223372036854775808" },
      }
      for _, row in ipairs(rows) do
        local size = C.resp_write_header(out, string.byte("*"), row[1])
        assert.equal("*" .. row[2] .. "\r\n", ffi.string(out, size))
      end
    end)
  end)

  describe("resp_write_bulk", function()
    it("writes what the scanner reads", function()
      local out = ffi.new("char[?]", C.RESP_HEADER_SIZE + 300)
      for _, data in ipairs({ "", "a", "\r\n", ("x"):rep(255), "\0\255" }) do
        local size = C.resp_write_bulk(out, data, #data)
        assert.equal(("$%d\r\n%s\r\n"):format(#data, data), ffi.string(out, size))
      end
    end)
  end)
end)
