/* Flows: functions of scripts that run as coroutines and may wait.
 *
 *   request ─► flow_run ─► coroutine ─► sends, sleeps … ─► yields
 *   replies, timers ─► ready ─► resumed together at the turn's end ─► … ─► its reply
 *
 * Lua only notes down what is to be sent; that is done when it has returned or
 * yielded, for routing may ask Lua. A flow without a request is a task. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "net/alarm.h"
#include "proxy/order.h"
#include "proxy/proxy.h"
#include "proxy/request.h"
#include "script/abi.h"
#include "script/answer.h"
#include "script/decide.h"

/* FLOWS_MOST: open in one worker. FLOW_DEPTH: a flow leads to a flow leads to a flow … */
enum { FLOWS_MOST = 100 * 1000, FLOW_DEPTH = 16, FLOW_CLAIMS = 64, FLOW_SMALL = 192 };

enum flow_wait {
    FLOW_RUNS,   /* or is about to */
    FLOW_REPLY,  /* to one command, */
    FLOW_SOME,   /* to some of those it has spawned */
    FLOW_TIME,
    FLOW_ANSWER, /* for its request to be answered, which may lead to other Lua code */
    FLOW_CLAIM   /* for a lock that somebody else has */
};

/* What holds for all flows of one function. */
struct flow_rules {
    enum order_kind order;
    bool reads;    /* those whose commands only read hold later ones, too */
    bool finishes; /* they go on to their end when their client has left */
};

/* A lock; `number` is what Lua knows it by. */
struct flow_claim {
    uint64_t key, token, number;
};

struct flow {
    struct whole whole; /* first; what it has to answer; request NULL: it has, or it is a task */
    struct hold hold;
    struct flows *flows;
    struct flow *next, **place; /* of all open ones */
    struct flow *ready_next;
    const struct target *target; /* NULL: a task */
    lua_State *L;                /* its coroutine, and the reference to that */
    int ref;
    enum flow_wait wait;
    bool ready;     /* it is in the list of those, */
    bool waited;    /* and what it waited for has come */
    bool running;   /* its Lua code, at this moment */
    bool leaving;   /* its client may have left: the next wait ends it */
    bool cancelled; /* to be ended as soon as it does not run */
    uint64_t handle;
    struct query query; /* what it was asked; its bytes are in small, the request's, or in memory */
    bool multiple;      /* its keys are routed one by one */
    uint64_t arrived;   /* as the request's */
    char *memory;
    struct cluster *cluster; /* what it sends is this one's; it keeps the generation, unless it is a task */
    struct sending *sendings; /* not answered, or not asked for yet */
    struct sending *awaited;  /* FLOW_REPLY */
    uint32_t left;            /* FLOW_SOME: so many have to come */
    uint32_t sending_count;
    struct answer *large;     /* answers that end with it */
    struct alarm alarm;
    double until;   /* loop time: FLOW_CLAIM gives up then, */
    double seconds; /* keeps what it gets for so long, */
    double pause;   /* and looks again after this */
    uint64_t wanted;
    struct flow_claim *claims; /* locks that it has */
    uint32_t claim_count;
    char small[FLOW_SMALL]; /* the bytes of a request that is not large */
};

/* All of a state. */
struct flows {
    struct decider *decider;
    struct state *state;
    struct proxy *proxy;  /* NULL: it serves nobody, nothing runs */
    struct answers answers;
    struct flow *open, *spare;
    uint32_t spare_count;
    uint64_t last_claim;
    struct flow *ready, **ready_last;
    struct flow *now;     /* whose Lua code runs */
    struct flow *tasks;   /* by ready_next: they begin with flows_begin */
    bool busy;            /* flows are being resumed: what becomes ready waits */
    bool begun;
    uint32_t count;
    uint32_t casts;       /* commands on their way that nobody waits for */
    struct { lua_State *L; int ref; } threads[1024]; /* coroutines that have ended well */
    uint32_t thread_count;
    struct request *unsent, **unsent_last; /* by link_next */
    struct errand errand;
    struct log_limit said;
    struct flows *next, **place; /* of this process */
};

void flows_init(struct flows *flows, struct decider *decider);
void flows_deinit(struct flows *flows);
/* Tasks begin; they end. */
void flows_begin(struct flows *flows);
void flows_leave(struct flows *flows);
/* The worker leaves: ends every flow of every state. */
void flows_end_all(void);

/* The target; function: a reference to what runs, as lua/nydus/flow.lua makes it. */
struct target *flow_target(struct flows *flows, int function, const char *name, struct flow_rules rules);
/* The function on top of L's stack, which it takes. */
void flow_task(struct flows *flows, lua_State *L, struct cluster *cluster);

/* ---- for what a flow's code asks for ---- */

/* What it waited for may have come: resumes it soon. */
void flow_wake(struct flow *flow, bool came);
/* One of its commands has been answered. */
void flow_answered(struct flow *flow, struct sending *sending);
/* Yields: to be returned by a lua_CFunction. seconds: INFINITY is for ever. */
int flow_yield(struct flow *flow, lua_State *L, enum flow_wait wait, double seconds);
/* Takes the lock `wanted` for `seconds`, if it is free; gives back the one at a place: was it still held? */
bool flow_claim(struct flow *flow);
bool flow_unclaim(struct flow *flow, uint32_t place);
/* Something is to be sent when Lua has returned. */
void flows_send_later(struct flows *flows, struct request *part);
