/* An alarm: something that is done once, after a time. It is one timer of the
 * loop, and known, so that a test can let the time pass (alarm_skip): what
 * routers see of time goes by this, nothing else does. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <ev.h>
#include <stdbool.h>

struct alarm {
    ev_timer timer;
    struct ev_loop *loop;        /* whose timer it is, while it is set */
    struct alarm *next, **place; /* of those that are set; place NULL: it is not */
    void (*ring)(void *owner);
    void *owner;
};

/* Zeroed memory is an alarm that is not set. */
void alarm_init(struct alarm *alarm, void (*ring)(void *owner), void *owner);
/* Rings in so many seconds (0: in the next turn), and no more when it was set before. */
void alarm_set(struct ev_loop *loop, struct alarm *alarm, double seconds);
void alarm_stop(struct ev_loop *loop, struct alarm *alarm);
static inline bool alarm_is_set(const struct alarm *alarm)
{
    return alarm->place;
}

/* Lets time pass at once: until the next alarm, which rings, or for `most`
 * seconds if there is none before (clock_skipped tells the others). Returns how many passed. */
double alarm_skip(struct ev_loop *loop, double most);
