/* A profile: what few commands ask of a client, so that most have none: its
 * names, where it comes from, switches that change nothing here. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;

enum profile_word {
    PROFILE_NAME,    /* CLIENT SETNAME */
    PROFILE_LIBRARY, /* CLIENT SETINFO */
    PROFILE_VERSION, /* of the library */
    PROFILE_WORDS
};

enum { PROFILE_WORD_MAX = 1024 }; /* bytes of a word: a client's memory is bounded */

struct profile {
    uint64_t origin;              /* a hash of where it comes from, the port left out; 0: not asked for yet */
    bool no_evict, no_touch;      /* CLIENT NO-EVICT and NO-TOUCH */
    uint16_t size[PROFILE_WORDS]; /* of each word, without the 0 at its end */
    char words[];
};

/* The client's profile, made when there is none; good until the next profile_set. */
struct profile *profile_get(struct client *client);

/* NULL: it has none. */
const char *profile_word(const struct client *client, enum profile_word word);
/* RESET: the name and the switches go. */
void profile_reset(struct client *client);
/* The empty word takes it away. */
void profile_set(struct client *client, enum profile_word word, const char *text, size_t size);
