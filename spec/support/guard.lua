-- Memory that ends at an inaccessible page: a parser that looks one byte too
-- far crashes the spec instead of passing it.
--
--   local guard = require("support.guard")
--   local start = guard.place(bytes)    -- const char *, valid until the next place

local ffi = require("ffi")
local header = require("support.header")

local M = {}

header.cdef([[
void *mmap(void *address, size_t size, int protection, int flags, int fd, long offset);
int mprotect(void *address, size_t size, int protection);
int munmap(void *address, size_t size);
]])

local PROT_NONE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS = 0, 3, 0x22
local PAGE = 65536 -- a multiple of every page size

local memory, room = nil, 0

local function reserve(size)
  if memory then ffi.C.munmap(memory, room + PAGE) end
  room = math.ceil(math.max(size, 1) / PAGE) * PAGE
  local at = ffi.C.mmap(nil, room + PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0)
  assert(ffi.cast("intptr_t", at) ~= -1, "mmap failed")
  memory = ffi.cast("char *", at)
  assert(ffi.C.mprotect(memory + room, PAGE, PROT_NONE) == 0, "mprotect failed")
end

function M.place(bytes)
  if #bytes > room then reserve(#bytes) end
  local start = memory + room - #bytes
  ffi.copy(start, bytes, #bytes)
  return start
end

return M
