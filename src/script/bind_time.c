/* For Lua: the clock of timers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/bindings.h"

#include <lauxlib.h>

/* clock() -> seconds that never go back */
static int clock_now(lua_State *L)
{
    lua_pushnumber(L, callbacks_clock(&bind_script(L)->callbacks));
    return 1;
}

/* wake(at): runtime.step is wanted then */
static int wake(lua_State *L)
{
    callbacks_wake(&bind_script(L)->callbacks, luaL_checknumber(L, 1));
    return 0;
}

void bind_time(struct script *script)
{
    bind_add(script, "clock", clock_now);
    bind_add(script, "wake", wake);
}
