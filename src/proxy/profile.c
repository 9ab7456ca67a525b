/* Profiles; see profile.h. The words lie one behind the other in one piece of
 * memory: of three that a library gives itself, each would cost 32 bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/profile.h"

#include "base/memory.h"
#include "proxy/client.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(PROFILE_WORD_MAX < UINT16_MAX, "the size of a word fits");

/* Where a word begins; PROFILE_WORDS: where all end. */
static size_t place_of(const struct profile *profile, enum profile_word word)
{
    size_t at = 0;
    for (int i = 0; i < (int)word; i++)
        at += profile->size[i] + 1u;
    return at;
}

struct profile *profile_get(struct client *client)
{
    if (!client->profile)
        client->profile = xcalloc(1, sizeof *client->profile + PROFILE_WORDS);
    return client->profile;
}

const char *profile_word(const struct client *client, enum profile_word word)
{
    const struct profile *profile = client->profile;
    return profile && profile->size[word] ? profile->words + place_of(profile, word) : NULL;
}

void profile_set(struct client *client, enum profile_word word, const char *text, size_t size)
{
    const struct profile *old = profile_get(client);
    size_t from = place_of(old, word), behind = from + old->size[word], end = place_of(old, PROFILE_WORDS);
    struct profile *profile = xmalloc(sizeof *profile + end - old->size[word] + size);
    *profile = *old;
    profile->size[word] = (uint16_t)size;
    memcpy(profile->words, old->words, from);
    memcpy(profile->words + from, text, size);
    memcpy(profile->words + from + size, old->words + behind, end - behind); /* begins with the word's 0 */
    free(client->profile);
    client->profile = profile;
}

void profile_reset(struct client *client)
{
    if (!client->profile)
        return;
    profile_set(client, PROFILE_NAME, "", 0);
    client->profile->no_evict = client->profile->no_touch = false;
}
