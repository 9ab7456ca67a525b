/* The crew: the worker processes as the master sees them. It starts them,
 * notices when they die or hang, and replaces them. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/board.h"
#include "server/channel.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct master;

/* One of the crew: the process of a worker slot. */
struct hand {
    pid_t pid;         /* 0: none */
    int channel;       /* the master's end; -1: none, or closed by the worker */
    bool ready;        /* serves clients */
    bool leaving;      /* drains, and is not replaced while the slot is not wanted */
    double started;    /* master's clock, seconds */
    double restart_at; /* pid 0: when to start it again; 0: not wanted */
    double delay;      /* the last back-off, seconds */
    uint64_t beats;    /* of the board when it was last looked at */
    uint32_t silent;   /* looks without a new beat */
    uint32_t asked;    /* questions of other workers that it has not answered yet, see relay.h */
};

struct crew {
    struct hand hands[BOARD_WORKERS];
    uint32_t wanted; /* slots 0 .. wanted-1 are to have a process */
};

/* Seconds of the monotonic clock. */
double crew_clock(void);

/* Starts what is missing and lets what is too many drain. */
void crew_resize(struct master *master, uint32_t count);
/* Every slot that is wanted serves clients. */
bool crew_is_ready(const struct crew *crew);
/* No process is left. */
bool crew_is_empty(const struct crew *crew);

/* Sends to one of them; one that does not read any more is killed. */
void crew_send(struct crew *crew, uint32_t slot, const struct message *message, int passed);
void crew_tell_all(struct crew *crew, const struct message *message);
/* SIGKILL, to be reaped later. */
void crew_kill(struct crew *crew, uint32_t slot);
void crew_kill_all(struct crew *crew);

/* After SIGCHLD. Children that are not of the crew go to master_child_ended. */
void crew_reap(struct master *master);
/* "signal 9 (Killed)", "exit code 1" for a status of waitpid; returns text. */
const char *crew_describe_end(int status, char *text, size_t size);
/* Once a second: kills workers whose heart stands still. */
void crew_check(struct master *master);
/* Starts again what is due; and when the next one is due (0: none). */
void crew_restart(struct master *master);
double crew_next_restart(const struct crew *crew);
