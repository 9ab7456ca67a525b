/* Measuring: how long commands take, and which took long.
 *
 *   arrival ─► waits for its turn at the link ─► at the host ─► reply
 *              └────── queue ──────┘             └ at_host ┘
 *
 * Time is that of the loop's turn, in microseconds: nobody asks the system for
 * it per command. A link works through its requests in order, so that a host is
 * at work on one from when the one before it was answered, or when it was given
 * to a link that had nothing to do. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/slowlog.h"
#include "base/tally.h"
#include "proxy/request.h"
#include "resp/command.h"

#include <stdint.h>

struct link;

/* Microseconds at the beginning of this turn, from any point. Never goes back. */
extern uint64_t measure_clock __attribute__((visibility("hidden"))); /* read per command: not by the GOT */

/* A turn of the loop begins at this loop time (seconds). */
void measure_turn(double now);

/* The request has arrived; the time before this does not count. */
static inline void measure_begin(struct request *request)
{
    request->arrived = measure_clock;
}

/* Rows of the command table; commands with a higher number are learned. */
extern uint32_t measure_rows __attribute__((visibility("hidden")));

void measure_rare(const struct request *request, const struct reply *reply);

/* A client's request is answered: it counts. */
static inline void measure_end(const struct request *request, const struct reply *reply)
{
    const struct command *command = request->query.command;
    if (__builtin_expect(reply->bytes[0] == '-' || !command || command->id >= measure_rows, 0))
        measure_rare(request, reply);
    else
        tally_call(command->id, measure_clock - request->arrived);
}

/* The name of the command at a place of the tally, or NULL. */
const char *measure_name(uint32_t place);

/* The link has the reply of its first request, or gives up waiting for it: is
 * that one for the slow log? Its bytes still have to be there. */
void measure_slow(const struct link *link, const struct request *request);
static inline void measure_reply(const struct link *link, const struct request *request)
{
    if (__builtin_expect(measure_clock - request->arrived >= SLOWLOG_USEC, 0))
        measure_slow(link, request);
}
