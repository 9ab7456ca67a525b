/* For Lua: hooks in front of targets. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/bindings.h"

#include <lauxlib.h>

/* (next, function) -> id; the function is one of func()'s */
static int hooked(lua_State *L, struct target *(*make)(struct script *, struct target *, struct target *))
{
    struct target *function = bind_target(L, 2);
    luaL_argcheck(L, function->kind == TARGET_FUNCTION, 2, "no function");
    struct target *made = make(bind_script(L), bind_target(L, 1), function);
    if (!made)
        luaL_error(L, "more than %d targets with a retry", UINT16_MAX);
    return bind_push_target(L, made);
}

static int retry(lua_State *L)
{
    return hooked(L, hook_retry);
}

static int on_reply(lua_State *L)
{
    return hooked(L, hook_on_reply);
}

void bind_hooks(struct script *script)
{
    bind_add(script, "retry", retry);
    bind_add(script, "on_reply", on_reply);
}
