/* Series: the numbers that router scripts count, by name. Each worker writes
 * its own share in its row of the area (base/area.h), without a lock and in
 * lines of its own; readers add up. What a worker counted stays when it dies. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/area.h"

enum { SERIES_BUCKETS = 256 };

/* The buckets of a histogram: a value is in the first one whose end it does not exceed, or in the one behind
 * the last. count 0: four buckets to each doubling, the first for all below 2^-32, the last for all from
 * 2^31.5 on. */
struct series_bounds {
    uint32_t count;
    double ends[SERIES_BUCKETS - 1]; /* ascending */
};

struct series_histogram {
    double sum;
    uint64_t at[SERIES_BUCKETS];
    struct series_bounds bounds;
};

/* kind: AREA_COUNTER, AREA_GAUGE or AREA_HISTOGRAM. The place of the series of that name, made if there is
 * none; bounds: of a histogram, or NULL. One that is there keeps its own, which the log says if they
 * differ. false with a sentence in `error`. */
struct series_wish {
    enum area_kind kind;
    const char *name;
    size_t name_size;
    const struct series_bounds *bounds;
};
bool series_find(const struct series_wish *wish, uint32_t *place, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* The share of this process in counters and gauges, by place; no other writes there. NULL: no memory. */
double *series_own(void);
/* A value of the histogram at a place; any but NaN. */
void series_observe(uint32_t place, double value);

/* Of all workers together. */
double series_sum(uint32_t place);
void series_histogram(uint32_t place, struct series_histogram *sum);

uint64_t series_count(const struct series_histogram *histogram);
/* The value that this part of all values (0 to 1) does not exceed, as far as the bucket says; 0: there are
 * none. Of the last bucket it is where that begins. */
double series_quantile(const struct series_histogram *histogram, double part);
/* Where a bucket ends; of the last one: infinite. */
double series_bucket_end(const struct series_histogram *histogram, uint32_t bucket);

/* To walk over all: begin with *index 0. false: there are no more. */
struct series {
    enum area_kind kind;
    uint32_t place;
    const char *name;
};
bool series_next(uint32_t *index, struct series *out);

/* The worker has left and none takes its place: what it showed by gauges is no more. */
void series_settle(uint32_t worker);
