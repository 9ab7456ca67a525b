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
 * first two a host's leaving can change how many points the others have.
 * Mostly it does not: then the ring stays, and points of hosts that are down
 * are passed over. */
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
    bool gaps; /* hosts that are down have points on the ring */
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

/* What a ring has of each live host, in the order that settles ties: of two hosts that hit the same value
 * it is the last one's in Nydus, whose ring is a dictionary. */
static uint32_t ketama_parts(const struct router *router, struct ring_part *parts)
{
    const struct ketama *ketama = router->state;
    bool last_wins = router->options.compat == COMPAT_NYDUS;
    uint64_t weights = 0;
    for (uint32_t i = 0; i < router->live_count; i++) {
        weights += router->members[router->live[i]].weight;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < router->count; i++) {
        uint32_t host = ketama->order[last_wins ? router->count - 1 - i : i];
        uint32_t weight = strategy_weight(router, host);
        if (weight > 0) {
            uint32_t digests = digests_of(router, weight, weights);
            parts[count++] =
                (struct ring_part){.points = ketama->points[host], .digests = digests, .owner = host};
        }
    }
    return count;
}

/* Is the ring that of these parts, but for points of hosts that are down? */
static bool ketama_has(const struct router *router, const struct ring_part *parts, uint32_t count)
{
    const struct ketama *ketama = router->state;
    const struct shared_ring *shared = ketama->shared;
    uint32_t found = 0;
    for (uint32_t i = 0; shared && i < shared->count; i++) {
        if (found < count && memcmp(&shared->parts[i], &parts[found], sizeof *parts) == 0) {
            found++;
        } else if (router->up[shared->parts[i].owner]) {
            return false;
        }
    }
    return found == count;
}

static void ketama_rebuild(struct router *router)
{
    struct ketama *ketama = router->state;
    struct ring_part *parts = xcalloc(router->count, sizeof *parts);
    uint32_t count = ketama_parts(router, parts);
    if (!ketama_has(router, parts, count)) {
        struct shared_ring *before = ketama->shared;
        ketama->shared = rings_acquire(parts, count);
        ketama->ring = ketama->shared->ring;
        rings_release(before);
    }
    ketama->gaps = ketama->shared->count > count;
    free(parts);
}

/* The next point that is a live host's, as it is on a ring of the live ones. */
static const struct ring_point *ketama_pass(const struct router *router, const struct ring_point *point)
{
    const struct ring *ring = &((const struct ketama *)router->state)->ring;
    while (!router->up[point->owner]) {
        point = point + 1 < ring->points + ring->count ? point + 1 : ring->points;
    }
    return point;
}

static const struct ring_point *ketama_find(const struct router *router, uint32_t hash)
{
    const struct ketama *ketama = router->state;
    if (ketama->strictly_after) {
        hash++; /* past the largest number the first point is next, and 0 finds it */
    }
    const struct ring_point *point = ring_find(&ketama->ring, hash);
    return __builtin_expect(ketama->gaps, false) ? ketama_pass(router, point) : point;
}

static int ketama_pick(struct router *router, uint64_t hash)
{
    return (int)ketama_find(router, (uint32_t)hash)->owner;
}

static void ketama_pick_many(struct router *router, const uint32_t *hashes, size_t count, int *hosts)
{
    const struct ketama *ketama = router->state;
    const struct ring ring = ketama->ring;
    const uint32_t after = ketama->strictly_after;
    for (size_t i = 0; i < count; i++) {
        const struct ring_point *point = ring_find(&ring, hashes[i] + after);
        hosts[i] = (int)(ketama->gaps ? ketama_pass(router, point) : point)->owner;
    }
}

static void ketama_explain(const struct router *router, uint64_t hash, char *text, size_t size)
{
    const struct ketama *ketama = router->state;
    const struct ring *ring = &ketama->ring;
    const struct ring_point *point = ketama_find(router, (uint32_t)hash);
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
    const struct ring_point *point = ketama_find(router, hash);
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
    .pick_many = ketama_pick_many,
    .explain = ketama_explain,
    .period = ketama_period,
    .run = ketama_run,
};
