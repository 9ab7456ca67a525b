/* What a route is decided from: one command, as the targets and the router
 * scripts see it. It borrows everything; it is only good while the command's
 * bytes are. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "resp/command.h"
#include "resp/resp.h"

struct client; /* proxy/client.h; only carried here */
struct target;

struct query {
    const char *bytes; /* the whole request in RESP */
    uint32_t size;     /* its bytes */
    uint32_t argc;
    uint32_t nkeys;      /* keys this decision is for: all of the command's, or 1 when routed key by key */
    struct resp_arg key; /* the first of them, inside bytes; size 0 and at 0 when nkeys is 0 */
    int32_t db;          /* its client's database when it came; hosts add their own */
    uint8_t attempt;     /* 0 at first, +1 with every retry */
    uint8_t resp;        /* the protocol version of its reply, 2 or 3; 0: nobody cares */
    uint16_t otherwise;  /* which defaults are above, for a function that knows no way: target_note_default */
    uint16_t watcher;    /* the last action on the way that is told what happens at the host: set->watchers */
    uint8_t flows;       /* flows it has come through: one may lead to another, but not without end */
    bool pinned;         /* in a transaction, or it blocks: see query_reads */

    /* In: where the walk begins. Out: the leaf, or the function that has to be asked. */
    const struct target *target;
    /* The last built-in router the walk went through: a retry picks from it again. */
    const struct target *router;
    /* Set with target NULL when there is no route: a whole error line's text
     * without '-' and newline ("ERR router: …"), owned by whoever set it and
     * good until the query is answered at the end of the same batch; NULL = the usual "no route". */
    const char *error;

    /* Last, for they outlive the others: see struct request. */
    const struct command *command;
    struct client *client; /* who asks; NULL: nobody, or one who has left */
};

/* May it go where only reads go? What is pinned to one host goes where its writes go. */
static inline bool query_reads(const struct query *query)
{
    return (query->command->flags & COMMAND_READONLY) && !query->pinned;
}

static inline const char *query_key(const struct query *query)
{
    return query->bytes + query->key.at;
}
