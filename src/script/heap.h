/* The garbage of a Lua state, collected when nobody waits for a decision.
 *
 * LuaJIT collects while a script allocates, in the middle of a decision. From
 * heap_start on it rests; at the end of each turn of the loop, when the replies
 * are written, it makes some steps. A large heap is gone through as a whole
 * while the loop has nothing else to do. A single turn that makes very much
 * garbage wakes the collector all the same, before memory runs out. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct state;

struct heap {
    size_t live;     /* bytes in use when the last collection ended */
    size_t begin;    /* a turn that ends with more begins a collection; SIZE_MAX: LuaJIT does as it likes */
    bool running;    /* one has begun: every turn makes some steps */
    size_t whole;    /* one that ends with more asks for all of the heap to be gone through */
    unsigned rounds; /* collections to end until that is done */
    bool large;      /* the log has a warning */
    struct ev_loop *loop; /* NULL: there is none */
    ev_prepare turn;
    ev_idle idle;
};

/* What is loaded is loaded: from now on garbage is collected at the end of turns only. `loop`
 * NULL: all of it is once, now, and the caller calls heap_turn. */
void heap_start(struct state *state, struct ev_loop *loop);
void heap_stop(struct state *state);

/* A turn ends. Takes 200 µs at most, but for what LuaJIT does in one piece. */
void heap_turn(struct state *state);

/* Collects all garbage at once, which takes long where much is alive. */
void heap_collect(struct state *state);
