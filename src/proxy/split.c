/* Routing key by key; see split.h. Linear in the number of keys. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/split.h"

#include "base/block.h"
#include "base/copy.h"
#include "base/memory.h"
#include "base/rest.h"
#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "proxy/join.h"
#include "resp/alike.h"
#include "resp/keys.h"

#include <string.h>

enum { ROUTE_AT_ONCE = 128 };

/* What is noted on the way to a leaf. */
struct way {
    const struct target *router;
    uint16_t otherwise, watcher;
};

/* A part. */
struct part_plan {
    const struct target *leaf;
    struct way way;
    uint32_t first;      /* the number of its first key, */
    struct resp_arg key; /* and that key in the part's own bytes */
    uint32_t argc;
    char *bytes;         /* all of it */
};

/* What every key changes of its part. */
struct part_sum {
    char *out; /* where the next argument goes */
    uint32_t keys;
    uint32_t size; /* bytes of its keys and what belongs to them; then of all */
};

/* What has an item for each key lies in one block, but for `ways`; what has one for each part, in another. */
struct split {
    struct request *request;
    uint32_t count;
    const struct target **leaves; /* where each key goes: begins the first block */
    struct resp_arg *keys;
    struct way *ways; /* how each goes where it goes; NULL: all as `way` says */
    struct way way;
    uint32_t *part;   /* which part each key belongs to */
    uint32_t *starts; /* where the arguments begin that go with each key, and where the last one's end */
    struct part_plan *parts; /* begins the second */
    struct part_sum *sums;
    uint32_t part_count, part_room;
    const char *error;
};

static size_t keys_size(const struct split *split)
{
    return split->count * (sizeof *split->leaves + sizeof *split->keys + sizeof *split->part +
                           sizeof *split->starts) + sizeof *split->starts;
}

static size_t parts_size(const struct split *split)
{
    return split->part_room * (sizeof *split->parts + sizeof *split->sums);
}

static void split_init(struct split *split, uint32_t count)
{
    split->count = count;
    split->leaves = block_get(keys_size(split));
    split->keys = (struct resp_arg *)(split->leaves + count);
    split->part = (uint32_t *)(split->keys + count);
    split->starts = split->part + count;
}

static void split_deinit(struct split *split)
{
    block_put(split->leaves, keys_size(split));
    block_put(split->ways, split->count * sizeof *split->ways);
    block_put(split->parts, parts_size(split));
}

/* ---- keys ---- */

/* A bulk of a request that was scanned. */
static inline uint32_t bulk_size(struct alike *last, const char *at, const char *end)
{
    uint32_t whole = alike_scanned(last, at, end);
    if (whole)
        return whole;
    struct resp_cursor cursor = {.start = at, .left = 1}; /* it is huge */
    struct resp_arg arg;
    resp_cursor_next(&cursor, &arg);
    *last = ALIKE_NONE;
    last->header = arg.at;
    return arg.at + arg.size + 2;
}

/* One walk for all: the keys, and what goes with each. */
static bool split_find_simple(struct split *split)
{
    const struct query *query = &split->request->query;
    const struct command *command = query->command;
    struct key_list found = {0};
    if (keys_count(command, query->argc, &found) != KEYS_FOUND) {
        split->error = found.error;
        return false;
    }
    split_init(split, found.count);
    struct alike alike[2] = {ALIKE_NONE, ALIKE_NONE}; /* keys, and what stands between them */
    const char *start = query->bytes, *end = start + query->size;
    const char *at = (const char *)memchr(start, '\n', query->size) + 1;
    struct resp_arg *keys = split->keys;
    uint32_t *starts = split->starts, count = found.count;
    for (int32_t before = command->first_key; before > 0; before--)
        at += bulk_size(&alike[1], at, end);
    const int32_t others = command->key_step - 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t whole = bulk_size(&alike[0], at, end), offset = (uint32_t)(at - start);
        starts[i] = offset;
        keys[i] = (struct resp_arg){.at = offset + alike[0].header, .size = whole - alike[0].header - 2};
        at += whole;
        for (int32_t more = others; more > 0 && at < end; more--)
            at += bulk_size(&alike[1], at, end);
    }
    starts[count] = (uint32_t)(at - start);
    return true;
}

/* Keys of a command that is never taken apart. */
static bool split_find_any(struct split *split)
{
    const struct query *query = &split->request->query;
    struct resp_request scan = {0};
    struct key_list found = {0};
    resp_scan_request(&scan, query->bytes, query->size, UINT32_MAX);
    bool ok = keys_find(query->command, query->bytes, &scan, &found) == KEYS_FOUND;
    split->error = found.error;
    if (ok) {
        split_init(split, found.count);
        memcpy(split->keys, found.at, found.count * sizeof *found.at);
        memset(split->starts, 0, (found.count + 1) * sizeof *split->starts);
    }
    key_list_deinit(&found);
    return ok;
}

static bool split_find_keys(struct split *split)
{
    const struct command *command = split->request->query.command;
    return command->simple_keys && command->first_key > 0 ? split_find_simple(split) : split_find_any(split);
}

/* ---- routing ---- */

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

static struct way way_of(const struct query *query)
{
    return (struct way){
        .router = query->router, .otherwise = query->otherwise, .watcher = query->watcher};
}

static void way_take(struct query *query, const struct way *way)
{
    query->router = way->router;
    query->otherwise = way->otherwise;
    query->watcher = way->watcher;
}

/* Routes keys first .. first+count-1. false: one has no route, the request has been failed. */
static bool split_route_some(struct split *split, const struct target *from, uint32_t first, uint32_t count)
{
    struct query queries[ROUTE_AT_ONCE], *pointers[ROUTE_AT_ONCE];
    for (uint32_t i = 0; i < count; i++) {
        queries[i] = split->request->query;
        queries[i].key = split->keys[first + i];
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
        split->leaves[first + i] = queries[i].target;
        split->ways[first + i] = way_of(&queries[i]);
    }
    return true;
}

static bool split_route_each(struct split *split, const struct target *from)
{
    split->ways = block_get(split->count * sizeof *split->ways);
    for (uint32_t first = 0; first < split->count; first += ROUTE_AT_ONCE) {
        uint32_t left = split->count - first;
        if (!split_route_some(split, from, first, left < ROUTE_AT_ONCE ? left : ROUTE_AT_ONCE))
            return false;
    }
    return true;
}

static bool split_route(struct split *split, const struct target *from)
{
    struct query query = split->request->query;
    query.target = from;
    query.error = NULL;
    const struct target *router = target_walk_keys(&query, split->keys, split->count, split->leaves);
    if (!router)
        return split_route_each(split, from);
    query.router = router;
    split->way = way_of(&query);
    if (split->leaves[0] != router)
        return true;
    query.target = router; /* no host of it is up */
    fail_no_route(split->request, &query);
    return false;
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

static void part_begin(struct split *split, uint32_t key)
{
    uint32_t number = split->part_count++;
    split->parts[number] = (struct part_plan){
        .leaf = split->leaves[key], .way = split->ways ? split->ways[key] : split->way, .first = key};
    split->sums[number] = (struct part_sum){0};
}

/* How many parts there may be: as many as there are targets, and replies that were made for one key alone. */
static uint32_t split_most_parts(const struct split *split)
{
    uint32_t most = split->request->cluster->generation->set->count;
    for (uint32_t i = 0; split->ways && i < split->count; i++)
        most += !split->leaves[i]->set;
    return most < split->count ? most : split->count;
}

/* Numbers the parts in order of their first keys. */
static void split_plan(struct split *split)
{
    const struct target_set *set = split->request->cluster->generation->set;
    size_t map_size = set->count * sizeof(uint32_t);
    uint32_t *part_of = block_get(map_size); /* by target id; 0: none yet */
    memset(part_of, 0, map_size);
    split->part_room = split_most_parts(split);
    split->parts = block_get(parts_size(split));
    split->sums = (struct part_sum *)(split->parts + split->part_room);
    struct part_sum *sums = split->sums;
    const uint32_t *starts = split->starts;
    for (uint32_t i = 0, count = split->count; i < count; i++) {
        const struct target *leaf = split->leaves[i];
        uint32_t number = part_find(split, leaf, part_of);
        if (!number) {
            part_begin(split, i);
            number = split->part_count;
            if (leaf->set)
                part_of[leaf->id] = number;
        }
        split->part[i] = number - 1;
        sums[number - 1].keys++;
        sums[number - 1].size += starts[i + 1] - starts[i];
    }
    block_put(part_of, map_size);
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

/* ---- parts ---- */

static inline void part_add(struct part_sum *part, const char *bytes, uint32_t size)
{
    copy_short(part->out, bytes, size);
    part->out += size;
}

/* How many arguments a part has: what stands in front of the keys and behind them is for all. */
static uint32_t part_argc(const struct split *split, const struct part_sum *sum)
{
    const struct query *query = &split->request->query;
    return query->argc - (split->count - sum->keys) * (uint32_t)query->command->key_step;
}

/* A big part has memory of its own, for the link to take over; the others lie in one block together. */
static bool part_is_big(const struct part_sum *sum)
{
    return sum->size >= REST_GIVE;
}

/* Adds what all parts have; returns the bytes of all small ones. */
static size_t split_measure(struct split *split)
{
    const struct query *query = &split->request->query;
    uint32_t common = split->starts[0] + query->size - split->starts[split->count];
    size_t small = 0;
    for (uint32_t i = 0; i < split->part_count; i++) {
        struct part_sum *sum = &split->sums[i];
        sum->size += RESP_HEADER_SIZE + common;
        small += part_is_big(sum) ? 0 : sum->size;
    }
    return small;
}

/* What stands in front of its keys. */
static void part_open(struct part_plan *part, struct part_sum *sum, const struct split *split)
{
    const struct query *query = &split->request->query;
    uint32_t start = split->starts[0];
    const char *head = memchr(query->bytes, '$', query->size);
    part->argc = part_argc(split, sum);
    sum->out = part->bytes + resp_write_header(part->bytes, '*', part->argc);
    part_add(sum, head, (uint32_t)(query->bytes + start - head));
    part->key = split->keys[part->first];
    part->key.at += (uint32_t)(sum->out - part->bytes) - split->starts[part->first];
}

/* `block` is for the small ones. */
static void split_write(struct split *split, char *block)
{
    const struct query *query = &split->request->query;
    const char *bytes = query->bytes;
    const uint32_t *starts = split->starts, *part = split->part;
    struct part_sum *sums = split->sums;
    uint32_t count = split->count, end = starts[count];
    for (uint32_t i = 0; i < split->part_count; i++) {
        bool big = part_is_big(&sums[i]);
        split->parts[i].bytes = big ? xmalloc(sums[i].size) : block;
        block += big ? 0 : sums[i].size;
        part_open(&split->parts[i], &sums[i], split);
    }
    for (uint32_t i = 0; i < count; i++)
        part_add(&sums[part[i]], bytes + starts[i], starts[i + 1] - starts[i]);
    for (uint32_t i = 0; i < split->part_count; i++)
        part_add(&sums[i], bytes + end, query->size - end);
}

static struct join *split_join(struct split *split)
{
    bool scatter = split->request->query.command->response_policy == RESPONSE_DEFAULT;
    struct join *join =
        scatter ? join_create_scatter(split->request, split->part_count, split->part, split->count)
                : join_create(split->request, join_kind_of(split->request->query.command), split->part_count);
    join->keys = split->count;
    for (uint32_t i = 0; i < split->part_count; i++)
        join->parts[i].keys = split->sums[i].keys;
    return join;
}

static void part_send(struct join *join, const struct split *split, uint32_t index)
{
    const struct part_plan *plan = &split->parts[index];
    const struct part_sum *sum = &split->sums[index];
    struct request *part = join_part(join, index);
    if (part_is_big(sum))
        part->memory = plan->bytes;
    part->query.bytes = plan->bytes;
    part->query.size = (uint32_t)(sum->out - plan->bytes);
    part->query.argc = plan->argc;
    part->query.nkeys = sum->keys;
    part->query.key = plan->key;
    part->query.target = plan->leaf;
    way_take(&part->query, &plan->way);
    part->multiple = sum->keys > 1;
    dispatch_leaf(part);
}

/* The parts are sent from a copy of the plan: the last answer may free the request. */
static void split_send(struct split *split)
{
    size_t size = split_measure(split);
    char *block = block_get(size);
    split_write(split, block);
    struct join *join = split_join(split);
    for (uint32_t i = 0; i < split->part_count; i++)
        part_send(join, split, i);
    block_put(block, size);
}

static void split_forward(struct split *split)
{
    struct request *request = split->request;
    request->query.target = split->parts[0].leaf;
    way_take(&request->query, &split->parts[0].way);
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
        request_fail(request, FAILURE_LOCAL, "%s", split.error);
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
