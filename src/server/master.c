/* The master; see master.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/master.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/version.h"
#include "script/module.h"
#include "server/descriptors.h"
#include "server/generation.h"
#include "server/notify.h"
#include "server/relay.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define MASTER_CHECK 1.0 /* seconds between looks at the heartbeats */
#define MASTER_GRACE 2.0 /* seconds after the drain until workers are killed */

/* Until there is something to reload. Stopping needs no care yet, either. */
static void ignore_signals(void)
{
    static const int early[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};
    for (size_t i = 0; i < sizeof early / sizeof *early; i++)
        signal(early[i], SIG_IGN);
}

static bool take_signals(struct master *master, char **error)
{
    static const int taken[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        sigaddset(&set, taken[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    /* Inherited as ignored, a SIGCHLD would reap the workers behind our back. */
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        signal(taken[i], SIG_DFL);
    master->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (master->signals < 0)
        *error = xformat("cannot take signals: %s", strerror(errno));
    return master->signals >= 0;
}

/* Everything that can go wrong before the first worker, in the order in which
 * an operator would look for it. *error is a sentence. */
static bool master_prepare(struct master *master, char **error)
{
    struct plan *plan = master->plan;
    if (!sockets_bind(plan->sockets, NULL, plan->workers, error) ||
        !sockets_listen(plan->sockets, NULL, error) || !plan_open_log(plan, error) ||
        !descriptors_provide(plan, error))
        return false;
    if (!board_share()) {
        *error = xformat("no memory for the statistics: %s", strerror(errno));
        return false;
    }
    board->generation = master->generation;
    board->config_hash = plan->hash;
    return true;
}

static bool master_load(struct master *master)
{
    char *problems = NULL;
    const char *lua_dir = generation_lua_dir(&problems);
    if (lua_dir)
        module_prepare(lua_dir);
    free(problems); /* the loader says it, too */
    problems = NULL;
    master->plan = loader_run(master->path, &problems);
    if (!master->plan)
        fprintf(stderr, "%s\n", problems);
    free(problems);
    return master->plan != NULL;
}

/* No new clients; the workers close their copies when they drain. */
static void master_close(struct master *master)
{
    sockets_destroy(master->plan->sockets);
    master->plan->sockets = sockets_create();
}

static void master_stop(struct master *master)
{
    if (master->state == MASTER_STOPPING) {
        log_warn("stopping at once");
        crew_kill_all(&master->crew);
        return;
    }
    log_info("stopping: clients have %d s for their last replies", MASTER_DRAIN);
    notify_send("STOPPING=1");
    master->state = MASTER_STOPPING;
    master->kill_at = crew_clock() + MASTER_DRAIN + MASTER_GRACE;
    reload_cancel(master);
    master_close(master);
    crew_resize(master, 0);
}

static void master_reopen(struct master *master)
{
    if (log_reopen())
        log_info("log reopened");
    else
        log_error("cannot reopen the log file %s: %s", master->plan->log_file, strerror(errno));
    crew_tell_all(&master->crew, &(struct message){.kind = MESSAGE_REOPEN});
}

static void master_signal(struct master *master, int number)
{
    switch (number) {
    case SIGCHLD:
        crew_reap(master);
        break;
    case SIGHUP:
        reload_request(&master->reload);
        break;
    case SIGINT:
    case SIGTERM:
        master_stop(master);
        break;
    case SIGUSR1:
        master_reopen(master);
        break;
    case SIGUSR2:
        log_warn("SIGUSR2 is ignored: handing over to a new program is not possible yet");
        break;
    }
}

static void read_signals(struct master *master)
{
    struct signalfd_siginfo info;
    while (read(master->signals, &info, sizeof info) == (ssize_t)sizeof info)
        master_signal(master, (int)info.ssi_signo);
}

static void master_is_ready(struct master *master)
{
    master->state = MASTER_RUNNING;
    char *summary = plan_summary(master->plan);
    log_info("nydus %s ready: %s", NYDUS_VERSION, summary);
    free(summary);
    notify_send("READY=1");
}

static void worker_message(struct master *master, uint32_t slot, const struct message *message)
{
    struct hand *hand = &master->crew.hands[slot];
    if (message->kind == MESSAGE_RELOAD) {
        reload_request_by(&master->reload, slot, message->generation);
        return;
    }
    if (message->kind != MESSAGE_READY) {
        reload_message(master, slot, message);
        return;
    }
    hand->ready = true;
    log_info("worker %u is ready (pid %d)", slot + 1, (int)hand->pid);
    if (master->state == MASTER_STARTING && crew_is_ready(&master->crew))
        master_is_ready(master);
}

static void read_worker(struct master *master, uint32_t slot)
{
    struct hand *hand = &master->crew.hands[slot];
    struct message message;
    int passed;
    enum channel_status status;
    while ((status = channel_receive(hand->channel, &message, &passed)) == CHANNEL_MESSAGE) {
        if (message.kind == MESSAGE_ASK || message.kind == MESSAGE_PART)
            relay_forward(&master->crew, slot, &message, passed);
        else
            worker_message(master, slot, &message);
        if (passed >= 0)
            close(passed);
    }
    if (status == CHANNEL_CLOSED) {
        close(hand->channel);
        hand->channel = -1;
    }
}

void master_worker_ended(struct master *master, uint32_t slot, const char *how)
{
    reload_worker_ended(master, slot, how);
    if (master->state != MASTER_STARTING)
        return;
    /* A server that cannot even start should say so to whoever started it. */
    fprintf(stderr, "nydus: worker %u ended at start: %s\n", slot + 1, how);
    master->exit_code = 1;
    master->state = MASTER_STOPPING;
    master->kill_at = crew_clock();
    crew_resize(master, 0);
}

void master_child_ended(struct master *master, pid_t pid, int status)
{
    reload_child_ended(master, pid, status);
}

/* Milliseconds until something has to be done without being asked. */
static int master_patience(const struct master *master)
{
    double next = master->check_at, restart = crew_next_restart(&master->crew);
    if (restart > 0 && restart < next)
        next = restart;
    if (master->reload.phase != RELOAD_NONE && master->reload.deadline < next)
        next = master->reload.deadline;
    double left = (next - crew_clock()) * 1000;
    return left > 0 ? (int)left + 1 : 0;
}

static void master_duties(struct master *master)
{
    double now = crew_clock();
    if (now >= master->check_at) {
        master->check_at = now + MASTER_CHECK;
        crew_check(master);
    }
    if (master->state == MASTER_STOPPING) {
        if (now >= master->kill_at)
            crew_kill_all(&master->crew);
        return;
    }
    crew_restart(master);
    reload_turn(master);
}

static void master_wait(struct master *master)
{
    enum { SIGNALS, LOADER, WORKERS };
    static struct pollfd fds[WORKERS + BOARD_WORKERS];
    static uint32_t slots[WORKERS + BOARD_WORKERS];
    fds[SIGNALS] = (struct pollfd){.fd = master->signals, .events = POLLIN};
    fds[LOADER] = (struct pollfd){.fd = reload_pipe(&master->reload), .events = POLLIN};
    nfds_t count = WORKERS;
    for (uint32_t slot = 0; slot < board->workers; slot++) {
        const struct hand *hand = &master->crew.hands[slot];
        if (!hand->pid || hand->channel < 0)
            continue;
        slots[count] = slot;
        fds[count++] = (struct pollfd){.fd = hand->channel, .events = POLLIN};
    }
    if (poll(fds, count, master_patience(master)) <= 0)
        return;
    /* Votes first: a worker that voted and died then has voted. */
    for (nfds_t i = WORKERS; i < count; i++) {
        if (fds[i].revents)
            read_worker(master, slots[i]);
    }
    if (fds[LOADER].revents)
        reload_read(&master->reload);
    if (fds[SIGNALS].revents)
        read_signals(master);
}

static void master_loop(struct master *master)
{
    master->check_at = crew_clock() + MASTER_CHECK;
    crew_resize(master, master->plan->workers);
    while (master->state != MASTER_STOPPING || !crew_is_empty(&master->crew)) {
        master_duties(master);
        master_wait(master);
    }
}

int master_run(const char *path)
{
    static struct master master; /* large, and workers keep it reachable */
    master.path = path;
    master.generation = 1;
    log_set_name("master");
    ignore_signals();
    if (!master_load(&master))
        return 1;
    char *error = NULL;
    if (take_signals(&master, &error) && master_prepare(&master, &error)) {
        master_loop(&master);
        log_info("stopped");
    } else {
        fprintf(stderr, "nydus: %s\n", error);
        free(error);
        master.exit_code = 1;
    }
    plan_destroy(master.plan);
    close(master.signals);
    return master.exit_code;
}
