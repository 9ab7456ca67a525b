/* A build: a generation that is being made, in steps of a fraction of a
 * millisecond, so that a worker can serve meanwhile. What Lua does, scripts as
 * they are loaded too, goes on in slices (script/slices.h) there.
 *
 * generation_build takes all steps at once. */
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
