/* A rest: what has come of a message that is not whole yet.
 *
 * Reads land in a buffer that all connections share; only what is left over
 * behind the last whole message is copied here, and the next reads go on
 * behind it. A big message that ends where the rest ends can leave with the
 * rest's memory, without a copy. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* A message of this size changes hands with its memory instead of being copied. */
enum { REST_GIVE = 32 * 1024 };

struct rest {
    char *data;        /* from malloc; NULL: nothing waits */
    size_t size, room; /* data[0..size) has come */
};

/* Copies the beginning of a message; `want` more bytes are missing at least. */
void rest_keep(struct rest *rest, const char *bytes, size_t size, size_t want);

/* Room for more behind it: never more than twice what has come, whatever
 * length the message promises. Returns how much may be read to data + size, at
 * most `most`: up to the message's end if `exact`, for `want` is then all that
 * is missing, else as much as there is room. */
size_t rest_make_room(struct rest *rest, size_t want, bool exact, size_t most);

/* Puts a rest in front of what is read next, for which there are REST_SHORT bytes; frees its memory and
 * returns its size. To read on behind it where it was, where there is little room, would leave the next rest:
 * a third of all reads did so at depth 16 with values of 1 KB. */
enum { REST_SHORT = 4 * 1024 };
size_t rest_take(struct rest *rest, char *behind);

/* Appends bytes that have been read elsewhere. */
void rest_append(struct rest *rest, const char *bytes, size_t size);

/* Frees it. Put NULL in `data` before, when a message has left with that. */
void rest_drop(struct rest *rest);
