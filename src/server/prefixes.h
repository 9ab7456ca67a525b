/* Prefixes: what keys may begin with, as far as a configuration tells: the
 * tables of its routers, and texts in its files that look like it ("user:"). */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/cluster.h"

#include <stddef.h>

struct prefixes {
    char **list; /* sorted, each once; owned */
    size_t count;
};

/* Adds those of a generation made by generation_build. */
void prefixes_add(struct prefixes *prefixes, const struct generation *generation);
void prefixes_deinit(struct prefixes *prefixes);
