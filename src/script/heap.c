/* The garbage of a Lua state; see heap.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/heap.h"

#include "base/clock.h"
#include "base/log.h"
#include "script/state.h"

#include <stdint.h>

/* HEAP_SLACK: bytes of garbage that are not worth a collection.
 * HEAP_STEPS: steps between two looks at the clock; one takes 0.3 µs in the median.
 * HEAP_DEBT: for so many bytes too many one step more is made.
 * HEAP_ROUNDS: what became garbage during a collection is found by the next. */
enum {
    HEAP_SLACK = 256 * 1024,
    HEAP_STEPS = 8,
    HEAP_DEBT = 256,
    HEAP_BUDGET = 200 * 1000, /* nanoseconds for one turn */
    HEAP_ROUNDS = 2,
    HEAP_LARGE = 32 * 1024 * 1024
};

static bool heap_started(const struct heap *heap)
{
    return heap->begin != SIZE_MAX;
}

/* No collection until half of what is left of the limit is used up: more than
 * that is made within one turn, or everything is kept. LuaJIT takes the bound
 * as a percentage of what is there. */
static void heap_rest(struct state *state)
{
    size_t room = state->used < state->limit ? (state->limit - state->used) / 2 : HEAP_SLACK;
    size_t percent = (state->used + room) / (state->used / 100 + 1) + 1;
    lua_gc(state->L, LUA_GCSETPAUSE, percent < INT32_MAX ? (int)percent : INT32_MAX);
    lua_gc(state->L, LUA_GCRESTART, -1);
}

static void heap_warn(struct state *state)
{
    struct heap *heap = &state->heap;
    if (heap->large || heap->live <= HEAP_LARGE)
        return;
    heap->large = true;
    log_warn("router scripts keep %zu MB in Lua, which makes collecting garbage slow "
             "(router_memory is %zu MB); let them keep less",
             heap->live >> 20, state->limit >> 20);
}

/* A collection has ended. */
static void heap_weigh(struct state *state)
{
    struct heap *heap = &state->heap;
    heap->live = state->used;
    heap->running = false;
    size_t room = heap->live < state->limit ? (state->limit - heap->live) / 4 : 0;
    size_t more = heap->live / 2 + HEAP_SLACK;
    heap->begin = heap->live + (more < room || !room ? more : room);
    heap_warn(state);
}

/* true: a collection has ended. */
static bool heap_step(struct state *state)
{
    for (int i = 0; i < HEAP_STEPS; i++) {
        if (lua_gc(state->L, LUA_GCSTEP, 0)) {
            heap_weigh(state);
            return true;
        }
    }
    return false;
}

/* Until `steps` are made, a collection ends or the time is over. */
static bool heap_steps(struct state *state, size_t steps)
{
    uint64_t end = clock_ns() + HEAP_BUDGET;
    bool ended = heap_step(state);
    for (size_t made = HEAP_STEPS; !ended && made < steps && clock_ns() < end; made += HEAP_STEPS)
        ended = heap_step(state);
    heap_rest(state);
    return ended;
}

/* The loop has nothing else to do. */
static void on_idle(struct ev_loop *loop, ev_idle *watcher, int events)
{
    struct state *state = watcher->data;
    struct heap *heap = &state->heap;
    (void)events;
    if (!heap_steps(state, SIZE_MAX) || --heap->rounds > 0)
        return;
    ev_idle_stop(loop, watcher);
    heap->whole = state->limit / 4 * 3;
    if (heap->whole < state->used + state->limit / 8) /* it is in use: not again for what is little */
        heap->whole = state->used + state->limit / 8;
}

static void heap_whole(struct heap *heap)
{
    if (!heap->loop || ev_is_active(&heap->idle))
        return;
    heap->rounds = HEAP_ROUNDS;
    ev_idle_start(heap->loop, &heap->idle);
}

void heap_turn(struct state *state)
{
    struct heap *heap = &state->heap;
    if (!heap->running && state->used <= heap->begin)
        return;
    heap->running = true;
    heap_steps(state, state->used > heap->begin ? (state->used - heap->begin) / HEAP_DEBT : 0);
    if (state->used > heap->whole)
        heap_whole(heap);
}

static void on_turn(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    (void)loop;
    (void)events;
    heap_turn(watcher->data);
}

void heap_start(struct state *state, struct ev_loop *loop)
{
    struct heap *heap = &state->heap;
    heap->loop = loop;
    heap->begin = 0;
    heap->whole = state->limit / 4 * 3;
    if (!loop) {
        heap_collect(state);
        return;
    }
    heap->running = true; /* what loading has left goes over the next turns: 1.2 ms with 300 hosts */
    heap_rest(state);
    ev_prepare_init(&heap->turn, on_turn);
    ev_set_priority(&heap->turn, EV_MINPRI); /* behind the proxy's, which writes the replies */
    heap->turn.data = state;
    ev_prepare_start(loop, &heap->turn);
    ev_idle_init(&heap->idle, on_idle);
    ev_set_priority(&heap->idle, EV_MINPRI);
    heap->idle.data = state;
}

void heap_stop(struct state *state)
{
    struct heap *heap = &state->heap;
    if (heap->loop) {
        ev_prepare_stop(heap->loop, &heap->turn);
        ev_idle_stop(heap->loop, &heap->idle);
    }
}

void heap_collect(struct state *state)
{
    lua_gc(state->L, LUA_GCCOLLECT, 0);
    if (!heap_started(&state->heap))
        return;
    heap_weigh(state);
    heap_rest(state);
}
