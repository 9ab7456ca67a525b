/* Lessons: what the hosts of a cluster know and the command table lacks.
 *
 *   unknown name ─► request kept, client held ─► COMMAND to one host after the other ─► the request again
 *
 * Nothing is asked before a client has named what the table does not have, and
 * then not again for a while, which grows as long as nothing comes of it. What
 * has been learned outlives a reload; it is found by the cluster's name. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "resp/command.h"
#include "resp/lexicon.h"

#include <stdbool.h>
#include <stddef.h>

struct cluster;
struct proxy;
struct request;

/* As command_find and command_find_sub, in what has been learned. */
const struct command *lesson_find(struct cluster *cluster, const char *name, size_t size);
const struct command *lesson_find_sub(struct cluster *cluster, const struct command *container,
                                      const char *sub, size_t size);
/* In the table and in what has been learned; the name may be "config|get". */
const struct command *lesson_lookup(struct cluster *cluster, const char *name, size_t size);
const struct command *lesson_lookup_sub(struct cluster *cluster, const struct command *container,
                                        const char *sub, size_t size);
/* Everything that has been learned. */
const struct lexicon *lesson_lexicon(struct cluster *cluster);

/* Keeps a request of a client, the last of its queue, while hosts are asked for
 * what they know, and goes on with it by intake_again. false: there is nothing
 * to wait for. `once`: only if they have never been asked. */
bool lesson_keeps(struct cluster *cluster, struct request *request, bool once);

/* The proxy ends: nobody is asked any more, and everything is forgotten. */
void lesson_end_all(struct proxy *proxy);
