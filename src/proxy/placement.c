/* Placement; see placement.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/placement.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "proxy/keyspace.h"
#include "resp/writer.h"

static char error_text[256];
static struct host **found;
static uint32_t found_count, found_room;

static void found_add(struct host *host)
{
    for (uint32_t i = 0; i < found_count; i++)
        if (found[i] == host)
            return;
    if (found_count == found_room) {
        found_room = found_room ? 2 * found_room : 8;
        found = xrealloc(found, found_room * sizeof *found);
    }
    found[found_count++] = host;
}

static struct placement found_placement(const char *error)
{
    return (struct placement){.hosts = found, .count = found_count, .error = error};
}

/* ---- asking the router ---- */

/* Lists may lead back to themselves through functions: more questions about one channel are not asked. */
enum { ROUTES_MAX = 1000 };
static unsigned routes;

/* "PUBLISH channel ''", which a router script can read like any other command. */
static struct writer question(const char *word, const char *key, size_t size, struct query *query)
{
    struct writer out = {0};
    writer_array(&out, 3);
    writer_text(&out, word);
    writer_bulk(&out, key, size);
    writer_bulk(&out, "", 0);
    *query = (struct query){.command = command_find(word, strlen(word)), .argc = 3, .nkeys = 1};
    query->bytes = out.data;
    query->size = (uint32_t)out.size;
    resp_args(out.data, query->size, 1, 1, &query->key);
    return out;
}

static const struct target *route(struct query *query, const struct target *from)
{
    query->target = routes++ < ROUTES_MAX ? from : NULL;
    query->router = NULL;
    query->error = NULL;
    dispatch_settle(&query, 1, false);
    return query->target;
}

/* Does PUBLISH go to any of the router's hosts, whatever the channel? */
static bool is_by_chance(const struct target *router)
{
    enum router_kind kind = router ? router_options_of(router->router.router)->kind : ROUTER_FIRST;
    return kind != ROUTER_FIRST && !router_kind_hashes(kind);
}

/* The first host of the list that is up, or the first, which will say why it is not. */
static struct host *first_of_list(struct query *query, const struct target *list)
{
    struct host *first = NULL;
    for (uint32_t i = 0; i < list->list.count; i++) {
        const struct target *leaf = route(query, list->list.items[i]);
        struct host *host = NULL;
        if (leaf && leaf->kind == TARGET_LIST)
            host = first_of_list(query, leaf);
        else if (leaf && leaf->kind == TARGET_HOST)
            host = leaf->host.host;
        if (host && !host->down)
            return host;
        if (!first)
            first = host;
    }
    return first;
}

/* The router answers PUBLISH itself: by an error, which is for SUBSCRIBE, too, or by what is none. */
static void refuse_reply(const struct command *command, const struct target *answer)
{
    const char *bytes = answer->reply.bytes, *end = memchr(bytes, '\r', answer->reply.size);
    if (end && *bytes == '-')
        snprintf(error_text, sizeof error_text, "%.*s", (int)(end - bytes - 1), bytes + 1);
    else
        snprintf(error_text, sizeof error_text,
                 "ERR the router answers '%s' itself, there is no host to subscribe at", command->name);
}

static void find_by_router(const struct cluster *cluster, struct query *query)
{
    const struct target *leaf = route(query, cluster->root), *router = query->router;
    struct host *host = NULL;
    if (leaf && leaf->kind == TARGET_HOST)
        host = leaf->host.host;
    else if (leaf && leaf->kind == TARGET_LIST)
        host = first_of_list(query, leaf);
    if (host && leaf->kind == TARGET_HOST && is_by_chance(router))
        for (uint32_t i = 0; i < router->router.count; i++)
            found_add(router->router.hosts[i]->host.host);
    else if (host)
        found_add(host);
    else if (leaf && leaf->kind == TARGET_ROUTER)
        snprintf(error_text, sizeof error_text, "ERR HostListExhausted: no host of cluster %s is up",
                 cluster->name);
    else if (leaf && leaf->kind == TARGET_ACTION)
        snprintf(error_text, sizeof error_text,
                 "ERR a subscription needs one host, but the router has a %s for it",
                 leaf->action.action->name);
    else if (query->error)
        snprintf(error_text, sizeof error_text, "%s", query->error);
    else if (leaf && leaf->kind == TARGET_REPLY)
        refuse_reply(query->command, leaf);
    else
        snprintf(error_text, sizeof error_text, "ERR no route for '%s'", query->command->name);
}

struct placement placement_find(const struct cluster *cluster, struct client *client,
                                enum subscription_kind kind, const char *name, size_t size)
{
    found_count = 0;
    routes = 0;
    if (kind == SUBSCRIPTION_PATTERN || (kind == SUBSCRIPTION_CHANNEL && keyspace_is(name, size))) {
        for (uint32_t i = 0; i < cluster->count; i++)
            found_add(cluster->hosts[i]);
        return found_placement("ERR the cluster has no hosts");
    }
    struct query query;
    struct writer bytes = question(kind == SUBSCRIPTION_SHARD ? "spublish" : "publish", name, size, &query);
    query.client = client;
    find_by_router(cluster, &query);
    writer_deinit(&bytes);
    return found_placement(error_text);
}

/* ---- messages from several hosts ---- */

static bool is_all_of_a_router(const struct target_set *set, const struct target *list)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (set->targets[i]->kind == TARGET_ROUTER && set->targets[i]->router.all == list)
            return true;
    return false;
}

bool placement_is_mirrored(const struct cluster *cluster)
{
    const struct target_set *set = cluster->generation->set;
    for (uint32_t i = 0; i < set->count; i++)
        if (set->targets[i]->kind == TARGET_LIST && !is_all_of_a_router(set, set->targets[i]))
            return true;
    return false;
}

static bool hears(const struct subscription *subscription, const struct host *host)
{
    for (const struct ear *ear = subscription->ears; ear; ear = ear->next)
        if (ear->state == EAR_ACTIVE && subscription_stands_for(ear, host))
            return true;
    return false;
}

/* The first host of the list whose messages are heard; what the others say is the same. */
static const struct host *speaker(const struct subscription *subscription, struct query *query,
                                  const struct target *list)
{
    for (uint32_t i = 0; i < list->list.count; i++) {
        const struct target *leaf = route(query, list->list.items[i]);
        const struct host *host = NULL;
        if (leaf && leaf->kind == TARGET_LIST)
            host = speaker(subscription, query, leaf);
        else if (leaf && leaf->kind == TARGET_HOST && hears(subscription, leaf->host.host))
            host = leaf->host.host;
        if (host)
            return host;
    }
    return NULL;
}

bool placement_counts(const struct subscription *subscription, const struct ear *ear, const char *word,
                      const char *key, size_t size)
{
    const struct cluster *cluster = subscription->hub->cluster;
    struct query query;
    if (!cluster)
        return true;
    routes = 0;
    struct writer bytes = question(word, key, size, &query);
    const struct target *leaf = route(&query, cluster->root);
    const struct host *host = NULL;
    if (leaf && leaf->kind == TARGET_LIST)
        host = speaker(subscription, &query, leaf);
    writer_deinit(&bytes);
    return !host || subscription_stands_for(ear, host);
}
