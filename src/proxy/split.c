/* Routing key by key; see split.h. Linear in the number of keys. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/split.h"

#include "base/memory.h"
#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "proxy/join.h"
#include "resp/keys.h"

#include <stdlib.h>
#include <string.h>

enum { ROUTE_AT_ONCE = 128 };

/* One key and where it goes. */
struct placed_key {
    const struct target *leaf;
    const struct target *router;
    uint32_t part;
    uint16_t otherwise, watcher;
};

/* A part while it is counted and written. */
struct part_plan {
    const struct target *leaf, *router;
    uint16_t otherwise, watcher;
    uint32_t keys;
    uint32_t argc;
    size_t size; /* bytes of its keys and what belongs to them */
    char *out;   /* where the next argument goes */
    char *memory;
};

struct split {
    struct request *request;
    struct key_list keys;
    struct placed_key *placed;
    struct part_plan *parts;
    uint32_t part_count;
};

static void split_deinit(struct split *split)
{
    key_list_deinit(&split->keys);
    free(split->placed);
    free(split->parts);
}

static bool split_find_keys(struct split *split)
{
    const struct query *query = &split->request->query;
    struct resp_request scan = {0};
    resp_scan_request(&scan, query->bytes, query->size, UINT32_MAX);
    return keys_find(query->command, query->bytes, &scan, &split->keys) == KEYS_FOUND;
}

static void fail_no_route(struct request *request, const struct query *query)
{
    request->query.error = query->error;
    request->query.router = query->router;
    request->query.target = query->target;
    dispatch_leaf(request);
}

static bool is_leaf(const struct target *target)
{
    return target && (target->kind == TARGET_HOST || target->kind == TARGET_LIST ||
                      target->kind == TARGET_REPLY || target->kind == TARGET_ACTION);
}

/* Routes keys first .. first+count-1. false: one has no route, the request has been failed. */
static bool split_route_some(struct split *split, const struct target *from, uint32_t first, uint32_t count)
{
    struct query queries[ROUTE_AT_ONCE], *pointers[ROUTE_AT_ONCE];
    for (uint32_t i = 0; i < count; i++) {
        queries[i] = split->request->query;
        queries[i].key = split->keys.at[first + i];
        queries[i].nkeys = 1;
        queries[i].target = from;
        queries[i].router = NULL;
        queries[i].error = NULL;
        pointers[i] = &queries[i];
    }
    dispatch_route(pointers, count);
    for (uint32_t i = 0; i < count; i++) {
        if (!is_leaf(queries[i].target)) {
            fail_no_route(split->request, &queries[i]);
            return false;
        }
        split->placed[first + i] = (struct placed_key){.leaf = queries[i].target,
                                                       .router = queries[i].router,
                                                       .otherwise = queries[i].otherwise,
                                                       .watcher = queries[i].watcher};
    }
    return true;
}

static bool split_route(struct split *split, const struct target *from)
{
    split->placed = xcalloc(split->keys.count, sizeof *split->placed);
    for (uint32_t first = 0; first < split->keys.count; first += ROUTE_AT_ONCE) {
        uint32_t left = split->keys.count - first;
        if (!split_route_some(split, from, first, left < ROUTE_AT_ONCE ? left : ROUTE_AT_ONCE))
            return false;
    }
    return true;
}

static bool is_same_reply(const struct target *a, const struct target *b)
{
    return a->reply.size == b->reply.size && memcmp(a->reply.bytes, b->reply.bytes, a->reply.size) == 0;
}

/* The number of the part that goes to this leaf, from 1; 0: there is none yet. A reply that was made for
 * this key alone is in no set: it is that of the last part, or another. */
static uint32_t part_find(const struct split *split, const struct target *leaf, const uint32_t *part_of)
{
    if (leaf->set)
        return part_of[leaf->id];
    const struct target *last = split->part_count ? split->parts[split->part_count - 1].leaf : NULL;
    return last && !last->set && is_same_reply(last, leaf) ? split->part_count : 0;
}

/* Numbers the parts in order of their first keys. */
static void split_plan(struct split *split)
{
    const struct target_set *set = split->request->cluster->generation->set;
    uint32_t *part_of = xcalloc(set->count, sizeof *part_of); /* by target id; 0: none yet */
    uint32_t room = set->count;
    for (uint32_t i = 0; i < split->keys.count; i++)
        room += !split->placed[i].leaf->set;
    split->parts = xcalloc(room < split->keys.count ? room : split->keys.count, sizeof *split->parts);
    for (uint32_t i = 0; i < split->keys.count; i++) {
        struct placed_key *key = &split->placed[i];
        uint32_t number = part_find(split, key->leaf, part_of);
        if (!number) {
            number = ++split->part_count;
            split->parts[number - 1] = (struct part_plan){.leaf = key->leaf,
                                                          .router = key->router,
                                                          .otherwise = key->otherwise,
                                                          .watcher = key->watcher};
            if (key->leaf->set)
                part_of[key->leaf->id] = number;
        }
        key->part = number - 1;
        split->parts[key->part].keys++;
    }
    free(part_of);
}

/* A minimum over hosts (MSETNX) comes too late: by then the others have done their part. */
bool split_allows(const struct command *command)
{
    if (command->request_policy != REQUEST_MULTI_SHARD || !command->simple_keys || command->first_key < 1)
        return false;
    if ((command->flags & COMMAND_READONLY) && command->response_policy != RESPONSE_SPECIAL)
        return true;
    return command->response_policy == RESPONSE_DEFAULT ||
           command->response_policy == RESPONSE_ALL_SUCCEEDED || command->response_policy == RESPONSE_AGG_SUM;
}

/* Many lists' replies have another form, and an answer of our own is for the whole. */
bool split_fits(const struct target *leaf)
{
    if (leaf->kind == TARGET_LIST)
        return list_reply_is_one(leaf->list.reply);
    return leaf->kind == TARGET_HOST || leaf->kind == TARGET_ACTION;
}

static bool split_joins(const struct split *split)
{
    for (uint32_t i = 0; i < split->part_count; i++)
        if (!split_fits(split->parts[i].leaf))
            return false;
    return true;
}

/* The first part that is refused: then the whole is, and nothing of it is done. NULL: none. */
static const struct target *split_refused(const struct split *split)
{
    for (uint32_t i = 0; i < split->part_count; i++) {
        const struct target *leaf = split->parts[i].leaf;
        if (leaf->kind == TARGET_REPLY && leaf->reply.size && leaf->reply.bytes[0] == '-')
            return leaf;
    }
    return NULL;
}

/* Where key i begins: the header "$n\r\n" in front of it has one digit at least. */
static uint32_t group_start(const struct split *split, uint32_t key)
{
    const struct query *query = &split->request->query;
    uint32_t at = split->keys.at[key].at - 3;
    while (query->bytes[at] != '$')
        at--;
    return at;
}

/* Where the arguments that belong to the last key end: past its value in MSET. */
static uint32_t last_end(const struct split *split)
{
    const struct query *query = &split->request->query;
    struct resp_arg arg = split->keys.at[split->keys.count - 1];
    struct resp_cursor cursor = {.start = query->bytes, .pos = arg.at + arg.size + 2, .left = query->argc};
    for (int32_t more = query->command->key_step; more > 1 && cursor.pos < query->size; more--)
        resp_cursor_next(&cursor, &arg);
    return arg.at + arg.size + 2;
}

static uint32_t group_end(const struct split *split, uint32_t key)
{
    return key + 1 == split->keys.count ? last_end(split) : group_start(split, key + 1);
}

static void part_add(struct part_plan *part, const char *bytes, uint32_t size)
{
    memcpy(part->out, bytes, size);
    part->out += size;
}

/* How many arguments a part has: what stands in front of the keys and behind them is for all. */
static uint32_t part_argc(const struct part_plan *part, const struct split *split)
{
    const struct query *query = &split->request->query;
    return query->argc - (split->keys.count - part->keys) * (uint32_t)query->command->key_step;
}

static void part_open(struct part_plan *part, const struct split *split, uint32_t head, uint32_t keys,
                      uint32_t tail)
{
    const struct query *query = &split->request->query;
    part->argc = part_argc(part, split);
    part->memory = xmalloc(RESP_HEADER_SIZE + (keys - head) + part->size + (query->size - tail));
    part->out = part->memory + resp_write_header(part->memory, '*', part->argc);
    part_add(part, query->bytes + head, keys - head);
}

static void split_write(struct split *split)
{
    const struct query *query = &split->request->query;
    uint32_t keys = split->keys.count, at = group_start(split, 0), first = at, tail = last_end(split);
    uint32_t head = (uint32_t)((const char *)memchr(query->bytes, '$', at) - query->bytes);
    for (uint32_t i = 0; i < keys; i++) {
        uint32_t end = group_end(split, i);
        split->parts[split->placed[i].part].size += end - at;
        at = end;
    }
    for (uint32_t i = 0; i < split->part_count; i++)
        part_open(&split->parts[i], split, head, first, tail);
    at = first;
    for (uint32_t i = 0; i < keys; i++) {
        struct part_plan *part = &split->parts[split->placed[i].part];
        uint32_t end = group_end(split, i);
        part_add(part, query->bytes + at, end - at);
        at = end;
    }
    for (uint32_t i = 0; i < split->part_count; i++)
        part_add(&split->parts[i], query->bytes + tail, query->size - tail);
}

static struct join *split_join(struct split *split)
{
    bool scatter = split->request->query.command->response_policy == RESPONSE_DEFAULT;
    enum join_kind kind = scatter ? JOIN_SCATTER : join_kind_of(split->request->query.command);
    struct join *join = join_create(split->request, kind, split->part_count);
    join->keys = split->keys.count;
    if (scatter) {
        join->owner = xmalloc(join->keys * sizeof *join->owner);
        for (uint32_t i = 0; i < join->keys; i++)
            join->owner[i] = split->placed[i].part;
    }
    for (uint32_t i = 0; i < split->part_count; i++)
        join->parts[i].keys = split->parts[i].keys;
    return join;
}

static void part_send(struct join *join, const struct part_plan *plan, uint32_t index)
{
    struct request *part = join_part(join, index);
    size_t size = (size_t)(plan->out - plan->memory);
    part->memory = plan->memory;
    part->query.bytes = plan->memory;
    part->query.size = (uint32_t)size;
    part->query.argc = plan->argc;
    part->query.nkeys = plan->keys;
    part->query.target = plan->leaf;
    part->query.router = plan->router;
    part->query.otherwise = plan->otherwise;
    part->query.watcher = plan->watcher;
    part->multiple = plan->keys > 1;
    struct resp_arg key[2];
    resp_args(plan->memory, part->query.size, (uint32_t)part->query.command->first_key, 1, key);
    part->query.key = key[0];
    dispatch_leaf(part);
}

/* The parts are sent from a copy of the plan: the last answer may free the request. */
static void split_send(struct split *split)
{
    split_write(split);
    struct join *join = split_join(split);
    for (uint32_t i = 0; i < split->part_count; i++)
        part_send(join, &split->parts[i], i);
}

static void split_forward(struct split *split)
{
    struct request *request = split->request;
    request->query.target = split->parts[0].leaf;
    request->query.router = split->parts[0].router;
    request->query.otherwise = split->parts[0].otherwise;
    request->query.watcher = split->parts[0].watcher;
    dispatch_leaf(request);
}

static void split_answer(struct request *request, const struct target *answer)
{
    request->query.target = answer;
    dispatch_leaf(request);
}

void split_dispatch(struct request *request, const struct target *from)
{
    struct split split = {.request = request};
    if (!split_find_keys(&split))
        request_fail(request, FAILURE_LOCAL, "%s", split.keys.error);
    else if (split_route(&split, from)) {
        split_plan(&split);
        const struct target *refused = split.part_count > 1 ? split_refused(&split) : NULL;
        if (split.part_count == 1)
            split_forward(&split);
        else if (refused)
            split_answer(request, refused);
        else if (split_allows(request->query.command) && split_joins(&split))
            split_send(&split);
        else
            request_fail(request, FAILURE_LOCAL, "CROSSSLOT Keys in request don't hash to the same host");
    }
    split_deinit(&split);
}
