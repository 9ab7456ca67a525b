/* Leases; see lease.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/lease.h"

#include "proxy/host.h"
#include "proxy/link.h"
#include "proxy/request.h"

#include <stddef.h>

static bool is_free(const struct link *link)
{
    return link->slot == LINK_PRIVATE && !link->leased && !link->queue.count;
}

/* Prefers a link that is connected. Counts all private ones. */
static struct link *find_free(const struct host *host, uint64_t lane, uint32_t *count)
{
    struct link *found = NULL;
    for (struct link *link = host->links; link; link = link->next) {
        *count += link->slot == LINK_PRIVATE;
        if (is_free(link) && link->lane == lane && (!found || link->state == LINK_READY))
            found = link;
    }
    return found;
}

/* Makes room for a link by closing one that nobody uses, of another database or protocol version. */
static bool retire_free(const struct host *host)
{
    for (struct link *link = host->links; link; link = link->next) {
        if (is_free(link)) {
            link_retire(link, "its place is needed");
            return true;
        }
    }
    return false;
}

struct link *lease_take(struct host *host, int32_t db, uint8_t resp)
{
    uint32_t count = 0;
    uint64_t lane = link_lane(host->options.db + db, LINK_PRIVATE, resp);
    struct link *link = find_free(host, lane, &count);
    if (!link && count >= LEASE_LIMIT && !retire_free(host))
        return NULL;
    if (!link)
        link = host_own_link(host, lane);
    if (link->state == LINK_RESTING && host_is_connected(host))
        link->state = LINK_IDLE; /* a host that is there need not be given a rest */
    link->leased = true;
    return link;
}

void lease_refuse(const struct host *host, struct request *request)
{
    request_fail(request, FAILURE_LOCAL, "ERR all %d private links to host %s are in use", LEASE_LIMIT,
                 host->options.identifier);
}

void lease_return(struct link *link)
{
    link->leased = false;
    link->allowance = 0;
}

void lease_close(struct link *link, const char *reason)
{
    if (!link->dead) /* its host may be gone already */
        link_retire(link, reason);
}
