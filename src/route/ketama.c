/* Ketama: each host has about 160 points on a ring, four from each MD5 of its
 * name and a counter; a key belongs to the next point. The three models
 * differ in name, number of points and what "next" means:
 *
 *               hashed string             MD5s of host              next point
 *   nydus       <identifier>-<i>-salt     floor(40 * n * w / W)     > hash
 *   twemproxy   <server name>-<i>         the same in float32       >= hash
 *   redis       <identifier>-<i>          40 * w                    >= hash
 *
 * n and W count the hosts that are up and their weights, so that with the
 * first two a host's leaving can change how many points the others have. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "route/rings.h"
#include "route/strategy.h"
#include "route/twemproxy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGESTS_PER_HOST 40

struct ketama {
    struct ring ring; /* that of `shared`, which is one step less to go */
    struct shared_ring *shared;
    bool strictly_after;
    uint32_t *order; /* in which hosts are added: it settles ties */
    struct points **points; /* of each host */
};

static bool ketama_create(struct router *router, char *error, size_t error_size)
{
    uint64_t points = 0;
    for (uint32_t i = 0; i < router->count; i++) {
        points += (uint64_t)router->members[i].weight * DIGESTS_PER_HOST * 4;
    }
    if (router->options.compat == COMPAT_REDIS && points > STRATEGY_RING_MAX) {
        snprintf(error, error_size, "the weights ask for a ring of %" PRIu64 " points; %u is the most",
                 points, STRATEGY_RING_MAX);
        return false;
    }

    enum router_compat compat = router->options.compat;
    bool twemproxy = compat == COMPAT_TWEMPROXY, nydus = compat == COMPAT_NYDUS;
    struct ketama *ketama = xcalloc(1, sizeof *ketama);
    ketama->strictly_after = nydus;
    ketama->points = xcalloc(router->count, sizeof *ketama->points);
    ketama->order = xcalloc(router->count, sizeof *ketama->order);
    for (uint32_t i = 0; i < router->count; i++) {
        ketama->order[i] = i;
        char *name = twemproxy ? twemproxy_name(&router->members[i]) : NULL;
        ketama->points[i] = points_acquire(name ? name : router->members[i].identifier, nydus);
        free(name);
    }
    if (twemproxy) {
        twemproxy_sort(router->members, router->count, ketama->order);
    }
    router->state = ketama;
    return true;
}

static void ketama_destroy(struct router *router)
{
    struct ketama *ketama = router->state;
    rings_release(ketama->shared);
    for (uint32_t i = 0; i < router->count; i++) {
        points_release(ketama->points[i]);
    }
    free(ketama->points);
    free(ketama->order);
    free(ketama);
}

static uint32_t digests_of(const struct router *router, uint32_t weight, uint64_t weights)
{
    switch (router->options.compat) {
    case COMPAT_TWEMPROXY:
        return twemproxy_points(router->live_count, weight, (uint32_t)weights) / 4;
    case COMPAT_NYDUS:
        return (uint32_t)((uint64_t)DIGESTS_PER_HOST * router->live_count * weight / weights);
    default:
        return DIGESTS_PER_HOST * weight;
    }
}

static void ketama_rebuild(struct router *router)
{
    struct ketama *ketama = router->state;
    bool nydus = router->options.compat == COMPAT_NYDUS;
    uint64_t weights = 0;
    for (uint32_t i = 0; i < router->live_count; i++) {
        weights += router->members[router->live[i]].weight;
    }
    struct ring_part *parts = xcalloc(router->count, sizeof *parts);
    uint32_t count = 0;
    for (uint32_t i = 0; i < router->count; i++) {
        uint32_t host = ketama->order[i];
        uint32_t weight = strategy_weight(router, host);
        if (weight > 0) {
            uint32_t digests = digests_of(router, weight, weights);
            parts[count++] =
                (struct ring_part){.points = ketama->points[host], .digests = digests, .owner = host};
        }
    }
    struct shared_ring *before = ketama->shared;
    ketama->shared = rings_acquire(parts, count, nydus ? RING_LAST : RING_FIRST);
    ketama->ring = ketama->shared->ring;
    rings_release(before);
    free(parts);
}

static const struct ring_point *ketama_find(const struct ketama *ketama, uint32_t hash)
{
    if (ketama->strictly_after) {
        hash++; /* past the largest number the first point is next, and 0 finds it */
    }
    return ring_find(&ketama->ring, hash);
}

static int ketama_pick(struct router *router, uint64_t hash)
{
    return (int)ketama_find(router->state, (uint32_t)hash)->owner;
}

static void ketama_explain(const struct router *router, uint64_t hash, char *text, size_t size)
{
    const struct ketama *ketama = router->state;
    const struct ring *ring = &ketama->ring;
    const struct ring_point *point = ketama_find(ketama, (uint32_t)hash);
    uint32_t number = (uint32_t)(point - ring->points) % ring->count;
    snprintf(text, size, "point %" PRIu32 " (%" PRIu32 " of %" PRIu32 ")", ring->points[number].value,
             number + 1, ring->count);
}

static uint64_t ketama_period(const struct router *router, uint64_t *runs)
{
    const struct ketama *ketama = router->state;
    *runs = (uint64_t)ketama->ring.count + 1;
    return (uint64_t)1 << 32;
}

static uint32_t ketama_run(const struct router *router, uint32_t hash, uint32_t *last)
{
    const struct ketama *ketama = router->state;
    const struct ring_point *point = ketama_find(ketama, hash);
    *last = point->value;
    if (ketama->strictly_after)
        *last = hash == UINT32_MAX ? hash : point->value - 1;
    return point->owner;
}

const struct strategy strategy_ketama = {
    .name = "ketama",
    .key_use = KEY_HASH_32,
    .by_identifier = true,
    .create = ketama_create,
    .destroy = ketama_destroy,
    .rebuild = ketama_rebuild,
    .pick = ketama_pick,
    .explain = ketama_explain,
    .period = ketama_period,
    .run = ketama_run,
};
