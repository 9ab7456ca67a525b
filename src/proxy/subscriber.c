/* Subscribers; see subscriber.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/subscriber.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "proxy/client.h"
#include "proxy/policy.h"
#include "proxy/transaction.h"

static struct set memberships; /* of all clients: is this one of that subscription? */

static uint64_t membership_hash(const struct client *client, const struct subscription *subscription)
{
    return hash_mix((uintptr_t)client) ^ (uintptr_t)subscription;
}

static struct membership *membership_find(const struct client *client,
                                          const struct subscription *subscription)
{
    struct set_node *node = set_find(&memberships, membership_hash(client, subscription));
    for (; node; node = set_next(node)) {
        struct membership *membership = (struct membership *)node;
        if (membership->client == client && membership->subscription == subscription)
            return membership;
    }
    return NULL;
}

void subscriber_add(struct client *client, struct subscription *subscription)
{
    enum subscription_kind kind = subscription->kind;
    if (membership_find(client, subscription))
        return;
    if (!client->subscriber)
        client->subscriber = xcalloc(1, sizeof *client->subscriber);
    struct subscriber *subscriber = client->subscriber;
    struct membership *membership = xcalloc(1, sizeof *membership);
    membership->client = client;
    membership->subscription = subscription;
    membership->previous = subscriber->last[kind];
    *(membership->previous ? &membership->previous->next : &subscriber->first[kind]) = membership;
    subscriber->last[kind] = membership;
    subscriber->counts[kind]++;
    set_add(&memberships, &membership->node, membership_hash(client, subscription));
    subscription_add(subscription, membership);
}

static void membership_end(struct membership *membership)
{
    struct subscription *subscription = membership->subscription;
    struct subscriber *subscriber = membership->client->subscriber;
    enum subscription_kind kind = subscription->kind;
    *(membership->previous ? &membership->previous->next : &subscriber->first[kind]) = membership->next;
    *(membership->next ? &membership->next->previous : &subscriber->last[kind]) = membership->previous;
    subscriber->counts[kind]--;
    set_remove(&memberships, &membership->node);
    subscription_remove(subscription, membership);
    free(membership);
}

/* One that listens to nothing any more is none. */
static void subscriber_settle(struct client *client)
{
    const struct subscriber *subscriber = client->subscriber;
    for (int kind = 0; kind < SUBSCRIPTION_KINDS; kind++)
        if (subscriber->counts[kind])
            return;
    free(client->subscriber);
    client->subscriber = NULL;
}

void subscriber_remove(struct client *client, struct subscription *subscription)
{
    struct membership *membership = membership_find(client, subscription);
    if (!membership)
        return;
    membership_end(membership);
    subscriber_settle(client);
}

struct subscription *subscriber_first(const struct client *client, enum subscription_kind kind)
{
    const struct subscriber *subscriber = client->subscriber;
    return subscriber && subscriber->first[kind] ? subscriber->first[kind]->subscription : NULL;
}

uint32_t subscriber_count_of(const struct client *client, enum subscription_kind kind)
{
    return client->subscriber ? client->subscriber->counts[kind] : 0;
}

uint32_t subscriber_count(const struct client *client, enum subscription_kind kind)
{
    if (kind == SUBSCRIPTION_SHARD)
        return subscriber_count_of(client, kind);
    return subscriber_count_of(client, SUBSCRIPTION_CHANNEL) +
           subscriber_count_of(client, SUBSCRIPTION_PATTERN);
}

void subscriber_drop(struct client *client)
{
    struct subscriber *subscriber = client->subscriber;
    if (!subscriber)
        return;
    for (int kind = 0; kind < SUBSCRIPTION_KINDS; kind++)
        while (subscriber->first[kind])
            membership_end(subscriber->first[kind]);
    free(subscriber);
    client->subscriber = NULL;
}

bool subscriber_refuses(struct client *client, struct request *request)
{
    const struct command *command = request->query.command;
    if (!client->subscriber || client->resp == 3 || policy_of(command)->listener)
        return false;
    bool aborts = transaction_aborts(client, command);
    request_fail(request, FAILURE_LOCAL,
                 "%s Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
                 "allowed in this context",
                 aborts ? "EXECABORT Transaction discarded because of:" : "ERR", command->name);
    return true;
}
