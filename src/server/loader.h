/* The loader: a child of the master that reads and checks a configuration, so
 * that whatever the files do (loop inside a C function, crash, eat memory,
 * wait for a name server) the master goes on supervising. It sends the plan
 * through a pipe and ends. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "server/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define LOADER_PATIENCE 20.0 /* seconds a configuration may take to load */

struct loader {
    pid_t pid;   /* 0: none is running */
    int pipe;    /* where the plan comes from, non-blocking */
    char *bytes; /* what came so far; owned */
    size_t size, room;
};

/* false with *problems when there can be no child. */
bool loader_start(struct loader *loader, const char *path, char **problems)
    __attribute__((warn_unused_result));
/* Takes what is in the pipe. To be called whenever it is readable, or the child gets stuck. */
void loader_read(struct loader *loader);
/* The child has ended with this status of waitpid: the plan, or NULL with one
 * problem per line. The loader is ready for the next start. */
struct plan *loader_finish(struct loader *loader, const char *path, int status, char **problems)
    __attribute__((warn_unused_result));
/* Kills the child, if there is one; it is reaped with the others. */
void loader_cancel(struct loader *loader);

/* All of it, waiting: at the start of the server. */
struct plan *loader_run(const char *path, char **problems) __attribute__((warn_unused_result));
