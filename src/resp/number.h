/* The numbers in RESP header lines: "3\r\n" of "*3\r\n". What Redis's own
 * parser accepts and nothing more: no plus, no leading zeros, no spaces, 64
 * bits; and, stricter than Redis, the line ends in \r\n and not in \r alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum number_status {
    NUMBER_DONE, /* value and used are set */
    NUMBER_MORE, /* right so far, the line is not all there */
    NUMBER_BAD,  /* not a number */
    NUMBER_LONG  /* digits only so far, but beyond 64 bits */
};

/* Three to eight digits, and less at the end of what has come. */
static __attribute__((noinline, unused)) const char *number_longer(const char *at, const char *end,
                                                                   uint32_t *value)
{
    if (end - at < 3) {
        return NULL;
    }
    uint32_t number = (uint32_t)(unsigned char)at[0] - '0';
    if (number > 9) {
        return NULL;
    }
    if (at[1] != '\r') {
        const char *stop = end - at > 9 ? at + 7 : end - 2;
        if (number == 0) {
            return NULL;
        }
        do {
            uint32_t digit = (uint32_t)(unsigned char)at[1] - '0';
            if (digit > 9 || at + 1 > stop) {
                return NULL;
            }
            number = number * 10 + digit;
            at++;
        } while (at[1] != '\r');
    }
    if (at + 3 > end || at[2] != '\n') {
        return NULL;
    }
    *value = number;
    return at + 3;
}

static inline bool number_ends(const char *at)
{
    return memcmp(at, "\r\n", 2) == 0;
}

/* The hot path: one to eight digits. Returns the byte after \r\n, or NULL when
 * the line is anything else (cut, negative, wrong, long), for number_read to
 * find out. Never looks at end or beyond. */
static inline const char *number_short(const char *at, const char *end, uint32_t *value)
{
    if (end - at < 4) {
        return number_longer(at, end, value);
    }
    uint32_t first = (uint32_t)(unsigned char)at[0] - '0', second = (uint32_t)(unsigned char)at[1] - '0';
    if (first <= 9 && number_ends(at + 1)) {
        *value = first;
        return at + 3;
    }
    if (first - 1 < 9 && second <= 9 && number_ends(at + 2)) {
        *value = first * 10 + second;
        return at + 4;
    }
    return number_longer(at, end, value);
}

/* Any number line at at[0..size); *used counts its \r\n. */
static inline enum number_status number_read(const char *at, size_t size, int64_t *value, size_t *used)
{
    size_t i = 0;
    bool negative = size > 0 && at[0] == '-';
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX, number = 0;
    size_t first = negative ? 1 : 0;
    for (i = first; i < size && at[i] >= '0' && at[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(at[i] - '0');
        if (i > first && number == 0) {
            return NUMBER_BAD; /* a leading zero */
        }
        if (number > (limit - digit) / 10) {
            return NUMBER_LONG;
        }
        number = number * 10 + digit;
    }
    if (i == size) {
        return NUMBER_MORE;
    }
    if (at[i] != '\r' || i == first || (negative && number == 0)) {
        return NUMBER_BAD;
    }
    if (i + 1 == size) {
        return NUMBER_MORE;
    }
    if (at[i + 1] != '\n') {
        return NUMBER_BAD;
    }
    *value = negative ? (int64_t)(0 - number) : (int64_t)number;
    *used = i + 2;
    return NUMBER_DONE;
}
