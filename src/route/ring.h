/* A hash ring: points on the circle of 32-bit numbers, each owned by a host.
 *
 * A lookup costs the same for 3 hosts and for 300: an index on the top bits
 * of the hash says where to begin, a few comparisons find the point. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

struct ring_point {
    uint32_t value, owner;
};

struct ring {
    struct ring_point *points; /* sorted; one more at the end stands for the wrap to the first */
    uint32_t count;            /* without that one */
    uint32_t room;
    uint32_t *index;           /* per top bits of a hash: the first point that can be it */
    unsigned shift;
};

/* Who owns a value that two hosts hit: the first added or the last. */
enum ring_tie { RING_FIRST, RING_LAST };

/* A ring of zeros is empty. `ring_reset` empties it and keeps its memory;
 * `ring_deinit` frees it. */
void ring_reset(struct ring *ring);
void ring_deinit(struct ring *ring);

void ring_add(struct ring *ring, const uint32_t *values, uint32_t count, uint32_t owner);

/* Sorts what was added and makes the index. One point at least. */
void ring_seal(struct ring *ring, enum ring_tie tie);

/* The first point at or after the hash, on a sealed ring. Past the last
 * point it is the extra one, whose owner is the first point's. */
static inline const struct ring_point *ring_find(const struct ring *ring, uint32_t hash)
{
    const struct ring_point *point = ring->points + ring->index[hash >> ring->shift];
    while (point->value < hash) {
        point++; /* ends: the extra point has the largest value there is */
    }
    return point;
}
