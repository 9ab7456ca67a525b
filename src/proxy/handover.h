/* A handover: a reload has changed how a host is reached (its timeout, its
 * password …), and for a while its server is listened to twice, as the old host
 * and as the new one. Nobody knows which of the two connections is read first,
 * so of the two copies of a message the one that comes first counts. The same
 * holds for hosts that are databases of one server, as long as they last. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/set.h"

#include <stdbool.h>

struct host;

/* How long the second copy may take, in seconds: less than the old host is
 * listened to, so that what only that one said is forgotten before it goes. */
#define HANDOVER_PATIENCE 0.5

/* Zero it to begin. */
struct handover {
    struct set firsts;            /* copies whose second has not come */
    struct copy *oldest, *newest; /* all copies of late */
};

/* A message has come from one of two hosts; `hash` says of which server, for
 * whom, and what. false: it is the second copy. */
bool handover_counts(struct handover *handover, uint64_t hash, const struct host *from, double now);
/* Forgets what is older than HANDOVER_PATIENCE. */
void handover_tick(struct handover *handover, double now);
void handover_deinit(struct handover *handover);
