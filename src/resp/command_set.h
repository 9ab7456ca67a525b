/* A set of commands, built from rules in the words of Redis's ACL. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "resp/command.h"

#include <stdbool.h>
#include <stdint.h>

enum { COMMAND_SET_WORDS = 16 }; /* 1024 rows: more than the command table will ever have */

/* What a rule said of a command that the table lacks (a module's). */
struct command_set_name;

/* Zero it to begin: the empty set. command_set_deinit when done. */
struct command_set {
    uint64_t rows[COMMAND_SET_WORDS]; /* a bit for each row of the command table */
    bool others;                      /* are those that the table lacks in it, unless a rule names them? */
    struct command_set_name *names;   /* of such, in the order of the rules, owned */
    uint32_t name_count;
};

/* Applies one rule, in lower case: "+@read", "-keys", "+config|get", "-@all",
 * "+json.get". A container stands for all its subcommands. A category that does
 * not exist changes nothing. */
void command_set_apply(struct command_set *set, const char *rule);
void command_set_deinit(struct command_set *set);
bool command_set_equals(const struct command_set *set, const struct command_set *other);

/* Is a command in it that may lack a row of the table? */
bool command_set_has_name(const struct command_set *set, const char *name);

static inline bool command_set_has(const struct command_set *set, const struct command *command)
{
    return command_is_learned(command) ? command_set_has_name(set, command->name)
                                       : set->rows[command->id / 64] >> command->id % 64 & 1;
}
