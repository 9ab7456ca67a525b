/* The loader; see loader.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loader.h"

#include "base/area.h"
#include "base/log.h"
#include "base/memory.h"
#include "server/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOADER_CHUNK = 64 * 1024 };

/* The first byte says what follows. */
static const char PLAN = 'P', PROBLEMS = '!';

static void __attribute__((noreturn)) child_run(const char *path, int out, pid_t parent)
{
    log_set_name("loader");
    area_enter(NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    FILE *file = getppid() == parent ? fdopen(out, "w") : NULL;
    if (!file)
        _exit(1);
    char *problems = NULL;
    struct plan *plan = plan_load(path, &problems);
    fputc(plan ? PLAN : PROBLEMS, file);
    if (plan)
        plan_write(plan, file);
    else
        fputs(problems, file);
    _exit(fflush(file) == 0 ? 0 : 1);
}

bool loader_start(struct loader *loader, const char *path, char **problems)
{
    int ends[2];
    *loader = (struct loader){.pipe = -1};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        *problems = xformat("cannot load %s: %s", path, strerror(errno));
        return false;
    }
    fflush(NULL);
    pid_t parent = getpid();
    loader->pid = fork();
    if (loader->pid == 0) {
        close(ends[0]);
        child_run(path, ends[1], parent);
    }
    close(ends[1]);
    if (loader->pid < 0) {
        *problems = xformat("cannot load %s: %s", path, strerror(errno));
        close(ends[0]);
        loader->pid = 0;
        return false;
    }
    loader->pipe = ends[0];
    fcntl(loader->pipe, F_SETFL, O_NONBLOCK);
    return true;
}

void loader_read(struct loader *loader)
{
    for (;;) {
        if (loader->room - loader->size < LOADER_CHUNK) {
            loader->room = loader->room * 2 + LOADER_CHUNK;
            loader->bytes = xrealloc(loader->bytes, loader->room);
        }
        ssize_t got = read(loader->pipe, loader->bytes + loader->size, loader->room - loader->size - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return;
        loader->size += (size_t)got;
    }
}

static void loader_reset(struct loader *loader)
{
    if (loader->pipe >= 0)
        close(loader->pipe);
    if (loader->bytes)
        explicit_bzero(loader->bytes, loader->size);
    free(loader->bytes);
    *loader = (struct loader){.pipe = -1};
}

static struct plan *loader_plan(const struct loader *loader, const char *path, int status, char **problems)
{
    bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 0 && loader->size > 0;
    struct plan *plan = NULL;
    char text[96];
    if (ended && loader->bytes[0] == PLAN)
        plan = plan_read(loader->bytes + 1, loader->size - 1);
    else if (ended)
        *problems = xstrndup(loader->bytes + 1, loader->size - 1);
    if (!plan && !*problems)
        *problems = xformat("%s: the process that loaded it died: %s", path,
                            crew_describe_end(status, text, sizeof text));
    return plan;
}

struct plan *loader_finish(struct loader *loader, const char *path, int status, char **problems)
{
    loader_read(loader);
    struct plan *plan = loader_plan(loader, path, status, problems);
    loader_reset(loader);
    return plan;
}

void loader_cancel(struct loader *loader)
{
    if (!loader->pid)
        return;
    kill(loader->pid, SIGKILL);
    loader_reset(loader);
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

struct plan *loader_run(const char *path, char **problems)
{
    struct loader loader;
    if (!loader_start(&loader, path, problems))
        return NULL;
    double deadline = crew_clock() + LOADER_PATIENCE;
    struct pollfd ready = {.fd = loader.pipe, .events = POLLIN};
    while (!(ready.revents & POLLHUP) && crew_clock() < deadline) {
        if (poll(&ready, 1, 100) > 0)
            loader_read(&loader);
    }
    if (ready.revents & POLLHUP)
        return loader_finish(&loader, path, wait_for(loader.pid), problems);
    pid_t pid = loader.pid;
    loader_cancel(&loader);
    wait_for(pid);
    *problems = xformat("%s: it takes longer than %.0f s to load", path, LOADER_PATIENCE);
    return NULL;
}
