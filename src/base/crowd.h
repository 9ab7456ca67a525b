/* The crowd: how many clients stand behind the subscriptions that hosts see.
 *
 * All clients of a worker that listen to a channel share one subscription at
 * the host, which so counts fewer than there are. Each worker writes down how
 * many more, in a row of one shared mapping that only it writes; whoever
 * answers PUBLISH adds up all rows. A row has room for some 8,000 shared
 * channels and 16 KB of patterns; what does not fit is not counted. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/line.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CROWD_BUCKETS = 2048, CROWD_WAYS = 8, CROWD_KINDS = 3, CROWD_PATTERNS = 16 * 1024 };

/* A hash table with buckets of one cache line, and the patterns. */
struct crowd_row {
    uint64_t entries[CROWD_BUCKETS][CROWD_WAYS];
    uint32_t names[CROWD_KINDS];
    uint32_t used; /* entries */
    uint32_t turn; /* odd while the patterns are being written */
    uint32_t patterns_size;
    char patterns[CROWD_PATTERNS];
} __attribute__((aligned(LINE_SIZE)));

/* The number by which a name is known in all workers; `place` tells apart where it is. */
uint64_t crowd_key(uint64_t place, const char *name, size_t size);

/* Maps the rows that children will inherit. false with errno when there is no memory. */
bool crowd_share(const uint32_t *count) __attribute__((warn_unused_result));
/* This process has row `slot`, which is empty. */
void crowd_use(uint32_t slot);
/* The process that had the row is dead: empties it. */
void crowd_settle(uint32_t slot);

/* So many more than is seen (or fewer, if negative) in this process. */
void crowd_set(uint64_t key, int32_t more);
/* … in all. */
int64_t crowd_sum(uint64_t key);

/* How many names of a kind (0 to CROWD_KINDS - 1) are listened to here, one
 * more or less; the sum over all processes. */
void crowd_add_name(unsigned kind, int32_t more);
uint64_t crowd_names(unsigned kind);

/* What this process has to say about patterns: any bytes, up to CROWD_PATTERNS. */
void crowd_set_patterns(const char *bytes, size_t size);
/* Copies those of row `slot`; returns their size, 0: it says nothing. */
size_t crowd_patterns(uint32_t slot, char out[CROWD_PATTERNS]);
uint32_t crowd_rows(void);
