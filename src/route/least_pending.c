/* Least pending: the host that owes the fewest replies for its weight, of this
 * worker's requests. Among equals they take turns.
 *
 * All hosts are looked at: what is chosen among are a few replicas. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "route/strategy.h"
#include "route/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct least_pending {
    uint32_t turn; /* whose it is among equals */
    /* Commands that arrive together are routed before any of them is sent: what
     * a host was given since target_draw has changed counts, too. */
    uint64_t draw;
    uint32_t given[];
};

static bool least_pending_create(struct router *router, char *error, size_t error_size)
{
    (void)error;
    (void)error_size;
    router->state = xcalloc(1, sizeof(struct least_pending) + router->count * sizeof(uint32_t));
    return true;
}

static void least_pending_destroy(struct router *router)
{
    free(router->state);
}

static uint64_t load_of(const struct router *router, uint32_t host)
{
    const struct least_pending *state = router->state;
    const struct member *member = &router->members[host];
    uint64_t load = state->given[host];
    if (member->pending)
        load += member->pending(member->host);
    return (load << 24) / member->weight;
}

static int least_pending_pick(struct router *router, uint64_t hash)
{
    (void)hash;
    struct least_pending *state = router->state;
    uint32_t start = state->turn++, best = 0;
    uint64_t least = UINT64_MAX;
    if (state->draw != target_draw)
        memset(state->given, 0, router->count * sizeof *state->given);
    state->draw = target_draw;
    for (uint32_t i = 0; i < router->live_count; i++) {
        uint32_t host = router->live[(start + i) % router->live_count];
        uint64_t load = load_of(router, host);
        if (load < least) {
            least = load;
            best = host;
        }
    }
    state->given[best]++;
    return (int)best;
}

static void least_pending_explain(const struct router *router, uint64_t hash, char *text, size_t size)
{
    (void)hash;
    snprintf(text, size, "the one of %u hosts that owes the fewest replies", router->live_count);
}

const struct strategy strategy_least_pending = {
    .name = "least_pending",
    .key_use = KEY_IGNORED,
    .create = least_pending_create,
    .destroy = least_pending_destroy,
    .pick = least_pending_pick,
    .explain = least_pending_explain,
};
