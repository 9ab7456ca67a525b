/* Alarms; see alarm.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/alarm.h"

#include "base/clock.h"

#include <stddef.h>

static struct alarm *alarms; /* that are set, in no order */

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct alarm *alarm = timer->data;
    alarm_stop(loop, alarm);
    alarm->ring(alarm->owner);
}

void alarm_init(struct alarm *alarm, void (*ring)(void *owner), void *owner)
{
    *alarm = (struct alarm){.ring = ring, .owner = owner};
    ev_init(&alarm->timer, on_timer);
    alarm->timer.data = alarm;
}

void alarm_stop(struct ev_loop *loop, struct alarm *alarm)
{
    if (!alarm->place)
        return;
    *alarm->place = alarm->next;
    if (alarm->next)
        alarm->next->place = alarm->place;
    alarm->place = NULL;
    ev_timer_stop(loop, &alarm->timer);
}

void alarm_set(struct ev_loop *loop, struct alarm *alarm, double seconds)
{
    alarm_stop(loop, alarm);
    alarm->loop = loop;
    alarm->next = alarms;
    alarm->place = &alarms;
    if (alarms)
        alarms->place = &alarm->next;
    alarms = alarm;
    ev_timer_set(&alarm->timer, seconds > 0 ? seconds : 0., 0.);
    ev_timer_start(loop, &alarm->timer);
}

static double rest_of(struct ev_loop *loop, struct alarm *alarm)
{
    double rest = ev_timer_remaining(loop, &alarm->timer);
    return rest > 0 ? rest : 0;
}

static struct alarm *first_alarm(struct ev_loop *loop)
{
    struct alarm *first = NULL;
    for (struct alarm *alarm = alarms; alarm; alarm = alarm->next)
        if (alarm->loop == loop && (!first || rest_of(loop, alarm) < rest_of(loop, first)))
            first = alarm;
    return first;
}

/* All of the loop ring so much earlier. */
static void pass(struct ev_loop *loop, double seconds)
{
    clock_skipped += (uint64_t)(seconds * 1e9);
    for (struct alarm *alarm = alarms; alarm; alarm = alarm->next) {
        if (alarm->loop != loop)
            continue;
        double rest = rest_of(loop, alarm) - seconds;
        ev_timer_stop(loop, &alarm->timer);
        ev_timer_set(&alarm->timer, rest > 0 ? rest : 0., 0.);
        ev_timer_start(loop, &alarm->timer);
    }
}

double alarm_skip(struct ev_loop *loop, double most)
{
    struct alarm *first = first_alarm(loop);
    double rest = first ? rest_of(loop, first) : most;
    if (!first || rest > most) {
        pass(loop, most);
        return most;
    }
    pass(loop, rest);
    alarm_stop(loop, first);
    first->ring(first->owner);
    return rest;
}
