/* A router script that keeps failing is taken out of service: until the next
 * reload its fallback answers, or an error that says so.
 *
 * It is when, within some ten seconds, three decisions were stopped or ran out
 * of memory and those are three quarters of all, or a hundred; or when nine
 * tenths of a thousand failed in any way. One client that is refused is no
 * reason: the router may work for the others. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct cluster;
struct target;

/* Decisions of one stretch of time. */
struct quarantine_count {
    uint32_t asked, failed, stopped; /* stopped: those of the failed that were, or had no memory */
};

/* A cluster's; all zero where no script routes. */
struct quarantine {
    char *file;              /* the script, for people; owned */
    struct target *fallback; /* or NULL */
    int64_t since;           /* seconds of the wall clock; 0: the router is in service */
    bool spent;              /* the fallback has failed as well, or there is none */
    char *reason;            /* the last error; owned */
    uint64_t begun;          /* nanoseconds: when `now` began to count */
    struct quarantine_count now, before;
};

void quarantine_deinit(struct quarantine *quarantine);

/* Marks the functions that the fallback leads to, when the roots of all clusters are set. false: it leads
 * back to its own cluster. */
bool quarantine_setup(struct cluster *cluster) __attribute__((warn_unused_result));

/* A function does not decide any more: what stands at it goes to the cluster's root. */
bool quarantine_retired(const struct target *function);

/* The cluster's script is asked for so many decisions at this time (clock_ns). */
void quarantine_asked(struct cluster *cluster, uint32_t count, uint64_t now);

/* One of these has failed with this text for the client, "ERR router: …". true: that was the last straw, the
 * cluster has another root from now on. */
bool quarantine_failed(struct cluster *cluster, bool stopped, const char *error);
