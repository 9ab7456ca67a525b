/* Weighted lists of hosts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "route/table.h"
#include "base/memory.h"

#include <stdlib.h>

static void table_resize(struct table *table, uint64_t size)
{
    table->size = (uint32_t)size;
    table->hosts = xrealloc(table->hosts, size * sizeof *table->hosts);
}

void table_fill(struct table *table, const struct member *members, const uint32_t *order, uint32_t count)
{
    uint64_t weights = 0;
    for (uint32_t i = 0; i < count; i++) {
        weights += members[order[i]].weight;
    }
    table_resize(table, weights);
    for (uint32_t i = 0, place = 0; i < count; i++) {
        for (uint32_t w = 0; w < members[order[i]].weight; w++) {
            table->hosts[place++] = order[i];
        }
    }
}

/* A place in the turns: turn k of a host with weight w is due at
 * (2k + 1) / 2w of a round. */
struct turn {
    uint32_t odd, weight, order, host;
};

static int order_by_time(const void *a, const void *b)
{
    const struct turn *left = a, *right = b;
    uint64_t left_time = (uint64_t)left->odd * right->weight;
    uint64_t right_time = (uint64_t)right->odd * left->weight;
    if (left_time != right_time) {
        return left_time < right_time ? -1 : 1;
    }
    return (left->order > right->order) - (left->order < right->order);
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

void table_fill_turns(struct table *table, const struct member *members, const uint32_t *order,
                      uint32_t count)
{
    uint64_t weights = 0;
    uint32_t divisor = 0;
    for (uint32_t i = 0; i < count; i++) {
        weights += members[order[i]].weight;
        divisor = common_divisor(members[order[i]].weight, divisor);
    }
    table_resize(table, weights / divisor);
    struct turn *turns = xcalloc(table->size, sizeof *turns);
    for (uint32_t i = 0, place = 0; i < count; i++) {
        uint32_t weight = members[order[i]].weight / divisor;
        for (uint32_t k = 0; k < weight; k++) {
            turns[place++] = (struct turn){.odd = 2 * k + 1, .weight = weight, .order = i, .host = order[i]};
        }
    }
    qsort(turns, table->size, sizeof *turns, order_by_time);
    for (uint32_t i = 0; i < table->size; i++) {
        table->hosts[i] = turns[i].host;
    }
    free(turns);
}

void table_deinit(struct table *table)
{
    free(table->hosts);
    *table = (struct table){0};
}
