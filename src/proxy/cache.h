/* A cache: replies to commands that only read one key, kept in the worker.
 *
 *   read  ─► memo? ─► answered here               no host, no Lua
 *         └► on its way already? ─► waits for that reply
 *         └► sent on, and its reply kept
 *   write ─► its keys are forgotten, and it is sent on; until it is answered, reads
 *            of them are sent on, too, and nothing of them is kept
 *
 * What others write is told by the hosts (tracking.h). A read that is on its way
 * when its key changes is answered with what came, which is not kept. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/target.h"

struct cache_options {
    double ttl;    /* seconds that a reply is kept at most */
    size_t size;   /* bytes, MEMOS_LEAST or more */
    bool tracking; /* hosts are asked to tell what changes; nothing is kept of those that do not */
    const struct resp_arg *prefixes; /* only keys that begin so are kept; in prefix_bytes */
    const char *prefix_bytes;        /* both are copied */
    uint32_t prefix_count;           /* 0: all keys */
};

/* NULL with a sentence in *why: it cannot stand above `next`. */
struct target *cache_target(struct target_set *set, struct target *next, const struct cache_options *options,
                            const char **why);
