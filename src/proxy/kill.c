/* KILL of scripts; see kill.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/kill.h"

#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "proxy/lease.h"
#include "proxy/link.h"
#include "proxy/session.h"

static void send_aside(struct host *host, struct request *request)
{
    request->query.router = NULL;          /* never on another link */
    request->query.db = -host->options.db; /* the host's database 0: a host that is busy refuses SELECT */
    struct link *link = lease_take(host, request->query.db, request->query.resp);
    if (!link) {
        lease_refuse(host, request);
        return;
    }
    link_send(link, request);
    lease_return(link);
}

static void start(struct client *client, struct request *request)
{
    session_settle(client);
    request->done = session_answered;
    dispatch_to(request, send_aside);
}

void kill_script(struct call *call)
{
    struct request *request = call->request;
    session_get(call->client);
    request->query.target = request->cluster->root;
    session_alone(call->client, request, start);
}
