/* Two routers side by side; see overlap.h.
 *
 * Both choices are constant over runs of hash values and repeat after their
 * period: a ring never does, slots after 16384 values, modulus after the sum
 * of the weights. What is walked is one common period, run by run; the rest
 * of the values is multiplied out. The halves of the 32-bit numbers are
 * counted one by one, as Nydus's modulus reads the upper one as negative. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "route/overlap.h"

#include "route/strategy.h"

/* A walk through so many runs takes a fraction of a second. */
#define STEPS_MAX ((uint64_t)1 << 25)
#define HALF ((uint64_t)1 << 31)

struct overlap {
    const struct router *old, *new; /* NULL: one host has all */
    uint64_t period;                /* of both together */
    overlap_add *add;
    void *context;
};

/* NULL: whatever the key is, it has the host 0. */
static const struct router *choosing(const struct router *router)
{
    return router && router->count > 1 ? router : NULL;
}

static uint64_t period_of(const struct router *router, uint64_t *runs)
{
    *runs = 1;
    if (!router)
        return 1;
    return router->strategy->period ? router->strategy->period(router, runs) : 0;
}

static bool hashes(const struct router *router)
{
    return router && router->strategy->key_use != KEY_IGNORED;
}

static bool same_hash(const struct router *old, const struct router *new)
{
    if (!hashes(old) || !hashes(new))
        return true;
    return old->hash == new->hash && old->options.hash_tag[0] == new->options.hash_tag[0] &&
           old->options.hash_tag[1] == new->options.hash_tag[1];
}

static uint64_t range_of(const struct overlap *overlap)
{
    if (hashes(overlap->old))
        return hash_range(overlap->old->hash);
    return hash_range(hashes(overlap->new) ? overlap->new->hash : NULL);
}

static uint64_t common_multiple(uint64_t a, uint64_t b)
{
    uint64_t x = a, y = b;
    while (y) {
        uint64_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

/* Into how many runs so many hash values fall, one for a part included. */
static uint64_t steps_of(uint64_t period, uint64_t runs, uint64_t walked)
{
    return period == 1 ? 1 : (walked / period + 1) * runs;
}

/* Finds the common period. false: nothing repeats, or it takes too many steps to get there. */
static bool overlap_prepare(struct overlap *overlap, uint64_t range)
{
    uint64_t old_runs, new_runs;
    uint64_t old = period_of(overlap->old, &old_runs), new = period_of(overlap->new, &new_runs);
    if (!old || !new)
        return false;
    overlap->period = common_multiple(old, new);
    uint64_t walked = overlap->period < range ? overlap->period : range;
    return steps_of(old, old_runs, walked) + steps_of(new, new_runs, walked) <= STEPS_MAX;
}

static uint32_t run_of(const struct router *router, uint32_t hash, uint32_t *last)
{
    *last = UINT32_MAX;
    return router ? router->strategy->run(router, hash, last) : 0;
}

/* `size` hash values from `begin` on, within one half. */
static void overlap_walk(const struct overlap *overlap, uint64_t begin, uint64_t size)
{
    uint64_t walked = overlap->period < size ? overlap->period : size;
    uint64_t times = size / walked, rest = size % walked;
    for (uint64_t at = 0, end; at < walked; at = end) {
        uint32_t old_last, new_last;
        uint32_t old = run_of(overlap->old, (uint32_t)(begin + at), &old_last);
        uint32_t new = run_of(overlap->new, (uint32_t)(begin + at), &new_last);
        end = (uint64_t)(old_last < new_last ? old_last : new_last) + 1 - begin;
        if (end > walked)
            end = walked;
        uint64_t once_more = at >= rest ? 0 : (end < rest ? end : rest) - at;
        overlap->add(overlap->context, old, new, (end - at) * times + once_more);
    }
}

uint64_t overlap_count(const struct router *old, const struct router *new, overlap_add *add, void *context)
{
    struct overlap overlap = {
        .old = choosing(old), .new = choosing(new), .add = add, .context = context};
    if (!same_hash(overlap.old, overlap.new))
        return 0;
    uint64_t range = range_of(&overlap);
    if (!range || !overlap_prepare(&overlap, range))
        return 0;
    overlap_walk(&overlap, 0, range < HALF ? range : HALF);
    if (range > HALF)
        overlap_walk(&overlap, HALF, range - HALF);
    return range;
}
