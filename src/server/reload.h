/* A reload in the master: all workers take the new configuration, or none.
 *
 *   loader ─► plan ─► bind new sockets ─► BUILD to every worker ─► votes
 *      all yes ─► UNLISTEN, COMMIT, LISTEN, DONE ─► echoes ─► new workers, old ones drain
 *      one no, dead or late ─► ABORT: everything stays
 *
 * A worker that dies or hangs while it builds is taken for a no, because the
 * configuration may be the cause; the reload is tried once more. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/board.h"
#include "server/channel.h"
#include "server/loader.h"
#include "server/plan.h"

#include <stdbool.h>
#include <stdint.h>

struct master;

enum reload_phase {
    RELOAD_NONE,      /* nothing is going on */
    RELOAD_LOADING,   /* the loader reads and checks the files */
    RELOAD_VOTING,    /* workers are building */
    RELOAD_COMMITTING /* decided; workers are swapping */
};

struct reload {
    enum reload_phase phase;
    bool wanted; /* SIGHUP came; several count as one */
    bool retry;  /* this is the second try */
    struct loader loader;
    struct plan *plan;        /* the new one while voting; owned */
    uint32_t generation;      /* its number */
    double started, deadline; /* master's clock, seconds */
    bool awaits[BOARD_WORKERS];
    uint32_t awaited;
    uint32_t asks[BOARD_WORKERS];  /* the worker's last number that waits for the next one; 0: none */
    uint32_t waits[BOARD_WORKERS]; /* for this one */
};

/* Remembers that a reload is wanted; reload_turn begins it. */
void reload_request(struct reload *reload);
/* The same for a worker, which is told how it went: MESSAGE_RELOADED. One that
 * has begun already may have read the files before: the worker waits for the next. */
void reload_request_by(struct reload *reload, uint32_t slot, uint32_t number);
/* Every turn of the master's loop: begins, and ends what takes too long. */
void reload_turn(struct master *master);
/* MESSAGE_VOTE and MESSAGE_DONE. */
void reload_message(struct master *master, uint32_t slot, const struct message *message);
void reload_worker_ended(struct master *master, uint32_t slot, const char *how);
/* The loader's pipe for poll, or -1; and what is to be done when it is readable. */
int reload_pipe(const struct reload *reload);
void reload_read(struct reload *reload);
/* A child that is no worker has ended: perhaps the loader. */
void reload_child_ended(struct master *master, pid_t pid, int status);
/* Is the worker building or swapping? */
bool reload_awaits(const struct reload *reload, uint32_t slot);
/* The server stops: forgets it, without a word but to those who wait for it. */
void reload_cancel(struct master *master);
