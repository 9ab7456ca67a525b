/* Views; see view.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/view.h"

#include "base/hash.h"
#include "proxy/client.h"
#include "proxy/listener.h"
#include "proxy/login.h"
#include "proxy/profile.h"
#include "resp/keys.h"

#include <string.h>

#define SAME(type, field, own)                                                                         \
    _Static_assert(offsetof(struct type, field) == offsetof(struct nydus_##type, own) &&               \
                       sizeof(((struct type *)0)->field) == sizeof(((struct nydus_##type *)0)->own),   \
                   "struct " #type " and struct nydus_" #type " differ in " #field)
SAME(command, name, name);
SAME(command, flags, flags);
SAME(command, id, id);
SAME(query, command, command);
SAME(query, client, client);
SAME(query, bytes, bytes);
SAME(query, size, size);
SAME(query, argc, argc);
SAME(query, nkeys, nkeys);
SAME(query, key.at, key_at);
SAME(query, key.size, key_size);
SAME(query, db, db);
SAME(query, attempt, attempt);
SAME(query, pinned, pinned);

/* What Lua hands back is the query that it was given. */
static const struct query *query_of(const struct nydus_query *seen)
{
    return (const struct query *)seen;
}

static bool view_arg(const struct nydus_query *seen, uint32_t i, struct nydus_text *text)
{
    const struct query *query = query_of(seen);
    struct resp_arg arg;
    if (i >= query->argc || resp_args(query->bytes, query->size, i, 1, &arg) != 1)
        return false;
    *text = (struct nydus_text){query->bytes + arg.at, arg.size};
    return true;
}

/* The second key and those after it: seldom asked for, so looked for each time. */
static bool view_later_key(const struct query *query, uint32_t i, struct nydus_text *text)
{
    static struct key_list keys; /* reused: one thread */
    struct resp_request scan = {0};
    if (resp_scan_request(&scan, query->bytes, query->size, UINT32_MAX) != RESP_DONE ||
        keys_find(query->command, query->bytes, &scan, &keys) != KEYS_FOUND || i >= keys.count)
        return false;
    *text = (struct nydus_text){query->bytes + keys.at[i].at, keys.at[i].size};
    return true;
}

static bool view_key(const struct nydus_query *seen, uint32_t i, struct nydus_text *text)
{
    const struct query *query = query_of(seen);
    if (i >= query->nkeys)
        return false;
    if (i > 0)
        return view_later_key(query, i, text);
    *text = (struct nydus_text){query_key(query), query->key.size};
    return true;
}

static void view_tag(const struct nydus_query *seen, struct nydus_text *text)
{
    const struct query *query = query_of(seen);
    const char *key = query_key(query), *end = key + query->key.size;
    *text = (struct nydus_text){key, query->key.size};
    const char *open = query->key.size ? memchr(key, '{', query->key.size) : NULL;
    const char *close = open ? memchr(open + 1, '}', (size_t)(end - open - 1)) : NULL;
    if (close && close > open + 1)
        *text = (struct nydus_text){open + 1, (size_t)(close - open - 1)};
}

static uint32_t view_hash(const struct nydus_query *seen, int32_t kind)
{
    const struct query *query = query_of(seen);
    return hash_key((enum hash_kind)kind, HASH_PLAIN, query_key(query), query->key.size);
}

static double view_number(const struct nydus_query *seen, uint32_t behind)
{
    const struct query *query = query_of(seen);
    if (behind >= query->key.size)
        return -1;
    const char *at = query_key(query) + behind, *end = query_key(query) + query->key.size;
    while (at < end && (*at < '0' || *at > '9'))
        at++;
    if (at == end)
        return -1;
    double number = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (*at - '0');
    return number;
}

static const char *view_user(const struct nydus_query *seen)
{
    const struct query *query = query_of(seen);
    return query->client ? login_name(query->client) : NULL;
}

static double view_client_id(const struct nydus_query *seen)
{
    const struct query *query = query_of(seen);
    return query->client ? (double)query->client->id : 0;
}

static bool view_client(const struct nydus_query *seen, struct nydus_facts *facts)
{
    static char address[128]; /* one thread, and copied by Lua at once */
    const struct client *client = query_of(seen)->client;
    if (!client)
        return false;
    facts->address = client_address(client, address, sizeof address);
    facts->name = profile_word(client, PROFILE_NAME);
    facts->user = login_name(client);
    facts->listen = client->listener ? client->listener->text : "";
    return true;
}

static double view_slotted(const struct nydus_query *seen)
{
    struct client *client = query_of(seen)->client;
    if (!client)
        return 0;
    client->slotted = true;
    return (double)client->id;
}

void view_setup(struct nydus_batch *batch)
{
    batch->arg = view_arg;
    batch->key = view_key;
    batch->tag = view_tag;
    batch->hash = view_hash;
    batch->number = view_number;
    batch->user = view_user;
    batch->client = view_client;
    batch->client_id = view_client_id;
    batch->slotted = view_slotted;
}
