/* Feeds and their ears; see feed.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/feed.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/stats.h"
#include "proxy/cluster.h"
#include "proxy/host.h"
#include "proxy/keyspace.h"
#include "proxy/link.h"
#include "proxy/proxy.h"
#include "proxy/subscription.h"
#include "proxy/turnout.h"
#include "resp/writer.h"

/* A host that is not named by the router any more is listened to for this many
 * seconds more: other workers may still publish there. */
static const double LINGER = 1.0;

static double feed_now(const struct feed *feed)
{
    return feed->hub->proxy->clock;
}

static const struct receiver feed_receiver;

/* ---- feeds ---- */

static struct feed *feed_of(struct hub *hub, struct host *host)
{
    for (struct feed *feed = hub->feeds; feed; feed = feed->next)
        if (feed->host == host)
            return feed;
    struct feed *feed = xcalloc(1, sizeof *feed);
    feed->hub = hub;
    feed->host = host;
    feed->link = host_own_link(host, link_lane(0, LINK_FEED, 2));
    feed->link->receiver = &feed_receiver;
    feed->link->owner = feed;
    feed->next = hub->feeds;
    hub->feeds = feed;
    return feed;
}

/* ---- what is said to the host ---- */

static const char *const subscribe_words[] = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"};
static const char *const unsubscribe_words[] = {"UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"};

static struct writer command_of(const struct ear *ear, const char *const words[])
{
    const struct subscription *subscription = ear->subscription;
    struct writer out = {0};
    char *name;
    size_t size;
    keyspace_shift(subscription->name, subscription->size, ear->feed->host->options.db, &name, &size);
    writer_array(&out, 2);
    writer_text(&out, words[subscription->kind]);
    writer_bulk(&out, name ? name : subscription->name, name ? size : subscription->size);
    free(name);
    return out;
}

/* ---- farewells ---- */

struct farewell {
    struct request *request;
    struct writer reply;
    uint32_t left; /* ears, and one while it is open */
};

static struct farewell *open_farewell;

static void farewell_leave(struct farewell *farewell)
{
    if (--farewell->left)
        return;
    request_answer(farewell->request, farewell->reply.data, farewell->reply.size);
    writer_deinit(&farewell->reply);
    free(farewell);
}

struct farewell *farewell_begin(struct request *request)
{
    struct farewell *farewell = xcalloc(1, sizeof *farewell);
    farewell->request = request;
    farewell->left = 1;
    open_farewell = farewell;
    return farewell;
}

void farewell_end(struct farewell *farewell, struct writer *reply)
{
    farewell->reply = *reply;
    *reply = (struct writer){0};
    open_farewell = NULL;
    farewell_leave(farewell);
}

/* ---- requests of ears ---- */

static void ear_free_if_done(struct ear *ear)
{
    if (ear->subscription || ear->pending)
        return;
    free(ear->error);
    free(ear);
}

static void ear_send(struct ear *ear, const char *const words[], request_done *done)
{
    struct writer bytes = command_of(ear, words);
    struct request *request = request_get();
    request->query.bytes = bytes.data;
    request->query.size = (uint32_t)bytes.size;
    request->done = done;
    request->context = ear;
    ear->pending++;
    link_send(ear->feed->link, request);
    writer_deinit(&bytes);
}

static void ear_fail(struct ear *ear, enum ear_state state, const struct reply *reply)
{
    ear->state = state;
    free(ear->error);
    ear->error = xstrndup(reply->bytes + 1, reply->size - 3);
}

static void ear_confirmed(struct request *request, const struct reply *reply)
{
    struct ear *ear = request->context;
    request_put(request);
    ear->pending--;
    ear->asked = false;
    if (!ear->subscription) {
        ear_free_if_done(ear);
        return;
    }
    if (reply->failure != FAILURE_NONE)
        ear_fail(ear, EAR_DEAF, reply);
    else if (reply->bytes[0] == '-')
        ear_fail(ear, EAR_REFUSED, reply);
    else
        ear->state = EAR_ACTIVE;
    ear->feed->late |= reply->failure == FAILURE_TIMEOUT;
    ear->feed->refused |= ear->state == EAR_REFUSED;
    turnout_update(ear->subscription);
    subscription_settle(ear->subscription);
}

static void ear_ended(struct request *request, const struct reply *reply)
{
    struct ear *ear = request->context;
    (void)reply;
    request_put(request);
    ear->pending--;
    if (ear->farewell)
        farewell_leave(ear->farewell);
    ear_free_if_done(ear);
}

static void ear_ask(struct ear *ear)
{
    ear->asked = true;
    ear->state = EAR_ASKED;
    ear_send(ear, subscribe_words, ear_confirmed);
}

/* Tells the host, if it knows of the ear. */
static void ear_say_farewell(struct ear *ear)
{
    if (ear->state != EAR_ACTIVE && !ear->asked)
        return;
    ear->farewell = open_farewell;
    if (open_farewell)
        open_farewell->left++;
    ear_send(ear, unsubscribe_words, ear_ended);
}

/* ---- ears ---- */

static void ear_enlist(struct ear *ear)
{
    struct feed *feed = ear->feed;
    ear->feed_next = feed->ears;
    if (feed->ears)
        feed->ears->feed_previous = ear;
    feed->ears = ear;
    feed->link->keep = true;
}

static void ear_delist(struct ear *ear)
{
    struct feed *feed = ear->feed;
    *(ear->feed_previous ? &ear->feed_previous->feed_next : &feed->ears) = ear->feed_next;
    if (ear->feed_next)
        ear->feed_next->feed_previous = ear->feed_previous;
    if (feed->ears)
        return;
    feed->link->keep = false; /* it closes when nobody has needed it for a while */
    feed->lost = false;
}

/* The first ear of a link that nobody kept up: it need not rest any more, when there is hope. */
static void feed_wake(struct feed *feed)
{
    struct link *link = feed->link;
    if (link->state != LINK_RESTING || (feed_now(feed) < link->retry_at && !host_is_connected(feed->host)))
        return;
    link->state = LINK_IDLE;
    link->tries = 0;
}

struct ear *ear_open(struct subscription *subscription, struct host *host, struct generation *generation)
{
    struct ear *ear = xcalloc(1, sizeof *ear);
    ear->subscription = subscription;
    ear->feed = feed_of(subscription->hub, host);
    if (!ear->feed->ears)
        feed_wake(ear->feed);
    ear->generation = generation;
    generation_ref(generation);
    ear->next = subscription->ears;
    subscription->ears = ear;
    ear_enlist(ear);
    ear_ask(ear);
    return ear;
}

void ear_close(struct ear *ear)
{
    struct ear **place = &ear->subscription->ears;
    while (*place != ear)
        place = &(*place)->next;
    *place = ear->next;
    ear->pending++; /* not freed before all is done here */
    ear_say_farewell(ear);
    turnout_forget(ear);
    turnout_update(ear->subscription);
    ear->feed->leaving -= ear->leaving;
    ear_delist(ear);
    generation_leave(ear->generation);
    ear->subscription = NULL;
    ear->pending--;
    ear_free_if_done(ear);
}

void ear_stay(struct ear *ear, struct generation *generation)
{
    generation_ref(generation);
    generation_leave(ear->generation);
    ear->generation = generation;
    ear->feed->leaving -= ear->leaving;
    ear->leaving = false;
}

void ear_leave(struct ear *ear)
{
    if (ear->leaving)
        return;
    ear->leaving = true;
    ear->left_at = feed_now(ear->feed);
    ear->feed->leaving++;
}

/* ---- the link ---- */

static void feed_connected(void *owner)
{
    struct feed *feed = owner;
    uint32_t count = 0;
    for (struct ear *ear = feed->ears; ear; ear = ear->feed_next) {
        if (!ear->asked) {
            ear_ask(ear);
            count++;
        }
    }
    if (feed->lost && count > 0)
        log_info("host %s of cluster %s is back: %u subscriptions are made again",
                 feed->host->options.identifier, feed->host->options.cluster, count);
    feed->lost = false;
}

static void feed_lost(void *owner, const char *reason)
{
    struct feed *feed = owner;
    char *error = xformat("ERR host %s is down: %s", feed->host->options.identifier, reason);
    uint32_t count = 0;
    for (struct ear *ear = feed->ears; ear; ear = ear->feed_next) {
        if (ear->state == EAR_ACTIVE) {
            ear->state = EAR_DEAF;
            free(ear->error);
            ear->error = xstrdup(error);
            turnout_update(ear->subscription);
            count++;
        }
    }
    if (!feed->lost && feed->ears) {
        feed->lost = true;
        feed->lost_at = feed_now(feed);
    }
    if (count > 0)
        log_warn("host %s of cluster %s: %u subscriptions wait for it: %s", feed->host->options.identifier,
                 feed->host->options.cluster, count, reason);
    free(error);
}

static void feed_ended(void *owner)
{
    struct feed *feed = owner;
    struct feed **place = &feed->hub->feeds;
    while (*place != feed)
        place = &(*place)->next;
    *place = feed->next;
    free(feed);
}

/* ---- messages ---- */

static bool begins(const struct reply *reply, const char *head, size_t size)
{
    return reply->size > size && memcmp(reply->bytes, head, size) == 0;
}

static bool feed_takes(void *owner, const struct reply *reply)
{
    struct feed *feed = owner;
    static const struct {
        const char *head;
        size_t size;
    } heads[] = {
        [SUBSCRIPTION_CHANNEL] = {"*3\r\n$7\r\nmessage\r\n", 17},
        [SUBSCRIPTION_PATTERN] = {"*4\r\n$8\r\npmessage\r\n", 18},
        [SUBSCRIPTION_SHARD] = {"*3\r\n$8\r\nsmessage\r\n", 18},
    };
    struct resp_request scan = {0};
    enum subscription_kind kind = SUBSCRIPTION_CHANNEL;
    while (kind < SUBSCRIPTION_KINDS && !begins(reply, heads[kind].head, heads[kind].size))
        kind++;
    if (kind == SUBSCRIPTION_KINDS || reply->size > UINT32_MAX ||
        resp_scan_request(&scan, reply->bytes, reply->size, UINT32_MAX) != RESP_DONE)
        return false;
    stats->messages_received++;
    subscription_deliver(feed, kind, reply, &scan);
    return true;
}

static const struct receiver feed_receiver = {
    .connected = feed_connected, .lost = feed_lost, .ended = feed_ended, .takes = feed_takes};

/* ---- the janitor ---- */

/* Is its time over? Clients that it has failed for good are closed. */
static bool ear_tick(const struct ear *ear, bool overdue)
{
    struct subscription *subscription = ear->subscription;
    if (ear->leaving)
        return feed_now(ear->feed) - ear->left_at > LINGER &&
               (overdue || subscription_state(subscription, NULL) == SUBSCRIPTION_READY);
    bool failed = ear->state == EAR_REFUSED || (overdue && ear->state == EAR_DEAF);
    if (failed && subscription_needs(ear))
        subscription_abandon(subscription, ear->error);
    return false;
}

void feed_tick(struct feed *feed)
{
    double now = feed_now(feed);
    bool overdue = feed->lost && now - feed->lost_at > feed->host->options.retry_timeout;
    if (feed->late)
        link_break(feed->link, "it did not confirm a subscription in time");
    feed->late = false;
    if (!overdue && !feed->leaving && !feed->refused)
        return;
    feed->refused = false;
    for (struct ear *ear = feed->ears, *next; ear; ear = next) {
        struct subscription *subscription = ear->subscription;
        subscription->pins++; /* closing clients may end any ears but this one */
        bool over = ear_tick(ear, overdue);
        next = ear->feed_next;
        if (over)
            ear_close(ear);
        subscription_unpin(subscription);
    }
}
