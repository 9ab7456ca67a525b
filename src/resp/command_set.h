/* A set of commands, built from rules in the words of Redis's ACL. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "resp/command.h"

#include <stdbool.h>
#include <stdint.h>

enum { COMMAND_SET_WORDS = 16 }; /* 1024 rows: more than the command table will ever have */

/* What a rule said of commands that the table lacks (a module's, a subcommand of a newer Redis). */
struct command_set_word;

/* Zero it to begin: the empty set. command_set_deinit when done. */
struct command_set {
    uint64_t rows[COMMAND_SET_WORDS]; /* a bit for each row of the command table */
    bool others;                      /* are those that the table lacks in it, but for the words? */
    struct command_set_word *words;   /* names and categories that rules gave, in their order, owned */
    uint32_t word_count;
    bool wide;                        /* a category adds learned commands, too: for what is denied */
};

/* Applies one rule, in lower case: "+@read", "-keys", "+config|get", "-@all",
 * "+json.get". A container stands for all its subcommands. A category takes
 * learned commands out, by what their host says of them, but does not add them
 * unless the set is wide. One that does not exist changes nothing. */
void command_set_apply(struct command_set *set, const char *rule);
void command_set_deinit(struct command_set *set);
bool command_set_equals(const struct command_set *set, const struct command_set *other);

/* Is a command in it that was learned from a host? */
bool command_set_has_learned(const struct command_set *set, const struct command *command);

static inline bool command_set_has(const struct command_set *set, const struct command *command)
{
    return command_is_learned(command) ? command_set_has_learned(set, command)
                                       : set->rows[command->id / 64] >> command->id % 64 & 1;
}
