/* A shadow: every command goes to a target, and a copy of some to another one.
 *
 * The copy comes behind, nobody waits for it and nobody sees its reply; where
 * too many of them are on their way, more are dropped, and counted. What runs
 * on a private link (transactions, commands that block) is not copied. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/target.h"

struct shadow_options {
    double sample;    /* the share of the commands that are copied, 0 … 1 */
    uint32_t pending; /* copies that may be on their way at once, in each worker; */
    size_t bytes;     /* and how large they may be together */
};

struct target *shadow_target(struct target_set *set, struct target *next, struct target *copy,
                             const struct shadow_options *options);
