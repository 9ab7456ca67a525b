/* Heirlooms; see heirloom.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/heirloom.h"

#include "base/log.h"
#include "script/bindings.h"
#include "script/plain.h"

#include <lauxlib.h>

static const int32_t no_step;

/* The values of one script, at the top of the stack: their names and they themselves, one
 * after the other, up to a nil. */
static void pack_values(struct plain *plain, lua_State *L, const char *key, bool last)
{
    size_t end = plain->size + PLAIN_SIZE;
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        size_t begin = plain->size;
        lua_pushvalue(L, -2);
        const char *problem = plain_add(plain, L, end - plain->size);
        lua_pop(L, 1);
        if (!problem)
            problem = plain_add(plain, L, end - plain->size);
        if (problem && last)
            log_warn("router: keep: '%s' of %s is not handed on: %s", lua_tostring(L, -2), key, problem);
        if (problem)
            plain->size = begin;
        lua_pop(L, 1);
    }
}

/* The table { [key] = { [name] = value } } at the top of the stack, as pairs of key and values. */
static void pack_scripts(struct plain *plain, lua_State *L, bool last)
{
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        plain_add(plain, L, PLAIN_SIZE);
        lua_pop(L, 1);
        pack_values(plain, L, lua_tostring(L, -2), last);
        lua_pop(L, 1);
        lua_pushnil(L);
        plain_add(plain, L, PLAIN_SIZE);
        lua_pop(L, 1);
    }
}

struct unpacking {
    struct script *to;
    const struct plain *plain;
};

/* Pushes give() and the table, and leaves both. Under a pcall: there may be no memory. */
static int unpack(lua_State *L)
{
    const struct unpacking *unpacking = lua_touserdata(L, 1);
    const struct plain *plain = unpacking->plain;
    script_push_runtime(unpacking->to, "give");
    lua_newtable(L);
    for (size_t at = 0; at < plain->size;) {
        plain_push(plain, &at, L);
        lua_newtable(L);
        for (plain_push(plain, &at, L); !lua_isnil(L, -1); plain_push(plain, &at, L)) {
            plain_push(plain, &at, L);
            lua_rawset(L, -3);
        }
        lua_pop(L, 1);
        lua_rawset(L, -3);
    }
    lua_call(L, 1, 0);
    return 0;
}

void heirloom_hand(struct script *from, struct script *to, bool last)
{
    lua_State *L = from->state.L;
    struct plain plain = {0};
    script_push_runtime(from, "values");
    if (state_call(&from->state, 0, 1, &no_step, GUARD_STEP_LIMIT) == 0 && lua_istable(L, -1))
        pack_scripts(&plain, L, last);
    lua_settop(L, 0);
    struct unpacking unpacking = {.to = to, .plain = &plain};
    if (lua_cpcall(to->state.L, unpack, &unpacking) != 0)
        log_warn("router: keep: nothing is handed on: %s", state_error(&to->state));
    lua_settop(to->state.L, 0);
    plain_deinit(&plain);
}
