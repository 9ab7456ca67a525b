/* Slabs; see slab.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slab.h"

#include "base/peak.h"

#include <stdlib.h>

/* Unused blocks that are kept for what comes next, and over a slab_shrink. */
enum { SLAB_SPARES = 64, SLAB_FEW = 1 };

static void block_link(struct slab_block **list, struct slab_block *block)
{
    block->previous = NULL;
    block->next = *list;
    if (block->next)
        block->next->previous = block;
    *list = block;
}

static void block_unlink(struct slab_block **list, struct slab_block *block)
{
    if (block->next)
        block->next->previous = block->previous;
    if (block->previous)
        block->previous->next = block->next;
    else
        *list = block->next;
}

static struct slab_block *block_create(const struct slab *slab)
{
    struct slab_block *block = tile_get();
    peak_took(TILE_SIZE);
    char *object = (char *)(block + 1);
    block->free = object;
    block->idle = slab->room;
    for (uint32_t i = 1; i < slab->room; i++, object += slab->size)
        *(void **)object = object + slab->size;
    *(void **)object = NULL;
    return block;
}

static void block_free(struct slab_block *block)
{
    peak_gave(TILE_SIZE);
    tile_put(block);
}

void slab_open(struct slab *slab)
{
    struct slab_block *block = slab->spare;
    if (block) {
        block_unlink(&slab->spare, block);
        slab->spares--;
    } else {
        block = block_create(slab);
    }
    block_link(&slab->open, block);
}

void slab_full(struct slab *slab)
{
    block_unlink(&slab->open, slab->open);
}

void slab_reopen(struct slab *slab, struct slab_block *block)
{
    block_link(&slab->open, block);
}

void slab_unused(struct slab *slab, struct slab_block *block)
{
    block_unlink(&slab->open, block);
    if (slab->spares == SLAB_SPARES) {
        block_free(block);
        return;
    }
    block_link(&slab->spare, block);
    slab->spares++;
}

void slab_shrink(struct slab *slab)
{
    for (; slab->spares > SLAB_FEW; slab->spares--) {
        struct slab_block *block = slab->spare;
        block_unlink(&slab->spare, block);
        block_free(block);
    }
}

#ifdef MEMORY_CHECKED
void *slab_get(struct slab *slab)
{
    return xmalloc_aligned(SLAB_LINE, slab->size);
}

void slab_put(struct slab *slab, void *object)
{
    (void)slab;
    free(object);
}
#endif
