/* Sets of commands; see command_set.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "resp/command_set.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct command_set_word {
    char *text; /* "json.get" or "@read" */
    bool in;
};

static void set_row(struct command_set *set, size_t row, bool in)
{
    uint64_t bit = (uint64_t)1 << row % 64;
    if (row / 64 >= COMMAND_SET_WORDS) {
        return;
    }
    if (in) {
        set->rows[row / 64] |= bit;
    } else {
        set->rows[row / 64] &= ~bit;
    }
}

static void forget_words(struct command_set *set)
{
    for (uint32_t i = 0; i < set->word_count; i++) {
        free(set->words[i].text);
    }
    free(set->words);
    set->words = NULL;
    set->word_count = 0;
}

static void apply_all(struct command_set *set, bool in)
{
    memset(set->rows, in ? 0xff : 0, sizeof set->rows);
    set->others = in;
    forget_words(set);
}

/* A container's subcommands follow it in the table. */
static void apply_row(struct command_set *set, const struct command *command, bool in)
{
    const struct command *sub;
    set_row(set, command->id, in);
    for (size_t row = command->id + 1u; command->flags & COMMAND_CONTAINER; row++) {
        sub = command_row(row);
        if (!sub || !(sub->flags & COMMAND_SUBCOMMAND)) {
            return;
        }
        set_row(set, row, in);
    }
}

static void apply_category(struct command_set *set, const char *category, bool in)
{
    uint32_t bit = command_category(category, strlen(category));
    for (size_t row = 0; row < command_count(); row++) {
        if (command_row(row)->categories & bit) {
            apply_row(set, command_row(row), in);
        }
    }
}

/* "config|get" or "get" in the table, or NULL. */
static const struct command *find(const char *name)
{
    const char *bar = strchr(name, '|');
    const struct command *command = command_find(name, bar ? (size_t)(bar - name) : strlen(name));
    return command && bar ? command_find_sub(command, bar + 1, strlen(bar + 1)) : command;
}

static void apply_word(struct command_set *set, const char *text, bool in)
{
    set->words = xrealloc(set->words, (set->word_count + 1) * sizeof *set->words);
    set->words[set->word_count++] = (struct command_set_word){.text = xstrdup(text), .in = in};
}

void command_set_apply(struct command_set *set, const char *rule)
{
    bool in = *rule == '+';
    const char *what = rule + 1;
    if (strcmp(what, "@all") == 0) {
        apply_all(set, in);
    } else if (*what == '@') {
        apply_category(set, what + 1, in);
        apply_word(set, what, in);
    } else {
        const struct command *command = find(what);
        if (command)
            apply_row(set, command, in);
        if (!command || (command->flags & COMMAND_CONTAINER))
            apply_word(set, what, in); /* a container may be taught subcommands that the table lacks */
    }
}

void command_set_deinit(struct command_set *set)
{
    forget_words(set);
}

bool command_set_equals(const struct command_set *set, const struct command_set *other)
{
    bool same = memcmp(set->rows, other->rows, sizeof set->rows) == 0 && set->others == other->others &&
                set->word_count == other->word_count;
    for (uint32_t i = 0; same && i < set->word_count; i++) {
        same = set->words[i].in == other->words[i].in &&
               strcmp(set->words[i].text, other->words[i].text) == 0;
    }
    return same;
}

/* Does a rule's word stand for this command: is it its own name, its container's, or its category? */
static bool word_covers(const char *word, const struct command *command)
{
    size_t size = strlen(word);
    if (*word == '@') {
        return command->categories & command_category(word + 1, size - 1);
    }
    return strncmp(word, command->name, size) == 0 &&
           (command->name[size] == '\0' || command->name[size] == '|');
}

bool command_set_has_learned(const struct command_set *set, const struct command *command)
{
    bool in = set->others;
    for (uint32_t i = 0; i < set->word_count; i++) {
        const struct command_set_word *word = &set->words[i];
        bool adds_category = word->in && *word->text == '@' && !set->wide;
        if (!adds_category && word_covers(word->text, command)) {
            in = word->in;
        }
    }
    return in;
}
