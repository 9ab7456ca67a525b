/* Memos; see memo.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memo.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/stats.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* One bucket of each table for so many bytes: the smallest memo with its key takes about as many. The
 * tables never grow, so nobody waits while they do; what they do not use is never touched. */
enum { BUCKET_BYTES = 256, SHARE_OF_ONE = 8, REAP = 2 };

struct memos {
    struct memo **memos;
    struct memo_key **keys;
    size_t mask;
    size_t bytes, limit;
    uint64_t seed; /* so that nobody outside knows which commands share a bucket */
    struct memo *newest, *oldest;
};

/* ---- memory ---- */

/* What malloc takes for it. */
static size_t cost(size_t size)
{
    size_t whole = (size + sizeof(size_t) + 15) & ~(size_t)15;
    return whole < 32 ? 32 : whole;
}

static size_t memo_cost(const struct memo *memo)
{
    return cost(sizeof *memo + memo->size) + (memo->reply ? cost(memo->reply_size) : 0);
}

static size_t key_cost(const struct memo_key *key)
{
    return cost(sizeof *key + key->size);
}

static void memos_take(struct memos *memos, size_t bytes)
{
    memos->bytes += bytes;
    stats->cache_bytes_taken += bytes;
}

static void memos_give(struct memos *memos, size_t bytes)
{
    memos->bytes -= bytes;
    stats->cache_bytes_given += bytes;
}

struct memos *memos_create(size_t limit)
{
    struct memos *memos = xcalloc(1, sizeof *memos);
    size_t buckets = 1;
    while (buckets * 2 * BUCKET_BYTES <= limit)
        buckets *= 2;
    memos->memos = xcalloc(buckets, sizeof *memos->memos);
    memos->keys = xcalloc(buckets, sizeof *memos->keys);
    memos->mask = buckets - 1;
    memos->limit = limit;
    memos->seed = random_next();
    memos_take(memos, sizeof *memos + buckets * (sizeof *memos->memos + sizeof *memos->keys));
    return memos;
}

size_t memos_bytes(const struct memos *memos)
{
    return memos->bytes;
}

/* ---- keys ---- */

static struct memo_key **key_place(struct memos *memos, uint64_t hash, const char *bytes, size_t size)
{
    struct memo_key **place = &memos->keys[hash & memos->mask];
    while (*place && ((*place)->hash != hash || (*place)->size != size ||
                      memcmp((*place)->bytes, bytes, size) != 0))
        place = &(*place)->next;
    return place;
}

struct memo_key *memos_key(struct memos *memos, const char *bytes, size_t size)
{
    return *key_place(memos, XXH3_64bits_withSeed(bytes, size, memos->seed), bytes, size);
}

static struct memo_key *key_make(struct memos *memos, const char *bytes, size_t size)
{
    uint64_t hash = XXH3_64bits_withSeed(bytes, size, memos->seed);
    struct memo_key **place = key_place(memos, hash, bytes, size), *key = *place;
    if (key)
        return key;
    key = xmalloc(sizeof *key + size);
    *key = (struct memo_key){.hash = hash, .size = (uint32_t)size};
    memcpy(key->bytes, bytes, size);
    *place = key;
    memos_take(memos, key_cost(key));
    return key;
}

static void key_free_if_unused(struct memos *memos, struct memo_key *key)
{
    if (key->memos || key->holds)
        return;
    struct memo_key **place = &memos->keys[key->hash & memos->mask];
    while (*place != key)
        place = &(*place)->next;
    *place = key->next;
    memos_give(memos, key_cost(key));
    free(key);
}

struct memo_key *memos_hold(struct memos *memos, const char *bytes, size_t size)
{
    struct memo_key *key = key_make(memos, bytes, size);
    key->holds++;
    return key;
}

void memos_release(struct memos *memos, struct memo_key *key)
{
    key->holds--;
    key_free_if_unused(memos, key);
}

/* ---- memos ---- */

struct memo *memos_find(struct memos *memos, struct memo_name *name)
{
    uint64_t salt = (uint64_t)(uint32_t)name->db << 8 | name->resp;
    name->hash = XXH3_64bits_withSeed(name->bytes, name->size, memos->seed ^ salt);
    struct memo *memo = memos->memos[name->hash & memos->mask];
    while (memo && (memo->hash != name->hash || memo->size != name->size || memo->db != name->db ||
                    memo->resp != name->resp || memcmp(memo->bytes, name->bytes, name->size) != 0))
        memo = memo->next;
    return memo;
}

static void age_insert(struct memos *memos, struct memo *memo)
{
    memo->older = memos->newest;
    memo->newer = NULL;
    *(memos->newest ? &memos->newest->newer : &memos->oldest) = memo;
    memos->newest = memo;
}

static void age_remove(struct memos *memos, struct memo *memo)
{
    *(memo->newer ? &memo->newer->older : &memos->newest) = memo->older;
    *(memo->older ? &memo->older->newer : &memos->oldest) = memo->newer;
}

void memos_drop(struct memos *memos, struct memo *memo)
{
    struct memo **place = &memos->memos[memo->hash & memos->mask];
    while (*place != memo)
        place = &(*place)->next;
    *place = memo->next;
    *memo->key_place = memo->key_next;
    if (memo->key_next)
        memo->key_next->key_place = memo->key_place;
    struct memo_key *key = memo->key;
    memo->key = NULL;
    memos_give(memos, memo_cost(memo));
    if (memo->reply) {
        age_remove(memos, memo);
        memo_free(memo);
    }
    key_free_if_unused(memos, key);
}

uint32_t memos_drop_key(struct memos *memos, struct memo_key *key)
{
    uint32_t kept = 0;
    key->holds++; /* it stays to the end of the loop */
    while (key->memos) {
        kept += key->memos->reply != NULL;
        memos_drop(memos, key->memos);
    }
    memos_release(memos, key);
    return kept;
}

void memo_free(struct memo *memo)
{
    free(memo->reply);
    free(memo);
}

/* One that was asked for since it was looked at last is given another round. */
static void memos_evict(struct memos *memos)
{
    while (memos->bytes > memos->limit && memos->oldest) {
        struct memo *memo = memos->oldest;
        bool again = memo->used && *memo->era == memo->made_in;
        if (again) {
            memo->used = false;
            age_remove(memos, memo);
            age_insert(memos, memo);
            continue;
        }
        stats->cache_evicted++;
        memos_drop(memos, memo);
    }
}

/* A few that are good for nothing any more go with every one that comes. */
static void memos_reap(struct memos *memos, uint64_t now)
{
    for (int i = 0; i < REAP && memos->oldest && !memo_is_good(memos->oldest, now); i++)
        memos_drop(memos, memos->oldest);
}

struct memo *memos_add(struct memos *memos, const struct memo_name *name, const char *key, size_t key_size,
                       const uint32_t *era)
{
    struct memo *memo = xmalloc(sizeof *memo + name->size);
    struct memo **place = &memos->memos[name->hash & memos->mask];
    *memo = (struct memo){
        .next = *place,
        .key = key_make(memos, key, key_size),
        .hash = name->hash,
        .era = era,
        .made_in = *era,
        .size = name->size,
        .db = name->db,
        .resp = name->resp,
    };
    memcpy(memo->bytes, name->bytes, name->size);
    *place = memo;
    memo->key_next = memo->key->memos;
    memo->key_place = &memo->key->memos;
    if (memo->key_next)
        memo->key_next->key_place = &memo->key_next;
    memo->key->memos = memo;
    memos_take(memos, memo_cost(memo));
    memos_evict(memos);
    return memo;
}

bool memos_keep(struct memos *memos, struct memo *memo, const char *reply, size_t size, uint64_t now)
{
    if (cost(size) + memo_cost(memo) > memos->limit / SHARE_OF_ONE) {
        memos_drop(memos, memo);
        memo_free(memo);
        return false;
    }
    memo->reply = xmalloc(size);
    memcpy(memo->reply, reply, size);
    memo->reply_size = (uint32_t)size;
    memos_take(memos, cost(size));
    memos_reap(memos, now);
    age_insert(memos, memo);
    memos_evict(memos);
    return true;
}

void memos_destroy(struct memos *memos)
{
    if (!memos)
        return;
    while (memos->oldest)
        memos_drop(memos, memos->oldest);
    memos_give(memos, memos->bytes);
    free(memos->memos);
    free(memos->keys);
    free(memos);
}
