/* One LuaJIT state; see state.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/state.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "script/module.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

/* LuaJIT of Debian 12 may crash after an error of memory that is raised inside
 * compiled code. So a script that goes beyond the limit gets its memory still,
 * and is stopped where it looks at the guard next; only a multiple is refused. */
enum { STATE_HARD = 4 };

/* Nanoseconds until a heap that is full of what scripts keep is looked through again. */
#define STATE_FULL UINT64_C(1000000000)

static bool state_refuses(struct state *state, size_t more)
{
    if (!state->limited || state->used + more <= state->allowed)
        return false;
    state->full = true;
    guard.stop = 1;
    return state->interpreted || state->used + more > state->limit * STATE_HARD;
}

static void *state_allocate(void *context, void *old, size_t old_size, size_t size)
{
    struct state *state = context;
    if (!size) {
        free(old);
        state->used -= old_size;
        return NULL;
    }
    if (size > old_size && state_refuses(state, size - old_size))
        return NULL;
    void *fresh = realloc(old, size);
    if (fresh)
        state->used += size - old_size;
    return fresh;
}

static int state_panic(lua_State *L)
{
    log_error("Lua: an error outside of a protected call: %s", lua_tostring(L, -1));
    return 0; /* LuaJIT ends the process */
}

/* A searcher for require(): nydus.config.types is nydus/config/types.lua in our
 * folder. No path patterns, so the folder may be called anything. */
static int find_module(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const char *dir = lua_tostring(L, lua_upvalueindex(1));
    lua_pushfstring(L, "%s/%s.lua", dir, luaL_gsub(L, name, ".", "/"));
    if (module_load(L, lua_tostring(L, -1)) == LUA_ERRFILE) {
        lua_pushfstring(L, "\n\tno file '%s'", lua_tostring(L, -2));
        return 1;
    }
    if (!lua_isfunction(L, -1))
        return lua_error(L);
    return 1;
}

/* Puts our own require in place of the library's; see lua/nydus/require.lua. find_module is on the stack. */
static void open_require(lua_State *L, const char *dir)
{
    lua_pushfstring(L, "%s/nydus/require.lua", dir);
    if (module_load(L, lua_tostring(L, -1)) != 0)
        lua_error(L);
    lua_pushvalue(L, -3);
    lua_getglobal(L, "require");
    lua_call(L, 2, 1);
    lua_setglobal(L, "require");
    lua_pop(L, 1);
}

static int state_open(lua_State *L)
{
    const char *dir = lua_touserdata(L, 1);
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "path");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "cpath");
    lua_createtable(L, 2, 0);
    lua_getfield(L, -2, "loaders");
    lua_rawgeti(L, -1, 1); /* package.preload */
    lua_rawseti(L, -3, 1);
    lua_pop(L, 1);
    lua_pushstring(L, dir);
    lua_pushcclosure(L, find_module, 1);
    open_require(L, dir);
    lua_rawseti(L, -2, 2);
    lua_setfield(L, -2, "loaders");
    return 0;
}

bool state_init(struct state *state, const char *lua_dir, size_t limit)
{
    guard_setup();
    *state = (struct state){.lua_dir = xstrdup(lua_dir), .limit = limit, .heap.begin = SIZE_MAX};
    state->L = lua_newstate(state_allocate, state);
    if (!state->L)
        return false;
    lua_atpanic(state->L, state_panic);
    return lua_cpcall(state->L, state_open, state->lua_dir) == 0;
}

void state_deinit(struct state *state)
{
    heap_stop(state);
    if (state->L)
        lua_close(state->L);
    free(state->lua_dir);
}

/* What one call may use: the limit, and where scripts keep about as much, some
 * more, for the calls that keep nothing. What is kept a little at a time comes to
 * an end at `most`, and with it nearly every call: the quarantine's affair. */
static void state_allow(struct state *state)
{
    size_t room = state->limit / 16, most = state->limit + state->limit / 2;
    if (state->used + room > most && clock_ns() >= state->full_until) {
        heap_collect(state);
        if (state->used + room > most)
            state->full_until = clock_ns() + STATE_FULL;
    }
    state->allowed = state->used + room < most ? state->used + room : most;
    if (state->allowed < state->limit)
        state->allowed = state->limit;
}

/* Scripts that keep more than the limit are interpreted: there an error of
 * memory is harmless. */
static void state_weigh(struct state *state)
{
    if (state->used > state->limit && !state->interpreted)
        heap_collect(state);
    bool over = state->used > state->limit;
    if (over != state->interpreted) {
        luaJIT_setmode(state->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
        luaJIT_setmode(state->L, 0, LUAJIT_MODE_ENGINE | (over ? LUAJIT_MODE_OFF : LUAJIT_MODE_ON));
    }
    state->interpreted = over;
    state_allow(state);
}

/* What the call that this one is made inside of goes on with. */
struct outer {
    struct nydus_guard guard;
    bool full;
};

static inline void state_enter(struct state *state, const int32_t *step, int32_t milliseconds)
{
    state->limited = true;
    state->c_stack = __builtin_frame_address(0);
    state->full = false;
    state->running = true;
    guard_enter(step, milliseconds);
}

/* The same where no Lua runs. */
static inline void state_begin(struct state *state, const int32_t *step, int32_t milliseconds)
{
    if (state->interpreted || state->used > state->limit - state->limit / 16)
        state_weigh(state);
    else
        state->allowed = state->limit;
    state_enter(state, step, milliseconds);
}

/* Lua has returned with that status. */
static inline int state_leave(struct state *state, int status)
{
    state->stopped = guard_leave();
    state->limited = state->running = false;
    if (__builtin_expect(!state->full, 1))
        return status;
    state->stopped = false;
    return status && status != LUA_YIELD ? LUA_ERRMEM : status;
}

static void state_return(struct state *state, const struct outer *outer)
{
    state->limited = state->running = true;
    state->full = outer->full;
    guard_enter(outer->guard.step, outer->guard.limit);
    guard.stop |= outer->guard.stop;
}

static int __attribute__((noinline)) state_call_inside(struct state *state, int arguments, int results,
                                                       const int32_t *step, int32_t milliseconds)
{
    const struct outer outer = {.guard = guard, .full = state->full};
    state_enter(state, step, milliseconds);
    int status = state_leave(state, lua_pcall(state->L, arguments, results, 0));
    state_return(state, &outer);
    return status;
}

int state_call(struct state *state, int arguments, int results, const int32_t *step, int32_t milliseconds)
{
    if (__builtin_expect(guard.limit, 0))
        return state_call_inside(state, arguments, results, step, milliseconds);
    state_begin(state, step, milliseconds);
    return state_leave(state, lua_pcall(state->L, arguments, results, 0));
}

int state_resume(struct state *state, lua_State *coroutine, int arguments, int32_t milliseconds)
{
    static const int32_t no_step;
    const struct outer outer = {.guard = guard, .full = state->full};
    if (outer.guard.limit)
        state_enter(state, &no_step, milliseconds);
    else
        state_begin(state, &no_step, milliseconds);
    int status = state_leave(state, lua_resume(coroutine, arguments));
    if (outer.guard.limit)
        state_return(state, &outer);
    return status;
}

const char *state_error(struct state *state)
{
    lua_State *L = state->L;
    int type = lua_type(L, -1);
    if (type == LUA_TSTRING)
        return lua_tostring(L, -1);
    switch (type) {
    case LUA_TNIL:
        return "it raised nil";
    case LUA_TTABLE:
        return "it raised a table, not a message";
    case LUA_TNUMBER:
        return "it raised a number, not a message";
    case LUA_TBOOLEAN:
        return "it raised a boolean, not a message";
    case LUA_TFUNCTION:
        return "it raised a function, not a message";
    default:
        return "it raised something that is no message";
    }
}
