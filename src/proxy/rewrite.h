/* Rewrites: keys get another prefix on their way to the hosts, and their own
 * again in replies that carry keys.
 *
 *   a client's key  = strip + rest   ◄─►   a host's key = add + rest
 *
 * What does not begin with `strip` stays as it is. Of the hosts' keys KEYS,
 * SCAN and RANDOMKEY show those that begin with `add`. Channels are no keys. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REWRITE_PREFIX = 1024 }; /* bytes of a prefix, at most */

struct rewrite_text {
    char *bytes; /* owned */
    uint32_t size;
};

struct rewrite {
    struct rewrite_text add, strip;
    struct rewrite_text add_pattern, strip_pattern; /* fit exactly these, in KEYS */
    struct rewrite_text add_any;                    /* fits what begins with `add`, */
    struct rewrite_text match;                      /* and as "MATCH …", two arguments */
    bool all;                                       /* FLUSHALL and FLUSHDB may pass */
};

/* The bytes are copied. all: what deletes all keys is let through. */
struct target *rewrite_target(struct target_set *set, struct target *next, const char *add, size_t add_size,
                              const char *strip, size_t strip_size, bool all);
