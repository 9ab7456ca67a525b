/* Counters: one row per worker in a shared mapping, written only by that worker. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/line.h"

#include <stddef.h>
#include <stdint.h>

struct stats {
#define STAT(name, help) uint64_t name;
#include "base/stats.def"
#undef STAT
} __attribute__((aligned(LINE_SIZE)));

/* This process's row. Points to a private row until stats_use. */
extern struct stats *stats;
void stats_use(struct stats *row);

struct stats_field {
    const char *name, *help;
};
extern const struct stats_field stats_fields[];
extern const size_t stats_field_count;
/* Adds row `from` to `sum`, field by field. */
void stats_add(struct stats *sum, const struct stats *from);

/* Tells where the rows of all workers lie and how many there are by now (the
 * count is read anew each time: workers may be added), and where the reset puts
 * its base. All must stay. */
void stats_share(const struct stats *rows, const uint32_t *count, struct stats *base);
/* Adds up the rows of all workers; without stats_share, of this process. */
void stats_sum(struct stats *sum);
/* The same since the last stats_reset: for people, where the sums are for arithmetic. */
void stats_since(struct stats *sum);
/* What is counted so far is taken from what stats_since gives. */
void stats_reset(void);
/* Clients connected to all workers together, for max_clients. */
uint64_t stats_clients(void);
/* Those of them that wait in a blocking command. */
uint64_t stats_blocked(void);
/* What the caches of all workers hold at the moment, in bytes. */
uint64_t stats_cache_bytes(void);
