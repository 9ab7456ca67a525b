/* A plan: what the master keeps of one configuration after it has checked it.
 * The generation itself is built by the workers, from the plan's bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/log.h"
#include "server/generation.h"
#include "server/sockets.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct plan {
    struct packed packed;    /* owned */
    uint64_t hash;           /* of the packed bytes, for INFO */
    struct sockets *sockets; /* owned; not bound yet */
    uint32_t workers;        /* how many, "auto" counted out; at most BOARD_WORKERS */
    enum log_level log_level;
    char *log_file; /* owned; NULL: stderr */
    uint32_t clusters, hosts;
    uint64_t links;       /* connections to hosts that one worker wants to have */
    uint64_t max_clients; /* of all clusters together */
};

/* Reads and checks the files at `path`. NULL: *problems has one per line, for
 * the caller to free. */
struct plan *plan_load(const char *path, char **problems) __attribute__((warn_unused_result));

/* As bytes, and back: the loader sends it to the master. NULL: these are no plan. */
void plan_write(const struct plan *plan, FILE *out);
struct plan *plan_read(const char *bytes, size_t size) __attribute__((warn_unused_result));

/* Closes the sockets that the plan still owns. NULL is fine. */
void plan_destroy(struct plan *plan);

/* Can the log file of the plan be written? false: *error is a sentence. */
bool plan_check_log(const struct plan *plan, char **error) __attribute__((warn_unused_result));
/* Points the log of this process to where the plan says. false: *error is a sentence. */
bool plan_open_log(const struct plan *plan, char **error) __attribute__((warn_unused_result));

/* "1 cluster, 3 hosts, 2 workers, listening on 127.0.0.1:6380 (main)", for the caller to free. */
char *plan_summary(const struct plan *plan);
