/* Logins; see login.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/login.h"

#include "base/log.h"
#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/session.h"
#include "proxy/sort.h"
#include "proxy/transaction.h"
#include "resp/keys.h"

#include <string.h>

/* Redis's limits for those who have not logged in. */
enum { STRANGER_ARGC = 10, STRANGER_BULK = 16 * 1024 };

static const struct accounts *accounts_of(const struct client *client)
{
    const struct cluster *cluster = client_cluster(client);
    return cluster ? cluster->accounts : NULL;
}

void login_reset(struct client *client)
{
    client->account = accounts_first(accounts_of(client));
}

bool login_is_open(const struct client *client)
{
    const struct account *first = accounts_first(accounts_of(client));
    return !first || first->open;
}

static bool is_default(const char *name, size_t size)
{
    return size == strlen(account_stranger.name) && memcmp(name, account_stranger.name, size) == 0;
}

bool login_knows(const struct client *client, const char *name, size_t size)
{
    return is_default(name, size) || accounts_find(accounts_of(client), name, size);
}

const char *login_name(const struct client *client)
{
    return client->account ? client->account->name : account_stranger.name;
}

/* Nothing of what it sent is logged: passwords are typed where names belong. */
static void log_wrong_password(const struct client *client)
{
    static struct log_limit limit;
    char text[128];
    if (log_limit_pass(&limit, 1))
        log_warn("client %s gave a wrong user or password", client_address(client, text, sizeof text));
}

bool login_as(struct client *client, const char *name, size_t name_size, const char *password,
              size_t password_size)
{
    const struct accounts *accounts = accounts_of(client);
    if (!accounts) /* everybody is the default user, whose password is any */
        return is_default(name, name_size);
    const struct account *account = accounts_open(accounts, name, name_size, password, password_size);
    if (!account) {
        login_reset(client);
        log_wrong_password(client);
        return false;
    }
    client->account = account;
    return true;
}

/* ---- reload ---- */

static const struct account *successor(const struct client *client, const struct accounts *accounts)
{
    const struct account *old = client->account, *first = accounts_first(accounts);
    if (!first || !old || old == &account_stranger)
        return first;
    const struct account *same = accounts_find(accounts, old->name, strlen(old->name));
    if (same && (same == first || account_same_password(same, old)))
        return same;
    return &account_stranger;
}

void login_renew(struct client *client)
{
    const struct account *old = client->account, *now = successor(client, accounts_of(client));
    client->account = now;
    if (!now || old == &account_stranger)
        return;
    if (!old || !account_same_rules(old, now))
        transaction_spoil(client); /* it was checked by other rules */
    if (now == &account_stranger && (client->subscriber || session_blocks(client)))
        client_close(client, "its user has gone, and it would hear of that with its next command only");
}

/* ---- what passes ---- */

static bool refuse(const struct call *call, const char *before, const char *name, const char *behind)
{
    bool aborts = transaction_aborts(call->client, call->request->query.command);
    transaction_spoil(call->client);
    call_fail(call, "%s%s%s%s", aborts ? "EXECABORT Transaction discarded because of: " : "", before, name,
              behind);
    return false;
}

/* A command of a module may not tell where all of its keys are; nor does a host before Redis 7 of
 * those that move. Of the table's own this is so for SORT only, whose patterns are looked at below. */
static bool may_hide_keys(const struct command *command)
{
    bool hides = (command->flags & COMMAND_MOVABLEKEYS) && command->spec_count == 0;
    for (uint32_t i = 0; i < command->spec_count; i++) {
        const struct key_spec *spec = &command->specs[i];
        hides |= spec->begin == KEY_BEGIN_UNKNOWN || spec->find == KEY_FIND_UNKNOWN ||
                 (spec->flags & KEY_INCOMPLETE);
    }
    return hides && command_is_learned(command);
}

static bool admits_keys(const struct call *call, const struct account *account)
{
    static struct key_list keys; /* reused: one thread */
    static const char words[] =
        "NOPERM this user has no permissions to access one of the keys used as arguments";
    const struct query *query = &call->request->query;
    if (query->command->flags & COMMAND_PUBSUB)
        return true; /* channels are no keys */
    if (may_hide_keys(query->command))
        return refuse(call, words, "", "");
    if (keys_find(query->command, query->bytes, call->scan, &keys) != KEYS_FOUND)
        return refuse(call, keys.error, "", ""); /* a host might still find a key in it */
    for (uint32_t i = 0; i < keys.count; i++) {
        if (!account_has_key(account, query->bytes + keys.at[i].at, keys.at[i].size))
            return refuse(call, words, "", "");
    }
    const char *option = sort_is(query->command) ? sort_reads_pattern(call) : NULL;
    return !option ||
           refuse(call, "ERR ", option, " option of SORT denied due to insufficient ACL permissions.");
}

static bool is_refused_in_transaction(const struct call *call)
{
    const struct session *session = call->client->session;
    return session && session->open && (call->request->query.command->flags & COMMAND_NO_MULTI);
}

bool login_admits(const struct call *call)
{
    const struct account *account = call->client->account;
    const struct command *command = call->request->query.command;
    if ((command->flags & COMMAND_NO_AUTH) && !command_is_learned(command))
        return true;
    if (account == &account_stranger)
        return refuse(call, "NOAUTH Authentication required.", "", "");
    if (is_refused_in_transaction(call))
        return true; /* the transaction says so, before it comes to permissions */
    if (command_set_has(account->denied, command))
        return refuse(call, "NOPERM the '", command->name,
                      "' command is denied to everybody by `deny` in the configuration of Nydus");
    if (!command_set_has(&account->commands, command))
        return refuse(call, "NOPERM this user has no permissions to run the '", command->name, "' command");
    return account->all_keys || admits_keys(call, account);
}

enum resp_status login_limits(struct resp_request *scan, const char *start, enum resp_status status)
{
    struct resp_cursor cursor;
    struct resp_arg arg;
    bool too_long = status == RESP_MORE && scan->bulk > STRANGER_BULK;
    if (status != RESP_DONE && status != RESP_MORE)
        return status;
    for (uint32_t i = 0; i < scan->seen && i < RESP_ARGS; i++)
        too_long |= scan->args[i].size > STRANGER_BULK;
    if (status == RESP_DONE && scan->seen > RESP_ARGS && scan->argc <= STRANGER_ARGC) {
        resp_cursor_init(&cursor, start);
        while (resp_cursor_next(&cursor, &arg))
            too_long |= arg.size > STRANGER_BULK;
    }
    if (scan->argc > STRANGER_ARGC)
        scan->error = "Protocol error: unauthenticated multibulk length";
    else if (too_long)
        scan->error = "Protocol error: unauthenticated bulk length";
    return scan->error ? RESP_ERROR : status;
}
