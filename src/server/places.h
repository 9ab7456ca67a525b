/* Places: where a decision can send a key, numbered alike for two
 * configurations, so that "does it move?" compares two numbers.
 *
 * The place of a host is its server and database: a host that is only called
 * otherwise is the same place. One that keeps its name and is found at a new
 * address is the same place, too, when its old address is no host any more:
 * the keys stay with it, only their data may not. An action (failover, shadow)
 * has the place of its first target: there the data is at home. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/cluster.h"

/* The two configurations. */
enum side { SIDE_OLD, SIDE_NEW, SIDES };

/* Places that are no host; hosts, and several hosts together, come after them. */
enum { PLACE_ERROR, PLACE_NO_ROUTE, PLACE_REPLY, PLACE_FLOW, PLACE_OTHER, PLACE_FIRST };

struct places;

/* Borrows both generations. */
struct places *places_create(const struct generation *const sides[SIDES]);
void places_destroy(struct places *places);

/* Where a query leads that dispatch_settle has left at `leaf` (which is NULL when there is no route). */
uint32_t places_find(struct places *places, enum side side, const struct target *leaf,
                     const struct query *query);
uint32_t places_of_host(const struct places *places, enum side side, const struct host *host);
/* A host of the other side's cluster of the same name that is at this place; NULL: none. */
const struct host *places_host(const struct places *places, enum side side, const char *cluster,
                               uint32_t place);

/* "a", "b + c", "other/a" for a host of another cluster; as that side calls it. Returns text. */
const char *places_name(const struct places *places, enum side side, const char *cluster, uint32_t place,
                        char *text, size_t size);
