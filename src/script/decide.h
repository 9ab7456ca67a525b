/* Decisions: asks a script's function for many queries with one call into Lua.
 *
 * A query whose decision raises, loops or eats the memory gets an error; the
 * call is made again for those behind it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/log.h"
#include "route/target.h"
#include "script/abi.h"
#include "script/scrap.h"
#include "script/script.h"
#include "script/state.h"

#include <time.h>

struct ev_loop;

struct decider {
    struct state *state;
    struct ev_loop *loop; /* whose turns count; NULL: there is none (checks, specs) */
    struct target_set *set;
    struct cluster *owner; /* whose script runs, or was the last to run */
    bool spare;            /* and that for the fallback */
    uint64_t now;          /* clock_ns, some batches ago */
    uint32_t untimed;      /* batches since the last whose time was taken; */
    uint32_t timed_after;  /* that of so many is next */
    struct nydus_batch *batch;
    int slots;            /* the Lua table of what scripts keep for clients, by client id; 0: none yet */
    uint64_t next_handle; /* never used twice, never 0 */
    struct scrap scrap;
    const struct target *loose[NYDUS_BATCH]; /* replies made during this batch */
    struct script_counters counters;
    struct log_limit said; /* of the errors in the log */
    time_t full_until;     /* no full collection before: the last one found little */
};

void decider_init(struct decider *decider, struct state *state);
void decider_deinit(struct decider *decider);

/* The words for what a call of that function ended with, the error being on top of the stack; counts it. */
void decider_describe(struct decider *decider, const char *name, int status, int milliseconds, char *text,
                      size_t size);
/* "ERR router: …" in `line` (256 bytes are enough): without control characters, not too long. */
size_t decider_line(const char *text, char *line, size_t room);

/* As target_set.decide asks for, with the decider as context. */
void decide(void *context, const struct target *function, struct query **queries, size_t count);
