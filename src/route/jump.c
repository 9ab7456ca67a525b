/* Jump consistent hash (John Lamping, Eric Veach, "A Fast, Minimal Memory,
 * Consistent Hash Algorithm", 2014): no memory, and a host added at the end
 * takes 1/n of the keys and moves no other. Hosts can only come and go at
 * the end of the list. A host of weight w is w buckets. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "route/strategy.h"
#include "route/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool jump_create(struct router *router, char *error, size_t error_size)
{
    (void)error;
    (void)error_size;
    struct table *table = xcalloc(1, sizeof *table);
    uint32_t *order = xcalloc(router->count, sizeof *order);
    for (uint32_t i = 0; i < router->count; i++) {
        order[i] = i;
    }
    table_fill(table, router->members, order, router->count);
    free(order);
    router->state = table;
    return true;
}

static void jump_destroy(struct router *router)
{
    table_deinit(router->state);
    free(router->state);
}

/* Follows the key through the growing of the list: `next` is the size at
 * which it moves again, drawn from a generator that the key seeds. */
static uint32_t jump_bucket(uint64_t key, uint32_t buckets)
{
    int64_t bucket = 0, next = 0;
    while (next < buckets) {
        bucket = next;
        key = key * 2862933555777941757u + 1;
        next = (int64_t)((double)(bucket + 1) * (2147483648.0 / (double)((key >> 33) + 1)));
    }
    return (uint32_t)bucket;
}

static int jump_pick(struct router *router, uint64_t hash)
{
    const struct table *table = router->state;
    return strategy_host_or_stand_in(router, table->hosts[jump_bucket(hash, table->size)], hash);
}

static void jump_explain(const struct router *router, uint64_t hash, char *text, size_t size)
{
    const struct table *table = router->state;
    uint32_t bucket = jump_bucket(hash, table->size);
    snprintf(text, size, "bucket %" PRIu32 " of %" PRIu32 "%s", bucket, table->size,
             router->up[table->hosts[bucket]] ? "" : ", whose host is down");
}

const struct strategy strategy_jump = {
    .name = "jump",
    .key_use = KEY_HASH_64,
    .create = jump_create,
    .destroy = jump_destroy,
    .pick = jump_pick,
    .explain = jump_explain,
};
