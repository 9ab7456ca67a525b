/* Usage, from /proc; see usage.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/usage.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { USAGE_LINE = 1024 };

/* The first line of /proc/PID/`file`; "" when there is none. */
static void read_line(pid_t pid, const char *file, char line[USAGE_LINE])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    FILE *stream = fopen(path, "r");
    line[0] = '\0';
    if (!stream)
        return;
    if (!fgets(line, USAGE_LINE, stream))
        line[0] = '\0';
    fclose(stream);
}

void usage_add(struct usage *sum, pid_t pid)
{
    char line[USAGE_LINE];
    unsigned long long all, resident, shared, user, system;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    double tick = (double)sysconf(_SC_CLK_TCK);
    read_line(pid, "statm", line);
    if (sscanf(line, "%llu %llu %llu", &all, &resident, &shared) == 3) {
        sum->resident += resident * page;
        sum->own += (resident - shared) * page;
    }
    read_line(pid, "stat", line);
    const char *name_end = strrchr(line, ')'); /* a program's name may hold anything */
    if (name_end &&
        sscanf(name_end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) == 2) {
        sum->user += (double)user / tick;
        sum->system += (double)system / tick;
    }
}
