/* Handovers; see handover.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/handover.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

struct copy {
    struct set_node node; /* first */
    struct copy *later;
    const struct host *from; /* compared only: it may be gone */
    double at;               /* proxy clock */
    bool paired;             /* the second has come: not in the set any more */
};

void handover_tick(struct handover *handover, double now)
{
    struct copy *copy;
    while ((copy = handover->oldest) && copy->at < now - HANDOVER_PATIENCE) {
        handover->oldest = copy->later;
        if (!copy->paired)
            set_remove(&handover->firsts, &copy->node);
        free(copy);
    }
    if (!handover->oldest)
        handover->newest = NULL;
}

bool handover_counts(struct handover *handover, uint64_t hash, const struct host *from, double now)
{
    handover_tick(handover, now);
    /* all of one hash are from one host: the other's would have been their second copies */
    struct copy *copy = (struct copy *)set_find(&handover->firsts, hash);
    if (copy && copy->from != from) {
        copy->paired = true;
        set_remove(&handover->firsts, &copy->node);
        return false;
    }
    copy = xmalloc(sizeof *copy);
    *copy = (struct copy){.from = from, .at = now};
    *(handover->newest ? &handover->newest->later : &handover->oldest) = copy;
    handover->newest = copy;
    set_add(&handover->firsts, &copy->node, hash);
    return true;
}

void handover_deinit(struct handover *handover)
{
    handover_tick(handover, INFINITY);
}
