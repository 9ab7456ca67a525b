/* File descriptors: are there enough for a plan? */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "server/plan.h"

#include <sys/types.h>

/* Raises the limit of this process, and so of its children, as far as the plan
 * asks and the hard limit allows. Too few for all clients is a warning; too few
 * to serve at all is false with a sentence in *error. */
bool descriptors_provide(const struct plan *plan, char **error) __attribute__((warn_unused_result));

/* Gives a worker that was started under an older plan the limit of this process. */
void descriptors_share(pid_t worker);
