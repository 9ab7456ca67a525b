/* Usage: memory and time that processes take, as the system says it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>
#include <sys/types.h>

struct usage {
    uint64_t resident;   /* bytes in memory */
    uint64_t own;        /* those of them that are shared with nobody */
    double user, system; /* seconds of CPU */
};

/* Adds what one process takes; nothing when there is no such process. */
void usage_add(struct usage *sum, pid_t pid);
