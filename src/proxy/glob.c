/* Matches a pattern, going back only to the last star: an earlier one can
 * never do better. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/glob.h"

#include <ctype.h>

typedef int glob_fold(int byte);

static int same_case(int byte)
{
    return byte;
}

/* One byte of a set, which may be escaped. */
static int set_byte(const char **at, const char *end, glob_fold *fold)
{
    if (**at == '\\' && *at + 1 < end) {
        (*at)++;
    }
    return fold((unsigned char)*(*at)++);
}

/* Is the byte in the set that begins behind `[`? Leaves *at behind its `]`. */
static bool set_fits(const char **at, const char *end, int byte, glob_fold *fold)
{
    bool inverted = *at < end && **at == '^', found = false;
    if (inverted) {
        (*at)++;
    }
    while (*at < end && **at != ']') {
        int first = set_byte(at, end, fold), last = first;
        if (end - *at >= 2 && **at == '-' && (*at)[1] != ']') {
            (*at)++;
            last = set_byte(at, end, fold);
        }
        found = found || (first <= byte && byte <= last) || (last <= byte && byte <= first);
    }
    if (*at < end) {
        (*at)++;
    }
    return found != inverted;
}

/* Does one byte fit what stands at *at? Leaves *at behind it when it does. */
static bool one_fits(const char **at, const char *end, unsigned char c, glob_fold *fold)
{
    const char *pattern = *at;
    bool fits;
    if (*pattern == '?') {
        fits = true;
        pattern++;
    } else if (*pattern == '[') {
        pattern++;
        fits = set_fits(&pattern, end, fold(c), fold);
    } else {
        if (*pattern == '\\' && pattern + 1 < end) {
            pattern++;
        }
        fits = fold((unsigned char)*pattern++) == fold(c);
    }
    if (fits) {
        *at = pattern;
    }
    return fits;
}

static bool text_fits(const char *pattern, size_t pattern_size, const char *text, size_t text_size,
                      glob_fold *fold)
{
    const char *end = pattern + pattern_size, *text_end = text + text_size;
    const char *star = NULL, *star_text = NULL;
    while (text < text_end) {
        if (pattern < end && *pattern == '*') {
            star = ++pattern;
            star_text = text;
        } else if (pattern < end && one_fits(&pattern, end, (unsigned char)*text, fold)) {
            text++;
        } else if (star) {
            pattern = star;
            text = ++star_text; /* the star takes one more */
        } else {
            return false;
        }
    }
    while (pattern < end && *pattern == '*') {
        pattern++;
    }
    return pattern == end;
}

bool glob_fits(const char *pattern, size_t pattern_size, const char *text, size_t text_size)
{
    return text_fits(pattern, pattern_size, text, text_size, tolower);
}

bool glob_fits_key(const char *pattern, size_t pattern_size, const char *key, size_t key_size)
{
    return text_fits(pattern, pattern_size, key, key_size, same_case);
}
