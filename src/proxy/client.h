/* A client: one connection that speaks RESP to us as to one Redis.
 *
 *   bytes ─► scan ─► queue of requests ─► dispatch ─► …
 *   bytes ◄─ out  ◄─ head of the queue, as soon as it is answered
 *
 * Replies leave in the order of the queue, whatever the hosts do. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/rest.h"
#include "net/stream.h"
#include "proxy/listener.h"
#include "proxy/request.h"
#include "resp/resp.h"

#include <stdbool.h>
#include <stdint.h>

struct account;
struct cluster;
struct command;
struct order;
struct profile;
struct proxy;
struct session;
struct subscriber;

/* Bytes that wait for the rest of their command, or for their turn. */
struct input {
    struct rest rest;
    struct resp_request scan; /* of the command that begins the rest */
};

/* CLIENT REPLY */
enum client_mute { MUTE_NONE, MUTE_NEXT, MUTE_ALL };

/* Why later commands wait, in bits. */
enum client_hold {
    HOLD_COMMAND = 1, /* for one that is not simply routed: client_hold */
    HOLD_ORDER = 2    /* for flows: see order.h */
};

/* What each command touches comes first. One client is four cache lines: a
 * worker has thousands of idle ones. */
struct client {
    struct stream stream;
    struct proxy *proxy;
    struct request *head, *tail;    /* oldest first */
    struct input *input;            /* NULL: nothing waits */
    struct listener *listener;
    struct client *dirty_next;      /* in proxy->dirty_clients, or in dead_clients */
    double active;                  /* loop time, seconds */
    struct session *session;        /* NULL: it has nothing open with one host */
    struct order *order;            /* what waits for flows of its own; NULL: it has had none */
    struct subscriber *subscriber;  /* NULL: it listens to nothing */
    const struct account *account;  /* whose rights it has, see login.h; NULL: nobody asks */
    uint32_t pending;               /* requests in the queue */
    uint8_t resp;                   /* the version of the protocol it speaks: 2, or 3 after HELLO 3 */
    uint8_t mute;                   /* enum client_mute, for the next request */
    uint8_t hold;    /* enum client_hold; not 0: later commands wait, little or nothing is read */
    uint8_t reads;   /* counts the reads */
    uint16_t held_at; /* measure_clock, coarsely, when replies were first held back for company */
    bool dirty;
    bool blocked;     /* the socket takes no more for now */
    bool dead;        /* closed; freed at the turn's end */
    bool resume : 1;  /* there is input that was held back */
    bool eof : 1;     /* the peer will send no more */
    bool closing : 1; /* QUIT, or a protocol error: no more commands; close when all is written */
    bool slotted : 1; /* a router script keeps values for it */
    bool amid : 1;    /* the next in the queue came with the last that was answered */
    bool held : 1;    /* replies are held back, until that one is answered, or */
    bool late : 1;    /* for too long now */
    bool listed : 1;  /* in proxy->company */
    int32_t db;      /* SELECT */
    uint32_t created; /* loop time, whole seconds */
    size_t kept;     /* bytes of replies that wait in the queue for their turn */
    const struct command *command;  /* the last one it sent that there is; NULL: none yet */
    struct request *paused;         /* waits for the end of CLIENT PAUSE; NULL: none does */
    struct profile *profile;        /* NULL: there is nothing to say of it */
    struct client *next, *previous; /* all clients of the worker */
    uint64_t id;
} __attribute__((aligned(64)));

/* Takes over the descriptor. */
struct client *client_create(struct listener *listener, int fd);

/* Ends the connection; the one way out. The reason, in words, goes to the log
 * (debug). Requests in flight are orphaned: their replies are swallowed. */
void client_close(struct client *client, const char *reason);

/* No more commands are read; what is owed is delivered, then the connection closes. */
void client_finish(struct client *client);

/* For a worker that leaves: what has already arrived is still answered. */
void client_drain(struct client *client);

/* Holds the commands behind the present one, and lets them go on. */
void client_hold(struct client *client);
void client_release(struct client *client);
/* The same for proxy/order. */
void client_hold_back(struct client *client);
void client_let_go(struct client *client);
/* It has something to decide at the turn's end. */
void client_stir(struct client *client);

/* Puts a request at the end of the queue, to be answered through client_done. */
void client_queue(struct client *client, struct request *request);
/* The `done` of a client's requests: the reply goes out in its turn. */
void client_done(struct request *request, const struct reply *reply);
/* Room in the client's output for a reply of at most `size` bytes that is made now, so that it need not be
 * copied there: hand it to done with `placed`. NULL: others go first, or it is somebody else's, or big. */
char *client_room(struct request *request, size_t size);
/* Puts away a request that only waited to be begun: its client has gone. */
void client_forsake(struct request *request);

/* Sends what no request asked for, between two replies: a copy, or what is
 * sent to many. false: the client is leaving, maybe because it has left too
 * much unread. */
bool client_push(struct client *client, const char *bytes, size_t size);
bool client_push_shared(struct client *client, struct shared *shared);

/* The cluster its commands go to now, or NULL after a reload that dropped it. */
static inline struct cluster *client_cluster(const struct client *client)
{
    return client->listener->cluster;
}

/* "127.0.0.1:50312" or the socket's path. Returns text. */
const char *client_address(const struct client *client, char *text, size_t size);

/* At the turn's end, first: goes on with input that was held back. */
void client_resume(struct client *client);
/* Then: writes, or waits for company, or closes. true: ask again next turn. */
bool client_turn_end(struct client *client);
/* Of one whose replies have been held back: false: no more, or they go out at this turn's end. */
bool client_stays_held(struct client *client);
/* The janitor's part: idle timeout. */
void client_tick(struct client *client, double now);
/* Frees a dead client. */
void client_destroy(struct client *client);
/* Frees memory that clients have had, beyond what a quiet worker needs. */
void client_shrink(void);
