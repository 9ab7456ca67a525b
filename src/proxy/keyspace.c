/* Channels of the keyspace; see keyspace.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/keyspace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { HEAD = 11, DIGITS = 9 }; /* "__keyspace@" */

bool keyspace_is(const char *name, size_t size)
{
    return size >= HEAD && (memcmp(name, "__keyspace@", HEAD) == 0 || memcmp(name, "__keyevent@", HEAD) == 0);
}

/* The database's number, as Redis writes it; returns how many digits, 0: none. */
static size_t read_number(const char *text, size_t size, int64_t *number)
{
    size_t digits = 0;
    *number = 0;
    while (digits < size && digits < DIGITS && text[digits] >= '0' && text[digits] <= '9')
        *number = *number * 10 + (text[digits++] - '0');
    bool padded = digits > 1 && text[0] == '0', ends = digits < size && text[digits] == '_';
    return padded || !ends ? 0 : digits;
}

bool keyspace_shift(const char *name, size_t size, int32_t offset, char **out, size_t *out_size)
{
    int64_t number;
    *out = NULL;
    if (offset == 0 || !keyspace_is(name, size))
        return true;
    size_t digits = read_number(name + HEAD, size - HEAD, &number);
    if (digits == 0)
        return true; /* a pattern for several databases, or a name of the client's own */
    if (number + offset < 0)
        return false;
    const char *rest = name + HEAD + digits;
    size_t rest_size = size - HEAD - digits;
    *out = xmalloc(size + DIGITS + 2);
    memcpy(*out, name, HEAD);
    size_t end = HEAD + (size_t)snprintf(*out + HEAD, DIGITS + 2, "%" PRId64, number + offset);
    memcpy(*out + end, rest, rest_size);
    *out_size = end + rest_size;
    return true;
}

bool keyspace_key(const char *channel, size_t channel_size, const char *payload, size_t payload_size,
                  const char **key, size_t *size)
{
    if (!keyspace_is(channel, channel_size))
        return false;
    const char *head = memmem(channel, channel_size, "__:", 3);
    bool is_event = channel[5] == 'e';
    *key = is_event || !head ? payload : head + 3;
    *size = is_event || !head ? payload_size : (size_t)(channel + channel_size - head - 3);
    return true;
}
