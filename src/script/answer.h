/* Answers: the replies that flows get, as scripts hold them.
 *
 * One is a userdata with the bytes of the reply; nothing is parsed before it is
 * asked for. A large one has its bytes beside Lua's memory and is over when its
 * flow ends; the others live as long as somebody holds them. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/request.h"
#include "script/state.h"

#include <lua.h>

struct sending;
struct writer;

enum { ANSWER_LARGE = 32 * 1024 };

struct answer {
    struct state *state;
    struct sending *sending;     /* whose reply it will be; NULL: it is there */
    struct answer *next, **place; /* of those that end with a flow; place NULL: it does not */
    const char *bytes;           /* NULL: it is over, or not there */
    size_t size;
    char *memory;     /* from malloc: where bytes are; NULL: behind this struct */
    size_t charged;   /* bytes of it that count as the state's */
    size_t seen_at;   /* where element number `seen` begins; */
    uint32_t seen;    /* 0: none has been looked for */
    uint8_t resp;     /* the protocol version of the bytes */
};

/* The metatables of a state. */
struct answers {
    struct state *state;
    int quick, careful; /* references in the registry: without and with a finalizer */
    const void *quick_meta, *careful_meta;
};

/* Pushes the table of their methods; more may be put there. */
void answers_init(struct answers *answers, struct state *state);

/* Pushes a reply that is there; `large`: the list of those that end with the flow. What reply->give has may
 * be taken. */
struct answer *answer_push(struct answers *answers, lua_State *L, const struct reply *reply, uint8_t resp,
                           struct answer **large);
/* Pushes one whose reply is still to come, */
struct answer *answer_push_open(struct answers *answers, lua_State *L, struct sending *sending, uint8_t resp);
/* and here it is. */
void answer_fill(struct answer *answer, const struct reply *reply, struct answer **large);
/* Frees its bytes: it is over. */
void answer_end(struct answer *answer);
/* What is at `index` of the stack, if it is one; else NULL. */
struct answer *answer_at(const struct answers *answers, lua_State *L, int index);
/* Its bytes in the writer's version of the protocol; it has to be there. */
void answer_write(const struct answer *answer, struct writer *writer);
/* The text of a string, a status, an error or a number; NULL: it has none. */
const char *answer_text(const struct answer *answer, size_t *size);
