/* MD5: of one text, and of many keys side by side.
 *
 * MD5 is 64 steps of which each waits for the one before, so that a core is
 * idle for most of the time that one text takes. Keys that came together go
 * through the steps together, each in a lane of vectors, two vectors in turn.
 *
 * Measured for keys of 16 bytes on a Xeon of 2019, in ns per key, where
 * nettle's compression of one block took 111 to 125:
 *
 *   keys at once    1     2     4     8    16    64
 *   avx512vl      110    65    35    21    15    14
 *   avx2          110   105    58    27    19    18
 *   SSE2          110    98    42    31    29    28
 *
 * The other hashes take 9 to 35 ns, each key by itself. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "base/hash_kinds.h"

#include <endian.h>
#include <stdalign.h>
#include <string.h>

enum {
    BLOCK_SIZE = 64,
    BLOCK_WORDS = 16,
    SIZE_WORD = 14,                /* of the last block: how many bits, in two words */
    ONE_BLOCK_MAX = BLOCK_SIZE - 9, /* beside the byte that ends the text and its size */
    LANES_MAX = 16,                /* of all ways, two vectors together */
};

#define INITIAL_A 0x67452301u
#define INITIAL_B 0xefcdab89u
#define INITIAL_C 0x98badcfeu
#define INITIAL_D 0x10325476u

/* ---- the steps ---- */

/* What the rounds mix in; b is the newest word and waited for, so that it comes in late. */
#define MIX_F(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define MIX_G(b, c, d) ((((c) & ~(d)) + ((b) & (d))))
#define MIX_H(b, c, d) ((b) ^ ((c) ^ (d)))
#define MIX_I(b, c, d) ((c) ^ ((b) | ~(d)))

#define TURN(word, bits) ((word) << (bits) | (word) >> (32 - (bits)))

/* Four steps, each with its message word and constant. */
#define FOUR(STEP, MIX, bits_1, bits_2, bits_3, bits_4, i, i_add, j, j_add, k, k_add, l, l_add) \
    STEP(MIX, a, b, c, d, bits_1, i, i_add)                                                     \
    STEP(MIX, d, a, b, c, bits_2, j, j_add)                                                     \
    STEP(MIX, c, d, a, b, bits_3, k, k_add)                                                     \
    STEP(MIX, b, c, d, a, bits_4, l, l_add)

#define ALL_STEPS(STEP)                                                                                   \
    FOUR(STEP, MIX_F, 7, 12, 17, 22, 0, 0xd76aa478u, 1, 0xe8c7b756u, 2, 0x242070dbu, 3, 0xc1bdceeeu)      \
    FOUR(STEP, MIX_F, 7, 12, 17, 22, 4, 0xf57c0fafu, 5, 0x4787c62au, 6, 0xa8304613u, 7, 0xfd469501u)      \
    FOUR(STEP, MIX_F, 7, 12, 17, 22, 8, 0x698098d8u, 9, 0x8b44f7afu, 10, 0xffff5bb1u, 11, 0x895cd7beu)    \
    FOUR(STEP, MIX_F, 7, 12, 17, 22, 12, 0x6b901122u, 13, 0xfd987193u, 14, 0xa679438eu, 15, 0x49b40821u)  \
    FOUR(STEP, MIX_G, 5, 9, 14, 20, 1, 0xf61e2562u, 6, 0xc040b340u, 11, 0x265e5a51u, 0, 0xe9b6c7aau)      \
    FOUR(STEP, MIX_G, 5, 9, 14, 20, 5, 0xd62f105du, 10, 0x02441453u, 15, 0xd8a1e681u, 4, 0xe7d3fbc8u)     \
    FOUR(STEP, MIX_G, 5, 9, 14, 20, 9, 0x21e1cde6u, 14, 0xc33707d6u, 3, 0xf4d50d87u, 8, 0x455a14edu)      \
    FOUR(STEP, MIX_G, 5, 9, 14, 20, 13, 0xa9e3e905u, 2, 0xfcefa3f8u, 7, 0x676f02d9u, 12, 0x8d2a4c8au)     \
    FOUR(STEP, MIX_H, 4, 11, 16, 23, 5, 0xfffa3942u, 8, 0x8771f681u, 11, 0x6d9d6122u, 14, 0xfde5380cu)    \
    FOUR(STEP, MIX_H, 4, 11, 16, 23, 1, 0xa4beea44u, 4, 0x4bdecfa9u, 7, 0xf6bb4b60u, 10, 0xbebfbc70u)     \
    FOUR(STEP, MIX_H, 4, 11, 16, 23, 13, 0x289b7ec6u, 0, 0xeaa127fau, 3, 0xd4ef3085u, 6, 0x04881d05u)     \
    FOUR(STEP, MIX_H, 4, 11, 16, 23, 9, 0xd9d4d039u, 12, 0xe6db99e5u, 15, 0x1fa27cf8u, 2, 0xc4ac5665u)    \
    FOUR(STEP, MIX_I, 6, 10, 15, 21, 0, 0xf4292244u, 7, 0x432aff97u, 14, 0xab9423a7u, 5, 0xfc93a039u)     \
    FOUR(STEP, MIX_I, 6, 10, 15, 21, 12, 0x655b59c3u, 3, 0x8f0ccc92u, 10, 0xffeff47du, 1, 0x85845dd1u)    \
    FOUR(STEP, MIX_I, 6, 10, 15, 21, 8, 0x6fa87e4fu, 15, 0xfe2ce6e0u, 6, 0xa3014314u, 13, 0x4e0811a1u)    \
    FOUR(STEP, MIX_I, 6, 10, 15, 21, 4, 0xf7537e82u, 11, 0xbd3af235u, 2, 0x2ad7d2bbu, 9, 0xeb86d391u)

/* Of one text, or of a vector of them: m are the message's words. */
#define STEP_ONE(MIX, a, b, c, d, bits, i, add) \
    a += m[i] + (add);                          \
    a += MIX(b, c, d);                          \
    a = TURN(a, bits) + b;

/* Of two vectors in turn: while one waits the other goes on. */
#define STEP_TWO(MIX, a, b, c, d, bits, i, add) \
    a##1 += m[i] + (add);                       \
    a##2 += m[BLOCK_WORDS + (i)] + (add);       \
    a##1 += MIX(b##1, c##1, d##1);              \
    a##2 += MIX(b##2, c##2, d##2);              \
    a##1 = TURN(a##1, bits) + b##1;             \
    a##2 = TURN(a##2, bits) + b##2;

/* ---- one text ---- */

static inline uint32_t word_at(const char *data)
{
    uint32_t word;
    memcpy(&word, data, sizeof word);
    return le32toh(word);
}

/* The last 0 to 3 bytes of a text and the 0x80 that ends it. */
static inline uint32_t last_word(const char *data, size_t size)
{
    size_t rest = size % 4;
    uint32_t word = 0x80u << (8 * rest);
    if (rest && size >= 4)
        return word | word_at(data + size - 4) >> (32 - 8 * rest);
    for (size_t i = 0; i < rest; i++)
        word |= (uint32_t)(unsigned char)data[i] << (8 * i);
    return word;
}

/* Puts less than a block into words of 0, each `stride` words behind the one before. */
static inline void put_text(uint32_t *block, size_t stride, const char *data, size_t size)
{
    size_t whole = size / 4;
    for (size_t i = 0; i < whole; i++)
        block[i * stride] = word_at(data + 4 * i);
    block[whole * stride] = last_word(data, size);
}

/* Inlined: who wants one word only does not pay for the others. */
static inline __attribute__((always_inline)) void add_block(uint32_t words[4], const uint32_t m[BLOCK_WORDS])
{
    uint32_t a = words[0], b = words[1], c = words[2], d = words[3];
    ALL_STEPS(STEP_ONE)
    words[0] += a;
    words[1] += b;
    words[2] += c;
    words[3] += d;
}

static __attribute__((noinline)) void add_bytes(uint32_t words[4], const char *data)
{
    uint32_t block[BLOCK_WORDS];
    for (size_t i = 0; i < BLOCK_WORDS; i++)
        block[i] = word_at(data + 4 * i);
    add_block(words, block);
}

void hash_md5_words(const char *data, size_t size, uint32_t words[4])
{
    char last[2 * BLOCK_SIZE] = {0};
    size_t rest = size % BLOCK_SIZE, last_size = rest > ONE_BLOCK_MAX ? 2 * BLOCK_SIZE : BLOCK_SIZE;
    uint64_t bits = htole64((uint64_t)size * 8);
    words[0] = INITIAL_A;
    words[1] = INITIAL_B;
    words[2] = INITIAL_C;
    words[3] = INITIAL_D;
    for (; size >= BLOCK_SIZE; data += BLOCK_SIZE, size -= BLOCK_SIZE)
        add_bytes(words, data);
    memcpy(last, data, rest);
    last[rest] = (char)0x80;
    memcpy(last + last_size - sizeof bits, &bits, sizeof bits);
    for (size_t at = 0; at < last_size; at += BLOCK_SIZE)
        add_bytes(words, last + at);
}

uint64_t hash_md5_first(const char *key, size_t size)
{
    uint32_t words[4] = {INITIAL_A, INITIAL_B, INITIAL_C, INITIAL_D};
    if (size > ONE_BLOCK_MAX) {
        hash_md5_words(key, size, words);
        return words[0];
    }
    uint32_t block[BLOCK_WORDS] = {0};
    put_text(block, 1, key, size);
    block[SIZE_WORD] = (uint32_t)size * 8;
    add_block(words, block);
    return words[0];
}

/* ---- many keys ---- */

/* Blocks are transposed: word 0 of all lanes, word 1 of all lanes …; then those of the second vector. What
 * comes of it is the first word of all lanes, or all four, transposed as well. */
typedef void hash_lanes(const void *blocks, void *words);

#define ALL_LANES(vector, number) ((vector){0} + (number))
#define DEFINE_WAY(name, vector, attributes)                                              \
    static attributes void name##_one(const void *blocks, void *words)                    \
    {                                                                                     \
        const vector *m = blocks;                                                         \
        vector a = ALL_LANES(vector, INITIAL_A), b = ALL_LANES(vector, INITIAL_B);        \
        vector c = ALL_LANES(vector, INITIAL_C), d = ALL_LANES(vector, INITIAL_D);        \
        ALL_STEPS(STEP_ONE)                                                               \
        *(vector *)words = a + INITIAL_A;                                                 \
    }                                                                                     \
    static attributes void name##_two(const void *blocks, void *words)                    \
    {                                                                                     \
        const vector *m = blocks;                                                         \
        vector a1 = ALL_LANES(vector, INITIAL_A), b1 = ALL_LANES(vector, INITIAL_B);      \
        vector c1 = ALL_LANES(vector, INITIAL_C), d1 = ALL_LANES(vector, INITIAL_D);      \
        vector a2 = a1, b2 = b1, c2 = c1, d2 = d1;                                        \
        ALL_STEPS(STEP_TWO)                                                               \
        *(vector *)words = a1 + INITIAL_A;                                                \
        *((vector *)words + 1) = a2 + INITIAL_A;                                          \
    }                                                                                     \
    static attributes void name##_whole(const void *blocks, void *words)                  \
    {                                                                                     \
        const vector *m = blocks;                                                         \
        vector a = ALL_LANES(vector, INITIAL_A), b = ALL_LANES(vector, INITIAL_B);        \
        vector c = ALL_LANES(vector, INITIAL_C), d = ALL_LANES(vector, INITIAL_D);        \
        ALL_STEPS(STEP_ONE)                                                               \
        *(vector *)words = a + INITIAL_A;                                                 \
        *((vector *)words + 1) = b + INITIAL_B;                                           \
        *((vector *)words + 2) = c + INITIAL_C;                                           \
        *((vector *)words + 3) = d + INITIAL_D;                                           \
    }

/* The compiler makes of them what the CPU has: SSE2 of x86-64, NEON, or plain words. */
typedef uint32_t vector_of_4 __attribute__((vector_size(16), may_alias));
DEFINE_WAY(plain, vector_of_4, )

static bool plain_fits(void)
{
    return true;
}

#if defined __x86_64__
typedef uint32_t vector_of_8 __attribute__((vector_size(32), may_alias));
DEFINE_WAY(avx2, vector_of_8, __attribute__((target("avx2"))))
/* The same vectors: what it adds are rotations and functions of three words in one instruction. */
DEFINE_WAY(avx512, vector_of_8, __attribute__((target("avx512vl"))))

static bool avx2_fits(void)
{
    return __builtin_cpu_supports("avx2");
}

static bool avx512_fits(void)
{
    return __builtin_cpu_supports("avx512vl");
}
#endif

/* The best first. */
static const struct way {
    const char *name;
    bool (*fits)(void); /* has this CPU the instructions? */
    size_t lanes;       /* of one vector */
    hash_lanes *one, *two, *whole;
} ways[] = {
#if defined __x86_64__
    {"avx512vl", avx512_fits, 8, avx512_one, avx512_two, avx512_whole},
    {"avx2", avx2_fits, 8, avx2_one, avx2_two, avx2_whole},
#endif
    {"plain", plain_fits, 4, plain_one, plain_two, plain_whole},
};

static const struct way *best = &ways[sizeof ways / sizeof *ways - 1];

const char *hash_md5_use(unsigned number)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (ways[i].fits() && number-- == 0) {
            best = &ways[i];
            return best->name;
        }
    }
    return NULL;
}

/* Asked once and not per call; not by ifunc, whose resolvers run before the sanitizers do. */
static __attribute__((constructor)) void choose_way(void)
{
#if defined __x86_64__
    __builtin_cpu_init();
#endif
    hash_md5_use(0);
}

/* Puts the first keys that fit into one block into lanes; `order` says whose each is. Longer ones are done
 * with. Returns how many keys it has come past. */
static size_t fill_lanes(const struct hash_text *keys, size_t count, uint32_t *hashes, uint32_t *blocks,
                         uint32_t *order, size_t *used)
{
    size_t lanes = best->lanes, lane = 0, i = 0;
    memset(blocks, 0, (count > lanes ? 2 : 1) * lanes * BLOCK_SIZE);
    for (; i < count && lane < 2 * lanes; i++) {
        if (keys[i].size > ONE_BLOCK_MAX) {
            hashes[i] = (uint32_t)hash_md5_first(keys[i].data, keys[i].size);
            continue;
        }
        uint32_t *block = blocks + lane + (lane < lanes ? 0 : lanes * (BLOCK_WORDS - 1));
        put_text(block, lanes, keys[i].data, keys[i].size);
        block[SIZE_WORD * lanes] = (uint32_t)keys[i].size * 8;
        order[lane++] = (uint32_t)i;
    }
    *used = lane;
    return i;
}

/* Keys of one size, four at a time: their words need no look at where each key ends. */
enum { FOUR = 4 };

static inline uint32_t *lanes_at(uint32_t *blocks, size_t lane)
{
    return blocks + lane + (lane < best->lanes ? 0 : best->lanes * (BLOCK_WORDS - 1));
}

/* How many of the next keys, a multiple of four, are of one size that fits into one block? 0: fewer. */
static size_t count_alike(const struct hash_text *keys, size_t count)
{
    size_t alike = (count < 2 * best->lanes ? count : 2 * best->lanes) & ~(size_t)(FOUR - 1);
    for (size_t i = 1; i < alike; i++)
        if (keys[i].size != keys->size)
            return 0;
    return keys->size > ONE_BLOCK_MAX ? 0 : alike;
}

/* Puts `count` keys of one size into lanes: 2 ns less for each than with fill_lanes, of 17. */
static void fill_alike(const struct hash_text *keys, size_t count, uint32_t *blocks)
{
    size_t lanes = best->lanes, size = keys->size, whole = size / sizeof(uint32_t);
    memset(blocks, 0, (count > lanes ? 2 : 1) * lanes * BLOCK_SIZE);
    for (size_t lane = 0; lane < count; lane += FOUR, keys += FOUR) {
        uint32_t *block = lanes_at(blocks, lane);
        const char *data[FOUR] = {keys[0].data, keys[1].data, keys[2].data, keys[3].data};
        for (size_t word = 0; word < whole; word++) {
            uint32_t *at = block + word * lanes;
            at[0] = word_at(data[0] + word * sizeof *at);
            at[1] = word_at(data[1] + word * sizeof *at);
            at[2] = word_at(data[2] + word * sizeof *at);
            at[3] = word_at(data[3] + word * sizeof *at);
        }
        for (size_t i = 0; i < FOUR; i++) {
            block[whole * lanes + i] = last_word(data[i], size);
            block[SIZE_WORD * lanes + i] = (uint32_t)size * 8;
        }
    }
}

void hash_md5_many(const struct hash_text *keys, size_t count, uint32_t *hashes)
{
    alignas(BLOCK_SIZE) uint32_t blocks[LANES_MAX * BLOCK_WORDS], words[LANES_MAX];
    uint32_t order[LANES_MAX];
    while (count > 1) {
        size_t used = count_alike(keys, count), past = used;
        if (used)
            fill_alike(keys, used, blocks);
        else
            past = fill_lanes(keys, count, hashes, blocks, order, &used);
        (used > best->lanes ? best->two : best->one)(blocks, words);
        for (size_t i = 0; i < used; i++)
            hashes[past == used ? i : order[i]] = words[i]; /* the first: none was left out */
        keys += past;
        hashes += past;
        count -= past;
    }
    if (count)
        *hashes = (uint32_t)hash_md5_first(keys->data, keys->size);
}

void hash_md5_words_many(const struct hash_text *texts, size_t count, uint32_t (*words)[4])
{
    alignas(BLOCK_SIZE) uint32_t blocks[LANES_MAX * BLOCK_WORDS], all[4 * LANES_MAX];
    size_t lanes = best->lanes;
    for (size_t done = 0, some; done < count; done += some) {
        uint32_t first[LANES_MAX], order[LANES_MAX];
        size_t used;
        some = count - done < lanes ? count - done : lanes;
        some = fill_lanes(texts + done, some, first, blocks, order, &used);
        best->whole(blocks, all);
        for (size_t i = 0; i < used; i++) {
            for (size_t k = 0; k < 4; k++)
                words[done + order[i]][k] = all[k * lanes + i];
        }
        for (size_t i = done; i < done + some; i++) {
            if (texts[i].size > ONE_BLOCK_MAX)
                hash_md5_words(texts[i].data, texts[i].size, words[i]);
        }
    }
}
