/* One LuaJIT state with its own memory limit, and calls into it that are
 * bounded in time and memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "script/guard.h"
#include "script/heap.h"

#include <lua.h>

struct state {
    lua_State *L;
    char *lua_dir;      /* owned */
    size_t used, limit; /* bytes */
    size_t allowed;     /* bytes at which this state_call is stopped */
    uint64_t full_until; /* clock_ns: no full collection before */
    bool limited;       /* only code that runs in state_call is held to the limit */
    bool interpreted;   /* the JIT compiler is off, as scripts keep more than the limit */
    bool full;          /* the last state_call wanted more than the limit: LUA_ERRMEM if it failed */
    bool running;       /* a state_call is under way: nothing may call into Lua */
    bool stopped;       /* the last state_call was stopped for its time */
    struct heap heap;
    const char *c_stack; /* where the stack of C was at the last state_call */
};

/* abi.h as text. */
extern const char script_abi_text[];

/* Opens the libraries, with modules from lua_dir. false: out of memory. */
bool state_init(struct state *state, const char *lua_dir, size_t limit) __attribute__((warn_unused_result));
void state_deinit(struct state *state);

/* lua_pcall under the guard: the status of lua_pcall, the error on the stack. A C function that
 * such a call has called may make another one; the outer one's time begins anew then. */
int state_call(struct state *state, int arguments, int results, const int32_t *step, int32_t milliseconds);

/* The same for lua_resume of a coroutine. An error is on its stack. */
int state_resume(struct state *state, lua_State *coroutine, int arguments, int32_t milliseconds);

/* Is more than the limit in use, and not as garbage? */
static inline bool state_is_full(const struct state *state)
{
    return state->interpreted && state->used > state->limit;
}

/* The error on top of the stack as words (it stays there), good while it does. */
const char *state_error(struct state *state);
