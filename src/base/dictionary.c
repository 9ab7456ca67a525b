/* Dictionaries; see dictionary.h.
 *
 * Memory is cut into blocks of one size, so that it never falls into pieces: an
 * entry is a chain of blocks, the first with its head. Blocks are known by
 * number; 0 is none. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dictionary.h"

#include "base/area.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum { BLOCK = 128, HEAD = 4096, SWEEP = 1000 };

struct block {
    uint32_t next; /* of the entry; or of the free ones */
    char bytes[BLOCK - sizeof(uint32_t)];
};

struct entry {
    uint32_t next;         /* as in struct block */
    uint32_t chain;        /* the next entry with a hash like it */
    uint32_t older, newer; /* by last use */
    uint32_t hash;
    uint32_t key_size, value_size;
    uint32_t type;
    uint64_t expires; /* ns; 0: never */
    double number;
    char bytes[BLOCK - 48]; /* the key, then a string's value; they go on in other blocks */
};
_Static_assert(sizeof(struct block) == BLOCK && sizeof(struct entry) == BLOCK, "all blocks have one size");

struct dictionary {
    struct lock lock;
    uint64_t size;    /* in the area */
    uint32_t buckets; /* a power of two; they follow the head, the blocks follow them */
    uint32_t blocks;  /* numbers are 1 to this one */
    uint32_t fresh;   /* the first block that was never used */
    uint32_t free;    /* the first of those that were, and are free */
    uint32_t idle;    /* how many free ones there are of both kinds */
    uint32_t newest, oldest;
    uint32_t count;
    char name[AREA_NAME];
};
_Static_assert(sizeof(struct dictionary) <= HEAD, "the head is one page");

/* ---- places ---- */

static uint32_t *buckets_of(struct dictionary *d)
{
    return (uint32_t *)((char *)d + HEAD);
}

static struct block *block_at(struct dictionary *d, uint32_t number)
{
    return (struct block *)((char *)(buckets_of(d) + d->buckets)) + (number - 1);
}

static struct entry *entry_at(struct dictionary *d, uint32_t number)
{
    return (struct entry *)block_at(d, number);
}

static uint32_t *bucket_of(struct dictionary *d, uint32_t hash)
{
    return &buckets_of(d)[hash & (d->buckets - 1)];
}

/* A place in the bytes of an entry. */
struct cursor {
    char *at;
    size_t left; /* in this block */
    uint32_t next;
};

static struct cursor cursor_begin(struct entry *entry)
{
    return (struct cursor){.at = entry->bytes, .left = sizeof entry->bytes, .next = entry->next};
}

/* The next piece, of at most `wanted` bytes; its size in *size. */
static char *cursor_piece(struct dictionary *d, struct cursor *cursor, size_t wanted, size_t *size)
{
    if (!cursor->left) {
        struct block *block = block_at(d, cursor->next);
        *cursor = (struct cursor){.at = block->bytes, .left = sizeof block->bytes, .next = block->next};
    }
    char *at = cursor->at;
    *size = wanted < cursor->left ? wanted : cursor->left;
    cursor->at += *size;
    cursor->left -= *size;
    return at;
}

static void cursor_write(struct dictionary *d, struct cursor *cursor, const char *bytes, size_t size)
{
    for (size_t piece; size; bytes += piece, size -= piece) {
        char *at = cursor_piece(d, cursor, size, &piece);
        memcpy(at, bytes, piece);
    }
}

static void cursor_read(struct dictionary *d, struct cursor *cursor, char *out, size_t size)
{
    for (size_t piece; size; out += piece, size -= piece) {
        const char *at = cursor_piece(d, cursor, size, &piece);
        memcpy(out, at, piece);
    }
}

static bool cursor_equals(struct dictionary *d, struct cursor *cursor, const char *bytes, size_t size)
{
    for (size_t piece; size; bytes += piece, size -= piece) {
        const char *at = cursor_piece(d, cursor, size, &piece);
        if (memcmp(at, bytes, piece) != 0)
            return false;
    }
    return true;
}

/* ---- blocks ---- */

static size_t blocks_for(size_t bytes)
{
    const size_t first = sizeof((struct entry *)0)->bytes, more = sizeof((struct block *)0)->bytes;
    return 1 + (bytes > first ? (bytes - first + more - 1) / more : 0);
}

static uint32_t block_take(struct dictionary *d)
{
    uint32_t number = d->free;
    if (number)
        d->free = block_at(d, number)->next;
    else
        number = d->fresh++;
    d->idle--;
    return number;
}

static void block_give(struct dictionary *d, uint32_t number)
{
    block_at(d, number)->next = d->free;
    d->free = number;
    d->idle++;
}

/* ---- entries ---- */

static void unlink_age(struct dictionary *d, struct entry *entry)
{
    if (entry->newer)
        entry_at(d, entry->newer)->older = entry->older;
    else
        d->newest = entry->older;
    if (entry->older)
        entry_at(d, entry->older)->newer = entry->newer;
    else
        d->oldest = entry->newer;
}

static void link_newest(struct dictionary *d, uint32_t number)
{
    struct entry *entry = entry_at(d, number);
    entry->newer = 0;
    entry->older = d->newest;
    if (d->newest)
        entry_at(d, d->newest)->newer = number;
    else
        d->oldest = number;
    d->newest = number;
}

static void entry_remove(struct dictionary *d, uint32_t number)
{
    struct entry *entry = entry_at(d, number);
    uint32_t *at = bucket_of(d, entry->hash);
    while (*at != number)
        at = &entry_at(d, *at)->chain;
    *at = entry->chain;
    unlink_age(d, entry);
    d->count--;
    while (number) {
        uint32_t next = block_at(d, number)->next;
        block_give(d, number);
        number = next;
    }
}

static bool is_expired(const struct entry *entry, uint64_t now)
{
    return entry->expires && entry->expires <= now;
}

static uint32_t hash_of(const struct dictionary_key *key)
{
    return (uint32_t)XXH64(key->bytes, key->size, 0);
}

/* The number of the key's entry, which is the newest then; 0: there is none. */
static uint32_t look_up(struct dictionary *d, const struct dictionary_key *key)
{
    uint32_t hash = hash_of(key), number = *bucket_of(d, hash);
    for (; number; number = entry_at(d, number)->chain) {
        struct entry *entry = entry_at(d, number);
        struct cursor cursor = cursor_begin(entry);
        if (entry->hash == hash && entry->key_size == key->size &&
            cursor_equals(d, &cursor, key->bytes, key->size))
            break;
    }
    if (number && is_expired(entry_at(d, number), key->now)) {
        entry_remove(d, number);
        number = 0;
    }
    if (number && number != d->newest) {
        unlink_age(d, entry_at(d, number));
        link_newest(d, number);
    }
    return number;
}

/* A new entry with room for key and value, which fit. */
static void entry_add(struct dictionary *d, const struct dictionary_key *key,
                      const struct dictionary_value *value, uint64_t life)
{
    size_t value_size = value->type == DICTIONARY_STRING ? value->size : 0;
    size_t wanted = blocks_for(key->size + value_size);
    while (d->idle < wanted)
        entry_remove(d, d->oldest);
    uint32_t next = 0;
    for (size_t i = 1; i < wanted; i++) {
        uint32_t number = block_take(d);
        block_at(d, number)->next = next;
        next = number;
    }
    uint32_t number = block_take(d), hash = hash_of(key), *bucket = bucket_of(d, hash);
    struct entry *entry = entry_at(d, number);
    entry->next = next;
    entry->chain = *bucket;
    entry->hash = hash;
    entry->key_size = (uint32_t)key->size;
    entry->value_size = (uint32_t)value_size;
    entry->type = value->type;
    entry->expires = life ? key->now + life : 0;
    entry->number = value->number;
    struct cursor cursor = cursor_begin(entry);
    cursor_write(d, &cursor, key->bytes, key->size);
    cursor_write(d, &cursor, value->bytes, value_size);
    *bucket = number;
    link_newest(d, number);
    d->count++;
}

static bool fits(const struct dictionary *d, size_t key_size, size_t value_size)
{
    return key_size <= DICTIONARY_ENTRY && value_size <= DICTIONARY_ENTRY &&
           key_size + value_size <= DICTIONARY_ENTRY && blocks_for(key_size + value_size) <= d->blocks / 2;
}

/* ---- the whole ---- */

static void empty(struct dictionary *d)
{
    memset(buckets_of(d), 0, d->buckets * sizeof(uint32_t));
    d->fresh = 1;
    d->idle = d->blocks;
    d->free = d->newest = d->oldest = d->count = 0;
}

static void enter(struct dictionary *d)
{
    if (!lock_take(&d->lock))
        return;
    empty(d);
    log_warn("shared dictionary %s: emptied, as a worker died while it was changing it", d->name);
}

static void leave(struct dictionary *d)
{
    lock_give(&d->lock);
}

/* One bucket for two blocks at most. Everything else is 0 already. */
static void make(void *memory, const struct area_wish *wish)
{
    struct dictionary *d = memory;
    size_t rest = wish->size - HEAD, blocks = rest / BLOCK;
    uint32_t buckets = 32;
    while (buckets * 2 <= blocks)
        buckets *= 2;
    lock_make(&d->lock);
    d->size = wish->size;
    d->buckets = buckets;
    d->blocks = (uint32_t)((rest - buckets * sizeof(uint32_t)) / BLOCK);
    d->idle = d->blocks;
    d->fresh = 1;
}

struct dictionary *dictionary_find(const char *name, size_t name_size, size_t size, char *error,
                                   size_t error_size)
{
    if (size < DICTIONARY_LEAST) {
        snprintf(error, error_size, "a size of at least %d bytes is expected", DICTIONARY_LEAST);
        return NULL;
    }
    const struct area_wish wish = {
        .kind = AREA_DICTIONARY,
        .name = name,
        .name_size = name_size,
        .size = size,
        .make = make,
    };
    const struct area_thing *thing = area_find(&wish, error, error_size);
    if (!thing)
        return NULL;
    struct dictionary *d = area_memory(thing);
    snprintf(d->name, sizeof d->name, "%s", thing->name);
    return d;
}

size_t dictionary_size(const struct dictionary *d)
{
    return d->size;
}

/* The caller's copy of a string: it outlives the lock. */
static char *keep(size_t size)
{
    static char *bytes;
    static size_t room;
    if (size > room) {
        room = size < 4096 ? 4096 : size;
        bytes = xrealloc(bytes, room);
    }
    return bytes;
}

bool dictionary_get(struct dictionary *d, const struct dictionary_key *key, struct dictionary_value *value)
{
    enter(d);
    uint32_t number = look_up(d, key);
    if (number) {
        struct entry *entry = entry_at(d, number);
        char *out = keep(key->size + entry->value_size);
        struct cursor cursor = cursor_begin(entry);
        cursor_read(d, &cursor, out, entry->key_size);
        cursor_read(d, &cursor, out, entry->value_size);
        *value = (struct dictionary_value){
            .type = entry->type,
            .number = entry->number,
            .bytes = out,
            .size = entry->value_size,
        };
    }
    leave(d);
    return number != 0;
}

enum dictionary_result dictionary_set(struct dictionary *d, const struct dictionary_key *key,
                                      const struct dictionary_value *value, uint64_t life, bool only_new)
{
    if (!fits(d, key->size, value->type == DICTIONARY_STRING ? value->size : 0))
        return DICTIONARY_TOO_LARGE;
    enter(d);
    uint32_t number = look_up(d, key);
    bool refused = number && only_new;
    if (number && !refused)
        entry_remove(d, number);
    if (!refused)
        entry_add(d, key, value, life);
    leave(d);
    return refused ? DICTIONARY_THERE : DICTIONARY_DONE;
}

/* With the lock held. */
static enum dictionary_result add(struct dictionary *d, const struct dictionary_key *key, double number,
                                  const double *init, uint64_t life, double *sum)
{
    uint32_t found = look_up(d, key);
    if (!found && !init)
        return DICTIONARY_NOT_THERE;
    if (!found) {
        *sum = *init + number;
        entry_add(d, key, &(struct dictionary_value){.type = DICTIONARY_NUMBER, .number = *sum}, life);
        return DICTIONARY_DONE;
    }
    struct entry *entry = entry_at(d, found);
    if (entry->type != DICTIONARY_NUMBER)
        return DICTIONARY_NO_NUMBER;
    *sum = entry->number += number;
    return DICTIONARY_DONE;
}

enum dictionary_result dictionary_add(struct dictionary *d, const struct dictionary_key *key, double number,
                                      const double *init, uint64_t life, double *sum)
{
    if (!fits(d, key->size, 0))
        return DICTIONARY_TOO_LARGE;
    enter(d);
    enum dictionary_result result = add(d, key, number, init, life, sum);
    leave(d);
    return result;
}

bool dictionary_delete(struct dictionary *d, const struct dictionary_key *key)
{
    enter(d);
    uint32_t number = look_up(d, key);
    if (number)
        entry_remove(d, number);
    leave(d);
    return number != 0;
}

void dictionary_flush(struct dictionary *d)
{
    enter(d);
    empty(d);
    leave(d);
}

uint32_t dictionary_count(struct dictionary *d, uint64_t now)
{
    enter(d);
    uint32_t number = d->oldest;
    for (int i = 0; number && i < SWEEP; i++) {
        uint32_t newer = entry_at(d, number)->newer;
        if (is_expired(entry_at(d, number), now))
            entry_remove(d, number);
        number = newer;
    }
    uint32_t count = d->count;
    leave(d);
    return count;
}

/* ---- for specs ---- */

static uint32_t count_chain(struct dictionary *d, uint32_t number)
{
    uint32_t count = 0;
    for (; number && count <= d->blocks; number = block_at(d, number)->next)
        count++;
    return count;
}

static bool entry_is_sound(struct dictionary *d, uint32_t number)
{
    struct entry *entry = entry_at(d, number);
    uint32_t in_bucket = 0, steps = 0;
    for (uint32_t at = *bucket_of(d, entry->hash); at && steps++ <= d->count; at = entry_at(d, at)->chain)
        in_bucket += at == number;
    return in_bucket == 1 && count_chain(d, number) == blocks_for(entry->key_size + entry->value_size) &&
           (entry->older ? entry_at(d, entry->older)->newer == number : d->oldest == number);
}

bool dictionary_is_sound(struct dictionary *d)
{
    enter(d);
    uint32_t count = 0, used = 0, number = d->newest;
    bool sound = d->fresh - 1 <= d->blocks;
    for (; sound && number; number = entry_at(d, number)->older) {
        count++;
        sound = count <= d->count && entry_is_sound(d, number);
        used += count_chain(d, number);
    }
    uint32_t free = count_chain(d, d->free);
    sound = sound && count == d->count && used + free == d->fresh - 1 &&
            d->idle == free + d->blocks - (d->fresh - 1);
    leave(d);
    return sound;
}
