/* Sets; see set.h. Buckets double when there are as many members. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/set.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/memory.h"
#include "base/random.h"

enum { FIRST_ROOM = 16 };

static struct set_node **bucket_of(const struct set *set, uint64_t hash)
{
    return &set->buckets[hash & (set->room - 1)];
}

static void put(struct set *set, struct set_node *node)
{
    struct set_node **bucket = bucket_of(set, node->hash);
    node->next = *bucket;
    *bucket = node;
}

static void grow(struct set *set)
{
    struct set old = *set;
    set->room = old.room ? old.room * 2 : FIRST_ROOM;
    set->buckets = xcalloc(set->room, sizeof *set->buckets);
    for (size_t i = 0; i < old.room; i++) {
        for (struct set_node *node = old.buckets[i], *next; node; node = next) {
            next = node->next;
            put(set, node);
        }
    }
    free(old.buckets);
}

void set_add(struct set *set, struct set_node *node, uint64_t hash)
{
    if (set->count == set->room) {
        grow(set);
    }
    node->hash = hash;
    put(set, node);
    set->count++;
}

void set_remove(struct set *set, struct set_node *node)
{
    struct set_node **place = bucket_of(set, node->hash);
    while (*place != node) {
        place = &(*place)->next;
    }
    *place = node->next;
    set->count--;
    if (set->count == 0) {
        set_deinit(set);
    }
}

static struct set_node *skip_to(struct set_node *node, uint64_t hash)
{
    while (node && node->hash != hash) {
        node = node->next;
    }
    return node;
}

struct set_node *set_find(const struct set *set, uint64_t hash)
{
    return set->room ? skip_to(*bucket_of(set, hash), hash) : NULL;
}

struct set_node *set_next(const struct set_node *node)
{
    return skip_to(node->next, node->hash);
}

void set_deinit(struct set *set)
{
    free(set->buckets);
    *set = (struct set){0};
}

uint64_t set_hash(const char *bytes, size_t size, uint64_t seed)
{
    static uint64_t secret;
    if (secret == 0) {
        secret = random_next() | 1;
    }
    return XXH64(bytes, size, secret ^ seed);
}
