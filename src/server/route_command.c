/* nydus --route; see route_command.h.
 *
 * The walk is done one node at a time, so that each can be told; what a node
 * decides is asked of the same functions that the server uses. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/route_command.h"

#include "proxy/dispatch.h"
#include "proxy/host.h"
#include "proxy/local.h"
#include "proxy/policy.h"
#include "proxy/split.h"
#include "resp/keys.h"
#include "route/prefix.h"
#include "route/query.h"
#include "server/generation.h"
#include "server/tree.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUTE_STEPS = 64, ROUTE_LINE = 512, ROUTE_QUOTE = 256, ROUTE_LEAVES = 64 };

/* One command while it is looked at. */
struct route {
    char *bytes; /* RESP, owned */
    size_t size;
    struct resp_request scan;
    const struct command *command;
    struct key_list keys;
    const struct target *leaves[ROUTE_LEAVES]; /* different ones that its keys went to */
    uint32_t leaf_count;
};

static void say(const char *label, const char *text)
{
    printf("    %-7s  %s\n", label, text);
}

static void say_node(const struct target *target)
{
    char line[ROUTE_LINE];
    say(tree_language(target), tree_describe(target, line, sizeof line));
}

/* ---- one step of the walk ---- */

static void say_choice(const char *how, const struct target *next)
{
    printf("%15s%s%s\n", "", how, next ? "" : ": there is none");
}

/* The longest prefix that has a target of its own. */
static size_t prefix_length(const struct prefix_node *root, const struct query *query)
{
    size_t longest = 0;
    const struct target *found = prefix_find(root, query_key(query), query->key.size);
    for (size_t size = query->key.size + 1; size-- > 0;) {
        if (prefix_find(root, query_key(query), size) != found)
            break;
        longest = size;
    }
    return longest;
}

static const struct target *step_prefix(const struct target *at, const struct query *query)
{
    const struct target *next = NULL;
    if (query->nkeys)
        next = prefix_find(at->prefix.root, query_key(query), query->key.size);
    if (!next) {
        say_choice(query->nkeys ? "no prefix fits: default" : "no key: default", at->prefix.otherwise);
        return at->prefix.otherwise;
    }
    char quoted[ROUTE_QUOTE], how[ROUTE_LINE];
    tree_quote(query_key(query), prefix_length(at->prefix.root, query), quoted, sizeof quoted);
    snprintf(how, sizeof how, "the key begins with %s", quoted);
    say_choice(how, next);
    return next;
}

static const struct target *step_command(const struct target *at, const struct query *query)
{
    const struct command *command = query->command;
    bool reads = command->flags & COMMAND_READONLY;
    const struct target *next = at->command.by_id[command->id];
    const char *how = command->name;
    if (!next) {
        next = reads ? at->command.read : at->command.write;
        how = reads ? "read" : "write";
    }
    if (!next) {
        next = at->command.otherwise;
        how = "default";
    }
    char line[ROUTE_LINE];
    snprintf(line, sizeof line, "as %s", how);
    say_choice(line, next);
    return next;
}

static const struct target *step_router(const struct target *at, struct query *query)
{
    char line[ROUTE_LINE];
    if (query->nkeys)
        router_explain(at->router.router, query_key(query), query->key.size, line, sizeof line);
    else
        snprintf(line, sizeof line, "no key: every host");
    say_choice(line, at);
    query->target = at;
    target_walk(query);
    return query->target;
}

static const struct target *step_function(const struct target *at, struct query *query)
{
    query->target = at;
    at->set->decide(at->set->context, at, &query, 1);
    if (!query->target)
        say("", query->error ? query->error : "  it returned nil: no route");
    return query->target;
}

/* NULL: no route. The same target: the walk is over. */
static const struct target *step(const struct target *at, struct query *query)
{
    switch (at->kind) {
    case TARGET_PREFIX:
        return step_prefix(at, query);
    case TARGET_COMMAND:
        return step_command(at, query);
    case TARGET_ROUTER:
        return step_router(at, query);
    case TARGET_FUNCTION:
        return step_function(at, query);
    case TARGET_CLUSTER:
        return *at->cluster.root;
    case TARGET_HOST:
    case TARGET_LIST:
    case TARGET_REPLY:
    case TARGET_KINDS:
        break;
    }
    return at;
}

/* ---- the whole walk ---- */

static void walk(const struct target *at, struct query *query, unsigned depth);

static void walk_list(const struct target *list, const struct query *query, unsigned depth)
{
    for (uint32_t i = 0; i < list->list.count && depth < ROUTE_STEPS; i++) {
        struct query item = *query;
        walk(list->list.items[i], &item, depth + 1);
    }
}

static void walk(const struct target *at, struct query *query, unsigned depth)
{
    for (unsigned steps = depth; at && steps < ROUTE_STEPS; steps++) {
        say_node(at);
        const struct target *next = step(at, query);
        if (next == at && at->kind == TARGET_LIST) {
            say("", dispatch_walks(query, at)   ? "  one of them at a time"
                    : dispatch_joins(query, at) ? "  the replies are joined into one"
                                                : "  the client gets an array of the replies");
            walk_list(at, query, depth);
        }
        if (next == at)
            break;
        at = next;
    }
    query->target = at;
    if (!at && !query->error)
        printf("    %-7s  -ERR no route for '%s'\n", "answer", query->command->name);
}

static void route_note_leaf(struct route *route, const struct target *leaf)
{
    for (uint32_t i = 0; i < route->leaf_count; i++) {
        if (route->leaves[i] == leaf)
            return;
    }
    if (leaf && route->leaf_count < ROUTE_LEAVES)
        route->leaves[route->leaf_count++] = leaf;
}

static struct query route_query(const struct route *route)
{
    return (struct query){
        .command = route->command,
        .bytes = route->bytes,
        .size = (uint32_t)route->size,
        .argc = route->scan.argc,
        .nkeys = route->keys.count,
    };
}

static void route_key(struct route *route, const struct cluster *cluster, uint32_t index)
{
    struct query query = route_query(route);
    query.nkeys = 1;
    query.key = route->keys.at[index];
    char quoted[ROUTE_QUOTE];
    say("key", tree_quote(query_key(&query), query.key.size, quoted, sizeof quoted));
    walk(cluster->root, &query, 0);
    route_note_leaf(route, query.target);
}

/* Several hosts for one command: taken apart, or refused. */
static void route_conclude(const struct route *route)
{
    char line[ROUTE_LINE];
    if (route->leaf_count < 2)
        return;
    if (split_allows(route->command)) {
        snprintf(line, sizeof line, "taken apart: each of the %u gets its keys, the replies are joined",
                 route->leaf_count);
        say("parts", line);
    } else {
        say("answer", "-CROSSSLOT Keys in request don't hash to the same host");
    }
}

static void route_cluster(struct route *route, const struct cluster *cluster)
{
    printf("  cluster %s\n", cluster->name);
    route->leaf_count = 0;
    for (uint32_t i = 0; i < route->keys.count; i++)
        route_key(route, cluster, i);
    if (!route->keys.count) {
        struct query query = route_query(route);
        say("key", "none");
        walk(cluster->root, &query, 0);
    }
    route_conclude(route);
}

/* ---- the command ---- */

/* Its keys, as the server finds them. */
static bool route_find_keys(struct route *route)
{
    uint32_t fixed = policy_of(route->command)->key;
    if (!fixed)
        return keys_find(route->command, route->bytes, &route->scan, &route->keys) == KEYS_FOUND;
    route->keys.at = realloc(route->keys.at, sizeof *route->keys.at);
    route->keys.count = (uint32_t)resp_args(route->bytes, (uint32_t)route->size, fixed, 1, route->keys.at);
    return true;
}

/* The command of the table, or NULL when there is no such. */
static const struct command *route_find_command(const struct route *route)
{
    struct resp_arg words[2];
    size_t count = resp_args(route->bytes, (uint32_t)route->size, 0, 2, words);
    const struct command *command = command_find(route->bytes + words[0].at, words[0].size);
    if (!command || !(command->flags & COMMAND_CONTAINER) || count < 2)
        return command;
    return command_find_sub(command, route->bytes + words[1].at, words[1].size);
}

static const char *route_class(const struct command *command)
{
    if (command->flags & COMMAND_READONLY)
        return "reads";
    return command->flags & COMMAND_WRITE ? "writes" : "neither reads nor writes keys";
}

/* What needs no router. true: all is said. */
static bool route_without_router(struct route *route)
{
    const struct command *command = route->command;
    if (!command)
        say("answer", "-ERR unknown command or subcommand");
    else if (!command_arity_fits(command, route->scan.argc))
        say("answer", "-ERR wrong number of arguments");
    else if (local_answers(command))
        say("answer", "by Nydus itself");
    else if (local_refusal(command))
        say("refused", local_refusal(command));
    else if (!route_find_keys(route))
        say("answer", route->keys.error ? route->keys.error : "-ERR syntax error");
    else
        return false;
    return true;
}

static void route_run(struct route *route, const struct generation *generation)
{
    route->command = route_find_command(route);
    if (route->command) {
        char line[ROUTE_LINE];
        snprintf(line, sizeof line, "%s, %s", route->command->name, route_class(route->command));
        say("command", line);
    }
    if (route_without_router(route))
        return;
    for (uint32_t i = 0; i < generation->count; i++) {
        const struct cluster *cluster = generation->clusters[i];
        if (generation->count == 1 || config_find(generation_config(generation), cluster->name)->listen_count)
            route_cluster(route, cluster);
    }
}

/* false: the text is no command. An empty line is none, but no mistake. */
static bool route_text(const char *text, const struct generation *generation)
{
    struct route route = {.bytes = NULL};
    printf("%s\n", text);
    if (!resp_inline(text, strlen(text), &route.bytes, &route.size)) {
        say("error", "unbalanced quotes");
        return false;
    }
    bool whole =
        route.size == 0 || resp_scan_request(&route.scan, route.bytes, route.size, UINT32_MAX) == RESP_DONE;
    if (!whole)
        say("error", route.scan.error ? route.scan.error : "this is no command");
    else if (route.size)
        route_run(&route, generation);
    key_list_deinit(&route.keys);
    free(route.bytes);
    return whole;
}

static bool route_stdin(const struct generation *generation)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    bool fine = true;
    while ((length = getline(&line, &room, stdin)) >= 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (*line)
            fine = route_text(line, generation) && fine;
    }
    free(line);
    return fine;
}

int route_command(const char *path, const char *const *commands, size_t count)
{
    char *problems = NULL;
    struct generation *generation = generation_build(NULL, path, NULL, &problems);
    if (!generation) {
        fprintf(stderr, "%s\n", problems);
        free(problems);
        return 1;
    }
    bool fine = true;
    for (size_t i = 0; i < count; i++) {
        bool done = strcmp(commands[i], "-") ? route_text(commands[i], generation) : route_stdin(generation);
        fine = done && fine;
    }
    generation_unref(generation);
    return fine ? 0 : 1;
}
