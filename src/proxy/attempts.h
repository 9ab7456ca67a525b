/* Attempts: one command that is tried at several targets until one answers well.
 *
 *   failover  the next one when the present one fails, or takes too long
 *   hedge     the next one beside the present one, when that takes too long
 *
 * The first good reply goes to the client, whoever gives it; the others are
 * swallowed. A command that may have run is not tried again unless it only
 * reads, so a hedge sends what writes to its first target and nowhere else. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/target.h"

#include <stdbool.h>

struct attempts_options {
    bool on_down;    /* goes on when a host is away or lost, */
    bool on_timeout; /* when it is silent for `seconds`, */
    bool on_error;   /* when it says that it cannot serve now (LOADING, READONLY, OOM …) */
    double seconds;  /* INFINITY: the host's own timeout is enough */
};

/* items: two or more, in the order they are tried. */
struct target *attempts_failover(struct target_set *set, struct target **items, uint32_t count,
                                 const struct attempts_options *options);
struct target *attempts_hedge(struct target_set *set, struct target **items, uint32_t count, double after);
