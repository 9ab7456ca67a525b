/* Undoing: a request whose keys have been changed on the way carries what has
 * to be changed back in its reply.
 *
 *   rewrite    GET k ─► GET p:k        nothing to undo: no key comes back
 *              BLPOP k ─► BLPOP p:k    undo_push; the reply [p:k, v] becomes [k, v]
 *
 * A key in a reply that is not one of ours (KEYS, SCAN) is left out. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rewrite;
struct writer;

/* What form a reply has that carries keys. */
enum undo_kind {
    UNDO_NOTHING,
    UNDO_ERROR,   /* only its errors tell the key: XINFO, XPENDING … */
    UNDO_FIRST,   /* the first element of the array: BLPOP, LMPOP … */
    UNDO_STREAMS, /* arrays that begin with the key, or the names of a map: XREAD */
    UNDO_KEY,     /* one key: RANDOMKEY */
    UNDO_LIST,    /* an array of keys: KEYS */
    UNDO_PAGE,    /* a cursor and an array of keys: SCAN */
    UNDO_PARTS    /* the replies of a transaction */
};

struct undo {
    struct undo *next; /* of the same reply, to be undone after this one */
    struct undo *later; /* UNDO_PARTS: of the next part that has any */
    struct undo *parts; /* UNDO_PARTS: of its first part that has any, */
    struct undo **last; /* and where the next is to be noted */
    uint32_t place;    /* which part it is */
    uint32_t tries;    /* UNDO_KEY: how often another key may be asked for */
    enum undo_kind kind;
    const struct target *target; /* the rewrite that has changed the request */
    request_done *done; /* what gets the reply; see undo_wrap */
    size_t pattern_size; /* the keys have to fit that, too; 0: no pattern */
    char pattern[];
};

/* Notes that the reply has to be changed back as the rewrite says. */
struct undo *undo_push(struct request *request, enum undo_kind kind, const struct target *target,
                       const char *pattern, size_t pattern_size);
/* From now on the request's `done` gets the reply as it has to be. */
void undo_wrap(struct request *request);
/* The same at once, for a `done` that asks for it; *reply is good until the writer ends. */
void undo_reply(struct request *request, struct reply *reply, struct writer *out);
void undo_drop(struct undo *undo); /* NULL is fine */

/* A transaction keeps what its command number `place` has to be undone, in *parts, which EXEC gets. */
void undo_keep(struct undo **parts, uint32_t place, struct undo *undo);
