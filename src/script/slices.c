/* Slices; see slices.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/slices.h"

#include "base/clock.h"
#include "script/state.h"

#include <lauxlib.h>

/* SLICES_COUNT: instructions between two looks at the clock; they take some 5 µs.
 * SLICES_PATIENCE: a call may take so many times as long as one that holds up everybody. */
enum { SLICES_COUNT = 250, SLICES_PATIENCE = 10 };

/* The slice that runs, for the hook. */
static struct {
    const lua_State *L;
    uint64_t end;   /* clock_ns */
    uint64_t limit; /* clock_ns: it is stopped then, as nothing else would stop it */
} running;

static void on_count(lua_State *L, lua_Debug *unused)
{
    (void)unused;
    uint64_t now = clock_ns();
    if (now >= running.limit)
        guard.stop = 1;
    else if (now >= running.end && L == running.L && lua_isyieldable(L))
        lua_yield(L, 0);
}

/* Leaves on the state's stack what the call has left, `results` values or an error. */
static void slices_end(struct slices *slices, struct state *state, int status, int results)
{
    lua_State *L = state->L;
    lua_settop(slices->L, status ? -1 : results); /* lua_resume leaves nothing else there */
    lua_checkstack(L, results + 1);
    lua_xmove(slices->L, L, status ? 1 : results);
    luaL_unref(L, LUA_REGISTRYINDEX, slices->ref);
    slices->L = NULL;
}

int slices_go_on(struct slices *slices, struct state *state, int results, int32_t milliseconds)
{
    uint64_t begin = clock_ns(), most = (uint64_t)milliseconds * 1000000 * SLICES_PATIENCE;
    running.L = slices->L;
    running.end = begin + slices->length;
    running.limit = begin + (slices->used < most ? most - slices->used : 0);
    lua_sethook(slices->L, on_count, LUA_MASKCOUNT, SLICES_COUNT);
    int status = state_resume(state, slices->L, slices->arguments, milliseconds);
    lua_sethook(slices->L, NULL, 0, 0);
    slices->arguments = 0;
    slices->used += clock_ns() - begin;
    if (status != LUA_YIELD)
        slices_end(slices, state, status, results);
    return status;
}

int slices_begin(struct slices *slices, struct state *state, int arguments, int results,
                 int32_t milliseconds)
{
    static const int32_t no_step; /* all of it is one */
    lua_State *L = state->L;
    if (!slices->length)
        return state_call(state, arguments, results, &no_step, milliseconds);
    slices->L = lua_newthread(L);
    slices->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    slices->arguments = arguments;
    slices->used = 0;
    lua_xmove(L, slices->L, arguments + 1);
    return slices_go_on(slices, state, results, milliseconds);
}
