/* What twemproxy calls its servers, the order it keeps them in, and how much
 * of a ring each gets. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/router.h"

/* The string that twemproxy puts on the ring: the name if the operator gave
 * one, else "host:port", but only "host" for memcached's port 11211, and
 * "/path:" with a colon for a unix socket. Fresh memory. */
char *twemproxy_name(const struct member *member);

/* Fills `order` with the indices of the members in twemproxy's order: short
 * names first, then by bytes. It decides who is who for modula. */
void twemproxy_sort(const struct member *members, uint32_t count, uint32_t *order);

/* How many points of its ketama ring a server gets, when `live` servers have
 * `weights` together: about 160 times its share, a multiple of 4. */
uint32_t twemproxy_points(uint32_t live, uint32_t weight, uint32_t weights);

/* Twemproxy takes no two servers with one name; false with a sentence. */
bool twemproxy_names_check(const struct member *members, uint32_t count, char *error, size_t error_size);
