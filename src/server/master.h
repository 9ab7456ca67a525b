/* The master: checks the configuration, holds the listening sockets, keeps the
 * workers alive, and acts on signals. It serves no clients itself.
 *
 *   SIGHUP             reload
 *   SIGTERM, SIGINT    drain and leave; the second one: leave at once
 *   SIGUSR1            open the log again */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "server/crew.h"
#include "server/plan.h"
#include "server/reload.h"

enum { MASTER_DRAIN = 10 }; /* seconds that clients get for their last replies */

enum master_state {
    MASTER_STARTING, /* not all workers serve yet, for the first time */
    MASTER_RUNNING,
    MASTER_STOPPING /* waits for the workers to leave */
};

struct master {
    /* Set by config */
    const char *path;    /* config.lua as the operator calls it */
    struct plan *plan;   /* in force; owned */
    uint32_t generation; /* its number, from 1 */

    /* Changing at run time */
    enum master_state state;
    int signals;     /* a signalfd */
    double check_at; /* the next look at the heartbeats, master's clock */
    double kill_at;  /* stopping: when patience ends */
    int exit_code;
    struct crew crew;
    struct reload reload;
};

/* Runs the server until it is told to stop. Returns the exit code: 0, or 1
 * after one line per problem on stderr. */
int master_run(const char *path);

/* The crew's notice that a worker is gone, however it went. */
void master_worker_ended(struct master *master, uint32_t slot, const char *how);
/* The same of a child that is no worker. */
void master_child_ended(struct master *master, pid_t pid, int status);
