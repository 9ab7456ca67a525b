/* An account: a name to log in with and what it may do. The accounts of a
 * cluster are a part of its generation and never change. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "resp/command_set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACCOUNT_DIGEST = 32 }; /* bytes of a SHA-256 */

struct account {
    char *name;                       /* owned */
    uint8_t digest[ACCOUNT_DIGEST];   /* of its password, which is not kept */
    bool open;                        /* whoever connects has it without a password */
    bool all_keys;                    /* `keys` do not matter */
    struct command_set commands;      /* it may run */
    const struct command_set *denied; /* nobody may run */
    char **keys;                      /* patterns of the keys it may use, owned */
    uint32_t key_count;
};

struct accounts {
    struct account **list; /* owned */
    uint32_t count;
    struct command_set denied; /* to everybody */
};

/* Whoever has not logged in where that is necessary. It may do nothing. */
extern const struct account account_stranger;

void account_hash(const char *password, size_t size, uint8_t digest[ACCOUNT_DIGEST]);

struct accounts *accounts_create(void);
void accounts_destroy(struct accounts *accounts); /* NULL is fine */
/* The new account may run nothing yet, and use no key. digest NULL: it is open. */
struct account *accounts_add(struct accounts *accounts, const char *name, const uint8_t *digest);
void account_add_key(struct account *account, const char *pattern);

/* By name, or NULL. */
const struct account *accounts_find(const struct accounts *accounts, const char *name, size_t size);
/* What a new connection has: the open account, else the stranger; NULL (no
 * accounts): nobody asks, everything is allowed. */
const struct account *accounts_first(const struct accounts *accounts);
/* The account, if the password is right, else NULL. Takes as long for a name
 * that does not exist, and says nothing of where a password begins to differ. */
const struct account *accounts_open(const struct accounts *accounts, const char *name, size_t name_size,
                                    const char *password, size_t password_size);

/* May it use the key? */
bool account_has_key(const struct account *account, const char *key, size_t size);
/* Does the same password open both? */
bool account_same_password(const struct account *account, const struct account *other);
/* May both do the same? */
bool account_same_rules(const struct account *account, const struct account *other);
