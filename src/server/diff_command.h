/* nydus --diff: what a new configuration moves. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Prints to stdout, per cluster, the share of the keys that moves and the
 * hosts that come and go; problems of either file to stderr, each line with
 * "old: " or "new: " in front. Returns the exit code: 0, or 1 when one of
 * them cannot be loaded. */
int diff_command(const char *old_path, const char *new_path);
