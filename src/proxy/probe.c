/* Probes; see probe.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/probe.h"

#include <stddef.h>

#include "proxy/call.h"
#include "proxy/cluster.h"

void probe_send(const struct call *call, struct host *host, int32_t db, uint8_t resp, request_done *done)
{
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    struct request *probe = request_get();
    probe->query = (struct query){
        .command = command_find("ping", 4), .bytes = ping, .size = sizeof ping - 1, .argc = 1};
    probe->query.db = db;
    probe->query.resp = resp;
    probe->context = call->request;
    probe->done = done;
    request_keep_bytes(call->request);
    request_join_cluster(probe, call->request->cluster);
    client_hold(call->client);
    host_send(host, probe);
}

const char *probe_refusal(const struct request *probe, enum greeting word)
{
    const struct link *link = probe->link;
    return link->refusal && link->refused == word ? link->refusal : NULL;
}

void probe_end(struct request *probe)
{
    const struct request *asked_for = probe->context;
    if (asked_for->client) {
        client_release(asked_for->client);
    }
    request_put(probe);
}
