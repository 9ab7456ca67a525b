/* Rows of the crowd; see crowd.h.
 *
 * An entry is one word, so that readers need no lock: the upper bits of the key
 * and the number. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crowd.h"

#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

enum { ROWS = 1024, NUMBER_BITS = 24 };
static const int64_t ZERO = 1 << (NUMBER_BITS - 1); /* the number 0; a word that is 0 is free */

static struct crowd_row private_row;
static struct crowd_row *rows = &private_row, *own = &private_row;
static const uint32_t private_count = 1;
static const uint32_t *row_count = &private_count;

bool crowd_share(const uint32_t *count)
{
    void *shared = mmap(NULL, ROWS * sizeof *rows, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shared == MAP_FAILED)
        return false;
    rows = own = shared;
    row_count = count;
    return true;
}

uint32_t crowd_rows(void)
{
    return __atomic_load_n(row_count, __ATOMIC_ACQUIRE);
}

void crowd_use(uint32_t slot)
{
    own = &rows[slot];
}

/* Writing to a row that was never used would give it memory. */
void crowd_settle(uint32_t slot)
{
    struct crowd_row *row = &rows[slot];
    bool clean = !row->used && !row->patterns_size && !row->turn;
    for (int kind = 0; kind < CROWD_KINDS; kind++)
        clean = clean && !row->names[kind];
    if (!clean)
        memset(row, 0, sizeof *row);
}

uint64_t crowd_key(uint64_t place, const char *name, size_t size)
{
    return XXH64(name, size, place);
}

/* ---- numbers ---- */

static uint64_t *bucket_of(struct crowd_row *row, uint64_t key)
{
    return row->entries[key % CROWD_BUCKETS];
}

static bool is_of(uint64_t entry, uint64_t key)
{
    return entry && entry >> NUMBER_BITS == key >> NUMBER_BITS;
}

void crowd_set(uint64_t key, int32_t more)
{
    uint64_t *bucket = bucket_of(own, key), *place = NULL, *free_place = NULL;
    for (int i = 0; i < CROWD_WAYS; i++) {
        if (is_of(bucket[i], key))
            place = &bucket[i];
        else if (!bucket[i])
            free_place = &bucket[i];
    }
    if (!place)
        place = more ? free_place : NULL;
    if (!place)
        return;
    uint64_t entry = more ? key >> NUMBER_BITS << NUMBER_BITS | (uint64_t)(ZERO + more) : 0;
    own->used += (entry != 0) - (*place != 0);
    __atomic_store_n(place, entry, __ATOMIC_RELEASE);
}

int64_t crowd_sum(uint64_t key)
{
    int64_t sum = 0;
    for (uint32_t slot = 0, count = crowd_rows(); slot < count; slot++) {
        struct crowd_row *row = &rows[slot];
        if (!__atomic_load_n(&row->used, __ATOMIC_RELAXED))
            continue;
        const uint64_t *bucket = bucket_of(row, key);
        for (int i = 0; i < CROWD_WAYS; i++) {
            uint64_t entry = __atomic_load_n(&bucket[i], __ATOMIC_ACQUIRE);
            if (is_of(entry, key))
                sum += (int64_t)(entry & ((1u << NUMBER_BITS) - 1)) - ZERO;
        }
    }
    return sum;
}

void crowd_add_name(unsigned kind, int32_t more)
{
    __atomic_store_n(&own->names[kind], own->names[kind] + (uint32_t)more, __ATOMIC_RELAXED);
}

uint64_t crowd_names(unsigned kind)
{
    uint64_t sum = 0;
    for (uint32_t slot = 0, count = crowd_rows(); slot < count; slot++)
        sum += __atomic_load_n(&rows[slot].names[kind], __ATOMIC_RELAXED);
    return sum;
}

/* ---- patterns ---- */

void crowd_set_patterns(const char *bytes, size_t size)
{
    if (size == 0 && own->patterns_size == 0)
        return;
    __atomic_fetch_add(&own->turn, 1, __ATOMIC_ACQ_REL);
    memcpy(own->patterns, bytes, size);
    own->patterns_size = (uint32_t)size;
    __atomic_fetch_add(&own->turn, 1, __ATOMIC_RELEASE);
}

size_t crowd_patterns(uint32_t slot, char out[CROWD_PATTERNS])
{
    const struct crowd_row *row = &rows[slot];
    /* A worker that died while writing leaves the turn odd: it says nothing then. */
    for (int tries = 0; tries < 100; tries++) {
        uint32_t turn = __atomic_load_n(&row->turn, __ATOMIC_ACQUIRE);
        size_t size = __atomic_load_n(&row->patterns_size, __ATOMIC_RELAXED);
        memcpy(out, row->patterns, size);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(turn & 1) && turn == __atomic_load_n(&row->turn, __ATOMIC_RELAXED))
            return size;
    }
    return 0;
}
