/* Prefixes; see prefixes.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/prefixes.h"

#include "base/memory.h"
#include "route/prefix.h"
#include "server/generation.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX_MIN = 2, PREFIX_MAX = 32 };

/* What stands between the parts of a key's name, by custom. */
static const char separators[] = ":/._-|";

static bool is_plain(const char *text, size_t size)
{
    bool word = false;
    for (size_t i = 0; i < size; i++) {
        if (!isgraph((unsigned char)text[i]) || text[i] == '"' || text[i] == '\'' || text[i] == '\\')
            return false;
        word |= isalnum((unsigned char)text[i]) != 0;
    }
    return word;
}

static void prefixes_insert(struct prefixes *prefixes, const char *text, size_t size)
{
    char *copy = xstrndup(text, size);
    size_t at = 0;
    while (at < prefixes->count && strcmp(prefixes->list[at], copy) < 0)
        at++;
    if (at < prefixes->count && !strcmp(prefixes->list[at], copy)) {
        free(copy);
        return;
    }
    prefixes->list = xrealloc(prefixes->list, (prefixes->count + 1) * sizeof *prefixes->list);
    memmove(prefixes->list + at + 1, prefixes->list + at, (prefixes->count - at) * sizeof *prefixes->list);
    prefixes->list[at] = copy;
    prefixes->count++;
}

/* Every prefix of a table that is no longer than `path` has room for. */
static void add_table(struct prefixes *prefixes, const struct prefix_node *node, char *path, size_t length)
{
    if (node->value && length && is_plain(path, length))
        prefixes_insert(prefixes, path, length);
    for (uint32_t i = 0; i < node->count && length < PREFIX_MAX; i++) {
        path[length] = (char)node->bytes[i];
        add_table(prefixes, node->children[i], path, length + 1);
    }
}

/* Texts between quotes that end in a separator. */
static void add_texts(struct prefixes *prefixes, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != '"' && bytes[i] != '\'')
            continue;
        const char *text = bytes + i + 1;
        size_t room = size - i - 1;
        const char *end = memchr(text, bytes[i], room < PREFIX_MAX + 1 ? room : PREFIX_MAX + 1);
        size_t length = end ? (size_t)(end - text) : 0;
        if (length >= PREFIX_MIN && is_plain(text, length) && strchr(separators, text[length - 1]))
            prefixes_insert(prefixes, text, length);
    }
}

void prefixes_add(struct prefixes *prefixes, const struct generation *generation)
{
    char path[PREFIX_MAX];
    for (uint32_t i = 0; i < generation->set->count; i++) {
        const struct target *target = generation->set->targets[i];
        if (target->kind == TARGET_PREFIX)
            add_table(prefixes, target->prefix.root, path, 0);
    }
    struct packed packed = generation_pack(generation);
    add_texts(prefixes, packed.bytes, packed.size);
    free(packed.bytes);
}

void prefixes_deinit(struct prefixes *prefixes)
{
    for (size_t i = 0; i < prefixes->count; i++)
        free(prefixes->list[i]);
    free(prefixes->list);
    *prefixes = (struct prefixes){0};
}
