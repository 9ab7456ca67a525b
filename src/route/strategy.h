/* What router.c and the kinds of router share: a kind is a strategy, one per
 * file, behind five functions. Only route/ includes this. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/hash.h"
#include "route/router.h"

/* Weights end here: a table or a ring beyond it is a slip in the
 * configuration, and megabytes per worker. */
#define STRATEGY_TABLE_MAX (1u << 20)
#define STRATEGY_RING_MAX (1u << 22)

/* How a strategy uses the key. */
enum key_use {
    KEY_IGNORED,
    KEY_HASH_32, /* the low 32 bits of its hash */
    KEY_HASH_64, /* all that the hash has */
};

struct router {
    /* set by config */
    struct router_options options;
    const struct strategy *strategy;
    hash_function *hash;
    struct member *members; /* own copies of the strings */
    uint32_t count;
    bool empty_is_zero;     /* twemproxy: the empty key has hash 0 */
    bool side_by_side;      /* its keys are hashed by md5, many at once */
    uint32_t *group_hosts;  /* hosts ordered by identifier, then index */
    struct group { uint32_t first, count; } *groups; /* per host: its part of group_hosts */

    /* changing at run time */
    bool *up;
    uint32_t *live; /* the hosts that are up, in routing order */
    uint32_t live_count; /* 0 while stale, so that a pick asks one question only */
    bool stale;          /* hosts were marked since the rebuild */
    void *state;    /* the strategy's */
};

struct strategy {
    const char *name;
    enum key_use key_use;
    bool by_identifier; /* hosts with one identifier share their keys */

    /* Makes state; false with a sentence in `error`. NULL: nothing to make. */
    bool (*create)(struct router *router, char *error, size_t error_size);
    void (*destroy)(struct router *router);
    /* Hosts went up or down, and a pick is about to come; also called once after create. NULL: no need. */
    void (*rebuild)(struct router *router);
    /* Two hosts at least, and one of them up. */
    int (*pick)(struct router *router, uint64_t hash);
    /* The same for many hashes. NULL: one by one. */
    void (*pick_many)(struct router *router, const uint32_t *hashes, size_t count, int *hosts);
    /* Words for router_explain, without a change to anything. */
    void (*explain)(const struct router *router, uint64_t hash, char *text, size_t size);
    /* For overlap.c, all hosts being up; NULL: the choice is no matter of runs of 32-bit hashes.
     * period: in each half of the 2^32 hashes the choice repeats after so many, in about *runs runs.
     * run: the host of a hash, and the last hash of those behind it that have the same one. */
    uint64_t (*period)(const struct router *router, uint64_t *runs);
    uint32_t (*run)(const struct router *router, uint32_t hash, uint32_t *last);
};

extern const struct strategy strategy_modulus, strategy_ketama, strategy_round_robin, strategy_random,
    strategy_jump, strategy_rendezvous, strategy_slots, strategy_first, strategy_least_pending;

/* For kinds that fix each key to a host: a host that is up for a key whose
 * host is down. Keys of hosts that are up do not move. */
int strategy_stand_in(const struct router *router, uint64_t hash);

/* The host itself when it is up, else a stand-in. */
static inline int strategy_host_or_stand_in(const struct router *router, uint32_t host, uint64_t hash)
{
    return router->up[host] ? (int)host : strategy_stand_in(router, hash);
}

/* The weight of a host on a structure of identifiers: 0 when it is down or
 * repeats the identifier of a live host before it, else the greatest weight
 * among the live hosts of its group. */
uint32_t strategy_weight(const struct router *router, uint32_t host);
