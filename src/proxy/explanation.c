/* Where a command would go, in words; see explanation.h.
 *
 * The walk is done one node at a time, so that each can be told; what a node
 * decides is asked of the same functions that the server uses. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/explanation.h"

#include "base/memory.h"
#include "proxy/account.h"
#include "proxy/client.h"
#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "proxy/host.h"
#include "proxy/local.h"
#include "proxy/policy.h"
#include "proxy/split.h"
#include "proxy/tree.h"
#include "proxy/undo.h"
#include "resp/keys.h"
#include "resp/writer.h"
#include "route/prefix.h"
#include "route/query.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* STEPS: on one way, LINES: about all that one key takes. */
enum { ROUTE_STEPS = 64, ROUTE_LINES = 1000, ROUTE_LINE = 512, ROUTE_QUOTE = 256, ROUTE_LEAVES = 64 };

/* One command while it is looked at. */
struct route {
    const struct question *question;
    struct resp_request scan;
    const struct command *command;
    struct key_list keys;
    const struct target *leaves[ROUTE_LEAVES]; /* different ones that its keys went to */
    uint32_t leaf_count;
};

/* The way of one key, or of a command without. */
struct walk {
    struct writer *out;
    unsigned depth;  /* lists and actions around the place where it is */
    unsigned *lines; /* told so far, of all depths */
    struct destinations *destinations; /* NULL: it is not the way that counts */
};

static void say(struct writer *out, const char *label, const char *text)
{
    writer_format(out, "    %-7s  %s\n", label, text);
}

static void say_node(const struct walk *walk, const struct target *target)
{
    char line[ROUTE_LINE];
    ++*walk->lines;
    writer_format(walk->out, "    %-7s  %*s%s\n", tree_language(target), (int)walk->depth * 2, "",
                  tree_describe(target, line, sizeof line));
}

/* A line about the node above it. */
static void say_more(const struct walk *walk, const char *text)
{
    ++*walk->lines;
    writer_format(walk->out, "%15s%*s%s\n", "", (int)walk->depth * 2, "", text);
}

static void say_choice(const struct walk *walk, const char *how, const struct target *next)
{
    ++*walk->lines;
    writer_format(walk->out, "%15s%*s%s%s\n", "", (int)walk->depth * 2, "", how,
                  next ? "" : ": there is none");
}

/* ---- one step of the walk ---- */

static const struct target *step_prefix(const struct walk *walk, const struct target *at,
                                        struct query *query)
{
    const struct target *next = NULL;
    if (query->nkeys)
        next = prefix_find(at->prefix.root, query_key(query), query->key.size);
    if (!next) {
        say_choice(walk, query->nkeys ? "no prefix fits: default" : "no key: default", at->prefix.otherwise);
        return at->prefix.otherwise;
    }
    target_note_default(at, next, query);
    char quoted[ROUTE_QUOTE], how[ROUTE_LINE];
    size_t length = prefix_length(at->prefix.root, query_key(query), query->key.size);
    tree_quote(query_key(query), length, quoted, sizeof quoted);
    snprintf(how, sizeof how, "the key begins with %s", quoted);
    say_choice(walk, how, next);
    return next;
}

static const struct target *step_command(const struct walk *walk, const struct target *at,
                                         struct query *query)
{
    const struct command *command = query->command;
    bool reads = command->flags & COMMAND_READONLY;
    const struct target *next = target_command_own(at, command);
    char line[ROUTE_LINE];
    snprintf(line, sizeof line, "as the command %s", command->name);
    if (!next) {
        next = reads ? at->command.read : at->command.write;
        snprintf(line, sizeof line, "as one of the class %s", reads ? "read" : "write");
    }
    if (!next) {
        next = at->command.otherwise;
        snprintf(line, sizeof line, "neither %s nor its class %s is named: default", command->name,
                 reads ? "read" : "write");
    }
    target_note_default(at, next, query);
    say_choice(walk, line, next);
    return next;
}

static const struct target *step_router(const struct walk *walk, const struct target *at,
                                        struct query *query)
{
    char line[ROUTE_LINE];
    if (query->nkeys)
        router_explain(at->router.router, query_key(query), query->key.size, line, sizeof line);
    else
        snprintf(line, sizeof line, "no key: every host");
    say_choice(walk, line, at);
    return target_router_next(at, query);
}

/* What it has returned is the next line, or what its client gets. */
static const struct target *step_function(const struct walk *walk, const struct target *at,
                                          struct query *query)
{
    query->target = at;
    at->set->decide(at->set->context, at, &query, 1);
    const struct target *next = query->target;
    if (!next && !query->error)
        next = target_take_default(at->set, query);
    if (query->target)
        say_more(walk, "it returned");
    else if (!query->error)
        say_more(walk, next ? "it returned nil: the default above" : "it returned nil");
    return next;
}

static const struct target *step_split(const struct walk *walk, const struct target *at,
                                       const struct query *query)
{
    static const char *const by[] = {[SPLIT_RANDOM] = "this time, by chance",
                                     [SPLIT_KEY] = "by the hash of the key",
                                     [SPLIT_CLIENT] = "by the client"};
    char line[ROUTE_LINE];
    uint32_t i = target_split_pick(at, query);
    double begin = i ? at->split.ends[i - 1] : 0;
    snprintf(line, sizeof line, "%s: target %u of %u, which gets %.4g %%", by[at->split.by], i + 1,
             at->split.count, (at->split.ends[i] - begin) * 100);
    say_choice(walk, line, at->split.items[i]);
    return at->split.items[i];
}

static void note_destination(struct destinations *destinations, const struct target *host)
{
    for (uint32_t i = 0; destinations && i < destinations->count; i++)
        if (destinations->hosts[i] == host)
            return;
    if (!destinations)
        return;
    size_t size = (destinations->count + 1) * sizeof *destinations->hosts;
    destinations->hosts = xrealloc(destinations->hosts, size);
    destinations->hosts[destinations->count++] = host;
}

static void step_host(const struct walk *walk, const struct target *at)
{
    const struct host *host = at->host.host;
    char line[ROUTE_LINE];
    note_destination(walk->destinations, at);
    if (!host->down)
        return;
    snprintf(line, sizeof line, "marked down: %s", host_report(host).reason);
    say_more(walk, line);
}

/* NULL: no route. The same target: the walk is over. */
static const struct target *step(const struct walk *walk, const struct target *at, struct query *query)
{
    switch (at->kind) {
    case TARGET_PREFIX:
        return step_prefix(walk, at, query);
    case TARGET_COMMAND:
        return step_command(walk, at, query);
    case TARGET_ROUTER:
        return step_router(walk, at, query);
    case TARGET_FUNCTION:
        return step_function(walk, at, query);
    case TARGET_SPLIT:
        return step_split(walk, at, query);
    case TARGET_CLUSTER:
        return *at->cluster.root;
    case TARGET_ACTION:
        return at->action.action->failed ? at->action.items[0] : at;
    case TARGET_HOST:
        step_host(walk, at);
        break;
    case TARGET_LIST:
    case TARGET_REPLY:
    case TARGET_KINDS:
        break;
    }
    return at;
}

/* ---- the whole walk ---- */

static void walk_on(const struct walk *walk, const struct target *at, struct query *query);

/* What is below a list or an action, one by one. */
struct below {
    struct walk walk;
    const struct target *above;
    const struct query *query;
};

static bool walk_one(void *context, const struct target *target, const struct target_way *way)
{
    struct below *below = context;
    struct query query = *below->query;
    if (*below->walk.lines >= ROUTE_LINES)
        return true;
    if (below->above->kind != TARGET_LIST || target->kind != TARGET_HOST)
        writer_format(below->walk.out, "%15s%*s%.*s:\n", "", (int)below->walk.depth * 2 - 2, "",
                      (int)way->size, way->text);
    walk_on(&below->walk, target, &query);
    if (below->above->kind == TARGET_ACTION)
        below->walk.destinations = NULL;
    return false;
}

static const char *list_words(const struct query *query, const struct target *list)
{
    if (dispatch_walks(query, list))
        return "one of them at a time";
    return dispatch_joins(query, list) || list->list.reply != LIST_ARRAY
               ? "the replies are joined into one"
               : "the client gets an array of the replies";
}

static void walk_below(const struct walk *walk, const struct target *at, const struct query *query)
{
    struct below below = {.walk = *walk, .above = at, .query = query};
    below.walk.depth++;
    if (at->kind == TARGET_LIST)
        say_more(walk, list_words(query, at));
    if ((at->kind == TARGET_LIST || at->kind == TARGET_ACTION) && target_each(at, walk_one, &below))
        say_more(walk, "and others");
}

static void passed_badly(struct request *request, const struct reply *reply)
{
    char line[ROUTE_LINE];
    snprintf(line, sizeof line, "%.*s", (int)strcspn(reply->bytes, "\r"), reply->bytes);
    say_more(request->context, line);
}

/* Goes on with the command as an action leaves it. */
static void walk_past(const struct walk *walk, const struct target *at, const struct query *query)
{
    char quoted[ROUTE_QUOTE], line[ROUTE_LINE];
    struct walk noted = *walk;
    struct request request = {.query = *query, .done = passed_badly, .context = &noted};
    request.query.target = at;
    if (at->action.action->pass(&request)) {
        tree_quote(query_key(&request.query), request.query.key.size, quoted, sizeof quoted);
        snprintf(line, sizeof line, "the key becomes %s", quoted);
        if (query->nkeys)
            say_more(walk, line);
        walk_below(walk, at, &request.query);
    }
    undo_drop(request.undo);
    free(request.memory);
}

static void walk_on(const struct walk *walk, const struct target *at, struct query *query)
{
    for (unsigned steps = walk->depth; at; steps++) {
        if (steps == ROUTE_STEPS) {
            query->error = "ERR router: the way does not end";
            at = NULL;
            break;
        }
        say_node(walk, at);
        const struct target *next = step(walk, at, query);
        if (next == at) {
            bool changes = at->kind == TARGET_ACTION && at->action.action->pure;
            (changes ? walk_past : walk_below)(walk, at, query);
            break;
        }
        at = next;
    }
    query->target = at;
    if (!at && query->error)
        writer_format(walk->out, "    %-7s  -%s\n", "answer", query->error);
    else if (!at)
        writer_format(walk->out, "    %-7s  -ERR no route for '%s'\n", "answer", query->command->name);
}

/* The whole way from the root. */
static void walk_from(struct writer *out, const struct target *root, struct query *query,
                      struct destinations *destinations)
{
    unsigned lines = 0;
    const struct walk walk = {.out = out, .lines = &lines, .destinations = destinations};
    walk_on(&walk, root, query);
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
        .bytes = route->question->bytes,
        .size = (uint32_t)route->question->size,
        .argc = route->scan.argc,
        .client = route->question->client,
        .db = route->question->client ? route->question->client->db : 0,
        .nkeys = route->keys.count,
    };
}

static void route_key(struct writer *out, struct route *route, const struct cluster *cluster, uint32_t index)
{
    struct query query = route_query(route);
    query.nkeys = 1;
    query.key = route->keys.at[index];
    char quoted[ROUTE_QUOTE];
    say(out, "key", tree_quote(query_key(&query), query.key.size, quoted, sizeof quoted));
    walk_from(out, cluster->root, &query, route->question->destinations);
    route_note_leaf(route, query.target);
}

/* What of several leaves answers for the whole, as in split.c: an error that the router gives. */
static const struct target *route_refusal(const struct route *route)
{
    for (uint32_t i = 0; i < route->leaf_count; i++) {
        const struct target *leaf = route->leaves[i];
        if (leaf->kind == TARGET_REPLY && leaf->reply.size && leaf->reply.bytes[0] == '-')
            return leaf;
    }
    return NULL;
}

static bool route_joins(const struct route *route)
{
    for (uint32_t i = 0; i < route->leaf_count; i++) {
        const struct target *leaf = route->leaves[i];
        if (leaf->kind == TARGET_REPLY || (leaf->kind == TARGET_LIST && !split_fits(leaf)))
            return false;
    }
    return split_allows(route->command);
}

/* Several hosts for one command: taken apart, or refused. */
static void route_conclude(struct writer *out, const struct route *route)
{
    char line[ROUTE_LINE];
    if (route->leaf_count < 2)
        return;
    const struct target *refusal = route_refusal(route);
    if (!refusal && route_joins(route)) {
        snprintf(line, sizeof line, "taken apart: each of the %u gets its keys, the replies are joined",
                 route->leaf_count);
        say(out, "parts", line);
    } else {
        char quoted[ROUTE_QUOTE];
        say(out, "answer",
            refusal ? tree_quote(refusal->reply.bytes, refusal->reply.size, quoted, sizeof quoted)
                    : "-CROSSSLOT Keys in request don't hash to the same host");
        if (route->question->destinations)
            route->question->destinations->count = 0;
    }
}

static void route_cluster(struct writer *out, struct route *route, const struct cluster *cluster)
{
    writer_format(out, "  cluster %s\n", cluster->name);
    if (cluster->accounts && command_set_has(&cluster->accounts->denied, route->command)) {
        say(out, "refused", "to everybody, by `deny` in the configuration");
        return;
    }
    route->leaf_count = 0;
    for (uint32_t i = 0; i < route->keys.count; i++)
        route_key(out, route, cluster, i);
    if (!route->keys.count) {
        struct query query = route_query(route);
        say(out, "key", "none");
        walk_from(out, cluster->root, &query, route->question->destinations);
    }
    route_conclude(out, route);
}

/* ---- the command ---- */

/* Its keys, as the server finds them. */
static bool route_find_keys(struct route *route)
{
    uint32_t fixed = policy_of(route->command)->key;
    if (!fixed)
        return keys_find(route->command, route->question->bytes, &route->scan, &route->keys) == KEYS_FOUND;
    route->keys.at = realloc(route->keys.at, sizeof *route->keys.at);
    route->keys.count = (uint32_t)resp_args(route->question->bytes, (uint32_t)route->question->size, fixed, 1,
                                            route->keys.at);
    return true;
}

/* The command of the table, or NULL when there is no such. */
static const struct command *route_find_command(const struct route *route)
{
    struct resp_arg words[2];
    size_t count = resp_args(route->question->bytes, (uint32_t)route->question->size, 0, 2, words);
    const struct command *command = command_find(route->question->bytes + words[0].at, words[0].size);
    if (!command || !(command->flags & COMMAND_CONTAINER) || count < 2)
        return command;
    return command_find_sub(command, route->question->bytes + words[1].at, words[1].size);
}

static const char *route_class(const struct command *command)
{
    if (command->flags & COMMAND_READONLY)
        return "reads";
    return command->flags & COMMAND_WRITE ? "writes" : "neither reads nor writes keys";
}

/* What needs no router. true: all is said. */
static bool route_without_router(struct writer *out, struct route *route)
{
    const struct command *command = route->command;
    if (!command)
        say(out, "answer", "-ERR unknown command or subcommand");
    else if (!command_arity_fits(command, route->scan.argc))
        say(out, "answer", "-ERR wrong number of arguments");
    else if (local_answers(command))
        say(out, "answer", "by Nydus itself");
    else if (local_refusal(command))
        say(out, "refused", local_refusal(command));
    else if (!route_find_keys(route))
        say(out, "answer", route->keys.error ? route->keys.error : "-ERR syntax error");
    else
        return false;
    return true;
}

static void route_run(struct writer *out, struct route *route)
{
    target_draw++;
    const struct question *question = route->question;
    route->command = route_find_command(route);
    if (route->command) {
        char line[ROUTE_LINE];
        snprintf(line, sizeof line, "%s, %s", route->command->name, route_class(route->command));
        say(out, "command", line);
    }
    if (route_without_router(out, route))
        return;
    for (uint32_t i = 0; i < question->cluster_count; i++)
        route_cluster(out, route, question->clusters[i]);
}

bool explanation_write(struct writer *out, const struct question *question)
{
    struct route route = {.question = question};
    if (resp_scan_request(&route.scan, question->bytes, question->size, UINT32_MAX) != RESP_DONE) {
        say(out, "error", route.scan.error ? route.scan.error : "this is no command");
        return false;
    }
    route_run(out, &route);
    key_list_deinit(&route.keys);
    return true;
}
