/* A host: one Redis server as a cluster's entry, its options and its links.
 *
 * Hosts live in a registry of the worker, found by all their options
 * together, so that a reload which changes nothing of a host finds the same
 * object with its links up. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/set.h"
#include "route/router.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link;
struct proxy;
struct request;

/* As in config.lua, all defaults filled in. Strings are copied by host_acquire. */
struct host_options {
    const char *cluster; /* the cluster's name: hosts are not shared between clusters */
    const char *identifier;
    bool named;                   /* the operator gave the identifier */
    const char *host;             /* name or address; NULL with unix_socket_path */
    const char *unix_socket_path; /* NULL: TCP */
    const char *address;          /* "host:port" or the path, for logs */
    const char *user, *password;  /* NULL: none */
    int64_t key;                  /* the key in `hosts = { [0] = …}` */
    uint16_t port;
    int32_t db;
    uint32_t weight;
    uint32_t connections;            /* links per worker and database */
    double timeout, connect_timeout; /* seconds */
    double retry_timeout;            /* seconds a host stays marked down at least */
    uint32_t failure_limit;          /* failures in a row before it is marked down */
};

/* Where a host sits in a built-in router: told when it goes down or comes back. */
struct seat {
    struct seat *next;
    struct router *router;
    int index;
};

/* How a host looks to a worker. */
enum host_state {
    HOST_IDLE,       /* nothing was tried yet */
    HOST_CONNECTING, /* for the first time */
    HOST_UP,
    HOST_AWAY, /* cannot be reached, as the links know that keep trying */
    HOST_DOWN, /* marked down */
    HOST_STATES
};

/* All options in one piece, equal in all workers: the registry's key. Holds secrets: never log. */
struct fingerprint {
    char *bytes; /* owned */
    size_t size;
};

struct host {
    struct set_node node; /* in the registry */

    /* Set by config */
    struct host_options options;
    struct fingerprint fingerprint;
    struct proxy *proxy;

    /* Changing at run time */
    struct host *next, **place; /* in the list of all of the proxy's, and what points to it there */
    uint32_t refs;      /* generations that know it */
    struct link *links; /* all its links, by database */
    struct seat *seats; /* routers that eject it */
    bool down;          /* marked down: routers with eject do not choose it */
    double failed_at;   /* proxy clock at the last failure */
    double down_until;  /* proxy clock; not taken back before */
    uint32_t failures;  /* in a row */
    char *reason;       /* of the last failure, in words; NULL: none */
};

/* Finds the host with exactly these options, or makes it; the caller owns a
 * reference. No connection is opened here. */
struct host *host_acquire(struct proxy *proxy, const struct host_options *options);
void host_release(struct host *host);

/* Ends up to `most` of the hosts that were released last and have links still: to close those of many takes
 * time. false: there are no more. */
bool host_bury(struct proxy *proxy, uint32_t most);

/* Opens the links for the configured database, ahead of traffic. false: there was nothing to open. */
bool host_connect(struct host *host);

/* Makes a link that host_send does not choose. It stands behind the shared ones, which are looked for with
 * every command. */
struct link *host_own_link(struct host *host, uint64_t lane);

/* Is one of its shared links up? */
bool host_is_connected(const struct host *host);

/* Sends a request to the host, or fails it at once when the host is away. */
void host_send(struct host *host, struct request *request);

/* Why it cannot be reached, as the links know that keep trying; NULL: for all they know, it can. */
const char *host_away(const struct host *host);

/* One more failure (a lost link, a silent host), or a sign of life. `back`: one
 * of those links that always try is connected again, so the others need not rest. */
void host_failed(struct host *host, const char *reason);
void host_succeeded(struct host *host, bool back);

/* A script says so: it is down for so many seconds at least, as if it had failed
 * (INFINITY: until host_take_back); or it is not. The host may have no proxy. */
void host_put_down(struct host *host, double seconds, const char *reason);
void host_take_back(struct host *host);

/* Whoever watches hosts is told that this one may have changed. */
void host_changed(const struct host *host);

enum host_state host_state(const struct host *host);
const char *host_state_name(enum host_state state);

/* Routers with `eject` sit here between generation start and end. */
void host_seat_add(struct host *host, struct router *router, int index);
void host_seat_remove(struct host *host, struct router *router);

/* How the host looks from this worker, for people. The texts are good until the
 * loop goes on. */
struct host_report {
    const char *state;    /* "up", "down" (marked), "away" (rests after a failure), "connecting" … */
    const char *reason;   /* why it is down or away; "" when it is not */
    uint32_t links;       /* that are up, of all databases */
    uint32_t pending;     /* requests that wait for its reply */
    uint32_t failures;    /* in a row */
};
struct host_report host_report(const struct host *host);

/* Requests of this worker that wait for its reply, on all links. */
uint32_t host_pending(const struct host *host);

/* The janitor's part: takes hosts back, reconnects, looks at deadlines. */
void host_tick(struct host *host);
