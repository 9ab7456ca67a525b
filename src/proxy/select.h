/* SELECT: a client's database, without ever changing a shared link.
 *
 * A database is a number that the hosts add to their own; they have links for
 * each. Before a client may use one for the first time, a host is asked
 * whether it is there: a PING on a link of that database. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct call;

void select_database(struct call *call);
