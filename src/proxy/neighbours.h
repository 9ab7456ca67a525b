/* Neighbours: the other workers, where questions about clients are concerned.
 *
 *   client ─► command ─► one part here, the same bytes ─► a part from each neighbour
 *   client ◄─ reply  ◄─ finish ◄─ the parts, one behind the other
 *
 * A part is done where its clients are. One question of a worker is under way
 * at a time, the next ones wait, and so do their clients; a neighbour that is
 * silent for NEIGHBOURS_PATIENCE is left out. How bytes reach a neighbour is
 * the server's business. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct neighbours;
struct proxy;
struct writer;

#define NEIGHBOURS_PATIENCE 1.0 /* seconds */

enum question_kind { QUESTION_LIST, QUESTION_KILL, QUESTION_UNBLOCK, QUESTION_PAUSE, QUESTION_UNPAUSE };

enum { ASKER_CLUSTER = 65 }; /* bytes that the name of a cluster takes */

/* The client that asked: clients of other clusters are none of its business. */
struct asker {
    uint64_t id;
    char cluster[ASKER_CLUSTER];
};

/* One worker's part: `question` has no client here. */
typedef void question_part(const struct call *question, struct proxy *proxy, const struct asker *asker,
                           struct writer *part);
/* Answers the call from all parts. */
typedef void question_finish(struct call *call, const struct writer *parts);

/* Does this worker's part, and the neighbours theirs; then the call is finished, now or later. */
void neighbours_ask(struct call *call, enum question_kind kind);
/* The sum of parts that are a number and a newline each. */
int64_t neighbours_sum(const struct writer *parts);

void neighbours_deinit(struct proxy *proxy);

/* Sends a question to all neighbours; then neighbours_asked is called, and
 * neighbours_heard for each part that comes. false: there are none. */
typedef bool neighbours_send(struct proxy *proxy, uint32_t ticket, const char *bytes, size_t size);

/* So many of them have got question `ticket`. */
void neighbours_asked(struct proxy *proxy, uint32_t ticket, uint64_t count);
/* The part of one of them. */
void neighbours_heard(struct proxy *proxy, uint32_t ticket, const char *bytes, size_t size);
/* A neighbour's question: does the part of this worker. */
void neighbours_answer(struct proxy *proxy, const char *bytes, size_t size, struct writer *part);
