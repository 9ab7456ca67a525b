/* CLIENT: names and lists. What would change how replies come (REPLY OFF,
 * TRACKING ON, …) is refused, and nothing of it ever reaches a host. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/client_command.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "net/address.h"
#include "proxy/blocking.h"
#include "proxy/call.h"
#include "proxy/proxy.h"

enum { ATTRIBUTE_MAX = 1024 }; /* bytes of a name; a client's memory is bounded */
enum { LIST_MAX = 1000 };      /* IDs of one CLIENT LIST: each is looked for among all clients */

/* Redis's rule: what can stand in CLIENT LIST without being mistaken. */
static bool attribute_fits(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '!' || text[i] > '~') {
            return false;
        }
    }
    return size <= ATTRIBUTE_MAX;
}

/* The empty text takes the attribute away. */
static void attribute_set(char **attribute, const char *text, size_t size)
{
    free(*attribute);
    *attribute = size > 0 ? xstrndup(text, size) : NULL;
}

bool client_command_rename(struct call *call, const char *name, size_t size)
{
    if (!attribute_fits(name, size)) {
        call_fail(call, size > ATTRIBUTE_MAX
                            ? "ERR Client names cannot be longer than 1024 bytes."
                            : "ERR Client names cannot contain spaces, newlines or special characters.");
        return false;
    }
    attribute_set(&call->client->name, name, size);
    return true;
}

void client_command_setname(struct call *call)
{
    size_t size;
    const char *name = call_arg(call, 2, &size);
    if (client_command_rename(call, name, size)) {
        call_ok(call);
    }
}

void client_command_getname(struct call *call)
{
    struct writer reply = call_writer(call);
    if (call->client->name) {
        writer_text(&reply, call->client->name);
    } else {
        writer_null(&reply);
    }
    call_reply(call, &reply);
}

void client_command_setinfo(struct call *call)
{
    size_t size, word_size;
    const char *word = call_arg(call, 2, &word_size), *text = call_arg(call, 3, &size);
    bool name = call_word_is(word, word_size, "lib-name");
    if (!name && !call_word_is(word, word_size, "lib-ver")) {
        call_fail(call, "ERR Unrecognized option '%.*s'", call_quote(word_size), word);
    } else if (!attribute_fits(text, size)) {
        call_fail(call, "ERR %s cannot contain spaces, newlines or special characters.",
                  name ? "lib-name" : "lib-ver");
    } else {
        attribute_set(name ? &call->client->library : &call->client->library_version, text, size);
        call_ok(call);
    }
}

void client_command_id(struct call *call)
{
    struct writer reply = call_writer(call);
    writer_integer(&reply, (int64_t)call->client->id);
    call_reply(call, &reply);
}

/* ---- INFO and LIST ---- */

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

/* Our end of the client's connection. */
static const char *local_address(const struct client *client, char *text, size_t size)
{
    struct address address = {.size = sizeof address.storage};
    if (getsockname(stream_fd(&client->stream), (struct sockaddr *)&address.storage, &address.size) != 0) {
        return "";
    }
    return address_text(&address, text, size);
}

/* One line with the fields of Redis that have a meaning here, and those that
 * python3-redis insists on. */
static void describe(struct writer *out, const struct client *client, const char *command)
{
    char peer[128], own[128];
    double now = ev_now(client->proxy->loop);
    size_t input = client->input ? client->input->rest.size : 0;
    size_t room = client->input ? client->input->rest.room - input : 0;
    writer_format(out, "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=N db=%d",
                  (unsigned long long)client->id, client_address(client, peer, sizeof peer),
                  local_address(client, own, sizeof own), stream_fd(&client->stream),
                  text_or_empty(client->name), (long long)(now - client->created),
                  (long long)(now - client->active), client->db);
    writer_format(out, " sub=0 psub=0 ssub=0 multi=-1 qbuf=%zu qbuf-free=%zu argv-mem=0 multi-mem=0",
                  input, room);
    writer_format(out, " obl=0 oll=%u omem=%zu tot-mem=%zu", client->pending, client->stream.out.size,
                  sizeof *client + input + room + client->stream.out.size);
    writer_format(out, " events=%s cmd=%s user=default redir=-1 resp=%u lib-name=%s lib-ver=%s\n",
                  client->stream.out.size > 0 ? "rw" : "r", command, client->resp,
                  text_or_empty(client->library), text_or_empty(client->library_version));
}

void client_command_info(struct call *call)
{
    struct writer text = {0};
    describe(&text, call->client, "client|info");
    call_verbatim(call, &text);
}

/* The line of a client of the list, unless it is about to be freed. */
static void describe_in_list(struct writer *out, const struct call *call, const struct client *client)
{
    if (!client->dead) {
        describe(out, client, client == call->client ? "client|list" : "NULL");
    }
}

static const struct client *client_find(const struct proxy *proxy, int64_t id)
{
    const struct client *client = proxy->clients;
    while (client && (int64_t)client->id != id) {
        client = client->next;
    }
    return client;
}

/* CLIENT LIST ID id… */
static void list_ids(struct call *call)
{
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 3);
    struct resp_arg arg;
    struct writer text = {0};
    if (cursor.left > LIST_MAX) {
        call_fail(call, "ERR CLIENT LIST takes no more than %d IDs", LIST_MAX);
        return;
    }
    while (resp_cursor_next(&cursor, &arg)) {
        int64_t id;
        if (!call_integer(bytes + arg.at, arg.size, &id) || id < 1) {
            writer_deinit(&text);
            call_fail(call, "ERR Invalid client ID");
            return;
        }
        const struct client *client = client_find(call->client->proxy, id);
        if (client) {
            describe_in_list(&text, call, client);
        }
    }
    call_verbatim(call, &text);
}

static void list_all(struct call *call)
{
    struct writer text = {0};
    for (const struct client *client = call->client->proxy->clients; client; client = client->next) {
        describe_in_list(&text, call, client);
    }
    call_verbatim(call, &text);
}

/* CLIENT LIST TYPE type: everybody is normal. */
static void list_type(struct call *call)
{
    size_t size;
    const char *type = call_arg(call, 3, &size);
    struct writer none = {0};
    if (call_word_is(type, size, "normal")) {
        list_all(call);
    } else if (call_word_is(type, size, "master") || call_word_is(type, size, "replica") ||
               call_word_is(type, size, "slave") || call_word_is(type, size, "pubsub")) {
        call_verbatim(call, &none);
    } else {
        call_fail(call, "ERR Unknown client type '%.*s'", call_quote(size), type);
    }
}

void client_command_list(struct call *call)
{
    if (call_argc(call) == 2) {
        list_all(call);
    } else if (call_argc(call) == 4 && call_arg_is(call, 2, "type")) {
        list_type(call);
    } else if (call_argc(call) > 3 && call_arg_is(call, 2, "id")) {
        list_ids(call);
    } else {
        call_syntax_error(call);
    }
}

/* ---- what other servers would remember ---- */

void client_command_switch(struct call *call)
{
    if (call_arg_is(call, 2, "on") || call_arg_is(call, 2, "off")) {
        call_ok(call);
    } else {
        call_syntax_error(call);
    }
}

void client_command_reply(struct call *call)
{
    if (call_arg_is(call, 2, "on")) {
        call_ok(call);
    } else if (call_arg_is(call, 2, "off") || call_arg_is(call, 2, "skip")) {
        call_fail(call, "ERR 'client|reply' with OFF or SKIP is not offered by Nydus yet");
    } else {
        call_syntax_error(call);
    }
}

void client_command_tracking(struct call *call)
{
    if (call_arg_is(call, 2, "off") && call_argc(call) == 3) {
        call_ok(call);
    } else if (call_arg_is(call, 2, "on")) {
        call_fail(call, "ERR 'client|tracking' with ON is not offered by Nydus yet");
    } else {
        call_syntax_error(call);
    }
}

void client_command_trackinginfo(struct call *call)
{
    struct writer reply = call_writer(call);
    writer_map(&reply, 3);
    writer_text(&reply, "flags");
    writer_set(&reply, 1);
    writer_text(&reply, "off");
    writer_text(&reply, "redirect");
    writer_integer(&reply, -1);
    writer_text(&reply, "prefixes");
    writer_array(&reply, 0);
    call_reply(call, &reply);
}

void client_command_caching(struct call *call)
{
    call_fail(call, "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
                    "OPTOUT mode enabled");
}

void client_command_getredir(struct call *call)
{
    struct writer reply = call_writer(call);
    writer_integer(&reply, -1);
    call_reply(call, &reply);
}

static struct client *find_client(const struct proxy *proxy, int64_t id)
{
    for (struct client *client = proxy->clients; client; client = client->next) {
        if (client->id == (uint64_t)id) {
            return client;
        }
    }
    return NULL;
}

void client_command_unblock(struct call *call)
{
    size_t size, word_size;
    int64_t id;
    const char *text = call_arg(call, 2, &size), *word = call_arg(call, 1, &word_size);
    if (call_argc(call) > 4) {
        call_fail(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.",
                  call_quote(word_size), word);
    } else if (call_argc(call) == 4 && !call_arg_is(call, 3, "timeout") && !call_arg_is(call, 3, "error")) {
        call_fail(call, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    } else if (!call_integer(text, size, &id)) {
        call_fail(call, "ERR value is not an integer or out of range");
    } else {
        struct client *client = find_client(call->client->proxy, id);
        bool error = call_argc(call) == 4 && call_arg_is(call, 3, "error");
        bool ended = client && blocking_end(client, error);
        request_answer(call->request, ended ? ":1\r\n" : ":0\r\n", 4);
    }
}
