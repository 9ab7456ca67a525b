/* Intake; see intake.h.
 *
 *   socket ─► scratch ─► whole commands ─► batch ─► dispatch
 *                 └─ the rest ─► client->input ─► … with the next read */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/intake.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/stats.h"
#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "proxy/lesson.h"
#include "proxy/listener.h"
#include "proxy/local.h"
#include "proxy/login.h"
#include "proxy/order.h"
#include "proxy/pause.h"
#include "proxy/policy.h"
#include "proxy/proxy.h"
#include "proxy/subscriber.h"
#include "proxy/transaction.h"
#include "resp/alike.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INTAKE_BATCH = 128 };
/* Of what comes in one read: from here on a big command at its end is not copied. */
enum { INTAKE_GIVE = 48 * 1024 };
/* What is read behind a command that blocks: enough to see that the client leaves. */
enum { INTAKE_GATHER = 256 * 1024 };

/* The commands of one read event, until they are dispatched together. */
struct batch {
    struct request *requests[INTAKE_BATCH];
    size_t count;
    const struct command *last; /* of the request before, for one that is alike; NULL: look it up */
};

static void batch_flush(struct batch *batch)
{
    size_t count = batch->count;
    batch->count = 0;
    if (count)
        dispatch_batch(batch->requests, count);
}

static void batch_add(struct batch *batch, struct request *request)
{
    batch->requests[batch->count++] = request;
    if (batch->count == INTAKE_BATCH)
        batch_flush(batch);
}

/* ---- one command ---- */

/* Redis repeats up to 128 bytes of the arguments of a command it does not know. */
static void fail_unknown(struct request *request, const char *start)
{
    char words[160];
    size_t used = 0;
    struct resp_cursor cursor;
    struct resp_arg name, arg;
    resp_cursor_init(&cursor, start);
    resp_cursor_next(&cursor, &name);
    words[0] = '\0';
    while (used < 128 && resp_cursor_next(&cursor, &arg)) {
        int room = (int)(128 - used), size = arg.size < (uint32_t)room ? (int)arg.size : room;
        used += (size_t)snprintf(words + used, sizeof words - used, "'%.*s' ", size, start + arg.at);
    }
    int size = name.size < 128 ? (int)name.size : 128;
    request_fail(request, FAILURE_LOCAL, "ERR unknown command '%.*s', with args beginning with: %s", size,
                 start + name.at, words);
}

static void fail_unknown_sub(struct request *request, const struct command *command, const char *sub,
                             size_t size)
{
    char upper[32];
    size_t length = strlen(command->name);
    for (size_t i = 0; i <= length && i < sizeof upper; i++)
        upper[i] =
            command->name[i] >= 'a' && command->name[i] <= 'z' ? command->name[i] - 32 : command->name[i];
    request_fail(request, FAILURE_LOCAL, "ERR unknown subcommand '%.*s'. Try %.30s HELP.",
                 size < 128 ? (int)size : 128, sub, upper);
}

/* Are hosts asked what they know, while the request waits? Not for somebody who has not logged in. */
static bool intake_learns(struct client *client, struct request *request)
{
    struct cluster *cluster = client_cluster(client);
    return cluster && !login_is_missing(client) && lesson_keeps(cluster, request, false);
}

/* A name that the table has not. NULL: the request has been failed, or waits until hosts have been asked. */
static const struct command *find_learned(struct client *client, struct request *request, const char *start,
                                          const struct resp_arg *name)
{
    struct cluster *cluster = client_cluster(client);
    if (local_is_http(start + name->at, name->size)) {
        log_warn("a client speaks HTTP; it may be a page in a browser that tries to reach us: closed");
        client_close(client, "it speaks HTTP");
        request_fail(request, FAILURE_LOCAL, "ERR no HTTP here"); /* nobody hears it, but it ends */
        return NULL;
    }
    const struct command *command = cluster ? lesson_find(cluster, start + name->at, name->size) : NULL;
    if (!command && !intake_learns(client, request))
        fail_unknown(request, start);
    return command;
}

static const struct command *find_learned_sub(struct client *client, struct request *request,
                                              const struct command *command, const char *sub, size_t size)
{
    struct cluster *cluster = client_cluster(client);
    const struct command *row = cluster ? lesson_find_sub(cluster, command, sub, size) : NULL;
    if (!row && !intake_learns(client, request))
        fail_unknown_sub(request, command, sub, size);
    return row;
}

/* The command's row, in the request, too; NULL: that has been failed, or is kept and its client held. */
static const struct command *find_command(struct client *client, struct request *request, const char *start,
                                          const struct resp_request *scan, struct batch *batch)
{
    const struct resp_arg *name = &scan->args[0], *sub = &scan->args[1];
    const struct command *command = command_find_inside(start + name->at, name->size);
    bool plain = command && !(command->flags & COMMAND_CONTAINER);
    if (!command) {
        command = find_learned(client, request, start, name);
        if (!command)
            return NULL;
    }
    if ((command->flags & COMMAND_CONTAINER) && scan->argc > 1) {
        const struct command *row = command_find_sub(command, start + sub->at, sub->size);
        if (!row)
            row = find_learned_sub(client, request, command, start + sub->at, sub->size);
        if (!row)
            return NULL;
        command = row;
    }
    request->query.command = command;
    if (command_arity_fits(command, scan->argc)) {
        batch->last = plain ? command : NULL;
        return command;
    }
    bool aborts = transaction_aborts(client, command);
    request_fail(request, FAILURE_LOCAL, "%s wrong number of arguments for '%s' command",
                 aborts ? "EXECABORT Transaction discarded because of:" : "ERR", command->name);
    return NULL;
}

/* May its client run it? false: it has been refused. */
static __attribute__((noinline)) bool intake_admits(struct client *client, struct request *request,
                                                    const struct resp_request *scan)
{
    struct call call = {.client = client, .request = request, .scan = scan};
    return login_admits(&call);
}

static enum local_verdict intake_local(struct client *client, struct batch *batch, struct request *request,
                                       const struct resp_request *scan)
{
    bool sends = policy_of(request->query.command)->sends;
    if (sends)
        batch_flush(batch);
    if (client->dead) { /* what was flushed has closed it, and left the request to nobody */
        request_fail(request, FAILURE_LOCAL, "ERR its client has gone");
        return LOCAL_ANSWERED;
    }
    if (sends && client->order && order_keeps_alone(client, request))
        return LOCAL_ANSWERED;
    return local_handle(client, request, scan);
}

/* Nothing keeps the request from running any more. */
static inline void intake_run(struct client *client, struct batch *batch, struct request *request,
                              const struct resp_request *scan)
{
    if (client->session && transaction_takes(client, request, scan))
        return;
    if (!policy_routes(request->query.command) &&
        intake_local(client, batch, request, scan) == LOCAL_ANSWERED)
        return;
    if (!dispatch_find_keys(request, scan))
        return;
    request->query.target = request->cluster->root;
    batch_add(batch, request);
}

/* A reload may have dropped it. */
static bool intake_has_cluster(struct client *client, struct request *request)
{
    if (client_cluster(client))
        return true;
    transaction_spoil(client);
    request_fail(request, FAILURE_LOCAL, "ERR cluster '%s' is no longer configured",
                 client->listener->cluster_name);
    return false;
}

/* Sets a queued request on its way. */
static inline void intake_request(struct client *client, struct batch *batch, struct request *request,
                                  const struct resp_request *scan)
{
    const struct command *command = batch->last;
    if (command)
        request->query.command = command;
    else
        command = find_command(client, request, request->query.bytes, scan, batch);
    if (!command) {
        if (!client->hold)
            transaction_spoil(client);
        return;
    }
    client->command = command;
    if (!intake_has_cluster(client, request))
        return;
    request_join_cluster(request, client_cluster(client));
    if (client->account && !intake_admits(client, request, scan))
        return;
    if (client->subscriber && subscriber_refuses(client, request))
        return;
    if (client->proxy->pauses && pause_holds(client, request))
        return;
    intake_run(client, batch, request, scan);
}

void intake_again(struct client *client, struct request *request)
{
    struct batch batch;
    struct resp_request scan = {0};
    batch.count = 0;
    batch.last = NULL;
    client->hold &= (uint8_t)~HOLD_COMMAND;
    resp_scan_request(&scan, request->query.bytes, request->query.size, UINT32_MAX);
    if (!request->query.command)
        intake_request(client, &batch, request, &scan);
    else if (intake_has_cluster(client, request) && /* a reload may have changed that, and the account */
             (!client->account || intake_admits(client, request, &scan)))
        intake_run(client, &batch, request, &scan);
    batch_flush(&batch);
    if (!(client->hold & HOLD_COMMAND) && !client->dead) /* it may wait once more */
        client_release(client);
}

/* Makes a request of a command. `memory`: its bytes' allocation, or NULL when they are borrowed. */
static void intake_command(struct client *client, struct batch *batch, const char *start,
                           const struct resp_request *scan, char *memory)
{
    struct request *request = request_get();
    request->memory = memory;
    request->query.bytes = start;
    request->query.size = scan->size;
    request->query.argc = scan->argc;
    client_queue(client, request);
    stats->requests++;
    intake_request(client, batch, request, scan);
}

static void intake_inline(struct client *client, struct batch *batch, const char *line, size_t size)
{
    char *out;
    size_t out_size;
    struct resp_request scan = {0};
    if (!resp_inline(line, size, &out, &out_size)) {
        struct request *request = request_get();
        client_queue(client, request);
        stats->protocol_errors++;
        request_fail(request, FAILURE_LOCAL, "ERR Protocol error: unbalanced quotes in request");
        client_finish(client);
        return;
    }
    if (out_size && resp_scan_request(&scan, out, out_size, UINT32_MAX) == RESP_DONE)
        intake_command(client, batch, out, &scan, out);
    else
        free(out);
    batch->last = NULL; /* the line itself has no scan */
}

static void intake_error(struct client *client, const char *error)
{
    struct request *request = request_get();
    client_queue(client, request);
    stats->protocol_errors++;
    request_fail(request, FAILURE_LOCAL, "ERR %s", error);
    client_finish(client);
}

/* ---- many ---- */

static bool intake_goes_on(const struct client *client)
{
    return !client->hold && !client->closing && !client->dead;
}

/* The next command. One that is like the one before has its scan, which is still there, and its row. */
static inline enum resp_status intake_scan(struct client *client, struct batch *batch,
                                           struct resp_request *scan, const char *start, size_t size)
{
    if (batch->last) {
        if (!login_is_missing(client) && alike_request(scan, start - scan->size, start, size))
            return RESP_DONE;
        batch->last = NULL;
        *scan = (struct resp_request){0};
    }
    const struct cluster *cluster = client_cluster(client);
    uint32_t max_request = cluster ? cluster->max_request : RESP_MAX_INLINE;
    enum resp_status status = resp_scan_request(scan, start, size, max_request);
    return login_is_missing(client) ? login_limits(scan, start, status) : status;
}

/* Takes the whole commands of data[0..size); returns the bytes they took. A
 * big one at the end of `owner` (the allocation that holds data) takes it
 * along: *owner is NULL then. */
static size_t intake_commands(struct client *client, struct resp_request *scan, char *data, size_t size,
                              char **owner)
{
    struct batch batch;
    batch.count = 0;
    batch.last = NULL;
    size_t at = 0;
    while (at < size && intake_goes_on(client)) {
        enum resp_status status = intake_scan(client, &batch, scan, data + at, size - at);
        if (status == RESP_MORE)
            break;
        size_t whole = scan->size;
        if (status == RESP_ERROR) {
            intake_error(client, scan->error);
        } else if (status == RESP_INLINE) {
            intake_inline(client, &batch, data + at, whole);
        } else if (owner && whole >= REST_GIVE && at + whole == size) {
            batch_flush(&batch); /* those before it lie in the same memory */
            if (client->dead)
                break;
            char *memory = *owner;
            *owner = NULL;
            intake_command(client, &batch, data + at, scan, memory);
        } else if (scan->argc) {
            intake_command(client, &batch, data + at, scan, NULL);
        }
        at += whole;
        if (!batch.last)
            *scan = (struct resp_request){0};
    }
    if (batch.last)
        *scan = (struct resp_request){0};
    batch_flush(&batch);
    return at;
}

/* ---- what waits ---- */

void intake_drop(struct client *client)
{
    if (!client->input)
        return;
    rest_drop(&client->input->rest);
    free(client->input);
    client->input = NULL;
    client->resume = false;
}

static void intake_keep(struct client *client, const char *bytes, size_t size,
                        const struct resp_request *scan)
{
    struct input *input = xmalloc(sizeof *input);
    input->scan = *scan;
    rest_keep(&input->rest, bytes, size, scan->want);
    client->input = input;
    client->resume = client->hold;
}

/* Scans what waits. The input is out of the client's hands meanwhile: a
 * protocol error drops it, a big command leaves with it. */
static void intake_input(struct client *client)
{
    struct input *input = client->input;
    char *data = input->rest.data, *owner = data;
    size_t size = input->rest.size;
    client->input = NULL;
    size_t used = intake_commands(client, &input->scan, data, size, &owner);
    if (!used && intake_goes_on(client)) {
        client->input = input;
        return;
    }
    if (used < size && !client->closing && !client->dead)
        intake_keep(client, data + used, size - used, &input->scan);
    input->rest.data = owner;
    rest_drop(&input->rest);
    free(input);
}

/* Is all that is missing the end of one bulk, of a command big enough to be given away? */
static bool input_lacks_bulk(const struct input *input)
{
    const struct resp_request *scan = &input->scan;
    return scan->bulk >= 0 && scan->seen + 1 == scan->argc && input->rest.size + scan->want >= REST_GIVE;
}

/* A big command leaves with the scratch memory, if it fills that well. */
static size_t intake_scratch(struct client *client, struct resp_request *scan, char *data, size_t size)
{
    struct proxy *proxy = client->proxy;
    char *memory = proxy_scratch_memory(proxy);
    size_t used = intake_commands(client, scan, data, size, size >= INTAKE_GIVE ? &memory : NULL);
    if (!memory)
        proxy_make_scratch(proxy);
    return used;
}

enum intake_status intake_read(struct client *client)
{
    size_t got, room = PROXY_READ_SIZE;
    struct input *input = client->input;
    char *into = client->proxy->scratch;
    bool stays = input && (input->rest.size > REST_SHORT || input_lacks_bulk(input));
    if (stays) {
        room = rest_make_room(&input->rest, input->scan.want, input_lacks_bulk(input), PROXY_READ_SIZE);
        into = input->rest.data + input->rest.size;
    }
    enum stream_status status = stream_read(&client->stream, into, room, &got);
    if (status != STREAM_OK)
        return status == STREAM_AGAIN ? INTAKE_OK : status == STREAM_END ? INTAKE_END : INTAKE_BROKEN;
    stats->input_bytes += got;
    client->reads++;
    if (stays) {
        input->rest.size += got;
        intake_input(client);
        return INTAKE_OK;
    }
    struct resp_request scan = {0};
    if (input) {
        size_t before = rest_take(&input->rest, into);
        scan = input->scan;
        into -= before;
        got += before;
        free(input);
        client->input = NULL;
    }
    size_t used = intake_scratch(client, &scan, into, got);
    if (used < got && !client->closing && !client->dead)
        intake_keep(client, into + used, got - used, &scan);
    return INTAKE_OK;
}

bool intake_has_room(const struct client *client)
{
    return !client->input || client->input->rest.size < INTAKE_GATHER;
}

enum intake_status intake_gather(struct client *client)
{
    size_t got;
    char *scratch = client->proxy->scratch;
    enum stream_status status = stream_read(&client->stream, scratch, PROXY_READ_SIZE, &got);
    if (status != STREAM_OK)
        return status == STREAM_AGAIN ? INTAKE_OK : status == STREAM_END ? INTAKE_END : INTAKE_BROKEN;
    stats->input_bytes += got;
    struct input *input = client->input;
    if (!input) {
        struct resp_request scan = {0};
        intake_keep(client, scratch, got, &scan);
        return INTAKE_OK;
    }
    rest_append(&input->rest, scratch, got);
    client->resume = true;
    return INTAKE_OK;
}

void intake_resume(struct client *client)
{
    if (client->input)
        intake_input(client);
}
