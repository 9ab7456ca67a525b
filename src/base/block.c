/* Blocks; see block.h. Those of 256 to 512 bytes are one kind, of up to 1 KB the next … */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/block.h"

#include "base/memory.h"

#include <stdlib.h>

enum { SMALL = 256, KINDS = 6 };

/* How much of each kind is kept, at most, and over a block_shrink. */
enum { KEEP_BYTES = 256 * 1024, FEW_BYTES = 32 * 1024 };

struct block {
    struct block *next;
};

/* One per process: a worker has one thread. */
static struct {
    struct block *free;
    size_t bytes;
} kinds[KINDS];

/* KINDS: one that nobody keeps. */
static unsigned kind_of(size_t size)
{
#ifdef MEMORY_CHECKED
    return KINDS; /* so that a use after block_put is seen */
#endif
    unsigned kind = 0;
    if (size <= SMALL)
        return KINDS;
    while (kind < KINDS && size > (size_t)SMALL * 2 << kind)
        kind++;
    return kind;
}

void *block_get(size_t size)
{
    unsigned kind = kind_of(size);
    if (kind == KINDS)
        return xmalloc(size);
    size_t room = (size_t)SMALL * 2 << kind;
    struct block *block = kinds[kind].free;
    if (!block)
        return xmalloc(room);
    kinds[kind].free = block->next;
    kinds[kind].bytes -= room;
    return block;
}

void block_put(void *block, size_t size)
{
    unsigned kind = kind_of(size);
    size_t room = (size_t)SMALL * 2 << kind;
    if (kind == KINDS || !block || kinds[kind].bytes + room > KEEP_BYTES) {
        free(block);
        return;
    }
    struct block *kept = block;
    kept->next = kinds[kind].free;
    kinds[kind].free = kept;
    kinds[kind].bytes += room;
}

void block_shrink(void)
{
    for (unsigned kind = 0; kind < KINDS; kind++) {
        while (kinds[kind].bytes > FEW_BYTES) {
            struct block *block = kinds[kind].free;
            kinds[kind].free = block->next;
            kinds[kind].bytes -= (size_t)SMALL * 2 << kind;
            free(block);
        }
    }
}
