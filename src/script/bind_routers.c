/* For Lua: the built-in routers as targets. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/bindings.h"

#include <lauxlib.h>
#include <string.h>

/* A field of the options table (argument 3) as text, or NULL. */
static const char *option(lua_State *L, const char *name)
{
    lua_getfield(L, 3, name);
    const char *text = lua_tostring(L, -1);
    lua_pop(L, 1); /* the table keeps it alive */
    return text;
}

static bool option_flag(lua_State *L, const char *name)
{
    lua_getfield(L, 3, name);
    bool on = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return on;
}

/* The options have been checked by nydus.config.router. */
static void read_options(lua_State *L, struct router_options *options)
{
    const char *hash = option(L, "hash"), *tag = option(L, "hash_tag");
    if (!router_kind_parse(option(L, "name"), &options->kind) ||
        !router_compat_parse(option(L, "compat"), &options->compat) ||
        (hash && !hash_kind_parse(hash, &options->hash)))
        luaL_error(L, "unknown router, compat or hash");
    options->unsigned_bytes = !option_flag(L, "signed");
    if (tag && strlen(tag) == 2)
        memcpy(options->hash_tag, tag, 2);
}

/* router(cluster index, { host index, … }, options) -> id, or nil and why not */
static int router(lua_State *L)
{
    const struct generation *generation = bind_script(L)->generation;
    lua_Integer index = luaL_checkinteger(L, 1);
    luaL_argcheck(L, generation && index >= 0 && (uint64_t)index < generation->count, 1, "no such cluster");
    struct cluster *cluster = generation->clusters[index];
    uint32_t count = (uint32_t)lua_objlen(L, 2);
    uint32_t *indexes = lua_newuserdata(L, (count + 1) * sizeof *indexes); /* an error may pass through */
    for (uint32_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        lua_Integer host = lua_tointeger(L, -1);
        luaL_argcheck(L, host >= 0 && (uint64_t)host < cluster->count, 2, "no such host");
        indexes[i] = (uint32_t)host;
        lua_pop(L, 1);
    }
    struct router_options options = {0};
    read_options(L, &options);
    char error[256];
    struct target *made =
        cluster_router(cluster, &options, option_flag(L, "eject"), indexes, count, error, sizeof error);
    if (!made) {
        lua_pushnil(L);
        lua_pushstring(L, error);
        return 2;
    }
    lua_pushinteger(L, made->id);
    return 1;
}

/* router_end(id, place in the list of hosts from 0, id): what gets the keys that are the host's */
static int router_end(lua_State *L)
{
    struct target *target = bind_target(L, 1);
    lua_Integer place = luaL_checkinteger(L, 2);
    bool fits = target->kind == TARGET_ROUTER && place >= 0 && place < target->router.count;
    luaL_argcheck(L, fits, 2, "no place");
    target_router_end(target, (uint32_t)place, bind_target(L, 3));
    return 0;
}

/* pick(id, key) -> the host's id, or nil when all are down */
static int pick(lua_State *L)
{
    struct target *target = bind_target(L, 1);
    size_t size;
    const char *key = luaL_checklstring(L, 2, &size);
    luaL_argcheck(L, target->kind == TARGET_ROUTER, 1, "no router");
    int index = router_pick(target->router.router, key, size);
    if (index == ROUTER_NONE)
        return 0;
    lua_pushinteger(L, target->router.hosts[index]->id);
    return 1;
}

void bind_routers(struct script *script)
{
    bind_add(script, "router", router);
    bind_add(script, "router_end", router_end);
    bind_add(script, "pick", pick);
}
