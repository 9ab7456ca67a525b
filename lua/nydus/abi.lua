-- SPDX-License-Identifier: Apache-2.0
-- Declares src/script/abi.h to FFI and opens the structs that C shares with us.
-- The only module that calls ffi.cdef.
--
--   abi.open(native)   once per state; then:
--   abi.batch          struct nydus_batch: the queries that Lua is asked for
--   abi.guard          struct nydus_guard: the stop flag
--   abi.state          struct nydus_state: what scripts share with all workers, the clock
--   abi.target         the ctype of targets, struct nydus_target
--   abi.NO_ROUTE, abi.LOOSE   what batch.out may hold beside a target
local ffi = require("ffi")

local M = {}

local function declarations(text)
  return (text:gsub("/%*.-%*/", ""):gsub("#[^\n]*", ""))
end

function M.open(native)
  ffi.cdef(declarations(native.abi))
  ffi.cdef("int memcmp(const void *, const void *, size_t); void *memchr(const void *, int, size_t);")
  M.batch = ffi.cast("struct nydus_batch *", native.batch)
  M.guard = ffi.cast("struct nydus_guard *", native.guard)
  M.state = ffi.cast("struct nydus_state *", native.state)
  M.target = ffi.typeof("struct nydus_target")
  M.NO_ROUTE = tonumber(ffi.C.NYDUS_NO_ROUTE)
  M.LOOSE = tonumber(ffi.C.NYDUS_LOOSE)
end

return M
