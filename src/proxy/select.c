/* The probe for a database and what comes of it. Links of two databases keep no
 * order between them, and some commands (MOVE, COPY, FLUSHALL) touch both:
 * SELECT waits for the replies of what was pipelined before it.
 *
 *   SELECT 3 ─► client held ─► PING on a link of database 3 ─► +OK, client->db = 3
 *                                                          └─► the host's own error */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/select.h"

#include <limits.h>

#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/probe.h"
#include "proxy/session.h"

enum { REMEMBERED = 64 }; /* bits of cluster->databases */

static bool is_known(const struct cluster *cluster, int32_t db)
{
    return db == 0 || (db < REMEMBERED && (cluster->databases >> db & 1));
}

static void remember(struct cluster *cluster, int32_t db)
{
    if (db < REMEMBERED) {
        cluster->databases |= (uint64_t)1 << db;
    }
}

/* An error of a whole link (the host is away, a wrong password) is passed on as it is. */
static void probe_done(struct request *probe, const struct reply *reply)
{
    struct request *select = probe->context;
    struct client *client = select->client;
    const char *refusal = probe_refusal(probe, GREETING_SELECT);
    bool found = reply->failure == FAILURE_NONE;
    if (found) {
        remember(probe->cluster, probe->query.db);
    }
    if (found && client) {
        client->db = probe->query.db;
    }
    probe_end(probe);
    if (found) {
        request_answer(select, "+OK\r\n", 5);
    } else if (refusal) {
        request_fail(select, FAILURE_LOCAL, "%s", refusal);
    } else {
        request_answer(select, reply->bytes, reply->size);
    }
}

/* What every host can add to its own database without leaving 31 bits. */
static bool fits_hosts(const struct cluster *cluster, int32_t db)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        if (db > INT32_MAX - cluster->hosts[i]->options.db) {
            return false;
        }
    }
    return true;
}

static void select_number(struct call *call, int32_t db)
{
    struct cluster *cluster = client_cluster(call->client);
    struct host *host = cluster ? cluster_first_up(cluster) : NULL; /* answers for the others */
    if (db == call->client->db || (cluster && is_known(cluster, db))) {
        call->client->db = db;
        call_ok(call);
    } else if (!host) {
        call_fail(call, "ERR there is no host to ask for database %d", db);
    } else if (!fits_hosts(cluster, db)) {
        call_fail(call, "ERR DB index is out of range");
    } else {
        probe_send(call, host, db, call->client->resp, probe_done);
    }
}

bool select_switches(const struct call *call)
{
    size_t size;
    int64_t number;
    const char *text = call_arg(call, 1, &size);
    return call_integer(text, size, &number) && number != call->client->db;
}

void select_database(struct call *call)
{
    size_t size;
    int64_t number;
    const char *text = call_arg(call, 1, &size);
    if (call->client->session && call->client->session->watcher) {
        call_fail(call, "ERR SELECT has to wait until nothing is watched: EXEC, DISCARD or UNWATCH first");
    } else if (!call_integer(text, size, &number)) {
        call_fail(call, "ERR value is not an integer or out of range");
    } else if (number < INT_MIN || number > INT_MAX) {
        call_fail(call, "ERR value is out of range, value must between %d and %d", INT_MIN, INT_MAX);
    } else if (number < 0) {
        call_fail(call, "ERR DB index is out of range");
    } else {
        select_number(call, (int32_t)number);
    }
}
