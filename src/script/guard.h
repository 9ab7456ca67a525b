/* Stops Lua code that runs for too long.
 *
 * Every loop and function of a script looks at guard->stop (the loader puts
 * that in, lua/nydus/guard.lua). A timer that counts the CPU time of this
 * process sets it when one step of one call has taken longer than its limit;
 * an idle process has no timer interrupts. Entering and leaving costs a few
 * stores. It guards against accidents, not against attackers. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "script/abi.h"

/* Milliseconds of CPU time; the stop comes up to GUARD_TICK + one kernel tick later. */
enum {
    GUARD_TICK = 4,
    GUARD_STEP_LIMIT = 15,  /* one decision */
    GUARD_LOAD_LIMIT = 1000 /* config.lua, a router script at load */
};

/* Makes the timer of this process; again after a fork. Uses SIGVTALRM. */
void guard_setup(void);

/* The one guard of this process. */
extern struct nydus_guard guard;

/* Lua is about to run: `limit` milliseconds for every step, a step being as
 * long as *step does not change. */
static inline void guard_enter(const int32_t *step, int32_t limit)
{
    guard.calls++;
    guard.step = step;
    guard.limit = limit;
}

/* Lua has returned. true: it was told to stop. */
static inline bool guard_leave(void)
{
    guard.limit = 0;
    __asm__ volatile("" ::: "memory"); /* a tick from here on does not set stop */
    bool stopped = guard.stop != 0;
    guard.stop = 0;
    return stopped;
}
