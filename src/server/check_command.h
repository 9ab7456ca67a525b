/* nydus --check: loads everything and says what came of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Prints the clusters and the trees of their routers to stdout, or all
 * problems to stderr. Returns the exit code: 0 or 1. */
int check_command(const char *path);
