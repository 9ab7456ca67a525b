/* WATCH and UNWATCH; see watch.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/watch.h"

#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/lease.h"
#include "proxy/link.h"
#include "proxy/pin.h"
#include "proxy/session.h"

bool watch_is_lost(const struct session *session)
{
    return session->watch_failed || session->epoch != session->watcher->epoch;
}

void watch_end(struct session *session)
{
    static const char unwatch[] = "*1\r\n$7\r\nUNWATCH\r\n";
    struct link *link = session->watcher;
    if (!link) {
        return;
    }
    session->watcher = NULL;
    session->host = NULL;
    session->watches = 0;
    session->watch_failed = false;
    if (link->dead) {
        return;
    }
    /* goes out before anything of whoever has the link next */
    if (link->epoch == session->epoch && (link->queue.count || link->state == LINK_READY)) {
        link_say(link, unwatch, sizeof unwatch - 1);
    }
    lease_return(link);
}

void watch_none(struct call *call)
{
    struct client *client = call->client;
    if (client->session) {
        watch_end(client->session);
        session_settle(client);
    }
    call_ok(call);
}

static void watched(struct request *request, const struct reply *reply)
{
    struct client *client = request->client;
    struct session *session = client ? client->session : NULL;
    if (session && reply->bytes[0] != '-') {
        session->watches++;
    } else if (session && session->watches > 0) {
        session->watch_failed = true; /* what is watched already is not all that has to be */
    } else if (session) {
        watch_end(session);
        session_settle(client);
    }
    session_answered(request, reply);
}

/* The link on which it watches already, or one from the host; NULL: there is none left. */
static struct link *watcher_of(struct session *session, const struct request *request)
{
    if (!session->watcher) {
        session->watcher = lease_take(session->host, request->query.db, request->query.resp);
        session->epoch = session->watcher ? session->watcher->epoch : 0;
    }
    return session->watcher;
}

static void start(struct client *client, struct request *request)
{
    struct session *session = client->session;
    const struct host *host = session->host;
    struct link *link = watcher_of(session, request);
    request->done = watched;
    if (!link) {
        session->host = NULL;
        session_settle(client);
        request->done = session_answered;
        lease_refuse(host, request);
    } else if (watch_is_lost(session)) {
        request_fail(request, FAILURE_LOCAL, "ERR host %s was lost since WATCH: begin again with UNWATCH",
                     host->options.identifier);
    } else {
        link_send(link, request);
    }
}

void watch_keys(struct call *call)
{
    struct client *client = call->client;
    struct request *request = call->request;
    struct session *session = client->session;
    if (session && session->open) {
        call_fail(call, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    struct host *host = session ? session->host : NULL;
    if (session) {
        session_join(session, request);
    }
    request->query.target = request->cluster->root;
    if (!pin_request(request, call->scan, &host)) {
        return;
    }
    session = session_get(client);
    session->host = host;
    session_alone(client, request, start);
}
