/* The command table: what Redis's own COMMAND says of every command, so that
 * a router knows its keys, its class and how replies of several hosts join.
 * command.def is generated; see its head. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum command_flag {
    COMMAND_WRITE = 1 << 0, COMMAND_READONLY = 1 << 1, COMMAND_DENYOOM = 1 << 2, COMMAND_ADMIN = 1 << 3,
    COMMAND_PUBSUB = 1 << 4, COMMAND_NOSCRIPT = 1 << 5, COMMAND_BLOCKING = 1 << 6, COMMAND_LOADING = 1 << 7,
    COMMAND_STALE = 1 << 8, COMMAND_FAST = 1 << 9, COMMAND_NO_AUTH = 1 << 10, COMMAND_MAY_REPLICATE = 1 << 11,
    COMMAND_MOVABLEKEYS = 1 << 12, COMMAND_NO_MULTI = 1 << 13, COMMAND_ALLOW_BUSY = 1 << 14,
    COMMAND_SUBCOMMAND = 1 << 15, /* this row is a subcommand: "config|get" */
    COMMAND_CONTAINER = 1 << 16,  /* has subcommands */
    COMMAND_ASKING = 1 << 17, COMMAND_NO_ASYNC_LOADING = 1 << 18, COMMAND_NO_MANDATORY_KEYS = 1 << 19,
    COMMAND_SKIP_MONITOR = 1 << 20, COMMAND_SKIP_SLOWLOG = 1 << 21,
    COMMAND_MODULE = 1 << 22,     /* a module's; never in the table */
};

enum request_policy {
    REQUEST_DEFAULT, REQUEST_ALL_NODES, REQUEST_ALL_SHARDS, REQUEST_MULTI_SHARD, REQUEST_SPECIAL
};
enum response_policy {
    RESPONSE_DEFAULT, RESPONSE_ONE_SUCCEEDED, RESPONSE_ALL_SUCCEEDED, RESPONSE_AGG_LOGICAL_AND,
    RESPONSE_AGG_LOGICAL_OR, RESPONSE_AGG_MIN, RESPONSE_AGG_MAX, RESPONSE_AGG_SUM, RESPONSE_SPECIAL
};

/* One key specification of Redis 7: where to begin, and how keys go on. */
enum key_begin { KEY_BEGIN_INDEX, KEY_BEGIN_KEYWORD, KEY_BEGIN_UNKNOWN };
enum key_find { KEY_FIND_RANGE, KEY_FIND_KEYNUM, KEY_FIND_UNKNOWN };
enum key_flag { /* what the command does with the keys */
    KEY_OW = 1 << 0, KEY_RO = 1 << 1, KEY_RW = 1 << 2, KEY_RM = 1 << 3, KEY_ACCESS = 1 << 4,
    KEY_UPDATE = 1 << 5, KEY_INSERT = 1 << 6, KEY_DELETE = 1 << 7,
    KEY_NOT_KEY = 1 << 8,        /* they only lie where keys would: SPUBLISH's channel */
    KEY_INCOMPLETE = 1 << 9,     /* there may be more of them */
    KEY_VARIABLE_FLAGS = 1 << 10 /* it depends on the other arguments: SET … GET */
};
struct key_spec {
    uint32_t flags; /* enum key_flag */
    enum key_begin begin;
    int32_t index;       /* INDEX: the argument; KEYWORD: search from there (negative: from the end) */
    const char *keyword; /* KEY_BEGIN_KEYWORD */
    enum key_find find;
    int32_t last, step, limit;            /* KEY_FIND_RANGE */
    int32_t keynum_index, first, keystep; /* KEY_FIND_KEYNUM */
    const char *notes;                    /* for people; "": none */
};

struct command {
    const char *name;     /* lower case; "config|get" for a subcommand */
    int32_t arity;        /* as in Redis, negative: at least */
    uint32_t flags;       /* enum command_flag */
    uint32_t categories;  /* ACL categories, one bit each; command_category_name */
    enum request_policy request_policy;
    enum response_policy response_policy;
    const char *tips;     /* all of them, policies included, with a space between; "": none */
    int32_t first_key, last_key, key_step; /* Redis's simple range; 0: none or movable */
    const struct key_spec *specs;
    uint8_t spec_count;
    bool simple_keys;     /* first_key/last_key/key_step say all there is */
    uint16_t id;          /* row number, 0 .. command_count()-1; beyond: learned, see command_learn */
};

/* Ids are below this, learned ones included. */
enum { COMMAND_IDS = 1024 };

/* The row of a command by name in any case, or NULL. O(1), no allocation. */
const struct command *command_find(const char *name, size_t size);
/* The same for a name inside of a request, where 8 bytes in front of it can be read ("*1\r\n$4\r\n"). */
const struct command *command_find_inside(const char *name, size_t size);
/* The row of the subcommand when `command` is a container and has it, else NULL. */
const struct command *command_find_sub(const struct command *command, const char *sub, size_t size);
size_t command_count(void);
const struct command *command_row(size_t id); /* of the table, or learned; NULL: neither */
/* Does it say where keys are? Commands of hosts before Redis 7 have no specifications. */
static inline bool command_has_keys(const struct command *command)
{
    return command->spec_count > 0 || command->first_key > 0;
}
bool command_arity_fits(const struct command *command, uint32_t argc);
const char *command_category_name(unsigned bit); /* "keyspace", "read" …; NULL past the last */
/* The words in COMMAND's reply, and back. In the order in which Redis writes flags; NULL past the last. */
const char *command_flag_name(unsigned place, uint32_t *flag);
uint32_t command_flag(const char *name, size_t size); /* 0: there is none of that name */
const char *command_key_flag_name(unsigned place, uint32_t *flag);
uint32_t command_key_flag(const char *name, size_t size);
const char *command_request_name(enum request_policy policy);   /* "all_shards"; NULL: the default */
const char *command_response_name(enum response_policy policy); /* "agg_sum"; NULL: the default */
/* The category of that name ("read"), as a bit; 0: there is none. */
uint32_t command_category(const char *name, size_t size);

/* Learned commands: what a host knows and the table does not. Their rows are
 * for the whole process, like those of the table, and are never freed, so that
 * requests, scripts and statistics may keep them: a row that is learned again is
 * the same row, and there are only so many. The number of a learned row differs
 * from worker to worker.
 *
 * Copies `row` with all that it points to; its id does not matter. NULL: no id is left. */
const struct command *command_learn(const struct command *row);
/* Forgets them all, when nobody has one any more: for tests. */
void command_unlearn(void);
bool command_is_learned(const struct command *command);
