-- Runs busted under LuaJIT: luajit spec/support/busted.lua [options] [files].
-- Exit code 0 only if something ran and nothing failed.

package.path = "./lua/?.lua;./lua/?/init.lua;./spec/?.lua;./spec/?/init.lua;" .. package.path

NYDUS_SPEC_RESULT = {} -- luacheck: ignore 111 (filled by output.lua)
local result = NYDUS_SPEC_RESULT -- luacheck: ignore 113

require("busted.runner")({ standalone = false })
os.exit(result.clean and 0 or 1, true)
