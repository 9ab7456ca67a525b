/* What all bindings share; see bindings.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/bindings.h"

#include <lauxlib.h>

void bind_add(struct script *script, const char *name, lua_CFunction function)
{
    lua_State *L = script->state.L;
    lua_pushlightuserdata(L, script);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
}

struct script *bind_script(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

struct target *bind_target(lua_State *L, int i)
{
    struct target_set *set = bind_script(L)->decider.set;
    lua_Integer id = luaL_checkinteger(L, i);
    if (!set || id < 0 || (uint64_t)id >= set->count)
        luaL_error(L, "there is no such target");
    return set->targets[id];
}

int bind_push_target(lua_State *L, const struct target *target)
{
    lua_pushinteger(L, target->id);
    return 1;
}

struct target_set *bind_set(lua_State *L)
{
    struct target_set *set = bind_script(L)->decider.set;
    if (!set)
        luaL_error(L, "there is no generation yet");
    return set;
}

void bindings_push(struct script *script)
{
    lua_State *L = script->state.L;
    lua_newtable(L);
    bind_facts(script);
    bind_hooks(script);
    bind_hosts(script);
    bind_targets(script);
    bind_actions(script);
    bind_routers(script);
    bind_strings(script);
    bind_time(script);
    bind_trial(script);
    bind_state(script);
    bind_flow(script);
    lua_pushstring(L, script_abi_text);
    lua_setfield(L, -2, "abi");
    lua_pushlightuserdata(L, script->decider.batch);
    lua_setfield(L, -2, "batch");
    lua_pushlightuserdata(L, &guard);
    lua_setfield(L, -2, "guard");
}
