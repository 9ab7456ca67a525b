/* A link: one connection to a host, shared by all clients of the worker (or lent to one, see lease.h).
 *
 *   requests ─► chain ─► socket ─► Redis          the chain keeps what was sent
 *   done()   ◄─ queue ◄─ replies in order ◄─      until its reply is in
 *
 * Before any request goes out, AUTH, HELLO, SELECT and PING are sent in that
 * order, as far as they are needed, and their replies are checked. A byte that
 * nobody waits for closes it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/rest.h"
#include "net/stream.h"
#include "proxy/fifo.h"
#include "resp/resp.h"

#include <stdbool.h>
#include <stdint.h>

struct host;
struct proxy;
struct resolve;

enum link_state {
    LINK_IDLE,       /* no connection and none wanted yet */
    LINK_RESOLVING,  /* waits for the host's address */
    LINK_CONNECTING, /* TCP handshake under way; requests wait in the queue */
    LINK_GREETING,   /* AUTH … PING are out; requests wait in the queue */
    LINK_READY,
    LINK_RESTING, /* failed; not tried again before `retry_at`; requests fail at once */
};

/* Who gets what a host sends unasked: messages, invalidations. Each kind of owner has one static struct. */
struct receiver {
    void (*connected)(void *owner);
    void (*lost)(void *owner, const char *reason);
    void (*ended)(void *owner); /* the link will be freed */
    /* Is it for the owner? Then it has been taken, and is no reply to a request. */
    bool (*takes)(void *owner, const struct reply *reply);
};

/* Slots that are no number: of a link that one client at a time has for itself, of one with a receiver. */
enum { LINK_PRIVATE = INT32_MAX, LINK_FEED = INT32_MAX - 1 };

/* The words of the greeting, lowest bit first. */
enum greeting {
    GREETING_AUTH = 1 << 0,
    GREETING_HELLO = 1 << 1, /* to speak RESP3 */
    GREETING_SELECT = 1 << 2,
    GREETING_PING = 1 << 3
};

/* What makes requests share a link, in one number: the host's database, the
 * slot, and whether replies are to be RESP3 (resp 3; 2 and 0 are RESP2). */
static inline uint64_t link_lane(int32_t db, uint32_t slot, uint8_t resp)
{
    return (uint64_t)(uint32_t)db << 32 | (uint64_t)slot << 1 | (resp & 1); /* of 0, 2 and 3 */
}

struct link {
    struct stream stream;
    struct proxy *proxy;
    struct host *host;
    struct link *next;           /* the host's */
    struct link *dirty_next;     /* in proxy->dirty_links or dead_links */
    struct link *sibling;        /* of those that one command blocks */
    struct fifo queue;           /* given to the link and not answered */
    struct resolve *resolve;     /* while LINK_RESOLVING */
    enum link_state state;
    uint64_t lane;     /* the three below in one number */
    int32_t db;
    const struct receiver *receiver; /* NULL: nothing may come unasked */
    void *owner;       /* the receiver's */
    uint32_t slot;     /* which of the host's `connections`, or LINK_PRIVATE, LINK_FEED */
    uint8_t resp;      /* the protocol version that it speaks: 2, or 3 */
    uint32_t epoch;    /* how many connections have ended: another number is another connection */
    uint8_t greetings; /* words of the greeting whose replies are still to come */
    uint8_t tries;     /* connects in a row that failed */
    bool dirty;
    bool keep; /* reconnects by itself (shared, of the configured database, RESP2; or a feed's with ears) */
    bool dead;
    bool leased;      /* somebody has it who may be quiet: a private link (lease.h), a tracker's */
    double allowance; /* seconds that its command may block, added to its deadline; INFINITY: for ever */
    uint64_t begun; /* measure_clock when the host could begin with the first request of the queue */
    double since; /* proxy clock when it began to connect */
    double heard; /* proxy clock at the last byte from the host, or of the first wait for one */
    double idle;  /* `heard` when the last reply that was for nobody (a PING's) came */
    double used;  /* proxy clock when the janitor last saw that it is used */
    double patience; /* so many seconds it may be quiet before it is asked for a sign of life */
    double retry_at;
    enum greeting refused; /* the word that `refusal` is about */
    char *refusal; /* LINK_RESTING: the host's own error line in the greeting, or NULL */
    char *reason;  /* why it failed last, in words; NULL: it never did */
    struct rest in; /* an incomplete reply */
    struct resp_reply scan; /* of the reply that begins at in, or in the read buffer */
};

struct link *link_create(struct host *host, uint64_t lane);
/* Starts connecting when idle, or when a rest is over. */
void link_connect(struct link *link);
/* Queues a request, or fails it at once when the link rests. */
void link_send(struct link *link, struct request *request);
/* Sends a command of Nydus's own; its reply is for nobody. `bytes` are copied. */
void link_say(struct link *link, const char *bytes, uint32_t size);
/* The janitor's part: connect and reply deadlines, reconnects. */
void link_tick(struct link *link);
/* At the turn's end: writes. */
void link_turn_end(struct link *link);
/* Ends the connection as if it had broken. */
void link_break(struct link *link, const char *reason);
/* Closes for good: requests fail with the reason; freed at the turn's end. */
void link_retire(struct link *link, const char *reason);
void link_destroy(struct link *link);
