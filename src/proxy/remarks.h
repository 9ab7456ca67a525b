/* Remarks on a router's tree: what it holds to no use, and what it has no way
 * for. None of it is wrong, most of it is not what its author meant. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct cluster;

typedef void remarks_say(void *context, const char *text);

/* Says each, one sentence. What functions return is not known and not looked at. */
void remarks_make(const struct cluster *cluster, remarks_say *say, void *context);
