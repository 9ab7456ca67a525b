/* A feed: the link of a host that is in subscriber mode, for the clients of
 * one cluster in this worker.
 *
 *   SUBSCRIBE name ─► host        each is a request; its confirmation or error is the reply
 *   messages       ◄─ host        go to the subscription of their channel
 *
 * An ear is one name that a feed listens to. The host counts it as one client,
 * however many there are behind it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct farewell;
struct generation;
struct host;
struct hub;
struct link;
struct reply;
struct request;
struct subscription;
struct writer;

enum ear_state {
    EAR_DEAF,    /* not subscribed, for the host is away; asked again when it is back */
    EAR_ASKED,   /* its SUBSCRIBE is on the way */
    EAR_ACTIVE,  /* the host has confirmed it */
    EAR_REFUSED, /* the host's answer was an error */
};

struct ear {
    struct subscription *subscription; /* NULL: it has ended, and is freed with the last reply */
    struct feed *feed;
    struct ear *next;                      /* the subscription's */
    struct ear *feed_next, *feed_previous; /* the feed's */
    struct generation *generation;         /* keeps its host alive */
    char *error;                           /* why it is not active: an error line's text; NULL: not yet */
    enum ear_state state;
    struct farewell *farewell; /* waits until the host has confirmed that it ended, or NULL */
    uint32_t pending;          /* requests of it in the link's queue */
    bool asked;                /* one is a SUBSCRIBE */
    bool leaving;              /* the router names another host by now: it ends when that one listens */
    double left_at;            /* leaving: proxy clock */
};

struct feed {
    struct hub *hub;
    struct host *host;
    struct link *link;
    struct feed *next; /* the hub's */
    struct ear *ears;
    uint32_t leaving; /* ears */
    bool refused;     /* an ear has been since the last tick */
    bool late;        /* the host did not confirm in time */
    bool lost;        /* the link, and ears wait for it */
    double lost_at;   /* proxy clock */
};

/* Makes the subscription listen at a host, through the hub's feed there. The
 * ear may have failed on return. */
struct ear *ear_open(struct subscription *subscription, struct host *host, struct generation *generation);
/* Ends it, and takes it out of its subscription. */
void ear_close(struct ear *ear);
/* The router names its host (again), or another one. */
void ear_stay(struct ear *ear, struct generation *generation);
void ear_leave(struct ear *ear);

/* A client that unsubscribes, or RESET, is told so when the hosts have confirmed it, for
 * then nobody's PUBLISH counts it any more. Ears that are closed between begin
 * and end are waited for; the last one, or end, answers with the reply. */
struct farewell *farewell_begin(struct request *request);
void farewell_end(struct farewell *farewell, struct writer *reply);

/* The janitor's part: closes the clients of a host that stays away for longer
 * than its retry_timeout, ends ears that leave. */
void feed_tick(struct feed *feed);
