/* Hooks of router scripts that take part in a request after it was routed, as
 * targets in front of where it goes:
 *
 *   retry     asks a function for another target when the host fails
 *   on_reply  shows the reply to a function, which may give another one
 *
 * Their functions are targets of kind function that are never walked to: what
 * they decide is another target, or a reply. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/target.h"

#include <ev.h>

struct script;
struct hook_later;

/* What failed or was answered while Lua ran: its hook is asked when that is over. */
struct hooks {
    struct hook_later *first, **last;
    ev_timer wake;
};

void hooks_init(struct script *script);

/* In front of `next`; function: a TARGET_FUNCTION. NULL: there are too many. */
struct target *hook_retry(struct script *script, struct target *next, struct target *function);
struct target *hook_on_reply(struct script *script, struct target *next, struct target *function);
