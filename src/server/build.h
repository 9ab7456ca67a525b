/* A build: a generation that is being made, in steps of about a millisecond at
 * most with 300 hosts, so that a worker can serve meanwhile.
 *
 * What a script does while it is loaded is one step. generation_build takes
 * them all at once. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "server/generation.h"

#include <stdbool.h>

struct build;

/* As generation_build. The path and what is packed have to stay until the end. */
struct build *build_begin(struct proxy *proxy, const char *path, const struct packed *packed);
/* false: that was the last one. */
bool build_step(struct build *build);
/* What has come of it, as generation_build returns it. */
struct generation *build_end(struct build *build, char **problems) __attribute__((warn_unused_result));
/* It is not wanted any more. */
void build_cancel(struct build *build);
