/* Dispatch; see dispatch.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/dispatch.h"

#include "base/stats.h"
#include "proxy/client.h"
#include "proxy/cluster.h"
#include "proxy/host.h"
#include "proxy/join.h"
#include "proxy/keyless.h"
#include "proxy/link.h"
#include "proxy/order.h"
#include "proxy/policy.h"
#include "proxy/split.h"
#include "resp/keys.h"
#include "resp/writer.h"

#include <stdio.h>

/* A decision that leads to a function that leads to a function …: more rounds are a cycle. */
enum { ROUTE_ROUNDS = 16, ROUTE_BATCH = 128, DISPATCH_DEPTH = 64 };

static const char without_end[] = "ERR router: the targets lead back to themselves without end";

/* ---- keys ---- */

static inline void find_argument(struct query *query, const struct resp_request *scan, uint32_t number)
{
    if (number < RESP_ARGS)
        query->key = scan->args[number];
    else
        resp_args(query->bytes, query->size, number, 1, &query->key);
}

static bool find_keys_by_spec(struct request *request, const struct resp_request *scan)
{
    static struct key_list keys; /* reused: one thread */
    struct query *query = &request->query;
    const struct command *command = query->command;
    bool simple = command->simple_keys;
    enum keys_status status = simple ? keys_count(command, scan->argc, &keys)
                                     : keys_find(command, query->bytes, scan, &keys);
    if (status == KEYS_INVALID) {
        request_fail(request, FAILURE_LOCAL, "%s", keys.error);
        return false;
    }
    query->nkeys = keys.count;
    request->multiple = keys.count > 1;
    if (keys.count && simple)
        find_argument(query, scan, (uint32_t)command->first_key);
    else if (keys.count)
        query->key = keys.at[0];
    return true;
}

bool dispatch_find_keys(struct request *request, const struct resp_request *scan)
{
    struct query *query = &request->query;
    uint32_t fixed = policy_keys[query->command->id];
    if (!fixed)
        return !command_has_keys(query->command) || find_keys_by_spec(request, scan);
    if (fixed < scan->argc) {
        query->nkeys = 1;
        find_argument(query, scan, fixed);
    }
    return true;
}

/* ---- routing ---- */

static bool is_function(const struct target *target)
{
    return target && target->kind == TARGET_FUNCTION;
}

/* Asks one function for queries that all stand at it, then walks them on. */
static void route_ask(const struct target *function, struct query **queries, size_t count)
{
    function->set->decide(function->set->context, function, queries, count);
    for (size_t i = 0; i < count; i++)
        if (!queries[i]->target && !queries[i]->error)
            queries[i]->target = target_take_default(function->set, queries[i]);
    target_walk_many(queries, count);
}

/* The same for those of the queries that stand at it. A query that has been at ROUTE_ROUNDS functions before
 * goes no further; how many others the batch meets does not matter. */
static void route_ask_some(const struct target *function, struct query **queries, size_t count,
                           uint8_t *rounds)
{
    struct query *asked[ROUTE_BATCH];
    size_t asking = 0;
    for (size_t i = 0; i < count; i++) {
        if (queries[i]->target != function)
            continue;
        if (rounds[i]++ < ROUTE_ROUNDS) {
            asked[asking++] = queries[i];
        } else {
            queries[i]->target = NULL;
            queries[i]->error = "ERR router: functions return functions without end";
        }
    }
    if (asking)
        route_ask(function, asked, asking);
}

static const struct target *route_next_function(struct query **queries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_function(queries[i]->target))
            return queries[i]->target;
    return NULL;
}

/* Asks until nothing stands at a function any more; at most ROUTE_BATCH queries, which have been at `round`
 * functions. */
static void route_some(struct query **queries, size_t count, uint8_t round)
{
    const struct target *function = route_next_function(queries, count);
    if (!function)
        return;
    uint8_t rounds[ROUTE_BATCH]; /* functions that each query has been at */
    memset(rounds, round, count);
    for (; function; function = route_next_function(queries, count))
        route_ask_some(function, queries, count, rounds);
}

/* The function that all of them stand at, or NULL: mostly that of a cluster whose script is one function.
 * To ask it at once saves 50 instructions per query. */
static const struct target *route_common_function(struct query **queries, size_t count)
{
    const struct target *function = count ? queries[0]->target : NULL;
    if (!is_function(function))
        return NULL;
    for (size_t i = 1; i < count; i++)
        if (queries[i]->target != function)
            return NULL;
    return function;
}

/* Can the walk come to a function? Where none is, that is not looked for: 8 instructions less per query. */
static bool meets_functions(const struct target *target)
{
    return !target || !target->set || target->set->functions;
}

void dispatch_route(struct query **queries, size_t count)
{
    const struct target *function = route_common_function(queries, count);
    bool more = function || (count && meets_functions(queries[0]->target));
    if (function)
        route_ask(function, queries, count);
    else
        target_walk_many(queries, count);
    for (size_t first = 0; more && first < count; first += ROUTE_BATCH) {
        size_t here = count - first < ROUTE_BATCH ? count - first : ROUTE_BATCH;
        route_some(queries + first, here, function != NULL);
    }
}

/* The first item of a transparent action, or NULL. */
static const struct target *behind_action(const struct target *leaf, bool acting)
{
    const struct action *action = leaf && leaf->kind == TARGET_ACTION ? leaf->action.action : NULL;
    return action && action->transparent && !(acting && action->pass) ? leaf->action.items[0] : NULL;
}

void dispatch_settle(struct query **queries, size_t count, bool acting)
{
    bool again = true;
    for (int round = 0; again && round < DISPATCH_DEPTH; round++) {
        dispatch_route(queries, count);
        again = false;
        for (size_t i = 0; i < count; i++) {
            const struct target *next = behind_action(queries[i]->target, acting);
            if (!next)
                continue;
            bool last = round + 1 == DISPATCH_DEPTH;
            queries[i]->target = last ? NULL : next;
            if (last)
                queries[i]->error = without_end;
            again = true;
        }
    }
}

/* ---- sending ---- */

/* Is the list all hosts of a built-in router, which has no key to choose by? */
static bool is_keyless(const struct query *query, const struct target *list)
{
    return query->router && !query->nkeys && list == query->router->router.all;
}

/* How a command without a key is served; NULL: by all hosts. One whose tips do
 * not ask for more than one host is content with any. */
static policy_keyless *keyless_of(const struct command *command)
{
    policy_keyless *keyless = policy_of(command)->keyless;
    return !keyless && command->request_policy == REQUEST_DEFAULT ? keyless_first : keyless;
}

bool dispatch_walks(const struct query *query, const struct target *list)
{
    return keyless_of(query->command) && is_keyless(query, list);
}

bool dispatch_joins(const struct query *query, const struct target *list)
{
    enum request_policy policy = query->command->request_policy;
    return is_keyless(query, list) && (policy == REQUEST_ALL_SHARDS || policy == REQUEST_ALL_NODES);
}

static const enum join_kind list_kinds[LIST_REPLIES] = {
    [LIST_ARRAY] = JOIN_ARRAY,       [LIST_SUM] = JOIN_SUM,           [LIST_MIN] = JOIN_MIN,
    [LIST_MAX] = JOIN_MAX,           [LIST_ALL_SUCCEEDED] = JOIN_ALL, [LIST_ONE_SUCCEEDED] = JOIN_ONE,
    [LIST_AND] = JOIN_AND,           [LIST_OR] = JOIN_OR,             [LIST_MERGE] = JOIN_CONCAT,
    [LIST_FIRST] = JOIN_FIRST,       [LIST_QUORUM] = JOIN_QUORUM,
};

static void dispatch_exhausted(struct request *request);

/* Every item of a list gets the command; how their replies join depends on who named the hosts.
 * `send`: see dispatch_to; NULL: the usual way. */
static void dispatch_list(struct request *request, action_send *send)
{
    const struct query *whole = &request->query;
    const struct target *list = whole->target;
    if (dispatch_walks(whole, list)) {
        keyless_of(whole->command)(request, whole->router);
        return;
    }
    enum join_kind kind =
        dispatch_joins(whole, list) ? join_kind_of(whole->command) : list_kinds[list->list.reply];
    uint32_t count = list->list.count;
    struct join *join = join_create(request, kind, count);
    join_hold(join);
    for (uint32_t i = 0; i < count; i++) {
        struct request *part = join_part(join, i);
        struct client *client = part->query.client;
        part->query = *whole;
        part->query.client = client;
        part->query.target = list->list.items[i];
        part->query.router = NULL;
        part->query.watcher = 0; /* another host would answer twice */
        part->multiple = request->multiple && list->list.items[i]->kind != TARGET_HOST;
        dispatch_to(part, send);
    }
    join_release(join);
}

void dispatch_reply(struct request *request, const char *bytes, size_t size)
{
    if (request->query.resp != 3) {
        request_answer(request, bytes, size);
        return;
    }
    struct writer reply = {.resp = 3};
    writer_values(&reply, bytes, size);
    request_answer(request, reply.data, reply.size);
    writer_deinit(&reply);
}

void dispatch_leaf(struct request *request)
{
    const struct target *leaf = request->query.target;
    if (!leaf) {
        if (request->query.error)
            request_fail(request, FAILURE_LOCAL, "%s", request->query.error);
        else
            request_fail(request, FAILURE_LOCAL, "ERR no route for '%s'", request->query.command->name);
        return;
    }
    switch (leaf->kind) {
    case TARGET_HOST:
        host_send(leaf->host.host, request);
        break;
    case TARGET_LIST:
        dispatch_list(request, NULL);
        break;
    case TARGET_REPLY:
        dispatch_reply(request, leaf->reply.bytes, leaf->reply.size);
        break;
    case TARGET_ACTION:
        leaf->action.action->run(request, NULL);
        break;
    case TARGET_ROUTER:
        dispatch_exhausted(request);
        break;
    case TARGET_PREFIX:
    case TARGET_COMMAND:
    case TARGET_SPLIT:
    case TARGET_CLUSTER:
    case TARGET_FUNCTION:
    case TARGET_KINDS:
        break; /* dispatch_route leaves none of these */
    }
}

/* What is dispatched while something is dispatched: more of one inside the other is a circle of actions and
 * lists, through functions. Then all that hangs on the first is failed, or a list would double each round. */
static unsigned depth;
static bool endless;

static bool dispatch_enter(struct request *request)
{
    if (depth == DISPATCH_DEPTH)
        endless = true;
    if (!endless) {
        depth++;
        return true;
    }
    request_fail(request, FAILURE_LOCAL, "%s", without_end);
    return false;
}

static void dispatch_leave(void)
{
    if (--depth == 0)
        endless = false;
}

static void dispatch_by(struct request *request, action_send *send)
{
    struct query *query = &request->query;
    dispatch_settle(&query, 1, true);
    const struct target *leaf = query->target;
    if (leaf && leaf->kind == TARGET_HOST)
        send(leaf->host.host, request);
    else if (leaf && leaf->kind == TARGET_LIST)
        dispatch_list(request, send);
    else if (leaf && leaf->kind == TARGET_ACTION)
        leaf->action.action->run(request, send);
    else
        dispatch_leaf(request);
}

void dispatch_inside(struct request *request)
{
    const struct target *leaf = request->query.target;
    bool acts = leaf && leaf->kind == TARGET_ACTION;
    if (acts && !dispatch_enter(request))
        return;
    dispatch_leaf(request);
    if (acts)
        dispatch_leave();
}

void dispatch_routed(struct request *request)
{
    if (request->multiple)
        split_dispatch(request, request->query.target);
    else
        dispatch_leaf(request);
}

static void dispatch_one(struct request *request)
{
    target_draw++;
    if (request->multiple) {
        split_dispatch(request, request->query.target);
        return;
    }
    struct query *query = &request->query;
    dispatch_route(&query, 1);
    dispatch_leaf(request);
}

void dispatch_to(struct request *request, action_send *send)
{
    if (!dispatch_enter(request))
        return;
    if (send)
        dispatch_by(request, send);
    else
        dispatch_one(request);
    dispatch_leave();
}

void dispatch_on(struct request *request)
{
    dispatch_to(request, NULL);
}

void dispatch_batch(struct request **requests, size_t count)
{
    struct query *queries[ROUTE_BATCH];
    target_draw++;
    for (size_t first = 0; first < count; first += ROUTE_BATCH) {
        size_t here = count - first < ROUTE_BATCH ? count - first : ROUTE_BATCH, single = 0;
        for (size_t i = 0; i < here; i++)
            if (!requests[first + i]->multiple)
                queries[single++] = &requests[first + i]->query;
        dispatch_route(queries, single);
        for (size_t i = 0; i < here; i++) {
            struct request *request = requests[first + i];
            if (request->client && request->client->order && order_keeps(request))
                continue;
            dispatch_routed(request);
        }
    }
}

/* ---- failing ---- */

/* Safe to be tried on another host: it has not run, or running it twice changes nothing. */
static bool may_retry(const struct request *request, enum failure failure)
{
    const struct query *query = &request->query;
    if (!request->cluster) /* Nydus itself asks that host */
        return false;
    if (query->attempt >= request->cluster->max_connection_retries || query->attempt == UINT8_MAX)
        return false;
    return failure == FAILURE_REFUSED || (query->command->flags & COMMAND_READONLY);
}

/* Who is asked for another host: the last one on the way, for what went to one host on a shared link. */
static const struct target *watcher_of(const struct request *request)
{
    const struct query *query = &request->query;
    const struct link *link = request->link;
    bool routed = query->watcher && link->slot < LINK_FEED && query->target &&
                  query->target->kind == TARGET_HOST && query->target->host.host == link->host;
    return routed ? query->target->set->watchers[query->watcher] : NULL;
}

struct request *dispatch_attempt(struct request *request)
{
    const struct target *watcher = watcher_of(request);
    bool divides = watcher && watcher->action.action->divide;
    return divides ? watcher->action.action->divide(watcher, request) : request;
}

bool dispatch_mends(struct request *request, const struct reply *reply)
{
    const struct command *command = request->query.command;
    policy_mend *mend = command ? policy_of(command)->mend : NULL;
    if (mend && mend(request, reply))
        return true;
    struct request *attempt = dispatch_attempt(request);
    if (attempt == request)
        return false;
    attempt->done(attempt, reply);
    return true;
}

/* Does the router itself leave out hosts that fail? A reply that is late may still come: it does not take
 * the host for one that failed. */
static bool router_retries(const struct request *request, enum failure failure)
{
    const struct target *router = request->query.router;
    return router && router->router.eject && failure != FAILURE_TIMEOUT;
}

/* false: the router still names the host that failed. */
static bool dispatch_retry(struct request *request)
{
    const struct target *router = request->query.router;
    const struct host *failed = request->link->host;
    request->query.attempt++;
    request->query.target = router;
    request->query.client = NULL; /* it may have left, and no script is asked again */
    if (request->multiple) {
        if (!failed->down)
            return false;
        stats->retries++;
        split_dispatch(request, router);
        return true;
    }
    target_walk(&request->query);
    const struct target *leaf = request->query.target;
    if (leaf && leaf->kind == TARGET_HOST && leaf->host.host == failed)
        return false;
    stats->retries++;
    dispatch_leaf(request);
    return true;
}

void dispatch_elsewhere(struct request *request)
{
    stats->retries++;
    request->query.router = NULL;
    request->query.otherwise = 0;
    dispatch_one(request); /* how deep this goes is bounded by the attempts */
}

void dispatch_give_up(struct request *request, const struct mishap *mishap)
{
    const struct host_options *host = mishap->host ? &mishap->host->options : NULL;
    enum failure failure = mishap->failure;
    if (!host)
        request_fail(request, failure, "%s", mishap->reason);
    else if (failure == FAILURE_TIMEOUT)
        request_fail(request, failure, "ERR host %s did not answer within %g s; the command may still run",
                     host->identifier, host->timeout);
    else
        request_fail(request, failure, "ERR host %s is down: %s%s", host->identifier, mishap->reason,
                     failure == FAILURE_LOST ? "; the command may have run" : "");
}

void dispatch_failed(struct request *request, enum failure failure, const char *reason)
{
    const struct mishap mishap = {.host = request->link->host, .failure = failure, .reason = reason};
    request = dispatch_attempt(request);
    if (may_retry(request, failure)) {
        const struct target *watcher = watcher_of(request);
        if (watcher ? watcher->action.action->failed(watcher, request, &mishap)
                    : router_retries(request, failure) && dispatch_retry(request))
            return;
    }
    dispatch_give_up(request, &mishap);
}

/* No host of a router is up. */
static void dispatch_exhausted(struct request *request)
{
    const struct query *query = &request->query;
    uint32_t count = query->target->router.count;
    char reason[256];
    snprintf(reason, sizeof reason, "ERR HostListExhausted: no host of cluster %s is up (%u of %u are down)",
             request->cluster->name, count, count);
    const struct mishap mishap = {.failure = FAILURE_REFUSED, .reason = reason};
    const struct target *watcher = query->watcher ? query->target->set->watchers[query->watcher] : NULL;
    if (!watcher || !may_retry(request, FAILURE_REFUSED) ||
        !watcher->action.action->failed(watcher, request, &mishap))
        dispatch_give_up(request, &mishap);
}
