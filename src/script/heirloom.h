/* Heirlooms: what the scripts of one generation hand to those of the next; see
 * lua/nydus/keep.lua. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>

struct script;

/* Hands the values on. `last`: for the last time, so the log says what cannot be. */
void heirloom_hand(struct script *from, struct script *to, bool last);
