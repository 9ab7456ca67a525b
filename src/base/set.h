/* A hash set of things that carry their own node: no allocation per member.
 *
 *   for (struct set_node *node = set_find(&set, hash); node; node = set_next(node))
 *       if (… is the one …)                the node is the first field of what it stands for */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct set_node {
    struct set_node *next;
    uint64_t hash;
};

/* Zero it to begin. */
struct set {
    struct set_node **buckets;
    size_t room, count;
};

void set_add(struct set *set, struct set_node *node, uint64_t hash);
/* The node must be in it. */
void set_remove(struct set *set, struct set_node *node);
/* The first node of this hash, and the next; NULL: there is none. */
struct set_node *set_find(const struct set *set, uint64_t hash);
struct set_node *set_next(const struct set_node *node);
/* Forgets all nodes, which stay their owners'. */
void set_deinit(struct set *set);

/* A hash of bytes that nobody outside of this process can foresee. */
uint64_t set_hash(const char *bytes, size_t size, uint64_t seed);
