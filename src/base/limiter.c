/* Limiters; see limiter.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limiter.h"

#include "base/area.h"
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <time.h>
#include <xxhash.h>

static const double SECOND = 1e9, RATE_MOST = 1e7, YEAR = 366 * 86400.0;

struct limiter_bucket {
    uint64_t key;  /* a hash; 0: free */
    uint64_t full; /* when it is full again; what is past is full */
};

/* One cache line. */
struct limiter_set {
    struct limiter_bucket ways[LIMITER_WAYS];
};

struct limiter_buckets {
    uint64_t full; /* of the bucket without a key */
    uint64_t unused[7];
    struct limiter_set sets[LIMITER_SETS];
};

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static bool exchange(uint64_t *word, uint64_t *seen, uint64_t next)
{
    return __atomic_compare_exchange_n(word, seen, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

uint64_t limiter_now(void)
{
    return clock_ns() + clock_skipped;
}

bool limiter_find(struct limiter *limiter, const char *name, size_t name_size, double rate, double burst,
                  char *error, size_t error_size)
{
    if (!(rate > 0 && rate <= RATE_MOST) || !(burst >= 1 && burst / rate <= YEAR)) {
        snprintf(error, error_size, "rate is up to 10000000 a second, burst from 1 to what a year brings");
        return false;
    }
    const struct area_wish wish = {
        .kind = AREA_LIMITER,
        .name = name,
        .name_size = name_size,
        .size = sizeof(struct limiter_buckets),
    };
    const struct area_thing *thing = area_find(&wish, error, error_size);
    if (!thing)
        return false;
    *limiter = (struct limiter){
        .buckets = area_memory(thing),
        .interval = SECOND / rate,
        .depth = SECOND / rate * burst,
    };
    return true;
}

/* The bucket of a set that has the key, or the one that is full soonest. */
static struct limiter_bucket *set_find(struct limiter_set *set, uint64_t key)
{
    struct limiter_bucket *fullest = &set->ways[0];
    for (int i = 0; i < LIMITER_WAYS; i++) {
        struct limiter_bucket *bucket = &set->ways[i];
        if (load(&bucket->key) == key)
            return bucket;
        if (load(&bucket->full) < load(&fullest->full))
            fullest = bucket;
    }
    return fullest;
}

/* Gives a bucket to another key. One that is full is like a new one: nothing is
 * lost. A worker that is just taking from it for the old key takes from the
 * new one; that is one token, once. */
static uint64_t *key_bucket(struct limiter_buckets *buckets, const char *key, size_t size, uint64_t now)
{
    uint64_t hash = XXH64(key, size, 0) | 1;
    struct limiter_set *set = &buckets->sets[hash >> 52];
    struct limiter_bucket *bucket = set_find(set, hash);
    uint64_t other = load(&bucket->key), full = load(&bucket->full);
    while (other != hash) {
        if (exchange(&bucket->key, &other, hash)) {
            if (full > now)
                exchange(&bucket->full, &full, now);
            break;
        }
        bucket = set_find(set, hash);
        other = load(&bucket->key);
        full = load(&bucket->full);
    }
    return &bucket->full;
}

double limiter_allow(const struct limiter *limiter, const char *key, size_t size, double cost, uint64_t now)
{
    double wanted = cost * limiter->interval;
    if (!(wanted <= limiter->depth))
        return (double)INFINITY;
    uint64_t *word = key ? key_bucket(limiter->buckets, key, size, now) : &limiter->buckets->full;
    uint64_t full = load(word);
    for (;;) {
        double behind = full > now ? (double)(full - now) : 0;
        if (behind > limiter->depth) { /* it was deeper before a reload */
            exchange(word, &full, now + (uint64_t)limiter->depth);
            full = load(word);
        } else if (behind + wanted > limiter->depth + 0.5) {
            return (behind + wanted - limiter->depth) / SECOND;
        } else if (exchange(word, &full, now + (uint64_t)(behind + wanted + 0.5))) {
            return 0;
        }
    }
}
