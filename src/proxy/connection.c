/* What Redis answers from the connection alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/connection.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/call.h"
#include "proxy/client_command.h"
#include "proxy/login.h"
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

void connection_reset(struct call *call)
{
    struct client *client = call->client;
    free(client->name);
    client->name = NULL;
    client->db = 0;
    transaction_drop(client);
    subscriber_drop(client);
    login_reset(client);
    request_answer(call->request, "+RESET\r\n", 8);
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

/* HELLO version [AUTH user password] [SETNAME name]; false: it has been answered. */
static bool hello_options(struct call *call)
{
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 2);
    struct resp_arg word, value, password, name = {0};
    while (resp_cursor_next(&cursor, &word)) {
        if (cursor.left >= 2 && call_word_is(bytes + word.at, word.size, "auth")) {
            resp_cursor_next(&cursor, &value);
            resp_cursor_next(&cursor, &password);
            if (!login_as(call->client, bytes + value.at, value.size, bytes + password.at, password.size)) {
                wrong_password(call);
                return false;
            }
        } else if (cursor.left >= 1 && call_word_is(bytes + word.at, word.size, "setname")) {
            resp_cursor_next(&cursor, &name);
        } else {
            call_fail(call, "ERR Syntax error in HELLO option '%.*s'", call_quote(word.size),
                      bytes + word.at);
            return false;
        }
    }
    return name.at == 0 || client_command_rename(call, bytes + name.at, name.size);
}

/* false: it has been answered. Only version 2 is spoken. */
static bool hello_version(struct call *call)
{
    size_t size;
    int64_t version;
    const char *text = call_arg(call, 1, &size);
    if (!call_integer(text, size, &version)) {
        call_fail(call, "ERR Protocol version is not an integer or out of range");
        return false;
    }
    if (version != 2) {
        call_fail(call, "NOPROTO unsupported protocol version");
        return false;
    }
    return true;
}

void connection_hello(struct call *call)
{
    if (call_argc(call) > 1 && (!hello_version(call) || !hello_options(call))) {
        return;
    }
    if (login_is_missing(call->client)) {
        call_fail(call, "NOAUTH HELLO must be called with the client already authenticated, otherwise the "
                        "HELLO AUTH <user> <pass> option can be used to authenticate the client and select "
                        "the RESP protocol version at the same time");
        return;
    }
    struct writer reply = call_writer(call);
    writer_map(&reply, 7);
    writer_text(&reply, "server");
    writer_text(&reply, "redis");
    writer_text(&reply, "version");
    writer_text(&reply, CONNECTION_REDIS_VERSION);
    writer_text(&reply, "proto");
    writer_integer(&reply, reply.resp == 3 ? 3 : 2);
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
