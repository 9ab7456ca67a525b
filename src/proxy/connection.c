/* What Redis answers from the connection alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/connection.h"

#include <string.h>

#include "proxy/call.h"
#include "proxy/client_command.h"
#include "proxy/cluster.h"
#include "proxy/login.h"
#include "proxy/probe.h"
#include "proxy/profile.h"
#include "proxy/session.h"
#include "proxy/subscriber.h"
#include "proxy/transaction.h"

static void echo(struct call *call, uint32_t number)
{
    size_t size;
    const char *text = call_arg(call, number, &size);
    struct writer reply = call_writer(call);
    writer_bulk(&reply, text, size);
    call_reply(call, &reply);
}

/* In subscriber mode of RESP2 a reply has to look like a message. */
static void ping_listener(struct call *call)
{
    size_t size = 0;
    const char *text = call_argc(call) > 1 ? call_arg(call, 1, &size) : "";
    struct writer reply = call_writer(call);
    writer_array(&reply, 2);
    writer_text(&reply, "pong");
    writer_bulk(&reply, text, size);
    call_reply(call, &reply);
}

void connection_ping(struct call *call)
{
    if (call->client->subscriber && call->client->resp == 2 && call_argc(call) <= 2) {
        ping_listener(call);
        return;
    }
    if (call_argc(call) == 1) {
        request_answer(call->request, "+PONG\r\n", 7);
    } else if (call_argc(call) == 2) {
        echo(call, 1);
    } else {
        call_arity_error(call, "ping");
    }
}

void connection_echo(struct call *call)
{
    echo(call, 1);
}

void connection_quit(struct call *call)
{
    call_ok(call);
    client_finish(call->client);
}

bool connection_reset_switches(const struct call *call)
{
    return call->client->resp != 2 || call->client->db != 0;
}

void connection_reset(struct call *call)
{
    struct client *client = call->client;
    profile_reset(client);
    client->db = 0;
    client->resp = 2;
    client->mute = MUTE_NONE;
    call->request->muted = false;
    transaction_drop(client);
    login_reset(client);
    struct farewell *farewell = farewell_begin(call->request);
    struct writer reply = {0};
    subscriber_drop(client);
    writer_raw(&reply, "+RESET\r\n", 8);
    farewell_end(farewell, &reply);
}

static void wrong_password(struct call *call)
{
    call_fail(call, "WRONGPASS invalid username-password pair or user is disabled.");
}

void connection_auth(struct call *call)
{
    if (call_argc(call) > 3) {
        call_syntax_error(call);
        return;
    }
    if (call_argc(call) == 2 && login_is_open(call->client)) {
        call_fail(call, "ERR AUTH <password> called without any password configured for the default user. "
                        "Are you sure your configuration is correct?");
        return;
    }
    size_t size = 7, password_size;
    const char *name = call_argc(call) == 3 ? call_arg(call, 1, &size) : "default";
    const char *password = call_arg(call, call_argc(call) - 1, &password_size);
    if (login_as(call->client, name, size, password, password_size)) {
        call_ok(call);
    } else {
        wrong_password(call);
    }
}

/* ---- HELLO ---- */

/* The version that a HELLO asks for; 0: it names none. false: it is no number. */
static bool hello_version(const struct call *call, int64_t *version)
{
    size_t size;
    *version = 0;
    if (call_argc(call) == 1) {
        return true;
    }
    const char *text = call_arg(call, 1, &size);
    return call_integer(text, size, version);
}

bool connection_hello_switches(const struct call *call)
{
    int64_t version;
    return hello_version(call, &version) && (version == 2 || version == 3) && version != call->client->resp;
}

/* HELLO version [AUTH user password] [SETNAME name], as long as they are right:
 * false: it has been answered. Like Redis it logs in at once. */
static bool hello_options(struct call *call, struct resp_arg *name)
{
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 2);
    struct resp_arg word, value, password;
    while (resp_cursor_next(&cursor, &word)) {
        if (cursor.left >= 2 && call_word_is(bytes + word.at, word.size, "auth")) {
            resp_cursor_next(&cursor, &value);
            resp_cursor_next(&cursor, &password);
            if (!login_as(call->client, bytes + value.at, value.size, bytes + password.at, password.size)) {
                wrong_password(call);
                return false;
            }
        } else if (cursor.left >= 1 && call_word_is(bytes + word.at, word.size, "setname")) {
            resp_cursor_next(&cursor, name);
            if (!client_command_name_fits(call, bytes + name->at, name->size)) {
                return false;
            }
        } else {
            call_fail(call, "ERR Syntax error in HELLO option '%.*s'", call_quote(word.size),
                      bytes + word.at);
            return false;
        }
    }
    return true;
}

static void hello_answer(struct call *call)
{
    struct writer reply = {.resp = call->client->resp};
    writer_map(&reply, 7);
    writer_text(&reply, "server");
    writer_text(&reply, "redis");
    writer_text(&reply, "version");
    writer_text(&reply, CONNECTION_REDIS_VERSION);
    writer_text(&reply, "proto");
    writer_integer(&reply, call->client->resp);
    writer_text(&reply, "id");
    writer_integer(&reply, (int64_t)call->client->id);
    writer_text(&reply, "mode");
    writer_text(&reply, "standalone");
    writer_text(&reply, "role");
    writer_text(&reply, "master");
    writer_text(&reply, "modules");
    writer_array(&reply, 0);
    call_reply(call, &reply);
}

/* Logs in, and looks at the rest. false: it has been answered. */
static bool hello_admits(struct call *call, struct resp_arg *name)
{
    if (call_argc(call) > 1 && !hello_options(call, name)) {
        return false;
    }
    if (login_is_missing(call->client)) {
        call_fail(call, "NOAUTH HELLO must be called with the client already authenticated, otherwise the "
                        "HELLO AUTH <user> <pass> option can be used to authenticate the client and select "
                        "the RESP protocol version at the same time");
        return false;
    }
    return true;
}

/* With a version that has been found good; 0: as it is. */
static void hello_go(struct call *call, int64_t version)
{
    struct resp_arg name = {0};
    if (!hello_admits(call, &name)) {
        return;
    }
    if (name.at > 0) {
        client_command_rename(call->client, call->request->query.bytes + name.at, name.size);
    }
    if (version != 0) {
        call->client->resp = (uint8_t)version;
    }
    hello_answer(call);
}

/* The client gets the words of a host that does not speak RESP3. A host that
 * could not be asked is no reason to refuse: commands will say what is wrong. */
static void hello_probed(struct request *probe, const struct reply *reply)
{
    struct resp_request scan;
    struct call call = call_again(probe->context, &scan);
    const char *refusal = probe_refusal(probe, GREETING_HELLO); /* the link's, so good for now */
    if (reply->failure == FAILURE_NONE) {
        probe->cluster->resp3 = true;
    }
    probe_end(probe);
    if (!call.client) {
        call_fail(&call, "ERR its client has gone");
    } else if (refusal) {
        call_fail(&call, "%s", refusal);
    } else {
        hello_go(&call, 3);
    }
}

/* The host to be asked before RESP3 is spoken for the first time, or NULL. */
static struct host *hello_host(const struct call *call, int64_t version)
{
    const struct cluster *cluster = call->request->cluster;
    return version == 3 && call->client->resp != 3 && !cluster->resp3 ? cluster_first_up(cluster) : NULL;
}

void connection_hello(struct call *call)
{
    int64_t version;
    bool number = hello_version(call, &version);
    const struct session *session = call->client->session;
    if (!number) {
        call_fail(call, "ERR Protocol version is not an integer or out of range");
    } else if (call_argc(call) > 1 && version != 2 && version != 3) {
        call_fail(call, "NOPROTO unsupported protocol version");
    } else if (session && session->watcher && connection_hello_switches(call)) {
        call_fail(call, "ERR HELLO has to wait until nothing is watched: EXEC, DISCARD or UNWATCH first");
    } else if (hello_host(call, version)) {
        struct resp_arg name;
        if (hello_admits(call, &name)) { /* nobody else makes hosts busy */
            probe_send(call, hello_host(call, version), call->client->db, 3, hello_probed);
        }
    } else {
        hello_go(call, version);
    }
}
