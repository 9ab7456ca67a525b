/* For Lua: string.find, match, gmatch and gsub over script/pattern.h, for
 * patterns; they take the place of the library's, which cannot be stopped. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/bindings.h"
#include "script/pattern.h"

#include <lauxlib.h>
#include <string.h>

enum { STRINGS_STACK = 512 * 1024 }; /* bytes of C's stack that one call into Lua may take */

/* Sets up a match of argument 2 in argument 1; returns the pattern's first byte. */
static const char *pattern_args(lua_State *L, struct pattern *m)
{
    size_t subject_size, pattern_size;
    m->subject = luaL_checklstring(L, 1, &subject_size);
    m->subject_end = m->subject + subject_size;
    const char *p = luaL_checklstring(L, 2, &pattern_size);
    m->end = p + pattern_size;
    m->steps = PATTERN_STEPS;
    return p;
}

/* One attempt; raises what is wrong with the pattern. */
static const char *try_match(lua_State *L, struct pattern *m, const char *at, const char *p)
{
    const char *end = pattern_match(m, at, p);
    if (!end && m->error)
        luaL_error(L, "%s", m->error);
    return end;
}

static void push_capture(lua_State *L, const struct pattern *m, int i, const char *at, const char *end)
{
    if (i >= m->captures) {
        if (i > 0)
            luaL_error(L, "invalid capture index");
        lua_pushlstring(L, at, (size_t)(end - at));
    } else if (m->capture[i].size == CAPTURE_POSITION) {
        lua_pushinteger(L, m->capture[i].at - m->subject + 1);
    } else if (m->capture[i].size == CAPTURE_OPEN) {
        luaL_error(L, "unfinished capture");
    } else {
        lua_pushlstring(L, m->capture[i].at, (size_t)m->capture[i].size);
    }
}

/* All captures, or the whole match when there are none and `whole`. */
static int push_captures(lua_State *L, const struct pattern *m, const char *at, const char *end, bool whole)
{
    int count = m->captures == 0 && whole ? 1 : m->captures;
    luaL_checkstack(L, count, "too many captures");
    for (int i = 0; i < count; i++)
        push_capture(L, m, i, at, end);
    return count;
}

/* The place that argument 3 names; as in Lua 5.1, none is behind the end. */
static const char *start_of(lua_State *L, const struct pattern *m)
{
    lua_Integer size = m->subject_end - m->subject, init = luaL_optinteger(L, 3, 1);
    if (init < 0)
        init = init + size < 0 ? 0 : init + size;
    else if (init > 0)
        init--;
    return m->subject + (init > size ? size : init);
}

static int find_or_match(lua_State *L, bool find)
{
    struct pattern m;
    const char *p = pattern_args(L, &m), *at = start_of(L, &m);
    bool anchored = p < m.end && *p == '^';
    if (anchored)
        p++;
    for (; at <= m.subject_end; at++) {
        const char *end = try_match(L, &m, at, p);
        if (end && find) {
            lua_pushinteger(L, at - m.subject + 1);
            lua_pushinteger(L, end - m.subject);
            return 2 + push_captures(L, &m, at, end, false);
        }
        if (end)
            return push_captures(L, &m, at, end, true);
        if (anchored)
            break;
    }
    lua_pushnil(L);
    return 1;
}

static int find(lua_State *L)
{
    return find_or_match(L, true);
}

static int match(lua_State *L)
{
    return find_or_match(L, false);
}

/* What gmatch returns, in a userdata: `text` holds the subject, then the pattern. It can be called, as a
 * function could. A C function of its own for each would have a trace compiled for each. */
struct gmatch {
    size_t subject_size, pattern_size;
    size_t at; /* where to go on */
    char text[];
};

static int gmatch_next(lua_State *L)
{
    struct gmatch *state = lua_touserdata(L, 1);
    const char *p = state->text + state->subject_size;
    struct pattern m = {
        .subject = state->text,
        .subject_end = p,
        .end = p + state->pattern_size,
        .steps = PATTERN_STEPS,
    };
    for (const char *at = m.subject + state->at; at <= m.subject_end; at++) {
        const char *end = try_match(L, &m, at, p);
        if (end) {
            state->at = (size_t)(end - m.subject) + (end == at);
            return push_captures(L, &m, at, end, true);
        }
    }
    return 0;
}

static int gmatch(lua_State *L)
{
    size_t subject_size, pattern_size;
    const char *subject = luaL_checklstring(L, 1, &subject_size);
    const char *pattern = luaL_checklstring(L, 2, &pattern_size);
    struct gmatch *state = lua_newuserdata(L, sizeof *state + subject_size + pattern_size);
    *state = (struct gmatch){.subject_size = subject_size, .pattern_size = pattern_size};
    memcpy(state->text, subject, subject_size);
    memcpy(state->text + subject_size, pattern, pattern_size);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setmetatable(L, -2);
    return 1;
}

/* Adds gmatch to the table on top of the stack, with the metatable of what it returns. */
static void add_gmatch(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, gmatch_next);
    lua_setfield(L, -2, "__call");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pushcclosure(L, gmatch, 1);
    lua_setfield(L, -2, "gmatch");
}

/* %0 to %9 and %% in a replacement. */
static void add_text(lua_State *L, const struct pattern *m, luaL_Buffer *out, const char *at, const char *end)
{
    size_t size;
    const char *text = lua_tolstring(L, 3, &size);
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '%' || ++i == size) {
            luaL_addchar(out, i < size ? text[i] : '\0');
        } else if (text[i] < '0' || text[i] > '9') {
            luaL_addchar(out, text[i]);
        } else if (text[i] == '0') {
            luaL_addlstring(out, at, (size_t)(end - at));
        } else {
            push_capture(L, m, text[i] - '1', at, end);
            luaL_addvalue(out);
        }
    }
}

/* A function of C that calls one of the script that calls it again: to unwind a deep one takes seconds, and
 * the stack of C has an end. */
static void check_depth(lua_State *L, const char *name, int level, ptrdiff_t most)
{
    const struct state *state = &bind_script(L)->state;
    const char *here = __builtin_frame_address(0);
    if (!state->c_stack || state->c_stack - here <= most)
        return;
    luaL_where(L, level);
    lua_pushfstring(L, "%s%s: called within itself too often", lua_tostring(L, -1), name);
    lua_error(L);
}

/* depth(name): for a function of ours that the script has called */
static int depth(lua_State *L)
{
    check_depth(L, luaL_checkstring(L, 1), 2, STRINGS_STACK / 8);
    return 0;
}

static void add_replacement(lua_State *L, const struct pattern *m, luaL_Buffer *out, const char *at,
                            const char *end)
{
    int type = lua_type(L, 3);
    if (guard.stop)
        luaL_error(L, "stopped");
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(L, m, at, end, true), 1);
    } else if (type == LUA_TTABLE) {
        push_capture(L, m, 0, at, end);
        lua_gettable(L, 3);
    } else {
        add_text(L, m, out, at, end);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        lua_pushlstring(L, at, (size_t)(end - at));
    } else if (!lua_isstring(L, -1)) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
    luaL_addvalue(out);
}

static int gsub(lua_State *L)
{
    struct pattern m;
    check_depth(L, "string.gsub", 1, STRINGS_STACK);
    const char *p = pattern_args(L, &m), *at = m.subject;
    int type = lua_type(L, 3);
    luaL_argcheck(L,
                  type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TFUNCTION || type == LUA_TTABLE,
                  3, "string/function/table expected");
    lua_Integer most = luaL_optinteger(L, 4, m.subject_end - m.subject + 1), count = 0;
    bool anchored = p < m.end && *p == '^';
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    while (count < most) {
        const char *end = try_match(L, &m, at, p + anchored);
        if (end) {
            count++;
            add_replacement(L, &m, &out, at, end);
        }
        if (end && end > at)
            at = end;
        else if (at < m.subject_end)
            luaL_addchar(&out, *at++);
        else
            break;
        if (anchored)
            break;
    }
    luaL_addlstring(&out, at, (size_t)(m.subject_end - at));
    luaL_pushresult(&out);
    lua_pushinteger(L, count);
    return 2;
}

void bind_strings(struct script *script)
{
    bind_add(script, "find", find);
    bind_add(script, "match", match);
    add_gmatch(script->state.L);
    bind_add(script, "gsub", gsub);
    bind_add(script, "depth", depth);
}
