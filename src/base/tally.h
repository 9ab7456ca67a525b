/* The tally: how often each command was run, for how long, and which errors
 * clients got. One row per worker in a shared mapping, written only by that
 * worker; everyone reads. Rows are large, but memory is only what is touched. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TALLY_TABLE = 448,   /* places for the rows of the command table, by their numbers */
    TALLY_LEARNED = 128, /* and for commands that it has not, by their names; more are not counted */
    TALLY_COMMANDS = TALLY_TABLE + TALLY_LEARNED,
    TALLY_BUCKETS = 104,
    TALLY_ERRORS = 64, /* different ones; what comes then is not counted */
    TALLY_ERROR_NAME = 24,
    TALLY_NAME = 64 /* of a learned command, with its NUL */
};

struct tally_count {
    uint64_t calls;    /* it ran, or may have */
    uint64_t usec;     /* of all calls */
    uint64_t rejected; /* refused before it ran */
    uint64_t failed;   /* calls that ended with an error */
};

/* Calls by duration: four buckets to each doubling of the time, the first of 0 µs. */
struct tally_times {
    uint64_t at[TALLY_BUCKETS];
};

struct tally_error {
    uint64_t count;
    char name[TALLY_ERROR_NAME]; /* "ERR", "WRONGTYPE" …; "": free */
};

struct tally {
    struct tally_count counts[TALLY_COMMANDS];
    struct tally_error errors[TALLY_ERRORS];
    struct tally_times times[TALLY_COMMANDS];
} __attribute__((aligned(4096)));

/* This process's row: a private one until tally_use. */
extern struct tally *tally __attribute__((visibility("hidden"))); /* read per command: not by the GOT */

/* Maps rows for `most` workers, which children will inherit; *count is how many
 * there are by now. false with errno when there is no room. */
bool tally_share(uint32_t most, const uint32_t *count) __attribute__((warn_unused_result));
void tally_use(uint32_t worker);

/* The bucket of a duration. */
static inline uint32_t tally_bucket(uint64_t usec)
{
    if (usec < 4)
        return (uint32_t)usec;
    uint32_t top = 63 - (uint32_t)__builtin_clzll(usec); /* the highest bit: 2 or more */
    uint32_t bucket = (top - 1) * 4 + (uint32_t)(usec >> (top - 2) & 3);
    return bucket < TALLY_BUCKETS ? bucket : TALLY_BUCKETS - 1;
}
/* The longest duration that belongs to it. */
uint64_t tally_bucket_end(uint32_t bucket);

/* The place of a learned command, the same for all workers; TALLY_COMMANDS: there is none left. */
uint32_t tally_place(const char *name);
/* The name of the command at a place from TALLY_TABLE on, or NULL. Good for ever. */
const char *tally_name(uint32_t place);

/* One call of the command at a place, below TALLY_COMMANDS, that took so long. */
static inline void tally_call(uint32_t command, uint64_t usec)
{
    tally->counts[command].calls++;
    tally->counts[command].usec += usec;
    tally->times[command].at[tally_bucket(usec)]++;
}
void tally_failed(uint32_t command);
void tally_rejected(uint32_t command);
/* An error line of a reply, behind its '-': counted by its first word. */
void tally_error(const char *line, size_t size);

/* Of all workers, since the last reset. */
struct tally_count tally_counts(uint32_t command);
struct tally_times tally_times(uint32_t command);
/* Fills `out` and returns how many there are. */
size_t tally_errors(struct tally_error out[TALLY_ERRORS]);
/* What is counted so far counts no more: for all workers, kept in a row of its own. */
void tally_reset(void);
