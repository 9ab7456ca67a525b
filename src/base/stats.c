/* Counters: one row per worker in a shared mapping, written only by that worker. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stats.h"

#include <string.h>

/* Counts until stats_use gives the process a row of its own: in the master,
 * in --check, in specs. */
static struct stats private_row;
struct stats *stats = &private_row;

static const struct stats *shared_rows = &private_row;
static struct stats private_base;
static struct stats *base = &private_base;
static const uint32_t private_count = 1;
static const uint32_t *shared_count = &private_count;

const struct stats_field stats_fields[] = {
#define STAT(name, help) {#name, help},
#include "base/stats.def"
#undef STAT
};
const size_t stats_field_count = sizeof stats_fields / sizeof *stats_fields;

void stats_use(struct stats *row)
{
    stats = row;
}

void stats_share(const struct stats *rows, const uint32_t *count, struct stats *base_row)
{
    base = base_row;
    shared_rows = rows;
    shared_count = count;
}

/* Another process may be adding to `from`: each field is one load. */
void stats_add(struct stats *sum, const struct stats *from)
{
#define STAT(name, help) sum->name += __atomic_load_n(&from->name, __ATOMIC_RELAXED);
#include "base/stats.def"
#undef STAT
}

void stats_sum(struct stats *sum)
{
    memset(sum, 0, sizeof *sum);
    uint32_t count = __atomic_load_n(shared_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < count; i++) {
        stats_add(sum, &shared_rows[i]);
    }
}

void stats_since(struct stats *sum)
{
    stats_sum(sum);
#define STAT(name, help) sum->name -= sum->name < base->name ? sum->name : base->name;
#include "base/stats.def"
#undef STAT
}

void stats_reset(void)
{
    struct stats sum;
    stats_sum(&sum);
    *base = sum;
}

/* What has come and not gone in all workers; workers that have died hold nothing. */
static uint64_t held(size_t came, size_t went)
{
    uint64_t sum = 0;
    uint32_t count = __atomic_load_n(shared_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < count; i++) {
        const char *row = (const char *)&shared_rows[i];
        uint64_t gone = __atomic_load_n((const uint64_t *)(row + went), __ATOMIC_RELAXED);
        sum += __atomic_load_n((const uint64_t *)(row + came), __ATOMIC_RELAXED) - gone;
    }
    return (int64_t)sum > 0 ? sum : 0;
}

uint64_t stats_clients(void)
{
    return held(offsetof(struct stats, clients_accepted), offsetof(struct stats, clients_closed));
}

uint64_t stats_blocked(void)
{
    return held(offsetof(struct stats, clients_blocked), offsetof(struct stats, clients_unblocked));
}

uint64_t stats_cache_bytes(void)
{
    return held(offsetof(struct stats, cache_bytes_taken), offsetof(struct stats, cache_bytes_given));
}
