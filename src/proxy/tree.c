/* The compiled tree of a router in words; see tree.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/tree.h"

#include "proxy/host.h"
#include "route/prefix.h"

#include <stdlib.h>
#include <string.h>

enum { TREE_LINE = 512, TREE_PREFIX = 256, TREE_DEPTH = 24 };

static const char *const compat_names[] = {
    [COMPAT_NYDUS] = "nydus", [COMPAT_TWEMPROXY] = "twemproxy", [COMPAT_REDIS] = "redis"};

const char *tree_quote(const char *bytes, size_t size, char *text, size_t room)
{
    size_t used = 0;
    text[used++] = '"';
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (used + 9 > room) {
            memcpy(text + used, "...", 3);
            used += 3;
            break;
        }
        if (byte == '"' || byte == '\\')
            text[used++] = '\\';
        if (byte < 0x20 || byte == 0x7f)
            used += (size_t)snprintf(text + used, room - used, "\\x%02x", byte);
        else
            text[used++] = (char)byte;
    }
    text[used++] = '"';
    text[used] = '\0';
    return text;
}

const char *tree_language(const struct target *target)
{
    return target->kind == TARGET_FUNCTION ? "Lua" : "C";
}

static void describe_router(const struct target *target, char *text, size_t size)
{
    const struct router_options *options = router_options_of(target->router.router);
    size_t used = (size_t)snprintf(text, size, "%s over %u host%s", router_kind_name(options->kind),
                                   target->router.count, target->router.count == 1 ? "" : "s");
    if (router_kind_hashes(options->kind)) {
        used += (size_t)snprintf(text + used, size - used, ", hash %s, compat %s",
                                 hash_kind_name(options->hash), compat_names[options->compat]);
        if (options->hash_tag[0])
            used += (size_t)snprintf(text + used, size - used, ", hash_tag %.2s", options->hash_tag);
        if (options->unsigned_bytes)
            used += (size_t)snprintf(text + used, size - used, ", unsigned bytes");
    }
    if (target->router.eject)
        snprintf(text + used, size - used, ", ejects hosts that are down");
}

static void describe_host(const struct target *target, char *text, size_t size)
{
    const struct host_options *options = &target->host.host->options;
    snprintf(text, size, "host %s (%s db %d)", target->host.name, options->address, options->db);
}

const char *tree_describe(const struct target *target, char *text, size_t size)
{
    char quoted[TREE_PREFIX];
    switch (target->kind) {
    case TARGET_HOST:
        describe_host(target, text, size);
        break;
    case TARGET_ROUTER:
        describe_router(target, text, size);
        break;
    case TARGET_LIST:
        snprintf(text, size, "list of %u", target->list.count);
        break;
    case TARGET_REPLY:
        tree_quote(target->reply.bytes, target->reply.size, quoted, sizeof quoted);
        snprintf(text, size, "reply %s", quoted);
        break;
    case TARGET_PREFIX:
        snprintf(text, size, "prefix of the key");
        break;
    case TARGET_COMMAND:
        snprintf(text, size, "command");
        break;
    case TARGET_CLUSTER:
        snprintf(text, size, "cluster %s", target->cluster.name);
        break;
    case TARGET_FUNCTION:
        snprintf(text, size, "function %s", target->function.name);
        break;
    case TARGET_KINDS:
        *text = '\0';
        break;
    }
    return text;
}

static void print_node(FILE *out, const struct target *target, unsigned depth, const char *label);

/* A branch that leads nowhere is left out. */
static void print_branch(FILE *out, const struct target *target, unsigned depth, const char *label)
{
    if (target)
        print_node(out, target, depth, label);
}

/* `path` holds the bytes on the way from the root, `length` of them. */
static void print_prefixes(FILE *out, const struct prefix_node *node, unsigned depth, char *path,
                           size_t length)
{
    if (node->value) {
        char label[TREE_PREFIX];
        print_node(out, node->value, depth, tree_quote(path, length, label, sizeof label));
    }
    for (uint32_t i = 0; i < node->count && length < TREE_PREFIX; i++) {
        path[length] = (char)node->bytes[i];
        print_prefixes(out, node->children[i], depth, path, length + 1);
    }
}

static void print_commands(FILE *out, const struct target *target, unsigned depth)
{
    for (size_t id = 0; id < command_count(); id++)
        print_branch(out, target->command.by_id[id], depth, command_row(id)->name);
    for (uint32_t i = 0; i < target->command.name_count; i++)
        print_branch(out, target->command.names[i].next, depth, target->command.names[i].name);
    print_branch(out, target->command.read, depth, "read");
    print_branch(out, target->command.write, depth, "write");
    print_branch(out, target->command.otherwise, depth, "default");
}

static void print_below(FILE *out, const struct target *target, unsigned depth)
{
    char path[TREE_PREFIX + 1], label[32];
    switch (target->kind) {
    case TARGET_LIST:
        for (uint32_t i = 0; i < target->list.count; i++) {
            snprintf(label, sizeof label, "%u", i + 1);
            print_node(out, target->list.items[i], depth, label);
        }
        break;
    case TARGET_PREFIX:
        print_prefixes(out, target->prefix.root, depth, path, 0);
        print_branch(out, target->prefix.otherwise, depth, "default");
        break;
    case TARGET_COMMAND:
        print_commands(out, target, depth);
        break;
    case TARGET_ROUTER:  /* its hosts are the cluster's, or said in its line */
    case TARGET_CLUSTER: /* has a tree of its own */
    case TARGET_HOST:
    case TARGET_REPLY:
    case TARGET_FUNCTION:
    case TARGET_KINDS:
        break;
    }
}

static void print_node(FILE *out, const struct target *target, unsigned depth, const char *label)
{
    char line[TREE_LINE];
    fprintf(out, "    %-3s  %*s%s%s%s\n", tree_language(target), (int)depth * 2, "", label ? label : "",
            label ? " -> " : "", tree_describe(target, line, sizeof line));
    if (depth < TREE_DEPTH)
        print_below(out, target, depth + 1);
}

void tree_print(FILE *out, const struct target *root)
{
    print_node(out, root, 0, NULL);
}
