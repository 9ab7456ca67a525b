-- Replies that Nydus makes itself, in both versions of the protocol: what Redis
-- 7.0 makes of the same values (DEBUG PROTOCOL shows them).

local ffi = require("ffi")
local support = require("support")

support.header("resp/writer.h")
local C = support.lib()

-- What `write` writes for a client that speaks version `resp`.
local function written(resp, write)
  local writer = ffi.new("struct writer", { resp = resp })
  write(writer)
  local bytes = ffi.string(writer.data, writer.size)
  C.writer_deinit(writer)
  return bytes
end

local function writes(write, resp2, resp3)
  assert.equal(resp2, written(2, write))
  assert.equal(resp2, written(0, write), "a writer that was only zeroed")
  assert.equal(resp3, written(3, write))
end

describe("a reply of our own", function()
  it("has nulls", function()
    writes(C.writer_null, "$-1\r\n", "_\r\n")
    writes(C.writer_null_array, "*-1\r\n", "_\r\n")
  end)

  it("has maps, sets and pushes", function()
    writes(function(w) C.writer_map(w, 3) end, "*6\r\n", "%3\r\n")
    writes(function(w) C.writer_map(w, 0) end, "*0\r\n", "%0\r\n")
    writes(function(w) C.writer_set(w, 2) end, "*2\r\n", "~2\r\n")
    writes(function(w) C.writer_push(w, 2) end, "*2\r\n", ">2\r\n")
    writes(function(w) C.writer_array(w, 2) end, "*2\r\n", "*2\r\n")
  end)

  it("has booleans", function()
    writes(function(w) C.writer_boolean(w, true) end, ":1\r\n", "#t\r\n")
    writes(function(w) C.writer_boolean(w, false) end, ":0\r\n", "#f\r\n")
  end)

  it("has doubles", function()
    for number, text in pairs({ [3.25] = "3.25", [-7] = "-7", [0.1] = "0.10000000000000001",
                                [math.huge] = "inf", [-math.huge] = "-inf",
                                [-1.2345678901234567e-308] = "-1.2345678901234567e-308" }) do
      writes(function(w) C.writer_double(w, number) end,
             ("$%d\r\n%s\r\n"):format(#text, text), ("," .. text .. "\r\n"))
    end
    writes(function(w) C.writer_double(w, 0 / 0) end, "$3\r\nnan\r\n", ",nan\r\n")
  end)

  it("has big numbers", function()
    local digits = "1234567999999999999999999999999999999"
    writes(function(w) C.writer_big_number(w, digits) end, "$37\r\n" .. digits .. "\r\n", "(" .. digits .. "\r\n")
  end)

  it("has texts", function()
    writes(function(w) C.writer_verbatim(w, "a\nb", 3) end, "$3\r\na\nb\r\n", "=7\r\ntxt:a\nb\r\n")
    writes(function(w) C.writer_verbatim(w, "", 0) end, "$0\r\n\r\n", "=4\r\ntxt:\r\n")
    writes(function(w) C.writer_text(w, "abc") end, "$3\r\nabc\r\n", "$3\r\nabc\r\n")
    writes(function(w) C.writer_status(w, "OK") end, "+OK\r\n", "+OK\r\n")
  end)

  it("has values that were written before, with other nulls", function()
    for resp2, resp3 in pairs({
      ["$-1\r\n"] = "_\r\n", ["*-1\r\n"] = "_\r\n", ["$3\r\n$-1\r\n"] = "$3\r\n$-1\r\n", ["+OK\r\n"] = "+OK\r\n",
      ["*3\r\n$-1\r\n*1\r\n$-1\r\n:-1\r\n"] = "*3\r\n_\r\n*1\r\n_\r\n:-1\r\n",
      ["*2\r\n$7\r\n\r\n$-1\r\n\r\n$0\r\n\r\n"] = "*2\r\n$7\r\n\r\n$-1\r\n\r\n$0\r\n\r\n",
      ["-ERR $-1\r\n"] = "-ERR $-1\r\n", ["*0\r\n"] = "*0\r\n",
    }) do
      assert.equal(resp3, written(3, function(w) C.writer_values(w, resp2, #resp2) end))
    end
  end)

  it("keeps its version when it is emptied", function()
    assert.equal("_\r\n", written(3, function(w)
      C.writer_null(w)
      C.writer_deinit(w)
      C.writer_null(w)
    end))
  end)
end)
