/* One command on its way: from a client (or from Nydus itself) to hosts and
 * back.
 *
 * A request is answered exactly once, by request_answer or request_fail, and
 * then calls its `done`. Its bytes are borrowed: first from the read buffer,
 * then from the link that carries it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/query.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct cluster;
struct host;
struct link;
struct request;
struct undo;

/* Why a request failed; decides what may be tried again. */
enum failure {
    FAILURE_NONE,    /* the host answered (maybe with an error of its own) */
    FAILURE_REFUSED, /* nothing was sent: it has certainly not run */
    FAILURE_LOST,    /* it was sent and the link broke: it may have run */
    FAILURE_TIMEOUT, /* it was sent and not answered in time: it may have run */
    FAILURE_LOCAL    /* Nydus itself said no (no route, CROSSSLOT, …) */
};

/* A whole reply in RESP. The bytes are only good during the call. */
struct reply {
    const char *bytes; /* never NULL */
    size_t size;
    enum failure failure;
    char **give;      /* not NULL: *give is from malloc, bytes are its first `size`, and whoever wants to
                       * keep them without a copy may take it and put NULL there */
    size_t give_room; /* the size of that allocation */
    bool placed;      /* the bytes are where client_room said; give points to a NULL */
};

typedef void request_done(struct request *request, const struct reply *reply);

enum { REQUEST_SMALL_REPLY = 56 }; /* bytes of a reply that can wait for its turn inside the request */

/* Three cache lines: what says where it goes, what comes and goes with its reply, what few need. */
struct request {
    union {
        struct query query; /* first: target and script layers see this */
        struct {            /* answered: the reply, over what said where the request goes */
            size_t size;
            union {
                char small[REQUEST_SMALL_REPLY];
                char *large; /* a block, or from malloc as blocks of its size are */
            };
        } reply;
    };
    union {
        struct request *next; /* in its client's queue, oldest first */
        void *context;        /* of a request that Nydus made itself: what its maker needs in done */
    };
    struct request *link_next; /* for who keeps some in a list: nobody else does at that time */
    request_done *done;
    struct client *client;   /* NULL: the client left, or there never was one */
    struct cluster *cluster; /* where it began; keeps that generation alive */
    struct chunk *chunk;     /* of the link's chain, holds query.bytes; NULL while borrowed elsewhere */
    bool answered;           /* in the client's queue: its reply waits here */
    bool multiple;           /* its keys are routed one by one */
    bool muted;              /* CLIENT REPLY: its client wants no reply */
    bool mended;             /* was sent to its host again, after what that lacked: not a third time */
    uint32_t before;         /* replies before its own that are for nobody: of MULTI and what it queued */
    uint64_t arrived;        /* measure_clock; 0: nobody measures it */
    double queued_at;        /* proxy clock when it was given to the link */
    struct link *link;       /* carries it at the moment */
    char *memory;            /* a big command's own bytes, from malloc: the link takes them over */
    struct undo *undo;       /* what has to be changed back in its reply, owned; NULL: nothing */
    struct whole *whole;     /* what this is one part of; NULL: nothing */
    uint32_t part;           /* which part of the whole */
    uint8_t read;            /* client->reads when it came: those that came together leave together */
} __attribute__((aligned(64)));

/* Deep pipelines have thousands of requests in flight, more than the cache
 * holds: fetching the next one while the present one is worked on saves 12 %
 * of the CPU at depth 64 and 3 to 6 % at depth 16. */
static inline void request_prefetch(const struct request *request)
{
    uintptr_t line = (uintptr_t)request; /* a number: there may be none, and NULL plus 64 is undefined */
    __builtin_prefetch((const void *)line, 1);
    __builtin_prefetch((const void *)(line + 64), 1);
    __builtin_prefetch((const void *)(line + 128), 1);
}

/* A request that is answered by way of others, its parts. It stands first in
 * what their maker keeps (a join, a hedge …). */
struct whole {
    struct request *request; /* NULL: it has been answered before all parts were */
};

/* All zero. */
struct request *request_get(void);
void request_put(struct request *request);
/* Frees memory that requests have had, beyond what a quiet worker needs. */
void request_shrink(void);

/* Says which cluster it is for, and keeps that generation alive until request_put. */
void request_join_cluster(struct request *request, struct cluster *cluster);

/* Copies the bytes, if they are only borrowed: the request has to wait. */
void request_keep_bytes(struct request *request);

/* A request for part `number` of a whole, as the whole in command, database,
 * protocol and generation; without bytes and target. */
struct request *request_part(struct whole *whole, uint32_t number, request_done *done);
/* The same with the bytes, keys and the number of them; they are only borrowed from the whole. */
struct request *request_copy(struct whole *whole, uint32_t number, request_done *done);
/* The client of a request, or of the command that it is a part of; NULL: none any more. */
struct client *request_client(const struct request *request);

/* The one way a request ends. */
void request_answer(struct request *request, const char *bytes, size_t size);
/* Ends it with an error line ("ERR …" without '-' and newline; newlines are blanked). */
void request_fail(struct request *request, enum failure failure, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
