/* Rests of messages; see rest.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rest.h"

#include "base/memory.h"
#include "base/peak.h"

#include <stdlib.h>
#include <string.h>

enum { REST_AHEAD = 16 * 1024 };

static void rest_resize(struct rest *rest, size_t room)
{
    peak_gave(rest->room);
    peak_took(room);
    rest->room = room;
    rest->data = xrealloc(rest->data, room);
}

void rest_keep(struct rest *rest, const char *bytes, size_t size, size_t want)
{
    *rest = (struct rest){0};
    rest_resize(rest, size + (want < REST_AHEAD ? want : REST_AHEAD));
    rest->size = size;
    memcpy(rest->data, bytes, size);
}

size_t rest_make_room(struct rest *rest, size_t want, bool exact, size_t most)
{
    size_t need = exact ? want : REST_AHEAD;
    if (rest->room - rest->size < need) {
        size_t room = rest->size * 2 + REST_AHEAD;
        rest_resize(rest, exact && room > rest->size + need ? rest->size + need : room);
    }
    size_t left = rest->room - rest->size, limit = exact ? want : most;
    return left < limit ? left : limit;
}

size_t rest_take(struct rest *rest, char *behind)
{
    size_t size = rest->size;
    memcpy(behind - size, rest->data, size);
    rest_drop(rest);
    return size;
}

void rest_append(struct rest *rest, const char *bytes, size_t size)
{
    if (rest->room - rest->size < size)
        rest_resize(rest, rest->size + size + rest->size / 2);
    memcpy(rest->data + rest->size, bytes, size);
    rest->size += size;
}

void rest_drop(struct rest *rest)
{
    free(rest->data);
    peak_gave(rest->room);
    *rest = (struct rest){0};
}
