/* Commands with several keys: each key is routed, and what belongs to one host
 * goes there as one part. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/request.h"

/* May the command be taken apart, as Redis's table says? */
bool split_allows(const struct command *command);

/* Can what goes to this leaf be a part of a whole? */
bool split_fits(const struct target *leaf);

/* Routes and sends a request with request->multiple set. `from` is where the
 * routing of each key begins. */
void split_dispatch(struct request *request, const struct target *from);
