/* For Lua: the targets that act, and those that decide by options; all has been checked by nydus.actions. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/attempts.h"
#include "proxy/cache.h"
#include "proxy/limit.h"
#include "proxy/rewrite.h"
#include "proxy/shadow.h"
#include "script/bindings.h"

#include <lauxlib.h>
#include <string.h>

/* A list of targets in C; it is the state's, and good while its place on the stack is. */
struct items {
    struct target **targets;
    uint32_t count;
};

static struct items check_items(lua_State *L, int argument)
{
    luaL_checktype(L, argument, LUA_TTABLE);
    struct items items = {.count = (uint32_t)lua_objlen(L, argument)};
    items.targets = lua_newuserdata(L, (items.count + 1) * sizeof *items.targets);
    for (uint32_t i = 0; i < items.count; i++) {
        lua_rawgeti(L, argument, (int)i + 1);
        items.targets[i] = bind_target(L, -1);
        lua_pop(L, 1);
    }
    return items;
}

/* all({ id, … }, reply) -> id, or nil when there is no such reply policy */
static int all(lua_State *L)
{
    enum list_reply reply;
    if (!list_reply_parse(luaL_checkstring(L, 2), &reply))
        return 0;
    struct items items = check_items(L, 1);
    struct target *made = target_list(bind_set(L), items.targets, items.count);
    made->list.reply = reply;
    return bind_push_target(L, made);
}

/* split({ id, … }, { weight, … }, "random" | "key" | "client") -> id */
static int split(lua_State *L)
{
    static const char *const words[] = {"random", "key", "client", NULL};
    enum split_by by = (enum split_by)luaL_checkoption(L, 3, NULL, words);
    struct items items = check_items(L, 1);
    luaL_argcheck(L, items.count, 1, "is empty");
    double *weights = lua_newuserdata(L, items.count * sizeof *weights);
    for (uint32_t i = 0; i < items.count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        weights[i] = luaL_checknumber(L, -1);
        lua_pop(L, 1);
    }
    return bind_push_target(L, target_split(bind_set(L), items.targets, weights, items.count, by));
}

/* failover({ id, … }, { down =, timeout =, error = }, seconds) -> id */
static int failover(lua_State *L)
{
    static const char *const words[] = {"down", "timeout", "error"};
    bool on[3];
    for (int i = 0; i < 3; i++) {
        lua_getfield(L, 2, words[i]);
        on[i] = lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
    const struct attempts_options options = {
        .on_down = on[0], .on_timeout = on[1], .on_error = on[2], .seconds = luaL_checknumber(L, 3)};
    struct items items = check_items(L, 1);
    return bind_push_target(L, attempts_failover(bind_set(L), items.targets, items.count, &options));
}

/* hedge({ id, … }, seconds) -> id */
static int hedge(lua_State *L)
{
    double after = luaL_checknumber(L, 2);
    struct items items = check_items(L, 1);
    return bind_push_target(L, attempts_hedge(bind_set(L), items.targets, items.count, after));
}

/* shadow(next, copy, sample, pending, bytes) -> id */
static int shadow(lua_State *L)
{
    const struct shadow_options options = {
        .sample = luaL_checknumber(L, 3),
        .pending = (uint32_t)luaL_checknumber(L, 4),
        .bytes = (size_t)luaL_checknumber(L, 5),
    };
    return bind_push_target(L, shadow_target(bind_set(L), bind_target(L, 1), bind_target(L, 2), &options));
}

/* limit(next, over or nil, rate, burst, key, name) -> id, or nil and why not */
static int limit(lua_State *L)
{
    static const char *const words[] = {"all", "client", "user", "addr", "key", "tag", "command", NULL};
    struct limit_options options = {
        .rate = luaL_checknumber(L, 3),
        .burst = luaL_checknumber(L, 4),
        .by = (enum limit_by)luaL_checkoption(L, 5, NULL, words),
    };
    size_t size;
    const char *name = luaL_checklstring(L, 6, &size);
    char error[200];
    if (!limiter_find(&options.limiter, name, size, options.rate, options.burst, error, sizeof error)) {
        lua_pushnil(L);
        lua_pushstring(L, error);
        return 2;
    }
    struct target *over = lua_isnil(L, 2) ? NULL : bind_target(L, 2);
    return bind_push_target(L, limit_target(bind_set(L), bind_target(L, 1), over, &options));
}

/* cache(next, ttl, size, tracking, prefixes end to end, { their lengths }) -> id, or nil, why not */
static int cache(lua_State *L)
{
    uint32_t count = (uint32_t)lua_objlen(L, 6), at = 0;
    struct resp_arg *prefixes = lua_newuserdata(L, (count + 1) * sizeof *prefixes);
    for (uint32_t i = 0; i < count; i++) {
        lua_rawgeti(L, 6, (int)i + 1);
        prefixes[i] = (struct resp_arg){.at = at, .size = (uint32_t)luaL_checknumber(L, -1)};
        at += prefixes[i].size;
        lua_pop(L, 1);
    }
    const struct cache_options options = {
        .ttl = luaL_checknumber(L, 2),
        .size = (size_t)luaL_checknumber(L, 3),
        .tracking = lua_toboolean(L, 4),
        .prefix_bytes = luaL_checkstring(L, 5),
        .prefixes = prefixes,
        .prefix_count = count,
    };
    const char *why;
    struct target *made = cache_target(bind_set(L), bind_target(L, 1), &options, &why);
    if (made)
        return bind_push_target(L, made);
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

/* rewrite(next, add, strip, all) -> id */
static int rewrite(lua_State *L)
{
    size_t add_size, strip_size;
    const char *add = luaL_checklstring(L, 2, &add_size), *strip = luaL_checklstring(L, 3, &strip_size);
    luaL_argcheck(L, add_size <= REWRITE_PREFIX && strip_size <= REWRITE_PREFIX, 2, "is too long");
    struct target *next = bind_target(L, 1);
    return bind_push_target(
        L, rewrite_target(bind_set(L), next, add, add_size, strip, strip_size, lua_toboolean(L, 4)));
}

void bind_actions(struct script *script)
{
    bind_add(script, "all", all);
    bind_add(script, "split", split);
    bind_add(script, "failover", failover);
    bind_add(script, "hedge", hedge);
    bind_add(script, "shadow", shadow);
    bind_add(script, "limit", limit);
    bind_add(script, "cache", cache);
    bind_add(script, "rewrite", rewrite);
}
