/* xoshiro256++ (Blackman, Vigna), seeded with getrandom. A child begins with
 * a seed of its own: the state is thrown away at fork. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"
#include "base/hash.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/random.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static struct {
    uint64_t words[4];
    bool seeded;
    bool watches_fork;
} state;

static void state_forget(void)
{
    state.seeded = false;
}

static void state_seed(void)
{
    if (!state.watches_fork) {
        state.watches_fork = pthread_atfork(NULL, NULL, state_forget) == 0;
    }
    if (getrandom(state.words, sizeof state.words, GRND_NONBLOCK) != (ssize_t)sizeof state.words) {
        /* Early boot or a strict seccomp filter: good enough to spread load. */
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        uint64_t time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        uint64_t seed = ((uint64_t)getpid() << 32) ^ time;
        for (int i = 0; i < 4; i++) {
            state.words[i] = hash_mix(seed += 0x9e3779b97f4a7c15u);
        }
    }
    state.words[0] |= 1; /* all zeros would stay zeros */
    state.seeded = true;
}

static inline uint64_t rotate(uint64_t word, int bits)
{
    return (word << bits) | (word >> (64 - bits));
}

uint64_t random_next(void)
{
    if (!state.seeded) {
        state_seed();
    }
    uint64_t *s = state.words;
    uint64_t result = rotate(s[0] + s[3], 23) + s[0];
    uint64_t shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

/* Lemire's method: the upper half of a product; what would make some numbers
 * likelier than others is thrown again. */
uint32_t random_below(uint32_t n)
{
    uint64_t product = (random_next() >> 32) * n;
    if ((uint32_t)product < n) {
        uint32_t unfair = -n % n;
        while ((uint32_t)product < unfair) {
            product = (random_next() >> 32) * n;
        }
    }
    return (uint32_t)(product >> 32);
}
