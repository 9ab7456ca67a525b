/* Where a command would go, and why, in words: for --route and NYDUS ROUTE.
 * Nothing is sent; routers are asked as for a real command, so that one that
 * takes turns goes on by one, and a router script runs. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct cluster;
struct target;
struct writer;

/* Which hosts would get a command, each once, as targets. Zero it to begin; the array is owned. Of an action
 * (failover, shadow …) they are those that its first target leads to. */
struct destinations {
    const struct target **hosts;
    uint32_t count;
};

/* What is asked about. */
struct question {
    const char *bytes; /* a whole request in RESP */
    size_t size;
    const struct cluster *const *clusters; /* whose routers are asked */
    uint32_t cluster_count;
    struct client *client; /* for router scripts that look at it; NULL: nobody */
    struct destinations *destinations; /* they are added; NULL: nobody wants to know */
};

/* Writes lines of text, each with its newline. false: the bytes are no command;
 * a line says why. */
bool explanation_write(struct writer *out, const struct question *question);
