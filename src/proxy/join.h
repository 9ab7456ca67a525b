/* A join: one command that several hosts (or targets) answer together.
 *
 *   request ─► parts ─► hosts           parts are requests without a client
 *   request ◄─ one reply ◄─ parts       answered when the last part is in */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/request.h"

#include <stddef.h>
#include <stdint.h>

enum join_kind {
    JOIN_ARRAY,   /* every reply in order, errors beside results (Nydus) */
    JOIN_CONCAT,  /* arrays end to end */
    JOIN_SCATTER, /* elements back to the places of their keys (MGET) */
    JOIN_SUM,
    JOIN_MIN,
    JOIN_MAX,
    JOIN_AND,
    JOIN_OR,
    JOIN_ALL, /* all succeeded: the first reply; else an error */
    JOIN_ONE  /* one succeeded: its reply; else the first error */
};

struct join_part {
    char *bytes; /* the reply, from malloc */
    size_t size;
    uint32_t keys; /* how many of the command's keys it is for */
    enum failure failure;
};

struct join {
    struct request *request; /* whose reply this will be */
    enum join_kind kind;
    uint32_t count, left;
    uint32_t *owner; /* JOIN_SCATTER: which part answers key i */
    uint32_t keys;   /* all of the command's, for the words of an error */
    struct join_part parts[];
};

/* Freed by itself when the last part has been answered. */
struct join *join_create(struct request *request, enum join_kind kind, uint32_t count);
/* A request for part `index`, as the parent's in command, database and generation. */
struct request *join_part(struct join *join, uint32_t index);
/* How replies of several hosts to this command become one. */
enum join_kind join_kind_of(const struct command *command);
