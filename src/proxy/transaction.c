/* Transactions; see transaction.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/transaction.h"

#include <stdlib.h>

#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/keyless.h"
#include "proxy/lease.h"
#include "proxy/link.h"
#include "proxy/pin.h"
#include "proxy/policy.h"
#include "proxy/session.h"
#include "proxy/undo.h"
#include "proxy/watch.h"
#include "resp/keys.h"

static const char multi[] = "*1\r\n$5\r\nMULTI\r\n", exec[] = "*1\r\n$4\r\nEXEC\r\n";
enum { MULTI_SIZE = sizeof multi - 1, EXEC_SIZE = sizeof exec - 1 };

static bool is_open(const struct client *client)
{
    return client->session && client->session->open;
}

/* Nothing of what is queued will be sent. */
static void forget_queued(struct session *session)
{
    writer_deinit(&session->queued);
    writer_deinit(&session->ahead);
    session->queued = session->ahead = (struct writer){0};
    undo_drop(session->undo);
    session->undo = NULL;
    session->ahead_count = 0;
    session->commands = 0;
    session->writes = false;
}

void transaction_spoil(struct client *client)
{
    if (is_open(client)) {
        client->session->spoiled = true;
        forget_queued(client->session);
    }
}

void transaction_drop(struct client *client)
{
    struct session *session = client->session;
    if (session) {
        forget_queued(session);
        watch_end(session);
        session->open = session->spoiled = false;
        session->host = NULL;
        session_settle(client);
    }
}

bool transaction_aborts(struct client *client, const struct command *command)
{
    bool is_exec = policy_of(command)->answer == transaction_exec;
    if (is_exec) {
        transaction_drop(client);
    }
    return is_exec;
}

bool transaction_would_write(const struct client *client, const struct command *command)
{
    return policy_of(command)->answer == transaction_exec && is_open(client) && client->session->writes;
}

void transaction_multi(struct call *call)
{
    if (is_open(call->client)) {
        call_fail(call, "ERR MULTI calls can not be nested");
        return;
    }
    session_get(call->client)->open = true;
    call_ok(call);
}

void transaction_discard(struct call *call)
{
    if (is_open(call->client)) {
        transaction_drop(call->client);
        call_ok(call);
    } else {
        call_fail(call, "ERR DISCARD without MULTI");
    }
}

/* ---- queueing ---- */

/* Outside of a transaction every host would be asked; one of them alone answers something else. */
static bool is_for_all_hosts(const struct query *query)
{
    const struct policy *policy = policy_of(query->command);
    enum request_policy tip = query->command->request_policy;
    if (query->nkeys || (policy->answer && !policy->sends))
        return false;
    return (policy->keyless && policy->keyless != keyless_first) || tip == REQUEST_ALL_SHARDS ||
           tip == REQUEST_ALL_NODES;
}

/* false: it has been failed. */
static bool admit(const struct call *call)
{
    const struct command *command = call->request->query.command;
    const struct policy *policy = policy_of(command);
    if (command->flags & COMMAND_NO_MULTI) {
        call_fail(call, "ERR Command not allowed inside a transaction");
        return false;
    }
    if (policy->inside == INSIDE_SENT || (policy->when && !policy->when(call))) {
        return true;
    }
    if (policy->refusal) {
        call_fail(call, "%s", policy->refusal);
        return false;
    }
    if (policy->answer) {
        call_fail(call, "ERR '%s' is not allowed inside a transaction through Nydus", command->name);
        return false;
    }
    return true;
}

/* Are its arguments such that it has no keys? Redis queues it all the same and refuses it when it runs. */
static bool is_malformed(const struct call *call)
{
    static struct key_list keys; /* reused: one thread */
    const struct query *query = &call->request->query;
    return !keys_fixed_single(query->command) && command_has_keys(query->command) &&
           keys_find(query->command, query->bytes, call->scan, &keys) == KEYS_INVALID;
}

/* Finds out where it goes. altered: for the scan of its bytes, if the way changes them. false: it has been
 * failed. */
static bool place(struct call *call, struct session *session, struct resp_request *altered)
{
    struct request *request = call->request;
    const char *bytes = request->query.bytes;
    if (is_malformed(call)) {
        return true;
    }
    request->query.target = session->cluster->root;
    if (!pin_request(request, call->scan, &session->host)) {
        return false;
    }
    if (session->cluster->count > 1 && is_for_all_hosts(&request->query)) {
        call_fail(call, "ERR '%s' is for all hosts and cannot be in a transaction, which is for one",
                  request->query.command->name);
        return false;
    }
    if (request->query.bytes != bytes) {
        resp_scan_request(altered, request->query.bytes, request->query.size, UINT32_MAX);
        call->scan = altered;
    }
    return true;
}

/* How large it would be with one more command. */
static size_t size_with(const struct session *session, size_t more)
{
    return session->ahead.size + session->queued.size + more + MULTI_SIZE + EXEC_SIZE;
}

/* What the command needs ahead of the transaction, if there is room for it. */
static void keep_ahead(const struct call *call, struct session *session)
{
    const struct policy *policy = policy_of(call->request->query.command);
    struct writer *ahead = &session->ahead;
    size_t size = ahead->size;
    uint32_t count = policy->kept ? policy->kept(call, ahead) : 0;
    if (size_with(session, 0) > session->cluster->max_request)
        ahead->size = size;
    else
        session->ahead_count += count;
}

/* Keeps the bytes, within the limit for one request. false: it has been failed. */
static bool keep(const struct call *call, struct session *session)
{
    const struct query *query = &call->request->query;
    struct writer *queued = &session->queued;
    size_t limit = session->cluster->max_request;
    if (session->spoiled) {
        return true; /* checked like the others, but it will not be sent */
    }
    if (size_with(session, query->size) > limit) {
        call_fail(call, "ERR the transaction is larger than max_request (%zu bytes)", limit);
        return false;
    }
    if (queued->size == 0) {
        writer_raw(queued, multi, MULTI_SIZE);
    }
    writer_raw(queued, query->bytes, query->size);
    if (call->request->undo) {
        undo_keep(&session->undo, session->commands, call->request->undo);
        call->request->undo = NULL;
    }
    session->commands++;
    keep_ahead(call, session);
    session->writes |= (query->command->flags & (COMMAND_WRITE | COMMAND_MAY_REPLICATE)) != 0;
    return true;
}

bool transaction_takes(struct client *client, struct request *request, const struct resp_request *scan)
{
    struct call call = {.client = client, .request = request, .scan = scan};
    struct resp_request altered = {0};
    if (!is_open(client) || policy_of(request->query.command)->inside == INSIDE_AT_ONCE) {
        return false;
    }
    if (admit(&call) && place(&call, client->session, &altered) && keep(&call, client->session)) {
        request_answer(request, "+QUEUED\r\n", 9);
    } else {
        transaction_spoil(client);
    }
    return true;
}

/* ---- EXEC ---- */

/* The EXEC of the client takes over everything that is queued. */
static void gather(struct request *request, struct session *session)
{
    struct writer all = session->ahead;
    session->ahead = (struct writer){0};
    if (session->queued.size == 0) {
        writer_raw(&session->queued, multi, MULTI_SIZE);
    }
    if (all.size == 0) { /* nearly always */
        writer_deinit(&all);
        all = session->queued;
        session->queued = (struct writer){0};
    } else {
        writer_raw(&all, session->queued.data, session->queued.size);
    }
    writer_raw(&all, exec, EXEC_SIZE);
    free(request->memory);
    request->memory = all.data;
    request->query.bytes = all.data;
    request->query.size = (uint32_t)all.size;
    request->undo = session->undo;
    session->undo = NULL;
    request->before = session->ahead_count + 1 + session->commands; /* … +OK +QUEUED … */
    session_join(session, request);
}

/* On the link that watches. Its next user's commands come behind this one. */
static void exec_start(struct client *client, struct request *request)
{
    struct session *session = client->session;
    struct link *link = session->watcher;
    request->done = session_answered;
    if (request->undo)
        undo_wrap(request);
    if (watch_is_lost(session)) {
        transaction_drop(client);
        request_fail(request, FAILURE_LOCAL, "ERR host %s was lost since WATCH: nothing has been run",
                     link->host->options.identifier);
        return;
    }
    session->watcher = NULL; /* EXEC ends the watch */
    transaction_drop(client);
    link_send(link, request);
    lease_return(link);
}

static void exec_send(struct call *call)
{
    struct client *client = call->client;
    struct session *session = client->session;
    struct host *host = session->host ? session->host : cluster_first_up(session->cluster);
    if (!host) {
        call_fail(call, "ERR there is no host for this transaction");
        transaction_drop(client);
        return;
    }
    gather(call->request, session);
    if (session->watcher) {
        session_alone(client, call->request, exec_start);
        return;
    }
    transaction_drop(client);
    if (call->request->undo)
        undo_wrap(call->request);
    host_send(host, call->request);
}

void transaction_exec(struct call *call)
{
    struct client *client = call->client;
    if (!is_open(client)) {
        call_fail(call, "ERR EXEC without MULTI");
    } else if (client->session->spoiled) {
        transaction_drop(client);
        call_fail(call, "EXECABORT Transaction discarded because of previous errors.");
    } else if (client->session->commands == 0 && !client->session->watcher) {
        transaction_drop(client);
        request_answer(call->request, "*0\r\n", 4);
    } else {
        exec_send(call);
    }
}
