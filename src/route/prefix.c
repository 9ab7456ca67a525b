/* A trie of key prefixes; see prefix.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "route/prefix.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct prefix_node *prefix_create(void)
{
    return xcalloc(1, sizeof(struct prefix_node));
}

void prefix_destroy(struct prefix_node *root)
{
    if (!root)
        return;
    for (uint32_t i = 0; i < root->count; i++)
        prefix_destroy(root->children[i]);
    free(root->children);
    free(root->bytes);
    free(root);
}

/* The place of a byte among the children: where it is, or where it belongs. */
static uint32_t prefix_place(const struct prefix_node *node, uint8_t byte)
{
    uint32_t low = 0, high = node->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (node->bytes[middle] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct prefix_node *prefix_child(const struct prefix_node *node, uint8_t byte)
{
    uint32_t place = prefix_place(node, byte);
    return place < node->count && node->bytes[place] == byte ? node->children[place] : NULL;
}

static struct prefix_node *prefix_insert(struct prefix_node *node, uint8_t byte)
{
    uint32_t place = prefix_place(node, byte), after = node->count - place;
    node->count++;
    node->bytes = xrealloc(node->bytes, node->count);
    node->children = xrealloc(node->children, node->count * sizeof *node->children);
    memmove(node->bytes + place + 1, node->bytes + place, after);
    memmove(node->children + place + 1, node->children + place, after * sizeof *node->children);
    node->bytes[place] = byte;
    node->children[place] = prefix_create();
    return node->children[place];
}

bool prefix_add(struct prefix_node *root, const char *text, size_t size, struct target *value)
{
    struct prefix_node *node = root;
    for (size_t i = 0; i < size; i++) {
        struct prefix_node *child = prefix_child(node, (uint8_t)text[i]);
        node = child ? child : prefix_insert(node, (uint8_t)text[i]);
    }
    if (node->value)
        return false;
    node->value = value;
    return true;
}

struct target *prefix_find(const struct prefix_node *root, const char *key, size_t size)
{
    const struct prefix_node *node = root;
    struct target *best = node->value;
    for (size_t i = 0; i < size && node->count; i++) {
        node = prefix_child(node, (uint8_t)key[i]);
        if (!node)
            break;
        if (node->value)
            best = node->value;
    }
    return best;
}

size_t prefix_length(const struct prefix_node *root, const char *key, size_t size)
{
    const struct prefix_node *node = root;
    size_t length = 0;
    for (size_t i = 0; i < size; i++) {
        node = prefix_child(node, (uint8_t)key[i]);
        if (!node)
            break;
        if (node->value)
            length = i + 1;
    }
    return length;
}
