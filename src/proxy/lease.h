/* Leases: private links to a host, lent to one client at a time, for what would
 * hold up or confuse the others on a shared link.
 *
 * A host keeps those that come back for the next ones; there is a limit per
 * worker and host, so that many clients do not take all of its connections.
 * Whoever has a lease keeps the generation alive that knows the host. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

struct host;
struct link;
struct request;

enum { LEASE_LIMIT = 256 }; /* private links per worker and host, used or not */

/* A link of a database (the client's number) and a protocol version (query.resp)
 * that has nothing to do, or NULL: the limit is reached. It may have to connect
 * yet; send to it by link_send. */
struct link *lease_take(struct host *host, int32_t db, uint8_t resp);
/* Fails a request for which there was none. */
void lease_refuse(const struct host *host, struct request *request);
/* Gives it back, clean: without a watch, and without a command that may block on.
 * What it has been sent may be under way still: nobody gets it before that is answered. */
void lease_return(struct link *link);
/* Closes it at once, with whatever it does. */
void lease_close(struct link *link, const char *reason);
