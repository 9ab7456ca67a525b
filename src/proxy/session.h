/* A session: what a client has open with one host, and only while it has. A
 * transaction gathers here until EXEC. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "resp/writer.h"

#include <stdbool.h>
#include <stdint.h>

struct client;
struct cluster;
struct host;
struct request;

struct session {
    struct cluster *cluster; /* where it began; keeps that generation alive */
    struct host *host;       /* where its keys are; NULL: no key has come yet */

    /* Between MULTI and EXEC or DISCARD */
    bool open;
    bool spoiled;          /* a command was refused: EXEC will be, too */
    uint32_t commands;     /* queued */
    struct writer queued;  /* MULTI and what came behind it, as it will go to the host */
};

/* The client's session, made when there is none. Its cluster is the client's present one. */
struct session *session_get(struct client *client);
/* Ends it when nothing is open any more. */
void session_settle(struct client *client);
/* The client has gone. */
void session_leave(struct client *client);

/* Makes a request one of the session's generation, whatever has been loaded since. */
void session_join(const struct session *session, struct request *request);
