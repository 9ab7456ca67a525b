/* The hash functions of keys, exactly as Nydus and twemproxy compute them.
 *
 * Where history has more than one result for a name, `variant` says which:
 *
 *   hash                        HASH_PLAIN          HASH_TWEMPROXY adds
 *   crc32                       zlib's CRC-32       bits 16 to 30 of it only
 *   crc16                       CRC-16/XMODEM       rubbish in the upper 16 bits
 *   fnv*, one_at_a_time, hsieh  unsigned bytes      (see HASH_SIGNED_BYTES)
 *
 * crc32a is the whole CRC-32 in every variant. Nydus reads its CRC-32 as a
 * signed number; that is the router's affair, the bits are the same. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hash_kind {
    HASH_CRC32, /* per compat: Nydus the whole signed CRC-32, twemproxy 15 bits of it */
    HASH_MD5, HASH_FNV1A_64, HASH_FNV1_64, HASH_FNV1A_32, HASH_FNV1_32, HASH_MURMUR,
    HASH_CRC16, HASH_CRC32A, HASH_JENKINS, HASH_HSIEH, HASH_ONE_AT_A_TIME, HASH_XXH64,
    HASH_KINDS
};

/* Bits, to be or-ed. */
enum hash_variant {
    HASH_PLAIN = 0,        /* as the function's author defines it */
    HASH_SIGNED_BYTES = 1, /* bytes >= 0x80 count as negative: C's char on x86, so twemproxy there */
    HASH_TWEMPROXY = 2,    /* crc32 and crc16 as twemproxy has them */
};

/* Hashes `size` bytes (any bytes; the pointer is never NULL). Hashes of 32
 * bits leave the upper half 0; fnv*_64 gives its low 32 bits, as twemproxy
 * does; only xxh64 fills all 64. */
typedef uint64_t hash_function(const char *key, size_t size);

bool hash_kind_parse(const char *name, enum hash_kind *kind);
const char *hash_kind_name(enum hash_kind kind);

/* The function for many calls, found once. */
hash_function *hash_function_find(enum hash_kind kind, unsigned variant);

/* The low 32 bits of its hashes are the numbers from 0 to below this, each as likely; 0: some are likelier
 * than others. */
uint64_t hash_range(hash_function *function);

/* One key, 32 bits of hash (the low half of xxh64). */
uint32_t hash_key(enum hash_kind kind, unsigned variant, const char *key, size_t size);

/* The 16 bytes of an MD5 as four little-endian words: four points of a ring;
 * the first is the md5 hash of a key. */
void hash_md5_words(const char *data, size_t size, uint32_t words[4]);

struct hash_text {
    const char *data; /* never NULL */
    size_t size;
};

/* The md5 hashes of many keys, side by side: from two keys on it takes less time than one by one, and with
 * 16 about a sixth. */
void hash_md5_many(const struct hash_text *keys, size_t count, uint32_t *hashes);
/* All four words of each: what hash_md5_words gives. */
void hash_md5_words_many(const struct hash_text *texts, size_t count, uint32_t (*words)[4]);
/* Has hash_md5_many use other instructions, of those that this CPU has: 0 for the best, which it begins
 * with, and so on. Returns their name, or NULL when there are not so many. For specs. */
const char *hash_md5_use(unsigned number);

/* Redis's CRC16 (XMODEM) over the bytes, the number that slots are made of. */
uint16_t hash_crc16(const char *data, size_t size);

/* Spreads every bit of a number over all 64 (the finaliser of SplitMix64). */
static inline uint64_t hash_mix(uint64_t number)
{
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
    number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
    return number ^ (number >> 31);
}
