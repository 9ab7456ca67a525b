/* Rendezvous, or highest random weight (David Thaler, Chinya Ravishankar,
 * "Using Name-Based Mappings to Increase Hit Rates", 1998): every host draws
 * a number from the key and its own identifier, the largest wins. A host
 * that leaves gives its keys to all the others evenly and moves none besides.
 *
 * Unequal weights: with u drawn from (0, 1), the score is -w / ln u
 * (Christian Schindelhauer, Gunnar Schomaker, "Weighted Distributed Hash
 * Tables", 2005), which gives each host its share w / W exactly. It grows
 * with u, so that equal weights need no logarithm. A pick looks at each host:
 * for many hosts ketama is the cheaper one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "route/strategy.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rendezvous {
    uint32_t count;
    bool weighted; /* not all weights are the same */
    struct candidate {
        uint64_t seed; /* the hash of the identifier */
        double weight;
        uint32_t host;
    } candidates[]; /* the live ones */
};

static bool rendezvous_create(struct router *router, char *error, size_t error_size)
{
    (void)error;
    (void)error_size;
    struct rendezvous *state;
    router->state = state = xmalloc(sizeof *state + router->count * sizeof state->candidates[0]);
    return true;
}

static void rendezvous_destroy(struct router *router)
{
    free(router->state);
}

static void rendezvous_rebuild(struct router *router)
{
    struct rendezvous *state = router->state;
    hash_function *seed_of = hash_function_find(HASH_XXH64, HASH_PLAIN);
    state->count = 0;
    state->weighted = false;
    for (uint32_t host = 0; host < router->count; host++) {
        uint32_t weight = strategy_weight(router, host);
        if (weight == 0) {
            continue;
        }
        const char *identifier = router->members[host].identifier;
        struct candidate *candidate = &state->candidates[state->count++];
        candidate->seed = seed_of(identifier, strlen(identifier));
        candidate->weight = weight;
        candidate->host = host;
        state->weighted |= candidate->weight != state->candidates[0].weight;
    }
}

static uint32_t pick_equal(const struct rendezvous *state, uint64_t hash)
{
    uint64_t best = 0;
    uint32_t host = state->candidates[0].host;
    for (uint32_t i = 0; i < state->count; i++) {
        uint64_t score = hash_mix(hash ^ state->candidates[i].seed);
        if (score > best) {
            best = score;
            host = state->candidates[i].host;
        }
    }
    return host;
}

static uint32_t pick_weighted(const struct rendezvous *state, uint64_t hash)
{
    double best = 0;
    uint32_t host = state->candidates[0].host;
    for (uint32_t i = 0; i < state->count; i++) {
        const struct candidate *candidate = &state->candidates[i];
        /* 52 bits and a half fill a double; the half keeps u off 0 and 1. */
        uint64_t draw = hash_mix(hash ^ candidate->seed) >> 12;
        double u = ((double)draw + 0.5) * 0x1p-52;
        double score = -candidate->weight / log(u);
        if (score > best) {
            best = score;
            host = candidate->host;
        }
    }
    return host;
}

static uint32_t rendezvous_host(const struct rendezvous *state, uint64_t hash)
{
    return state->weighted ? pick_weighted(state, hash) : pick_equal(state, hash);
}

static int rendezvous_pick(struct router *router, uint64_t hash)
{
    return (int)rendezvous_host(router->state, hash);
}

static void rendezvous_explain(const struct router *router, uint64_t hash, char *text, size_t size)
{
    const struct rendezvous *state = router->state;
    snprintf(text, size, "highest score of %" PRIu32 " hosts", state->count);
    (void)hash;
}

const struct strategy strategy_rendezvous = {
    .name = "rendezvous",
    .key_use = KEY_HASH_64,
    .by_identifier = true,
    .create = rendezvous_create,
    .destroy = rendezvous_destroy,
    .rebuild = rendezvous_rebuild,
    .pick = rendezvous_pick,
    .explain = rendezvous_explain,
};
