/* The table of policies, its sentences and its conditions. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/policy.h"

#include <string.h>

#include "proxy/blocking.h"
#include "proxy/call.h"
#include "proxy/client_command.h"
#include "proxy/cluster.h"
#include "proxy/cluster_command.h"
#include "proxy/command_command.h"
#include "proxy/command_keys.h"
#include "proxy/config_command.h"
#include "proxy/connection.h"
#include "proxy/help.h"
#include "proxy/info.h"
#include "proxy/keyless.h"
#include "proxy/kill.h"
#include "proxy/latency_command.h"
#include "proxy/nydus_command.h"
#include "proxy/pause.h"
#include "proxy/pubsub.h"
#include "proxy/pubsub_command.h"
#include "proxy/scripts.h"
#include "proxy/select.h"
#include "proxy/slowlog_command.h"
#include "proxy/sort.h"
#include "proxy/transaction.h"
#include "proxy/turnout.h"
#include "proxy/watch.h"
#include "resp/keys.h"

uint8_t policy_index[COMMAND_IDS];
uint8_t policy_keys[COMMAND_IDS];

/* Does one of the hosts begin to count databases elsewhere than at 0? MOVE would name another then. */
static bool databases_shifted(const struct call *call)
{
    const struct cluster *cluster = call->request->cluster;
    for (uint32_t i = 0; i < cluster->count; i++) {
        if (cluster->hosts[i]->options.db != 0) {
            return true;
        }
    }
    return false;
}

/* COPY source destination [DB number] [REPLACE] */
static bool copy_names_shifted(const struct call *call)
{
    struct resp_cursor cursor = call_args(call, 3);
    struct resp_arg arg;
    while (resp_cursor_next(&cursor, &arg)) {
        if (call_word_is(call->request->query.bytes + arg.at, arg.size, "db")) {
            return databases_shifted(call);
        }
    }
    return false;
}

/* Is BLOCK among the options of XREAD or XREADGROUP? The options end where the
 * keys begin; a group or consumer may be called "block". */
static bool stream_blocks(const struct call *call)
{
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 1);
    struct resp_arg arg;
    while (resp_cursor_next(&cursor, &arg)) {
        const char *word = bytes + arg.at;
        if (call_word_is(word, arg.size, "block")) {
            return true;
        }
        bool group = call_word_is(word, arg.size, "group"), count = call_word_is(word, arg.size, "count");
        int values = group ? 2 : count ? 1 : 0;
        if (values == 0 && !call_word_is(word, arg.size, "noack")) {
            return false; /* STREAMS, or what the host will refuse */
        }
        while (values-- > 0) {
            resp_cursor_next(&cursor, &arg);
        }
    }
    return false;
}

/* ---- what a host says of a command that the table lacks ---- */

/* Is it in that category of the command table? */
static bool in_category(const struct command *command, const char *name)
{
    return (command->categories & command_category(name, strlen(name))) != 0;
}

/* Does Nydus answer subcommands of its container, so that the others are about its state, too? */
static bool is_answered_beside(const struct command *command)
{
    size_t size = strcspn(command->name, "|") + 1;
    for (uint32_t i = 1; (command->flags & COMMAND_SUBCOMMAND) && i < policy_count(); i++) {
        const struct policy *policy = &policies[i];
        if (policy->answer && policy->answer != help_answer &&
            strncmp(policy->name, command->name, size) == 0) {
            return true;
        }
    }
    return false;
}

/* It would change what a connection is, or is sent, and others share it. */
static bool changes_connection(const struct command *command)
{
    return (command->flags & (COMMAND_PUBSUB | COMMAND_NO_AUTH | COMMAND_NO_MULTI | COMMAND_ASKING)) ||
           in_category(command, "pubsub") || in_category(command, "connection") ||
           in_category(command, "transaction") || is_answered_beside(command);
}

static bool is_administration(const struct command *command)
{
    return (command->flags & COMMAND_ADMIN) || in_category(command, "admin");
}

static bool may_block(const struct command *command)
{
    return (command->flags & COMMAND_BLOCKING) || in_category(command, "blocking");
}

/* It has keys, and nobody says where. */
static bool hides_keys(const struct command *command)
{
    bool any = command->first_key > 0 && command->simple_keys;
    for (uint8_t i = 0; i < command->spec_count; i++) {
        any |= command->specs[i].begin != KEY_BEGIN_UNKNOWN && command->specs[i].find != KEY_FIND_UNKNOWN;
    }
    return !any && (command->spec_count > 0 || (command->flags & COMMAND_MOVABLEKEYS));
}

static bool several_hosts(const struct call *call)
{
    return call->request->cluster->count > 1;
}

#define OWN_CONFIG "is not allowed through Nydus: its configuration is config.lua, read again on SIGHUP"
#define HOST_ITSELF "is not allowed through Nydus: it is for the operator of a host, at that host"
#define OTHER_CLIENTS "is not allowed through Nydus: it would exchange the databases of all clients"
#define SCATTERED \
    "reads keys by a pattern that may lie on other hosts: give its key and the pattern one hash tag"
#define MOVED_DATABASE "cannot name a database here: its hosts do not begin at database 0"
#define LEARNED_CONNECTION \
    "ERR this command is not allowed through Nydus: by its host's word it is about the connection, which " \
    "others share"
#define LEARNED_ADMINISTRATION \
    "ERR this command is not allowed through Nydus: by its host's word it is for the operator of a host"
#define LEARNED_KEYS \
    "ERR this command cannot be routed over several hosts: its host does not say where its keys are"

#define ANSWERED(text, function) {.name = (text), .answer = (function)},
#define ANSWERED_OR_SENT(text, function) {.name = (text), .answer = (function), .inside = INSIDE_SENT},
#define LOGS_IN(text, function) {.name = (text), .answer = (function), .sends = true},
#define ASKS(text, function) \
    {.name = (text), .answer = (function), .sends = true, .inside = INSIDE_SENT},
#define AT_ONCE(text, function) \
    {.name = (text), .answer = (function), .sends = true, .inside = INSIDE_AT_ONCE},
#define SWITCHES(text, condition, function, ...) \
    {.name = (text), .answer = (function), .waits = (condition), __VA_ARGS__},
#define PRIVATE(text, condition, function) \
    {.name = (text), .answer = (function), .when = (condition), .sends = true, .inside = INSIDE_SENT},
#define LISTENER(text, function, ...) \
    {.name = (text), .answer = (function), .listener = true, ##__VA_ARGS__},
#define REFUSED(text, sentence) {.name = (text), .refusal = "ERR '" text "' " sentence},
#define REFUSED_WHEN(text, condition, sentence) \
    {.name = (text), .refusal = "ERR '" text "' " sentence, .when = (condition)},
#define REFUSED_AS(text, line) {.name = (text), .refusal = (line)},
#define KEYLESS(text, function) {.name = (text), .keyless = (function)},
#define ROUTED(text, ...) {.name = (text), __VA_ARGS__},
#define LEARNED(text, condition, ...) {.name = (text), .learned = (condition), __VA_ARGS__},
const struct policy policies[] = {
    {.name = ""}, /* routed by the command table */
#include "proxy/policy.def"
};

enum { POLICIES = sizeof policies / sizeof *policies };
_Static_assert(POLICIES <= UINT8_MAX, "policy_index holds bytes");

uint32_t policy_count(void)
{
    return POLICIES;
}

static uint8_t policy_find(const char *name, size_t size)
{
    for (uint8_t i = 1; i < POLICIES; i++) {
        if (strlen(policies[i].name) == size && memcmp(policies[i].name, name, size) == 0) {
            return i;
        }
    }
    return 0;
}

static void policy_set(const struct command *command, uint8_t found)
{
    uint32_t key = policies[found].key;
    if (!key)
        key = keys_fixed_single(command);
    policy_index[command->id] = found;
    policy_keys[command->id] = key <= UINT8_MAX ? (uint8_t)key : 0;
}

/* Before main. Asks for rows by number, for their hash may not be set up yet. */
__attribute__((constructor)) static void policy_setup(void)
{
    for (uint16_t id = 0; id < command_count(); id++) {
        const char *name = command_row(id)->name;
        const char *bar = strchr(name, '|');
        uint8_t found = policy_find(name, strlen(name));
        if (found == 0 && bar) {
            uint8_t container = policy_find(name, (size_t)(bar - name));
            found = policies[container].refusal ? container : 0;
        }
        policy_set(command_row(id), found);
    }
}

void policy_learn(const struct command *command)
{
    uint8_t found = policy_find(command->name, strcspn(command->name, "|"));
    if (!(command->flags & COMMAND_SUBCOMMAND) || !policies[found].refusal) {
        found = 0;
    }
    for (uint8_t i = 1; i < POLICIES && found == 0; i++) {
        if (policies[i].learned && policies[i].learned(command)) {
            found = i;
        }
    }
    policy_set(command, found);
}
