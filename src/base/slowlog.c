/* The slow log; see slowlog.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slowlog.h"

#include <string.h>

static struct slowlog private_log;
static struct slowlog *slowlog = &private_log;

void slowlog_share(struct slowlog *shared)
{
    slowlog = shared;
}

static struct slowlog_slot *slot_of(uint64_t id)
{
    return &slowlog->slots[id % SLOWLOG_ENTRIES];
}

/* Two writers meet in one slot only when a whole round of entries comes while
 * one is written; a reader then sees a turn that is not the entry's. */
struct slowlog_entry *slowlog_begin(void)
{
    uint64_t id = __atomic_fetch_add(&slowlog->next, 1, __ATOMIC_RELAXED);
    struct slowlog_slot *slot = slot_of(id);
    __atomic_store_n(&slot->turn, 2 * id + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    slot->entry.id = id;
    return &slot->entry;
}

void slowlog_end(struct slowlog_entry *entry)
{
    uint64_t id = entry->id;
    __atomic_store_n(&slot_of(id)->turn, 2 * id + 2, __ATOMIC_RELEASE);
}

void slowlog_range(uint64_t *first, uint64_t *next)
{
    *next = __atomic_load_n(&slowlog->next, __ATOMIC_ACQUIRE);
    *first = *next > SLOWLOG_ENTRIES ? *next - SLOWLOG_ENTRIES : 0;
}

bool slowlog_read(uint64_t id, struct slowlog_entry *out)
{
    struct slowlog_slot *slot = slot_of(id);
    uint64_t turn = __atomic_load_n(&slot->turn, __ATOMIC_ACQUIRE);
    memcpy(out, &slot->entry, sizeof *out);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return turn == 2 * id + 2 && turn == __atomic_load_n(&slot->turn, __ATOMIC_RELAXED);
}

void slowlog_forget(uint64_t id)
{
    uint64_t whole = 2 * id + 2;
    __atomic_compare_exchange_n(&slot_of(id)->turn, &whole, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}
