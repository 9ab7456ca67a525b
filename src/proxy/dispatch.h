/* Dispatch: asks the router, and sends commands whole, in parts or to many. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/request.h"
#include "route/target.h"

struct proxy;

/* Routes the commands of one read event together (router scripts are asked once
 * for all of them) and sends each on its way, in order. */
void dispatch_batch(struct request **requests, size_t count);

/* Routes queries to leaves: target_walk, and the script layer where it stops at
 * a function. Used for single decisions too (--route, NYDUS ROUTE). */
void dispatch_route(struct query **queries, size_t count);

/* The same, and on through the actions that are transparent: to what one host can be named for. acting:
 * it stops at those that have `pass`. */
void dispatch_settle(struct query **queries, size_t count, bool acting);

/* Sends a request to the leaf in its query.target, or fails it when there is none. */
void dispatch_leaf(struct request *request);

/* The same for an action that has routed it itself: a function may have led it back to that action, and so
 * without end. Then it is failed. */
void dispatch_inside(struct request *request);

/* Sends a request of dispatch_batch, which has been routed. */
void dispatch_routed(struct request *request);

/* Answers with what a router script has made, which was written before it was known for whom. */
void dispatch_reply(struct request *request, const char *bytes, size_t size);

/* Goes on with a request from whatever target is in its query.target. An
 * action (struct action) does so with the request itself, or with its parts. */
void dispatch_on(struct request *request);

/* Routes and sends one request; its hosts get it, or their parts of it, by `send` instead of host_send
 * (NULL: by host_send). */
void dispatch_to(struct request *request, action_send *send);

/* What has happened to a request at the host that it was sent to. */
struct mishap {
    const struct host *host; /* NULL: its router has none that is up */
    enum failure failure;
    const char *reason; /* good during the call */
};

/* A request could not be served by its link's host: tries another where that is safe
 * (Nydus's retry: only what cannot have run, or only reads), or fails it. */
void dispatch_failed(struct request *request, enum failure failure, const char *reason);

/* What something happens to at the host of a request: the request, or where that was an action's first
 * attempt with it, a part of it. */
struct request *dispatch_attempt(struct request *request);

/* Goes on with such a request from another target, in its query.target. */
void dispatch_elsewhere(struct request *request);

/* Fails such a request: nobody knows another way. */
void dispatch_give_up(struct request *request, const struct mishap *mishap);

/* A host answered with an error: has the request been sent again, after what it
 * lacked (a script)? Then its answer is still to come. */
bool dispatch_mends(struct request *request, const struct reply *reply);

/* Does a command without a key, which came to all hosts of a built-in router,
 * have a way of its own over them (SCAN, RANDOMKEY)? */
bool dispatch_walks(const struct query *query, const struct target *list);

/* Are the replies of a list joined as the command table says (a built-in router
 * sent a command without key to all of its hosts), or is it the router's own
 * broadcast, which gives an array? */
bool dispatch_joins(const struct query *query, const struct target *list);

/* Finds the keys of a request that is fresh from the scanner. false: they
 * contradict the command's syntax, the request has been failed. */
bool dispatch_find_keys(struct request *request, const struct resp_request *scan);
