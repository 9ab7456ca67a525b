/* CLIENT PAUSE; see pause.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/pause.h"

#include <time.h>

#include "base/board.h"
#include "base/stats.h"
#include "proxy/call.h"
#include "proxy/intake.h"
#include "proxy/neighbours.h"
#include "proxy/transaction.h"

/* ---- this worker's clients ---- */

static bool has_to_wait(const struct client *client, const struct command *command)
{
    return client->proxy->pause == PAUSE_ALL || (command->flags & (COMMAND_WRITE | COMMAND_MAY_REPLICATE)) ||
           transaction_would_write(client, command);
}

bool pause_holds(struct client *client, struct request *request)
{
    if (!has_to_wait(client, request->query.command)) {
        return false;
    }
    request_keep_bytes(request);
    client_hold(client);
    client->paused = request;
    stats->clients_blocked++;
    return true;
}

static struct request *take(struct client *client)
{
    struct request *request = client->paused;
    client->paused = NULL;
    stats->clients_unblocked++;
    return request;
}

void pause_leave(struct client *client)
{
    if (client->paused) {
        request_put(take(client)); /* nobody else knows it */
    }
}

static void go_on(struct client *client)
{
    struct request *request = take(client);
    client->hold = false;
    intake_again(client, request);
    if (!client->hold && !client->dead) {
        client_release(client);
    }
}

static double monotonic_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What goes on may close other clients: these stay where they are until the turn's end. */
static void go_on_all(struct proxy *proxy)
{
    proxy->pause = PAUSE_NONE;
    board->worker[proxy->slot].pause_until = 0;
    ev_timer_stop(proxy->loop, &proxy->pause_over);
    for (struct client *client = proxy->clients, *next; client; client = next) {
        next = client->next;
        if (client->paused) {
            go_on(client);
        }
    }
}

static void over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    go_on_all(timer->data);
}

/* As in Redis, a pause makes one that goes on already stricter and longer, never the other way. */
static void hold_all(struct proxy *proxy, enum pause_kind kind, double seconds)
{
    struct board_worker *row = &board->worker[proxy->slot];
    double now = monotonic_now(), until = now + seconds;
    if (kind > proxy->pause) {
        proxy->pause = kind;
    }
    row->pause = proxy->pause;
    if (until <= row->pause_until) {
        return;
    }
    row->pause_until = until;
    ev_timer_stop(proxy->loop, &proxy->pause_over);
    ev_timer_init(&proxy->pause_over, over, seconds, 0.);
    proxy->pause_over.data = proxy;
    ev_timer_start(proxy->loop, &proxy->pause_over);
}

void pause_join(struct proxy *proxy)
{
    double now = monotonic_now();
    board->worker[proxy->slot].pause_until = 0; /* of the one before it */
    for (uint32_t slot = 0; slot < board->workers; slot++) {
        const struct board_worker *row = &board->worker[slot];
        if (row->pid && slot != proxy->slot && row->pause_until > now) {
            hold_all(proxy, row->pause, row->pause_until - now);
        }
    }
}

void pause_deinit(struct proxy *proxy)
{
    ev_timer_stop(proxy->loop, &proxy->pause_over);
}

/* ---- the commands ---- */

static bool milliseconds(const struct call *call, int64_t *value)
{
    size_t size;
    const char *text = call_arg(call, 2, &size);
    return call_integer(text, size, value);
}

void pause_begin(struct call *call)
{
    int64_t value;
    size_t size;
    const char *word = call_arg(call, 1, &size);
    bool mode = call_argc(call) == 4;
    if (call_argc(call) > 4) {
        call_fail(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.",
                  call_quote(size), word);
    } else if (mode && !call_arg_is(call, 3, "write") && !call_arg_is(call, 3, "all")) {
        call_fail(call, "ERR CLIENT PAUSE mode must be WRITE or ALL");
    } else if (!milliseconds(call, &value)) {
        call_fail(call, "ERR timeout is not an integer or out of range");
    } else if (value < 0) {
        call_fail(call, "ERR timeout is negative");
    } else {
        neighbours_ask(call, QUESTION_PAUSE);
    }
}

void pause_begin_part(const struct call *question, struct proxy *proxy, const struct asker *asker,
                      struct writer *part)
{
    int64_t value = 0;
    bool write = call_argc(question) == 4 && call_arg_is(question, 3, "write");
    milliseconds(question, &value);
    hold_all(proxy, write ? PAUSE_WRITE : PAUSE_ALL, (double)value / 1000);
    (void)asker;
    (void)part;
}

void pause_end(struct call *call)
{
    neighbours_ask(call, QUESTION_UNPAUSE);
}

void pause_end_part(const struct call *question, struct proxy *proxy, const struct asker *asker,
                    struct writer *part)
{
    go_on_all(proxy);
    (void)question;
    (void)asker;
    (void)part;
}

void pause_finish(struct call *call, const struct writer *parts)
{
    (void)parts;
    call_ok(call);
}
