/* The turnout: what this worker tells the others of how many clients are behind
 * its subscriptions (base/crowd.h), and what PUBLISH and PUBSUB make of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/subscription.h"

struct call;
struct reply;
struct request;

/* Its members or its ears have changed; an ear goes. */
void turnout_update(const struct subscription *subscription);
void turnout_forget(const struct ear *ear);
/* Patterns are told once a turn. */
void turnout_turn_end(struct proxy *proxy);

/* How many more clients listen to a channel at a host than the host thinks;
 * with those whose patterns fit, how many more get what is published there. */
int64_t turnout_subscribers(const struct host *host, enum subscription_kind kind, const char *channel,
                            size_t size);
int64_t turnout_receivers(const struct host *host, enum subscription_kind kind, const char *channel,
                          size_t size);
/* What has to be added to the sum over all hosts: less, for clients that listen at several. */
int64_t turnout_overlap(const char *cluster_name, enum subscription_kind kind, const char *channel,
                        size_t size);

/* PUBLISH and SPUBLISH: the reply is corrected, that of each host for itself. */
void turnout_see_publish(const struct call *call);
bool turnout_amend(const struct request *request, struct reply *reply, char *line);
