/* Order; see order.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/order.h"

#include "base/memory.h"
#include "proxy/client.h"
#include "proxy/dispatch.h"
#include "proxy/intake.h"
#include "resp/keys.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* A command that waits. */
struct waiter {
    struct waiter *next;
    struct request *request;
    struct order_keys keys;
};

struct order {
    struct hold *holds;            /* open ones */
    uint32_t kinds[ORDER_CLIENT + 1]; /* how many of each kind */
    struct waiter *first, **last;  /* oldest first */
    struct request *alone;         /* waits for all of that; NULL: none does */
    bool changed;                  /* something may go on */
};

static const char *const names[] = {[ORDER_NONE] = "none", [ORDER_KEY] = "key", [ORDER_CLIENT] = "client"};

bool order_parse(const char *name, enum order_kind *kind)
{
    for (int i = ORDER_NONE; i <= ORDER_CLIENT; i++) {
        *kind = (enum order_kind)i;
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

const char *order_name(enum order_kind kind)
{
    return names[kind];
}

/* ---- keys ---- */

static uint64_t key_hash(const struct query *query, struct resp_arg key)
{
    return XXH64(query->bytes + key.at, key.size, 0);
}

static void keys_init(struct order_keys *keys, const struct request *request)
{
    static struct key_list list; /* reused: one thread */
    const struct query *query = &request->query;
    struct resp_request scan = {0};
    *keys = (struct order_keys){.count = query->nkeys ? 1 : 0};
    if (query->nkeys)
        keys->first = key_hash(query, query->key);
    if (!request->multiple ||
        resp_scan_request(&scan, query->bytes, query->size, UINT32_MAX) != RESP_DONE ||
        keys_find(query->command, query->bytes, &scan, &list) != KEYS_FOUND || list.count < 2)
        return;
    keys->count = list.count;
    keys->others = xcalloc(list.count - 1, sizeof *keys->others);
    for (uint32_t i = 1; i < list.count; i++)
        keys->others[i - 1] = key_hash(query, list.at[i]);
}

static void keys_deinit(struct order_keys *keys)
{
    free(keys->others);
    *keys = (struct order_keys){0};
}

static uint64_t keys_at(const struct order_keys *keys, uint32_t i)
{
    return i ? keys->others[i - 1] : keys->first;
}

/* May the one not overtake the other? */
static bool keys_meet(const struct order_keys *one, const struct order_keys *other)
{
    if (!one->count || !other->count)
        return true;
    for (uint32_t i = 0; i < one->count; i++)
        for (uint32_t k = 0; k < other->count; k++)
            if (keys_at(one, i) == keys_at(other, k))
                return true;
    return false;
}

/* ---- holds ---- */

static struct order *order_get(struct client *client)
{
    if (!client->order) {
        client->order = xcalloc(1, sizeof *client->order);
        client->order->last = &client->order->first;
    }
    return client->order;
}

/* Nothing is taken in while all has to wait. */
static void order_settle(struct client *client)
{
    const struct order *order = client->order;
    if (order->kinds[ORDER_CLIENT] || order->alone)
        client_hold_back(client);
    else
        client_let_go(client);
}

void hold_begin(struct hold *hold, struct client *client, enum order_kind kind,
                const struct request *request)
{
    struct order *order = order_get(client);
    hold->client = client;
    hold->kind = kind;
    hold->next = order->holds;
    hold->place = &order->holds;
    if (hold->next)
        hold->next->place = &hold->next;
    order->holds = hold;
    order->kinds[kind]++;
    if (kind == ORDER_KEY)
        keys_init(&hold->keys, request);
    if (kind == ORDER_CLIENT)
        order_settle(client);
}

void hold_end(struct hold *hold)
{
    if (!hold->place)
        return;
    struct client *client = hold->client;
    struct order *order = client->order;
    *hold->place = hold->next;
    if (hold->next)
        hold->next->place = hold->place;
    hold->place = NULL;
    order->kinds[hold->kind]--;
    keys_deinit(&hold->keys);
    if (hold->kind == ORDER_NONE || client->dead)
        return;
    order->changed = true;
    client_stir(client);
}

bool order_is_open(const struct client *client)
{
    return client->order && client->order->holds;
}

/* ---- what waits ---- */

static bool must_wait(const struct order *order, const struct order_keys *keys, const struct waiter *end)
{
    if (order->kinds[ORDER_CLIENT])
        return true;
    for (const struct hold *hold = order->holds; hold; hold = hold->next)
        if (hold->kind == ORDER_KEY && keys_meet(&hold->keys, keys))
            return true;
    for (const struct waiter *waiter = order->first; waiter != end; waiter = waiter->next)
        if (keys_meet(&waiter->keys, keys))
            return true;
    return false;
}

static bool is_quiet(const struct order *order)
{
    return !order->kinds[ORDER_CLIENT] && !order->kinds[ORDER_KEY] && !order->first;
}

/* An answer that is known already needs no host, and may not be there later. */
static bool is_answer(const struct request *request)
{
    const struct target *leaf = request->query.target;
    return !request->multiple && (!leaf || leaf->kind == TARGET_REPLY);
}

bool order_keeps(struct request *request)
{
    struct order *order = request->client->order;
    struct order_keys keys;
    if (is_quiet(order) || is_answer(request))
        return false;
    keys_init(&keys, request);
    if (!must_wait(order, &keys, NULL)) {
        keys_deinit(&keys);
        return false;
    }
    struct waiter *waiter = xmalloc(sizeof *waiter);
    *waiter = (struct waiter){.request = request, .keys = keys};
    request_keep_bytes(request);
    *order->last = waiter;
    order->last = &waiter->next;
    return true;
}

bool order_keeps_alone(struct client *client, struct request *request)
{
    struct order *order = client->order;
    if (is_quiet(order))
        return false;
    request_keep_bytes(request);
    order->alone = request;
    order_settle(client);
    return true;
}

static struct request *take(struct order *order, struct waiter **place)
{
    struct waiter *waiter = *place;
    struct request *request = waiter->request;
    *place = waiter->next;
    if (!*place)
        order->last = place;
    keys_deinit(&waiter->keys);
    free(waiter);
    return request;
}

/* The first that need not wait any more, or NULL. */
static struct request *take_free(struct order *order)
{
    for (struct waiter **place = &order->first; *place; place = &(*place)->next)
        if (!must_wait(order, &(*place)->keys, *place))
            return take(order, place);
    return NULL;
}

bool order_is_stirred(const struct client *client)
{
    return client->order->changed && !client->dead;
}

void order_go_on(struct client *client)
{
    struct order *order = client->order;
    struct request *request;
    if (!order->changed)
        return;
    order->changed = false;
    while (!client->dead && (request = take_free(order)))
        dispatch_routed(request);
    if (client->dead)
        return;
    request = is_quiet(order) ? order->alone : NULL;
    if (request)
        order->alone = NULL;
    order_settle(client);
    if (request)
        intake_again(client, request);
}

/* ---- the client's end ---- */

void order_eof(struct client *client)
{
    struct hold *next;
    for (struct hold *hold = client->order->holds; hold && !client->dead; hold = next) {
        next = hold->next;
        hold->left(hold, false);
    }
}

void order_leave(struct client *client)
{
    struct order *order = client->order;
    if (!order)
        return;
    while (order->first)
        client_forsake(take(order, &order->first));
    if (order->alone)
        client_forsake(order->alone);
    order->alone = NULL;
    while (order->holds) {
        struct hold *hold = order->holds;
        hold_end(hold);
        hold->left(hold, true);
    }
}

void order_destroy(struct order *order)
{
    free(order);
}
