/* Rings that are shared; see rings.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "route/rings.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static struct set all;
static uint64_t made;

uint64_t rings_made(void)
{
    return made;
}

static struct shared_ring *make(const struct ring_part *parts, uint32_t count)
{
    struct shared_ring *shared = xcalloc(1, sizeof *shared + count * sizeof *parts);
    memcpy(shared->parts, parts, count * sizeof *parts);
    shared->count = count;
    shared->refs = 1;
    struct ring_share *shares = xcalloc(count, sizeof *shares);
    for (uint32_t i = 0; i < count; i++) {
        shares[i] = (struct ring_share){.values = points_values(parts[i].points, parts[i].digests),
                                        .count = parts[i].digests * 4,
                                        .owner = parts[i].owner};
    }
    ring_make(&shared->ring, shares, count);
    free(shares);
    made++;
    return shared;
}

/* Points that are shared are known by their address. */
struct shared_ring *rings_acquire(const struct ring_part *parts, uint32_t count)
{
    size_t size = count * sizeof *parts;
    uint64_t hash = set_hash((const char *)parts, size, 0);
    for (struct set_node *node = set_find(&all, hash); node; node = set_next(node)) {
        struct shared_ring *shared = (struct shared_ring *)node;
        if (shared->count == count && memcmp(shared->parts, parts, size) == 0) {
            shared->refs++;
            return shared;
        }
    }
    struct shared_ring *shared = make(parts, count);
    set_add(&all, &shared->node, hash);
    return shared;
}

void rings_release(struct shared_ring *shared)
{
    if (!shared || --shared->refs) {
        return;
    }
    set_remove(&all, &shared->node);
    ring_deinit(&shared->ring);
    free(shared);
}
