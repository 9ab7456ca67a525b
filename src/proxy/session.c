/* Sessions; see session.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session.h"

#include "base/memory.h"
#include "proxy/client.h"
#include "proxy/cluster.h"
#include "proxy/lease.h"
#include "proxy/link.h"
#include "proxy/undo.h"
#include "proxy/watch.h"

#include <stdlib.h>
#include <string.h>

struct session *session_get(struct client *client)
{
    if (client->session)
        return client->session;
    struct session *session = xcalloc(1, sizeof *session);
    session->cluster = client_cluster(client);
    generation_ref(session->cluster->generation);
    client->session = session;
    return session;
}

static void session_end(struct client *client)
{
    struct session *session = client->session;
    client->session = NULL;
    writer_deinit(&session->queued);
    writer_deinit(&session->ahead);
    undo_drop(session->undo);
    generation_leave(session->cluster->generation);
    free(session);
}

void session_settle(struct client *client)
{
    const struct session *session = client->session;
    if (session && !session->open && !session->watcher && !session->waiting && !session->blocked)
        session_end(client);
}

void session_close_links(struct link *first, const char *reason)
{
    for (struct link *link = first, *next; link; link = next) {
        next = link->sibling;
        lease_close(link, reason);
    }
}

void session_leave(struct client *client)
{
    struct session *session = client->session;
    if (!session)
        return;
    struct link *blocked = session->blocked;
    if (session->waiting)
        client_forsake(session->waiting);
    watch_end(session);
    session_end(client);
    session_close_links(blocked, "its client has gone"); /* at once: nothing must be popped for nobody */
}

/* ---- alone ---- */

void session_alone(struct client *client, struct request *request, session_start *start)
{
    client_hold(client);
    if (client->head == request) {
        start(client, request);
        return;
    }
    request_keep_bytes(request);
    client->session->waiting = request;
    client->session->start = start;
}

void session_go_on(struct client *client)
{
    struct session *session = client->session;
    struct request *request = session->waiting;
    if (!request || client->head != request)
        return;
    session->waiting = NULL;
    session->start(client, request);
}

void session_answered(struct request *request, const struct reply *reply)
{
    struct client *client = request->client;
    client_done(request, reply);
    if (client && !client->dead)
        client_release(client);
}

void session_join(const struct session *session, struct request *request)
{
    if (request->cluster == session->cluster)
        return;
    if (request->cluster)
        generation_leave(request->cluster->generation);
    request_join_cluster(request, session->cluster);
}
