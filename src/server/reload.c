/* A reload; see reload.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/reload.h"

#include "base/log.h"
#include "base/memory.h"
#include "server/descriptors.h"
#include "server/master.h"
#include "server/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RELOAD_PATIENCE 5.0 /* seconds; longer when loading took long, too */

void reload_request(struct reload *reload)
{
    reload->wanted = true;
}

void reload_request_by(struct reload *reload, uint32_t slot, uint32_t number)
{
    reload->asks[slot] = number;
    reload->wanted = true;
}

/* To those who wait, and nobody waits any more. */
static void tell_outcome(struct master *master, bool success, const char *reason)
{
    struct message message = {.kind = MESSAGE_RELOADED, .yes = success};
    snprintf(message.text, sizeof message.text, "%s", reason);
    for (uint32_t slot = 0; slot < BOARD_WORKERS; slot++) {
        if (!master->reload.waits[slot])
            continue;
        message.generation = master->reload.waits[slot];
        master->reload.waits[slot] = 0;
        crew_send(&master->crew, slot, &message, -1);
    }
}

/* Those who asked while another reload was under way wait for this one. */
static void let_askers_wait(struct reload *reload)
{
    for (uint32_t slot = 0; slot < BOARD_WORKERS; slot++) {
        if (reload->asks[slot])
            reload->waits[slot] = reload->asks[slot];
        reload->asks[slot] = 0;
    }
}

bool reload_awaits(const struct reload *reload, uint32_t slot)
{
    return reload->phase != RELOAD_NONE && reload->awaits[slot];
}

static void reload_end(struct reload *reload)
{
    plan_destroy(reload->plan);
    reload->plan = NULL;
    reload->phase = RELOAD_NONE;
    memset(reload->awaits, 0, sizeof reload->awaits);
    reload->awaited = 0;
}

void reload_cancel(struct master *master)
{
    struct reload *reload = &master->reload;
    reload->wanted = false;
    loader_cancel(&reload->loader);
    reload_end(reload);
    let_askers_wait(reload);
    tell_outcome(master, false, "the server stops");
}

int reload_pipe(const struct reload *reload)
{
    return reload->loader.pid ? reload->loader.pipe : -1;
}

void reload_read(struct reload *reload)
{
    loader_read(&reload->loader);
}

static void publish(struct master *master, bool success, const char *reason)
{
    board->last_reload_success = success;
    board->last_reload_at = time(NULL);
    board_set_reason(reason);
    tell_outcome(master, success, reason);
}

/* One log line per problem; everything stays as it was. */
static void reload_refuse(struct master *master, const char *problems)
{
    for (const char *line = problems; *line;) {
        size_t length = strcspn(line, "\n");
        log_error("reload refused: %.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
    log_error("generation %u of %s stays in force", master->generation, master->path);
    publish(master, false, problems);
    reload_end(&master->reload);
    master->reload.retry = false;
    notify_send("READY=1");
}

static void reload_abort(struct master *master)
{
    struct reload *reload = &master->reload;
    struct message message = {.kind = MESSAGE_ABORT, .generation = reload->generation};
    crew_tell_all(&master->crew, &message);
}

/* A worker that failed is no proof against the configuration: once more. */
static void reload_worker_failed(struct master *master, const char *problem)
{
    struct reload *reload = &master->reload;
    reload_abort(master);
    if (reload->retry) {
        reload_refuse(master, problem);
        return;
    }
    log_warn("%s: the reload begins again", problem);
    reload_end(reload);
    reload->retry = true;
    reload->wanted = true;
}

static bool reload_prepare(struct master *master, char **problems)
{
    struct plan *plan = master->reload.plan;
    return plan_check_log(plan, problems) && descriptors_provide(plan, problems) &&
           sockets_bind(plan->sockets, master->plan->sockets, plan->workers, problems);
}

/* The bytes of the configuration in a file of memory that nobody can change. */
static int reload_memory(const struct packed *packed)
{
    int fd = memfd_create("nydus-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    for (size_t done = 0; done < packed->size;) {
        ssize_t written = write(fd, packed->bytes + done, packed->size - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            close(fd);
            return -1;
        }
        done += (size_t)written;
    }
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    return fd;
}

static void reload_await(struct reload *reload, uint32_t slot)
{
    reload->awaits[slot] = true;
    reload->awaited++;
}

static bool hand_stays(const struct master *master, uint32_t slot)
{
    const struct hand *hand = &master->crew.hands[slot];
    return hand->pid && !hand->leaving;
}

static void reload_ask(struct master *master, int memory)
{
    struct reload *reload = &master->reload;
    struct message message = {
        .kind = MESSAGE_BUILD, .generation = reload->generation, .size = reload->plan->packed.size};
    reload->phase = RELOAD_VOTING;
    for (uint32_t slot = 0; slot < reload->plan->workers; slot++) {
        if (!hand_stays(master, slot))
            continue;
        reload_await(reload, slot);
        crew_send(&master->crew, slot, &message, memory);
    }
    double now = crew_clock(), took = now - reload->started;
    reload->deadline = now + (took * 10 > RELOAD_PATIENCE ? took * 10 : RELOAD_PATIENCE);
}

static void tell_about(struct crew *crew, uint32_t slot, enum message_kind kind,
                       const struct socket_address *address)
{
    struct message message = {.kind = kind};
    strncpy(message.cluster, address->cluster, sizeof message.cluster - 1);
    strncpy(message.text, address->text, sizeof message.text - 1);
    crew_send(crew, slot, &message, kind == MESSAGE_LISTEN ? sockets_fd(address, slot) : -1);
}

/* Tells of every address in `these` that is not in `those`. */
static void tell_difference(struct crew *crew, uint32_t slot, enum message_kind kind,
                            const struct sockets *these, const struct sockets *those)
{
    for (uint32_t i = 0; i < these->count; i++) {
        const struct socket_address *address = &these->items[i];
        if (!sockets_find(those, address->text, address->cluster))
            tell_about(crew, slot, kind, address);
    }
}

static void commit_worker(struct master *master, uint32_t slot, const struct plan *old)
{
    struct reload *reload = &master->reload;
    struct crew *crew = &master->crew;
    descriptors_share(crew->hands[slot].pid);
    tell_difference(crew, slot, MESSAGE_UNLISTEN, old->sockets, master->plan->sockets);
    crew_send(crew, slot, &(struct message){.kind = MESSAGE_COMMIT, .generation = reload->generation}, -1);
    tell_difference(crew, slot, MESSAGE_LISTEN, master->plan->sockets, old->sockets);
    crew_send(crew, slot, &(struct message){.kind = MESSAGE_DONE, .generation = reload->generation}, -1);
    reload_await(reload, slot);
}

static void reload_done(struct master *master)
{
    struct reload *reload = &master->reload;
    log_info("generation %u: %s reloaded in %.0f ms", master->generation, master->path,
             (crew_clock() - reload->started) * 1000);
    publish(master, true, "");
    reload_end(reload);
    reload->retry = false;
    notify_send("READY=1");
}

/* From here on there is no way back: who dies now is replaced on the new plan. */
static void reload_commit(struct master *master)
{
    struct reload *reload = &master->reload;
    struct plan *old = master->plan;
    char *error = NULL;
    master->plan = reload->plan;
    reload->plan = NULL;
    master->generation = reload->generation;
    board->generation = reload->generation;
    board->config_hash = master->plan->hash;
    if (!sockets_listen(master->plan->sockets, old->sockets, &error))
        log_error("%s", error);
    free(error);
    error = NULL;
    if (!plan_open_log(master->plan, &error))
        log_error("%s", error);
    free(error);

    reload->phase = RELOAD_COMMITTING;
    reload->awaited = 0;
    reload->deadline = crew_clock() + RELOAD_PATIENCE;
    memset(reload->awaits, 0, sizeof reload->awaits);
    for (uint32_t slot = 0; slot < master->plan->workers; slot++) {
        if (hand_stays(master, slot))
            commit_worker(master, slot, old);
    }
    /* Before new workers inherit what the old plan still had open. */
    plan_destroy(old);
    crew_resize(master, master->plan->workers);
    if (!reload->awaited)
        reload_done(master);
}

static void reload_problems(struct master *master, char *problems)
{
    reload_refuse(master, problems);
    free(problems);
}

static void reload_begin(struct master *master)
{
    struct reload *reload = &master->reload;
    char *problems = NULL;
    reload->wanted = false;
    let_askers_wait(reload);
    reload->started = crew_clock();
    reload->deadline = reload->started + LOADER_PATIENCE;
    reload->generation = master->generation + 1;
    board->reloads++;
    notify_reloading();
    if (loader_start(&reload->loader, master->path, &problems))
        reload->phase = RELOAD_LOADING;
    else
        reload_problems(master, problems);
}

/* The files are fine; now the workers have to say. */
static void reload_loaded(struct master *master)
{
    struct reload *reload = &master->reload;
    char *problems = NULL;
    int memory = -1;
    if (reload_prepare(master, &problems)) {
        memory = reload_memory(&reload->plan->packed);
        if (memory < 0)
            problems = xformat("no memory for the configuration: %s", strerror(errno));
    }
    if (problems) {
        reload_problems(master, problems);
        return;
    }
    reload_ask(master, memory);
    close(memory);
    if (!reload->awaited)
        reload_commit(master);
}

void reload_child_ended(struct master *master, pid_t pid, int status)
{
    struct reload *reload = &master->reload;
    if (reload->phase != RELOAD_LOADING || pid != reload->loader.pid)
        return;
    char *problems = NULL;
    reload->plan = loader_finish(&reload->loader, master->path, status, &problems);
    if (reload->plan)
        reload_loaded(master);
    else
        reload_problems(master, problems);
}

/* Another worker's vote may have ended the matter already. */
static bool reload_check_in(struct reload *reload, uint32_t slot)
{
    if (!reload->awaits[slot])
        return false;
    reload->awaits[slot] = false;
    return --reload->awaited == 0;
}

static void reload_no(struct master *master, uint32_t slot, const char *text)
{
    reload_abort(master);
    reload_problems(master, xformat("worker %u: %s", slot + 1, text));
}

void reload_message(struct master *master, uint32_t slot, const struct message *message)
{
    struct reload *reload = &master->reload;
    if (message->generation != reload->generation || !reload_awaits(reload, slot))
        return;
    if (message->kind == MESSAGE_VOTE && reload->phase == RELOAD_VOTING) {
        if (!message->yes)
            reload_no(master, slot, message->text);
        else if (reload_check_in(reload, slot))
            reload_commit(master);
    } else if (message->kind == MESSAGE_DONE && reload->phase == RELOAD_COMMITTING) {
        if (reload_check_in(reload, slot))
            reload_done(master);
    }
}

void reload_worker_ended(struct master *master, uint32_t slot, const char *how)
{
    struct reload *reload = &master->reload;
    reload->asks[slot] = reload->waits[slot] = 0; /* the next one there counts from 1 again */
    if (!reload_awaits(reload, slot))
        return;
    if (reload->phase == RELOAD_VOTING) {
        char *problem = xformat("worker %u ended while it was building: %s", slot + 1, how);
        reload_worker_failed(master, problem);
        free(problem);
    } else if (reload_check_in(reload, slot)) {
        reload_done(master);
    }
}

/* Their deaths, reported in a moment, decide how it goes on. */
static void reload_late(struct master *master)
{
    struct reload *reload = &master->reload;
    reload->deadline = crew_clock() + RELOAD_PATIENCE;
    for (uint32_t slot = 0; slot < BOARD_WORKERS; slot++) {
        if (!reload->awaits[slot])
            continue;
        log_error("worker %u does not answer to the reload, it is killed", slot + 1);
        crew_kill(&master->crew, slot);
    }
}

static void reload_stuck(struct master *master)
{
    loader_cancel(&master->reload.loader);
    reload_problems(master,
                    xformat("%s: it takes longer than %.0f s to load", master->path, LOADER_PATIENCE));
}

void reload_turn(struct master *master)
{
    struct reload *reload = &master->reload;
    bool over = crew_clock() >= reload->deadline;
    if (reload->phase == RELOAD_LOADING && over)
        reload_stuck(master);
    else if (reload->phase != RELOAD_NONE && over)
        reload_late(master);
    if (reload->phase == RELOAD_NONE && reload->wanted && master->state == MASTER_RUNNING)
        reload_begin(master);
}
