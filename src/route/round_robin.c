/* Round robin: the hosts that are up take turns, the first one begins. A
 * host of weight w has w turns in a round, spread over it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "route/strategy.h"
#include "route/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct round_robin {
    struct table turns;
    uint32_t next;
};

static bool round_robin_create(struct router *router, char *error, size_t error_size)
{
    (void)error;
    (void)error_size;
    router->state = xcalloc(1, sizeof(struct round_robin));
    return true;
}

static void round_robin_destroy(struct router *router)
{
    struct round_robin *state = router->state;
    table_deinit(&state->turns);
    free(state);
}

static void round_robin_rebuild(struct router *router)
{
    struct round_robin *state = router->state;
    table_fill_turns(&state->turns, router->members, router->live, router->live_count);
    state->next %= state->turns.size;
}

static int round_robin_pick(struct router *router, uint64_t hash)
{
    (void)hash;
    struct round_robin *state = router->state;
    uint32_t host = state->turns.hosts[state->next];
    if (++state->next == state->turns.size) {
        state->next = 0;
    }
    return (int)host;
}

static void round_robin_explain(const struct router *router, uint64_t hash, char *text, size_t size)
{
    (void)hash;
    snprintf(text, size, "%" PRIu32 " hosts take turns", router->live_count);
}

const struct strategy strategy_round_robin = {
    .name = "round_robin",
    .key_use = KEY_IGNORED,
    .create = round_robin_create,
    .destroy = round_robin_destroy,
    .rebuild = round_robin_rebuild,
    .pick = round_robin_pick,
    .explain = round_robin_explain,
};
