/* Placement: at which hosts a channel is published, and so has to be listened
 * to. The router decides, asked as for PUBLISH with the channel as the key.
 *
 *   one host                     that one
 *   a list (all, groups)         its first host that is up: PUBLISH goes to each, and one copy is enough
 *   round_robin and its like     all hosts of the router: each gets a part of what is published
 *   patterns, __keyspace@0__:k   all hosts of the cluster */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/subscription.h"

struct placement {
    struct host **hosts; /* good until the next call */
    uint32_t count;
    const char *error; /* count 0: an error line's text, good until the next call */
};

/* client: who asks, or NULL. */
struct placement placement_find(const struct cluster *cluster, struct client *client,
                                enum subscription_kind kind, const char *name, size_t size);

/* Is something published at several hosts at once? Only then can a pattern hear it twice. */
bool placement_is_mirrored(const struct cluster *cluster);
/* A message about this key has come by this ear to a subscription with ears at
 * several hosts, by a command like `word`: is it the one copy that counts? */
bool placement_counts(const struct subscription *subscription, const struct ear *ear, const char *word,
                      const char *key, size_t size);
