/* Limits: so many commands a second go on, for all workers together; what is
 * over goes elsewhere, or gets an error that says when to come again. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/limiter.h"
#include "route/target.h"

/* What has a bucket of its own. */
enum limit_by { LIMIT_ALL, LIMIT_CLIENT, LIMIT_USER, LIMIT_ADDR, LIMIT_KEY, LIMIT_TAG, LIMIT_COMMAND };

struct limit_options {
    struct limiter limiter;
    double rate, burst; /* for people */
    enum limit_by by;
};

/* over: NULL: an error. */
struct target *limit_target(struct target_set *set, struct target *next, struct target *over,
                            const struct limit_options *options);
