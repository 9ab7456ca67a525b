/* Which clients are meant; see client_filter.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/client_filter.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "net/address.h"
#include "proxy/call.h"
#include "proxy/listener.h"
#include "proxy/login.h"
#include "proxy/neighbours.h"

enum { FILTER_IDS = 1000, TEXT_SIZE = 128 }; /* IDs of one command: each client is looked for among them */

static __attribute__((format(printf, 2, 3))) bool refuse(const struct call *call, const char *format, ...)
{
    char text[256];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (call->client) {
        call_fail(call, "%s", text);
    }
    return false;
}

/* ---- the connection's ends ---- */

/* A socket without a port has 0 there. */
static const char *with_port(char *text, size_t size)
{
    size_t length = strlen(text);
    if (text[0] == '/' && length + 3 <= size) {
        memcpy(text + length, ":0", 3);
    }
    return text;
}

const char *client_filter_peer(const struct client *client, char *text, size_t size)
{
    client_address(client, text, size);
    return with_port(text, size);
}

const char *client_filter_own(const struct client *client, char *text, size_t size)
{
    struct address address = {.size = sizeof address.storage};
    if (getsockname(stream_fd(&client->stream), (struct sockaddr *)&address.storage, &address.size) != 0) {
        return memcpy(text, "", 1);
    }
    address_text(&address, text, size);
    return with_port(text, size);
}

/* ---- reading ---- */

static bool read_type(struct client_filter *filter, const struct call *call, const char *text, size_t size)
{
    static const struct {
        const char *word;
        enum client_type type;
    } types[] = {{"normal", CLIENT_NORMAL},
                 {"pubsub", CLIENT_PUBSUB},
                 {"master", CLIENT_OTHER},
                 {"replica", CLIENT_OTHER},
                 {"slave", CLIENT_OTHER}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (call_word_is(text, size, types[i].word)) {
            filter->type = types[i].type;
            return true;
        }
    }
    return refuse(call, "ERR Unknown client type '%.*s'", call_quote(size), text);
}

/* LIST ID id… */
static bool read_ids(struct client_filter *filter, const struct call *call)
{
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 3);
    struct resp_arg arg;
    if (cursor.left > FILTER_IDS) {
        return refuse(call, "ERR CLIENT LIST takes no more than %d IDs", FILTER_IDS);
    }
    filter->ids = xcalloc(cursor.left, sizeof *filter->ids);
    while (resp_cursor_next(&cursor, &arg)) {
        if (!call_integer(bytes + arg.at, arg.size, &filter->ids[filter->id_count++])) {
            return refuse(call, "ERR Invalid client ID");
        }
    }
    return true;
}

bool client_filter_list(struct client_filter *filter, const struct call *call)
{
    *filter = (struct client_filter){0};
    if (call_argc(call) == 2) {
        return true;
    }
    if (call_argc(call) == 4 && call_arg_is(call, 2, "type")) {
        size_t size;
        const char *type = call_arg(call, 3, &size);
        return read_type(filter, call, type, size);
    }
    if (call_argc(call) > 3 && call_arg_is(call, 2, "id")) {
        return read_ids(filter, call);
    }
    return refuse(call, "ERR syntax error");
}

static bool read_id(struct client_filter *filter, const struct call *call, const char *text, size_t size)
{
    if (!filter->ids) {
        filter->ids = xcalloc(1, sizeof *filter->ids);
    }
    filter->id_count = 1;
    if (!call_integer(text, size, filter->ids) || filter->ids[0] < 1) {
        return refuse(call, "ERR client-id should be greater than 0");
    }
    return true;
}

static bool read_user(struct client_filter *filter, const struct call *call, const char *text, size_t size)
{
    filter->user = text;
    filter->user_size = size;
    return !call->client || login_knows(call->client, text, size) ||
           refuse(call, "ERR No such user '%.*s'", call_quote(size), text);
}

static bool read_option(struct client_filter *filter, const struct call *call, uint32_t number)
{
    size_t size;
    const char *text = call_arg(call, number + 1, &size);
    if (call_arg_is(call, number, "id")) {
        return read_id(filter, call, text, size);
    }
    if (call_arg_is(call, number, "type")) {
        return read_type(filter, call, text, size);
    }
    if (call_arg_is(call, number, "user")) {
        return read_user(filter, call, text, size);
    }
    if (call_arg_is(call, number, "addr")) {
        filter->address = text;
        filter->address_size = size;
        return true;
    }
    if (call_arg_is(call, number, "laddr")) {
        filter->own_address = text;
        filter->own_address_size = size;
        return true;
    }
    bool yes = call_word_is(text, size, "yes");
    if (call_arg_is(call, number, "skipme") && (yes || call_word_is(text, size, "no"))) {
        filter->skip_asker = yes;
        return true;
    }
    return refuse(call, "ERR syntax error");
}

bool client_filter_kill(struct client_filter *filter, const struct call *call)
{
    *filter = (struct client_filter){.skip_asker = call_argc(call) > 3};
    if (call_argc(call) == 3) {
        filter->address = call_arg(call, 2, &filter->address_size);
        return true;
    }
    for (uint32_t i = 2; i < call_argc(call); i += 2) {
        if (i + 1 == call_argc(call)) {
            return refuse(call, "ERR syntax error");
        }
        if (!read_option(filter, call, i)) {
            return false;
        }
    }
    return true;
}

void client_filter_deinit(struct client_filter *filter)
{
    free(filter->ids);
}

/* ---- choosing ---- */

static bool text_is(const char *text, const char *wanted, size_t size)
{
    return strlen(text) == size && memcmp(text, wanted, size) == 0;
}

static bool id_fits(const struct client_filter *filter, const struct client *client)
{
    for (uint32_t i = 0; i < filter->id_count; i++) {
        if ((uint64_t)filter->ids[i] == client->id) {
            return true;
        }
    }
    return filter->id_count == 0;
}

bool client_filter_fits(const struct client_filter *filter, const struct client *client,
                        const struct asker *asker)
{
    char text[TEXT_SIZE];
    if (client->dead || (filter->skip_asker && client->id == asker->id) || !id_fits(filter, client)) {
        return false;
    }
    enum client_type type = client->subscriber ? CLIENT_PUBSUB : CLIENT_NORMAL;
    if (filter->type != CLIENT_ANY && filter->type != type) {
        return false;
    }
    if (strcmp(client->listener->cluster_name, asker->cluster) != 0) {
        return false;
    }
    if (filter->user && !text_is(login_name(client), filter->user, filter->user_size)) {
        return false;
    }
    if (filter->address &&
        !text_is(client_filter_peer(client, text, sizeof text), filter->address, filter->address_size)) {
        return false;
    }
    return !filter->own_address || text_is(client_filter_own(client, text, sizeof text), filter->own_address,
                                           filter->own_address_size);
}
