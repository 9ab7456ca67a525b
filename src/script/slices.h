/* A call into a state that is made in slices, for a worker that serves meanwhile:
 * what a reload runs, our modules, the configuration and the routers' scripts.
 *
 * The function runs in a coroutine. Between two of its instructions, every so
 * many, a look at the clock says whether the slice is over, and then it yields;
 * nothing in it notices. Not while a C function waits for Lua (a comparison of
 * table.sort), and not in loops that have been compiled: the slice takes longer
 * then. To interpret all is no way out, for loops of scripts are guarded, which
 * takes 50 times as long where it is not compiled. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct state;

struct slices {
    uint64_t length; /* nanoseconds of one; 0: all at once, and guarded as one step */

    lua_State *L; /* of the call under way, or NULL */
    int ref;      /* keeps it */
    int arguments;
    uint64_t used; /* nanoseconds that it has taken */
};

static inline bool slices_under_way(const struct slices *slices)
{
    return slices->L;
}

/* Calls the function on the stack of the state, with its arguments above it: the first slice. */
int slices_begin(struct slices *slices, struct state *state, int arguments, int results,
                 int32_t milliseconds);
/* One more. Both return LUA_YIELD while there is more to come, then what state_call would, with results or
 * error on the state's stack. */
int slices_go_on(struct slices *slices, struct state *state, int results, int32_t milliseconds);
