/* What --diff prints: lines for people that grep finds. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "server/places.h"
#include "server/sample.h"

/* One cluster in both configurations. */
struct diff {
    const char *name;
    const struct cluster *sides[SIDES];
    const struct target *roots[SIDES]; /* before a quarantine replaced them */
    struct places *places;
};

/* A cluster that only one configuration has; word: "comes" or "goes". */
void report_lone(const char *word, const struct cluster *cluster);
/* A cluster that both have; reads and writes may differ. */
void report_cluster(const struct diff *diff, const struct sample *reads, const struct sample *writes);

/* More lines about that cluster. */
void report_prefix(const char *prefix, const struct sample *reads, const struct sample *writes);
void report_more_prefixes(size_t count);
void report_database(int32_t db, const struct sample *reads);
/* A router that kept failing while it was asked was taken out of service, as in a server: from then on
 * another one answered. */
void report_quarantine(const struct diff *diff);

/* The last line: in how many clusters keys move, of those that both have. */
void report_end(uint32_t both, uint32_t moving);
