/* Claims: locks that flows of all workers hold for a time, each known by a
 * hash of its name. They lie in the area. One is free again when its time is
 * over, or when the process that took it is gone. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLAIM_SETS = 1024, CLAIM_WAYS = 8 };

uint64_t claim_key(const char *name, size_t name_size, const char *key, size_t key_size);
/* A token, never 0; 0: somebody else has it, or there is no room for one more. */
uint64_t claim_take(uint64_t key, double seconds);
/* false: it was not held any more. */
bool claim_give(uint64_t key, uint64_t token);
