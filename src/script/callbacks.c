/* Callbacks; see callbacks.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/callbacks.h"

#include "base/clock.h"
#include "base/stats.h"
#include "script/bindings.h"

#include <math.h>
#include <string.h>

enum { CALLBACKS_LOG_BURST = 5, CALLBACKS_LAST = 1000 };

/* Seconds: one turn of the loop may take so long for callbacks, and the next
 * comes so much later when one has failed. */
static const double TURN = 0.010, PAUSE = 0.001;
static const double COLLECT_EVERY = 1.0;
static const int32_t no_step; /* one call is one step */

double callbacks_clock(const struct callbacks *callbacks)
{
    return callbacks->loop ? (double)(clock_ns() + clock_skipped) / 1e9 : callbacks->now;
}

void callbacks_wake(struct callbacks *callbacks, double due)
{
    callbacks->due = due;
    if (!callbacks->loop)
        return;
    if (due == INFINITY)
        alarm_stop(callbacks->loop, &callbacks->wake);
    else
        alarm_set(callbacks->loop, &callbacks->wake, due - callbacks_clock(callbacks));
}

/* Who was called, as the runtime knows; on the stack. */
static const char *callback_place(struct script *script)
{
    lua_State *L = script->state.L;
    script_push_runtime(script, "place");
    const char *place = lua_pcall(L, 0, 1, 0) == 0 ? lua_tostring(L, -1) : NULL;
    return place ? place : "a script";
}

/* What the call ended with is on top of the stack. */
static void callback_failed(struct script *script, int status)
{
    struct state *state = &script->state;
    struct callbacks *callbacks = &script->callbacks;
    const char *said = state_error(state), *place = callback_place(script);
    stats->script_errors++;
    stats->script_stops += state->stopped;
    if (!log_limit_pass(&callbacks->said, CALLBACKS_LOG_BURST))
        return;
    if (state->stopped && !strstr(said, "stopped: "))
        log_warn("router: stopped: it ran for more than %d ms (called by %s)", GUARD_STEP_LIMIT, place);
    else if (status == LUA_ERRMEM)
        log_warn("router: not enough memory, router_memory is %zu bytes (called by %s)", state->limit, place);
    else
        log_warn("router: %s (called by %s)", said, place);
}

/* Not enough memory: LuaJIT does not collect then, so garbage may be the cause. */
static void callbacks_collect(struct script *script)
{
    struct callbacks *callbacks = &script->callbacks;
    double now = callbacks_clock(callbacks);
    if (now < callbacks->collected + COLLECT_EVERY)
        return;
    callbacks->collected = now;
    heap_collect(&script->state);
}

/* Calls one function that is due. false: it failed; callbacks->due says how to go on. */
static bool callbacks_step(struct script *script)
{
    struct callbacks *callbacks = &script->callbacks;
    struct state *state = &script->state;
    lua_State *L = state->L;
    script_push_runtime(script, "step");
    lua_pushboolean(L, callbacks->stopped);
    int status = state_call(state, 1, 1, &no_step, GUARD_STEP_LIMIT);
    callbacks->stopped = state->stopped;
    bool fine = !status && !state->stopped;
    if (fine) {
        callbacks->due = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : INFINITY;
    } else {
        callback_failed(script, status);
        callbacks->due = callbacks_clock(callbacks);
    }
    lua_settop(L, 0);
    if (status == LUA_ERRMEM)
        callbacks_collect(script);
    return fine;
}

static void on_wake(void *owner)
{
    struct script *script = owner;
    struct callbacks *callbacks = &script->callbacks;
    double until = callbacks_clock(callbacks) + TURN, pause = 0, now;
    while ((now = callbacks_clock(callbacks)) < until && now >= callbacks->due && !pause) {
        if (!callbacks_step(script))
            pause = PAUSE;
    }
    callbacks_wake(callbacks, callbacks->due + pause);
}

void callbacks_init(struct script *script)
{
    struct callbacks *callbacks = &script->callbacks;
    callbacks->due = INFINITY;
    callbacks->collected = -COLLECT_EVERY;
    alarm_init(&callbacks->wake, on_wake, script);
}

/* Our own code; it may run out of memory all the same. */
void callbacks_tell(struct script *script, int arguments)
{
    int status = state_call(&script->state, arguments, 0, &no_step, GUARD_STEP_LIMIT);
    if (status)
        callback_failed(script, status);
    lua_settop(script->state.L, 0);
}

void callbacks_begin(struct script *script)
{
    script_push_runtime(script, "begin");
    callbacks_tell(script, 0);
}

void callbacks_end(struct script *script)
{
    struct callbacks *callbacks = &script->callbacks;
    callbacks->due = INFINITY;
    script_push_runtime(script, "leave");
    callbacks_tell(script, 0);
    for (int i = 0; callbacks->due < INFINITY && i < CALLBACKS_LAST; i++)
        callbacks_step(script);
    callbacks_wake(callbacks, INFINITY);
}

void callbacks_advance(struct script *script, double seconds)
{
    struct callbacks *callbacks = &script->callbacks;
    double until = callbacks->now + seconds;
    while (callbacks->due <= until) {
        callbacks->now = fmax(callbacks->now, callbacks->due);
        callbacks_step(script);
    }
    callbacks->now = until;
}
