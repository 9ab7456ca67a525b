/* Plain values; see plain.h.
 *
 * A byte says what a value is, the value follows: a number as it is, a string
 * behind its size, a table as pairs up to a byte that says it has no more. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/plain.h"

#include "base/memory.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { NIL = '0', YES = 'y', NO = 'n', NUMBER = '#', STRING = '"', TABLE = '{', END = '}' };

struct packing {
    struct plain *plain;
    lua_State *L;
    size_t end; /* not beyond it */
    int depth;
};

static const char *const too_large = "it is too large";

static bool put(struct packing *packing, const void *bytes, size_t size)
{
    struct plain *plain = packing->plain;
    if (plain->size + size > packing->end)
        return false;
    if (plain->size + size > plain->room) {
        plain->room = (plain->size + size) * 2;
        plain->bytes = xrealloc(plain->bytes, plain->room);
    }
    memcpy(plain->bytes + plain->size, bytes, size);
    plain->size += size;
    return true;
}

static bool put_byte(struct packing *packing, char byte)
{
    return put(packing, &byte, 1);
}

static const char *add(struct packing *packing);

static const char *add_string(struct packing *packing)
{
    size_t size;
    const char *text = lua_tolstring(packing->L, -1, &size);
    bool fits = put_byte(packing, STRING) && put(packing, &size, sizeof size) && put(packing, text, size);
    return fits ? NULL : too_large;
}

/* The pairs as they are: no metamethod is asked. */
static const char *add_table(struct packing *packing)
{
    lua_State *L = packing->L;
    if (packing->depth == PLAIN_DEPTH)
        return "it is too deep";
    if (lua_getmetatable(L, -1)) {
        lua_pop(L, 1);
        return "it has a table with a metatable";
    }
    if (!put_byte(packing, TABLE) || !lua_checkstack(L, 4))
        return too_large;
    const char *problem = NULL;
    packing->depth++;
    lua_pushnil(L);
    while (!problem && lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        problem = add(packing);
        lua_pop(L, 1);
        if (!problem)
            problem = add(packing);
        lua_pop(L, 1);
    }
    if (problem)
        lua_pop(L, 1); /* the key */
    packing->depth--;
    return problem || put_byte(packing, END) ? problem : too_large;
}

static const char *add(struct packing *packing)
{
    lua_State *L = packing->L;
    lua_Number number;
    switch (lua_type(L, -1)) {
    case LUA_TNIL:
        return put_byte(packing, NIL) ? NULL : too_large;
    case LUA_TBOOLEAN:
        return put_byte(packing, lua_toboolean(L, -1) ? YES : NO) ? NULL : too_large;
    case LUA_TNUMBER:
        number = lua_tonumber(L, -1);
        return put_byte(packing, NUMBER) && put(packing, &number, sizeof number) ? NULL : too_large;
    case LUA_TSTRING:
        return add_string(packing);
    case LUA_TTABLE:
        return add_table(packing);
    case LUA_TFUNCTION:
        return "it has a function";
    default:
        return "it has something that is no plain value, as a host or a request";
    }
}

const char *plain_add(struct plain *plain, lua_State *L, size_t limit)
{
    size_t begin = plain->size;
    struct packing packing = {.plain = plain, .L = L, .end = begin + limit};
    const char *problem = add(&packing);
    if (problem)
        plain->size = begin;
    return problem;
}

static void take(const struct plain *plain, size_t *at, void *into, size_t size)
{
    memcpy(into, plain->bytes + *at, size);
    *at += size;
}

static void push_table(const struct plain *plain, size_t *at, lua_State *L)
{
    luaL_checkstack(L, 4, "a table is too deep");
    lua_newtable(L);
    while (plain->bytes[*at] != END) {
        plain_push(plain, at, L);
        plain_push(plain, at, L);
        lua_rawset(L, -3);
    }
    ++*at;
}

void plain_push(const struct plain *plain, size_t *at, lua_State *L)
{
    lua_Number number;
    size_t size;
    char kind = plain->bytes[(*at)++];
    switch (kind) {
    case YES:
    case NO:
        lua_pushboolean(L, kind == YES);
        break;
    case NUMBER:
        take(plain, at, &number, sizeof number);
        lua_pushnumber(L, number);
        break;
    case STRING:
        take(plain, at, &size, sizeof size);
        lua_pushlstring(L, plain->bytes + *at, size);
        *at += size;
        break;
    case TABLE:
        push_table(plain, at, L);
        break;
    default:
        lua_pushnil(L);
        break;
    }
}

void plain_deinit(struct plain *plain)
{
    free(plain->bytes);
    *plain = (struct plain){0};
}
