/* Modulus: the hash of the key, modulo the number of hosts; a host of weight
 * w counts w times.
 *
 * Nydus's crc32 is Python 2's, a signed number, and Python's remainder is
 * never negative. twemproxy ("modula") counts over its own order of servers
 * and closes the gap when one is ejected, so that most keys move. In the
 * other modes only the keys of a host that is down go elsewhere. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "route/strategy.h"
#include "route/table.h"
#include "route/twemproxy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct modulus {
    struct table table;
    uint32_t *order; /* all hosts, as the mode counts them */
    bool ejects;     /* the table has the live hosts only */
    bool is_signed;
};

static bool modulus_create(struct router *router, char *error, size_t error_size)
{
    (void)error;
    (void)error_size;
    const struct router_options *options = &router->options;
    struct modulus *modulus = xcalloc(1, sizeof *modulus);
    modulus->ejects = options->compat == COMPAT_TWEMPROXY;
    modulus->is_signed = options->compat == COMPAT_NYDUS && options->hash == HASH_CRC32;
    modulus->order = xcalloc(router->count, sizeof *modulus->order);
    if (modulus->ejects) {
        twemproxy_sort(router->members, router->count, modulus->order);
    } else {
        for (uint32_t i = 0; i < router->count; i++) {
            modulus->order[i] = i;
        }
        table_fill(&modulus->table, router->members, modulus->order, router->count);
    }
    router->state = modulus;
    return true;
}

static void modulus_destroy(struct router *router)
{
    struct modulus *modulus = router->state;
    table_deinit(&modulus->table);
    free(modulus->order);
    free(modulus);
}

static void modulus_rebuild(struct router *router)
{
    struct modulus *modulus = router->state;
    if (!modulus->ejects) {
        return;
    }
    uint32_t *live = xcalloc(router->live_count, sizeof *live);
    uint32_t count = 0;
    for (uint32_t i = 0; i < router->count; i++) {
        if (router->up[modulus->order[i]]) {
            live[count++] = modulus->order[i];
        }
    }
    table_fill(&modulus->table, router->members, live, count);
    free(live);
}

static uint32_t modulus_place(const struct modulus *modulus, uint32_t hash)
{
    if (!modulus->is_signed) {
        return hash % modulus->table.size;
    }
    int32_t size = (int32_t)modulus->table.size;
    int32_t rest = (int32_t)hash % size;
    return (uint32_t)(rest < 0 ? rest + size : rest);
}

static int modulus_pick(struct router *router, uint64_t hash)
{
    const struct modulus *modulus = router->state;
    uint32_t host = modulus->table.hosts[modulus_place(modulus, (uint32_t)hash)];
    return strategy_host_or_stand_in(router, host, hash);
}

static void modulus_explain(const struct router *router, uint64_t hash, char *text, size_t size)
{
    const struct modulus *modulus = router->state;
    uint32_t place = modulus_place(modulus, (uint32_t)hash);
    uint32_t host = modulus->table.hosts[place];
    snprintf(text, size, "%smodulo %" PRIu32 " is %" PRIu32 "%s", modulus->is_signed ? "signed, " : "",
             modulus->table.size, place, router->up[host] ? "" : ", whose host is down");
}

static uint64_t modulus_period(const struct router *router, uint64_t *runs)
{
    const struct modulus *modulus = router->state;
    return *runs = modulus->table.size;
}

static uint32_t modulus_run(const struct router *router, uint32_t hash, uint32_t *last)
{
    const struct modulus *modulus = router->state;
    *last = hash;
    return modulus->table.hosts[modulus_place(modulus, hash)];
}

const struct strategy strategy_modulus = {
    .name = "modulus",
    .key_use = KEY_HASH_32,
    .create = modulus_create,
    .destroy = modulus_destroy,
    .rebuild = modulus_rebuild,
    .pick = modulus_pick,
    .explain = modulus_explain,
    .period = modulus_period,
    .run = modulus_run,
};
