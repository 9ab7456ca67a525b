/* The crew; see crew.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/crew.h"

#include "base/crowd.h"
#include "base/log.h"
#include "base/series.h"
#include "server/master.h"
#include "server/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CREW_YOUNG 5.0     /* seconds; who dies sooner is not started again at once */
#define CREW_DELAY_MIN 0.1 /* seconds of the first back-off, doubled each time */
#define CREW_DELAY_MAX 1.0  /* clients wait in the queue of its socket meanwhile */
enum { CREW_SILENT = 5, CREW_SILENT_START = 30 }; /* looks, about seconds */

double crew_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What the child inherited and must not keep: with a copy of another slot's
 * socket or channel, its end would never be seen. */
static void child_forget(struct master *master, uint32_t slot)
{
    close(master->signals);
    for (uint32_t i = 0; i < BOARD_WORKERS; i++) {
        if (master->crew.hands[i].pid && master->crew.hands[i].channel >= 0)
            close(master->crew.hands[i].channel);
    }
    if (reload_pipe(&master->reload) >= 0)
        close(reload_pipe(&master->reload));
    if (master->reload.plan)
        sockets_keep(master->reload.plan->sockets, BOARD_WORKERS);
    sockets_keep(master->plan->sockets, slot);
}

static void __attribute__((noreturn))
child_run(struct master *master, uint32_t slot, int channel, pid_t parent)
{
    child_forget(master, slot);
    struct worker_options options = {
        .slot = slot,
        .master = parent,
        .channel = channel,
        .path = master->path,
        .packed = &master->plan->packed,
        .generation = master->generation,
        .sockets = master->plan->sockets,
    };
    exit(worker_run(&options));
}

static void hand_postpone(struct hand *hand, double delay)
{
    hand->delay = delay;
    hand->restart_at = crew_clock() + delay;
}

static void hand_start(struct master *master, uint32_t slot)
{
    struct hand *hand = &master->crew.hands[slot];
    int ends[2];
    if (!channel_open(ends)) {
        log_error("cannot start worker %u: %s", slot + 1, strerror(errno));
        hand_postpone(hand, 1);
        return;
    }
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child_run(master, slot, ends[1], parent);
    }
    close(ends[1]);
    if (pid < 0) {
        log_error("cannot start worker %u: %s", slot + 1, strerror(errno));
        close(ends[0]);
        hand_postpone(hand, 1);
        return;
    }
    double delay = hand->delay;
    *hand = (struct hand){.pid = pid, .channel = ends[0], .started = crew_clock(), .delay = delay};
    hand->beats = board->worker[slot].beats;
    board->worker[slot].pid = (uint32_t)pid;
    if (board->workers <= slot)
        __atomic_store_n(&board->workers, slot + 1, __ATOMIC_RELEASE);
}

static void hand_leave(struct crew *crew, uint32_t slot)
{
    crew->hands[slot].restart_at = 0;
    if (!crew->hands[slot].pid || crew->hands[slot].leaving)
        return;
    crew->hands[slot].leaving = true;
    crew_send(crew, slot, &(struct message){.kind = MESSAGE_DRAIN, .size = MASTER_DRAIN}, -1);
}

void crew_resize(struct master *master, uint32_t count)
{
    struct crew *crew = &master->crew;
    crew->wanted = count;
    for (uint32_t slot = 0; slot < BOARD_WORKERS; slot++) {
        struct hand *hand = &crew->hands[slot];
        if (slot >= count) {
            hand_leave(crew, slot);
        } else if (!hand->pid) {
            /* A new configuration may have cured what kept it down. */
            hand->restart_at = hand->delay = 0;
            hand_start(master, slot);
        }
    }
}

bool crew_is_ready(const struct crew *crew)
{
    for (uint32_t slot = 0; slot < crew->wanted; slot++) {
        if (!crew->hands[slot].ready)
            return false;
    }
    return true;
}

bool crew_is_empty(const struct crew *crew)
{
    for (uint32_t slot = 0; slot < BOARD_WORKERS; slot++) {
        if (crew->hands[slot].pid)
            return false;
    }
    return true;
}

void crew_send(struct crew *crew, uint32_t slot, const struct message *message, int passed)
{
    struct hand *hand = &crew->hands[slot];
    if (!hand->pid || hand->channel < 0 || channel_send(hand->channel, message, passed))
        return;
    /* One that has just died is reaped in a moment. */
    if (errno == EPIPE || errno == ECONNRESET)
        return;
    log_error("worker %u (pid %d) does not take messages: %s", slot + 1, (int)hand->pid, strerror(errno));
    crew_kill(crew, slot);
}

void crew_tell_all(struct crew *crew, const struct message *message)
{
    for (uint32_t slot = 0; slot < BOARD_WORKERS; slot++)
        crew_send(crew, slot, message, -1);
}

void crew_kill(struct crew *crew, uint32_t slot)
{
    if (crew->hands[slot].pid)
        kill(crew->hands[slot].pid, SIGKILL);
}

void crew_kill_all(struct crew *crew)
{
    for (uint32_t slot = 0; slot < BOARD_WORKERS; slot++)
        crew_kill(crew, slot);
}

const char *crew_describe_end(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
                 WCOREDUMP(status) ? ", core dumped" : "");
    else
        snprintf(text, size, "exit code %d", WEXITSTATUS(status));
    return text;
}

/* At once, unless it died young: a worker that cannot live must not keep a CPU
 * busy with its dying. */
static void hand_schedule(struct hand *hand, uint32_t slot)
{
    double delay = 0;
    if (crew_clock() - hand->started < CREW_YOUNG) {
        delay = hand->delay * 2;
        delay = delay < CREW_DELAY_MIN ? CREW_DELAY_MIN : delay;
        delay = delay > CREW_DELAY_MAX ? CREW_DELAY_MAX : delay;
        log_warn("worker %u died young, it is started again in %.1f s", slot + 1, delay);
    }
    hand_postpone(hand, delay);
}

/* Its clients are gone with it, and what they waited for or listened to, but nobody counted them. */
static void row_settle(uint32_t slot)
{
    struct stats *row = &board->stats[slot];
    board->worker[slot].pid = 0;
    row->clients_closed = row->clients_accepted;
    row->clients_unblocked = row->clients_blocked;
    row->cache_bytes_given = row->cache_bytes_taken;
    row->orphaned = row->requests + row->protocol_errors - row->replies;
    crowd_settle(slot);
}

static void hand_ended(struct master *master, uint32_t slot, int status)
{
    struct hand *hand = &master->crew.hands[slot];
    char text[96];
    crew_describe_end(status, text, sizeof text);
    bool expected = hand->leaving || master->state == MASTER_STOPPING;
    if (expected)
        log_info("worker %u (pid %d) has left: %s", slot + 1, (int)hand->pid, text);
    else
        log_error("worker %u (pid %d) died: %s", slot + 1, (int)hand->pid, text);
    row_settle(slot);
    if (hand->channel >= 0)
        close(hand->channel);
    hand->channel = -1;
    hand->pid = 0;
    hand->ready = false;
    if (master->state != MASTER_STOPPING && slot < master->crew.wanted) {
        if (hand->leaving)
            hand_postpone(hand, 0);
        else
            hand_schedule(hand, slot);
    }
    if (slot >= master->crew.wanted)
        series_settle(slot);
    hand->leaving = false;
    master_worker_ended(master, slot, text);
}

static uint32_t find_slot(const struct crew *crew, pid_t pid)
{
    uint32_t slot = 0;
    while (slot < BOARD_WORKERS && crew->hands[slot].pid != pid)
        slot++;
    return slot;
}

void crew_reap(struct master *master)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        uint32_t slot = find_slot(&master->crew, pid);
        if (slot < BOARD_WORKERS)
            hand_ended(master, slot, status);
        else
            master_child_ended(master, pid, status);
    }
}

/* Counts looks and not time: when the whole machine stood still, nobody is to blame. */
static void hand_check(struct crew *crew, uint32_t slot)
{
    struct hand *hand = &crew->hands[slot];
    uint64_t beats = __atomic_load_n(&board->worker[slot].beats, __ATOMIC_RELAXED);
    hand->silent = beats == hand->beats ? hand->silent + 1 : 0;
    hand->beats = beats;
    if (hand->silent < (hand->ready ? CREW_SILENT : CREW_SILENT_START))
        return;
    log_error("worker %u (pid %d) hangs: no sign of life for %u s, it is killed", slot + 1, (int)hand->pid,
              hand->silent);
    hand->silent = 0;
    crew_kill(crew, slot);
}

void crew_check(struct master *master)
{
    for (uint32_t slot = 0; slot < BOARD_WORKERS; slot++) {
        /* The reload has a deadline of its own for workers that are building. */
        if (master->crew.hands[slot].pid && !reload_awaits(&master->reload, slot))
            hand_check(&master->crew, slot);
    }
}

void crew_restart(struct master *master)
{
    double now = crew_clock();
    for (uint32_t slot = 0; slot < master->crew.wanted; slot++) {
        struct hand *hand = &master->crew.hands[slot];
        if (hand->pid || hand->restart_at == 0 || hand->restart_at > now)
            continue;
        /* Born now, it would not have built what the others are voting on. */
        if (master->reload.phase == RELOAD_VOTING) {
            hand->restart_at = now + CREW_DELAY_MIN;
            continue;
        }
        hand->restart_at = 0;
        hand_start(master, slot);
    }
}

double crew_next_restart(const struct crew *crew)
{
    double next = 0;
    for (uint32_t slot = 0; slot < crew->wanted; slot++) {
        const struct hand *hand = &crew->hands[slot];
        if (!hand->pid && hand->restart_at > 0 && (next == 0 || hand->restart_at < next))
            next = hand->restart_at;
    }
    return next;
}
