/* Copying what is mostly short: keys and small values with their headers. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Less than 16 bytes: their first and last 8 or 4, which may overlap. */
static inline void copy_tiny(char *to, const char *from, size_t size)
{
    uint64_t first, last;
    uint32_t first_half, last_half;
    if (size >= sizeof first) {
        memcpy(&first, from, sizeof first);
        memcpy(&last, from + size - sizeof last, sizeof last);
        memcpy(to, &first, sizeof first);
        memcpy(to + size - sizeof last, &last, sizeof last);
    } else if (size >= sizeof first_half) {
        memcpy(&first_half, from, sizeof first_half);
        memcpy(&last_half, from + size - sizeof last_half, sizeof last_half);
        memcpy(to, &first_half, sizeof first_half);
        memcpy(to + size - sizeof last_half, &last_half, sizeof last_half);
    } else {
        for (size_t i = 0; i < size; i++)
            to[i] = from[i];
    }
}

/* As memcpy. Up to 64 bytes are copied without a call, from 16 on in pieces of 16, of which the last may
 * overlap the one before. */
static inline void copy_short(char *to, const char *from, size_t size)
{
    enum { PIECE = 16 };
    typedef struct {
        char bytes[PIECE];
    } piece;
    piece first, second, last, second_last;
    if (__builtin_expect(size - PIECE > 3 * PIECE, 0)) {
        if (size < PIECE)
            copy_tiny(to, from, size);
        else
            memcpy(to, from, size);
        return;
    }
    memcpy(&first, from, PIECE);
    memcpy(&last, from + size - PIECE, PIECE);
    if (size > 2 * PIECE) {
        memcpy(&second, from + PIECE, PIECE);
        memcpy(&second_last, from + size - 2 * PIECE, PIECE);
        memcpy(to + PIECE, &second, PIECE);
        memcpy(to + size - 2 * PIECE, &second_last, PIECE);
    }
    memcpy(to, &first, PIECE);
    memcpy(to + size - PIECE, &last, PIECE);
}
