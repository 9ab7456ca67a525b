/* Points: where one name stands on a ring, as ketama makes them: four from each
 * MD5 of the name, a counter and an ending.
 *
 * Whoever asks for the same name gets the same points: rings of one generation,
 * and those of the next, which so need not hash again. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct points;

/* Those of the text "<name>-<i>", or "<name>-<i>-salt"; the caller owns a reference. */
struct points *points_acquire(const char *name, bool salted);
void points_release(struct points *points);

/* The values of i = 0 to `digests` - 1, four each; good until somebody asks for more. */
const uint32_t *points_values(struct points *points, uint32_t digests);

/* How many MD5s were made so far in this process, for specs. */
uint64_t points_hashed(void);
