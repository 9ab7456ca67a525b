/* Order: what a client's later commands wait for, while flows of its own are
 * open. A flow goes on when hosts have answered, so what comes behind one that
 * writes has to wait for its end; what comes behind others need not.
 *
 * Whoever has a command for longer than one journey to hosts takes a hold on
 * its client, and hears by it that the client has left. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct order;
struct request;

enum order_kind {
    ORDER_NONE,  /* nothing waits */
    ORDER_KEY,   /* later commands with one of its keys, or without any key */
    ORDER_CLIENT /* all later commands */
};
/* "client", "key" or "none". */
bool order_parse(const char *name, enum order_kind *kind);
const char *order_name(enum order_kind kind);

/* The keys of a command, as hashes. */
struct order_keys {
    uint32_t count; /* 0: it has none, or it is about all of them */
    uint64_t first, *others; /* others: from malloc */
};

/* Stands in what its maker keeps. Zero it to begin. */
struct hold {
    struct hold *next, **place; /* of the client's; place NULL: it is not open */
    struct client *client;
    enum order_kind kind;
    struct order_keys keys; /* ORDER_KEY */
    /* The client has gone (the hold has ended then), or it may have: it sends nothing more, but may still
     * read (the hold may go on). */
    void (*left)(struct hold *hold, bool gone);
};

/* The request is the client's, or a part of one. */
void hold_begin(struct hold *hold, struct client *client, enum order_kind kind,
                const struct request *request);
/* What waited for it goes on at the turn's end. One that is not open is fine. */
void hold_end(struct hold *hold);

/* Has the client an open hold? */
bool order_is_open(const struct client *client);
/* A routed request is about to be sent: does it have to wait? Then it will be sent later. */
bool order_keeps(struct request *request);
/* The same for what is not simply routed: it waits until no hold keeps anything, and nothing else waits.
 * Then intake begins with it once more. */
bool order_keeps_alone(struct client *client, struct request *request);
/* Has a hold ended since order_go_on? */
bool order_is_stirred(const struct client *client);
/* At the turn's end: sends what need not wait any more. */
void order_go_on(struct client *client);
/* The client will send nothing more; it has gone. */
void order_eof(struct client *client);
void order_leave(struct client *client);
void order_destroy(struct order *order);
