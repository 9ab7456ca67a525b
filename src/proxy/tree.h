/* The compiled tree of a router in words, for --check, --route and NYDUS ROUTE. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/target.h"

#include <stddef.h>
#include <stdio.h>

/* One line about a target itself, without what is below it:
 * "ketama over 3 hosts (hash md5, compat nydus)". Returns text. */
const char *tree_describe(const struct target *target, char *text, size_t size);

/* "C" for what never enters Lua, "Lua" for a function. */
const char *tree_language(const struct target *target);

/* Writes bytes between double quotes so that they stay on the line and steer
 * no terminal; cut to `room`. Returns text. */
const char *tree_quote(const char *bytes, size_t size, char *text, size_t room);

/* The whole tree, indented, one node per line. */
void tree_print(FILE *out, const struct target *root);
