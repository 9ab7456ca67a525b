/* Lua's patterns with a bound: string.find and its like in the library can
 * take hours for one call, in C, where nothing stops them. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* PATTERN_STEPS: some milliseconds. */
enum { PATTERN_CAPTURES = 32, PATTERN_DEPTH = 200, PATTERN_STEPS = 500 * 1000 };

/* A capture's size when it is none. */
enum { CAPTURE_OPEN = -1, CAPTURE_POSITION = -2 };

struct pattern {
    const char *subject, *subject_end; /* set by the caller */
    const char *end;                   /* of the pattern; set by the caller */
    long steps;                        /* left for this call; set by the caller */
    const char *error;                 /* a sentence when there is no match for another reason */
    int depth;
    int captures;
    struct {
        const char *at;
        ptrdiff_t size; /* or CAPTURE_OPEN, CAPTURE_POSITION */
    } capture[PATTERN_CAPTURES];
};

/* Where the match of the pattern p that begins at `at` ends, or NULL. Captures
 * are those of this match. A leading '^' is the caller's affair. */
const char *pattern_match(struct pattern *pattern, const char *at, const char *p);
