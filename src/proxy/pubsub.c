/* Subscribing and unsubscribing; see pubsub.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/pubsub.h"

#include "proxy/admission.h"
#include "proxy/call.h"
#include "proxy/session.h"
#include "proxy/subscriber.h"

void pubsub_confirm(struct writer *out, const struct client *client, enum pubsub_news news,
                    enum subscription_kind kind, const char *name, size_t size)
{
    static const char *const words[][SUBSCRIPTION_KINDS] = {
        [PUBSUB_SUBSCRIBED] = {"subscribe", "psubscribe", "ssubscribe"},
        [PUBSUB_UNSUBSCRIBED] = {"unsubscribe", "punsubscribe", "sunsubscribe"},
    };
    writer_push(out, 3);
    writer_text(out, words[news][kind]);
    if (name)
        writer_bulk(out, name, size);
    else
        writer_null(out);
    writer_integer(out, subscriber_count(client, kind));
}

/* ---- SUBSCRIBE ---- */

static void start(struct client *client, struct request *request, enum subscription_kind kind)
{
    session_settle(client);
    if (client_cluster(client)) {
        admission_begin(client, request, kind);
        return;
    }
    request->done = session_answered;
    request_fail(request, FAILURE_LOCAL, "ERR the cluster is no longer configured");
}

static void start_channels(struct client *client, struct request *request)
{
    start(client, request, SUBSCRIPTION_CHANNEL);
}

static void start_patterns(struct client *client, struct request *request)
{
    start(client, request, SUBSCRIPTION_PATTERN);
}

static void start_shard(struct client *client, struct request *request)
{
    start(client, request, SUBSCRIPTION_SHARD);
}

/* Alone: counts are those at its turn, and no message overtakes the confirmation. */
static void subscribe(struct call *call, session_start *begin)
{
    call->request->muted = false; /* confirmations are messages */
    session_get(call->client);
    session_alone(call->client, call->request, begin);
}

void pubsub_subscribe(struct call *call)
{
    subscribe(call, start_channels);
}

void pubsub_psubscribe(struct call *call)
{
    subscribe(call, start_patterns);
}

void pubsub_ssubscribe(struct call *call)
{
    subscribe(call, start_shard);
}

/* ---- UNSUBSCRIBE ---- */

static void leave_all(struct client *client, enum subscription_kind kind, struct writer *out)
{
    struct subscription *subscription;
    if (!subscriber_first(client, kind))
        pubsub_confirm(out, client, PUBSUB_UNSUBSCRIBED, kind, NULL, 0);
    while ((subscription = subscriber_first(client, kind))) {
        subscription->pins++;
        subscriber_remove(client, subscription);
        pubsub_confirm(out, client, PUBSUB_UNSUBSCRIBED, kind, subscription->name, subscription->size);
        subscription_unpin(subscription);
    }
}

static void leave_named(const struct call *call, enum subscription_kind kind, struct writer *out)
{
    struct hub *hub = hub_of(call->client);
    struct resp_cursor cursor = call_args(call, 1);
    struct resp_arg arg;
    while (resp_cursor_next(&cursor, &arg)) {
        const char *name = call->request->query.bytes + arg.at;
        struct subscription *subscription = subscription_find(hub, kind, name, arg.size);
        if (subscription)
            subscriber_remove(call->client, subscription);
        pubsub_confirm(out, call->client, PUBSUB_UNSUBSCRIBED, kind, name, arg.size);
    }
}

static void unsubscribe(struct call *call, enum subscription_kind kind)
{
    struct farewell *farewell = farewell_begin(call->request);
    struct writer out = call_writer(call);
    call->request->muted = false;
    if (call_argc(call) == 1)
        leave_all(call->client, kind, &out);
    else
        leave_named(call, kind, &out);
    farewell_end(farewell, &out);
}

void pubsub_unsubscribe(struct call *call)
{
    unsubscribe(call, SUBSCRIPTION_CHANNEL);
}

void pubsub_punsubscribe(struct call *call)
{
    unsubscribe(call, SUBSCRIPTION_PATTERN);
}

void pubsub_sunsubscribe(struct call *call)
{
    unsubscribe(call, SUBSCRIPTION_SHARD);
}
