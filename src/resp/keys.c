/* Where the keys of a request are: the key specifications become at most a
 * few ranges of argument numbers, then one walk over the arguments collects
 * them. Time is linear in the arguments, whatever they say. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "resp/keys.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "resp/number.h"

enum { MAX_RANGES = 8 };

/* Arguments first, first + step … up to and with last. */
struct key_range {
    uint32_t first, last, step;
};

struct key_ranges {
    struct key_range at[MAX_RANGES];
    uint32_t count;
};

/* What the commands that take a number of keys say when it is wrong. */
struct numkeys_errors {
    const char *name; /* NULL: any other command */
    const char *not_number, *too_small, *too_many;
};

#define NOT_INTEGER "ERR value is not an integer or out of range"
#define NOT_POSITIVE "ERR numkeys should be greater than 0"
#define NEGATIVE "ERR Number of keys can't be negative"
#define BEYOND_ARGS "ERR Number of keys can't be greater than number of args"
#define SYNTAX "ERR syntax error"
#define UNEVEN(name) "ERR wrong number of arguments for '" name "' command"
#define NO_INPUT(name) "ERR at least 1 input key is needed for '" name "' command"

static const struct numkeys_errors numkeys_errors[] = {
    /* name         not a number                        too small                too many */
    {"eval",        NOT_INTEGER,                        NEGATIVE,                BEYOND_ARGS},
    {"evalsha",     NOT_INTEGER,                        NEGATIVE,                BEYOND_ARGS},
    {"eval_ro",     NOT_INTEGER,                        NEGATIVE,                BEYOND_ARGS},
    {"evalsha_ro",  NOT_INTEGER,                        NEGATIVE,                BEYOND_ARGS},
    {"fcall",       "ERR Bad number of keys provided",  NEGATIVE,                BEYOND_ARGS},
    {"fcall_ro",    "ERR Bad number of keys provided",  NEGATIVE,                BEYOND_ARGS},
    {"zunion",      NOT_INTEGER,                        NO_INPUT("zunion"),      SYNTAX},
    {"zinter",      NOT_INTEGER,                        NO_INPUT("zinter"),      SYNTAX},
    {"zdiff",       NOT_INTEGER,                        NO_INPUT("zdiff"),       SYNTAX},
    {"zintercard",  NOT_INTEGER,                        NO_INPUT("zintercard"),  SYNTAX},
    {"zunionstore", NOT_INTEGER,                        NO_INPUT("zunionstore"), SYNTAX},
    {"zinterstore", NOT_INTEGER,                        NO_INPUT("zinterstore"), SYNTAX},
    {"zdiffstore",  NOT_INTEGER,                        NO_INPUT("zdiffstore"),  SYNTAX},
    {"sintercard",  NOT_POSITIVE,                       NOT_POSITIVE,            BEYOND_ARGS},
    {"lmpop",       NOT_POSITIVE,                       NOT_POSITIVE,            SYNTAX},
    {"zmpop",       NOT_POSITIVE,                       NOT_POSITIVE,            SYNTAX},
    {"blmpop",      NOT_POSITIVE,                       NOT_POSITIVE,            SYNTAX},
    {"bzmpop",      NOT_POSITIVE,                       NOT_POSITIVE,            SYNTAX},
    {NULL,          NOT_INTEGER,                        NOT_POSITIVE,            SYNTAX},
};

static const struct numkeys_errors *numkeys_errors_of(const struct command *command)
{
    const struct numkeys_errors *row = numkeys_errors;
    while (row->name && strcmp(row->name, command->name) != 0) {
        row++;
    }
    return row;
}

static enum keys_status keys_invalid(struct key_list *list, const char *error)
{
    list->error = error;
    return KEYS_INVALID;
}

static void ranges_add(struct key_ranges *ranges, uint32_t first, uint32_t last, uint32_t step)
{
    if (ranges->count < MAX_RANGES && first <= last) {
        ranges->at[ranges->count++] = (struct key_range){.first = first, .last = last, .step = step};
    }
}

/* A cursor whose next argument is number `from`. The scan kept where the first
 * few are, so those are not walked. */
static struct resp_cursor cursor_from(const char *start, const struct resp_request *scan, uint32_t from)
{
    struct resp_cursor cursor;
    struct resp_arg skipped;
    uint32_t known = from < RESP_ARGS ? from : RESP_ARGS;
    known = known < scan->argc ? known : scan->argc;
    if (known == 0) {
        resp_cursor_init(&cursor, start);
        return cursor;
    }
    cursor.start = start;
    cursor.pos = scan->args[known - 1].at + scan->args[known - 1].size + 2;
    cursor.left = scan->argc - known;
    while (known++ < from && resp_cursor_next(&cursor, &skipped)) {
    }
    return cursor;
}

/* Whether one argument is that word, in any case. */
static bool arg_is(const char *start, struct resp_arg arg, const char *word)
{
    return strlen(word) == arg.size && strncasecmp(start + arg.at, word, arg.size) == 0;
}

/* How many arguments belong to an option, so that "GROUP streams" or "STORE
 * get" is not taken for a keyword. A word means the same wherever it may stand. */
static uint32_t option_values(const char *start, struct resp_arg arg)
{
    static const struct {
        const char *word;
        uint32_t values;
    } options[] = {
        {"block", 1}, {"count", 1}, {"group", 2},                  /* XREAD, XREADGROUP */
        {"by", 1}, {"get", 1}, {"limit", 2},                       /* SORT */
        {"store", 1}, {"storedist", 1},                            /* SORT, GEORADIUS */
        {"auth", 1}, {"auth2", 2},                                 /* MIGRATE */
    };
    for (size_t i = 0; arg.size <= 9 && i < sizeof options / sizeof *options; i++) {
        if (arg_is(start, arg, options[i].word)) {
            return options[i].values;
        }
    }
    return 0;
}

/* The argument number behind the keyword, searched from argument `at`: the
 * first or the last one that is there. 0: there is none. */
static uint32_t keyword_find(const char *start, const struct resp_request *scan, uint32_t at,
                             const char *keyword, bool want_last)
{
    struct resp_cursor cursor = cursor_from(start, scan, at);
    struct resp_arg arg;
    uint32_t found = 0, skip = 0;
    for (; resp_cursor_next(&cursor, &arg); at++) {
        if (skip > 0) {
            skip--;
            continue;
        }
        if (arg_is(start, arg, keyword)) {
            found = at + 1;
            if (!want_last) {
                break;
            }
        }
        skip = option_values(start, arg);
    }
    return found;
}

/* The same for a command that has been learned, as Redis looks itself: any
 * argument may be the keyword, but neither the first nor the last one; from a
 * negative place backwards, which finds the last one before it. */
static uint32_t keyword_find_plainly(const char *start, const struct resp_request *scan,
                                     const struct key_spec *spec)
{
    bool forward = spec->index > 0;
    int64_t end = forward ? (int64_t)scan->argc - 1 : (int64_t)scan->argc + spec->index + 1;
    uint32_t at = forward ? (uint32_t)spec->index : 2, found = 0;
    struct resp_cursor cursor = cursor_from(start, scan, at);
    struct resp_arg arg;
    for (; at < end && resp_cursor_next(&cursor, &arg); at++) {
        if (arg_is(start, arg, spec->keyword)) {
            found = at + 1;
            if (forward) {
                break;
            }
        }
    }
    return found;
}

static enum keys_status range_spec(const struct command *command, const struct key_spec *spec, uint32_t first,
                                   uint32_t argc, struct key_ranges *ranges, struct key_list *list)
{
    int64_t last;
    if (first >= argc) {
        return keys_invalid(list, SYNTAX);
    }
    if (spec->last >= 0) {
        last = (int64_t)first + spec->last;
    } else if (spec->limit <= 1) {
        last = (int64_t)argc + spec->last;
    } else {
        uint32_t rest = argc - first;
        if (rest % (uint32_t)spec->limit != 0 && !command_is_learned(command)) {
            return keys_invalid(list, "ERR Unbalanced XREAD list of streams: for each stream key an ID "
                                      "or '$' must be specified.");
        }
        last = (int64_t)first + rest / (uint32_t)spec->limit + spec->last;
    }
    if (last >= argc || last < first) {
        return keys_invalid(list, SYNTAX);
    }
    ranges_add(ranges, first, (uint32_t)last, (uint32_t)spec->step);
    return KEYS_FOUND;
}

static enum keys_status keynum_spec(const struct command *command, const struct key_spec *spec,
                                    uint32_t first, const char *start, const struct resp_request *scan,
                                    struct key_ranges *ranges, struct key_list *list)
{
    const struct numkeys_errors *errors = numkeys_errors_of(command);
    struct resp_arg arg;
    int64_t number;
    size_t used;
    struct resp_cursor cursor = cursor_from(start, scan, first + (uint32_t)spec->keynum_index);
    if (!resp_cursor_next(&cursor, &arg)) {
        return keys_invalid(list, SYNTAX);
    }
    /* An argument ends in \r\n as a header line does, but may hold one itself. */
    if (number_read(start + arg.at, (size_t)arg.size + 2, &number, &used) != NUMBER_DONE ||
        used != (size_t)arg.size + 2) {
        return keys_invalid(list, errors->not_number);
    }
    if (number < 0 || (number == 0 && !(command->flags & COMMAND_NO_MANDATORY_KEYS))) {
        return keys_invalid(list, errors->too_small);
    }
    first += (uint32_t)spec->first;
    int64_t room = first < scan->argc ? (scan->argc - first - 1) / (uint32_t)spec->keystep + 1 : 0;
    if (number > room) {
        return keys_invalid(list, errors->too_many);
    }
    if (number > 0) {
        ranges_add(ranges, first, first + (uint32_t)(number - 1) * (uint32_t)spec->keystep,
                   (uint32_t)spec->keystep);
    }
    return KEYS_FOUND;
}

/* A search from the end (MIGRATE's) tells nothing reliable, see migrate_keys. */
static enum keys_status spec_ranges(const struct command *command, const struct key_spec *spec,
                                    const char *start, const struct resp_request *scan,
                                    struct key_ranges *ranges, struct key_list *list)
{
    uint32_t first = (uint32_t)spec->index;
    bool learned = command_is_learned(command);
    if (spec->begin == KEY_BEGIN_UNKNOWN || spec->find == KEY_FIND_UNKNOWN || (spec->index < 0 && !learned)) {
        return KEYS_FOUND;
    }
    if (spec->begin == KEY_BEGIN_KEYWORD && learned) {
        first = keyword_find_plainly(start, scan, spec);
        if (first == 0) {
            return KEYS_FOUND;
        }
    } else if (spec->begin == KEY_BEGIN_KEYWORD) {
        /* Redis begins at 4 for XREADGROUP, in the midst of options if GROUP is not the first. */
        bool streams = spec->limit > 1;
        first = keyword_find(start, scan, streams ? 1 : first, spec->keyword, !streams);
        if (first == 0 || first >= scan->argc) {
            return streams ? keys_invalid(list, SYNTAX) : KEYS_FOUND;
        }
    }
    return spec->find == KEY_FIND_RANGE ? range_spec(command, spec, first, scan->argc, ranges, list)
                                        : keynum_spec(command, spec, first, start, scan, ranges, list);
}

/* The simple range of most commands. */
static enum keys_status simple_range(const struct command *command, uint32_t argc, struct key_ranges *ranges,
                                     struct key_list *list)
{
    if (command->first_key <= 0) {
        return KEYS_FOUND;
    }
    int64_t first = command->first_key;
    int64_t last = command->last_key < 0 ? (int64_t)argc + command->last_key : command->last_key;
    uint32_t step = (uint32_t)command->key_step;
    if (last >= argc || last < first) {
        /* SUNSUBSCRIBE alone has none and is right. */
        return command_arity_fits(command, argc) ? KEYS_FOUND : keys_invalid(list, SYNTAX);
    }
    if (step > 1 && (last - first + 1) % step != 0) {
        return keys_invalid(list, command_is_learned(command)           ? SYNTAX
                                  : strcmp(command->name, "mset") == 0 ? UNEVEN("mset")
                                                                       : UNEVEN("msetnx"));
    }
    ranges_add(ranges, (uint32_t)first, (uint32_t)last, step);
    return KEYS_FOUND;
}

static void list_add(struct key_list *list, struct resp_arg key, uint32_t arg)
{
    if (list->count == list->room) {
        list->room = list->room > 0 ? list->room * 2 : 8;
        list->at = xrealloc(list->at, list->room * sizeof *list->at);
        list->arg = xrealloc(list->arg, list->room * sizeof *list->arg);
    }
    list->at[list->count] = key;
    list->arg[list->count++] = arg;
}

/* One walk over the arguments; `first` of each range moves along. */
static void ranges_collect(struct key_ranges *ranges, const char *start, const struct resp_request *scan,
                           struct key_list *list)
{
    uint32_t from = UINT32_MAX, to = 0;
    for (uint32_t i = 0; i < ranges->count; i++) {
        from = ranges->at[i].first < from ? ranges->at[i].first : from;
        to = ranges->at[i].last > to ? ranges->at[i].last : to;
    }
    if (ranges->count == 0) {
        return;
    }
    struct resp_cursor cursor = cursor_from(start, scan, from);
    struct resp_arg arg;
    for (uint32_t at = from; at <= to && resp_cursor_next(&cursor, &arg); at++) {
        bool hit = false;
        for (uint32_t i = 0; i < ranges->count; i++) {
            if (ranges->at[i].first == at && at <= ranges->at[i].last) {
                ranges->at[i].first += ranges->at[i].step;
                hit = true;
            }
        }
        if (hit) {
            list_add(list, arg, at);
        }
    }
}

/* SORT … STORE key: no specification can tell where. */
static void sort_keys(const char *start, const struct resp_request *scan, struct key_ranges *ranges)
{
    uint32_t store = keyword_find(start, scan, 2, "store", true);
    if (store > 0 && store < scan->argc) {
        ranges_add(ranges, store, store, 1);
    }
}

/* MIGRATE host port "" … KEYS a b: the key in its usual place is empty then. */
static enum keys_status migrate_keys(const char *start, const struct resp_request *scan,
                                     struct key_ranges *ranges, struct key_list *list)
{
    uint32_t first = keyword_find(start, scan, 6, "keys", false);
    if (first == 0) {
        return KEYS_FOUND;
    }
    if (scan->args[3].size > 0) {
        return keys_invalid(list, "ERR When using MIGRATE KEYS option, the key argument must be set to the "
                                  "empty string");
    }
    if (first < scan->argc) {
        ranges->count = 0;
        ranges_add(ranges, first, scan->argc - 1, 1);
    }
    return KEYS_FOUND;
}

/* All specifications of a command whose keys are not a simple range. */
static enum keys_status movable_ranges(const struct command *command, const char *start,
                                       const struct resp_request *scan, struct key_ranges *ranges,
                                       struct key_list *list)
{
    for (uint32_t i = 0; i < command->spec_count; i++) {
        enum keys_status status = spec_ranges(command, &command->specs[i], start, scan, ranges, list);
        if (status != KEYS_FOUND) {
            return status;
        }
    }
    if (strcmp(command->name, "sort") == 0) {
        sort_keys(start, scan, ranges);
    } else if (strcmp(command->name, "migrate") == 0) {
        return migrate_keys(start, scan, ranges, list);
    }
    return KEYS_FOUND;
}

enum keys_status keys_count(const struct command *command, uint32_t argc, struct key_list *list)
{
    struct key_ranges ranges;
    ranges.count = 0;
    list->count = 0;
    list->error = NULL;
    enum keys_status status = simple_range(command, argc, &ranges, list);
    if (ranges.count) {
        list->count = (ranges.at[0].last - ranges.at[0].first) / ranges.at[0].step + 1;
    }
    return status;
}

enum keys_status keys_find(const struct command *command, const char *start, const struct resp_request *scan,
                           struct key_list *list)
{
    struct key_ranges ranges;
    ranges.count = 0;
    list->count = 0;
    list->error = NULL;
    enum keys_status status = command->simple_keys
                                  ? simple_range(command, scan->argc, &ranges, list)
                                  : movable_ranges(command, start, scan, &ranges, list);
    if (status == KEYS_FOUND) {
        ranges_collect(&ranges, start, scan, list);
    }
    return status;
}

void key_list_deinit(struct key_list *list)
{
    free(list->at);
    free(list->arg);
    *list = (struct key_list){0};
}
