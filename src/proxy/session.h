/* A session: what a client has open with one host, and only while it has: a
 * transaction that gathers until EXEC, a private link, a command that blocks. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/client.h"
#include "resp/writer.h"

#include <stdbool.h>
#include <stdint.h>

struct cluster;
struct host;
struct link;
struct request;

typedef void session_start(struct client *client, struct request *request);

struct session {
    struct cluster *cluster; /* where it began; keeps that generation alive */
    struct host *host;       /* where its keys are; NULL: no key has come yet */

    /* Between MULTI and EXEC or DISCARD */
    bool open;
    bool writes;           /* one of the queued does */
    bool spoiled;          /* a command was refused: EXEC will be, too */
    uint32_t commands;     /* queued */
    struct writer queued;  /* MULTI and what came behind it, as it will go to the host */
    struct writer ahead;   /* what will be sent ahead of it: */
    uint32_t ahead_count;  /* so many commands */
    struct undo *undo;     /* what EXEC's reply needs; NULL: nothing */

    /* Between WATCH and EXEC, DISCARD or UNWATCH */
    struct link *watcher; /* the private link that watches; NULL: none does */
    uint32_t epoch;       /* of the link when it began */
    uint32_t watches;     /* WATCHes that went well */
    bool watch_failed;    /* one that did not, after others: EXEC will be refused */

    /* A command that has to run alone, on a private link */
    struct request *waiting; /* it waits for the replies of those before it; the client is held */
    session_start *start;    /* what begins it then */
    struct host *target;     /* whose link it will block; NULL: the router says */
    struct link *blocked;    /* the links on which a command blocks, by `sibling` */
    double patience;         /* seconds it may block */
    const char *expired;     /* what it answers when its time is over; NULL: a null. Static */
    const char *unblocked;   /* CLIENT UNBLOCK: the reply instead of the host's; static */
};

/* The client's session, made when there is none. Its cluster is the client's present one. */
struct session *session_get(struct client *client);
/* Ends it when nothing is open any more. */
void session_settle(struct client *client);
/* The client has gone. */
void session_leave(struct client *client);

/* Holds the client and begins a request of its own as soon as all before it
 * are answered: private links and shared ones keep no order between them.
 * `start` sends the request, and ends with session_settle and, when the
 * request is answered, client_release. The bytes are kept until then. */
void session_alone(struct client *client, struct request *request, session_start *start);
/* At the turn's end: is it time for the waiting request? */
void session_go_on(struct client *client);
/* Closes links that a command blocks, all siblings. */
void session_close_links(struct link *first, const char *reason);
/* Does a command of this client block? */
static inline bool session_blocks(const struct client *client)
{
    return client->session && client->session->blocked;
}
/* The `done` of a request that ran alone: the client goes on. */
void session_answered(struct request *request, const struct reply *reply);

/* Makes a request one of the session's generation, whatever has been loaded since. */
void session_join(const struct session *session, struct request *request);
