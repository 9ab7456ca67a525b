/* The hash functions that have a file of their own, for the table in hash.c
 * and nobody else. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/hash.h"

hash_function hash_md5_first;

hash_function hash_crc32_plain, hash_crc32_15bits;
hash_function hash_crc16_plain, hash_crc16_wide;

hash_function hash_murmur, hash_jenkins, hash_xxh64;
hash_function hash_hsieh_unsigned, hash_hsieh_signed;
