/* Points; see points.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "route/points.h"

#include "base/hash.h"
#include "base/memory.h"
#include "base/set.h"

#include <stdlib.h>
#include <string.h>

struct points {
    struct set_node node;
    char *name;
    bool salted;
    uint32_t refs;
    uint32_t digests; /* so many are there */
    uint32_t *values;
};

static struct set all;
static uint64_t hashed;

uint64_t points_hashed(void)
{
    return hashed;
}

struct points *points_acquire(const char *name, bool salted)
{
    uint64_t hash = set_hash(name, strlen(name), salted);
    for (struct set_node *node = set_find(&all, hash); node; node = set_next(node)) {
        struct points *points = (struct points *)node;
        if (points->salted == salted && strcmp(points->name, name) == 0) {
            points->refs++;
            return points;
        }
    }
    struct points *points = xcalloc(1, sizeof *points);
    points->name = xstrdup(name);
    points->salted = salted;
    points->refs = 1;
    set_add(&all, &points->node, hash);
    return points;
}

void points_release(struct points *points)
{
    if (!points || --points->refs) {
        return;
    }
    set_remove(&all, &points->node);
    free(points->name);
    free(points->values);
    free(points);
}

/* Writes the digits; returns how many. printf takes longer than the MD5 of what it has written. */
static size_t put_digits(char *out, uint32_t number)
{
    char digits[10];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    for (size_t i = 0; i < count; i++) {
        out[i] = digits[count - 1 - i];
    }
    return count;
}

const uint32_t *points_values(struct points *points, uint32_t digests)
{
    static const char ending[] = "-salt";
    if (digests <= points->digests) {
        return points->values;
    }
    size_t name_size = strlen(points->name) + 1, ending_size = points->salted ? sizeof ending - 1 : 0;
    char *text = xmalloc(name_size + sizeof "4294967295-salt");
    memcpy(text, points->name, name_size - 1);
    text[name_size - 1] = '-';
    points->values = xrealloc(points->values, (size_t)digests * 4 * sizeof *points->values);
    for (uint32_t i = points->digests; i < digests; i++) {
        size_t size = name_size + put_digits(text + name_size, i);
        memcpy(text + size, ending, ending_size);
        hash_md5_words(text, size + ending_size, points->values + 4 * (size_t)i);
    }
    hashed += digests - points->digests;
    points->digests = digests;
    free(text);
    return points->values;
}
