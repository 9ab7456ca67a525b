/* Databases: how many keys the hosts of a cluster have, counted as its clients
 * count databases: each host's begin at its option `db`. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/join.h"

struct writer;

/* Asks every host of the request's cluster; `finish` answers the request when
 * all have answered or failed, by databases_write among other things. */
void databases_ask(struct request *request, uint32_t note, join_finish *finish);

/* The lines of INFO keyspace, "db0:keys=3,expires=1,avg_ttl=500", summed over
 * the hosts; and how many of them have not answered, if any. */
void databases_write(struct writer *out, const struct join *join);
