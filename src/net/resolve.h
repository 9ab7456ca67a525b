/* Names to addresses, without blocking the loop. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "net/address.h"

#include <ev.h>

struct resolve;

/* error: NULL and count >= 1, or why not in words. The addresses are only good during the call. */
typedef void resolve_done(void *owner, const struct address *addresses, size_t count, const char *error);

/* Looks up all addresses of a name (/etc/hosts, then DNS), IPv4 first. `done` is called once, later, from
 * the loop, within about three seconds, unless cancelled; the resolve is gone then. The port must not be 0.
 * Cancel what is under way before the loop is destroyed or the process forks. */
struct resolve *resolve_start(struct ev_loop *loop, const char *name, uint16_t port, resolve_done *done,
                              void *owner);
/* `done` will not be called. NULL is fine, and so is any place, also inside a `done`. */
void resolve_cancel(struct resolve *resolve);
