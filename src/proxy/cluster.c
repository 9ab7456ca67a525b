/* Clusters and generations; see cluster.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster.h"

#include "base/memory.h"
#include "proxy/account.h"
#include "proxy/client.h"

#include <stdlib.h>
#include <string.h>

static uint64_t client_number(const struct client *client)
{
    return client->id;
}

struct cluster *cluster_create(struct generation *generation, const char *name)
{
    struct cluster *cluster = xcalloc(1, sizeof *cluster);
    cluster->name = xstrdup(name);
    cluster->generation = generation;
    if (generation->set)
        generation->set->client_id = client_number;
    cluster->index = generation->count++;
    generation->clusters = xrealloc(generation->clusters, generation->count * sizeof *generation->clusters);
    generation->clusters[cluster->index] = cluster;
    return cluster;
}

/* Hosts outlive routers: their seats have to be given up first. */
static void cluster_leave_seats(struct cluster *cluster)
{
    struct target_set *set = cluster->generation->set;
    for (uint32_t i = 0; set && i < set->count; i++) {
        struct target *target = set->targets[i];
        if (target->kind != TARGET_ROUTER || !target->router.eject)
            continue;
        for (uint32_t h = 0; h < cluster->count; h++)
            host_seat_remove(cluster->hosts[h], target->router.router);
    }
}

void cluster_destroy(struct cluster *cluster)
{
    cluster_leave_seats(cluster);
    for (uint32_t i = 0; i < cluster->count; i++)
        host_release(cluster->hosts[i]);
    accounts_destroy(cluster->accounts);
    quarantine_deinit(&cluster->quarantine);
    free(cluster->hosts);
    free(cluster->host_targets);
    free(cluster->name);
    free(cluster);
}

void cluster_add_host(struct cluster *cluster, struct host *host)
{
    uint32_t index = cluster->count++;
    cluster->hosts = xrealloc(cluster->hosts, cluster->count * sizeof *cluster->hosts);
    cluster->host_targets = xrealloc(cluster->host_targets, cluster->count * sizeof *cluster->host_targets);
    cluster->hosts[index] = host;
    cluster->host_targets[index] = target_host(cluster->generation->set, host, host->options.identifier);
}

static uint32_t pending_of(const void *host)
{
    return host_pending(host);
}

struct target *cluster_router(struct cluster *cluster, const struct router_options *options, bool eject,
                              const uint32_t *indexes, uint32_t count, char *error, size_t error_size)
{
    struct member *members = xcalloc(count, sizeof *members);
    struct target **hosts = xcalloc(count, sizeof *hosts);
    for (uint32_t i = 0; i < count; i++) {
        const struct host_options *host = &cluster->hosts[indexes[i]]->options;
        members[i] = (struct member){.identifier = host->identifier,
                                     .address = host->address,
                                     .port = host->unix_socket_path ? 0 : host->port,
                                     .named = host->named,
                                     .weight = host->weight,
                                     .pending = pending_of,
                                     .host = cluster->hosts[indexes[i]]};
        hosts[i] = cluster->host_targets[indexes[i]];
    }
    struct router *router = router_create(options, members, count, error, error_size);
    struct target *target = NULL;
    if (router)
        target = target_router(cluster->generation->set, router, hosts, eject);
    for (uint32_t i = 0; router && eject && i < count; i++)
        host_seat_add(cluster->hosts[indexes[i]], router, (int)i);
    free(members);
    free(hosts);
    return target;
}

struct target *cluster_all(struct cluster *cluster)
{
    if (cluster->count == 1)
        return cluster->host_targets[0];
    return target_list(cluster->generation->set, cluster->host_targets, cluster->count);
}

struct host *cluster_first_up(const struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++)
        if (!cluster->hosts[i]->down)
            return cluster->hosts[i];
    return cluster->count ? cluster->hosts[0] : NULL;
}

struct cluster *generation_find(const struct generation *generation, const char *name)
{
    for (uint32_t i = 0; i < generation->count; i++)
        if (!strcmp(generation->clusters[i]->name, name))
            return generation->clusters[i];
    return NULL;
}

static struct generation *dead_generations;

void generation_leave(struct generation *generation)
{
    if (--generation->refs)
        return;
    generation->next = dead_generations;
    dead_generations = generation;
}

bool generation_bury(uint32_t steps)
{
    for (; dead_generations && steps; steps--) {
        struct generation *generation = dead_generations;
        dead_generations = generation->next;
        if (generation->destroy(generation))
            continue;
        generation->next = dead_generations;
        dead_generations = generation;
    }
    return dead_generations;
}

void generation_unref(struct generation *generation)
{
    if (--generation->refs)
        return;
    while (!generation->destroy(generation))
        continue;
}

struct proxy *cluster_proxy(const struct cluster *cluster)
{
    return cluster->count ? cluster->hosts[0]->proxy : NULL;
}
