/* The channels on which Redis tells what happens to keys:
 * "__keyspace@0__:key" and "__keyevent@0__:event", told by the host that has
 * the key. The number is a database as the host counts them. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool keyspace_is(const char *name, size_t size);

/* The same channel, or pattern, with `offset` added to its database, in fresh
 * memory (*out, *out_size). NULL there: there is nothing to change. false: no
 * database would have that number. */
bool keyspace_shift(const char *name, size_t size, int32_t offset, char **out, size_t *out_size);

/* The key that a message is about: behind the channel's head, or the payload
 * of an event. false: the channel is none of these. */
bool keyspace_key(const char *channel, size_t channel_size, const char *payload, size_t payload_size,
                  const char **key, size_t *size);
