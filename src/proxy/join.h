/* A join: one command that several hosts (or targets) answer together.
 *
 *   request ─► parts ─► hosts           parts are requests without a client
 *   request ◄─ one reply ◄─ parts       answered when the last part is in */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum join_kind {
    JOIN_ARRAY,   /* every reply in order, errors beside results (Nydus) */
    JOIN_CONCAT,  /* arrays, sets or maps end to end */
    JOIN_SCATTER, /* elements back to the places of their keys (MGET) */
    JOIN_SUM,
    JOIN_MIN,
    JOIN_MAX,
    JOIN_AND,
    JOIN_OR,
    JOIN_ALL, /* all succeeded: the first reply; else an error */
    JOIN_ONE, /* one succeeded: its reply; else the first error */
    JOIN_FIRST, /* the first that succeeds, at once; else the first error */
    JOIN_QUORUM /* what more than half of them say, at once; else an error */
};

struct join_part {
    char *bytes; /* the reply */
    size_t size;
    size_t room; /* bytes are a block of this size; 0: they are from malloc */
    bool borrowed; /* from the reply of a host, and only good during its call */
    uint32_t keys; /* how many of the command's keys it is for */
    enum failure failure;
};

struct join;
/* Called when all parts are answered; answers join->whole.request. */
typedef void join_finish(struct join *join);

struct join {
    struct whole whole; /* whose reply this will be */
    enum join_kind kind;
    uint32_t count, left;
    bool held; /* see join_hold */
    join_finish *finish;         /* NULL: joined as the kind says */
    const struct target *router; /* for finish: whose hosts are asked, */
    uint32_t place;              /* and which of them, if it is one */
    uint32_t *owner; /* JOIN_SCATTER: which part answers key i; behind the parts */
    uint32_t keys;   /* all of the command's, for the words of an error */
    struct join_part parts[];
};

/* Freed by itself when the last part has been answered. */
struct join *join_create(struct request *request, enum join_kind kind, uint32_t count);
/* The same for JOIN_SCATTER: key i is in part owner[i]. */
struct join *join_create_scatter(struct request *request, uint32_t count, const uint32_t *owner,
                                 uint32_t keys);
/* A request for part `index`, as the parent's in command, database, protocol and generation. */
struct request *join_part(struct join *join, uint32_t index);
/* In between the parent is not answered, whatever the kind: it and its bytes stay until all parts have been
 * sent, of which some may be answered at once. */
void join_hold(struct join *join);
void join_release(struct join *join);
/* A join that finish answers. Each of its parts is to be asked with join_ask. */
struct join *join_create_asking(struct request *request, const struct target *router, uint32_t count,
                                join_finish *finish);
/* Asks a host (its target) as part `index`, with bytes of its own from malloc. The join may be gone then,
 * if it was the last part. */
void join_ask(struct join *join, uint32_t index, const struct target *host, char *memory, size_t size);
/* Answers with the reply of one part, or with memory from malloc that is given away. */
void join_answer_part(struct join *join, uint32_t index);
void join_answer_given(struct join *join, char *out, size_t size);
/* How replies of several hosts to this command become one. */
enum join_kind join_kind_of(const struct command *command);
