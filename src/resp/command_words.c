/* The words that COMMAND's reply has for flags, categories and policies. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "resp/command.h"

#include <string.h>
#include <strings.h>

struct flag_name {
    uint32_t flag;
    const char *name;
};

static const struct flag_name flag_names[] = {
    {COMMAND_WRITE, "write"},
    {COMMAND_READONLY, "readonly"},
    {COMMAND_DENYOOM, "denyoom"},
    {COMMAND_MODULE, "module"},
    {COMMAND_ADMIN, "admin"},
    {COMMAND_PUBSUB, "pubsub"},
    {COMMAND_NOSCRIPT, "noscript"},
    {COMMAND_BLOCKING, "blocking"},
    {COMMAND_LOADING, "loading"},
    {COMMAND_STALE, "stale"},
    {COMMAND_SKIP_MONITOR, "skip_monitor"},
    {COMMAND_SKIP_SLOWLOG, "skip_slowlog"},
    {COMMAND_ASKING, "asking"},
    {COMMAND_FAST, "fast"},
    {COMMAND_NO_AUTH, "no_auth"},
    {COMMAND_NO_MANDATORY_KEYS, "no_mandatory_keys"},
    {COMMAND_NO_ASYNC_LOADING, "no_async_loading"},
    {COMMAND_NO_MULTI, "no_multi"},
    {COMMAND_MOVABLEKEYS, "movablekeys"},
    {COMMAND_ALLOW_BUSY, "allow_busy"},
};

static const struct flag_name key_flag_names[] = {
    {KEY_OW, "OW"},
    {KEY_RO, "RO"},
    {KEY_RW, "RW"},
    {KEY_RM, "RM"},
    {KEY_ACCESS, "access"},
    {KEY_UPDATE, "update"},
    {KEY_INSERT, "insert"},
    {KEY_DELETE, "delete"},
    {KEY_NOT_KEY, "not_key"},
    {KEY_INCOMPLETE, "incomplete"},
    {KEY_VARIABLE_FLAGS, "variable_flags"},
};
enum {
    FLAG_NAMES = sizeof flag_names / sizeof *flag_names,
    KEY_FLAG_NAMES = sizeof key_flag_names / sizeof *key_flag_names
};

static bool is_word(const char *word, const char *text, size_t size)
{
    return strlen(word) == size && strncasecmp(word, text, size) == 0;
}

static const char *flag_at(const struct flag_name *names, size_t count, unsigned place, uint32_t *flag)
{
    if (place >= count) {
        return NULL;
    }
    *flag = names[place].flag;
    return names[place].name;
}

static uint32_t flag_of(const struct flag_name *names, size_t count, const char *name, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        if (is_word(names[i].name, name, size)) {
            return names[i].flag;
        }
    }
    return 0;
}

const char *command_flag_name(unsigned place, uint32_t *flag)
{
    return flag_at(flag_names, FLAG_NAMES, place, flag);
}

uint32_t command_flag(const char *name, size_t size)
{
    return flag_of(flag_names, FLAG_NAMES, name, size);
}

const char *command_key_flag_name(unsigned place, uint32_t *flag)
{
    return flag_at(key_flag_names, KEY_FLAG_NAMES, place, flag);
}

uint32_t command_key_flag(const char *name, size_t size)
{
    return flag_of(key_flag_names, KEY_FLAG_NAMES, name, size);
}

uint32_t command_category(const char *name, size_t size)
{
    const char *word;
    for (unsigned bit = 0; (word = command_category_name(bit)) != NULL; bit++) {
        if (is_word(word, name, size)) {
            return 1u << bit;
        }
    }
    return 0;
}

const char *command_request_name(enum request_policy policy)
{
    static const char *const names[] = {
        [REQUEST_ALL_NODES] = "all_nodes",
        [REQUEST_ALL_SHARDS] = "all_shards",
        [REQUEST_MULTI_SHARD] = "multi_shard",
        [REQUEST_SPECIAL] = "special",
    };
    return names[policy];
}

const char *command_response_name(enum response_policy policy)
{
    static const char *const names[] = {
        [RESPONSE_ONE_SUCCEEDED] = "one_succeeded",
        [RESPONSE_ALL_SUCCEEDED] = "all_succeeded",
        [RESPONSE_AGG_LOGICAL_AND] = "agg_logical_and",
        [RESPONSE_AGG_LOGICAL_OR] = "agg_logical_or",
        [RESPONSE_AGG_MIN] = "agg_min",
        [RESPONSE_AGG_MAX] = "agg_max",
        [RESPONSE_AGG_SUM] = "agg_sum",
        [RESPONSE_SPECIAL] = "special",
    };
    return names[policy];
}
