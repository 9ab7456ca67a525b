/* Blocking commands; see blocking.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/blocking.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/stats.h"
#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "proxy/join.h"
#include "proxy/lease.h"
#include "proxy/link.h"
#include "proxy/measure.h"
#include "proxy/pin.h"
#include "proxy/session.h"
#include "proxy/undo.h"

/* How long a host may block, as it will understand the argument: 0 is for
 * ever; what is no number it refuses at once. */
static double seconds_of(const char *text, size_t size)
{
    char number[64], *end;
    if (size == 0 || size >= sizeof number) {
        return 0;
    }
    memcpy(number, text, size);
    number[size] = '\0';
    double seconds = strtod(number, &end);
    if (*end != '\0' || isnan(seconds) || seconds < 0) {
        return 0;
    }
    return seconds > 0 ? seconds : INFINITY;
}

/* Its links are free again, but for those that may still be blocked. */
static void give_back(struct session *session)
{
    for (struct link *link = session->blocked, *next; link; link = next) {
        next = link->sibling;
        if (link->queue.count) {
            lease_close(link, "its command did not end in time");
        } else if (!link->dead) {
            lease_return(link);
        }
    }
    session->blocked = NULL;
}

static void answered(struct request *request, const struct reply *reply)
{
    struct client *client = request->client;
    struct reply instead = *reply;
    struct writer undone = {0};
    undo_reply(request, &instead, &undone);
    stats->clients_unblocked++;
    measure_begin(request); /* that it blocked is no time of work */
    if (client) {
        struct session *session = client->session;
        if (session->unblocked) {
            instead = (struct reply){.bytes = session->unblocked, .size = strlen(session->unblocked)};
        }
        session->unblocked = NULL;
        give_back(session);
        session_settle(client);
    }
    session_answered(request, &instead);
    writer_deinit(&undone);
}

bool blocking_end(struct client *client, bool error)
{
    if (!session_blocks(client)) {
        return false;
    }
    struct session *session = client->session;
    struct link *links = session->blocked;
    const char *null = client->resp == 3 ? "_\r\n" : "*-1\r\n";
    const char *expired = session->expired ? session->expired : null;
    session->unblocked = error ? "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n" : expired;
    session->blocked = NULL;
    session_close_links(links, "CLIENT UNBLOCK"); /* the last of them ends the session */
    return true;
}

/* Blocks a link of the host. */
static void send_to(struct host *host, struct request *request)
{
    struct session *session = request_client(request)->session;
    struct link *link = lease_take(host, request->query.db, request->query.resp);
    if (!link) {
        lease_refuse(host, request);
        return;
    }
    link->sibling = session->blocked;
    session->blocked = link;
    link->allowance = session->patience;
    link_send(link, request);
}

/* ---- on the host of its keys ---- */

static void start(struct client *client, struct request *request)
{
    request->done = answered;
    stats->clients_blocked++;
    send_to(client->session->target, request);
}

static void block(const struct call *call, double patience)
{
    struct request *request = call->request;
    struct host *host = NULL;
    request->query.target = request->cluster->root;
    if (!pin_request(request, call->scan, &host)) {
        return;
    }
    if (!host) {
        call_fail(call, "ERR '%s' needs a key", request->query.command->name);
        return;
    }
    struct session *session = session_get(call->client);
    session->target = host;
    session->patience = patience;
    session->expired = NULL;
    session_alone(call->client, request, start);
}

void blocking_timeout_last(struct call *call)
{
    size_t size;
    const char *text = call_arg(call, call_argc(call) - 1, &size);
    block(call, seconds_of(text, size));
}

void blocking_timeout_first(struct call *call)
{
    size_t size;
    const char *text = call_arg(call, 1, &size);
    block(call, seconds_of(text, size));
}

void blocking_option(struct call *call)
{
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 1);
    struct resp_arg arg;
    double seconds = 0;
    while (resp_cursor_next(&cursor, &arg)) {
        if (call_word_is(bytes + arg.at, arg.size, "block") && resp_cursor_next(&cursor, &arg)) {
            seconds = seconds_of(bytes + arg.at, arg.size) / 1000;
            break;
        }
    }
    block(call, seconds);
}

void blocking_unknown(struct call *call)
{
    block(call, INFINITY);
}

/* ---- on every host: WAIT and WAITAOF ---- */

/* A host counts the replicas that have what the connection itself has written.
 * Our client wrote on others, so that this one writes something last: up to
 * Redis 7.0 any command counts as such, later only what replicas are told of.
 * A shard channel has no patterns, so that nobody ever hears of it. */
static const char write_last[] = "*1\r\n$4\r\nPING\r\n"
                                 "*3\r\n$8\r\nSPUBLISH\r\n$10\r\nnydus:wait\r\n$0\r\n\r\n";
enum { WRITE_LAST = sizeof write_last - 1, WRITE_LAST_REPLIES = 2 };

static void send_behind_write(struct host *host, struct request *request)
{
    struct query *query = &request->query;
    size_t size = WRITE_LAST + query->size;
    char *memory = xmalloc(size);
    memcpy(memory, write_last, WRITE_LAST);
    memcpy(memory + WRITE_LAST, query->bytes, query->size);
    free(request->memory);
    request->memory = memory;
    query->bytes = memory;
    query->size = (uint32_t)size;
    query->router = NULL; /* never again, and never on another link */
    request->before = WRITE_LAST_REPLIES;
    send_to(host, request);
}

static void start_everywhere(struct client *client, struct request *request)
{
    (void)client;
    request->done = answered;
    stats->clients_blocked++;
    dispatch_to(request, send_behind_write);
}

static void block_everywhere(const struct call *call, const char *expired)
{
    struct request *request = call->request;
    struct session *session = session_get(call->client);
    size_t size;
    const char *text = call_arg(call, call_argc(call) - 1, &size);
    session->target = NULL;
    session->patience = seconds_of(text, size) / 1000;
    session->expired = expired;
    request->query.target = request->cluster->root;
    session_alone(call->client, request, start_everywhere);
}

void blocking_replicas(struct call *call)
{
    block_everywhere(call, ":0\r\n");
}

void blocking_files(struct call *call)
{
    block_everywhere(call, "*2\r\n:0\r\n:0\r\n");
}
