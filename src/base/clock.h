/* The monotonic clock in nanoseconds. A read takes some 25 ns: for what is timed
 * now and then; measure_clock (proxy/measure.h) is for what happens per command. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>
#include <time.h>

/* Nanoseconds that a test has skipped: what scripts and their limits see of time adds them. */
extern uint64_t clock_skipped;

static inline uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
