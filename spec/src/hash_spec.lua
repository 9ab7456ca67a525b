-- The hash functions against the golden table of twemproxy and against
-- published values of the plain ones.

local bit = require("bit")
local ffi = require("ffi")
local files = require("support.files")
local routers = require("support.routers")
local support = require("support")

support.header("base/hash.h")
local C = support.lib()

local TWEMPROXY = bit.bor(C.HASH_TWEMPROXY, C.HASH_SIGNED_BYTES)

local function hash(name, variant, key)
  local kind = ffi.new("enum hash_kind[1]")
  assert(C.hash_kind_parse(name, kind), name)
  return C.hash_key(kind[0], variant, key, #key)
end

ffi.cdef([[
  void *malloc(size_t size);
  void free(void *memory);
  void nettle_md5_init(void *context);
  void nettle_md5_update(void *context, size_t size, const char *data);
  void nettle_md5_digest(void *context, size_t size, void *digest);
]])

local function nettle_md5(data, size)
  local context, digest = ffi.new("uint64_t[64]"), ffi.new("char[16]")
  C.nettle_md5_init(context)
  C.nettle_md5_update(context, size, data)
  C.nettle_md5_digest(context, 16, digest)
  return ffi.string(digest, 16)
end

local function random_bytes(size)
  local bytes = {}
  for i = 1, size do bytes[i] = string.char(math.random(0, 255)) end
  return table.concat(bytes)
end

-- The text in memory that ends where it does, so that a sanitizer sees a read past it.
local function exact(text)
  local memory = ffi.cast("char *", ffi.C.malloc(#text))
  ffi.copy(memory, text, #text)
  return memory, function() ffi.C.free(memory) end
end

describe("hash", function()
  describe("hash_key", function()
    it("agrees with twemproxy on every row of its table", function()
      local rows = routers.table("twemproxy_hashes.tsv")
      assert.equal(96, #rows)
      for _, row in ipairs(rows) do
        assert.equal(tonumber(row[3]), hash(row[1], TWEMPROXY, routers.unhex(row[2])), row[1] .. " of " .. row[2])
      end
    end)

    local plain = {
      -- hash           key            value        where it is published
      { "crc32", "123456789", 0xcbf43926 }, -- the check value of CRC-32
      { "crc32a", "123456789", 0xcbf43926 },
      { "crc32", "foo", 2356372769 },
      { "crc16", "123456789", 0x31c3 }, -- CRC-16/XMODEM; Redis Cluster's specification
      { "crc16", "foo", 0xaf96 },
      { "fnv1a_32", "foobar", 0xbf9cf968 }, -- the FNV page's test vectors
      { "fnv1_32", "foobar", 0x31f0b262 },
      { "xxh64", "", 0x51d8e999 }, -- 0xef46db3751d8e999
      { "md5", "", 0xd98c1dd4 }, -- d41d8cd98f00b204…
    }
    it("gives the plain values of the functions' authors", function()
      for _, row in ipairs(plain) do
        assert.equal(row[3], hash(row[1], C.HASH_PLAIN, row[2]), row[1] .. " of " .. row[2])
      end
    end)

    it("keeps the low half of the 64-bit FNV", function()
      local function fnv1a(key)
        local value = 0xcbf29ce484222325ULL
        for i = 1, #key do
          value = bit.bxor(value, ffi.cast("uint64_t", key:byte(i))) * 0x100000001b3ULL
        end
        return tonumber(bit.band(value, 0xffffffffULL))
      end
      for _, key in ipairs({ "", "a", "foobar", "\xc3\xa9t\xc3\xa9" }) do
        assert.equal(fnv1a(key), hash("fnv1a_64", C.HASH_PLAIN, key))
      end
    end)

    it("reads bytes from 0x80 as signed or unsigned, as asked", function()
      local ete = "\xc3\xa9t\xc3\xa9"
      assert.equal(3933641815, hash("fnv1a_64", C.HASH_SIGNED_BYTES, ete))
      assert.equal(2293569623, hash("fnv1a_64", C.HASH_PLAIN, ete))
    end)

    it("gives the same crc16 four bytes at a time as byte by byte", function()
      for size = 0, 70 do
        local key, free = exact(random_bytes(size))
        local text = ffi.string(key, size)
        local expected = 0
        for i = 1, size do
          expected = bit.bxor(expected, bit.lshift(text:byte(i), 8))
          for _ = 1, 8 do
            expected = bit.bxor(expected * 2, expected >= 0x8000 and 0x11021 or 0)
          end
        end
        assert.equal(expected, C.hash_crc16(key, size), size .. " bytes")
        assert.equal(expected, hash("crc16", C.HASH_PLAIN, text))
        assert.equal(expected, bit.band(hash("crc16", C.HASH_TWEMPROXY, text), 0xffff))
        free()
      end
    end)

    local readings = {
      fnv1a_64 = true, fnv1_64 = true, fnv1a_32 = true, fnv1_32 = true, one_at_a_time = true, hsieh = true,
      md5 = false, crc16 = false, crc32 = false, crc32a = false, murmur = false, jenkins = false, xxh64 = false,
    }
    it("has two readings of a byte where twemproxy does, and only there", function()
      for name, differs in pairs(readings) do
        -- seven bytes: a word and the three-byte rest of hsieh
        local key = "abcd\xe9\xe8\xe7"
        assert.equal(differs, hash(name, C.HASH_SIGNED_BYTES, key) ~= hash(name, C.HASH_PLAIN, key), name)
        assert.equal(hash(name, C.HASH_SIGNED_BYTES, "plain text"), hash(name, C.HASH_PLAIN, "plain text"), name)
      end
    end)

    it("reads a single last byte of hsieh as unsigned always", function()
      assert.equal(hash("hsieh", C.HASH_SIGNED_BYTES, "abcd\xe9"), hash("hsieh", C.HASH_PLAIN, "abcd\xe9"))
    end)

    it("does not look past the key or at how it is aligned", function()
      for name in pairs(readings) do
        for size = 0, 40 do
          local key = ("0123456789abcdef"):rep(3):sub(1, size)
          local expected = hash(name, TWEMPROXY, key)
          for offset = 0, 3 do
            local bytes = ffi.new("char[64]", ("\xff"):rep(63))
            ffi.copy(bytes + offset, key, size)
            local kind = ffi.new("enum hash_kind[1]")
            C.hash_kind_parse(name, kind)
            assert.equal(expected, C.hash_key(kind[0], TWEMPROXY, bytes + offset, size))
          end
        end
      end
    end)
  end)

  describe("hash_md5_words", function()
    local good = {
      [("a"):rep(3)] = "47bce5c74f589f4867dbd57e9ca9f808",
      [("a"):rep(55)] = "ef1772b6dff9a122358552954ad0df65",
      [("a"):rep(56)] = "3b0c8ac703f828b04c6c197006d17218",
      [("a"):rep(64)] = "014842d480b571495a4a0363793f7367",
      [("a"):rep(200)] = "887f30b43b2867f4a9accceee7d16e6c",
    }
    it("is MD5 on both sides of the one-block limit", function()
      for text, digest in pairs(good) do
        local words = ffi.new("uint32_t[4]")
        C.hash_md5_words(text, #text, words)
        local bytes = ffi.string(words, 16):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
        assert.equal(digest, bytes, #text .. " bytes")
      end
    end)

    it("is nettle's MD5, whatever the size", function()
      local words = ffi.new("uint32_t[4]")
      for size = 0, 200 do
        local key, free = exact(random_bytes(size))
        C.hash_md5_words(key, size, words)
        assert.equal(nettle_md5(key, size), ffi.string(words, 16), size .. " bytes")
        free()
      end
    end)
  end)

  describe("hash_md5_many", function()
    after_each(function() C.hash_md5_use(0) end)

    -- The way by each kind of instructions that this CPU has.
    local function each_way(check)
      local number = 0
      while C.hash_md5_use(number) ~= nil do
        check(ffi.string(C.hash_md5_use(number)))
        number = number + 1
      end
      assert.is_true(number > 0)
    end

    local function many(sizes)
      local texts, hashes = ffi.new("struct hash_text[?]", #sizes), ffi.new("uint32_t[?]", #sizes + 1)
      local expected, frees = {}, {}
      for i, size in ipairs(sizes) do
        local key, free = exact(random_bytes(size))
        texts[i - 1].data, texts[i - 1].size, frees[i] = key, size, free
        expected[i] = hash("md5", C.HASH_PLAIN, ffi.string(key, size))
      end
      hashes[#sizes] = 12345
      C.hash_md5_many(texts, #sizes, hashes)
      for _, free in ipairs(frees) do free() end
      local got = {}
      for i = 1, #sizes do got[i] = hashes[i - 1] end
      assert.equal(12345, hashes[#sizes], "nothing is written past the last one")
      return expected, got
    end

    it("has all four words of each, too: hash_md5_words_many", function()
      local one = ffi.new("uint32_t[4]")
      each_way(function(way)
        for count = 0, 20 do
          local texts, words, frees = ffi.new("struct hash_text[?]", count), ffi.new("uint32_t[?][4]", count + 1), {}
          for i = 0, count - 1 do
            local size = math.random(0, 70)
            texts[i].data, frees[i + 1] = exact(random_bytes(size))
            texts[i].size = size
          end
          words[count][0] = 12345
          C.hash_md5_words_many(texts, count, words)
          for i = 0, count - 1 do
            C.hash_md5_words(texts[i].data, texts[i].size, one)
            assert.equal(ffi.string(one, 16), ffi.string(words[i], 16), ("%d of %d, %s"):format(i, count, way))
          end
          assert.equal(12345, words[count][0], "nothing is written past the last one")
          for _, free in ipairs(frees) do free() end
        end
      end)
    end)

    it("gives each key its md5, whatever the sizes and by whatever instructions", function()
      each_way(function(way)
        for size = 0, 70 do
          for _, count in ipairs({ 1, 2, 5, 17, 31 }) do
            local sizes = {}
            for i = 1, count do sizes[i] = size end
            local expected, got = many(sizes)
            assert.same(expected, got, ("%d keys of %d bytes, %s"):format(count, size, way))
          end
        end
      end)
    end)

    it("gives each key its md5, however many there are, long ones among short ones", function()
      each_way(function(way)
        for count = 0, 40 do
          local sizes = {}
          for i = 1, count do sizes[i] = math.random(0, 70) end
          local expected, got = many(sizes)
          assert.same(expected, got, ("%s, sizes %s"):format(way, table.concat(sizes, " ")))
        end
      end)
    end)

    it("begins with the best that the CPU has", function()
      local flags = " " .. (files.read("/proc/cpuinfo") or ""):match("flags%s*:([^\n]*)") .. " "
      local expected = flags:find(" avx512vl ", 1, true) and "avx512vl" or flags:find(" avx2 ", 1, true) and "avx2"
        or "plain"
      assert.equal(expected, ffi.string(C.hash_md5_use(0)))
    end)
  end)

  describe("hash_kind_parse", function()
    it("knows every name it gives, and no other", function()
      local kind = ffi.new("enum hash_kind[1]")
      for i = 0, C.HASH_KINDS - 1 do
        assert.is_true(C.hash_kind_parse(C.hash_kind_name(i), kind))
        assert.equal(i, tonumber(kind[0]))
      end
      for _, name in ipairs({ "", "sha1", "MD5", "md", "md55" }) do
        assert.is_false(C.hash_kind_parse(name, kind), name)
      end
    end)
  end)
end)
