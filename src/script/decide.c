/* Decisions; see decide.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/decide.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/stats.h"
#include "proxy/cluster.h"
#include "script/received.h"
#include "script/view.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* DECIDE_STOPS: after so many stops in one batch the rest is not asked, or one
 * pipeline could hold up the worker for seconds. */
enum {
    DECIDE_ERROR_SIZE = 200,
    DECIDE_STOPS = 8,
    DECIDE_LOG_BURST = 5,
    DECIDE_FULL_SECONDS = 1,
    DECIDE_TIMED = 8
};

static const char stopped_words[] = "stopped: it ran for more than";

void decider_init(struct decider *decider, struct state *state)
{
    *decider = (struct decider){.state = state, .batch = xcalloc(1, sizeof *decider->batch)};
    view_setup(decider->batch);
    received_setup(decider->batch);
}

void decider_deinit(struct decider *decider)
{
    scrap_deinit(&decider->scrap);
    free(decider->batch);
}

size_t decider_line(const char *text, char *line, size_t room)
{
    int size = snprintf(line, room, "ERR router: %.*s", DECIDE_ERROR_SIZE, text);
    for (int i = 0; i < size; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = ' ';
    return (size_t)size;
}

static const char *error_line(struct decider *decider, const char *text)
{
    char line[DECIDE_ERROR_SIZE + 32];
    size_t size = decider_line(text, line, sizeof line);
    const char *kept = scrap_text(&decider->scrap, line, size);
    return kept ? kept : "ERR router: too many errors";
}

static void query_fail(struct decider *decider, struct query *query, const char *text)
{
    query->target = NULL;
    query->error = error_line(decider, text);
    decider->counters.errors++;
    stats->script_errors++;
    if (log_limit_pass(&decider->said, DECIDE_LOG_BURST))
        log_warn("router: %s: '%s': %s", query->error + strlen("ERR router: "), query->command->name,
                 "the client got this as an error");
}

static time_t seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec;
}

/* LuaJIT does not collect when memory runs out, so garbage counts as well.
 * true: it was worth it, the query may be asked again. */
static bool collect(struct decider *decider)
{
    struct state *state = decider->state;
    time_t now = seconds_now();
    if (now < decider->full_until)
        return false;
    heap_collect(state);
    if (state->used <= state->limit / 4 * 3)
        return true;
    decider->full_until = now + DECIDE_FULL_SECONDS + 1;
    return false;
}

/* What is blamed on a line of ours (a C function called in tail position, or
 * one of our modules): the place of the script's function says more. */
static void describe_error(const struct state *state, const char *name, const char *said, char *text,
                           size_t size)
{
    static const char driver[] = "nydus.driver:";
    const char *at = said;
    if (!strncmp(said, driver, sizeof driver - 1))
        at += sizeof driver - 1;
    else if (!strncmp(said, state->lua_dir, strlen(state->lua_dir)) && strstr(said, ".lua:"))
        at = strstr(said, ".lua:") + sizeof ".lua:" - 1;
    if (at > said)
        at += strspn(at, "0123456789");
    snprintf(text, size, "%s%s", at > said ? name : "", at);
}

void decider_describe(struct decider *decider, const char *name, int status, int milliseconds, char *text,
                      size_t size)
{
    struct state *state = decider->state;
    const char *said = state_error(state);
    if (state->stopped) {
        decider->counters.stops++;
        stats->script_stops++;
        if (lua_type(state->L, -1) == LUA_TSTRING && strstr(said, stopped_words))
            describe_error(state, name, said, text, size);
        else
            snprintf(text, size, "%s: %s %d ms", name, stopped_words, milliseconds);
    } else if (status == LUA_ERRMEM) {
        decider->counters.memory_errors++;
        snprintf(text, size, "%s: not enough memory (router_memory is %zu bytes)", name, state->limit);
    } else if (lua_type(state->L, -1) == LUA_TSTRING) {
        describe_error(state, name, said, text, size);
    } else {
        snprintf(text, size, "%s: %s", name, said);
    }
}

static void batch_fill(struct decider *decider, struct query **queries, size_t count)
{
    struct nydus_batch *batch = decider->batch;
    batch->queries = (const struct nydus_query *const *)queries; /* as view_of */
    batch->first = decider->next_handle + 1;
    decider->next_handle += count;
    batch->cur = 0;
    batch->count = (int32_t)count;
}

/* The call ended early, at the query batch->cur. true: so often that the router is out of service now. */
static bool batch_error(struct decider *decider, const struct target *function, int status,
                        struct query **queries)
{
    struct nydus_batch *batch = decider->batch;
    lua_State *L = decider->state->L;
    char text[512];
    decider_describe(decider, function->function.name, status, GUARD_STEP_LIMIT, text, sizeof text);
    lua_settop(L, 0);
    struct query *query = queries[batch->cur];
    query_fail(decider, query, text);
    batch->out[batch->cur] = NYDUS_NO_ROUTE;
    batch->cur++;
    return quarantine_failed(decider->owner, decider->state->stopped || status == LUA_ERRMEM, query->error);
}

/* The rest goes where the cluster's commands go from now on. */
static void batch_pass_on(struct decider *decider)
{
    struct nydus_batch *batch = decider->batch;
    while (batch->cur < batch->count)
        batch->out[batch->cur++] = (int32_t)decider->owner->root->id;
}

static void batch_refuse(struct decider *decider, const struct target *function, struct query **queries)
{
    struct nydus_batch *batch = decider->batch;
    char text[512];
    snprintf(text, sizeof text, "%s: not asked, it was stopped %d times just before", function->function.name,
             DECIDE_STOPS);
    for (; batch->cur < batch->count; batch->cur++) {
        query_fail(decider, queries[batch->cur], text);
        batch->out[batch->cur] = NYDUS_NO_ROUTE;
    }
}

/* Asks about the queries from batch->cur on; the status of the call. */
static int batch_call(struct decider *decider, const struct target *function)
{
    struct nydus_batch *batch = decider->batch;
    struct state *state = decider->state;
    lua_rawgeti(state->L, LUA_REGISTRYINDEX, function->function.ref);
    int status = state_call(state, 0, 0, &batch->cur, GUARD_STEP_LIMIT);
    batch->handle = NULL;
    return status;
}

/* The call ended early, with that status; goes on. Returns how many quarantine_asked has not heard of. */
static uint32_t batch_go_on(struct decider *decider, const struct target *function, struct query **queries,
                            int status)
{
    struct nydus_batch *batch = decider->batch;
    struct state *state = decider->state;
    int stops = 0;
    int32_t failed = -1, asked = 0;
    for (; status; status = batch->cur < batch->count ? batch_call(decider, function) : 0) {
        bool again = batch->cur == failed; /* the query has been asked twice */
        failed = batch->cur;
        if (status == LUA_ERRMEM && !state->stopped) {
            lua_settop(state->L, 0);
            if (collect(decider) && !again)
                continue;
            lua_pushnil(state->L);
        }
        stops += state->stopped;
        decider->now = clock_ns();
        quarantine_asked(decider->owner, (uint32_t)(failed + 1 - asked), decider->now);
        asked = failed + 1;
        if (batch_error(decider, function, status, queries)) {
            batch_pass_on(decider);
            return 0;
        }
        if (stops == DECIDE_STOPS) {
            batch_refuse(decider, function, queries);
            return 0;
        }
    }
    return (uint32_t)(batch->count - asked);
}

static void batch_run(struct decider *decider, const struct target *function, struct query **queries)
{
    uint32_t asked = (uint32_t)decider->batch->count;
    int status = batch_call(decider, function);
    if (status)
        asked = batch_go_on(decider, function, queries, status);
    quarantine_asked(decider->owner, asked, decider->now);
}

/* A function of a cluster that names its own cluster would be asked again, without end. */
static bool leads_back(const struct target *next, const struct target *function)
{
    const struct target *root = next->kind == TARGET_CLUSTER ? *next->cluster.root : NULL;
    while (root && root->kind == TARGET_ACTION && root->action.action->transparent)
        root = root->action.items[0];
    return root == function;
}

static void query_refuse(struct decider *decider, const struct target *function, struct query *query)
{
    char text[512];
    snprintf(text, sizeof text, "%s: returned its own cluster, which would ask it again",
             function->function.name);
    query_fail(decider, query, text);
    quarantine_failed(decider->owner, false, query->error);
}

static void batch_take(struct decider *decider, const struct target *function, struct query **queries,
                       size_t count)
{
    const int32_t *out = decider->batch->out;
    struct target *const *targets = decider->set->targets;
    uint32_t known = decider->set->count;
    for (size_t i = 0; i < count; i++) {
        struct query *query = queries[i];
        if ((uint32_t)out[i] < known) {
            query->target = targets[out[i]];
            if (query->target->kind == TARGET_CLUSTER && leads_back(query->target, function))
                query_refuse(decider, function, query);
        } else {
            query->target = out[i] == NYDUS_LOOSE ? decider->loose[i] : NULL;
        }
    }
}

/* What scripts kept for clients that have left is garbage now. */
static void forget_clients(struct decider *decider)
{
    struct target_set *set = decider->set;
    lua_State *L = decider->state->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, decider->slots);
    for (uint32_t i = 0; i < set->left_count; i++) {
        lua_pushnumber(L, (lua_Number)set->left[i]);
        lua_pushnil(L);
        lua_rawset(L, -3); /* a key that is there becomes nil: no memory is needed */
    }
    lua_settop(L, 0);
    set->left_count = 0;
}

/* Without a loop, five seconds are a turn. */
static unsigned turn_now(const struct decider *decider)
{
    return decider->loop ? ev_iteration(decider->loop) : (unsigned)(seconds_now() / 5);
}

/* These were on their way when the router was taken out of service. */
static void pass_on(struct decider *decider, struct query **queries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        queries[i]->target = decider->owner->root;
}

/* For how many batches the time of this one stands, with those before it; 0: it is not taken. Two looks at
 * the clock take as long as four decisions. */
static uint32_t timing_weight(struct decider *decider)
{
    if (++decider->untimed < decider->timed_after)
        return 0;
    uint32_t weight = decider->timed_after ? decider->timed_after : 1; /* the first stands for itself */
    decider->timed_after = DECIDE_TIMED;
    decider->untimed = 0;
    return weight;
}

static void decide_some(struct decider *decider, const struct target *function, struct query **queries,
                        size_t count)
{
    uint32_t weight = timing_weight(decider);
    uint64_t begun = 0;
    if (weight)
        begun = decider->now = clock_ns();
    batch_fill(decider, queries, count);
    batch_run(decider, function, queries);
    batch_take(decider, function, queries, count);
    decider->counters.batches++;
    decider->counters.queries += count;
    stats->script_batches++;
    stats->router_requests += count;
    if (weight)
        stats->router_ns += (clock_ns() - begun) * weight;
}

void decide(void *context, const struct target *function, struct query **queries, size_t count)
{
    struct decider *decider = context;
    decider->owner = function->function.owner;
    decider->spare = function->function.spare;
    scrap_turn(&decider->scrap, turn_now(decider));
    if (decider->set->left_count)
        forget_clients(decider);
    for (size_t here; count; queries += here, count -= here) {
        here = count < NYDUS_BATCH ? count : NYDUS_BATCH;
        if (quarantine_retired(function))
            pass_on(decider, queries, here);
        else
            decide_some(decider, function, queries, here);
    }
}
