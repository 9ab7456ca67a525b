/* A worker; see worker.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/worker.h"

#include "base/area.h"
#include "base/board.h"
#include "base/crowd.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/tally.h"
#include "proxy/nydus_command.h"
#include "proxy/pause.h"
#include "proxy/proxy.h"
#include "script/script.h"
#include "server/build.h"
#include "server/channel.h"
#include "server/relay.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define WORKER_BEAT 0.25 /* seconds between heartbeats */

/* A generation that is being built, a step in each turn of the loop: clients wait for no more than a step. */
struct building {
    struct errand errand;
    struct worker *worker;
    struct build *build;  /* NULL: none */
    struct packed packed; /* mapped */
    uint32_t number;
};

struct worker {
    const struct worker_options *options;
    struct ev_loop *loop;
    struct proxy *proxy;
    ev_io channel;
    ev_timer beat;
    struct building building;
    struct generation *next; /* built and voted for, waits for the master; or NULL */
    int exit_code;
};

/* The master acts on signals and tells the workers; a Ctrl-C or a service
 * manager reaches the whole group. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void worker_send(struct worker *worker, const struct message *message)
{
    if (channel_send(worker->channel.fd, message, -1))
        return;
    log_error("the master does not answer: %s", strerror(errno));
    worker->exit_code = 1;
    ev_break(worker->loop, EVBREAK_ALL);
}

static void apply_log(const struct generation *generation)
{
    const struct config *config = generation_config(generation);
    if (!log_open(config->log_file))
        log_error("cannot open the log file %s: %s", config->log_file, strerror(errno));
    log_set_level(config->log_level);
}

static void adopt(struct worker *worker, struct generation *generation)
{
    apply_log(generation);
    board->worker[worker->options->slot].generation = generation->number;
    generation_adopt(worker->proxy, generation);
}

static void vote(struct worker *worker, uint32_t number, const char *problems)
{
    struct message message = {.kind = MESSAGE_VOTE, .generation = number, .yes = !problems};
    if (problems)
        snprintf(message.text, sizeof message.text, "%s", problems);
    worker_send(worker, &message);
}

static void building_over(struct building *building)
{
    munmap(building->packed.bytes, building->packed.size);
    building->build = NULL;
}

static void discard_next(struct worker *worker)
{
    if (worker->building.build) {
        proxy_drop_errand(worker->proxy, &worker->building.errand);
        build_cancel(worker->building.build);
        building_over(&worker->building);
    }
    if (worker->next)
        generation_leave(worker->next);
    worker->next = NULL;
}

static void build_go_on(struct errand *errand)
{
    struct building *building = (struct building *)errand;
    struct worker *worker = building->worker;
    if (build_step(building->build)) {
        proxy_run_errand(worker->proxy, errand);
        return;
    }
    char *problems = NULL;
    worker->next = build_end(building->build, &problems);
    building_over(building);
    if (worker->next)
        worker->next->number = building->number;
    vote(worker, building->number, problems);
    free(problems);
}

static void build_next(struct worker *worker, const struct message *message, int memory)
{
    discard_next(worker);
    struct packed packed = {.size = message->size};
    void *bytes = memory < 0 ? MAP_FAILED : mmap(NULL, packed.size, PROT_READ, MAP_SHARED, memory, 0);
    if (bytes == MAP_FAILED) {
        vote(worker, message->generation, "the worker cannot map the configuration");
        return;
    }
    packed.bytes = bytes;
    worker->building = (struct building){.errand.run = build_go_on,
                                         .worker = worker,
                                         .build = build_begin(worker->proxy, worker->options->path, &packed),
                                         .packed = packed,
                                         .number = message->generation};
    proxy_run_errand(worker->proxy, &worker->building.errand);
}

static void commit_next(struct worker *worker, uint32_t number)
{
    if (!worker->next || worker->next->number != number) {
        log_error("generation %u was never built here", number);
        worker->exit_code = 1;
        ev_break(worker->loop, EVBREAK_ALL);
        return;
    }
    struct generation *next = worker->next;
    worker->next = NULL;
    adopt(worker, next);
}

static void on_drained(struct proxy *proxy)
{
    struct worker *worker = proxy->server;
    ev_break(worker->loop, EVBREAK_ALL);
}

/* A client of ours wants to know something of the other workers. */
static bool on_question(struct proxy *proxy, uint32_t ticket, const char *bytes, size_t size)
{
    const struct worker *worker = proxy->server;
    return relay_ask(worker->channel.fd, ticket, bytes, size);
}

/* A client of ours wants a reload. */
static void on_reload(struct proxy *proxy, uint32_t number)
{
    worker_send(proxy->server, &(struct message){.kind = MESSAGE_RELOAD, .generation = number});
}

static void reopen_log(void)
{
    if (!log_reopen())
        log_error("cannot reopen the log file: %s", strerror(errno));
}

static void worker_obey(struct worker *worker, const struct message *message, int passed)
{
    struct message done = {.kind = MESSAGE_DONE, .generation = message->generation};
    switch (message->kind) {
    case MESSAGE_BUILD:
        build_next(worker, message, passed);
        break;
    case MESSAGE_COMMIT:
        commit_next(worker, message->generation);
        break;
    case MESSAGE_ABORT:
        discard_next(worker);
        break;
    case MESSAGE_LISTEN:
        if (passed >= 0)
            proxy_listen(worker->proxy, passed, message->text, message->cluster);
        return; /* the listener owns the socket */
    case MESSAGE_UNLISTEN:
        proxy_unlisten(worker->proxy, message->text);
        break;
    case MESSAGE_REOPEN:
        reopen_log();
        break;
    case MESSAGE_DRAIN:
        proxy_drain(worker->proxy, (double)message->size, on_drained);
        break;
    case MESSAGE_RELOADED:
        nydus_command_reloaded(worker->proxy, message->generation, message->yes ? NULL : message->text);
        break;
    case MESSAGE_DONE:
        worker_send(worker, &done);
        break; /* all that came before is done */
    case MESSAGE_QUESTION:
    case MESSAGE_ASKED:
    case MESSAGE_PART:
        relay_obey(worker->proxy, worker->channel.fd, message, passed);
        break;
    case MESSAGE_ASK:
    case MESSAGE_READY:
    case MESSAGE_VOTE:
    case MESSAGE_RELOAD:
        break;
    }
    if (passed >= 0)
        close(passed);
}

static void on_channel(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct worker *worker = watcher->data;
    (void)events;
    struct message message;
    int passed;
    enum channel_status status;
    while ((status = channel_receive(watcher->fd, &message, &passed)) == CHANNEL_MESSAGE)
        worker_obey(worker, &message, passed);
    if (status == CHANNEL_CLOSED) {
        log_error("the master is gone");
        worker->exit_code = 1;
        ev_io_stop(loop, watcher);
        ev_break(loop, EVBREAK_ALL);
    }
}

static void on_beat(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct worker *worker = watcher->data;
    (void)loop;
    (void)events;
    __atomic_fetch_add(&board->worker[worker->options->slot].beats, 1, __ATOMIC_RELAXED);
}

static void worker_listen(struct worker *worker)
{
    const struct sockets *sockets = worker->options->sockets;
    for (uint32_t i = 0; i < sockets->count; i++) {
        const struct socket_address *address = &sockets->items[i];
        int fd = sockets_fd(address, worker->options->slot);
        proxy_listen(worker->proxy, fd, address->text, address->cluster);
    }
}

static bool worker_start(struct worker *worker)
{
    char *problems = NULL;
    struct generation *first =
        generation_build(worker->proxy, worker->options->path, worker->options->packed, &problems);
    if (!first) {
        log_error("%s", problems);
        free(problems);
        return false;
    }
    first->number = worker->options->generation;
    adopt(worker, first);
    pause_join(worker->proxy);
    worker_listen(worker);
    worker_send(worker, &(struct message){.kind = MESSAGE_READY, .generation = first->number});
    return true;
}

static void worker_setup(struct worker *worker)
{
    worker->loop = ev_loop_new(EVFLAG_AUTO);
    if (!worker->loop) {
        log_error("the kernel offers no event loop");
        exit(1);
    }
    worker->proxy = proxy_create(worker->loop);
    worker->proxy->server = worker;
    worker->proxy->reload = on_reload;
    worker->proxy->ask = on_question;
    /* Unique among all workers, and among those that had this slot before. */
    uint32_t slot = worker->options->slot;
    worker->proxy->slot = slot;
    worker->proxy->client_id_step = BOARD_WORKERS;
    worker->proxy->next_client_id = slot + 1 + board->stats[slot].clients_accepted * BOARD_WORKERS;
    ev_io_init(&worker->channel, on_channel, worker->options->channel, EV_READ);
    worker->channel.data = worker;
    ev_io_start(worker->loop, &worker->channel);
    ev_timer_init(&worker->beat, on_beat, 0, WORKER_BEAT);
    worker->beat.data = worker;
    ev_timer_start(worker->loop, &worker->beat);
}

static void worker_teardown(struct worker *worker)
{
    discard_next(worker);
    generation_retire(worker->proxy);
    script_leave_all();
    proxy_destroy(worker->proxy);
    ev_io_stop(worker->loop, &worker->channel);
    ev_timer_stop(worker->loop, &worker->beat);
    ev_loop_destroy(worker->loop);
    close(worker->options->channel);
}

int worker_run(const struct worker_options *options)
{
    char name[32];
    snprintf(name, sizeof name, "worker %u", options->slot + 1);
    log_set_name(name);
    ignore_signals();
    /* A worker without a master would hold the port and obey nobody. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != options->master)
        return 1;
    stats_use(&board->stats[options->slot]);
    tally_use(options->slot);
    crowd_use(options->slot);
    area_use(options->slot);

    struct worker worker = {.options = options};
    worker_setup(&worker);
    if (worker_start(&worker))
        ev_run(worker.loop, 0);
    else
        worker.exit_code = 1;
    worker_teardown(&worker);
    return worker.exit_code;
}
