/* The command table and how a name is found in it: an open-addressed hash of
 * names folded to lower case, built once at start. A name is compared as
 * three 64-bit words, so that finding one costs no loop and no call. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "resp/command.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* The words of command.def. */
#define F(flag) COMMAND_##flag
#define C(category) (1u << CATEGORY_##category)
#define NO_SPECS NULL, 0
#define K(flag) KEY_##flag
#define SPECS(...) \
    (const struct key_spec[]){__VA_ARGS__}, \
        sizeof((const struct key_spec[]){__VA_ARGS__}) / sizeof(struct key_spec)
/* The last argument is the notes, if there are any. */
#define INDEX_RANGE(how, at, last_key, every, half, ...) \
    {.flags = (how), .notes = "" __VA_ARGS__, \
     .begin = KEY_BEGIN_INDEX, .index = (at), .find = KEY_FIND_RANGE, \
     .last = (last_key), .step = (every), .limit = (half)}
#define INDEX_KEYNUM(how, at, number, first_key, every, ...) \
    {.flags = (how), .notes = "" __VA_ARGS__, \
     .begin = KEY_BEGIN_INDEX, .index = (at), .find = KEY_FIND_KEYNUM, \
     .keynum_index = (number), .first = (first_key), .keystep = (every)}
#define KEYWORD_RANGE(how, word, from, last_key, every, half, ...) \
    {.flags = (how), .notes = "" __VA_ARGS__, \
     .begin = KEY_BEGIN_KEYWORD, .index = (from), .keyword = (word), \
     .find = KEY_FIND_RANGE, .last = (last_key), .step = (every), .limit = (half)}
#define UNKNOWN_KEYS(how, ...) \
    {.flags = (how), .notes = "" __VA_ARGS__, \
     .begin = KEY_BEGIN_UNKNOWN, .find = KEY_FIND_UNKNOWN}

enum category {
#define CATEGORY(name, text) CATEGORY_##name,
#define COMMAND(...)
#include "resp/command.def"
#undef CATEGORY
#undef COMMAND
    CATEGORIES
};

static const char *const category_names[] = {
#define CATEGORY(name, text) [CATEGORY_##name] = text,
#define COMMAND(...)
#include "resp/command.def"
#undef CATEGORY
#undef COMMAND
};

/* SPECS fills two fields, so the row macro takes the rest as it comes. */
enum { ROW_BASE = __COUNTER__ + 1 };
#define CATEGORY(name, text)
#define COMMAND(name, arity, flags, categories, request, response, tips, first, last, step, ...) \
    {name, arity, flags, categories, REQUEST_##request, RESPONSE_##response, tips, first, last, \
     step, __VA_ARGS__, \
     ((flags) & COMMAND_MOVABLEKEYS) == 0, __COUNTER__ - ROW_BASE},
static const struct command rows[] = {
#include "resp/command.def"
};
#undef CATEGORY
#undef COMMAND

enum { ROWS = sizeof rows / sizeof *rows };
enum { NAME_MAX_SIZE = 24, SLOTS = 1024 };
_Static_assert(ROWS * 2 <= SLOTS, "the hash of command names has become too full");

struct name {
    uint64_t word[3]; /* lower case, zero padded */
    uint16_t size;
    uint16_t parent;  /* 1 + row of the container, 0 for a command itself */
};
struct slot {
    struct name name;
    uint16_t row;     /* 1 + row, 0: empty */
};
static struct slot slots[SLOTS];

/* The same for short names of letters only, but for subcommands: all that matter for speed. */
struct short_slot {
    uint64_t word;
    uint16_t row;
    uint8_t size;
};
static struct short_slot short_slots[SLOTS];

/* Lower case for the letters A-Z in all eight bytes at once. Bytes above 127
 * may change too, but never into what a name in the table holds. */
static inline uint64_t word_lower(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t low7 = word & (0x7f * ones);
    uint64_t from_a = low7 + (0x80 - 'A') * ones;       /* top bit: 'A' or more */
    uint64_t above_z = low7 + (0x80 - 'Z' - 1) * ones;  /* top bit: more than 'Z' */
    uint64_t upper = from_a & ~above_z & (0x80 * ones);
    return word | upper >> 2;
}

/* One to eight bytes, zero padded, without looking beyond them. */
static inline uint64_t word_load(const char *at, size_t size)
{
    uint64_t word = 0;
    if (size >= 8) {
        memcpy(&word, at, 8);
    } else if (size >= 4) {
        uint32_t low, high;
        memcpy(&low, at, 4);
        memcpy(&high, at + size - 4, 4);
        word = low | (uint64_t)high << ((size - 4) * 8);
    } else if (size > 0) {
        word = (uint64_t)(unsigned char)at[0] | (uint64_t)(unsigned char)at[size / 2] << (size / 2 * 8) |
               (uint64_t)(unsigned char)at[size - 1] << ((size - 1) * 8);
    }
    return word;
}

/* size is at most NAME_MAX_SIZE. */
static inline struct name name_fold(const char *text, size_t size, uint16_t parent)
{
    struct name name = {.size = (uint16_t)size, .parent = parent};
    name.word[0] = word_lower(word_load(text, size));
    if (size > 8) {
        name.word[1] = word_lower(word_load(text + 8, size - 8));
    }
    if (size > 16) {
        name.word[2] = word_lower(word_load(text + 16, size - 16));
    }
    return name;
}

static inline bool name_equal(const struct name *a, const struct name *b)
{
    return a->word[0] == b->word[0] && a->size == b->size && a->parent == b->parent &&
           a->word[1] == b->word[1] && a->word[2] == b->word[2];
}

static inline uint32_t name_hash(const struct name *name)
{
    uint64_t hash = name->word[0] * 0x9e3779b97f4a7c15u;
    hash ^= (name->word[1] ^ name->word[2] << 1 ^ (uint64_t)name->parent << 48) * 0xc2b2ae3d27d4eb4fu;
    hash *= 0x9e3779b97f4a7c15u;
    return (uint32_t)(hash >> 54);
}

/* A byte with this bit is a letter of a name just when it is that letter in any case. */
static const uint64_t any_case = 0x2020202020202020u;

static inline uint32_t short_hash(uint64_t word)
{
    return (uint32_t)(word * 0x9e3779b97f4a7c15u >> 54);
}

/* `word`: the name's bytes, zero padded, any_case. */
static inline const struct command *short_find(uint64_t word, size_t size)
{
    for (uint32_t at = short_hash(word); short_slots[at].row != 0; at = (at + 1) % SLOTS) {
        if (short_slots[at].word == word && short_slots[at].size == size) {
            return &rows[short_slots[at].row - 1];
        }
    }
    return NULL;
}

static const struct command *name_find(const char *text, size_t size, uint16_t parent)
{
    if (size > NAME_MAX_SIZE) {
        return NULL;
    }
    struct name name = name_fold(text, size, parent);
    for (uint32_t at = name_hash(&name); slots[at].row != 0; at = (at + 1) % SLOTS) {
        if (name_equal(&slots[at].name, &name)) {
            return &rows[slots[at].row - 1];
        }
    }
    return NULL;
}

static void short_slot_add(const struct name *name, uint16_t row)
{
    uint64_t word = name->word[0] | any_case;
    uint32_t at = short_hash(word);
    while (short_slots[at].row != 0) {
        at = (at + 1) % SLOTS;
    }
    short_slots[at] =
        (struct short_slot){.word = word, .row = (uint16_t)(row + 1), .size = (uint8_t)name->size};
}

/* Short, and of letters only? */
static bool is_plain_word(const char *text)
{
    size_t size = strlen(text);
    return size <= 8 && strspn(text, "abcdefghijklmnopqrstuvwxyz") == size;
}

/* Before main: the table is the same for everybody and never changes. */
__attribute__((constructor)) static void slots_setup(void)
{
    uint16_t container = 0;
    for (uint16_t row = 0; row < ROWS; row++) {
        const char *text = rows[row].name;
        uint16_t parent = 0;
        if (rows[row].flags & COMMAND_SUBCOMMAND) {
            text = strchr(text, '|') + 1;
            parent = container; /* a container is followed by its subcommands */
        } else {
            container = (uint16_t)(row + 1);
        }
        assert(strlen(text) <= NAME_MAX_SIZE);
        struct name name = name_fold(text, strlen(text), parent);
        uint32_t at = name_hash(&name);
        while (slots[at].row != 0) {
            at = (at + 1) % SLOTS;
        }
        slots[at] = (struct slot){.name = name, .row = (uint16_t)(row + 1)};
        if (parent == 0 && is_plain_word(text)) {
            short_slot_add(&name, row);
        }
    }
}

/* ---- learned rows ---- */

enum { LEARNED = COMMAND_IDS - ROWS };
static struct command *learned[LEARNED];
static size_t learned_count;

static bool spec_equal(const struct key_spec *a, const struct key_spec *b)
{
    bool words = a->flags == b->flags && strcmp(a->notes, b->notes) == 0;
    bool begin = a->begin == b->begin && a->index == b->index &&
                 (a->begin != KEY_BEGIN_KEYWORD || strcmp(a->keyword, b->keyword) == 0);
    bool find = a->find == b->find && a->last == b->last && a->step == b->step && a->limit == b->limit &&
                a->keynum_index == b->keynum_index && a->first == b->first && a->keystep == b->keystep;
    return words && begin && find;
}

static bool row_equal(const struct command *a, const struct command *b)
{
    if (strcmp(a->name, b->name) != 0 || a->arity != b->arity || a->flags != b->flags ||
        a->categories != b->categories || strcmp(a->tips, b->tips) != 0 ||
        a->request_policy != b->request_policy ||
        a->response_policy != b->response_policy || a->first_key != b->first_key ||
        a->last_key != b->last_key || a->key_step != b->key_step || a->spec_count != b->spec_count ||
        a->simple_keys != b->simple_keys) {
        return false;
    }
    for (uint8_t i = 0; i < a->spec_count; i++) {
        if (!spec_equal(&a->specs[i], &b->specs[i])) {
            return false;
        }
    }
    return true;
}

static struct command *row_copy(const struct command *row)
{
    struct command *copy = xmalloc(sizeof *copy);
    struct key_spec *specs = row->spec_count > 0 ? xcalloc(row->spec_count, sizeof *specs) : NULL;
    for (uint8_t i = 0; i < row->spec_count; i++) {
        specs[i] = row->specs[i];
        specs[i].keyword = specs[i].keyword ? xstrdup(specs[i].keyword) : NULL;
        specs[i].notes = xstrdup(specs[i].notes);
    }
    *copy = *row;
    copy->name = xstrdup(row->name);
    copy->tips = xstrdup(row->tips);
    copy->specs = specs;
    return copy;
}

const struct command *command_learn(const struct command *row)
{
    for (size_t i = 0; i < learned_count; i++) {
        if (row_equal(learned[i], row)) {
            return learned[i];
        }
    }
    if (learned_count == LEARNED) {
        return NULL;
    }
    struct command *copy = row_copy(row);
    copy->id = (uint16_t)(ROWS + learned_count);
    learned[learned_count++] = copy;
    return copy;
}

void command_unlearn(void)
{
    while (learned_count > 0) {
        struct command *row = learned[--learned_count];
        for (uint8_t i = 0; i < row->spec_count; i++) {
            free((char *)(uintptr_t)row->specs[i].keyword);
            free((char *)(uintptr_t)row->specs[i].notes);
        }
        free((struct key_spec *)(uintptr_t)row->specs);
        free((char *)(uintptr_t)row->name);
        free((char *)(uintptr_t)row->tips);
        free(row);
    }
}

bool command_is_learned(const struct command *command)
{
    return command->id >= ROWS;
}

/* ---- look-up ---- */

const struct command *command_find(const char *name, size_t size)
{
    return name_find(name, size, 0);
}

const struct command *command_find_inside(const char *name, size_t size)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (size - 1 < 8) {
        uint64_t word;
        memcpy(&word, name + size - 8, 8);
        const struct command *found = short_find(word >> (8 - size) * 8 | any_case, size);
        if (found) {
            return found;
        }
    }
#endif
    return command_find(name, size);
}

const struct command *command_find_sub(const struct command *command, const char *sub, size_t size)
{
    return command->flags & COMMAND_CONTAINER ? name_find(sub, size, (uint16_t)(command->id + 1)) : NULL;
}

size_t command_count(void)
{
    return ROWS;
}

const struct command *command_row(size_t id)
{
    if (id < ROWS) {
        return &rows[id];
    }
    return id < ROWS + learned_count ? learned[id - ROWS] : NULL;
}

bool command_arity_fits(const struct command *command, uint32_t argc)
{
    int64_t arity = command->arity;
    return arity >= 0 ? argc == arity : argc >= -arity;
}

const char *command_category_name(unsigned bit)
{
    return bit < CATEGORIES ? category_names[bit] : NULL;
}
