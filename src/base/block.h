/* Blocks: memory for a moment, of 256 bytes to 16 KB, kept for whoever needs some next.
 *
 * glibc keeps seven of a size at hand, up to 1 KB; beyond that, malloc and free search, cut and unite: with
 * 50 clients 3 µs of the 45 µs that an MGET of 100 keys took. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>

/* Of any size; it is from malloc, so that it may also be given to somebody who frees it. */
void *block_get(size_t size) __attribute__((malloc, returns_nonnull));
/* The same size again. NULL is fine. */
void block_put(void *block, size_t size);
/* To be called now and then: frees what a quiet worker does not need. */
void block_shrink(void);
