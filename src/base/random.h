/* Fast random numbers, one generator per process. Not for secrets. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

/* 64 random bits. The first call of a process takes a seed from the kernel,
 * also after fork: workers do not repeat each other. */
uint64_t random_next(void);

/* A number from 0 to n - 1, each equally likely. n >= 1. */
uint32_t random_below(uint32_t n);
