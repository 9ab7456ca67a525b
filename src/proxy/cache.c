/* Caches; see cache.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cache.h"

#include "base/clock.h"
#include "base/memo.h"
#include "base/memory.h"
#include "base/stats.h"
#include "proxy/client.h"
#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "proxy/measure.h"
#include "proxy/proxy.h"
#include "proxy/tracking.h"
#include "resp/keys.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A longer command is not kept: it would be held for what is a small saving to it. */
enum { COMMAND_BYTES = 16 * 1024 };

struct cache {
    struct cache_options options;
    struct memos *memos;
    struct tracking *tracking;
    const struct proxy *proxy; /* NULL until it is first used */
    uint64_t now, turn;        /* clock_ns as it was in the turn with this measure_clock */
    uint32_t moves;            /* proxy->moves when the oldest memo was made */
    uint32_t blind;            /* writes on their way that do not say of what */
    bool passed;               /* all that its cluster is asked comes here first */
};

/* A read that was sent on, and those who wait for the same reply. */
struct fetch {
    struct whole whole; /* first: see request.h */
    struct cache *cache;
    struct memo *memo;
    struct request *waiting, **last; /* by link_next */
};

/* A write on its way. */
struct crossing {
    struct whole whole; /* first */
    struct cache *cache;
    bool blind;
    uint32_t count;
    struct memo_key *keys[];
};

/* ---- what is kept ---- */

/* Reads whose replies change without a write to their key, beside those that say so themselves by their tip
 * nondeterministic_output (TTL, HSCAN, SRANDMEMBER, OBJECT, DUMP …). */
static bool is_excluded(const struct command *command)
{
    static const char *const names[] = {
        "touch",        /* is sent for what it does to the host's LRU */
        "memory|usage", /* says how a host stores it */
        "sort_ro",      /* BY and GET look at other keys */
        "xinfo|stream", "xinfo|groups", "xinfo|consumers", /* hosts do not tell when groups go on */
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(command->name, names[i]))
            return true;
    return false;
}

/* Scripts may read what they do not name, what blocks has a link of its own; of learned commands the tips
 * may be unknown. */
static bool command_may_be_kept(const struct command *command)
{
    const uint32_t never = COMMAND_WRITE | COMMAND_BLOCKING | COMMAND_NO_MANDATORY_KEYS | COMMAND_PUBSUB;
    if ((command->flags & (never | COMMAND_READONLY)) != COMMAND_READONLY || command_is_learned(command))
        return false;
    const char *tip = strstr(command->tips, "nondeterministic_output");
    bool order_only = tip && !strncmp(tip, "nondeterministic_output_order", 29);
    return (!tip || order_only) && !is_excluded(command);
}

static bool may_be_kept(const struct command *command)
{
    enum { UNKNOWN, YES, NO };
    static uint8_t known[COMMAND_IDS];
    if (__builtin_expect(known[command->id] == UNKNOWN, 0))
        known[command->id] = command_may_be_kept(command) ? YES : NO;
    return known[command->id] == YES;
}

static bool has_prefix(const struct cache *cache, const char *key, size_t size)
{
    const struct cache_options *options = &cache->options;
    for (uint32_t i = 0; i < options->prefix_count; i++) {
        const struct resp_arg *prefix = &options->prefixes[i];
        if (size >= prefix->size && !memcmp(key, options->prefix_bytes + prefix->at, prefix->size))
            return true;
    }
    return !options->prefix_count;
}

static bool is_error(const struct reply *reply)
{
    return reply->failure != FAILURE_NONE || reply->bytes[0] == '-' || reply->bytes[0] == '!';
}

/* Is the cache the first thing that all commands meet? Then none is written past it. */
static bool is_above_all(const struct target *cache, const struct target *root)
{
    while (root != cache && root->kind == TARGET_ACTION && root->action.action->transparent)
        root = root->action.items[0];
    return root == cache;
}

/* ---- time ---- */

/* Once a turn for the clock. When keys may have moved to other hosts, nothing that was kept counts. */
static void cache_begin(struct cache *cache, const struct request *request)
{
    if (!cache->proxy) {
        cache->proxy = cluster_proxy(request->cluster);
        cache->passed = is_above_all(request->query.target, request->cluster->root);
    }
    if (cache->turn != measure_clock) {
        cache->turn = measure_clock;
        cache->now = clock_ns();
    }
    if (cache->moves != cache->proxy->moves) {
        cache->moves = cache->proxy->moves;
        tracking_forget(cache->tracking);
    }
}

/* ---- forgetting ---- */

static void cache_forget(struct cache *cache, struct memo_key *key)
{
    stats->cache_invalidated += memos_drop_key(cache->memos, key);
}

/* A host has told it. */
static void cache_changed(void *owner, const char *bytes, size_t size)
{
    struct cache *cache = owner;
    struct memo_key *key = memos_key(cache->memos, bytes, size);
    if (key)
        cache_forget(cache, key);
}

/* ---- reads ---- */

static void cache_pass(struct request *request)
{
    request->query.target = request->query.target->action.items[0];
    dispatch_on(request);
}

/* May it be kept? Not when its key has changed since it was asked for (the memo was dropped and has no key),
 * or its host can no longer tell, or another host was asked in the end. */
static bool is_good(const struct fetch *fetch, const struct request *part, const struct reply *reply)
{
    const struct cache *cache = fetch->cache;
    const struct memo *memo = fetch->memo;
    return memo->key && !is_error(reply) && memo_is_good(memo, 0) && part->query.attempt == 0 &&
           cache->moves == cache->proxy->moves;
}

static void fetch_keep(struct fetch *fetch, const struct request *part, const struct reply *reply)
{
    struct cache *cache = fetch->cache;
    struct memo *memo = fetch->memo;
    if (is_good(fetch, part, reply)) {
        uint64_t now = clock_ns();
        memo->owner = NULL;
        memo->expires = now + (uint64_t)(cache->options.ttl * 1e9);
        stats->cache_stored += memos_keep(cache->memos, memo, reply->bytes, reply->size, now);
        return;
    }
    if (memo->key)
        memos_drop(cache->memos, memo);
    memo_free(memo);
}

static void fetch_done(struct request *part, const struct reply *reply)
{
    struct fetch *fetch = (struct fetch *)part->whole;
    fetch_keep(fetch, part, reply);
    const struct reply copy = {.bytes = reply->bytes, .size = reply->size, .failure = reply->failure};
    for (struct request *request = fetch->waiting, *next; request; request = next) {
        next = request->link_next;
        request->link_next = NULL;
        request->done(request, &copy);
    }
    struct request *request = fetch->whole.request;
    request->done(request, reply);
    free(fetch);
    request_put(part);
}

static void fetch_wait(struct fetch *fetch, struct request *request)
{
    request->link_next = NULL;
    *fetch->last = request;
    fetch->last = &request->link_next;
    stats->cache_shared++;
}

/* Does the client wait for something that it sent before and that may write? Where writes go past the cache,
 * nobody has told of that yet, and what is kept is older. */
static bool follows_a_write(const struct cache *cache, const struct request *request)
{
    if (cache->passed)
        return false;
    while (request->whole && request->whole->request)
        request = request->whole->request;
    const struct client *client = request->client;
    const struct request *before = client ? client->head : NULL;
    for (; before && before != request; before = before->next) {
        const struct command *command = before->query.command;
        if (!before->answered && !(command && command->flags & (COMMAND_READONLY | COMMAND_PUBSUB)))
            return true;
    }
    return false;
}

static void cache_fetch(struct cache *cache, struct request *request, const struct memo_name *name)
{
    struct query *query = &request->query;
    const char *key = query_key(query);
    const struct memo_key *known = memos_key(cache->memos, key, query->key.size);
    stats->cache_misses++;
    if (known && known->holds) {
        cache_pass(request);
        return;
    }
    target_draw++;
    query->target = query->target->action.items[0];
    dispatch_route(&query, 1);
    const uint32_t *era = query->target ? tracking_era(cache->tracking, query->target) : NULL;
    if (!era) {
        dispatch_inside(request);
        return;
    }
    struct fetch *fetch = xcalloc(1, sizeof *fetch);
    fetch->whole.request = request;
    fetch->cache = cache;
    fetch->memo = memos_add(cache->memos, name, key, query->key.size, era);
    fetch->memo->owner = fetch;
    fetch->last = &fetch->waiting;
    struct request *part = request_copy(&fetch->whole, 0, fetch_done);
    part->query.router = query->router; /* it may be tried again */
    dispatch_inside(part);              /* it may be answered at once */
}

static void cache_read(struct cache *cache, struct request *request)
{
    const struct query *query = &request->query;
    struct memo_name name = {
        .bytes = query->bytes, .size = query->size, .db = query->db, .resp = query->resp};
    struct memo *memo = memos_find(cache->memos, &name);
    if (memo && !memo_is_good(memo, cache->now)) {
        memos_drop(cache->memos, memo);
        memo = NULL;
    }
    if (!memo) {
        cache_fetch(cache, request, &name);
    } else if (memo->reply) {
        if (!memo->used)
            memo->used = true;
        stats->cache_hits++;
        request_answer(request, memo->reply, memo->reply_size);
    } else {
        fetch_wait(memo->owner, request);
    }
}

/* ---- writes ---- */

static void crossing_done(struct request *part, const struct reply *reply)
{
    struct crossing *crossing = (struct crossing *)part->whole;
    struct cache *cache = crossing->cache;
    for (uint32_t i = 0; i < crossing->count; i++) {
        assert(!crossing->keys[i]->memos); /* its reads were passed on */
        memos_release(cache->memos, crossing->keys[i]);
    }
    cache->blind -= crossing->blind;
    struct request *request = crossing->whole.request;
    request->done(request, reply);
    free(crossing);
    request_put(part);
}

static void crossing_add(struct crossing *crossing, const struct query *query, struct resp_arg at)
{
    struct cache *cache = crossing->cache;
    const char *key = query->bytes + at.at;
    if (!has_prefix(cache, key, at.size))
        return;
    struct memo_key *held = memos_hold(cache->memos, key, at.size);
    crossing->keys[crossing->count++] = held;
    cache_forget(cache, held);
}

/* The part takes the bytes over: nobody needs them when it is on its way. */
static void crossing_send(struct crossing *crossing)
{
    struct request *request = crossing->whole.request;
    struct request *part = request_copy(&crossing->whole, 0, crossing_done);
    part->memory = request->memory;
    request->memory = NULL;
    part->query.target = request->query.target->action.items[0];
    dispatch_on(part);
}

static struct crossing *crossing_create(struct cache *cache, struct request *request, uint32_t keys)
{
    struct crossing *crossing = xcalloc(1, sizeof *crossing + keys * sizeof *crossing->keys);
    crossing->whole.request = request;
    crossing->cache = cache;
    return crossing;
}

static void cache_write(struct cache *cache, struct request *request)
{
    static struct key_list keys; /* reused: one thread */
    const struct query *query = &request->query;
    struct resp_request scan = {0};
    keys.count = 0;
    if (query->nkeys > 1 && resp_scan_request(&scan, query->bytes, query->size, UINT32_MAX) == RESP_DONE)
        keys_find(query->command, query->bytes, &scan, &keys);
    struct crossing *crossing = crossing_create(cache, request, query->nkeys > 1 ? keys.count : 1);
    if (query->nkeys == 1)
        crossing_add(crossing, query, query->key);
    for (uint32_t i = 0; i < keys.count; i++)
        crossing_add(crossing, query, keys.at[i]);
    crossing_send(crossing);
}

/* FLUSHALL, a script without keys: nobody knows what they write. */
static void cache_write_blindly(struct cache *cache, struct request *request)
{
    struct crossing *crossing = crossing_create(cache, request, 0);
    crossing->blind = true;
    cache->blind++;
    tracking_forget(cache->tracking);
    crossing_send(crossing);
}

/* ---- the target ---- */

static bool writes_blindly(const struct command *command)
{
    return command->flags & (COMMAND_WRITE | COMMAND_NO_MANDATORY_KEYS);
}

static void cache_run(struct request *request, action_send *send)
{
    (void)send; /* it is transparent */
    struct cache *cache = request->query.target->action.state;
    const struct query *query = &request->query;
    const struct command *command = query->command;
    cache_begin(cache, request);
    if (command->flags & (COMMAND_READONLY | COMMAND_PUBSUB)) {
        bool kept = query->nkeys == 1 && !request->multiple && !cache->blind && may_be_kept(command) &&
                    query->size <= COMMAND_BYTES && has_prefix(cache, query_key(query), query->key.size);
        if (kept && !follows_a_write(cache, request))
            cache_read(cache, request);
        else
            cache_pass(request);
    } else if (query->nkeys) {
        cache_write(cache, request);
    } else if (writes_blindly(command)) {
        cache_write_blindly(cache, request);
    } else {
        cache_pass(request);
    }
}

static void describe(const struct target *target, char *text, size_t size)
{
    const struct cache *cache = target->action.state;
    const struct cache_options *options = &cache->options;
    int used = snprintf(text, size, ", ttl %g s, size %zu%s", options->ttl, options->size,
                        options->tracking ? "" : ", no tracking");
    for (uint32_t i = 0; i < options->prefix_count && used > 0 && (size_t)used < size; i++)
        used += snprintf(text + used, size - (size_t)used, ", prefix %.*s", (int)options->prefixes[i].size,
                         options->prefix_bytes + options->prefixes[i].at);
}

static void cache_destroy(void *state)
{
    struct cache *cache = state;
    tracking_destroy(cache->tracking);
    memos_destroy(cache->memos);
    free((char *)(uintptr_t)cache->options.prefix_bytes);
    free((struct resp_arg *)(uintptr_t)cache->options.prefixes);
    free(cache);
}

/* The prefixes are the cache's own from here on. */
static void copy_prefixes(struct cache_options *options)
{
    uint32_t count = options->prefix_count;
    const struct resp_arg *last = count ? &options->prefixes[count - 1] : NULL;
    size_t bytes = last ? last->at + last->size : 0;
    struct resp_arg *prefixes = xmalloc((count + 1) * sizeof *prefixes);
    char *text = xmalloc(bytes + 1);
    if (count) {
        memcpy(prefixes, options->prefixes, count * sizeof *prefixes);
        memcpy(text, options->prefix_bytes, bytes);
    }
    options->prefixes = prefixes;
    options->prefix_bytes = text;
}

struct target *cache_target(struct target_set *set, struct target *next, const struct cache_options *options,
                            const char **why)
{
    static const char *const labels[] = {"next"};
    static const struct action action = {.name = "cache",
                                         .language = "C",
                                         .labels = labels,
                                         .run = cache_run,
                                         .transparent = true,
                                         .describe = describe,
                                         .destroy = cache_destroy};
    *why = tracking_obstacle(next, options->tracking);
    if (*why)
        return NULL;
    struct cache *cache = xcalloc(1, sizeof *cache);
    cache->options = *options;
    copy_prefixes(&cache->options);
    cache->memos = memos_create(options->size);
    cache->tracking = tracking_create(&(struct tracking_options){.asks = options->tracking,
                                                                 .prefixes = cache->options.prefixes,
                                                                 .prefix_bytes = cache->options.prefix_bytes,
                                                                 .prefix_count = options->prefix_count,
                                                                 .changed = cache_changed,
                                                                 .owner = cache});
    return target_action(set, &action, &next, 1, cache);
}
