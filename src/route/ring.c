/* Building a ring. Sorting is by radix: it is stable, which settles ties as
 * the ring's model does, and a ring is rebuilt while hosts are failing, when
 * the loop has better things to do. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "route/ring.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define DIGIT_BITS 11
#define DIGITS (1u << DIGIT_BITS)

void ring_deinit(struct ring *ring)
{
    free(ring->points);
    free(ring->index);
    *ring = (struct ring){0};
}

void ring_add(struct ring *ring, const uint32_t *values, uint32_t count, uint32_t owner)
{
    uint32_t needed = ring->count + count + RING_STRIDE;
    if (needed > ring->room) {
        ring->room = needed > ring->room * 2 ? needed : ring->room * 2;
        ring->points = xrealloc(ring->points, ring->room * sizeof *ring->points);
    }
    for (uint32_t i = 0; i < count; i++) {
        ring->points[ring->count++] = (struct ring_point){.value = values[i], .owner = owner};
    }
}

static void sort_by_digit(const struct ring_point *from, struct ring_point *to, uint32_t count,
                          unsigned shift)
{
    uint32_t starts[DIGITS] = {0};
    for (uint32_t i = 0; i < count; i++) {
        starts[(from[i].value >> shift) % DIGITS]++;
    }
    for (uint32_t digit = 0, start = 0; digit < DIGITS; digit++) {
        uint32_t size = starts[digit];
        starts[digit] = start;
        start += size;
    }
    for (uint32_t i = 0; i < count; i++) {
        to[starts[(from[i].value >> shift) % DIGITS]++] = from[i];
    }
}

static void points_sort(struct ring *ring)
{
    struct ring_point *other = xmalloc(ring->room * sizeof *other);
    sort_by_digit(ring->points, other, ring->count, 0);
    sort_by_digit(other, ring->points, ring->count, DIGIT_BITS);
    sort_by_digit(ring->points, other, ring->count, 2 * DIGIT_BITS);
    free(ring->points);
    ring->points = other;
}

/* Leaves one point of those with equal values. */
static void points_unite(struct ring *ring, enum ring_tie tie)
{
    uint32_t kept = 0;
    for (uint32_t i = 1; i < ring->count; i++) {
        if (ring->points[i].value != ring->points[kept].value) {
            ring->points[++kept] = ring->points[i];
        } else if (tie == RING_LAST) {
            ring->points[kept] = ring->points[i];
        }
    }
    ring->count = kept + 1;
}

/* One entry for two to four points. Measured, md5 of short keys included: a
 * pick among 48,000 points (300 hosts) takes 4 to 8 % longer than among 480
 * (about 150 ns against 142). With an entry per point it took 11 to 21 %: that
 * saves comparisons, but crowds the points out of the cache. */
static void index_make(struct ring *ring)
{
    unsigned bits = 1;
    while ((1u << bits) < ring->count / 4) {
        bits++;
    }
    ring->shift = 32 - bits;
    ring->index = xrealloc(ring->index, sizeof *ring->index << bits);
    for (uint32_t entry = 0, point = 0; entry < 1u << bits; entry++) {
        while (point < ring->count && ring->points[point].value >> ring->shift < entry) {
            point++;
        }
        ring->index[entry] = point;
    }
}

void ring_seal(struct ring *ring, enum ring_tie tie)
{
    points_sort(ring);
    points_unite(ring, tie);
    struct ring_point wrap = {.value = UINT32_MAX, .owner = ring->points[0].owner};
    for (uint32_t i = 0; i < RING_STRIDE; i++)
        ring->points[ring->count + i] = wrap;
    index_make(ring);
}
