/* Views; see view.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/view.h"

#include "base/hash.h"
#include "proxy/client.h"
#include "proxy/listener.h"
#include "proxy/login.h"
#include "resp/keys.h"

#include <string.h>

static bool view_arg(const struct nydus_view *view, uint32_t i, struct nydus_text *text)
{
    const struct query *query = view->query;
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

static bool view_key(const struct nydus_view *view, uint32_t i, struct nydus_text *text)
{
    if (i >= view->nkeys)
        return false;
    if (i > 0)
        return view_later_key(view->query, i, text);
    *text = (struct nydus_text){view->key, view->key_size};
    return true;
}

static void view_tag(const struct nydus_view *view, struct nydus_text *text)
{
    *text = (struct nydus_text){view->key, view->key_size};
    const char *end = view->key + view->key_size;
    const char *open = view->key_size ? memchr(view->key, '{', view->key_size) : NULL;
    const char *close = open ? memchr(open + 1, '}', (size_t)(end - open - 1)) : NULL;
    if (close && close > open + 1)
        *text = (struct nydus_text){open + 1, (size_t)(close - open - 1)};
}

static uint32_t view_hash(const struct nydus_view *view, int32_t kind)
{
    return hash_key((enum hash_kind)kind, HASH_PLAIN, view->key, view->key_size);
}

static double view_number(const struct nydus_view *view, uint32_t behind)
{
    if (behind >= view->key_size)
        return -1;
    const char *at = view->key + behind, *end = view->key + view->key_size;
    while (at < end && (*at < '0' || *at > '9'))
        at++;
    if (at == end)
        return -1;
    double number = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (*at - '0');
    return number;
}

static const char *view_user(const struct nydus_view *view)
{
    const struct query *query = view->query;
    return query->client ? login_name(query->client) : NULL;
}

static bool view_has_client(const struct nydus_view *view)
{
    const struct query *query = view->query;
    return query->client != NULL;
}

static bool view_client(const struct nydus_view *view, struct nydus_facts *facts)
{
    static char address[128]; /* one thread, and copied by Lua at once */
    const struct query *query = view->query;
    const struct client *client = query->client;
    if (!client)
        return false;
    facts->id = (double)client->id;
    facts->address = client_address(client, address, sizeof address);
    facts->name = client->name;
    facts->user = login_name(client);
    facts->listen = client->listener ? client->listener->text : "";
    return true;
}

static double view_slotted(const struct nydus_view *view)
{
    const struct query *query = view->query;
    if (!query->client)
        return 0;
    query->client->slotted = true;
    return (double)query->client->id;
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
    batch->has_client = view_has_client;
    batch->slotted = view_slotted;
}

void view_fill(struct nydus_view *view, const struct query *query, uint64_t handle)
{
    view->handle = (struct nydus_req *)(uintptr_t)handle;
    view->query = query;
    view->key = query->bytes + query->key.at;
    view->key_size = query->nkeys ? query->key.size : 0;
    view->nkeys = query->nkeys;
    view->argc = query->argc;
    view->size = query->size;
    view->flags = query->command->flags & ~(query->pinned ? COMMAND_READONLY : 0U);
    view->command = query->command->id;
    view->db = query->db;
    view->attempt = query->attempt;
}
