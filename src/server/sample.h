/* A sample: made-up keys, each asked of the routers of two configurations by
 * the way that real commands go. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "server/moves.h"
#include "server/places.h"

#include <stdbool.h>
#include <stddef.h>

/* What is asked. */
struct sample_plan {
    struct places *places;
    const struct cluster *sides[SIDES];
    const char *command; /* "get", "set" */
    const char *prefix;  /* of all keys */
    int32_t db;          /* the client's */
    uint32_t keys;
};

/* A key's request in RESP. */
struct sample_request {
    char bytes[256];
    struct query query;
};

/* What came of it. */
struct sample {
    struct moves moves;     /* of the keys that have a fixed place on both sides; sealed */
    uint64_t keys;          /* asked about */
    bool exact;             /* all values of their hash were counted instead */
    uint32_t loose;         /* that have no fixed place on a side: asked again, they got another */
    uint32_t loose_at[SIDES];
    uint32_t lost[SIDES]; /* without a route */
    uint32_t errors[SIDES];
    char *error[SIDES];     /* the first one; owned */
};

/* The first of the requests; its query points into it. */
void sample_request_write(struct sample_request *request, const struct sample_plan *plan);

/* The same plan gives the same keys. */
struct sample sample_take(const struct sample_plan *plan);
void sample_deinit(struct sample *sample);
/* Are the numbers alike, those of the errors included? */
bool sample_equal(const struct sample *a, const struct sample *b);
