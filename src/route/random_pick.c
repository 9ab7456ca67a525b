/* Random: any host that is up, by chance; weights count, but for twemproxy,
 * which ignores them here. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "base/random.h"
#include "route/strategy.h"
#include "route/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool random_pick_create(struct router *router, char *error, size_t error_size)
{
    (void)error;
    (void)error_size;
    router->state = xcalloc(1, sizeof(struct table));
    return true;
}

static void random_pick_destroy(struct router *router)
{
    table_deinit(router->state);
    free(router->state);
}

static void random_pick_rebuild(struct router *router)
{
    table_fill(router->state, router->members, router->live, router->live_count);
}

static int random_pick_pick(struct router *router, uint64_t hash)
{
    (void)hash;
    if (router->options.compat == COMPAT_TWEMPROXY) {
        return (int)router->live[random_below(router->live_count)];
    }
    const struct table *table = router->state;
    return (int)table->hosts[random_below(table->size)];
}

static void random_pick_explain(const struct router *router, uint64_t hash, char *text, size_t size)
{
    (void)hash;
    snprintf(text, size, "one of %" PRIu32 " hosts by chance", router->live_count);
}

const struct strategy strategy_random = {
    .name = "random",
    .key_use = KEY_IGNORED,
    .create = random_pick_create,
    .destroy = random_pick_destroy,
    .rebuild = random_pick_rebuild,
    .pick = random_pick_pick,
    .explain = random_pick_explain,
};
