/* The area: what router scripts keep for all workers, in one mapping that the
 * master makes before it forks. Everything in it has a name and stays until
 * the server ends, so that a reload, or the worker that takes a dead one's
 * place, finds it again.
 *
 * What is no server (--check, specs, the loader of a reload) has an area of its
 * own, made when it is first asked for. Memory is only what is touched. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum area_kind {
    AREA_COUNTER,
    AREA_GAUGE,
    AREA_HISTOGRAM,
    AREA_LIMITER,
    AREA_DICTIONARY,
    AREA_CLAIMS,
    AREA_KINDS
};

enum {
    AREA_NAME = 128,               /* bytes of a name, with its NUL */
    AREA_ROW = 288 * 1024,         /* bytes that each worker has for itself: see base/series.h */
    AREA_HEAP = 256 * 1024 * 1024, /* bytes for all that has a size of its own */
};

struct area_thing {
    uint32_t kind;         /* enum area_kind */
    uint32_t place;        /* how many were there before it: counters and gauges count together */
    uint64_t offset, size; /* in the heap; size 0: it has nothing there */
    char name[AREA_NAME];
};

/* Maps an area for rows of `most` workers; *count is how many there are by now. The master's own row is
 * another, which nobody reads. false with errno when there is no room. */
bool area_share(uint32_t most, const uint32_t *count) __attribute__((warn_unused_result));
/* This process is that worker from now on. */
void area_use(uint32_t worker);

/* For processes that try a configuration, or several: an area with one row; NULL with errno. */
struct area *area_create(void);
/* It is that of this process from now on; NULL: another, which is made when it is needed. */
void area_enter(struct area *area);
/* Nothing that was made of it may be used any more. NULL is fine. */
void area_destroy(struct area *area);

/* What is to be found, and how it is made if there is none of that name. */
struct area_wish {
    enum area_kind kind;
    const char *name;
    size_t name_size;
    size_t size; /* bytes in the heap, which are 0 at first */
    /* May write to the first 4 KB before others see it; or NULL. */
    void (*make)(void *memory, const struct area_wish *wish);
    const void *context; /* for make */
};

/* The thing, good for ever. One that is there already keeps its size. NULL with a sentence in `error`:
 * another kind has the name, or there is no room. */
const struct area_thing *area_find(const struct area_wish *wish, char *error, size_t error_size);
/* Its bytes in the heap. */
void *area_memory(const struct area_thing *thing);

/* All things in the order in which they were made; NULL behind the last one. Asks nobody to make an area. */
const struct area_thing *area_thing(uint32_t index);

/* The rows of all workers, AREA_ROW bytes each; `own` is this process's. */
uint32_t area_rows(void);
void *area_row(uint32_t worker);
void *area_own_row(void);
