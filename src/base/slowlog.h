/* The slow log: the latest commands that took long, of all workers, newest
 * last. A ring in shared memory; an entry is written over when as many newer
 * ones have come as it holds. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/line.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SLOWLOG_ENTRIES = 128,
    SLOWLOG_USEC = 10000, /* what takes longer is logged */
    SLOWLOG_WORDS = 5632, /* bytes: 32 arguments of 128 bytes with what is said of the rest */
    SLOWLOG_NAME = 1025
};

struct slowlog_entry {
    uint64_t id;             /* from 0, never again */
    int64_t time;            /* Unix time when it was over */
    uint64_t usec;           /* from its arrival to its reply */
    uint64_t at_host;        /* how long of that the host worked at it, µs; the rest it waited */
    char host[256];          /* the host's identifier */
    char cluster[256];       /* its clients see it, and no others */
    char client[128];        /* its address; "": it had left */
    char name[SLOWLOG_NAME]; /* CLIENT SETNAME */
    uint32_t argc;
    uint32_t size;             /* of words */
    char words[SLOWLOG_WORDS]; /* the arguments: as many bulks in RESP */
};

struct slowlog_slot {
    uint64_t turn; /* 2 id + 1 while entry `id` is written, 2 id + 2 when it is whole; 0: forgotten */
    struct slowlog_entry entry;
} __attribute__((aligned(LINE_SIZE)));

struct slowlog {
    uint64_t next; /* id of the next entry */
    struct slowlog_slot slots[SLOWLOG_ENTRIES];
};

/* Points to a private one until slowlog_share, which needs zeroed memory. */
void slowlog_share(struct slowlog *shared);

/* A place for one more entry, its id set: fill in all fields, then end it. */
struct slowlog_entry *slowlog_begin(void);
void slowlog_end(struct slowlog_entry *entry);

/* The ids that there may be: *first up to, but without, *next. */
void slowlog_range(uint64_t *first, uint64_t *next);
/* Copies an entry out whole. false: it is forgotten, or being written. */
bool slowlog_read(uint64_t id, struct slowlog_entry *out);
/* An entry that has been read is there no more. */
void slowlog_forget(uint64_t id);
