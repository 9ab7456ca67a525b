/* The hashes that eat several bytes at a time: MurmurHash2 (Austin Appleby),
 * lookup3 (Bob Jenkins), SuperFastHash (Paul Hsieh), each with the seeds that
 * twemproxy took, and xxh64 through libxxhash. Words are little-endian on
 * every machine, so that a ring means the same everywhere. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "base/hash_kinds.h"

#include <endian.h>
#include <string.h>
#include <xxhash.h>

static inline uint32_t load_32(const char *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return le32toh(word);
}

static inline uint32_t load_16(const char *bytes)
{
    uint16_t word;
    memcpy(&word, bytes, sizeof word);
    return le16toh(word);
}

/* Up to four bytes, as if zeros followed. */
static inline uint32_t load_rest(const char *bytes, size_t size)
{
    uint32_t word = 0;
    for (size_t i = 0; i < size; i++) {
        word |= (uint32_t)(unsigned char)bytes[i] << (8 * i);
    }
    return word;
}

static inline uint32_t rotate(uint32_t word, int bits)
{
    return (word << bits) | (word >> (32 - bits));
}

uint64_t hash_murmur(const char *key, size_t size)
{
    const uint32_t factor = 0x5bd1e995u;
    uint32_t hash = (0xdeadbeefu * (uint32_t)size) ^ (uint32_t)size;
    const char *end = key + (size & ~(size_t)3);

    for (; key < end; key += 4) {
        uint32_t word = load_32(key) * factor;
        hash = (hash * factor) ^ ((word ^ (word >> 24)) * factor);
    }
    if (size & 3) {
        hash = (hash ^ load_rest(key, size & 3)) * factor;
    }
    hash = (hash ^ (hash >> 13)) * factor;
    return hash ^ (hash >> 15);
}

/* The state of lookup3. */
struct jenkins {
    uint32_t a, b, c;
};

static void jenkins_mix(struct jenkins *s)
{
    s->a = (s->a - s->c) ^ rotate(s->c, 4);
    s->c += s->b;
    s->b = (s->b - s->a) ^ rotate(s->a, 6);
    s->a += s->c;
    s->c = (s->c - s->b) ^ rotate(s->b, 8);
    s->b += s->a;
    s->a = (s->a - s->c) ^ rotate(s->c, 16);
    s->c += s->b;
    s->b = (s->b - s->a) ^ rotate(s->a, 19);
    s->a += s->c;
    s->c = (s->c - s->b) ^ rotate(s->b, 4);
    s->b += s->a;
}

static void jenkins_final(struct jenkins *s)
{
    s->c = (s->c ^ s->b) - rotate(s->b, 14);
    s->a = (s->a ^ s->c) - rotate(s->c, 11);
    s->b = (s->b ^ s->a) - rotate(s->a, 25);
    s->c = (s->c ^ s->b) - rotate(s->b, 16);
    s->a = (s->a ^ s->c) - rotate(s->c, 4);
    s->b = (s->b ^ s->a) - rotate(s->a, 14);
    s->c = (s->c ^ s->b) - rotate(s->b, 24);
}

uint64_t hash_jenkins(const char *key, size_t size)
{
    const uint32_t seed = 13;
    uint32_t start = 0xdeadbeefu + (uint32_t)size + seed;
    struct jenkins s = {start, start, start};

    /* The last block, also a full one, gets jenkins_final instead. */
    for (; size > 12; key += 12, size -= 12) {
        s.a += load_32(key);
        s.b += load_32(key + 4);
        s.c += load_32(key + 8);
        jenkins_mix(&s);
    }
    if (size > 0) {
        char block[12] = {0};
        memcpy(block, key, size);
        s.a += load_32(block);
        s.b += load_32(block + 4);
        s.c += load_32(block + 8);
        jenkins_final(&s);
    }
    return s.c;
}

/* The one to three bytes that do not fill a word. Only the third of three is
 * read as a plain char by twemproxy; a single one is unsigned there, too. */
static inline uint32_t hsieh_rest(uint32_t hash, const char *key, size_t size, bool sign)
{
    if (size == 1) {
        hash += (unsigned char)key[0];
        hash ^= hash << 10;
        return hash + (hash >> 1);
    }
    hash += load_16(key);
    if (size == 2) {
        hash ^= hash << 11;
        return hash + (hash >> 17);
    }
    uint32_t last = sign ? (uint32_t)(int32_t)(signed char)key[2] : (unsigned char)key[2];
    hash ^= hash << 16;
    hash ^= last << 18;
    return hash + (hash >> 11);
}

static inline uint64_t hsieh(const char *key, size_t size, bool sign)
{
    uint32_t hash = 0;
    const char *end = key + (size & ~(size_t)3);

    for (; key < end; key += 4) {
        hash += load_16(key);
        hash = (hash << 16) ^ (load_16(key + 2) << 11) ^ hash;
        hash += hash >> 11;
    }
    if (size & 3) {
        hash = hsieh_rest(hash, key, size & 3, sign);
    }
    hash ^= hash << 3;
    hash += hash >> 5;
    hash ^= hash << 4;
    hash += hash >> 17;
    hash ^= hash << 25;
    return hash + (hash >> 6);
}

uint64_t hash_hsieh_unsigned(const char *key, size_t size)
{
    return hsieh(key, size, false);
}

uint64_t hash_hsieh_signed(const char *key, size_t size)
{
    return hsieh(key, size, true);
}

uint64_t hash_xxh64(const char *key, size_t size)
{
    return XXH64(key, size, 0);
}
