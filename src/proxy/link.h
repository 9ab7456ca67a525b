/* A link: one connection to a host, shared by all clients of the worker (or lent to one, see lease.h).
 *
 *   requests ─► chain ─► socket ─► Redis          the chain keeps what was sent
 *   done()   ◄─ queue ◄─ replies in order ◄─      until its reply is in
 *
 * Before any request goes out, AUTH, SELECT and PING are sent in that order
 * and their replies are checked. A byte that nobody waits for closes it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/rest.h"
#include "net/stream.h"
#include "proxy/request.h"
#include "resp/resp.h"

#include <stdbool.h>
#include <stdint.h>

struct feed;
struct host;
struct proxy;
struct resolve;

enum link_state {
    LINK_IDLE,       /* no connection and none wanted yet */
    LINK_RESOLVING,  /* waits for the host's address */
    LINK_CONNECTING, /* TCP handshake under way; requests wait in the queue */
    LINK_GREETING,   /* AUTH, SELECT, PING are out; requests wait in the queue */
    LINK_READY,
    LINK_RESTING, /* failed; not tried again before `retry_at`; requests fail at once */
};

/* Slots that are no number: of a link that one client at a time has for itself, of one in subscriber mode. */
enum { LINK_PRIVATE = UINT32_MAX, LINK_FEED = UINT32_MAX - 1 };

struct link {
    struct stream stream;
    struct proxy *proxy;
    struct host *host;
    struct link *next;           /* the host's */
    struct link *dirty_next;     /* in proxy->dirty_links or dead_links */
    struct link *sibling;        /* of those that one command blocks */
    struct request *head, *tail; /* given to the link and not answered, oldest first */
    struct resolve *resolve;     /* while LINK_RESOLVING */
    enum link_state state;
    int32_t db;
    struct feed *feed; /* what its messages are for; NULL: none may come */
    uint32_t slot;     /* which of the host's `connections`, or LINK_PRIVATE, LINK_FEED */
    uint32_t epoch;    /* how many connections have ended: another number is another connection */
    uint32_t depth;    /* requests in the queue */
    uint8_t greetings; /* replies of the handshake still to come */
    uint8_t tries;     /* connects in a row that failed */
    bool dirty;
    bool keep; /* reconnects by itself (the configured database) */
    bool dead;
    bool leased;      /* a private link that somebody has; see lease.h */
    double allowance; /* seconds that its command may block, added to its deadline; INFINITY: for ever */
    double since; /* proxy clock when it began to connect */
    double heard; /* proxy clock at the last byte from the host, or of the first wait for one */
    double retry_at;
    char *refusal; /* LINK_RESTING: the host's own error line in the handshake, or NULL */
    char *reason;  /* why it failed last, in words; NULL: it never did */
    struct rest in; /* an incomplete reply */
    struct resp_reply scan; /* of the reply that begins at in, or in the read buffer */
};

struct link *link_create(struct host *host, int32_t db, uint32_t slot);
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
