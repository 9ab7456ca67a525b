/* What comes in a row and looks alike.
 *
 * Bulks: the keys of MGET, the values of its reply, the replies to GETs. Their headers are
 * mostly alike, so each is compared with the one before it as one number,
 * instead of being read digit by digit. The CPU guesses that they are, and goes
 * on with the next before it is done with this one: 3 ns for a key, instead of
 * 14.
 *
 * Requests: the commands of a pipeline are mostly the same with other arguments of the same size. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <endian.h>
#include <string.h>

#include "resp/number.h"
#include "resp/resp.h"

/* The bulk before. */
struct alike {
    uint64_t text, mask; /* its header as a number; 1 and 0: none to compare with */
    uint32_t header;     /* bytes of it: "$3\r\n" has four */
    uint32_t whole;      /* bytes of all, to behind the last newline */
};
#define ALIKE_NONE ((struct alike){.text = 1})

static __attribute__((noinline, unused)) uint32_t alike_learn(struct alike *last, const char *at,
                                                              const char *end)
{
    uint32_t number;
    const char *body = end > at && *at == '$' ? number_short(at + 1, end, &number) : NULL;
    if (!body || end - body < (ptrdiff_t)number + 2 || memcmp(body + number, "\r\n", 2) != 0) {
        return 0;
    }
    *last = ALIKE_NONE;
    last->header = (uint32_t)(body - at);
    last->whole = last->header + number + 2;
    if (last->header < sizeof last->text) {
        last->mask = ((uint64_t)1 << 8 * last->header) - 1;
        memcpy(&last->text, at, last->header);
        last->text = le64toh(last->text);
    }
    return last->whole;
}

/* How many bytes the bulk at `at` has; 0: it is not whole, wrong, null, or something else. */
static inline uint32_t alike_bulk(struct alike *last, const char *at, const char *end)
{
    uint64_t text;
    if (end - at >= (ptrdiff_t)sizeof text && end - at >= (ptrdiff_t)last->whole) {
        memcpy(&text, at, sizeof text);
        if ((le64toh(text) & last->mask) == last->text && memcmp(at + last->whole - 2, "\r\n", 2) == 0) {
            return last->whole;
        }
    }
    return alike_learn(last, at, end);
}

/* Moves *at behind pairs of whole bulks, the first like `one`, the second like `other`; returns how many
 * bulks are left. Ten instructions for a bulk. */
static inline uint64_t alike_pairs(const struct alike *one, const struct alike *other, const char **at,
                                   const char *end, uint64_t left)
{
    uint64_t text = one->text, mask = one->mask, other_text = other->text, other_mask = other->mask;
    size_t half = one->whole, both = half + other->whole;
    size_t need = half + (other->whole > sizeof text ? other->whole : sizeof text);
    const char *bulk = *at;
    while (left > 1 && (size_t)(end - bulk) >= need) {
        uint64_t word, other_word;
        memcpy(&word, bulk, sizeof word);
        memcpy(&other_word, bulk + half, sizeof other_word);
        if ((le64toh(word) & mask) != text || (le64toh(other_word) & other_mask) != other_text ||
            memcmp(bulk + half - 2, "\r\n", 2) != 0 || memcmp(bulk + both - 2, "\r\n", 2) != 0) {
            break;
        }
        bulk += both;
        left -= 2;
    }
    *at = bulk;
    return left;
}

/* Moves *at behind whole bulks, `left` of them at most; returns how many are left. `nulls`: behind $-1, too.
 * Each is compared with the one before the last: keys and values take turns. */
static __attribute__((noinline, unused)) uint64_t alike_skip(const char **at, const char *end, uint64_t left,
                                                             bool nulls)
{
    struct alike last[2] = {ALIKE_NONE, ALIKE_NONE};
    const char *bulk = *at;
    for (unsigned turn = 0; left > 0; turn ^= 1) {
        uint32_t whole = alike_bulk(&last[turn], bulk, end);
        if (!whole) {
            if (!nulls || end - bulk < 5 || memcmp(bulk, "$-1\r\n", 5) != 0) {
                break;
            }
            whole = 5;
        }
        bulk += whole;
        left--;
        if (turn) {
            left = alike_pairs(&last[0], &last[1], &bulk, end, left);
        }
    }
    *at = bulk;
    return left;
}

/* How many bytes the bulk or null at `at` has, of a message that has been scanned; 0: it is another value, or
 * its size stands in nine digits. That its header is that of the one before is enough. */
static inline uint32_t alike_scanned(struct alike *last, const char *at, const char *end)
{
    uint64_t text;
    if (end - at >= (ptrdiff_t)sizeof text) {
        memcpy(&text, at, sizeof text);
        if ((le64toh(text) & last->mask) == last->text) {
            return last->whole;
        }
    }
    return end - at >= 5 && memcmp(at, "$-1\r\n", 5) == 0 ? 5 : alike_learn(last, at, end);
}

/* At least two bytes. */
static inline bool alike_bytes(const char *one, const char *other, uint32_t size)
{
    if (size < 4) {
        return memcmp(one, other, 2) == 0 && memcmp(one + size - 2, other + size - 2, 2) == 0;
    }
    if (size < 8) {
        return memcmp(one, other, 4) == 0 && memcmp(one + size - 4, other + size - 4, 4) == 0;
    }
    for (uint32_t at = 0; at + 8 < size; at += 8) {
        if (memcmp(one + at, other + at, 8) != 0) {
            return false;
        }
    }
    return memcmp(one + size - 8, other + size - 8, 8) == 0;
}

/* Does other[0..size) begin with a request that differs from one[], whose scan this is, only inside of the
 * arguments behind the first? Then that scan is right for it, and the command is the same: a fifth of the
 * instructions of scanning and looking up. */
static inline bool alike_request(const struct resp_request *scan, const char *one, const char *other,
                                 size_t size)
{
    uint32_t from = 0;
    if (size < scan->size || scan->argc > RESP_ARGS) {
        return false;
    }
    for (uint32_t i = 1; i < scan->argc; i++) {
        if (!alike_bytes(one + from, other + from, scan->args[i].at - from)) {
            return false;
        }
        from = scan->args[i].at + scan->args[i].size;
    }
    return alike_bytes(one + from, other + from, scan->size - from);
}
