/* The tree of targets; see target.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "route/target.h"

#include "base/hash.h"
#include "base/memory.h"
#include "route/prefix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A walk through more nodes than WALK_MAX is taken for a cycle. BUNDLE_MAX keys are hashed at once. */
enum { WALK_MAX = 64, BUNDLE_MAX = 64 };

struct target_set *target_set_create(void)
{
    return xcalloc(1, sizeof(struct target_set));
}

static void target_destroy(struct target *target)
{
    switch (target->kind) {
    case TARGET_ROUTER:
        router_destroy(target->router.router);
        free(target->router.hosts);
        free(target->router.groups);
        free(target->router.ends);
        break;
    case TARGET_LIST:
        free(target->list.items);
        break;
    case TARGET_REPLY:
        free(target->reply.bytes);
        break;
    case TARGET_SPLIT:
        free(target->split.items);
        free(target->split.ends);
        break;
    case TARGET_ACTION:
        free(target->action.items);
        if (target->action.action->destroy)
            target->action.action->destroy(target->action.state);
        else
            free(target->action.state);
        break;
    case TARGET_PREFIX:
        prefix_destroy(target->prefix.root);
        break;
    case TARGET_COMMAND:
        free(target->command.by_id);
        for (uint32_t i = 0; i < target->command.name_count; i++)
            free(target->command.names[i].name);
        free(target->command.names);
        break;
    case TARGET_FUNCTION:
        free(target->function.name);
        break;
    case TARGET_HOST:
    case TARGET_CLUSTER:
    case TARGET_KINDS:
        break;
    }
    free(target);
}

void target_set_destroy(struct target_set *set)
{
    if (!set)
        return;
    for (uint32_t i = 0; i < set->count; i++)
        target_destroy(set->targets[i]);
    free(set->targets);
    free(set->left);
    free(set->defaults);
    free(set->watchers);
    free(set);
}

void target_set_leave(struct target_set *set, uint64_t client)
{
    if (set->left_count == set->left_room) {
        set->left_room = set->left_room ? set->left_room * 2 : 16;
        set->left = xrealloc(set->left, set->left_room * sizeof *set->left);
    }
    set->left[set->left_count++] = client;
}

static struct target *target_create(struct target_set *set, enum target_kind kind)
{
    if (set->count == set->room) {
        set->room = set->room ? set->room * 2 : 16;
        set->targets = xrealloc(set->targets, set->room * sizeof *set->targets);
    }
    struct target *target = xcalloc(1, sizeof *target);
    target->kind = kind;
    target->id = set->count;
    target->set = set;
    set->targets[set->count++] = target;
    return target;
}

static struct target **copy_targets(struct target **items, uint32_t count)
{
    struct target **copy = xmalloc((count + 1) * sizeof *copy);
    if (count)
        memcpy(copy, items, count * sizeof *copy);
    return copy;
}

struct target *target_host(struct target_set *set, struct host *host, const char *name)
{
    struct target *target = target_create(set, TARGET_HOST);
    target->host.host = host;
    target->host.name = name;
    return target;
}

struct target *target_list(struct target_set *set, struct target **items, uint32_t count)
{
    struct target *target = target_create(set, TARGET_LIST);
    target->list.items = copy_targets(items, count);
    target->list.count = count;
    return target;
}

/* The list of hosts that share an identifier, made once for all of them. */
static void target_router_groups(struct target *target)
{
    uint32_t count = target->router.count;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t *group;
        size_t size = router_group(target->router.router, (int)i, &group);
        if (size < 2 || group[0] != i)
            continue;
        struct target **items = xmalloc(size * sizeof *items);
        for (size_t k = 0; k < size; k++)
            items[k] = target->router.hosts[group[k]];
        struct target *list = target_list(target->set, items, (uint32_t)size);
        free(items);
        for (size_t k = 0; k < size; k++)
            target->router.groups[group[k]] = list;
    }
}

struct target *target_router(struct target_set *set, struct router *router, struct target **hosts, bool eject)
{
    uint32_t count = (uint32_t)router_size(router);
    struct target *target = target_create(set, TARGET_ROUTER);
    target->router.router = router;
    target->router.eject = eject;
    target->router.count = count;
    target->router.hosts = copy_targets(hosts, count);
    target->router.groups = xcalloc(count, sizeof *target->router.groups);
    target->router.all = count == 1 ? hosts[0] : target_list(set, hosts, count);
    if (router_kind_hashes(router_options_of(router)->kind))
        target_router_groups(target);
    return target;
}

void target_router_end(struct target *router, uint32_t index, struct target *end)
{
    if (!router->router.ends)
        router->router.ends = xcalloc(router->router.count, sizeof(struct target *));
    router->router.ends[index] = end;
}

struct target *target_reply(struct target_set *set, const char *bytes, size_t size)
{
    struct target *target = target_create(set, TARGET_REPLY);
    target->reply.bytes = xmalloc(size + 1);
    memcpy(target->reply.bytes, bytes, size);
    target->reply.size = size;
    return target;
}

struct target *target_prefix(struct target_set *set, struct target *otherwise)
{
    struct target *target = target_create(set, TARGET_PREFIX);
    target->prefix.root = prefix_create();
    target->prefix.otherwise = otherwise;
    return target;
}

bool target_prefix_add(struct target *prefix, const char *text, size_t size, struct target *next)
{
    return prefix_add(prefix->prefix.root, text, size, next);
}

struct target *target_command(struct target_set *set)
{
    struct target *target = target_create(set, TARGET_COMMAND);
    target->command.by_id = xcalloc(command_count(), sizeof *target->command.by_id);
    return target;
}

bool target_command_add(struct target *command, const char *name, struct target *next)
{
    if (!strcasecmp(name, "read"))
        command->command.read = next;
    else if (!strcasecmp(name, "write"))
        command->command.write = next;
    else if (!strcasecmp(name, "default"))
        command->command.otherwise = next;
    else {
        size_t size = strcspn(name, "|");
        const struct command *row = command_find(name, size);
        if (row && name[size])
            row = command_find_sub(row, name + size + 1, strlen(name + size + 1));
        if (!row)
            return false;
        command->command.by_id[row->id] = next;
    }
    return true;
}

void target_command_add_learned(struct target *command, const char *name, struct target *next)
{
    uint32_t place = command->command.name_count++;
    size_t size = command->command.name_count * sizeof *command->command.names;
    command->command.names = xrealloc(command->command.names, size);
    command->command.names[place] = (struct target_name){.name = xstrdup(name), .next = next};
}

struct target *target_cluster(struct target_set *set, struct target *const *root, const char *name)
{
    struct target *target = target_create(set, TARGET_CLUSTER);
    target->cluster.root = root;
    target->cluster.name = name;
    return target;
}

struct target *target_function(struct target_set *set, int ref, const char *name)
{
    struct target *target = target_create(set, TARGET_FUNCTION);
    target->function.ref = ref;
    target->function.name = xstrdup(name);
    set->functions++;
    return target;
}

struct target *target_split(struct target_set *set, struct target **items, const double *weights,
                            uint32_t count, enum split_by by)
{
    struct target *target = target_create(set, TARGET_SPLIT);
    double sum = 0, so_far = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += weights[i];
    target->split.items = copy_targets(items, count);
    target->split.ends = xmalloc(count * sizeof *target->split.ends);
    for (uint32_t i = 0; i < count; i++)
        target->split.ends[i] = (so_far += weights[i]) / sum;
    target->split.count = count;
    target->split.by = by;
    return target;
}

struct target *target_action(struct target_set *set, const struct action *action, struct target **items,
                             uint32_t count, void *state)
{
    struct target *target = target_create(set, TARGET_ACTION);
    target->action.action = action;
    target->action.items = copy_targets(items, count);
    target->action.count = count;
    target->action.state = state;
    set->passes |= action->pass != NULL;
    if ((action->failed || action->divide) && set->watcher_count < UINT16_MAX) {
        target->place = ++set->watcher_count;
        set->watchers = xrealloc(set->watchers, (set->watcher_count + 1u) * sizeof *set->watchers);
        set->watchers[target->place] = target;
    }
    return target;
}

/* ---- defaults ---- */

/* DEFAULTS_MAX: ways to walk into nodes that have a default; functions can make ever more. */
enum { DEFAULTS_MAX = 4096 };

static const struct target *default_of(const struct target *node)
{
    return node->kind == TARGET_PREFIX ? node->prefix.otherwise : node->command.otherwise;
}

static uint16_t default_add(const struct target *node, uint16_t outer)
{
    struct target_set *set = node->set;
    if (set->default_count == DEFAULTS_MAX)
        return node->place ? node->place : outer;
    if (!set->default_count)
        set->defaults = xcalloc(DEFAULTS_MAX + 1, sizeof *set->defaults);
    uint16_t place = ++set->default_count;
    struct target *own = set->targets[node->id];
    set->defaults[place] = (struct target_default){.node = node, .outer = outer, .next = own->place};
    own->place = place;
    return place;
}

void target_note_default(const struct target *node, const struct target *next, struct query *query)
{
    const struct target_set *set = node->set;
    const struct target *otherwise = default_of(node);
    if (!set->functions || !otherwise || next == otherwise)
        return;
    uint16_t place = node->place;
    while (place && set->defaults[place].outer != query->otherwise)
        place = set->defaults[place].next;
    query->otherwise = place ? place : default_add(node, query->otherwise);
}

const struct target *target_take_default(const struct target_set *set, struct query *query)
{
    if (!query->otherwise)
        return NULL;
    const struct target_default *taken = &set->defaults[query->otherwise];
    query->otherwise = taken->outer;
    return default_of(taken->node);
}

/* ---- commands ---- */

static const struct target *named(const struct target *at, const char *name, size_t size)
{
    for (uint32_t i = 0; i < at->command.name_count; i++) {
        const struct target_name *own = &at->command.names[i];
        if (strlen(own->name) == size && !strncasecmp(own->name, name, size))
            return own->next;
    }
    return NULL;
}

/* What is not in the table by its number is there by its name, or its container's. */
static const struct target *command_named(const struct target *at, const struct command *command)
{
    size_t size = strcspn(command->name, "|");
    const struct command *container = command_find(command->name, size);
    const struct target *next = named(at, command->name, strlen(command->name));
    if (!next && container)
        next = at->command.by_id[container->id];
    return next ? next : named(at, command->name, size);
}

const struct target *target_command_own(const struct target *at, const struct command *command)
{
    const struct target *next = command_is_learned(command) ? NULL : at->command.by_id[command->id];
    if (!next && (command->flags & COMMAND_SUBCOMMAND || command_is_learned(command)))
        next = command_named(at, command);
    return next;
}

/* Unknown class counts as write: what is not known to only read may change something. */
static const struct target *command_next(const struct target *at, const struct query *query)
{
    const struct target *next = target_command_own(at, query->command);
    if (!next)
        next = query_reads(query) ? at->command.read : at->command.write;
    return next ? next : at->command.otherwise;
}

static const struct target *prefix_next(const struct target *at, const struct query *query)
{
    const struct target *next = NULL;
    if (query->nkeys)
        next = prefix_find(at->prefix.root, query_key(query), query->key.size);
    return next ? next : at->prefix.otherwise;
}

/* Where the router leads what it has picked a host for. */
static inline const struct target *router_leaf(const struct target *at, int index)
{
    if (index == ROUTER_NONE)
        return at;
    if (at->router.ends && at->router.ends[index])
        return at->router.ends[index];
    return at->router.groups[index] ? at->router.groups[index] : at->router.hosts[index];
}

/* In the walk itself: 20 instructions less. */
static inline const struct target *router_next(const struct target *at, struct query *query)
{
    query->router = at;
    if (!query->nkeys)
        return at->router.all;
    return router_leaf(at, router_pick(at->router.router, query_key(query), query->key.size));
}

const struct target *target_router_next(const struct target *at, struct query *query)
{
    return router_next(at, query);
}

/* ---- split ---- */

uint64_t target_draw;

/* By the part of the key that is hashed in Redis Cluster: keys that belong together stay so. */
static uint64_t split_key(const struct query *query)
{
    const char *key = query_key(query);
    size_t size = query->key.size;
    router_cut_key("{}", &key, &size);
    return hash_function_find(HASH_XXH64, HASH_PLAIN)(key, size);
}

/* 64 bits that decide. A command without a key, or a client, is the first item's. */
static uint64_t split_bits(const struct target *at, const struct query *query)
{
    switch (at->split.by) {
    case SPLIT_KEY:
        return query->nkeys ? split_key(query) : 0;
    case SPLIT_CLIENT:
        return query->client ? hash_mix(at->set->client_id(query->client)) : 0;
    case SPLIT_RANDOM:
    default:
        return hash_mix(target_draw + (uintptr_t)query->bytes * 0x9e3779b97f4a7c15u);
    }
}

uint32_t target_split_pick(const struct target *at, const struct query *query)
{
    double place = (double)(split_bits(at, query) >> 11) * 0x1p-53; /* 0 … 1 */
    uint32_t i = 0;
    while (i + 1 < at->split.count && place >= at->split.ends[i])
        i++;
    return i;
}

/* ---- the walk ---- */

/* Queries that stand at routers, in query->target, until their keys are hashed together: of the 2,240 user
 * instructions of a GET in pipelines of 16 that saves 435 (with AVX2). */
struct bundle {
    struct query *queries[BUNDLE_MAX];
    struct hash_text texts[BUNDLE_MAX];
    uint32_t count;
};

static inline bool bundle_add(struct bundle *bundle, const struct target *at, struct query *query)
{
    struct hash_text *text = &bundle->texts[bundle->count];
    if (!query->nkeys || !router_text(at->router.router, query_key(query), query->key.size, text))
        return false;
    query->router = query->target = at;
    bundle->queries[bundle->count++] = query;
    return true;
}

/* bundle: where a query may stop whose key can be hashed with others'; NULL: it may not. */
static inline __attribute__((always_inline)) void walk(struct query *query, struct bundle *bundle)
{
    const struct target *at = query->target;
    for (int step = 0; at && step < WALK_MAX; step++) {
        const struct target *next;
        switch (at->kind) {
        case TARGET_ROUTER:
            if (bundle && bundle_add(bundle, at, query))
                return;
            next = router_next(at, query);
            if (at->router.ends && next != at)
                break;
            query->target = next;
            return;
        case TARGET_PREFIX:
            next = prefix_next(at, query);
            target_note_default(at, next, query);
            break;
        case TARGET_COMMAND:
            next = command_next(at, query);
            target_note_default(at, next, query);
            break;
        case TARGET_SPLIT:
            next = at->split.items[target_split_pick(at, query)];
            break;
        case TARGET_CLUSTER:
            next = *at->cluster.root;
            break;
        case TARGET_ACTION:
            query->target = at;
            if (!at->action.action->failed)
                return;
            query->watcher = at->place;
            next = at->action.items[0];
            break;
        case TARGET_HOST:
        case TARGET_LIST:
        case TARGET_REPLY:
        case TARGET_FUNCTION:
        default:
            query->target = at;
            return;
        }
        at = next;
    }
    if (at)
        query->error = "ERR router: the targets form a cycle";
    query->target = NULL;
}

void target_walk(struct query *query)
{
    walk(query, NULL);
}

static void bundle_pick(struct bundle *bundle)
{
    uint32_t hashes[BUNDLE_MAX];
    hash_md5_many(bundle->texts, bundle->count, hashes);
    for (uint32_t i = 0; i < bundle->count; i++) {
        struct query *query = bundle->queries[i];
        const struct target *at = query->target;
        query->target = router_leaf(at, router_pick_hash(at->router.router, hashes[i]));
        if (at->router.ends)
            target_walk(query);
    }
    bundle->count = 0;
}

void target_walk_many(struct query **queries, size_t count)
{
    struct bundle bundle;
    if (count == 1) {
        target_walk(queries[0]);
        return;
    }
    bundle.count = 0;
    for (size_t i = 0; i < count; i++) {
        walk(queries[i], &bundle);
        if (bundle.count == BUNDLE_MAX)
            bundle_pick(&bundle);
    }
    bundle_pick(&bundle);
}

/* At most BUNDLE_MAX keys of one router. */
static void pick_keys(const struct target *at, const char *bytes, const struct resp_arg *keys, uint32_t count,
                      const struct target **leaves)
{
    struct router *router = at->router.router;
    struct hash_text texts[BUNDLE_MAX];
    uint32_t hashes[BUNDLE_MAX];
    int hosts[BUNDLE_MAX];
    if (router_texts(router, bytes, keys, count, texts)) {
        hash_md5_many(texts, count, hashes);
        router_pick_hashes(router, hashes, count, hosts);
    } else {
        for (uint32_t i = 0; i < count; i++)
            hosts[i] = router_pick(router, bytes + keys[i].at, keys[i].size);
    }
    struct target *const *groups = at->router.groups, *const *own = at->router.hosts;
    for (uint32_t i = 0; i < count; i++) { /* router_leaf, where no host has an end */
        const struct target *group = hosts[i] == ROUTER_NONE ? at : groups[hosts[i]];
        leaves[i] = group ? group : own[hosts[i]];
    }
}

const struct target *target_walk_keys(const struct query *query, const struct resp_arg *keys, uint32_t count,
                                      const struct target **leaves)
{
    const struct target *at = query->target;
    for (int step = 0; step < WALK_MAX && at && at->kind == TARGET_CLUSTER; step++)
        at = *at->cluster.root;
    if (!at || at->kind != TARGET_ROUTER || at->router.ends)
        return NULL;
    for (uint32_t i = 0; i < count; i += BUNDLE_MAX) {
        uint32_t here = count - i < BUNDLE_MAX ? count - i : BUNDLE_MAX;
        pick_keys(at, query->bytes, keys + i, here, leaves + i);
    }
    return at;
}

/* ---- what is below a target ---- */

/* A walk over all below one target. */
struct visit {
    target_visit *visit;
    void *context;
    char prefix[256]; /* the bytes on the way down a trie */
};

static bool visit_one(const struct visit *visit, const struct target *below, const char *label)
{
    const struct target_way way = {.text = label, .size = strlen(label)};
    return below && visit->visit(visit->context, below, &way);
}

/* labels NULL: 1, 2 … */
static bool visit_items(const struct visit *visit, struct target *const *items, uint32_t count,
                        const char *const *labels)
{
    char number[16];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(number, sizeof number, "%u", i + 1);
        if (visit_one(visit, items[i], labels ? labels[i] : number))
            return true;
    }
    return false;
}

static bool visit_split(const struct visit *visit, const struct target *target)
{
    char share[16];
    for (uint32_t i = 0; i < target->split.count; i++) {
        double begin = i ? target->split.ends[i - 1] : 0;
        snprintf(share, sizeof share, "%.4g %%", (target->split.ends[i] - begin) * 100);
        if (visit_one(visit, target->split.items[i], share))
            return true;
    }
    return false;
}

static bool visit_ends(const struct visit *visit, const struct target *target)
{
    for (uint32_t i = 0; target->router.ends && i < target->router.count; i++)
        if (visit_one(visit, target->router.ends[i], target->router.hosts[i]->host.name))
            return true;
    return false;
}

static bool visit_prefixes(struct visit *visit, const struct prefix_node *node, size_t length)
{
    const struct target_way way = {.text = visit->prefix, .size = length, .is_prefix = true};
    if (node->value && visit->visit(visit->context, node->value, &way))
        return true;
    for (uint32_t i = 0; i < node->count; i++) {
        if (length < sizeof visit->prefix)
            visit->prefix[length] = (char)node->bytes[i];
        if (visit_prefixes(visit, node->children[i], length + (length < sizeof visit->prefix)))
            return true;
    }
    return false;
}

static bool visit_commands(const struct visit *visit, const struct target *target)
{
    for (size_t id = 0; id < command_count(); id++)
        if (visit_one(visit, target->command.by_id[id], command_row(id)->name))
            return true;
    for (uint32_t i = 0; i < target->command.name_count; i++)
        if (visit_one(visit, target->command.names[i].next, target->command.names[i].name))
            return true;
    return visit_one(visit, target->command.read, "read") ||
           visit_one(visit, target->command.write, "write") ||
           visit_one(visit, target->command.otherwise, "default");
}

bool target_each(const struct target *target, target_visit *on_each, void *context)
{
    struct visit visit = {.visit = on_each, .context = context};
    switch (target->kind) {
    case TARGET_LIST:
        return visit_items(&visit, target->list.items, target->list.count, NULL);
    case TARGET_SPLIT:
        return visit_split(&visit, target);
    case TARGET_ACTION:
        return visit_items(&visit, target->action.items, target->action.count,
                           target->action.action->labels);
    case TARGET_CLUSTER:
        return visit_one(&visit, *target->cluster.root, target->cluster.name);
    case TARGET_PREFIX:
        return visit_prefixes(&visit, target->prefix.root, 0) ||
               visit_one(&visit, target->prefix.otherwise, "default");
    case TARGET_COMMAND:
        return visit_commands(&visit, target);
    case TARGET_ROUTER: /* its hosts are chosen among, and end the walk where nothing stands for them */
        return visit_ends(&visit, target);
    case TARGET_HOST:
    case TARGET_REPLY:
    case TARGET_FUNCTION:
    case TARGET_KINDS:
    default:
        return false;
    }
}

/* ---- cycles ---- */

/* Depth-first, with a colour per target: 1 on the path, 2 known to be clean. */
struct cycle_search {
    uint8_t *colour;
    const struct target *found;
};

static bool find_cycle(void *context, const struct target *at, const struct target_way *way)
{
    (void)way;
    struct cycle_search *search = context;
    if (search->colour[at->id] == 1)
        search->found = at;
    if (search->colour[at->id])
        return search->found;
    search->colour[at->id] = 1;
    target_each(at, find_cycle, search);
    search->colour[at->id] = 2;
    return search->found;
}

const struct target *target_find_cycle(const struct target *root)
{
    struct cycle_search search = {.colour = xcalloc(root->set->count, 1)};
    find_cycle(&search, root, NULL);
    free(search.colour);
    return search.found;
}

/* ---- names ---- */

const char *target_kind_name(enum target_kind kind)
{
    static const char *const names[TARGET_KINDS] = {
        [TARGET_HOST] = "host",       [TARGET_ROUTER] = "router",     [TARGET_LIST] = "list",
        [TARGET_REPLY] = "reply",     [TARGET_PREFIX] = "prefix",     [TARGET_COMMAND] = "command",
        [TARGET_SPLIT] = "split",     [TARGET_CLUSTER] = "cluster",   [TARGET_FUNCTION] = "function",
        [TARGET_ACTION] = "action",
    };
    return names[kind];
}

static const char *const list_reply_names[LIST_REPLIES] = {
    [LIST_ARRAY] = "array",
    [LIST_SUM] = "sum",
    [LIST_MIN] = "min",
    [LIST_MAX] = "max",
    [LIST_ALL_SUCCEEDED] = "all_succeeded",
    [LIST_ONE_SUCCEEDED] = "one_succeeded",
    [LIST_AND] = "and",
    [LIST_OR] = "or",
    [LIST_MERGE] = "merge",
    [LIST_FIRST] = "first",
    [LIST_QUORUM] = "quorum",
};

const char *list_reply_name(enum list_reply reply)
{
    return list_reply_names[reply];
}

bool list_reply_parse(const char *name, enum list_reply *reply)
{
    for (int i = 0; i < LIST_REPLIES; i++) {
        if (!strcmp(list_reply_names[i], name)) {
            *reply = (enum list_reply)i;
            return true;
        }
    }
    return false;
}
