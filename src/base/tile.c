/* Tiles; see tile.h.
 *
 *   field ─► ┌────────┬────────┬────────┬─   ─┬────────┐
 *   (1 MB)   │ struct │ tile 1 │ tile 2 │  …  │ tile 63│
 *            └────────┴────────┴────────┴─   ─┴────────┘
 * A field lies at a multiple of its size: a tile's address says which is its own.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tile.h"

#include "base/memory.h"

#include <stdint.h>
#include <sys/mman.h>

enum { FIELD_TILES = 64, FIELD_SIZE = FIELD_TILES * TILE_SIZE };

/* Tile 0 is the field's own. */
#define FIELD_ALL (~(uint64_t)1)

struct field {
    struct field *next, *previous; /* in open */
    uint64_t free;                 /* tiles that nobody uses */
    uint64_t dirty;                /* of these, those whose memory the system still gives us */
};

/* One per process: a worker has one thread. */
static struct {
    struct field *open; /* fields with free tiles */
    size_t used;        /* tiles */
} tiles;

static void field_link(struct field *field)
{
    field->previous = NULL;
    field->next = tiles.open;
    if (field->next)
        field->next->previous = field;
    tiles.open = field;
}

static void field_unlink(struct field *field)
{
    if (field->next)
        field->next->previous = field->previous;
    if (field->previous)
        field->previous->next = field->next;
    else
        tiles.open = field->next;
}

/* Maps twice the size and cuts off what lies before and behind the multiple in it. */
static struct field *field_create(void)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *mapped = mmap(NULL, 2 * FIELD_SIZE, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (mapped == MAP_FAILED)
        memory_exhausted();
    size_t before = -(uintptr_t)mapped & (FIELD_SIZE - 1);
    if (before)
        munmap(mapped, before);
    munmap(mapped + before + FIELD_SIZE, FIELD_SIZE - before);
    struct field *field = (struct field *)(void *)(mapped + before);
    field->free = FIELD_ALL;
    field_link(field);
    return field;
}

void *tile_get(void)
{
    struct field *field = tiles.open ? tiles.open : field_create();
    unsigned at = (unsigned)__builtin_ctzll(field->free);
    uint64_t bit = (uint64_t)1 << at;
    field->free &= ~bit;
    field->dirty &= ~bit;
    if (!field->free)
        field_unlink(field);
    tiles.used++;
    return (char *)field + (size_t)at * TILE_SIZE;
}

void tile_put(void *tile)
{
    struct field *field = (struct field *)((uintptr_t)tile & ~(uintptr_t)(FIELD_SIZE - 1));
    uint64_t bit = (uint64_t)1 << ((uintptr_t)tile / TILE_SIZE % FIELD_TILES);
    if (!field->free)
        field_link(field);
    field->free |= bit;
    field->dirty |= bit;
    tiles.used--;
}

/* Each run of neighbours at once. */
static void field_clean(struct field *field)
{
    while (field->dirty) {
        unsigned from = (unsigned)__builtin_ctzll(field->dirty), count = 0;
        while (from + count < FIELD_TILES && field->dirty >> (from + count) & 1)
            field->dirty &= ~((uint64_t)1 << (from + count++));
        madvise((char *)field + (size_t)from * TILE_SIZE, (size_t)count * TILE_SIZE, MADV_DONTNEED);
    }
}

void tile_trim(void)
{
    for (struct field *field = tiles.open, *next; field; field = next) {
        next = field->next;
        if (field->free == FIELD_ALL) {
            field_unlink(field);
            munmap(field, FIELD_SIZE);
        } else {
            field_clean(field);
        }
    }
}

size_t tile_used(void)
{
    return tiles.used * TILE_SIZE;
}
