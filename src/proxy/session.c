/* Sessions; see session.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session.h"

#include "base/memory.h"
#include "proxy/client.h"
#include "proxy/cluster.h"

#include <stdlib.h>

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
    generation_leave(session->cluster->generation);
    free(session);
}

void session_settle(struct client *client)
{
    const struct session *session = client->session;
    if (session && !session->open)
        session_end(client);
}

void session_leave(struct client *client)
{
    if (client->session)
        session_end(client);
}

void session_join(const struct session *session, struct request *request)
{
    if (request->cluster == session->cluster)
        return;
    if (request->cluster)
        generation_leave(request->cluster->generation);
    request_join_cluster(request, session->cluster);
}
