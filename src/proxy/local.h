/* Commands that Nydus answers itself, and those it refuses. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/client.h"

/* What becomes of a command before any router is asked. */
enum local_verdict {
    LOCAL_ROUTE,    /* not ours: it goes to the hosts */
    LOCAL_ANSWERED, /* request_answer or request_fail has been called (or will be: client held) */
};

/* Looks at a request whose command is known and whose arity fits. The request
 * is already the tail of its client's queue. scan: its arguments. */
enum local_verdict local_handle(struct client *client, struct request *request,
                                const struct resp_request *scan);

/* The sentence with which a command is refused ("ERR …"), or NULL; for --route. */
const char *local_refusal(const struct command *command);
/* Is it answered here? For --route. */
bool local_answers(const struct command *command);

/* Is the first word of a request one of HTTP's ("POST", "Host:")? A page in a
 * browser may be trying to reach us: to be logged and closed, as Redis does. */
bool local_is_http(const char *name, size_t size);
