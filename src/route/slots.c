/* Slots: the 16384 slots of Redis Cluster, spread over the hosts in order,
 * as evenly as their weights say and as `redis-cli --cluster create` spreads
 * them over equal masters. The hash is Redis's CRC16 and the tag is `{}`,
 * always: a key has the slot that CLUSTER KEYSLOT gives it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "route/strategy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOTS 16384u

/* 32 KB, so that it stays in the cache: no more hosts than slots, and both fit. */
static void slots_spread(const struct router *router, uint16_t *hosts)
{
    uint64_t weights = 0, before = 0;
    for (uint32_t i = 0; i < router->count; i++) {
        weights += router->members[i].weight;
    }
    for (uint32_t i = 0, slot = 0; i < router->count; i++) {
        before += router->members[i].weight;
        uint64_t end = (2 * SLOTS * before + weights) / (2 * weights); /* rounded */
        while (slot < end) {
            hosts[slot++] = (uint16_t)i;
        }
    }
}

static bool slots_create(struct router *router, char *error, size_t error_size)
{
    struct router_options *options = &router->options;
    if (options->hash != HASH_CRC16) {
        snprintf(error, error_size, "router \"slots\" hashes with crc16, not with %s",
                 hash_kind_name(options->hash));
        return false;
    }
    if (options->hash_tag[0] && (options->hash_tag[0] != '{' || options->hash_tag[1] != '}')) {
        snprintf(error, error_size, "router \"slots\" has the hash tag \"{}\" and no other");
        return false;
    }
    if (router->count > SLOTS) {
        snprintf(error, error_size, "%" PRIu32 " hosts for %u slots", router->count, SLOTS);
        return false;
    }
    options->hash_tag[0] = '{';
    options->hash_tag[1] = '}';
    router->empty_is_zero = false;
    router->state = xcalloc(SLOTS, sizeof(uint16_t));
    slots_spread(router, router->state);
    return true;
}

static void slots_destroy(struct router *router)
{
    free(router->state);
}

static int slots_pick(struct router *router, uint64_t hash)
{
    const uint16_t *hosts = router->state;
    return strategy_host_or_stand_in(router, hosts[hash % SLOTS], hash);
}

static void slots_explain(const struct router *router, uint64_t hash, char *text, size_t size)
{
    const uint16_t *hosts = router->state;
    uint32_t slot = (uint32_t)hash % SLOTS;
    snprintf(text, size, "slot %" PRIu32 "%s", slot, router->up[hosts[slot]] ? "" : ", whose host is down");
}

static uint64_t slots_period(const struct router *router, uint64_t *runs)
{
    *runs = router->count;
    return SLOTS;
}

static uint32_t slots_run(const struct router *router, uint32_t hash, uint32_t *last)
{
    const uint16_t *hosts = router->state;
    uint32_t slot = hash % SLOTS, end = slot;
    while (end + 1 < SLOTS && hosts[end + 1] == hosts[slot]) {
        end++;
    }
    *last = hash + (end - slot);
    return hosts[slot];
}

const struct strategy strategy_slots = {
    .name = "slots",
    .key_use = KEY_HASH_32,
    .create = slots_create,
    .destroy = slots_destroy,
    .pick = slots_pick,
    .explain = slots_explain,
    .period = slots_period,
    .run = slots_run,
};
