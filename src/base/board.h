/* The board: what all processes of one server see of each other, in one
 * shared mapping. The master writes what concerns the whole server, each
 * worker only its own row and its own counters; everyone reads. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/line.h"
#include "base/slowlog.h"
#include "base/stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BOARD_WORKERS = 1024, BOARD_REASON = 1024 };

struct board_worker {
    uint64_t beats;      /* turns of the heartbeat timer; a hung worker's stands still */
    uint32_t pid;        /* 0: no process */
    uint32_t generation; /* it routes by this one */
    double pause_until;  /* CLIENT PAUSE: seconds of the monotonic clock; 0: it goes on */
    uint32_t pause;      /* of what kind, enum pause_kind */
    uint32_t pause_cluster; /* of which cluster, a hash of its name */
} __attribute__((aligned(LINE_SIZE)));

struct board {
    uint32_t workers;          /* rows in use, counted from 0; never shrinks */
    uint32_t generation;       /* of the configuration in force; 0 before the first */
    uint32_t reloads;          /* asked for since the start */
    bool last_reload_success;  /* true before the first */
    int64_t last_reload_at;    /* Unix time; 0 before the first */
    int64_t started_at;        /* Unix time */
    uint64_t config_hash;      /* of all files of the configuration in force */
    uint32_t reason_turn;      /* odd while the reason is being written */
    char reason[BOARD_REASON]; /* see board_reason */
    struct board_worker worker[BOARD_WORKERS];
    struct stats stats[BOARD_WORKERS];
    struct stats stats_base; /* see stats_reset */
    struct slowlog slowlog;
};

/* A private one until board_share. */
extern struct board *board;

/* Maps the board that children will inherit, and points stats, tally and slow log to it.
 * false with errno when there is no memory. */
bool board_share(void) __attribute__((warn_unused_result));

/* Why the last reload was refused, in words, cut to fit; "" when it was not. */
void board_set_reason(const char *text);
/* Copies it out whole, whatever the master is doing. */
void board_reason(char *out, size_t size);
