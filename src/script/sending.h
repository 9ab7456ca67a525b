/* A sending: one command that a flow has sent and may wait for. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "net/alarm.h"
#include "proxy/request.h"

struct answer;
struct flow;
struct flows;

enum { SENDING_SMALL = 128 };

struct sending {
    struct sending *next, **place; /* of its flow's */
    struct flow *flow;
    struct request *part;   /* under way; NULL: answered */
    struct answer *object;  /* Lua's; NULL: none yet */
    bool counts;            /* its flow waits for it among others */
    double seconds;         /* its timeout */
    struct alarm alarm;
    struct reply reply;     /* bytes NULL: not there */
    char *memory;           /* where the bytes are, or in `small` */
    char small[SENDING_SMALL];
};

/* The command of the flow as it came, for a target. seconds: INFINITY, or when to give up. */
struct sending *sending_copy(struct flow *flow, const struct target *target, double seconds);
/* Another command; takes the bytes, which are from malloc. */
struct sending *sending_make(struct flow *flow, const struct target *target, char *bytes, size_t size,
                             double seconds);
/* One that nobody waits for. flow: whose it is, or NULL. */
void sending_cast(struct flows *flows, struct flow *flow, struct cluster *cluster,
                  const struct target *target, char *bytes, size_t size);
/* Sets a part on its way, when no Lua runs. */
void sending_go(struct request *part);
/* Nobody wants its reply any more: frees it. */
void sending_forget(struct sending *sending);
