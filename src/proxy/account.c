/* Accounts; see account.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/account.h"

#include "base/memory.h"
#include "proxy/glob.h"

#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(ACCOUNT_DIGEST == SHA256_DIGEST_SIZE, "a digest is a SHA-256");

static char nobody[] = "default"; /* as Redis calls who has not logged in */
const struct account account_stranger = {.name = nobody};

void account_hash(const char *password, size_t size, uint8_t digest[ACCOUNT_DIGEST])
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, size, (const uint8_t *)password);
    sha256_digest(&context, ACCOUNT_DIGEST, digest);
    explicit_bzero(&context, sizeof context);
}

struct accounts *accounts_create(void)
{
    struct accounts *accounts = xcalloc(1, sizeof *accounts);
    accounts->denied.wide = true;
    return accounts;
}

static void account_destroy(struct account *account)
{
    for (uint32_t i = 0; i < account->key_count; i++)
        free(account->keys[i]);
    free(account->keys);
    command_set_deinit(&account->commands);
    explicit_bzero(account->digest, sizeof account->digest);
    free(account->name);
    free(account);
}

void accounts_destroy(struct accounts *accounts)
{
    if (!accounts)
        return;
    for (uint32_t i = 0; i < accounts->count; i++)
        account_destroy(accounts->list[i]);
    free(accounts->list);
    command_set_deinit(&accounts->denied);
    free(accounts);
}

struct account *accounts_add(struct accounts *accounts, const char *name, const uint8_t *digest)
{
    struct account *account = xcalloc(1, sizeof *account);
    account->name = xstrdup(name);
    account->open = !digest;
    account->denied = &accounts->denied;
    if (digest)
        memcpy(account->digest, digest, ACCOUNT_DIGEST);
    accounts->list = xrealloc(accounts->list, (accounts->count + 1) * sizeof *accounts->list);
    accounts->list[accounts->count++] = account;
    return account;
}

void account_add_key(struct account *account, const char *pattern)
{
    account->keys = xrealloc(account->keys, (account->key_count + 1) * sizeof *account->keys);
    account->keys[account->key_count++] = xstrdup(pattern);
}

const struct account *accounts_find(const struct accounts *accounts, const char *name, size_t size)
{
    for (uint32_t i = 0; accounts && i < accounts->count; i++) {
        const struct account *account = accounts->list[i];
        if (strlen(account->name) == size && memcmp(account->name, name, size) == 0)
            return account;
    }
    return NULL;
}

const struct account *accounts_first(const struct accounts *accounts)
{
    if (!accounts)
        return NULL;
    for (uint32_t i = 0; i < accounts->count; i++)
        if (accounts->list[i]->open)
            return accounts->list[i];
    return &account_stranger;
}

const struct account *accounts_open(const struct accounts *accounts, const char *name, size_t name_size,
                                    const char *password, size_t password_size)
{
    uint8_t digest[ACCOUNT_DIGEST];
    const struct account *found = accounts_find(accounts, name, name_size);
    const struct account *compared = found ? found : &account_stranger;
    account_hash(password, password_size, digest); /* in any case, and compared in any case */
    bool right = memeql_sec(digest, compared->digest, ACCOUNT_DIGEST);
    explicit_bzero(digest, sizeof digest);
    return found && (right || found->open) ? found : NULL;
}

bool account_has_key(const struct account *account, const char *key, size_t size)
{
    bool fits = account->all_keys;
    for (uint32_t i = 0; !fits && i < account->key_count; i++)
        fits = glob_fits_key(account->keys[i], strlen(account->keys[i]), key, size);
    return fits;
}

bool account_same_password(const struct account *account, const struct account *other)
{
    return account->open == other->open && memeql_sec(account->digest, other->digest, ACCOUNT_DIGEST);
}

bool account_same_rules(const struct account *account, const struct account *other)
{
    bool same = account->all_keys == other->all_keys && account->key_count == other->key_count &&
                command_set_equals(&account->commands, &other->commands) &&
                command_set_equals(account->denied, other->denied);
    for (uint32_t i = 0; same && i < account->key_count; i++)
        same = strcmp(account->keys[i], other->keys[i]) == 0;
    return same;
}
