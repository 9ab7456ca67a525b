/* A peak: memory that traffic takes for a while, counted, so that it is known
 * when the heap should be trimmed.
 *
 * What is freed between what is in use stays with the process until the heap
 * is trimmed. That takes 0.1 ms for each megabyte, and as much again when the
 * memory is needed once more; so it is done when a peak is over, and never
 * while the load is steady. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* One per process: a worker has one thread. */
struct peak {
    size_t now, most; /* bytes in use; the most since the last peak_is_over */
};
extern struct peak peak;

static inline void peak_took(size_t size)
{
    peak.now += size;
    if (peak.now > peak.most)
        peak.most = peak.now;
}

static inline void peak_gave(size_t size)
{
    peak.now -= size;
}

/* To be called about once a second. true: much has been freed that was not needed in the
 * last two of them; the caller trims the heap. */
bool peak_is_over(void);
