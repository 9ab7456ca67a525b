/* The compiled tree of a router in words; see tree.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/tree.h"

#include "proxy/host.h"

#include <stdlib.h>
#include <string.h>

enum { TREE_MEMBERS = 8, TREE_LINE = 512, TREE_PREFIX = 256, TREE_DEPTH = 24, TREE_NODES = 10000 };

static const char *const compat_names[] = {
    [COMPAT_NYDUS] = "nydus", [COMPAT_TWEMPROXY] = "twemproxy", [COMPAT_REDIS] = "redis"};

const char *tree_quote(const char *bytes, size_t size, char *text, size_t room)
{
    static const char letters[] = "\"\\\r\n\t", names[] = "\"\\rnt";
    size_t used = 0;
    text[used++] = '"';
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (used + 9 > room) {
            memcpy(text + used, "...", 3);
            used += 3;
            break;
        }
        const char *letter = byte ? strchr(letters, byte) : NULL;
        if (letter)
            used += (size_t)snprintf(text + used, room - used, "\\%c", names[letter - letters]);
        else if (byte < 0x20 || byte == 0x7f)
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
    if (target->kind == TARGET_ACTION)
        return target->action.action->language;
    return target->kind == TARGET_FUNCTION ? "Lua" : "C";
}

/* How many hosts the cluster has whose hosts a router is over. */
static uint32_t cluster_hosts(const struct target *router)
{
    const struct target_set *set = router->set;
    const char *name = router->router.hosts[0]->host.host->options.cluster;
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct target *target = set->targets[i];
        count += target->kind == TARGET_HOST && !strcmp(target->host.host->options.cluster, name);
    }
    return count;
}

/* Which of its cluster's hosts a router is over; the first ones when there are many. */
static void describe_members(const struct target *target, char *text, size_t size)
{
    size_t used = 0;
    for (uint32_t i = 0; i < target->router.count && used < size; i++) {
        if (i == TREE_MEMBERS) {
            snprintf(text + used, size - used, " …");
            break;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : ": ",
                                 target->router.hosts[i]->host.name);
    }
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
        used += (size_t)snprintf(text + used, size - used, ", ejects hosts that are down");
    if (target->router.count < cluster_hosts(target))
        describe_members(target, text + used, size - used);
}

static void describe_host(const struct target *target, char *text, size_t size)
{
    const struct host_options *options = &target->host.host->options;
    snprintf(text, size, "host %s (%s db %d)", target->host.name, options->address, options->db);
}

static void describe_list(const struct target *target, char *text, size_t size)
{
    int used = snprintf(text, size, "list of %u", target->list.count);
    if (target->list.reply != LIST_ARRAY)
        snprintf(text + used, size - (size_t)used, ", reply %s", list_reply_name(target->list.reply));
}

static void describe_action(const struct target *target, char *text, size_t size)
{
    const struct action *action = target->action.action;
    int used = snprintf(text, size, "%s", action->name);
    if (action->describe)
        action->describe(target, text + used, size - (size_t)used);
}

static void describe_split(const struct target *target, char *text, size_t size)
{
    static const char *const by[] = {
        [SPLIT_RANDOM] = "random", [SPLIT_KEY] = "key", [SPLIT_CLIENT] = "client"};
    snprintf(text, size, "split by %s", by[target->split.by]);
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
        describe_list(target, text, size);
        break;
    case TARGET_SPLIT:
        describe_split(target, text, size);
        break;
    case TARGET_ACTION:
        describe_action(target, text, size);
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

/* Where a tree is printed to. */
struct print {
    FILE *out;
    unsigned depth;
    unsigned *left; /* lines that may still be printed: a target may stand in many places */
};

static bool print_node(const struct print *print, const struct target *target, const char *label);

static bool print_branch(void *context, const struct target *below, const struct target_way *way)
{
    char label[TREE_PREFIX];
    if (way->is_prefix)
        tree_quote(way->text, way->size, label, sizeof label);
    else
        snprintf(label, sizeof label, "%.*s", (int)way->size, way->text);
    return print_node(context, below, label);
}

/* true: there is no more room. */
static bool print_node(const struct print *print, const struct target *target, const char *label)
{
    char line[TREE_LINE];
    struct print below = *print;
    if (!*print->left)
        return true;
    --*print->left;
    fprintf(print->out, "    %-4s %*s%s%s%s\n", tree_language(target), (int)print->depth * 2, "",
            label ? label : "", label ? " -> " : "", tree_describe(target, line, sizeof line));
    below.depth++;
    /* A cluster has a tree of its own. */
    return target->kind != TARGET_CLUSTER && below.depth < TREE_DEPTH &&
           target_each(target, print_branch, &below);
}

void tree_print(FILE *out, const struct target *root)
{
    unsigned left = TREE_NODES;
    const struct print print = {.out = out, .left = &left};
    if (print_node(&print, root, NULL))
        fprintf(out, "    and more\n");
}
