/* Two routers side by side: which share of all keys each pair of hosts has,
 * the one in the old router and the other in the new one. Exact: every value
 * that the hash of a key can have is counted. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

struct router;

/* So many hash values have the host `old` there and the host `new` here; a pair may come more than once. */
typedef void overlap_add(void *context, uint32_t old, uint32_t new, uint64_t values);

/* Calls add for all hash values and returns how many there are. A router that
 * is NULL has one host, 0, for all keys. 0: they cannot be counted (the two
 * hash differently, or choose in another way than by runs of hash values);
 * add has not been called. Routers are taken with all their hosts up. */
uint64_t overlap_count(const struct router *old, const struct router *new, overlap_add *add, void *context);
