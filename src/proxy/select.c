/* The probe of a database and what comes of it. Links of two databases keep no
 * order between them, and some commands (MOVE, COPY, FLUSHALL) touch both:
 * SELECT waits for the replies of what was pipelined before it.
 *
 *   SELECT 3 ─► client held ─► PING on a link of database 3 ─► +OK, client->db = 3
 *                                                          └─► the host's own error */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/select.h"

#include <limits.h>
#include <string.h>

#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/link.h"
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

/* The error with which a host has refused the database, or NULL; what it says
 * to every link (a wrong password) is no answer to a SELECT. */
static const char *refusal_of(const struct host *host, int32_t db)
{
    const char *refusal = NULL;
    for (const struct link *link = host->links; link; link = link->next) {
        if (link->db == host->options.db && link->refusal) {
            return NULL;
        }
        if (link->db == host->options.db + db && link->refusal) {
            refusal = link->refusal;
        }
    }
    return refusal;
}

static const char *refusal_anywhere(const struct cluster *cluster, int32_t db)
{
    const char *refusal = NULL;
    for (uint32_t i = 0; i < cluster->count && !refusal; i++) {
        refusal = refusal_of(cluster->hosts[i], db);
    }
    return refusal;
}

/* A host's "-ERR …" as it came, or what its link has kept of it. */
static void answer_refusal(struct request *select, const char *line)
{
    if (*line == '-') {
        line++;
    }
    request_fail(select, FAILURE_LOCAL, "%.*s", (int)strcspn(line, "\r\n"), line);
}

/* Any reply of the host shows that the link's SELECT went well before it. */
static void probe_done(struct request *probe, const struct reply *reply)
{
    struct request *select = probe->context;
    struct client *client = select->client; /* NULL: it left, and the request is only waiting to end */
    const char *refusal = refusal_anywhere(probe->cluster, probe->query.db);
    if (reply->failure == FAILURE_NONE) {
        remember(probe->cluster, probe->query.db);
        if (client) {
            client->db = probe->query.db;
        }
        request_answer(select, "+OK\r\n", 5);
    } else if (refusal) {
        answer_refusal(select, refusal);
    } else {
        request_answer(select, reply->bytes, reply->size);
    }
    request_put(probe);
    if (client) {
        client_release(client);
    }
}

static void probe_send(struct call *call, struct cluster *cluster, struct host *host, int32_t db)
{
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    struct request *probe = request_get();
    probe->query = (struct query){
        .command = command_find("ping", 4), .bytes = ping, .size = sizeof ping - 1, .argc = 1};
    probe->context = call->request;
    probe->done = probe_done;
    probe->query.db = db;
    request_join_cluster(probe, cluster);
    client_hold(call->client);
    host_send(host, probe);
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

/* Those before it are answered. */
static void select_later(struct client *client, struct request *request)
{
    struct resp_request scan = {0};
    struct call call = {.client = client, .request = request, .scan = &scan};
    resp_scan_request(&scan, request->query.bytes, request->query.size, request->query.size);
    session_settle(client);
    client_release(client);
    select_database(&call);
}

static void select_number(struct call *call, int32_t db)
{
    struct cluster *cluster = client_cluster(call->client);
    struct host *host = cluster ? cluster_first_up(cluster) : NULL; /* answers for the others */
    if (db == call->client->db) {
        call_ok(call);
    } else if (call->client->head != call->request) {
        session_get(call->client);
        session_alone(call->client, call->request, select_later);
    } else if (cluster && is_known(cluster, db)) {
        call->client->db = db;
        call_ok(call);
    } else if (!host) {
        call_fail(call, "ERR there is no host to ask for database %d", db);
    } else if (!fits_hosts(cluster, db)) {
        call_fail(call, "ERR DB index is out of range");
    } else {
        probe_send(call, cluster, host, db);
    }
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
