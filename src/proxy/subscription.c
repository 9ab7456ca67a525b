/* Subscriptions and hubs; see subscription.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/subscription.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/crowd.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stats.h"
#include "proxy/admission.h"
#include "proxy/client.h"
#include "proxy/cluster.h"
#include "proxy/keyspace.h"
#include "proxy/listener.h"
#include "proxy/placement.h"
#include "proxy/proxy.h"
#include "proxy/subscriber.h"
#include "proxy/turnout.h"
#include "resp/writer.h"

/* ---- found by name ---- */

static uint64_t name_hash(enum subscription_kind kind, const char *name, size_t size)
{
    return set_hash(name, size, (uint64_t)kind);
}

struct subscription *subscription_find(const struct hub *hub, enum subscription_kind kind, const char *name,
                                       size_t size)
{
    struct set_node *node = set_find(&hub->subscriptions, name_hash(kind, name, size));
    for (; node; node = set_next(node)) {
        struct subscription *subscription = (struct subscription *)node;
        if (subscription->kind == kind && subscription->size == size &&
            memcmp(subscription->name, name, size) == 0)
            return subscription;
    }
    return NULL;
}

static void pattern_enlist(struct subscription *pattern)
{
    struct hub *hub = pattern->hub;
    pattern->next_pattern = hub->patterns;
    if (hub->patterns)
        hub->patterns->previous_pattern = pattern;
    hub->patterns = pattern;
}

static void pattern_delist(struct subscription *pattern)
{
    struct subscription *next = pattern->next_pattern, *previous = pattern->previous_pattern;
    *(previous ? &previous->next_pattern : &pattern->hub->patterns) = next;
    if (next)
        next->previous_pattern = previous;
}

static struct subscription *subscription_create(struct hub *hub, enum subscription_kind kind,
                                                const char *name, size_t size)
{
    struct subscription *subscription = xcalloc(1, sizeof *subscription + size + 1);
    subscription->hub = hub;
    subscription->kind = kind;
    subscription->size = (uint32_t)size;
    memcpy(subscription->name, name, size);
    subscription->everywhere =
        kind == SUBSCRIPTION_PATTERN || (kind == SUBSCRIPTION_CHANNEL && keyspace_is(name, size));
    set_add(&hub->subscriptions, &subscription->node, name_hash(kind, name, size));
    if (kind == SUBSCRIPTION_PATTERN)
        pattern_enlist(subscription);
    return subscription;
}

static void subscription_end_if_unused(struct subscription *subscription)
{
    if (subscription->count || subscription->pins)
        return;
    while (subscription->ears)
        ear_close(subscription->ears);
    if (subscription->kind == SUBSCRIPTION_PATTERN)
        pattern_delist(subscription);
    set_remove(&subscription->hub->subscriptions, &subscription->node);
    free(subscription->members);
    free(subscription);
}

void subscription_unpin(struct subscription *subscription)
{
    subscription->pins--;
    subscription_end_if_unused(subscription);
}

/* ---- its hosts ---- */

static struct ear *ear_at(const struct subscription *subscription, const struct host *host)
{
    struct ear *ear = subscription->ears;
    while (ear && ear->feed->host != host)
        ear = ear->next;
    return ear;
}

static bool is_among(const struct placement *placement, const struct host *host)
{
    for (uint32_t i = 0; i < placement->count; i++)
        if (placement->hosts[i] == host)
            return true;
    return false;
}

bool subscription_stands_for(const struct ear *ear, const struct host *host)
{
    const struct host *own = ear->feed->host;
    return own == host || (ear->leaving && !strcmp(own->options.address, host->options.address));
}

static bool is_same_server(const struct host *one, const struct host *other)
{
    return one != other && !strcmp(one->options.address, other->options.address);
}

/* Does it listen to one server as two hosts, as the old one and the new or in two databases? */
static bool is_doubled(const struct subscription *subscription)
{
    const struct ear *first = subscription->ears;
    for (const struct ear *one = first; one; one = one->next)
        if (one->leaving || subscription->hub->doubled)
            for (const struct ear *other = first; other; other = other->next)
                if (is_same_server(one->feed->host, other->feed->host))
                    return true;
    return false;
}

/* Listens where the router says. The placement is used up before anything can ask for another. */
static void listen_at(struct subscription *subscription, const struct placement *placement)
{
    struct generation *generation = subscription->hub->cluster->generation;
    struct placement own = *placement;
    own.hosts = xmalloc((size_t)own.count * sizeof *own.hosts);
    memcpy(own.hosts, placement->hosts, (size_t)own.count * sizeof *own.hosts);
    subscription->everywhere |= own.count > 1;
    subscription->pins++;
    for (struct ear *ear = subscription->ears; ear; ear = ear->next) {
        if (is_among(&own, ear->feed->host))
            ear_stay(ear, generation);
        else
            ear_leave(ear);
    }
    for (uint32_t i = 0; i < own.count; i++)
        if (!ear_at(subscription, own.hosts[i]))
            ear_open(subscription, own.hosts[i], generation);
    if (is_doubled(subscription))
        subscription->doubled = INFINITY;
    free(own.hosts);
    subscription->pins--;
}

struct subscription *subscription_get(struct hub *hub, struct client *client, enum subscription_kind kind,
                                      const char *name, size_t size, const char **error)
{
    struct subscription *subscription = subscription_find(hub, kind, name, size);
    if (!subscription) {
        struct placement placement = placement_find(hub->cluster, client, kind, name, size);
        *error = placement.error;
        if (!placement.count)
            return NULL;
        subscription = subscription_create(hub, kind, name, size);
        listen_at(subscription, &placement);
    }
    subscription->pins++;
    return subscription;
}

/* A host that is down and that routers go around need not be listened to. */
bool subscription_needs(const struct ear *ear)
{
    const struct host *host = ear->feed->host;
    const struct subscription *subscription = ear->subscription;
    bool avoided = host->down && (host->seats || subscription->hub->mirrored);
    return !ear->leaving && !(avoided && subscription->everywhere);
}

enum subscription_state subscription_state(const struct subscription *subscription, const char **error)
{
    bool waits = false, any = false;
    const char *why = "ERR no host listens";
    for (const struct ear *ear = subscription->ears; ear; ear = ear->next) {
        any |= ear->state == EAR_ACTIVE && !ear->leaving;
        if (ear->state != EAR_ACTIVE && ear->state != EAR_ASKED && ear->error)
            why = ear->error;
        if (ear->state == EAR_ACTIVE || !subscription_needs(ear))
            continue;
        if (ear->state != EAR_ASKED) {
            if (error)
                *error = ear->error ? ear->error : why;
            return SUBSCRIPTION_FAILED;
        }
        waits = true;
    }
    if (error)
        *error = why;
    return waits ? SUBSCRIPTION_WAITS : any ? SUBSCRIPTION_READY : SUBSCRIPTION_FAILED;
}

void subscription_settle(struct subscription *subscription)
{
    const char *error;
    if (!subscription->waiting || subscription_state(subscription, &error) == SUBSCRIPTION_WAITS)
        return;
    subscription->pins++;
    admission_wake(&subscription->waiting);
    subscription_unpin(subscription);
}

/* ---- its members ---- */

void subscription_add(struct subscription *subscription, struct membership *membership)
{
    if (subscription->count == subscription->room) {
        subscription->room = subscription->room ? 2 * subscription->room : 1;
        subscription->members =
            xrealloc(subscription->members, subscription->room * sizeof(struct membership *));
    }
    if (subscription->count == 0)
        crowd_add_name(subscription->kind, 1);
    membership->index = subscription->count;
    subscription->members[subscription->count++] = membership;
    turnout_update(subscription);
}

void subscription_remove(struct subscription *subscription, struct membership *membership)
{
    struct membership *last = subscription->members[--subscription->count];
    subscription->members[membership->index] = last;
    last->index = membership->index;
    if (subscription->count == 0)
        crowd_add_name(subscription->kind, -1);
    turnout_update(subscription);
    subscription_end_if_unused(subscription);
}

void subscription_abandon(struct subscription *subscription, const char *reason)
{
    if (!subscription->count)
        return;
    char *why = xformat("the subscription to '%.*s' is lost: %s",
                        subscription->size < 128 ? (int)subscription->size : 128, subscription->name, reason);
    log_warn("%u clients of cluster %s are closed: %s", subscription->count, subscription->hub->cluster_name,
             why);
    subscription->pins++;
    while (subscription->count)
        client_close(subscription->members[subscription->count - 1]->client, why);
    subscription_unpin(subscription);
    free(why);
}

/* ---- messages ---- */

struct word {
    const char *bytes;
    size_t size;
};

/* Messages of this size are not copied for each member. */
enum { SHARE_FROM = 16 * 1024 };

/* What goes to the members: in RESP3 a message is a push, the same bytes but for the first. */
struct copies {
    const char *bytes;
    size_t size;
    struct shared *shared[2]; /* of RESP2 and RESP3; NULL: not needed yet */
    char *push;               /* a small one in RESP3, or NULL */
};

static bool hand_shared(struct copies *copies, struct client *client)
{
    struct shared **shared = &copies->shared[client->resp == 3];
    if (!*shared) {
        *shared = shared_create(copies->bytes, copies->size);
        if (client->resp == 3)
            (*shared)->bytes[0] = '>';
    }
    return client_push_shared(client, *shared);
}

static bool hand_to(struct copies *copies, struct client *client)
{
    if (copies->size >= SHARE_FROM)
        return hand_shared(copies, client);
    if (client->resp != 3)
        return client_push(client, copies->bytes, copies->size);
    if (!copies->push) {
        copies->push = xmalloc(copies->size);
        memcpy(copies->push, copies->bytes, copies->size);
        copies->push[0] = '>';
    }
    return client_push(client, copies->push, copies->size);
}

/* Goes down from the last member, for one that is closed has its place taken by that. */
static void hand_out(struct subscription *subscription, const char *bytes, size_t size)
{
    struct copies copies = {.bytes = bytes, .size = size};
    subscription->pins++;
    for (uint32_t i = subscription->count; i-- > 0;)
        if (i < subscription->count)
            stats->messages_sent += hand_to(&copies, subscription->members[i]->client);
    subscription_unpin(subscription);
    shared_release(copies.shared[0]);
    shared_release(copies.shared[1]);
    free(copies.push);
}

/* With the numbers of databases as clients count them. */
static void hand_out_shifted(struct subscription *subscription, const struct word *words, uint32_t count,
                             int32_t offset)
{
    struct writer out = {0};
    bool exists = true;
    writer_array(&out, count);
    for (uint32_t i = 0; i < count; i++) {
        char *name = NULL;
        size_t size;
        if (i > 0 && i + 1 < count) /* pattern and channel */
            exists = keyspace_shift(words[i].bytes, words[i].size, offset, &name, &size) && exists;
        writer_bulk(&out, name ? name : words[i].bytes, name ? size : words[i].size);
        free(name);
    }
    if (exists)
        hand_out(subscription, out.data, out.size);
    writer_deinit(&out);
}

static struct subscription *addressee(struct hub *hub, enum subscription_kind kind, const struct word *name,
                                      int32_t offset)
{
    char *own;
    size_t size;
    if (!keyspace_shift(name->bytes, name->size, offset, &own, &size))
        return NULL;
    struct subscription *subscription =
        subscription_find(hub, kind, own ? own : name->bytes, own ? size : name->size);
    free(own);
    return subscription;
}

/* Has this message come already, from the same server as another host? */
static bool is_second_copy(struct subscription *subscription, const struct ear *ear,
                           const struct reply *reply, const struct word *channel)
{
    struct hub *hub = subscription->hub;
    const struct host *host = ear->feed->host;
    double now = hub->proxy->clock;
    if (subscription->doubled <= now)
        return false;
    if (subscription->doubled == INFINITY && !is_doubled(subscription))
        subscription->doubled = now + HANDOVER_PATIENCE;
    uint64_t seed = (uintptr_t)subscription; /* events of keys have other names in other databases */
    seed += keyspace_is(channel->bytes, channel->size) ? (uint64_t)host->options.db : 0;
    uint64_t server = set_hash(host->options.address, strlen(host->options.address), seed);
    return !handover_counts(&hub->handover, set_hash(reply->bytes, reply->size, server), host, now);
}

/* Of what several hosts say in the same words, one counts. */
static bool counts(const struct subscription *subscription, const struct ear *ear, const struct word *channel,
                   const struct word *payload)
{
    const char *key = channel->bytes, *word = "publish";
    size_t size = channel->size;
    if (!subscription->everywhere || !subscription->hub->mirrored)
        return true;
    if (keyspace_key(channel->bytes, channel->size, payload->bytes, payload->size, &key, &size))
        word = "set";
    return placement_counts(subscription, ear, word, key, size);
}

void subscription_deliver(struct feed *feed, enum subscription_kind kind, const struct reply *reply,
                          const struct resp_request *scan)
{
    struct word words[RESP_ARGS];
    uint32_t count = scan->argc, channel = count - 2;
    int32_t offset = -feed->host->options.db;
    for (uint32_t i = 0; i < count; i++)
        words[i] = (struct word){reply->bytes + scan->args[i].at, scan->args[i].size};
    struct subscription *subscription = addressee(feed->hub, kind, &words[1], offset);
    const struct ear *ear = subscription ? ear_at(subscription, feed->host) : NULL;
    if (!ear || !subscription->count || !counts(subscription, ear, &words[channel], &words[count - 1]) ||
        is_second_copy(subscription, ear, reply, &words[channel]))
        return;
    if (offset != 0 && keyspace_is(words[channel].bytes, words[channel].size))
        hand_out_shifted(subscription, words, count, offset);
    else
        hand_out(subscription, reply->bytes, reply->size);
}

/* ---- hubs ---- */

static struct hub *hub_named(struct proxy *proxy, const char *name)
{
    for (struct hub *hub = proxy->hubs; hub; hub = hub->next)
        if (!strcmp(hub->cluster_name, name))
            return hub;
    struct hub *hub = xcalloc(1, sizeof *hub);
    hub->proxy = proxy;
    hub->cluster_name = xstrdup(name);
    hub->next = proxy->hubs;
    proxy->hubs = hub;
    return hub;
}

/* Are two of its hosts databases of one server? */
static bool has_doubles(const struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (is_same_server(cluster->hosts[i], cluster->hosts[k]))
                return true;
    return false;
}

static void hub_update(struct hub *hub)
{
    const struct generation *generation = hub->proxy->generation;
    hub->cluster = generation ? generation_find(generation, hub->cluster_name) : NULL;
    hub->mirrored = hub->cluster && placement_is_mirrored(hub->cluster);
    hub->doubled = hub->cluster && has_doubles(hub->cluster);
}

struct hub *hub_of(const struct client *client)
{
    struct hub *hub = hub_named(client->proxy, client->listener->cluster_name);
    if (!hub->cluster)
        hub_update(hub);
    return hub;
}

/* All of them now, pinned: what is done to one may end another. */
static struct subscription **hub_take_all(const struct hub *hub, size_t *count)
{
    struct subscription **all = xmalloc((hub->subscriptions.count + 1) * sizeof *all);
    *count = 0;
    for (size_t i = 0; i < hub->subscriptions.room; i++) {
        for (struct set_node *node = hub->subscriptions.buckets[i]; node; node = node->next) {
            all[*count] = (struct subscription *)node;
            all[(*count)++]->pins++;
        }
    }
    return all;
}

static void listen_anew(struct subscription *subscription)
{
    const struct hub *hub = subscription->hub;
    struct placement placement = {.error = "the cluster is no longer configured"};
    if (hub->cluster)
        placement =
            placement_find(hub->cluster, NULL, subscription->kind, subscription->name, subscription->size);
    if (placement.count) {
        listen_at(subscription, &placement);
    } else {
        subscription_abandon(subscription, placement.error);
        while (subscription->ears)
            ear_close(subscription->ears);
    }
    subscription_settle(subscription);
}

static void hub_listen_anew(struct hub *hub)
{
    size_t count;
    struct subscription **all = hub_take_all(hub, &count);
    for (size_t i = 0; i < count; i++) {
        listen_anew(all[i]);
        subscription_unpin(all[i]);
    }
    free(all);
}

void hub_adopt(struct proxy *proxy)
{
    proxy->hubs_stale = false;
    for (struct hub *hub = proxy->hubs; hub; hub = hub->next) {
        hub_update(hub);
        hub_listen_anew(hub);
    }
}

void hub_turn_end(struct proxy *proxy)
{
    if (!proxy->hubs_stale)
        return;
    proxy->hubs_stale = false;
    for (struct hub *hub = proxy->hubs; hub; hub = hub->next)
        hub_listen_anew(hub);
}

void hub_tick(struct proxy *proxy)
{
    for (struct hub *hub = proxy->hubs; hub; hub = hub->next) {
        for (struct feed *feed = hub->feeds; feed; feed = feed->next)
            feed_tick(feed);
        handover_tick(&hub->handover, proxy->clock);
    }
}

void hub_close_all(struct proxy *proxy)
{
    for (struct hub *hub = proxy->hubs; hub; hub = hub->next) {
        hub->cluster = NULL;
        hub_listen_anew(hub);
    }
}

void hub_destroy_all(struct proxy *proxy)
{
    while (proxy->hubs) {
        struct hub *hub = proxy->hubs;
        proxy->hubs = hub->next;
        set_deinit(&hub->subscriptions);
        handover_deinit(&hub->handover);
        free(hub->cluster_name);
        free(hub);
    }
}
