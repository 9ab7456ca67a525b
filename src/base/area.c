/* The area; see area.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/area.h"

#include "base/lock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { THINGS = 2048, PAGE = 4096 };

/* The head of the mapping; rows follow, then the heap. */
struct area {
    struct lock lock; /* for making things */
    uint32_t count;   /* of things: the last word that is written for a new one */
    uint32_t rows;    /* that there is room for */
    struct area_thing things[THINGS];
} __attribute__((aligned(PAGE)));

/* Of kinds that share names or places only one may count. */
static const struct kind {
    const char *word;
    enum area_kind names;  /* names are its own among these */
    enum area_kind places; /* places are counted among these */
    uint32_t most;         /* of those */
} kinds[AREA_KINDS] = {
    [AREA_COUNTER] = {"counter", AREA_COUNTER, AREA_COUNTER, 1024},
    [AREA_GAUGE] = {"gauge", AREA_COUNTER, AREA_COUNTER, 1024},
    [AREA_HISTOGRAM] = {"histogram", AREA_COUNTER, AREA_HISTOGRAM, 64},
    [AREA_LIMITER] = {"limiter", AREA_LIMITER, AREA_LIMITER, 256},
    [AREA_DICTIONARY] = {"shared dictionary", AREA_DICTIONARY, AREA_DICTIONARY, 256},
    [AREA_CLAIMS] = {"table of locks", AREA_CLAIMS, AREA_CLAIMS, 1},
};

static struct area *area;
static uint32_t own_row;
static const uint32_t private_count = 1;
static const uint32_t *row_count = &private_count;

/* ---- the mapping ---- */

static size_t area_size(uint32_t rows)
{
    return sizeof(struct area) + (size_t)rows * AREA_ROW + AREA_HEAP + PAGE;
}

/* A file in memory, as for base/tally.c: nothing is charged that is not touched. */
static struct area *area_map(uint32_t rows)
{
    size_t size = area_size(rows);
    int fd = memfd_create("nydus-area", MFD_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct area *made = MAP_FAILED;
    if (ftruncate(fd, (off_t)size) == 0)
        made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    close(fd);
    if (made == MAP_FAILED)
        return NULL;
    lock_make(&made->lock);
    made->rows = rows;
    return made;
}

bool area_share(uint32_t most, const uint32_t *count)
{
    area = area_map(most + 1);
    row_count = count;
    own_row = most;
    return area != NULL;
}

void area_use(uint32_t worker)
{
    own_row = worker;
}

struct area *area_create(void)
{
    return area_map(1);
}

void area_enter(struct area *other)
{
    area = other;
    row_count = &private_count;
    own_row = 0;
}

void area_destroy(struct area *gone)
{
    if (gone == area)
        area_enter(NULL);
    if (gone)
        munmap(gone, area_size(gone->rows));
}

static struct area *area_own(void)
{
    if (!area)
        area = area_map(1);
    return area;
}

static char *rows_begin(void)
{
    return (char *)(area + 1);
}

static char *heap_begin(void)
{
    return rows_begin() + (size_t)area->rows * AREA_ROW;
}

/* ---- things ---- */

/* Is it there? Otherwise *place is that of a new one. NULL: there is none. */
static const struct area_thing *look_up(const struct area_wish *wish, uint32_t *place)
{
    const struct kind *kind = &kinds[wish->kind];
    *place = 0;
    for (uint32_t i = 0; i < area->count; i++) {
        const struct area_thing *thing = &area->things[i];
        if (kinds[thing->kind].names == kind->names && !strncmp(thing->name, wish->name, wish->name_size) &&
            !thing->name[wish->name_size])
            return thing;
        *place += kinds[thing->kind].places == kind->places;
    }
    return NULL;
}

/* Behind what was made last. */
static uint64_t heap_end(void)
{
    uint64_t end = 0;
    if (area->count) {
        const struct area_thing *last = &area->things[area->count - 1];
        end = (last->offset + last->size + PAGE - 1) / PAGE * PAGE;
    }
    return end;
}

static const struct area_thing *make(const struct area_wish *wish, uint32_t place, char *error, size_t size)
{
    const struct kind *kind = &kinds[wish->kind];
    uint64_t offset = heap_end();
    if (place >= kind->most || area->count == THINGS) {
        snprintf(error, size, "there are %u already, which stay until the server ends", place);
        return NULL;
    }
    if (offset + wish->size > AREA_HEAP) {
        snprintf(error, size, "%zu bytes are too many: %llu of %d are left for all", wish->size,
                 (unsigned long long)(AREA_HEAP - offset), AREA_HEAP);
        return NULL;
    }
    struct area_thing *thing = &area->things[area->count];
    *thing = (struct area_thing){.kind = wish->kind, .place = place, .offset = offset, .size = wish->size};
    memcpy(thing->name, wish->name, wish->name_size);
    if (wish->make)
        wish->make(area_memory(thing), wish);
    __atomic_store_n(&area->count, area->count + 1, __ATOMIC_RELEASE);
    return thing;
}

const struct area_thing *area_find(const struct area_wish *wish, char *error, size_t error_size)
{
    if (!area_own()) {
        snprintf(error, error_size, "no memory: %s", strerror(errno));
        return NULL;
    }
    if (wish->name_size == 0 || wish->name_size >= AREA_NAME) {
        snprintf(error, error_size, "a name has 1 to %d bytes", AREA_NAME - 1);
        return NULL;
    }
    uint32_t place;
    if (lock_take(&area->lock)) /* who died with it was making something that does not count */
        memset(heap_begin() + heap_end(), 0, PAGE);
    const struct area_thing *thing = look_up(wish, &place);
    if (!thing)
        thing = make(wish, place, error, error_size);
    lock_give(&area->lock);
    if (thing && thing->kind != wish->kind) {
        snprintf(error, error_size, "there is a %s of that name", kinds[thing->kind].word);
        return NULL;
    }
    return thing;
}

void *area_memory(const struct area_thing *thing)
{
    return heap_begin() + thing->offset;
}

const struct area_thing *area_thing(uint32_t index)
{
    return area && index < __atomic_load_n(&area->count, __ATOMIC_ACQUIRE) ? &area->things[index] : NULL;
}

/* ---- rows ---- */

uint32_t area_rows(void)
{
    return __atomic_load_n(row_count, __ATOMIC_ACQUIRE);
}

void *area_row(uint32_t worker)
{
    return rows_begin() + (size_t)worker * AREA_ROW;
}

void *area_own_row(void)
{
    return area_own() ? area_row(own_row) : NULL;
}
