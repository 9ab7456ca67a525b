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

const struct strategy strategy_first = {
    .name = "first",
    .key_use = KEY_IGNORED,
    .pick = first_pick,
    .explain = first_explain,
};
