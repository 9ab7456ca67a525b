/* A subscriber: what one client listens to, while it listens to anything.
 *
 * In RESP2 such a client may only subscribe, unsubscribe, PING, QUIT and
 * RESET; in RESP3 everything. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/set.h"
#include "proxy/subscription.h"

#include <stdbool.h>
#include <stdint.h>

struct client;
struct request;

struct membership {
    struct set_node node; /* first; by client and subscription */
    struct client *client;
    struct subscription *subscription;
    struct membership *next, *previous; /* of the client and this kind, oldest first */
    uint32_t index;                     /* in the subscription's members */
};

struct subscriber {
    struct membership *first[SUBSCRIPTION_KINDS], *last[SUBSCRIPTION_KINDS];
    uint32_t counts[SUBSCRIPTION_KINDS];
};

/* Nothing happens when it is one already, or is none. */
void subscriber_add(struct client *client, struct subscription *subscription);
void subscriber_remove(struct client *client, struct subscription *subscription);
/* Its oldest one of a kind, or NULL. */
struct subscription *subscriber_first(const struct client *client, enum subscription_kind kind);
/* The number in a confirmation: channels and patterns together, or shard channels. */
uint32_t subscriber_count(const struct client *client, enum subscription_kind kind);
uint32_t subscriber_count_of(const struct client *client, enum subscription_kind kind);
/* It leaves, or RESET. */
void subscriber_drop(struct client *client);

/* Refuses what a subscriber may not do. true: the request has been failed. */
bool subscriber_refuses(struct client *client, struct request *request);
