/* Slabs: memory for many objects of one size, on cache lines of their own.
 *
 * An object costs its size and nothing else, those that are asked for one after the other mostly lie side by
 * side, and getting and putting is a few instructions. Objects live in blocks; a block whose objects are all
 * back is free for other slabs, but for some that slab_shrink frees. With AddressSanitizer every object is an
 * allocation of its own, so that one used after its end is seen.
 *
 * (J. Bonwick, "The Slab Allocator", USENIX 1994.) */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/memory.h"
#include "base/tile.h"

#include <stddef.h>
#include <stdint.h>

enum { SLAB_LINE = 64 };

/* Begins a block, which is a tile. */
struct slab_block {
    struct slab_block *next, *previous; /* in open or spare */
    void *free;    /* an object, which begins with a pointer to the next free one; NULL: all are in use */
    uint32_t idle; /* free objects */
} __attribute__((aligned(SLAB_LINE)));

/* One kind of objects. */
struct slab {
    uint32_t size, room; /* of an object, a multiple of 64; of a block, in objects */
    uint32_t spares;
    struct slab_block *open;  /* with objects in use and free ones */
    struct slab_block *spare; /* all free */
};

#define SLAB_OF(type)                                                                                        \
    {.size = sizeof(type), .room = (TILE_SIZE - sizeof(struct slab_block)) / sizeof(type)}

/* Parts of the two below: no block is open, the first is full, one is not full or not in use any more. */
void slab_open(struct slab *slab);
void slab_full(struct slab *slab);
void slab_reopen(struct slab *slab, struct slab_block *block);
void slab_unused(struct slab *slab, struct slab_block *block);

#ifdef MEMORY_CHECKED
void *slab_get(struct slab *slab);
void slab_put(struct slab *slab, void *object);
static inline const void *slab_next(const struct slab *slab)
{
    (void)slab;
    return NULL;
}
#else
/* An object with any content, for slab_put. */
static inline void *slab_get(struct slab *slab)
{
    if (__builtin_expect(!slab->open, 0))
        slab_open(slab);
    struct slab_block *block = slab->open;
    void *object = block->free, *next = *(void **)object;
    block->free = next;
    block->idle--;
    if (__builtin_expect(!next, 0))
        slab_full(slab);
    return object;
}

/* What slab_get will return next, mostly; for a prefetch. */
static inline const void *slab_next(const struct slab *slab)
{
    return slab->open ? slab->open->free : NULL;
}

static inline void slab_put(struct slab *slab, void *object)
{
    struct slab_block *block = (struct slab_block *)((uintptr_t)object & ~(uintptr_t)(TILE_SIZE - 1));
    void *next = block->free;
    *(void **)object = next;
    block->free = object;
    if (__builtin_expect(!next, 0))
        slab_reopen(slab, block);
    if (__builtin_expect(++block->idle == slab->room, 0))
        slab_unused(slab, block);
}
#endif

/* Frees blocks that nobody uses, but for one. */
void slab_shrink(struct slab *slab);
