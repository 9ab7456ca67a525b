/* First: the first host that is up. The others stand by. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "route/strategy.h"

#include <stdio.h>

static int first_pick(struct router *router, uint64_t hash)
{
    (void)hash;
    return (int)router->live[0];
}

static void first_explain(const struct router *router, uint64_t hash, char *text, size_t size)
{
    (void)hash;
    snprintf(text, size, "%s", router->live[0] == 0 ? "the first host" : "the first host that is up");
}

static uint64_t first_period(const struct router *router, uint64_t *runs)
{
    (void)router;
    return *runs = 1;
}

static uint32_t first_run(const struct router *router, uint32_t hash, uint32_t *last)
{
    (void)hash;
    *last = UINT32_MAX;
    return router->live[0];
}

const struct strategy strategy_first = {
    .name = "first",
    .key_use = KEY_IGNORED,
    .pick = first_pick,
    .explain = first_explain,
    .period = first_period,
    .run = first_run,
};
