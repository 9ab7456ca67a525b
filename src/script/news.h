/* News of hosts for scripts: which have gone down and come back, and the marks
 * that scripts give them.
 *
 * What a script marks while it is loaded beside a configuration that is in
 * force holds when it is in force itself. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "net/alarm.h"
#include "proxy/host.h"

#include <stdbool.h>
#include <stdint.h>

struct script;

/* One host of the generation. */
struct news_item {
    struct host *host;
    uint32_t target;  /* its number */
    enum host_state told; /* what scripts know of */
    double mark; /* seconds to be marked down for at the beginning; 0: to be taken back; NAN: neither */
};

struct news {
    struct news_item *items; /* owned; NULL until they are needed */
    uint32_t count;
    bool wanted; /* by a function of on_host */
    struct alarm look;
};

/* Somebody wants to know from now on. */
void news_want(struct script *script);
/* Marks a host down for so many seconds, INFINITY for as long as the generation is in
 * force; or takes it back: 0. */
void news_mark(struct script *script, struct host *host, double seconds);
/* Which hosts are marked down; news_restore, for a generation that serves nobody, marks them so again and
 * frees the array. */
bool *news_marks(struct script *script);
void news_restore(struct script *script, bool *marks);
/* Tells what has changed. */
void news_look(struct script *script);

void news_begin(struct script *script);
void news_end(struct script *script);
void news_deinit(struct news *news);
