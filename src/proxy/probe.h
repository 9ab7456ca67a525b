/* A probe: before a client may use links of a kind that nobody has used yet (a
 * database, a version of the protocol), a host is asked whether it has them: a
 * PING on such a link. The client is held until the answer is in. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/link.h"

struct call;

/* Asks the host on its link for database `db` (the client's number) and version
 * `resp`. `done` gets the probe, whose `context` is the call's request, not yet
 * answered, with its bytes kept; its client is NULL when it has left meanwhile.
 * Any reply of the host shows that the greeting went well before it. */
void probe_send(const struct call *call, struct host *host, int32_t db, uint8_t resp, request_done *done);
/* The host's own words ("ERR …") when it has refused this word of the greeting, or NULL. */
const char *probe_refusal(const struct request *probe, enum greeting word);
/* The last thing in `done`, but for answering the request: the client goes on. */
void probe_end(struct request *probe);
