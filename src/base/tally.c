/* The tally; see tally.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tally.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A process that nobody has given a row: the master, --check, specs. */
static struct tally private_rows[2];
static const uint32_t private_count = 1;

enum { NAME_FREE, NAME_BEING_WRITTEN, NAME_WHOLE };
struct names {
    uint32_t states[TALLY_LEARNED];
    char names[TALLY_LEARNED][TALLY_NAME];
};
static struct names private_names;
static struct names *names = &private_names;

struct tally *tally = private_rows;
static struct tally *rows = private_rows;
static struct tally *base = &private_rows[1]; /* what tally_reset has taken away */
static const uint32_t *row_count = &private_count;

/* A file in memory, not an anonymous mapping: that would be charged in full
 * where the kernel does not overcommit, and nearly all of it stays untouched. */
bool tally_share(uint32_t most, const uint32_t *count)
{
    size_t size = ((size_t)most + 1) * sizeof *rows + sizeof *names;
    int fd = memfd_create("nydus-tally", MFD_CLOEXEC);
    if (fd < 0)
        return false;
    void *shared = MAP_FAILED;
    if (ftruncate(fd, (off_t)size) == 0)
        shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared == MAP_FAILED)
        return false;
    tally = rows = shared;
    base = &rows[most];
    names = (struct names *)&rows[most + 1];
    row_count = count;
    return true;
}

void tally_use(uint32_t worker)
{
    tally = &rows[worker];
}

/* Four to an octave: the two bits below the highest one. */
uint64_t tally_bucket_end(uint32_t bucket)
{
    if (bucket < 4)
        return bucket;
    uint32_t top = bucket / 4 + 1, sub = bucket % 4;
    return ((uint64_t)(4 + sub + 1) << (top - 2)) - 1;
}

void tally_failed(uint32_t command)
{
    tally->counts[command].failed++;
}

void tally_rejected(uint32_t command)
{
    tally->counts[command].rejected++;
}

/* ---- learned commands ---- */

/* Is the place that of the name, or free and ours now? One that another worker
 * is just writing is neither: then the name may get two places. */
static bool claim(uint32_t at, const char *name)
{
    uint32_t state = NAME_FREE;
    if (__atomic_compare_exchange_n(&names->states[at], &state, NAME_BEING_WRITTEN, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_ACQUIRE)) {
        strncpy(names->names[at], name, TALLY_NAME - 1);
        __atomic_store_n(&names->states[at], NAME_WHOLE, __ATOMIC_RELEASE);
        return true;
    }
    return state == NAME_WHOLE && strncmp(names->names[at], name, TALLY_NAME - 1) == 0;
}

uint32_t tally_place(const char *name)
{
    uint32_t at = 0;
    while (at < TALLY_LEARNED && !claim(at, name))
        at++;
    return TALLY_TABLE + at;
}

const char *tally_name(uint32_t place)
{
    uint32_t at = place - TALLY_TABLE;
    bool whole = place >= TALLY_TABLE && place < TALLY_COMMANDS &&
                 __atomic_load_n(&names->states[at], __ATOMIC_ACQUIRE) == NAME_WHOLE;
    return whole ? names->names[at] : NULL;
}

/* ---- errors ---- */

/* A script may put anything into an error: only what can stand in a field's name is one. */
static size_t name_size(const char *line, size_t size)
{
    size_t length = 0;
    while (length < size && length < TALLY_ERROR_NAME - 1) {
        char c = line[length];
        bool fits = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
        if (!fits)
            break;
        length++;
    }
    return length;
}

/* The place of a name, or a free one; NULL: there is none left. */
static struct tally_error *find_error(struct tally_error *errors, const char *name, size_t size)
{
    for (size_t i = 0; i < TALLY_ERRORS; i++) {
        struct tally_error *error = &errors[i];
        if (!error->name[0] || (!memcmp(error->name, name, size) && !error->name[size]))
            return error;
    }
    return NULL;
}

void tally_error(const char *line, size_t size)
{
    size_t length = name_size(line, size);
    if (!length)
        return;
    struct tally_error *error = find_error(tally->errors, line, length);
    if (!error)
        return;
    if (!error->name[0]) { /* the first byte last: others read while we write */
        memcpy(error->name + 1, line + 1, length - 1);
        __atomic_store_n(&error->name[0], line[0], __ATOMIC_RELEASE);
    }
    error->count++;
}

/* ---- sums ---- */

static uint32_t count_of_rows(void)
{
    return __atomic_load_n(row_count, __ATOMIC_ACQUIRE);
}

static uint64_t load(const uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_RELAXED);
}

/* A reset while others count may take away a little more than there is. */
static void take_away(uint64_t *number, uint64_t other)
{
    *number = *number > other ? *number - other : 0;
}

static struct tally_count sum_counts(uint32_t command)
{
    struct tally_count sum = {0};
    for (uint32_t i = 0; i < count_of_rows(); i++) {
        const struct tally_count *count = &rows[i].counts[command];
        sum.calls += load(&count->calls);
        sum.usec += load(&count->usec);
        sum.rejected += load(&count->rejected);
        sum.failed += load(&count->failed);
    }
    return sum;
}

/* Rows in which the command never ran are not touched: they have no memory yet. */
static struct tally_times sum_times(uint32_t command)
{
    struct tally_times sum = {0};
    for (uint32_t i = 0; i < count_of_rows(); i++) {
        const struct tally *row = &rows[i];
        for (uint32_t bucket = 0; load(&row->counts[command].calls) && bucket < TALLY_BUCKETS; bucket++)
            sum.at[bucket] += load(&row->times[command].at[bucket]);
    }
    return sum;
}

struct tally_count tally_counts(uint32_t command)
{
    struct tally_count sum = sum_counts(command);
    const struct tally_count *gone = &base->counts[command];
    take_away(&sum.calls, load(&gone->calls));
    take_away(&sum.usec, load(&gone->usec));
    take_away(&sum.rejected, load(&gone->rejected));
    take_away(&sum.failed, load(&gone->failed));
    return sum;
}

struct tally_times tally_times(uint32_t command)
{
    struct tally_times sum = sum_times(command);
    for (uint32_t bucket = 0; load(&base->counts[command].calls) && bucket < TALLY_BUCKETS; bucket++)
        take_away(&sum.at[bucket], load(&base->times[command].at[bucket]));
    return sum;
}

/* Adds a row's errors to `out`. */
static void add_errors(struct tally_error *out, const struct tally_error *errors)
{
    for (size_t i = 0; i < TALLY_ERRORS; i++) {
        const struct tally_error *error = &errors[i];
        if (!__atomic_load_n(&error->name[0], __ATOMIC_ACQUIRE))
            return;
        struct tally_error *sum = find_error(out, error->name, strlen(error->name));
        if (!sum)
            continue;
        memcpy(sum->name, error->name, sizeof sum->name);
        sum->count += load(&error->count);
    }
}

static void sum_errors(struct tally_error *out)
{
    memset(out, 0, TALLY_ERRORS * sizeof *out);
    for (uint32_t i = 0; i < count_of_rows(); i++)
        add_errors(out, rows[i].errors);
}

size_t tally_errors(struct tally_error out[TALLY_ERRORS])
{
    size_t count = 0;
    sum_errors(out);
    for (size_t i = 0; i < TALLY_ERRORS && out[i].name[0]; i++) {
        const struct tally_error *gone = find_error(base->errors, out[i].name, strlen(out[i].name));
        if (gone)
            take_away(&out[i].count, load(&gone->count));
        if (out[i].count)
            out[count++] = out[i];
    }
    return count;
}

void tally_reset(void)
{
    for (uint32_t command = 0; command < TALLY_COMMANDS; command++) {
        struct tally_count counts = sum_counts(command);
        if (counts.calls)
            base->times[command] = sum_times(command);
        if (counts.calls || counts.rejected)
            base->counts[command] = counts;
    }
    struct tally_error errors[TALLY_ERRORS];
    sum_errors(errors);
    memcpy(base->errors, errors, sizeof errors);
}
