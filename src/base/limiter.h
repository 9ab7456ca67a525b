/* Limiters: so many a second, for all workers together. A bucket holds `burst`
 * tokens and gets `rate` new ones a second; it is one word, the time at which it
 * will be full again (GCRA), which workers exchange without a lock.
 *
 * A limiter has one bucket of its own, and a table of buckets for keys: the
 * LIMITER_KEYS that took tokens last. They lie in the area (base/area.h) under the
 * limiter's name; rate and burst are those of whoever asks. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LIMITER_SETS = 4096, LIMITER_WAYS = 4, LIMITER_KEYS = LIMITER_SETS * LIMITER_WAYS };

struct limiter_buckets; /* in the area */

/* May be copied; nothing of it is to be freed. */
struct limiter {
    struct limiter_buckets *buckets;
    double interval; /* ns for one token */
    double depth;    /* ns for all of them */
};

/* Sets up the limiter of a name (1 to 127 bytes), which is made when there is none; to be done at load, in
 * the process that asks. rate: up to 10,000,000 a second; burst: from 1 to what a year brings. false with
 * a sentence in `error`. */
bool limiter_find(struct limiter *limiter, const char *name, size_t name_size, double rate, double burst,
                  char *error, size_t error_size) __attribute__((warn_unused_result));

/* Takes `cost` tokens (0 or more) of the bucket of a key, or of the limiter's own when key is NULL.
 * Returns 0; if there are not so many, takes none and returns in how many seconds there will be (infinite:
 * never, it is more than burst). now: limiter_now, or any clock in ns that all askers share. */
double limiter_allow(const struct limiter *limiter, const char *key, size_t size, double cost, uint64_t now);

/* Nanoseconds of the monotonic clock, some 20 ns: once for many questions is enough. */
uint64_t limiter_now(void);
