/* Series; see series.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/series.h"

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

bool series_find(enum area_kind kind, const char *name, size_t name_size, uint32_t *place, char *error,
                 size_t error_size)
{
    const struct area_wish wish = {.kind = kind, .name = name, .name_size = name_size};
    const struct area_thing *thing = area_find(&wish, error, error_size);
    if (thing)
        *place = thing->place;
    return thing != NULL;
}

double *series_own(void)
{
    struct series_row *row = area_own_row();
    return row ? row->numbers : NULL;
}

/* ---- histograms ---- */

static uint32_t bucket_of(double value)
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

double series_bucket_end(uint32_t bucket)
{
    double end;
    uint64_t bits = (FIRST + bucket) << BUCKET_SHIFT;
    memcpy(&end, &bits, sizeof end);
    return end;
}

void series_observe(uint32_t place, double value)
{
    struct series_histogram *own = &((struct series_row *)area_own_row())->histograms[place];
    own->sum += value;
    own->at[bucket_of(value)]++;
}

uint64_t series_count(const struct series_histogram *histogram)
{
    uint64_t count = 0;
    for (uint32_t bucket = 0; bucket < SERIES_BUCKETS; bucket++)
        count += histogram->at[bucket];
    return count;
}

/* Inside a bucket values are taken to lie evenly. */
double series_quantile(const struct series_histogram *histogram, double part)
{
    double wanted = part * (double)series_count(histogram);
    double below = 0;
    uint32_t last = 0;
    for (uint32_t bucket = 0; bucket < SERIES_BUCKETS; bucket++) {
        double here = (double)histogram->at[bucket];
        double begin = bucket > 0 ? series_bucket_end(bucket - 1) : 0;
        if (here > 0 && below + here >= wanted)
            return begin + (series_bucket_end(bucket) - begin) * fmax(wanted - below, 0) / here;
        below += here;
        last = here > 0 ? bucket : last;
    }
    return below > 0 ? series_bucket_end(last) : 0;
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
