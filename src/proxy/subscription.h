/* A subscription: one channel, pattern or shard channel that clients of a
 * cluster listen to in this worker, with its ears at the hosts.
 *
 *   PUBLISH ─► host ─► ear ─► subscription ─► its members, the clients
 *
 * The channel is the key: the router says at which host it is listened to, as
 * it would send PUBLISH. Patterns, and channels on which Redis tells what
 * happens to keys, are listened to at every host. A hub is all that the
 * clients of one cluster listen to; it lives on when the cluster is loaded anew. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/set.h"
#include "proxy/feed.h"
#include "proxy/handover.h"
#include "resp/resp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct admission_item;
struct client;
struct cluster;
struct membership;
struct proxy;

enum subscription_kind { SUBSCRIPTION_CHANNEL, SUBSCRIPTION_PATTERN, SUBSCRIPTION_SHARD, SUBSCRIPTION_KINDS };

enum subscription_state {
    SUBSCRIPTION_WAITS,  /* a host has not confirmed it yet */
    SUBSCRIPTION_READY,  /* what is published from now on is heard */
    SUBSCRIPTION_FAILED, /* a host is away or has refused it */
};

struct hub {
    struct proxy *proxy;
    struct hub *next;
    char *cluster_name;
    struct cluster *cluster; /* of the current generation; NULL: it has none of that name */
    struct set subscriptions;
    struct feed *feeds;
    struct subscription *patterns; /* those among the subscriptions */
    struct handover handover;      /* of servers that are two hosts */
    bool doubled;                  /* the cluster has some, for more than a while */
    bool mirrored;                 /* some channel is published at several hosts */
};

struct subscription {
    struct set_node node; /* first; in the hub */
    struct hub *hub;
    struct ear *ears;
    struct subscription *next_pattern, *previous_pattern; /* the hub's */
    struct membership **members;                          /* who listens, in no order */
    uint32_t count, room;                                 /* of members */
    uint32_t pins;                                        /* it is in use by a function or an admission */
    struct admission_item *waiting;                       /* those that wait for its hosts */
    bool everywhere;                                      /* it listens at several hosts */
    double doubled; /* until then (proxy clock) a server may be heard twice */
    enum subscription_kind kind;
    uint32_t size; /* of the name */
    char name[];
};

/* The hub of a client's cluster, made when there is none. */
struct hub *hub_of(const struct client *client);
/* A new generation, or a host that went down or came back: listens where the
 * router says now; the old host until the new one has confirmed. */
void hub_adopt(struct proxy *proxy);
void hub_turn_end(struct proxy *proxy);
/* The janitor's part. */
void hub_tick(struct proxy *proxy);
/* The worker leaves: ends all subscriptions, and when their links are gone, the hubs. */
void hub_close_all(struct proxy *proxy);
void hub_destroy_all(struct proxy *proxy);

struct subscription *subscription_find(const struct hub *hub, enum subscription_kind kind, const char *name,
                                       size_t size);
/* Found, or made and its hosts asked; pinned. NULL with an error line's text
 * when the router names no host (the text is good until the next call). */
struct subscription *subscription_get(struct hub *hub, struct client *client, enum subscription_kind kind,
                                      const char *name, size_t size, const char **error);
/* The last pin of a subscription without members ends it. */
void subscription_unpin(struct subscription *subscription);

/* With SUBSCRIPTION_FAILED, *error is the error line's text (NULL: not wanted). */
enum subscription_state subscription_state(const struct subscription *subscription, const char **error);
/* Something has changed at its hosts: tells those who wait. */
void subscription_settle(struct subscription *subscription);
/* Does what this ear hears come from that host, maybe under its options of before a reload? */
bool subscription_stands_for(const struct ear *ear, const struct host *host);
/* Must this ear be active for the subscription to be complete? */
bool subscription_needs(const struct ear *ear);
/* Closes its clients. */
void subscription_abandon(struct subscription *subscription, const char *reason);

/* A membership comes and goes. */
void subscription_add(struct subscription *subscription, struct membership *membership);
void subscription_remove(struct subscription *subscription, struct membership *membership);

/* A message has come: hands it to the members. */
void subscription_deliver(struct feed *feed, enum subscription_kind kind, const struct reply *reply,
                          const struct resp_request *scan);
