/* Sets of commands; see command_set.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "resp/command_set.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct command_set_name {
    char *name;
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

static void forget_names(struct command_set *set)
{
    for (uint32_t i = 0; i < set->name_count; i++) {
        free(set->names[i].name);
    }
    free(set->names);
    set->names = NULL;
    set->name_count = 0;
}

static void apply_all(struct command_set *set, bool in)
{
    memset(set->rows, in ? 0xff : 0, sizeof set->rows);
    set->others = in;
    forget_names(set);
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
    const char *name;
    unsigned bit = 0;
    while ((name = command_category_name(bit)) && strcmp(name, category) != 0) {
        bit++;
    }
    for (size_t row = 0; name && row < command_count(); row++) {
        if (command_row(row)->categories >> bit & 1) {
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

static void apply_name(struct command_set *set, const char *name, bool in)
{
    const struct command *command = find(name);
    if (command) {
        apply_row(set, command, in);
        return;
    }
    set->names = xrealloc(set->names, (set->name_count + 1) * sizeof *set->names);
    set->names[set->name_count++] = (struct command_set_name){.name = xstrdup(name), .in = in};
}

void command_set_apply(struct command_set *set, const char *rule)
{
    bool in = *rule == '+';
    const char *what = rule + 1;
    if (strcmp(what, "@all") == 0) {
        apply_all(set, in);
    } else if (*what == '@') {
        apply_category(set, what + 1, in);
    } else {
        apply_name(set, what, in);
    }
}

void command_set_deinit(struct command_set *set)
{
    forget_names(set);
}

bool command_set_equals(const struct command_set *set, const struct command_set *other)
{
    bool same = memcmp(set->rows, other->rows, sizeof set->rows) == 0 && set->others == other->others &&
                set->name_count == other->name_count;
    for (uint32_t i = 0; same && i < set->name_count; i++) {
        same = set->names[i].in == other->names[i].in &&
               strcmp(set->names[i].name, other->names[i].name) == 0;
    }
    return same;
}

/* Does a rule's name stand for this command: is it its own, or its container's? */
static bool name_covers(const char *rule, const char *name)
{
    size_t size = strlen(rule);
    return strncmp(rule, name, size) == 0 && (name[size] == '\0' || name[size] == '|');
}

bool command_set_has_name(const struct command_set *set, const char *name)
{
    const struct command *command = find(name);
    bool in = set->others;
    if (command) {
        return set->rows[command->id / 64] >> command->id % 64 & 1;
    }
    for (uint32_t i = 0; i < set->name_count; i++) {
        in = name_covers(set->names[i].name, name) ? set->names[i].in : in;
    }
    return in;
}
