/* A trie of key prefixes: the longest one that a key begins with. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct target;

/* One byte further down; children are sorted by their byte. */
struct prefix_node {
    struct target *value; /* of the prefix that ends here, NULL: none */
    struct prefix_node **children;
    uint8_t *bytes;
    uint32_t count;
};

struct prefix_node *prefix_create(void);
/* Frees the tree, not the values. */
void prefix_destroy(struct prefix_node *root);
/* false when the prefix has a value already. */
bool prefix_add(struct prefix_node *root, const char *text, size_t size, struct target *value);
/* NULL when no prefix fits. */
struct target *prefix_find(const struct prefix_node *root, const char *key, size_t size);
/* How many bytes of the key that prefix has; 0 when none fits. */
size_t prefix_length(const struct prefix_node *root, const char *key, size_t size);
