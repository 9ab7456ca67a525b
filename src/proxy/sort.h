/* Sort: SORT with BY or GET reads keys that only its host finds out. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "resp/resp.h"

#include <stdbool.h>

struct call;
struct command;

/* Would SORT or SORT_RO look up keys by a pattern that need not lie on the host
 * of its own key? That host would take them for missing and answer wrongly. */
bool sort_scatters(const struct call *call);

/* The next BY or GET behind the cursor over the arguments: its word and its pattern. false: there is none. */
bool sort_next_pattern(const char *bytes, struct resp_cursor *cursor, struct resp_arg *word,
                       struct resp_arg *pattern);
bool sort_is(const struct command *command);
/* The option by which the SORT or SORT_RO reads keys that it does not name, "BY"
 * or "GET", or NULL. As in Redis, GET # counts too. */
const char *sort_reads_pattern(const struct call *call);
