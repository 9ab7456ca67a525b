/* A cluster: a named list of hosts with a target that routes to them; and the
 * generation, everything that one configuration made. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/host.h"
#include "proxy/quarantine.h"
#include "route/target.h"

struct accounts;
struct generation;
struct lesson;

struct cluster {
    /* Set by config */
    char *name; /* owned */
    struct generation *generation;
    uint32_t index;               /* in the generation */
    struct host **hosts;          /* in routing order, owned array of references */
    struct target **host_targets; /* TARGET_HOST of each, owned array, targets owned by the set */
    uint32_t count;
    struct target *root; /* what decides for its clients; NULL until it is made */
    uint32_t max_connection_retries;
    uint32_t max_clients;    /* of all workers together */
    uint32_t max_request;    /* bytes */
    size_t max_reply_buffer; /* bytes one client may leave unread */
    double client_timeout;   /* seconds; 0: never */
    struct accounts *accounts; /* owned; NULL: clients need no password and may do everything */

    /* Changing at run time */
    struct quarantine quarantine; /* of its router, when that is a script */
    struct lesson *lesson; /* what its hosts have taught; NULL: nobody has asked for it yet */
    uint64_t databases; /* those of the first 64 that a SELECT has found, one bit each */
    bool resp3;         /* a host has said that it speaks RESP3 */
};

struct generation {
    uint32_t number;
    uint32_t refs; /* requests in flight, plus one while it is current */
    struct target_set *set;
    struct cluster **clusters; /* sorted by name */
    uint32_t count;
    void *script;                                   /* the script layer's, or NULL */
    void *config;                                   /* the server's, or NULL */
    bool (*destroy)(struct generation *generation); /* a step, when refs are 0; true: the last */
    struct generation *next;                        /* among those that wait for generation_bury */
};

struct cluster *cluster_create(struct generation *generation, const char *name);
void cluster_destroy(struct cluster *cluster);
/* Takes over the caller's reference to the host. */
void cluster_add_host(struct cluster *cluster, struct host *host);
/* A built-in router over some of the cluster's hosts (indexes, in order) as a
 * target; with eject the hosts' state is followed. NULL with a sentence in error. */
struct target *cluster_router(struct cluster *cluster, const struct router_options *options, bool eject,
                              const uint32_t *indexes, uint32_t count, char *error, size_t error_size);
/* Every host in order: the default, as in Nydus. One host: that host. */
struct target *cluster_all(struct cluster *cluster);
/* The first host that is not marked down, else the first one, which will say why; NULL: it has none. */
struct host *cluster_first_up(const struct cluster *cluster);
/* Where it is served; NULL: nowhere (--check), or it has no hosts. */
struct proxy *cluster_proxy(const struct cluster *cluster);
struct cluster *generation_find(const struct generation *generation, const char *name);

static inline void generation_ref(struct generation *generation)
{
    generation->refs++;
}
/* What ends here is destroyed at once. */
void generation_unref(struct generation *generation);
/* The same where somebody may be walking the generation's hosts at this moment,
 * and where others wait: what ends here is left to generation_bury. */
void generation_leave(struct generation *generation);
/* So many steps, at the turn's end. true: some are left. */
bool generation_bury(uint32_t steps);
