/* Blocking commands: BLPOP and its like, XREAD with BLOCK, WAIT. Each runs on
 * private links, so that nobody else waits for it, while its client's later
 * commands wait; a client that leaves takes the links with it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

struct call;
struct client;

/* By where the timeout stands: the last argument, the first, or behind BLOCK in milliseconds. */
void blocking_timeout_last(struct call *call);
void blocking_timeout_first(struct call *call);
void blocking_option(struct call *call);
/* A command that has been learned: the host alone knows where a timeout may stand. */
void blocking_unknown(struct call *call);
/* WAIT and WAITAOF, on every host: for what the client has written before, on whatever links. */
void blocking_replicas(struct call *call);
void blocking_files(struct call *call);

/* Ends the blocking of a client, as if its time were over or with an error.
 * false: it does not block. */
bool blocking_end(struct client *client, bool error);
