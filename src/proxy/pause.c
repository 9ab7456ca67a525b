/* CLIENT PAUSE; see pause.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/pause.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/board.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/stats.h"
#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/intake.h"
#include "proxy/listener.h"
#include "proxy/neighbours.h"
#include "proxy/transaction.h"

/* ---- this worker's clients ---- */

/* Of the clients of one cluster. */
struct pause {
    struct pause *next;
    struct proxy *proxy;
    char *cluster; /* its name */
    enum pause_kind kind;
    double until; /* seconds of the monotonic clock */
    ev_timer over;
};

static struct pause *find(const struct proxy *proxy, const char *cluster)
{
    struct pause *pause = proxy->pauses;
    while (pause && strcmp(pause->cluster, cluster) != 0) {
        pause = pause->next;
    }
    return pause;
}

static bool has_to_wait(const struct client *client, const struct command *command)
{
    const struct pause *pause = find(client->proxy, client->listener->cluster_name);
    return pause && (pause->kind == PAUSE_ALL || (command->flags & (COMMAND_WRITE | COMMAND_MAY_REPLICATE)) ||
                     transaction_would_write(client, command));
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
        client_forsake(take(client));
    }
}

static double monotonic_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint32_t number_of(const char *cluster)
{
    return hash_key(HASH_XXH64, HASH_PLAIN, cluster, strlen(cluster));
}

static void forget(struct pause *pause)
{
    struct proxy *proxy = pause->proxy;
    struct board_worker *row = &board->worker[proxy->slot];
    struct pause **place = &proxy->pauses;
    while (*place != pause) {
        place = &(*place)->next;
    }
    *place = pause->next;
    if (row->pause_cluster == number_of(pause->cluster)) {
        row->pause_until = 0;
    }
    ev_timer_stop(proxy->loop, &pause->over);
    free(pause->cluster);
    free(pause);
}

/* What goes on may close other clients: these stay where they are until the turn's end. */
static void go_on_all(struct pause *pause)
{
    struct proxy *proxy = pause->proxy;
    char *cluster = xstrdup(pause->cluster);
    forget(pause);
    for (struct client *client = proxy->clients, *next; client; client = next) {
        next = client->next;
        if (client->paused && strcmp(client->listener->cluster_name, cluster) == 0) {
            intake_again(client, take(client));
        }
    }
    free(cluster);
}

void pause_adopt(struct proxy *proxy)
{
    for (struct pause *pause = proxy->pauses, *next; pause; pause = next) {
        next = pause->next;
        if (!generation_find(proxy->generation, pause->cluster)) {
            go_on_all(pause);
        }
    }
}

static void over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    go_on_all(timer->data);
}

static struct pause *get(struct proxy *proxy, const char *cluster)
{
    struct pause *pause = find(proxy, cluster);
    if (!pause) {
        pause = xcalloc(1, sizeof *pause);
        pause->proxy = proxy;
        pause->cluster = xstrdup(cluster);
        pause->next = proxy->pauses;
        ev_timer_init(&pause->over, over, 0., 0.);
        pause->over.data = pause;
        proxy->pauses = pause;
    }
    return pause;
}

/* As in Redis, a pause makes one that goes on already stricter and longer, never the other way. */
static void hold_all(struct proxy *proxy, const char *cluster, enum pause_kind kind, double until)
{
    struct board_worker *row = &board->worker[proxy->slot];
    struct pause *pause = get(proxy, cluster);
    pause->kind = kind > pause->kind ? kind : pause->kind;
    if (until > pause->until) {
        pause->until = until;
        ev_timer_stop(proxy->loop, &pause->over);
        ev_timer_set(&pause->over, until - monotonic_now(), 0.);
        ev_timer_start(proxy->loop, &pause->over);
    }
    row->pause = pause->kind;
    row->pause_cluster = number_of(cluster);
    row->pause_until = pause->until;
}

/* The row of a worker says which cluster was paused last. */
static void join_row(struct proxy *proxy, const struct board_worker *row)
{
    const struct generation *generation = proxy->generation;
    if (!row->pid || row->pause_until <= monotonic_now()) {
        return;
    }
    for (uint32_t i = 0; i < generation->count; i++) {
        if (number_of(generation->clusters[i]->name) == row->pause_cluster) {
            hold_all(proxy, generation->clusters[i]->name, row->pause, row->pause_until);
        }
    }
}

void pause_join(struct proxy *proxy)
{
    board->worker[proxy->slot].pause_until = 0; /* of the one before it */
    for (uint32_t slot = 0; slot < board->workers; slot++) {
        if (slot != proxy->slot) {
            join_row(proxy, &board->worker[slot]);
        }
    }
}

void pause_deinit(struct proxy *proxy)
{
    while (proxy->pauses) {
        forget(proxy->pauses);
    }
}

/* ---- the commands ---- */

/* Redis 7.0 takes what is nearly the greatest integer and does not pause at all, later ones refuse it. */
static const int64_t MILLISECONDS_MAX = INT64_MAX / 2;

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
    } else if (value > MILLISECONDS_MAX) {
        call_fail(call, "ERR timeout is out of range");
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
    hold_all(proxy, asker->cluster, write ? PAUSE_WRITE : PAUSE_ALL, monotonic_now() + (double)value / 1000);
    (void)part;
}

void pause_end(struct call *call)
{
    neighbours_ask(call, QUESTION_UNPAUSE);
}

void pause_end_part(const struct call *question, struct proxy *proxy, const struct asker *asker,
                    struct writer *part)
{
    struct pause *pause = find(proxy, asker->cluster);
    if (pause) {
        go_on_all(pause);
    }
    (void)question;
    (void)part;
}

void pause_finish(struct call *call, const struct writer *parts)
{
    (void)parts;
    call_ok(call);
}
