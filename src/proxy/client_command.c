/* CLIENT: names, lists and switches. Nothing of it ever reaches a host. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/client_command.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "proxy/blocking.h"
#include "proxy/call.h"
#include "proxy/client_filter.h"
#include "proxy/listener.h"
#include "proxy/login.h"
#include "proxy/neighbours.h"
#include "proxy/profile.h"
#include "proxy/proxy.h"
#include "proxy/session.h"
#include "proxy/subscriber.h"
#include "proxy/watch.h"

/* Redis's rule: what can stand in CLIENT LIST without being mistaken. */
static bool attribute_fits(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '!' || text[i] > '~') {
            return false;
        }
    }
    return size <= PROFILE_WORD_MAX;
}

bool client_command_name_fits(const struct call *call, const char *name, size_t size)
{
    if (attribute_fits(name, size)) {
        return true;
    }
    call_fail(call, size > PROFILE_WORD_MAX
                        ? "ERR Client names cannot be longer than 1024 bytes."
                        : "ERR Client names cannot contain spaces, newlines or special characters.");
    return false;
}

void client_command_rename(struct client *client, const char *name, size_t size)
{
    profile_set(client, PROFILE_NAME, name, size);
}

void client_command_setname(struct call *call)
{
    size_t size;
    const char *name = call_arg(call, 2, &size);
    if (client_command_name_fits(call, name, size)) {
        client_command_rename(call->client, name, size);
        call_ok(call);
    }
}

void client_command_getname(struct call *call)
{
    struct writer reply = call_writer(call);
    const char *name = profile_word(call->client, PROFILE_NAME);
    if (name) {
        writer_text(&reply, name);
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
        profile_set(call->client, name ? PROFILE_LIBRARY : PROFILE_VERSION, text, size);
        call_ok(call);
    }
}

static void answer_number(const struct call *call, int64_t number)
{
    struct writer reply = call_writer(call);
    writer_integer(&reply, number);
    call_reply(call, &reply);
}

void client_command_id(struct call *call)
{
    answer_number(call, (int64_t)call->client->id);
}

/* ---- INFO and LIST ---- */

static const char *word_or_empty(const struct client *client, enum profile_word word)
{
    const char *text = profile_word(client, word);
    return text ? text : "";
}

/* As in Redis, letter by letter. */
static const char *flags_of(const struct client *client, bool is_unix, char *text)
{
    const struct session *session = client->session;
    char *out = text;
    const struct {
        char letter;
        bool set;
    } flags[] = {
        {'P', client->subscriber},
        {'x', session && session->open},
        {'b', session_blocks(client) || client->paused},
        {'d', session && session->watcher && watch_is_lost(session)},
        {'c', client->closing},
        {'U', is_unix},
        {'e', client->profile && client->profile->no_evict},
        {'T', client->profile && client->profile->no_touch},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (flags[i].set) {
            *out++ = flags[i].letter;
        }
    }
    if (out == text) {
        *out++ = 'N';
    }
    *out = '\0';
    return text;
}

static const char *events_of(const struct client *client)
{
    static const char *const names[] = {"", "r", "w", "rw"};
    int events = client->stream.watcher.events;
    return names[(events & EV_READ ? 1 : 0) + (events & EV_WRITE ? 2 : 0)];
}

static uint32_t count_chunks(const struct client *client)
{
    uint32_t count = 0;
    for (const struct chunk *chunk = client->stream.out.first; chunk; chunk = chunk->next) {
        count++;
    }
    return count;
}

/* One line with the fields of Redis, and those that python3-redis insists on.
 * There are no buffers of a fixed size here. */
static void describe(struct writer *out, const struct client *client)
{
    char peer[128], own[128], flags[16];
    client_filter_peer(client, peer, sizeof peer);
    client_filter_own(client, own, sizeof own);
    double now = ev_now(client->proxy->loop);
    const struct session *session = client->session;
    size_t input = client->input ? client->input->rest.size : 0;
    size_t room = client->input ? client->input->rest.room - input : 0;
    size_t queued = session ? session->queued.room : 0, output = client->stream.out.size + client->kept;
    writer_format(out, "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=%s db=%d",
                  (unsigned long long)client->id, peer, own, stream_fd(&client->stream),
                  word_or_empty(client, PROFILE_NAME), (long long)now - client->created,
                  (long long)(now - client->active), flags_of(client, own[0] == '/', flags), client->db);
    writer_format(
        out, " sub=%u psub=%u ssub=%u multi=%lld", subscriber_count_of(client, SUBSCRIPTION_CHANNEL),
        subscriber_count_of(client, SUBSCRIPTION_PATTERN), subscriber_count_of(client, SUBSCRIPTION_SHARD),
        session && session->open ? (long long)session->commands : -1);
    writer_format(out, " qbuf=%zu qbuf-free=%zu argv-mem=0 multi-mem=%zu rbs=0 rbp=0", input, room, queued);
    writer_format(out, " obl=0 oll=%u omem=%zu tot-mem=%zu", count_chunks(client), output,
                  sizeof *client + input + room + queued + output);
    writer_format(out, " events=%s cmd=%s user=%s redir=-1 resp=%u lib-name=%s lib-ver=%s\n",
                  events_of(client), client->command ? client->command->name : "NULL", login_name(client),
                  client->resp, word_or_empty(client, PROFILE_LIBRARY),
                  word_or_empty(client, PROFILE_VERSION));
}

void client_command_info(struct call *call)
{
    struct writer text = {0};
    describe(&text, call->client);
    call_verbatim(call, &text);
}

/* ---- clients of all workers ---- */

static struct client *oldest_client(const struct proxy *proxy)
{
    struct client *client = proxy->clients;
    while (client && client->next) {
        client = client->next;
    }
    return client;
}

void client_command_list(struct call *call)
{
    struct client_filter filter;
    if (client_filter_list(&filter, call)) {
        neighbours_ask(call, QUESTION_LIST);
    }
    client_filter_deinit(&filter);
}

void client_list_part(const struct call *question, struct proxy *proxy, const struct asker *asker,
                      struct writer *part)
{
    struct client_filter filter;
    client_filter_list(&filter, question);
    for (const struct client *client = oldest_client(proxy); client; client = client->previous) {
        if (client_filter_fits(&filter, client, asker)) {
            describe(part, client);
        }
    }
    client_filter_deinit(&filter);
}

/* Adds the line of the client, if there is one. */
static void add_line_of(struct writer *text, const struct writer *lines, int64_t id)
{
    for (size_t at = 0; at < lines->size;) {
        const char *line = lines->data + at, *end = memchr(line, '\n', lines->size - at);
        size_t size = (size_t)(end - line) + 1;
        if (strtoll(line + 3, NULL, 10) == id) { /* behind "id=" */
            writer_raw(text, line, size);
            return;
        }
        at += size;
    }
}

void client_list_finish(struct call *call, const struct writer *parts)
{
    struct client_filter filter;
    struct writer text = {0};
    client_filter_list(&filter, call);
    for (uint32_t i = 0; i < filter.id_count; i++) { /* in the order in which they were asked for */
        add_line_of(&text, parts, filter.ids[i]);
    }
    if (filter.id_count == 0) {
        writer_raw(&text, parts->data, parts->size);
    }
    client_filter_deinit(&filter);
    call_verbatim(call, &text);
}

void client_command_kill(struct call *call)
{
    struct client_filter filter;
    if (client_filter_kill(&filter, call)) {
        neighbours_ask(call, QUESTION_KILL);
    }
    client_filter_deinit(&filter);
}

void client_kill_part(const struct call *question, struct proxy *proxy, const struct asker *asker,
                      struct writer *part)
{
    struct client_filter filter;
    unsigned count = 0;
    client_filter_kill(&filter, question);
    for (struct client *client = proxy->clients, *next; client; client = next) {
        next = client->next;
        if (!client_filter_fits(&filter, client, asker)) {
            continue;
        }
        count++;
        if (client->id == asker->id) {
            client_finish(client); /* it gets the reply still */
        } else {
            client_close(client, "CLIENT KILL");
        }
    }
    client_filter_deinit(&filter);
    writer_format(part, "%u\n", count);
}

void client_kill_finish(struct call *call, const struct writer *parts)
{
    int64_t count = neighbours_sum(parts);
    if (call_argc(call) > 3) {
        answer_number(call, count);
    } else if (count > 0) {
        call_ok(call);
    } else {
        call_fail(call, "ERR No such client");
    }
}

/* ---- what other servers would remember ---- */

static void set_switch(const struct call *call, bool *on)
{
    if (call_arg_is(call, 2, "on") || call_arg_is(call, 2, "off")) {
        *on = call_arg_is(call, 2, "on");
        call_ok(call);
    } else {
        call_syntax_error(call);
    }
}

void client_command_no_evict(struct call *call)
{
    set_switch(call, &profile_get(call->client)->no_evict);
}

void client_command_no_touch(struct call *call)
{
    set_switch(call, &profile_get(call->client)->no_touch);
}

void client_command_reply(struct call *call)
{
    struct client *client = call->client;
    bool off = call_arg_is(call, 2, "off"), skip = call_arg_is(call, 2, "skip");
    if (!off && !skip && !call_arg_is(call, 2, "on")) {
        call_syntax_error(call);
        return;
    }
    if (off) {
        client->mute = MUTE_ALL;
    } else if (!skip) {
        client->mute = MUTE_NONE;
    } else if (client->mute != MUTE_ALL) {
        client->mute = MUTE_NEXT;
    }
    call->request->muted = off || skip;
    call_ok(call);
}

/* Behind ON or OFF: [REDIRECT id] [PREFIX text …] [BCAST] [OPTIN] [OPTOUT] [NOLOOP] */
static bool tracking_options_fit(const struct call *call)
{
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 3);
    struct resp_arg word, value;
    while (resp_cursor_next(&cursor, &word)) {
        const char *text = bytes + word.at;
        if (call_word_is(text, word.size, "redirect") || call_word_is(text, word.size, "prefix")) {
            if (!resp_cursor_next(&cursor, &value)) {
                return false;
            }
        } else if (!call_word_is(text, word.size, "bcast") && !call_word_is(text, word.size, "optin") &&
                   !call_word_is(text, word.size, "optout") && !call_word_is(text, word.size, "noloop")) {
            return false;
        }
    }
    return true;
}

void client_command_tracking(struct call *call)
{
    bool on = call_arg_is(call, 2, "on");
    if (!tracking_options_fit(call) || (!on && !call_arg_is(call, 2, "off"))) {
        call_syntax_error(call);
    } else if (on) {
        call_fail(call, "ERR 'client|tracking' with ON is not offered by Nydus yet");
    } else {
        call_ok(call);
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
    answer_number(call, -1);
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
        neighbours_ask(call, QUESTION_UNBLOCK);
    }
}

void client_unblock_part(const struct call *question, struct proxy *proxy, const struct asker *asker,
                         struct writer *part)
{
    size_t size;
    int64_t id;
    const char *text = call_arg(question, 2, &size);
    call_integer(text, size, &id);
    struct client *client = proxy->clients;
    while (client && client->id != (uint64_t)id) {
        client = client->next;
    }
    if (client && strcmp(client->listener->cluster_name, asker->cluster) != 0) {
        client = NULL;
    }
    bool error = call_argc(question) == 4 && call_arg_is(question, 3, "error");
    writer_format(part, "%d\n", client && blocking_end(client, error));
}

void client_unblock_finish(struct call *call, const struct writer *parts)
{
    answer_number(call, neighbours_sum(parts));
}
