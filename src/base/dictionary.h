/* Dictionaries that all workers share: keys with strings, numbers or booleans,
 * in a fixed piece of the area (base/area.h). What was not used for longest
 * gives way when there is no room. A lock guards each; when a worker is killed
 * inside, the next one empties the dictionary and says so in the log. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DICTIONARY_LEAST = 16 * 1024,   /* bytes of a dictionary */
    DICTIONARY_ENTRY = 1024 * 1024, /* the most bytes of a key with its value; or half the dictionary */
    DICTIONARY_SIZE = 1024 * 1024,  /* what is usual */
};

enum dictionary_type { DICTIONARY_NOTHING, DICTIONARY_STRING, DICTIONARY_NUMBER, DICTIONARY_BOOLEAN };

struct dictionary_value {
    enum dictionary_type type;
    double number; /* of a boolean: 0 or 1 */
    const char *bytes;
    size_t size;
};

struct dictionary_key {
    const char *bytes;
    size_t size;
    uint64_t now; /* ns of the monotonic clock: what has expired by then is not there */
};

enum dictionary_result {
    DICTIONARY_DONE,
    DICTIONARY_TOO_LARGE,
    DICTIONARY_THERE,
    DICTIONARY_NOT_THERE,
    DICTIONARY_NO_NUMBER
};

struct dictionary; /* in the area */

/* The dictionary of a name (1 to 127 bytes), made of `size` bytes when there is none; one that is there
 * keeps its size. NULL with a sentence in `error`. */
struct dictionary *dictionary_find(const char *name, size_t name_size, size_t size, char *error,
                                   size_t error_size);
size_t dictionary_size(const struct dictionary *dictionary);

/* Copies the value out; a string's bytes are good until the next call in this process. false: not there. */
bool dictionary_get(struct dictionary *dictionary, const struct dictionary_key *key,
                    struct dictionary_value *value);

/* life: ns until it expires, 0: never. `only_new`: DICTIONARY_THERE when there is one. */
enum dictionary_result dictionary_set(struct dictionary *dictionary, const struct dictionary_key *key,
                                      const struct dictionary_value *value, uint64_t life, bool only_new);

/* Adds to a number, or to *init where there is nothing (NULL: DICTIONARY_NOT_THERE); *sum is what it is then.
 * life is that of a new one, others keep theirs. */
enum dictionary_result dictionary_add(struct dictionary *dictionary, const struct dictionary_key *key,
                                      double number, const double *init, uint64_t life, double *sum);

/* false: it was not there. */
bool dictionary_delete(struct dictionary *dictionary, const struct dictionary_key *key);
void dictionary_flush(struct dictionary *dictionary);
/* How many there are; of what has expired, the thousand longest unused are not counted. */
uint32_t dictionary_count(struct dictionary *dictionary, uint64_t now);

/* Do all its lists agree? For specs. */
bool dictionary_is_sound(struct dictionary *dictionary);
