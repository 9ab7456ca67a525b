/* A list of hosts in which each stands as often as its weight says, for
 * kinds that choose by number. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/router.h"

struct table {
    uint32_t *hosts;
    uint32_t size;
};

/* Fills the table (zeros at first) with `count` hosts of `order`: the first
 * one weight times, then the second, and so on. Replaces what was there. */
void table_fill(struct table *table, const struct member *members, const uint32_t *order, uint32_t count);

/* The same, but each host's places are spread evenly over the table, and
 * weights are divided by what they have in common: for taking turns. */
void table_fill_turns(struct table *table, const struct member *members, const uint32_t *order,
                      uint32_t count);

void table_deinit(struct table *table);
