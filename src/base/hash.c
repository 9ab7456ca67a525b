/* The table of hash functions and the short ones: the FNV family and Bob
 * Jenkins's one_at_a_time, which work byte by byte, in both readings of a
 * byte. The others: hash_block.c, hash_md5.c, hash_crc.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "base/hash_kinds.h"

#include <string.h>

#define FNV_BASIS_32 0x811c9dc5u
#define FNV_PRIME_32 0x01000193u
/* twemproxy keeps 32 bits of the 64-bit FNV; they do not depend on the others. */
#define FNV_BASIS_64 0x84222325u
#define FNV_PRIME_64 0x000001b3u

static inline uint32_t byte_value(char byte, bool sign)
{
    return sign ? (uint32_t)(int32_t)(signed char)byte : (uint32_t)(unsigned char)byte;
}

static inline uint32_t fnv1(const char *key, size_t size, uint32_t hash, uint32_t prime, bool sign)
{
    for (size_t i = 0; i < size; i++) {
        hash = (hash * prime) ^ byte_value(key[i], sign);
    }
    return hash;
}

static inline uint32_t fnv1a(const char *key, size_t size, uint32_t hash, uint32_t prime, bool sign)
{
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ byte_value(key[i], sign)) * prime;
    }
    return hash;
}

static inline uint32_t one_at_a_time(const char *key, size_t size, bool sign)
{
    uint32_t hash = 0;
    for (size_t i = 0; i < size; i++) {
        hash += byte_value(key[i], sign);
        hash += hash << 10;
        hash ^= hash >> 6;
    }
    hash += hash << 3;
    hash ^= hash >> 11;
    return hash + (hash << 15);
}

/* Two functions of a name each: bytes unsigned, bytes signed. */
#define BOTH_READINGS(name, call)                                \
    static uint64_t name##_unsigned(const char *key, size_t size) \
    {                                                            \
        const bool sign = false;                                 \
        return call;                                             \
    }                                                            \
    static uint64_t name##_signed(const char *key, size_t size)  \
    {                                                            \
        const bool sign = true;                                  \
        return call;                                             \
    }

BOTH_READINGS(fnv1a_64, fnv1a(key, size, FNV_BASIS_64, FNV_PRIME_64, sign))
BOTH_READINGS(fnv1_64, fnv1(key, size, FNV_BASIS_64, FNV_PRIME_64, sign))
BOTH_READINGS(fnv1a_32, fnv1a(key, size, FNV_BASIS_32, FNV_PRIME_32, sign))
BOTH_READINGS(fnv1_32, fnv1(key, size, FNV_BASIS_32, FNV_PRIME_32, sign))
BOTH_READINGS(one_at_a_time, one_at_a_time(key, size, sign))

static const struct hash_row {
    const char *name;
    hash_function *plain, *sign, *twemproxy; /* NULL: as plain */
} hash_table[HASH_KINDS] = {
    /* kind                 name             plain                   signed bytes          twemproxy */
    [HASH_CRC32]         = {"crc32",         hash_crc32_plain,       NULL,                 hash_crc32_15bits},
    [HASH_MD5]           = {"md5",           hash_md5_first,         NULL,                 NULL},
    [HASH_FNV1A_64]      = {"fnv1a_64",      fnv1a_64_unsigned,      fnv1a_64_signed,      NULL},
    [HASH_FNV1_64]       = {"fnv1_64",       fnv1_64_unsigned,       fnv1_64_signed,       NULL},
    [HASH_FNV1A_32]      = {"fnv1a_32",      fnv1a_32_unsigned,      fnv1a_32_signed,      NULL},
    [HASH_FNV1_32]       = {"fnv1_32",       fnv1_32_unsigned,       fnv1_32_signed,       NULL},
    [HASH_MURMUR]        = {"murmur",        hash_murmur,            NULL,                 NULL},
    [HASH_CRC16]         = {"crc16",         hash_crc16_plain,       NULL,                 hash_crc16_wide},
    [HASH_CRC32A]        = {"crc32a",        hash_crc32_plain,       NULL,                 NULL},
    [HASH_JENKINS]       = {"jenkins",       hash_jenkins,           NULL,                 NULL},
    [HASH_HSIEH]         = {"hsieh",         hash_hsieh_unsigned,    hash_hsieh_signed,    NULL},
    [HASH_ONE_AT_A_TIME] = {"one_at_a_time", one_at_a_time_unsigned, one_at_a_time_signed, NULL},
    [HASH_XXH64]         = {"xxh64",         hash_xxh64,             NULL,                 NULL},
};

bool hash_kind_parse(const char *name, enum hash_kind *kind)
{
    for (int i = 0; i < HASH_KINDS; i++) {
        if (strcmp(hash_table[i].name, name) == 0) {
            *kind = (enum hash_kind)i;
            return true;
        }
    }
    return false;
}

const char *hash_kind_name(enum hash_kind kind)
{
    return hash_table[kind].name;
}

hash_function *hash_function_find(enum hash_kind kind, unsigned variant)
{
    const struct hash_row *row = &hash_table[kind];
    if ((variant & HASH_TWEMPROXY) && row->twemproxy) {
        return row->twemproxy;
    }
    return (variant & HASH_SIGNED_BYTES) && row->sign ? row->sign : row->plain;
}

uint64_t hash_range(hash_function *function)
{
    static const struct {
        hash_function *function;
        uint64_t range;
    } narrow[] = {{hash_crc32_15bits, 1u << 15}, {hash_crc16_plain, 1u << 16}, {hash_crc16_wide, 0}};
    for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++) {
        if (narrow[i].function == function) {
            return narrow[i].range;
        }
    }
    return (uint64_t)1 << 32;
}

uint32_t hash_key(enum hash_kind kind, unsigned variant, const char *key, size_t size)
{
    return (uint32_t)hash_function_find(kind, variant)(key, size);
}
