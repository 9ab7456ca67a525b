/* Pinning; see pin.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/pin.h"

#include "proxy/dispatch.h"
#include "resp/keys.h"
#include "route/target.h"

enum { PIN_AT_ONCE = 128 };

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

static bool pin_some(struct request *request, const struct resp_arg *keys, uint32_t count, struct host **host)
{
    struct query queries[PIN_AT_ONCE], *pointers[PIN_AT_ONCE];
    for (uint32_t i = 0; i < count; i++) {
        queries[i] = request->query;
        queries[i].key = keys[i];
        queries[i].nkeys = 1;
        pointers[i] = &queries[i];
    }
    dispatch_settle(pointers, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct target *leaf = queries[i].target;
        if (!leaf || leaf->kind != TARGET_HOST) {
            pin_refuse(request, &queries[i]);
            return false;
        }
        if (*host && *host != leaf->host.host) {
            request_fail(request, FAILURE_LOCAL, "CROSSSLOT Keys in request don't hash to the same host");
            return false;
        }
        *host = leaf->host.host;
    }
    return true;
}

bool pin_request(struct request *request, const struct resp_request *scan, struct host **host)
{
    static struct key_list keys; /* reused: one thread */
    const struct query *query = &request->query;
    if (!dispatch_find_keys(request, scan))
        return false;
    if (!request->multiple)
        return !query->nkeys || pin_some(request, &query->key, 1, host);
    keys_find(query->command, query->bytes, scan, &keys);
    for (uint32_t first = 0; first < keys.count; first += PIN_AT_ONCE) {
        uint32_t left = keys.count - first;
        if (!pin_some(request, keys.at + first, left < PIN_AT_ONCE ? left : PIN_AT_ONCE, host))
            return false;
    }
    request->multiple = false;
    return true;
}
