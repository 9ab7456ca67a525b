/* A client's login: the account it has, and what that lets through. Where a
 * cluster has neither users nor `deny` the account is NULL, and nothing of this
 * is asked. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/account.h"
#include "proxy/client.h"

#include <stdbool.h>
#include <stddef.h>

struct call;

/* What a new connection has; also RESET, and a password that was wrong. */
void login_reset(struct client *client);
/* AUTH. false: the password is wrong or there is no such user; the client has
 * lost the account it had. */
bool login_as(struct client *client, const char *name, size_t name_size, const char *password,
              size_t password_size);
/* After a reload, while the old generation is still there: the account of the
 * same name and password, or none. */
void login_renew(struct client *client);

/* Does it have to log in before anything else? */
static inline bool login_is_missing(const struct client *client)
{
    return client->account == &account_stranger;
}
/* Is no password asked of the default user? */
bool login_is_open(const struct client *client);
/* Does its cluster have a user of that name? */
bool login_knows(const struct client *client, const char *name, size_t size);
/* For CLIENT LIST and scripts. Redis, too, calls one who has not logged in "default". */
const char *login_name(const struct client *client);

/* May the client run it? The command is known and its arity fits. false: it
 * has been refused, and so will be the EXEC of an open transaction. */
bool login_admits(const struct call *call);

/* The result of a scan for a client that has not logged in: as in Redis, what
 * it sends is bounded far below the limits of the others. */
enum resp_status login_limits(struct resp_request *scan, const char *start, enum resp_status status);
