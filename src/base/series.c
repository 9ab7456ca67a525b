/* Series; see series.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/series.h"

#include "base/log.h"

#include <math.h>
#include <string.h>

enum { NUMBERS = 1024, HISTOGRAMS = 64 };

struct series_row {
    double numbers[NUMBERS];
    struct series_histogram histograms[HISTOGRAMS];
};
_Static_assert(sizeof(struct series_row) <= AREA_ROW, "a row of the area is too small");

/* The exponent of a double with the two bits below it, of 2^-32: the end of the first bucket. */
static const uint64_t FIRST = (1023 - 32) * 4;
enum { BUCKET_SHIFT = 50 };

/* ---- finding ---- */

static void make_bounds(void *memory, const struct area_wish *wish)
{
    if (wish->context)
        memcpy(memory, wish->context, sizeof(struct series_bounds));
}

/* Each worker has a copy of its own, beside what it counts. */
static void take_bounds(const struct series_wish *wish, const struct area_thing *thing)
{
    static const struct series_bounds usual;
    const struct series_bounds *kept = area_memory(thing), *wanted = wish->bounds ? wish->bounds : &usual;
    struct series_row *own = area_own_row();
    own->histograms[thing->place].bounds = *kept;
    if (kept->count != wanted->count ||
        memcmp(kept->ends, wanted->ends, kept->count * sizeof *kept->ends) != 0)
        log_warn("histogram %s: it keeps the buckets that it has until the server ends", thing->name);
}

bool series_find(const struct series_wish *wish, uint32_t *place, char *error, size_t error_size)
{
    const struct area_wish asked = {
        .kind = wish->kind,
        .name = wish->name,
        .name_size = wish->name_size,
        .size = wish->kind == AREA_HISTOGRAM ? sizeof(struct series_bounds) : 0,
        .make = wish->kind == AREA_HISTOGRAM ? make_bounds : NULL,
        .context = wish->bounds,
    };
    const struct area_thing *thing = area_find(&asked, error, error_size);
    if (!thing)
        return false;
    if (thing->kind == AREA_HISTOGRAM)
        take_bounds(wish, thing);
    *place = thing->place;
    return true;
}

double *series_own(void)
{
    struct series_row *row = area_own_row();
    return row ? row->numbers : NULL;
}

/* ---- histograms ---- */

static uint32_t usual_bucket(double value)
{
    if (!(value > 0))
        return 0;
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    int64_t bucket = (int64_t)(bits >> BUCKET_SHIFT) - (int64_t)FIRST + 1;
    if (bucket < 0)
        return 0;
    return bucket < SERIES_BUCKETS ? (uint32_t)bucket : SERIES_BUCKETS - 1;
}

/* By halves: the first one whose end is not below. */
static uint32_t bounded_bucket(const struct series_bounds *bounds, double value)
{
    uint32_t low = 0, high = bounds->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (bounds->ends[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t bucket_count(const struct series_histogram *histogram)
{
    return histogram->bounds.count ? histogram->bounds.count + 1 : SERIES_BUCKETS;
}

double series_bucket_end(const struct series_histogram *histogram, uint32_t bucket)
{
    if (bucket + 1 >= bucket_count(histogram))
        return (double)INFINITY;
    if (histogram->bounds.count)
        return histogram->bounds.ends[bucket];
    double end;
    uint64_t bits = (FIRST + bucket) << BUCKET_SHIFT;
    memcpy(&end, &bits, sizeof end);
    return end;
}

void series_observe(uint32_t place, double value)
{
    struct series_histogram *own = &((struct series_row *)area_own_row())->histograms[place];
    own->sum += value;
    own->at[own->bounds.count ? bounded_bucket(&own->bounds, value) : usual_bucket(value)]++;
}

uint64_t series_count(const struct series_histogram *histogram)
{
    uint64_t count = 0;
    for (uint32_t bucket = 0; bucket < SERIES_BUCKETS; bucket++)
        count += histogram->at[bucket];
    return count;
}

/* The first bucket begins at 0, unless its end is below that. */
static double bucket_begin(const struct series_histogram *histogram, uint32_t bucket)
{
    if (bucket > 0)
        return series_bucket_end(histogram, bucket - 1);
    double end = series_bucket_end(histogram, 0);
    return end < 0 ? end : 0;
}

/* Inside a bucket values are taken to lie evenly. */
double series_quantile(const struct series_histogram *histogram, double part)
{
    uint64_t count = series_count(histogram);
    double wanted = part * (double)count, below = 0;
    for (uint32_t bucket = 0; count && bucket < bucket_count(histogram); bucket++) {
        double here = (double)histogram->at[bucket];
        if (here > 0 && below + here >= wanted) {
            double begin = bucket_begin(histogram, bucket), end = series_bucket_end(histogram, bucket);
            return isinf(end) ? begin : begin + (end - begin) * fmax(wanted - below, 0) / here;
        }
        below += here;
    }
    return 0;
}

/* ---- sums ---- */

/* Another process may be writing: each number is one load. */
static double load(const double *number)
{
    double value;
    __atomic_load(number, &value, __ATOMIC_RELAXED);
    return value;
}

static struct series_row *row_of(uint32_t worker)
{
    return area_row(worker);
}

double series_sum(uint32_t place)
{
    double sum = 0;
    for (uint32_t worker = 0, count = area_rows(); worker < count; worker++)
        sum += load(&row_of(worker)->numbers[place]);
    return sum;
}

void series_histogram(uint32_t place, struct series_histogram *sum)
{
    *sum = (struct series_histogram){0};
    for (uint32_t worker = 0, count = area_rows(); worker < count; worker++) {
        const struct series_histogram *from = &row_of(worker)->histograms[place];
        sum->sum += load(&from->sum);
        if (from->bounds.count)
            sum->bounds = from->bounds;
        for (uint32_t bucket = 0; bucket < SERIES_BUCKETS; bucket++)
            sum->at[bucket] += __atomic_load_n(&from->at[bucket], __ATOMIC_RELAXED);
    }
}

bool series_next(uint32_t *index, struct series *out)
{
    const struct area_thing *thing;
    while ((thing = area_thing((*index)++))) {
        if (thing->kind <= AREA_HISTOGRAM) {
            *out = (struct series){.kind = thing->kind, .place = thing->place, .name = thing->name};
            return true;
        }
    }
    return false;
}

void series_settle(uint32_t worker)
{
    struct series series;
    for (uint32_t i = 0; series_next(&i, &series);)
        if (series.kind == AREA_GAUGE)
            row_of(worker)->numbers[series.place] = 0;
}
