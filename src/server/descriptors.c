/* File descriptors; see descriptors.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/descriptors.h"

#include "base/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

enum {
    DESCRIPTORS_OWN = 24,   /* log, loop, channel, name resolver, a file being read, and some air */
    DESCRIPTORS_CLIENTS = 8 /* fewer clients than this is not serving */
};

/* What a worker needs before its first client. During a reload the links of
 * two configurations may be open. */
static uint64_t worker_base(const struct plan *plan)
{
    return DESCRIPTORS_OWN + plan->sockets->count + plan->links;
}

/* The master holds every socket of every worker. */
static uint64_t master_need(const struct plan *plan)
{
    return DESCRIPTORS_OWN + (uint64_t)plan->workers * (plan->sockets->count + 1);
}

static uint64_t raise_limit(uint64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    if (limit.rlim_cur >= wanted)
        return limit.rlim_cur;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

/* Once, and not again with every reload. */
static void warn_few(const struct plan *plan, uint64_t allowed, uint64_t wanted)
{
    static uint64_t said;
    if (said == wanted)
        return;
    said = wanted;
    log_warn("only %llu file descriptors are allowed (ulimit -n): a worker serves about %llu clients, "
             "max_clients says %llu",
             (unsigned long long)allowed, (unsigned long long)(allowed - worker_base(plan)),
             (unsigned long long)plan->max_clients);
}

bool descriptors_provide(const struct plan *plan, char **error)
{
    uint64_t least = worker_base(plan) + DESCRIPTORS_CLIENTS;
    if (least < master_need(plan))
        least = master_need(plan);
    uint64_t wanted = worker_base(plan) + plan->links + plan->max_clients;
    if (wanted < least)
        wanted = least;
    uint64_t allowed = raise_limit(wanted);
    if (allowed < least) {
        *error = xformat("too few file descriptors: %llu are allowed, at least %llu are needed "
                         "(raise the hard limit: ulimit -n)",
                         (unsigned long long)allowed, (unsigned long long)least);
        return false;
    }
    if (allowed < wanted)
        warn_few(plan, allowed, wanted);
    return true;
}

void descriptors_share(pid_t worker)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && prlimit(worker, RLIMIT_NOFILE, &limit, NULL) != 0)
        log_debug("the limit of descriptors of process %d stays: %s", (int)worker, strerror(errno));
}
