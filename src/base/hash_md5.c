/* MD5 through nettle. Keys and ring strings are nearly always shorter than
 * 56 bytes, so that text, padding and length fit into one block: then only
 * nettle's compression of that block is needed, no context. Measured for a key
 * of 12 bytes: 124 ns, against 155 ns through md5_init, _update and _digest;
 * the rest is MD5's own 64 dependent steps. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "base/hash_kinds.h"

#include <endian.h>
#include <nettle/md5.h>
#include <string.h>

#define ONE_BLOCK_MAX (MD5_BLOCK_SIZE - sizeof(uint64_t) - 1)

static void md5_one_block(const char *data, size_t size, uint32_t words[4])
{
    uint8_t block[MD5_BLOCK_SIZE] = {0};
    memcpy(block, data, size);
    block[size] = 0x80;
    uint64_t bits = htole64((uint64_t)size * 8);
    memcpy(block + MD5_BLOCK_SIZE - sizeof bits, &bits, sizeof bits);

    words[0] = 0x67452301u;
    words[1] = 0xefcdab89u;
    words[2] = 0x98badcfeu;
    words[3] = 0x10325476u;
    nettle_md5_compress(words, block);
}

void hash_md5_words(const char *data, size_t size, uint32_t words[4])
{
    if (size <= ONE_BLOCK_MAX) {
        md5_one_block(data, size, words);
        return;
    }
    struct md5_ctx context;
    uint8_t digest[MD5_DIGEST_SIZE];
    md5_init(&context);
    md5_update(&context, size, (const uint8_t *)data);
    md5_digest(&context, sizeof digest, digest);
    memcpy(words, digest, sizeof digest);
    for (int i = 0; i < 4; i++) {
        words[i] = le32toh(words[i]);
    }
}

uint64_t hash_md5_first(const char *key, size_t size)
{
    uint32_t words[4];
    hash_md5_words(key, size, words);
    return words[0];
}
