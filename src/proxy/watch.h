/* WATCH: the keys' host lends a private link until EXEC, DISCARD or UNWATCH, and
 * the transaction runs on it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>

struct call;
struct session;

void watch_keys(struct call *call);
void watch_none(struct call *call);

/* Has the connection that watches ended, so that nobody knows what has changed? */
bool watch_is_lost(const struct session *session);
/* Stops watching, if it does, and gives the link back. */
void watch_end(struct session *session);
