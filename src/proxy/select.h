/* SELECT: a client's database, without ever changing a shared link.
 *
 * A database is a number that the hosts add to their own; they have links for
 * each. Before a client may use one for the first time, a host is asked
 * whether it is there, by a probe. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>

struct call;

/* Will it change the client's database? */
bool select_switches(const struct call *call);
void select_database(struct call *call);
