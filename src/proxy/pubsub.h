/* The commands of pub/sub: SUBSCRIBE and its like. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/subscription.h"
#include "resp/writer.h"

struct call;

void pubsub_subscribe(struct call *call);
void pubsub_psubscribe(struct call *call);
void pubsub_ssubscribe(struct call *call);
void pubsub_unsubscribe(struct call *call);
void pubsub_punsubscribe(struct call *call);
void pubsub_sunsubscribe(struct call *call);

/* Writes what the client is told of a channel: that it listens now, or no more. name NULL: of none. */
enum pubsub_news { PUBSUB_SUBSCRIBED, PUBSUB_UNSUBSCRIBED };
void pubsub_confirm(struct writer *out, const struct client *client, enum pubsub_news news,
                    enum subscription_kind kind, const char *name, size_t size);
