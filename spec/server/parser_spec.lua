-- What clients may write, cut anywhere; and what the server says to the rest.

local support = require("support")

local null, encode = support.null, support.encode

local function bulk(text)
  return ("$%d\r\n%s\r\n"):format(#text, text)
end

describe("parser", function()
  local redis, nydus, client, peer

  setup(function()
    redis = support.redis()
    nydus = support.nydus({ config = { router = "ketama", hosts = { redis } } })
  end)

  before_each(function()
    client, peer = nydus:client(), redis:client()
  end)

  -- Everything both say until they end the connection, or until the PING behind it is answered.
  local function both(bytes)
    local replies = {}
    for i, one in ipairs({ redis:client(), nydus:client() }) do
      one:send(bytes)
      one:shutdown_write()
      replies[i] = one:read_to_end()
      one:close()
    end
    return replies[2], replies[1]
  end

  describe("requests", function()
    it("may be cut at every byte", function()
      local request = encode({ "SET", "k\r\n$3\r\n", "a\0b" }) .. encode({ "GET", "k\r\n$3\r\n" })
        .. "ECHO 'in line'\r\n" .. encode({ "MGET", "x", "k\r\n$3\r\n", "" })
      local expected = "+OK\r\n$3\r\na\0b\r\n" .. bulk("in line") .. "*3\r\n$-1\r\n$3\r\na\0b\r\n$-1\r\n"
      for cut = 1, #request - 1 do
        client:send(request:sub(1, cut))
        peer:call("PING") -- so that the pieces are read apart
        client:send(request:sub(cut + 1))
        assert.equal(expected, client:read_raw(#expected), "cut at " .. cut)
      end
    end)

    -- The scan of a request is used again for the next one where only arguments differ.
    it("that are nearly like the one before are read as what they are", function()
      local function answer(bytes)
        local one = nydus:client()
        one:send(bytes)
        one:shutdown_write()
        local reply = one:read_to_end()
        one:close()
        return reply
      end
      for _, words in ipairs({ { "GET", "near:1" }, { "SET", "near:1", "12" }, { "OBJECT", "ENCODING", "near:1" } }) do
        local request = encode(words)
        local reply = answer(request)
        for at = 1, #request do
          for _, byte in ipairs({ "\r", "\n", "0", "3", "$" }) do
            local near = request:sub(1, at - 1) .. byte .. request:sub(at + 1)
            assert.equal(reply .. answer(near), answer(request .. near), near)
          end
        end
      end
    end)

    it("that are alike are as many as they are", function()
      local requests, expected = {}, {}
      for i = 1, 3000 do
        local name, value = i % 7 == 0 and "set" or "SET", i % 5 == 0 and "ab" or "c"
        requests[#requests + 1] = encode({ name, "alike:" .. i % 9, value })
        requests[#requests + 1] = encode({ i % 11 == 0 and "DEL" or "GET", "alike:" .. i % 9 })
        expected[#expected + 1] = "+OK\r\n" .. (i % 11 == 0 and ":1\r\n" or bulk(value))
      end
      client:send(table.concat(requests), true)
      local all = table.concat(expected)
      assert.is_true(all == client:read_raw(#all))
    end)

    it("may come byte by byte", function()
      local request = encode({ "SET", "drip", "value" }) .. "GET drip\r\n" .. encode({ "EXISTS", "drip", "no" })
      for i = 1, #request do
        client:send(request:sub(i, i))
        if i % 3 == 0 then peer:call("PING") end
      end
      assert.same({ "OK", "value", 1 }, { client:read(), client:read(), (client:read()) })
    end)

    it("may be as large as the buffers they are read into, and one byte more or less", function()
      for _, edge in ipairs({ 2 * 1024, 16 * 1024, 32 * 1024, 64 * 1024, 68 * 1024, 128 * 1024 }) do
        for by = -40, 4, 4 do
          local key = ("k"):rep(edge + by)
          client:send(encode({ "SET", key, "1" }) .. encode({ "GET", key }) .. encode({ "DEL", key }), true)
          assert.same({ "OK", "1", 1 }, { client:read(), client:read(), (client:read()) }, #key)
        end
      end
    end)

    it("may have any bytes in their keys", function()
      local all = {}
      for byte = 0, 255 do all[byte + 1] = string.char(byte) end
      local keys = { "", " ", "\0", "\r\n", "*1\r\n", "\xff\x80", "ключ", table.concat(all) }
      for i, key in ipairs(keys) do
        assert.equal("OK", client:call("SET", key, i))
        assert.equal(tostring(i), peer:call("GET", key))
        assert.equal(tostring(i), client:call("GET", key))
      end
      assert.equal(#keys, client:call("DEL", unpack(keys)))
    end)

    it("may name commands in any case", function()
      assert.equal("OK", client:call("sEt", "case", "1"))
      assert.equal("1", client:call("gEt", "case"))
      assert.equal("PONG", client:call("pInG"))
    end)

    it("that are empty are skipped", function()
      client:send("*0\r\n*-1\r\n\r\n   \r\n\n*-7\r\n" .. encode({ "PING" }))
      assert.equal("PONG", (client:read()))
      assert.equal("", client:pending())
    end)
  end)

  describe("inline commands", function()
    for _, line in ipairs({
      "PING\r\n", "PING\n", "ping\r\n", "  PING  \r\n", "\tPING\t\r\n", "SET in line\r\nGET in\r\n", "GET in\nGET in\n",
      'SET "a key" "v\\x41\\n\\t\\"q\\""\r\nGET "a key"\r\n', "SET 'it''s' 1\r\n", "ECHO 'it\\'s'\r\n", 'ECHO ""\r\n',
      "ECHO ''\r\n",
      'ECHO "\\xff\\x00\\xzz"\r\n', "\r\n\r\nPING\r\n", "nosuch a b\r\nPING\r\n", "GET\r\nPING\r\n",
      "PING\r\n*1\r\n$4\r\nPING\r\nECHO x\r\n", "ECHO a\"b\"\r\n", "PING", "ECHO  a   \r\n", "$4\r\nPING\r\n",
    }) do
      it(("are answered as by Redis: %q"):format(line), function()
        local got, expected = both(line)
        assert.equal(expected, got)
      end)
    end

    it("may be 60 KB long", function()
      local word = ("w"):rep(60 * 1024)
      client:send("ECHO " .. word .. "\r\n", true)
      assert.equal(word, (client:read()))
    end)
  end)

  describe("a protocol error", function()
    local behind = encode({ "SET", "behind", "was run" })

    for _, bytes in ipairs({
      "*x\r\n", "*2147483648\r\n", "*99999999999999999999\r\n", "*1\r\n$-1\r\n", "*1\r\n$x\r\n",
      "*1\r\n$536870913\r\n", "*1\r\n$18446744073709551615\r\n", "*1\r\nPING\r\n", "*1\r\n:4\r\n",
      "*2\r\n$4\r\nPING\r\n*1\r\n",
      "*+1\r\n$4\r\nPING\r\n", "*01\r\n$4\r\nPING\r\n", "*1\r\n$04\r\nPING\r\n", "SET \"a b\r\n", "ECHO 'a'b\r\n",
      'ECHO "a"b\r\n',
      "* 1\r\n$4\r\nPING\r\n",
    }) do
      it(("is told as Redis tells it, and what follows is not run: %q"):format(bytes), function()
        redis:call("DEL", "behind")
        local got, expected = both(encode({ "SET", "before", "1" }) .. bytes .. behind)
        assert.equal(expected, got)
        assert.matches("^%+OK\r\n%-ERR Protocol error: [^\r\n]+\r\n$", got)
        assert.equal(null, redis:call("GET", "behind"))
        assert.equal("1", redis:call("GET", "before"))
      end)
    end

    it("comes after the replies that are pending", function()
      local host = support.fake({ auto = { PING = "+PONG\r\n" } })
      local other = support.nydus({ config = { hosts = { host } } }):client()
      other:send(encode({ "GET", "a" }) .. encode({ "GET", "b" }) .. "*1\r\n$x\r\n" .. behind)
      host:expect("GET a")
      host:expect("GET b")
      host:expect_silence(0.05)
      assert.equal("", other:pending())
      host:answer(bulk("A") .. bulk("B"))
      other:expect_end("$1\r\nA\r\n$1\r\nB\r\n-ERR Protocol error: invalid bulk length\r\n")
    end)

    it("is a count of more than a million arguments, more than Redis before 7 takes", function()
      client:send("*1048577\r\n")
      client:expect_end("-ERR Protocol error: invalid multibulk length\r\n")
    end)

    it("is a request larger than max_request", function()
      local small = support.nydus({ config = { hosts = { redis }, max_request = "64kb" } }):client()
      assert.equal("OK", small:call("SET", "fits", ("x"):rep(60000)))
      small:send(encode({ "SET", "big", ("x"):rep(70000) }) .. behind)
      small:expect_end("-ERR Protocol error: request is larger than max_request\r\n")
      assert.equal(0, redis:call("EXISTS", "big"))
    end)

    it("is a line without an end, after 64 KB", function()
      client:send(("x"):rep(70 * 1024))
      assert.equal("ERR Protocol error: too big inline request", (client:read()).err)
    end)

    it("is no reason to allocate what a length promises", function()
      local worker = nydus:workers()[1]
      local before, liars = support.rss(worker), {}
      for i = 1, 50 do
        liars[i] = nydus:client()
        liars[i]:send("*1048576\r\n$536870912\r\nsome")
      end
      client:call("PING")
      assert.is_true(support.rss(worker) - before < 20 * 1024 * 1024)
    end)
  end)

  describe("a command that is not there or has too few arguments", function()
    it("is an error in Redis's words, and the connection stays usable", function()
      for _, words in ipairs({
        { "NOSUCH" }, { "NOSUCH", "a", "b" }, { "" }, { ("x"):rep(200), ("y"):rep(200), "z" },
        { "NO\r\nSUCH", "a\r\nb" },
        { "GET" }, { "GET", "a", "b" }, { "SET", "a" }, { "MGET" }, { "DEL" }, { "HSET", "h", "f" }, { "CONFIG" },
        { "CONFIG", "NOSUCH" }, { "OBJECT", "NOSUCH", "k" }, { "XGROUP", "NOSUCH" }, { "OBJECT", "ENCODING" },
        { "EVAL", "x" },
        { "GETS" }, { "GE" }, { "\xff\xfe" },
      }) do
        assert.same({ peer:call(unpack(words)), "PONG" }, { client:call(unpack(words)), client:call("PING") }, words[1])
      end
    end)
  end)

  describe("HTTP", function()
    it("is dropped before anything of it is run", function()
      for _, first in ipairs({ "POST / HTTP/1.1\r\n", "Host: localhost\r\n" }) do
        local page = nydus:client()
        page:send("SET http 1\r\n" .. first .. "Content-Length: 20\r\n\r\nSET http 2\r\n")
        page:read_to_end()
        assert.not_equal("2", redis:call("GET", "http"))
      end
      nydus:wait_log("HTTP")
      assert.equal("PONG", client:call("PING"))
    end)
  end)

  describe("replies of a host", function()
    local host, other

    before_each(function()
      host = support.fake({ auto = { PING = "+PONG\r\n" } })
      other = support.nydus({ config = { hosts = { host } } }):client()
    end)

    it("may come byte by byte", function()
      local replies = "*3\r\n$1\r\na\r\n*2\r\n:-12\r\n+OK\r\n$-1\r\n-ERR no\r\n"
        .. "$0\r\n\r\n:9223372036854775807\r\n*0\r\n*-1\r\n"
      for _ = 1, 6 do other:command("GET", "k") end
      for _ = 1, 6 do host:expect("GET k") end
      host:drip(replies)
      assert.equal(replies, other:read_raw(#replies))
    end)

    it("may be cut at every byte", function()
      local replies = "*2\r\n$5\r\nab\r\nc\r\n:7\r\n$3\r\nxyz\r\n"
      for cut = 1, #replies - 1 do
        other:send(encode({ "GET", "a" }) .. encode({ "GET", "b" }))
        host:expect("GET a")
        host:expect("GET b")
        host:answer(replies:sub(1, cut))
        host:expect_silence(0.001)
        host:answer(replies:sub(cut + 1))
        assert.equal(replies, other:read_raw(#replies), "cut at " .. cut)
      end
    end)

    it("may be as large as the buffers they are read into, with others behind them", function()
      for _, edge in ipairs({ 16 * 1024, 32 * 1024, 64 * 1024, 68 * 1024, 80 * 1024 }) do
        for by = -12, 4, 4 do
          other:send(encode({ "GET", "a" }) .. encode({ "GET", "b" }))
          host:expect("GET a")
          host:expect("GET b")
          local replies = bulk(("r"):rep(edge + by)) .. bulk("behind")
          host:answer(replies:sub(1, 1000))
          host:expect_silence(0.001)
          host:answer(replies:sub(1001))
          assert.equal(replies, other:read_raw(#replies), edge + by)
        end
      end
    end)
  end)
end)
