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
struct writer;

/* What is asked about. */
struct question {
    const char *bytes; /* a whole request in RESP */
    size_t size;
    const struct cluster *const *clusters; /* whose routers are asked */
    uint32_t cluster_count;
    struct client *client; /* for router scripts that look at it; NULL: nobody */
};

/* Writes lines of text, each with its newline. false: the bytes are no command;
 * a line says why. */
bool explanation_write(struct writer *out, const struct question *question);
