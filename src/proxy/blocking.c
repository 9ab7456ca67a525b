/* Blocking commands; see blocking.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/blocking.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/stats.h"
#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/lease.h"
#include "proxy/link.h"
#include "proxy/pin.h"
#include "proxy/session.h"

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

/* The link is free again, unless it may still be blocked. */
static void give_back(struct link *link, const struct reply *reply)
{
    if (reply->failure == FAILURE_TIMEOUT) {
        lease_close(link, "its command did not end in time");
    } else if (!link->dead) {
        lease_return(link);
    }
}

static void answered(struct request *request, const struct reply *reply)
{
    struct client *client = request->client;
    struct reply instead = *reply;
    stats->clients_unblocked++;
    give_back(request->link, reply);
    if (client) {
        struct session *session = client->session;
        if (session->unblocked) {
            instead = (struct reply){.bytes = session->unblocked, .size = strlen(session->unblocked)};
        }
        session->unblocked = NULL;
        session->blocked = NULL;
        session_settle(client);
    }
    session_answered(request, &instead);
}

bool blocking_end(struct client *client, bool error)
{
    if (!session_blocks(client)) {
        return false;
    }
    const char *null = client->resp == 3 ? "_\r\n" : "*-1\r\n";
    client->session->unblocked = error ? "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n" : null;
    lease_close(client->session->blocked, "CLIENT UNBLOCK");
    return true;
}

static void start(struct client *client, struct request *request)
{
    struct session *session = client->session;
    struct host *host = session->target;
    struct link *link = lease_take(host, request->query.db);
    if (!link) {
        session_settle(client);
        request->done = session_answered;
        request_fail(request, FAILURE_LOCAL, "ERR all %d private links to host %s are in use", LEASE_LIMIT,
                     host->options.identifier);
        return;
    }
    link->allowance = session->patience;
    session->blocked = link;
    request->done = answered;
    stats->clients_blocked++;
    link_send(link, request);
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
