/* A worker: one process with one loop that serves clients, and does what the
 * master says over its channel. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "server/generation.h"
#include "server/sockets.h"

#include <stdint.h>
#include <sys/types.h>

struct worker_options {
    uint32_t slot; /* from 0; its row on the board, its place among the sockets */
    pid_t master;
    int channel;                   /* its end; the worker's now */
    const char *path;              /* config.lua as the operator calls it */
    const struct packed *packed;   /* the configuration to begin with */
    uint32_t generation;           /* its number */
    const struct sockets *sockets; /* those of its slot are the worker's now */
};

/* Runs in a fresh child of the master until the worker is told to leave or the
 * master is gone. Returns the exit code. */
int worker_run(const struct worker_options *options);
