/* Pinning; see pin.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/pin.h"

#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "resp/keys.h"
#include "route/target.h"

/* ROUNDS: actions one behind the other; more are a cycle through a function. */
enum { PIN_AT_ONCE = 128, PIN_ROUNDS = 16 };

/* The route of a key is no host: says so, or answers what the router does. */
static void pin_refuse(struct request *request, const struct query *query)
{
    if (query->target && query->target->kind == TARGET_LIST) {
        request_fail(request, FAILURE_LOCAL, "ERR '%s' needs one host here, but the router names several",
                     query->command->name);
        return;
    }
    if (query->target && query->target->kind == TARGET_ACTION) {
        request_fail(request, FAILURE_LOCAL, "ERR '%s' needs one host here, but the router has a %s for it",
                     query->command->name, query->target->action.action->name);
        return;
    }
    request->query.target = query->target;
    request->query.router = query->router;
    request->query.error = query->error;
    dispatch_leaf(request);
}

static void fail_crossed(struct request *request)
{
    request_fail(request, FAILURE_LOCAL, "CROSSSLOT Keys in request don't hash to the same host");
}

/* What the keys of a request lead to: either a host, or an action that it has to pass. */
struct pinned {
    struct host *host;
    const struct target *action;
};

static bool has_pass(const struct target *leaf)
{
    return leaf && leaf->kind == TARGET_ACTION && leaf->action.action->pass;
}

/* false: the request has been failed. */
static bool pinned_add(struct pinned *pinned, struct request *request, const struct query *query)
{
    const struct target *leaf = query->target, *action = has_pass(leaf) ? leaf : NULL;
    struct host *host = leaf && leaf->kind == TARGET_HOST ? leaf->host.host : NULL;
    if (!host && !action) {
        pin_refuse(request, query);
        return false;
    }
    if ((pinned->host && pinned->host != host) || (pinned->action && pinned->action != action)) {
        fail_crossed(request);
        return false;
    }
    pinned->host = host;
    pinned->action = action;
    return true;
}

static bool pin_some(struct request *request, const struct resp_arg *keys, uint32_t count,
                     struct pinned *pinned)
{
    struct query queries[PIN_AT_ONCE], *pointers[PIN_AT_ONCE];
    for (uint32_t i = 0; i < count; i++) {
        queries[i] = request->query;
        queries[i].key = keys[i];
        queries[i].nkeys = 1;
        queries[i].pinned = true;
        pointers[i] = &queries[i];
    }
    dispatch_settle(pointers, count, true);
    for (uint32_t i = 0; i < count; i++)
        if (!pinned_add(pinned, request, &queries[i]))
            return false;
    return true;
}

/* Without a key it goes to any host, but not past an action. */
static void pin_keyless(const struct request *request, struct pinned *pinned)
{
    struct query query = request->query, *pointer = &query;
    if (!request->cluster->generation->set->passes)
        return;
    query.pinned = true;
    dispatch_settle(&pointer, 1, true);
    if (has_pass(query.target))
        pinned->action = query.target;
}

/* false: it has been failed. */
static bool pin_keys(struct request *request, const struct resp_request *scan, struct pinned *pinned)
{
    static struct key_list keys; /* reused: one thread */
    const struct query *query = &request->query;
    if (!dispatch_find_keys(request, scan))
        return false;
    if (!query->nkeys)
        pin_keyless(request, pinned);
    if (!request->multiple)
        return !query->nkeys || pin_some(request, &query->key, 1, pinned);
    keys_find(query->command, query->bytes, scan, &keys);
    for (uint32_t first = 0; first < keys.count; first += PIN_AT_ONCE) {
        uint32_t left = keys.count - first;
        if (!pin_some(request, keys.at + first, left < PIN_AT_ONCE ? left : PIN_AT_ONCE, pinned))
            return false;
    }
    request->multiple = false;
    return true;
}

/* Is the host the one that it has to be? false: the request has been failed. */
static bool pin_agree(struct request *request, struct host *found, struct host **host)
{
    if (*host && found && *host != found) {
        fail_crossed(request);
        return false;
    }
    if (found)
        *host = found;
    return true;
}

bool pin_request(struct request *request, const struct resp_request *scan, struct host **host)
{
    struct resp_request again; /* an action may have changed the bytes */
    for (int round = 0; round < PIN_ROUNDS; round++) {
        struct pinned pinned = {0};
        if (!pin_keys(request, scan, &pinned))
            return false;
        if (!pinned.action)
            return pin_agree(request, pinned.host, host);
        request->query.target = pinned.action;
        if (!pinned.action->action.action->pass(request))
            return false;
        again = (struct resp_request){0};
        resp_scan_request(&again, request->query.bytes, request->query.size, UINT32_MAX);
        scan = &again;
    }
    request_fail(request, FAILURE_LOCAL, "ERR router: actions lead to each other without end");
    return false;
}
