/* Rings: those that routers have at this moment, each made once. Routers over
 * the same hosts share one: of several scripts, and of the next generation,
 * which a reload so has in 10 µs. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/set.h"
#include "route/points.h"
#include "route/ring.h"

/* A part of the ring: the first points of a name (four to a digest), and whose they are. */
struct ring_part {
    struct points *points;
    uint32_t digests, owner;
};

struct shared_ring {
    struct set_node node;
    struct ring ring; /* not to be changed */
    uint32_t refs, count;
    struct ring_part parts[];
};

/* The ring of these parts; of two that hit the same value the first owns it. The caller owns a reference, and
 * keeps the points as long. */
struct shared_ring *rings_acquire(const struct ring_part *parts, uint32_t count);
void rings_release(struct shared_ring *shared);

/* How many were made so far in this process, for specs. */
uint64_t rings_made(void);
