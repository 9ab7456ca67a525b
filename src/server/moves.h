/* Moves: how many keys go from which place to which, staying included. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct move {
    uint32_t from, to; /* places */
    uint64_t keys;     /* sampled keys, or values of their hash */
};

/* Zero it to begin. */
struct moves {
    struct move *list; /* once sealed: each pair once, most keys first; owned */
    uint32_t count, room;
    uint64_t keys;  /* of all */
    uint64_t moved; /* those whose two places differ */
};

void moves_add(struct moves *moves, uint32_t from, uint32_t to, uint64_t keys);
/* To be called once, after the last add. */
void moves_seal(struct moves *moves);
void moves_deinit(struct moves *moves);

/* The keys at a place before and after. */
struct occupants {
    uint32_t place;
    uint64_t before, after;
};
/* The places that have more or fewer keys than before, the greatest change first, for the caller to free. */
struct occupants *moves_changes(const struct moves *moves, uint32_t *count);

bool moves_equal(const struct moves *a, const struct moves *b);
