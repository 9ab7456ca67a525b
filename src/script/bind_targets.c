/* For Lua: making targets. A target is named by its number in the set. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/bindings.h"

#include <lauxlib.h>
#include <string.h>

/* The target at [i] of the table on top of the stack. */
static struct target *item(lua_State *L, int i)
{
    lua_rawgeti(L, -1, i);
    struct target *target = bind_target(L, -1);
    lua_pop(L, 1);
    return target;
}

/* list({ id, … }) -> id */
static int list(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct target_set *set = bind_set(L);
    uint32_t count = (uint32_t)lua_objlen(L, 1);
    struct target **items = lua_newuserdata(L, (count + 1) * sizeof *items); /* an error may pass through */
    lua_pushvalue(L, 1);
    for (uint32_t i = 0; i < count; i++)
        items[i] = item(L, (int)i + 1);
    return bind_push_target(L, target_list(set, items, count));
}

/* reply(bytes) -> id */
static int reply(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    return bind_push_target(L, target_reply(bind_set(L), bytes, size));
}

/* loose(i, bytes) -> was there room? The answer to query i of this batch, and to no other. */
static int loose(lua_State *L)
{
    struct decider *decider = &bind_script(L)->decider;
    lua_Integer i = luaL_checkinteger(L, 1);
    luaL_argcheck(L, i >= 0 && i < NYDUS_BATCH, 1, "no place in a batch");
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    decider->loose[i] = scrap_reply(&decider->scrap, bytes, size);
    lua_pushboolean(L, decider->loose[i] != NULL);
    return 1;
}

/* prefix(otherwise or nil, { text = id, … }) -> id */
static int prefix(lua_State *L)
{
    struct target_set *set = bind_set(L);
    struct target *made = target_prefix(set, lua_isnil(L, 1) ? NULL : bind_target(L, 1));
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        size_t size;
        const char *text = lua_tolstring(L, -2, &size);
        target_prefix_add(made, text, size, bind_target(L, -1));
        lua_pop(L, 1);
    }
    return bind_push_target(L, made);
}

/* command({ name = id, … }, { name = id, … }) -> id, or nil and the name that is no command; the second
 * table has names of commands that the table lacks. */
static int command(lua_State *L)
{
    struct target *made = target_command(bind_set(L));
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        if (!target_command_add(made, lua_tostring(L, -2), bind_target(L, -1))) {
            lua_pushnil(L);
            lua_pushvalue(L, -3);
            return 2;
        }
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        target_command_add_learned(made, lua_tostring(L, -2), bind_target(L, -1));
        lua_pop(L, 1);
    }
    return bind_push_target(L, made);
}

/* func(driver, "file:line") -> id. The driver is what decide() calls. */
static int function(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    struct target_set *set = bind_set(L);
    const char *name = luaL_checkstring(L, 2);
    lua_pushvalue(L, 1);
    struct target *made = target_function(set, luaL_ref(L, LUA_REGISTRYINDEX), name);
    made->function.owner = bind_script(L)->decider.owner;
    made->function.spare = bind_script(L)->decider.spare;
    return bind_push_target(L, made);
}

static struct cluster *check_cluster(lua_State *L)
{
    const struct generation *generation = bind_script(L)->generation;
    lua_Integer index = luaL_checkinteger(L, 1);
    luaL_argcheck(L, index >= 0 && (uint64_t)index < generation->count, 1, "no such cluster");
    return generation->clusters[index];
}

/* cluster(index) -> id */
static int cluster(lua_State *L)
{
    struct target_set *set = bind_set(L);
    const struct cluster *named = check_cluster(L);
    return bind_push_target(L, target_cluster(set, &named->root, named->name));
}

/* fallback(index, id): what answers while the router of that cluster is quarantined */
static int fallback(lua_State *L)
{
    check_cluster(L)->quarantine.fallback = bind_target(L, 2);
    return 0;
}

void bind_targets(struct script *script)
{
    bind_add(script, "list", list);
    bind_add(script, "reply", reply);
    bind_add(script, "loose", loose);
    bind_add(script, "prefix", prefix);
    bind_add(script, "command", command);
    bind_add(script, "func", function);
    bind_add(script, "cluster", cluster);
    bind_add(script, "fallback", fallback);
}
