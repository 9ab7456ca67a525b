/* Copying what is mostly short: keys and small values with their headers. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <string.h>

/* As memcpy. 16 to 64 bytes are copied in pieces of 16, of which the last may overlap the one before, without
 * a call. */
static inline void copy_short(char *to, const char *from, size_t size)
{
    enum { PIECE = 16 };
    typedef struct {
        char bytes[PIECE];
    } piece;
    piece first, second, last, second_last;
    if (size - PIECE > 3 * PIECE) {
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
