/* nydus --route: where a command would go, and why, without a running server. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>

/* Routes each command ("GET user:1", in redis-cli's quoting; "-": one per line
 * of stdin) through every cluster that clients can reach and prints the way to
 * stdout. Returns the exit code: 1 when the configuration has problems or a
 * command cannot be read, else 0. */
int route_command(const char *path, const char *const *commands, size_t count);
