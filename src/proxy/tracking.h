/* Tracking: hosts tell which keys have changed, whoever changed them.
 *
 *   CLIENT TRACKING ON BCAST ─► host     on one link for each host, of our own, in RESP3
 *   invalidate key …         ◄─ host
 *
 * A reply is good for its era: a number that is another one after something
 * that was not told, or was told of all keys: the link was lost, the host
 * flushed. What was asked before the host began to tell has no era. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tracking;

typedef void tracking_changed(void *owner, const char *key, size_t size);

struct tracking_options {
    bool asks;                     /* false: hosts are not asked, and eras end only by tracking_forget */
    const struct resp_arg *prefixes; /* which keys are asked for, in prefix_bytes; */
    const char *prefix_bytes;
    uint32_t prefix_count;         /* 0: all keys */
    tracking_changed *changed;     /* a key has changed, in some database of a host */
    void *owner;
};

struct tracking *tracking_create(const struct tracking_options *options);
/* NULL is fine. */
void tracking_destroy(struct tracking *tracking);

/* The era of replies that come by this leaf; NULL: what changes would not be told, for now or for ever.
 * Hosts are asked to tell when they are first needed. It is good while the tracking is. */
const uint32_t *tracking_era(struct tracking *tracking, const struct target *leaf);
/* All eras end. */
void tracking_forget(struct tracking *tracking);

/* Why replies from below this target can never be kept, in words; NULL: nothing is known that speaks
 * against it. For the check at load. */
const char *tracking_obstacle(const struct target *target, bool asks);
