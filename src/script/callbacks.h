/* Callbacks: functions of scripts that are called without a request, by one
 * timer of the loop. What is called when is lua/nydus/timer.lua's business.
 *
 * What a function raises is logged. One that loops is stopped as a decision
 * is, and the loop's other work has its turn in between. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/log.h"
#include "net/alarm.h"

#include <stdbool.h>

struct script;

struct callbacks {
    struct ev_loop *loop; /* NULL: there is none, time goes on by callbacks_advance */
    struct alarm wake;
    double now; /* without a loop: the time, in seconds since the beginning */
    double due; /* when something has to be called; INFINITY: nothing */
    bool stopped; /* the last one ran for too long */
    double collected; /* when memory had run out and all garbage was collected */
    struct log_limit said;
};

void callbacks_init(struct script *script);
/* Seconds that never go back. */
double callbacks_clock(const struct callbacks *callbacks);
/* Something is to be called at that time of the clock; what was set before is forgotten. */
void callbacks_wake(struct callbacks *callbacks, double due);

/* Tells the runtime, with `arguments` pushed behind its function. */
void callbacks_tell(struct script *script, int arguments);
/* Time begins. */
void callbacks_begin(struct script *script);
/* Calls what is not for a time but for now, and then nothing any more. */
void callbacks_end(struct script *script);
/* Without a loop: lets time go by and calls what is due in it, each at its time. */
void callbacks_advance(struct script *script, double seconds);
