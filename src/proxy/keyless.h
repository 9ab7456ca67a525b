/* Keyless: commands without a key that come to a built-in router and are not
 * for all of its hosts at once. The rows of policy.def name these functions. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/request.h"

struct target;

/* One host after the other. The cursor that the client sees is the host's
 * cursor times the radix plus the host's place in the router; the radix is 1024,
 * or the next power of two for a router of more hosts, so that it stays what it
 * was when hosts are added. A host that is away is an error and never a gap; a
 * place that the router has not (any more) is an invalid cursor. */
void keyless_scan(struct request *request, const struct target *router);

/* The first host that is up, the first of all when none is: for scripts without
 * keys, and what any one host can tell. */
void keyless_first(struct request *request, const struct target *router);

/* Every host is asked at once, so that what is pipelined behind it comes after
 * it everywhere; a key by chance of those that came. Null when all are empty,
 * an error when a host that could not be asked may have the only keys. */
void keyless_randomkey(struct request *request, const struct target *router);
