/* Flows; see flow.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/flow.h"

#include "base/claim.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/stats.h"
#include "proxy/client.h"
#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "resp/writer.h"
#include "script/sending.h"
#include "script/view.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FLOW_LIMIT: milliseconds of CPU time that Lua may take from one wait to the next.
 * FLOWS_TURN: nanoseconds for one turn of the loop; what is left over has its turn in the next. */
enum {
    FLOW_LIMIT = 50,
    FLOWS_TURN = 20 * 1000 * 1000,
    FLOWS_LOOK = 16,
    FLOWS_LOG_BURST = 5,
    FLOWS_SPARE = 4096
};
static const double CLAIM_FIRST = 0.001, CLAIM_MOST = 0.02;

static struct flows *all_flows;

/* What a target of flows has. */
struct program {
    struct flows *flows;
    int function; /* in the registry */
    char *name;   /* "router.lua:12" */
    struct flow_rules rules;
    struct cluster *owner;
};

static struct ev_loop *loop_of(const struct flow *flow)
{
    return flow->flows->proxy->loop;
}

static const char *flow_name(const struct flow *flow)
{
    const struct program *program = flow->target ? flow->target->action.state : NULL;
    return program ? program->name : "nydus.task";
}

/* ---- coroutines ---- */

static void thread_take(struct flow *flow)
{
    struct flows *flows = flow->flows;
    lua_State *L = flows->state->L;
    if (flows->thread_count) {
        flows->thread_count--;
        flow->L = flows->threads[flows->thread_count].L;
        flow->ref = flows->threads[flows->thread_count].ref;
        return;
    }
    flow->L = lua_newthread(L);
    flow->ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* One that was stopped or raised an error is of no use any more. */
static void thread_give(struct flow *flow, bool fine)
{
    struct flows *flows = flow->flows;
    if (fine && flows->thread_count < sizeof flows->threads / sizeof *flows->threads) {
        lua_settop(flow->L, 0);
        flows->threads[flows->thread_count].L = flow->L;
        flows->threads[flows->thread_count].ref = flow->ref;
        flows->thread_count++;
    } else {
        luaL_unref(flows->state->L, LUA_REGISTRYINDEX, flow->ref);
    }
    flow->L = NULL;
}

/* ---- life ---- */

static void on_time(void *owner);

static struct flow *flow_create(struct flows *flows)
{
    struct flow *flow = flows->spare;
    if (flow) {
        flows->spare = flow->next;
        flows->spare_count--;
    } else {
        flow = xmalloc(sizeof *flow);
    }
    memset(flow, 0, offsetof(struct flow, small));
    flow->flows = flows;
    flow->handle = ++flows->decider->next_handle;
    alarm_init(&flow->alarm, on_time, flow);
    flow->next = flows->open;
    flow->place = &flows->open;
    if (flow->next)
        flow->next->place = &flow->next;
    flows->open = flow;
    flows->count++;
    thread_take(flow);
    return flow;
}

static void flow_unready(struct flow *flow)
{
    struct flows *flows = flow->flows;
    struct flow **place = &flows->ready;
    if (!flow->ready)
        return;
    while (*place != flow)
        place = &(*place)->ready_next;
    *place = flow->ready_next;
    if (!*place)
        flows->ready_last = place;
    flow->ready = false;
}

/* Gives up all that it has, but for its request. */
static void flow_release(struct flow *flow, bool fine)
{
    flow_unready(flow);
    alarm_stop(loop_of(flow), &flow->alarm);
    while (flow->sendings)
        sending_forget(flow->sendings);
    while (flow->large)
        answer_end(flow->large);
    while (flow->claim_count)
        flow_unclaim(flow, flow->claim_count - 1);
    free(flow->claims);
    hold_end(&flow->hold);
    thread_give(flow, fine);
    flow->whole.request = NULL;
}

static void flow_free(struct flow *flow)
{
    struct flows *flows = flow->flows;
    *flow->place = flow->next;
    if (flow->next)
        flow->next->place = flow->place;
    free(flow->memory);
    flows->count--;
    if (flow->target)
        generation_leave(flow->cluster->generation);
    if (flows->spare_count >= FLOWS_SPARE) {
        free(flow);
        return;
    }
    flow->next = flows->spare;
    flows->spare = flow;
    flows->spare_count++;
}

/* Ends it without an answer: an error says why, to whoever still hears it. */
static void flow_end(struct flow *flow, const char *error)
{
    struct request *request = flow->whole.request;
    flow_release(flow, false);
    if (request)
        request_fail(request, FAILURE_LOCAL, "%s", error);
    flow_free(flow);
}

static void flow_cancel(struct flow *flow)
{
    flow->cancelled = true;
    if (!flow->running)
        flow_end(flow, "ERR its client has gone");
}

/* One that waits for a host has its reply soon, and may be at its end then; its client may only have closed
 * its half of the connection. */
static void on_left(struct hold *hold, bool gone)
{
    struct flow *flow = (struct flow *)((char *)hold - offsetof(struct flow, hold));
    bool detached = !flow->whole.request; /* it has answered: nobody waits for it */
    const struct program *program = flow->target->action.state;
    if (detached || program->rules.finishes)
        return;
    if (gone || (flow->wait != FLOW_REPLY && flow->wait != FLOW_RUNS))
        flow_cancel(flow);
    else
        flow->leaving = true;
}

/* ---- how it ends ---- */

static void answer_with(struct request *request, const struct answer *answer)
{
    if (answer->resp == request->query.resp || (answer->resp != 3 && request->query.resp != 3)) {
        request_answer(request, answer->bytes, answer->size);
        return;
    }
    struct writer writer = {.resp = request->query.resp};
    answer_write(answer, &writer);
    request_answer(request, writer.data, writer.size);
    writer_deinit(&writer);
}

/* A large reply is over with its flow: its memory may go where it goes. */
static void answer_and_give(struct request *request, struct answer *answer)
{
    if (!answer->place || answer->resp != request->query.resp) {
        answer_with(request, answer);
        return;
    }
    const struct reply reply = {.bytes = answer->bytes,
                                .size = answer->size,
                                .give = &answer->memory,
                                .give_room = answer->size};
    request->done(request, &reply);
}

/* What it has returned is on top of its stack: an answer, the bytes of one, the number of a target, nil. */
static void flow_finish(struct flow *flow)
{
    struct flows *flows = flow->flows;
    struct request *request = flow->whole.request;
    lua_State *L = flow->L;
    flow->whole.request = NULL;
    if (request) {
        struct answer *answer = answer_at(&flows->answers, L, -1);
        size_t size;
        if (answer && answer->bytes) {
            answer_and_give(request, answer);
        } else if (lua_type(L, -1) == LUA_TSTRING) {
            const char *bytes = lua_tolstring(L, -1, &size);
            dispatch_reply(request, bytes, size);
        } else if (lua_type(L, -1) == LUA_TNUMBER) {
            request->query.target = flows->decider->set->targets[lua_tointeger(L, -1)];
            request->query.client = request_client(request);
            dispatch_on(request);
        } else if (answer) {
            request_fail(request, FAILURE_LOCAL,
                         "ERR router: %s: returned a reply that has not come or is over",
                         flow_name(flow));
        } else {
            request_fail(request, FAILURE_LOCAL, "ERR no route for '%s'", request->query.command->name);
        }
    }
    flow_release(flow, true);
    flow_free(flow);
}

/* The error is on top of its stack. */
static void flow_fail(struct flow *flow, int status)
{
    struct flows *flows = flow->flows;
    lua_State *L = flows->state->L;
    char text[512], line[256];
    lua_xmove(flow->L, L, 1);
    decider_describe(flows->decider, flow_name(flow), status, FLOW_LIMIT, text, sizeof text);
    lua_settop(L, 0);
    decider_line(text, line, sizeof line);
    flows->decider->counters.errors++;
    stats->script_errors++;
    if (log_limit_pass(&flows->said, FLOWS_LOG_BURST))
        log_warn("router: %s: %s", line + strlen("ERR router: "),
                 flow->whole.request ? "the client got this as an error" : "nobody waits for it any more");
    if (flow->target) {
        const struct program *program = flow->target->action.state;
        quarantine_failed(program->owner, flows->state->stopped || status == LUA_ERRMEM, line);
    }
    flow_end(flow, line);
}

/* ---- resuming ---- */

static void flow_queue(struct flow *flow)
{
    struct flows *flows = flow->flows;
    flow->ready = true;
    flow->ready_next = NULL;
    *flows->ready_last = flow;
    flows->ready_last = &flow->ready_next;
    if (!flows->busy)
        proxy_run_errand(flows->proxy, &flows->errand);
}

static void send_all(struct flows *flows)
{
    while (flows->unsent) {
        struct request *part = flows->unsent;
        flows->unsent = part->link_next;
        if (!flows->unsent)
            flows->unsent_last = &flows->unsent;
        part->link_next = NULL;
        sending_go(part);
    }
}

/* It has yielded with what its request is to be answered with, and goes on. */
static void flow_reply(struct flow *flow)
{
    struct request *request = flow->whole.request;
    const struct answer *answer = answer_at(&flow->flows->answers, flow->L, -1);
    size_t size;
    flow->whole.request = NULL;
    flow->memory = request->memory; /* it may look at its bytes still */
    request->memory = NULL;
    if (answer) {
        answer_with(request, answer);
    } else {
        const char *bytes = lua_tolstring(flow->L, -1, &size);
        dispatch_reply(request, bytes, size);
    }
    lua_pop(flow->L, 1);
    flow_queue(flow);
}

/* Pushes what it has waited for; returns how many values. */
static int push_result(struct flow *flow)
{
    struct flows *flows = flow->flows;
    struct sending *sending = flow->awaited;
    lua_State *L = flows->state->L; /* a collection may begin here: not on a coroutine that has yielded */
    switch (flow->wait) {
    case FLOW_REPLY:
        answer_push(&flows->answers, L, &sending->reply, flow->query.resp, &flow->large);
        flow->awaited = NULL;
        sending_forget(sending);
        break;
    case FLOW_SOME:
    case FLOW_CLAIM:
        lua_pushboolean(L, flow->waited);
        break;
    case FLOW_RUNS:
    case FLOW_TIME:
    case FLOW_ANSWER:
        return 0;
    }
    lua_xmove(L, flow->L, 1);
    return 1;
}

/* Lua sees the request of this flow. */
static void batch_enter(struct flow *flow)
{
    struct nydus_batch *batch = flow->flows->decider->batch;
    if (!flow->target)
        return;
    struct request *request = flow->whole.request;
    flow->query.client = request ? request_client(request) : NULL;
    batch->flow = view_of(&flow->query);
    batch->queries = &batch->flow;
    batch->cur = 0;
    batch->handle = (struct nydus_req *)(uintptr_t)flow->handle;
}

/* Its client may have left, or has: what it is about to wait for is not sent. */
static void flow_stop_waiting(struct flow *flow)
{
    struct sending *sending = flow->awaited;
    flow->cancelled = true;
    if (!sending)
        return;
    flow->awaited = NULL;
    sending->part->query.target = NULL;
    sending_forget(sending);
}

static void flow_resume(struct flow *flow)
{
    struct flows *flows = flow->flows;
    int values = push_result(flow);
    flow->wait = FLOW_RUNS;
    flow->running = true;
    flows->now = flow;
    batch_enter(flow);
    int status = state_resume(flows->state, flow->L, values, FLOW_LIMIT);
    flows->decider->batch->handle = NULL;
    flows->now = NULL;
    bool stopped = flows->state->stopped;
    if (stopped && (!status || status == LUA_YIELD)) { /* its pcall has swallowed that */
        lua_pushliteral(flow->L, "stopped");
        status = LUA_ERRRUN;
    }
    if (status == LUA_YIELD && ((flow->leaving && flow->wait != FLOW_ANSWER) || flow->cancelled))
        flow_stop_waiting(flow);
    send_all(flows);
    flows->state->stopped = stopped;
    flow->running = false;
    if (status && status != LUA_YIELD)
        flow_fail(flow, status);
    else if (flow->cancelled)
        flow_end(flow, "ERR its client has gone");
    else if (!status)
        flow_finish(flow);
    else if (flow->wait == FLOW_ANSWER)
        flow_reply(flow);
}

/* Those that are ready, and those that become so meanwhile, for a while. */
static void flows_run(struct flows *flows)
{
    uint64_t end = clock_ns() + FLOWS_TURN;
    flows->busy = true;
    send_all(flows);
    for (int i = 1; flows->ready; i++) {
        struct flow *flow = flows->ready;
        flow_unready(flow);
        flow_resume(flow);
        if (i % FLOWS_LOOK == 0 && clock_ns() > end)
            break;
    }
    flows->busy = false;
    if (flows->ready)
        proxy_run_errand(flows->proxy, &flows->errand);
}

static void on_errand(struct errand *errand)
{
    flows_run((struct flows *)((char *)errand - offsetof(struct flows, errand)));
}

void flow_wake(struct flow *flow, bool came)
{
    if (flow->ready)
        return;
    alarm_stop(loop_of(flow), &flow->alarm);
    flow->waited = came;
    flow_queue(flow);
}

void flow_answered(struct flow *flow, struct sending *sending)
{
    if (flow->wait == FLOW_REPLY && flow->awaited == sending)
        flow_wake(flow, true);
    if (!sending->counts)
        return;
    sending->counts = false;
    if (flow->wait == FLOW_SOME && flow->left && --flow->left == 0)
        flow_wake(flow, true);
}

void flows_send_later(struct flows *flows, struct request *part)
{
    part->link_next = NULL;
    *flows->unsent_last = part;
    flows->unsent_last = &part->link_next;
    if (!flows->now)
        proxy_run_errand(flows->proxy, &flows->errand);
}

/* ---- waiting ---- */

/* Loop time, and what a test has skipped. */
static double flow_now(const struct flow *flow)
{
    return ev_now(loop_of(flow)) + (double)clock_skipped / 1e9;
}

static void on_time(void *owner)
{
    struct flow *flow = owner;
    if (flow->wait != FLOW_CLAIM) {
        flow_wake(flow, false);
    } else if (flow_claim(flow)) {
        flow_wake(flow, true);
    } else if (flow_now(flow) >= flow->until) {
        flow_wake(flow, false);
    } else {
        flow->pause = fmin(flow->pause * 2, CLAIM_MOST);
        alarm_set(loop_of(flow), &flow->alarm, fmin(flow->pause, flow->until - flow_now(flow)));
    }
}

int flow_yield(struct flow *flow, lua_State *L, enum flow_wait wait, double seconds)
{
    struct ev_loop *loop = loop_of(flow);
    flow->wait = wait;
    if (wait == FLOW_CLAIM) {
        flow->until = flow_now(flow) + seconds;
        flow->pause = seconds = CLAIM_FIRST;
    }
    if (seconds < INFINITY) /* this turn may be long */
        alarm_set(loop, &flow->alarm, seconds + (ev_time() - ev_now(loop)));
    return lua_yield(L, 0);
}

bool flow_claim(struct flow *flow)
{
    uint64_t token = claim_take(flow->wanted, flow->seconds);
    if (!token)
        return false;
    flow->claims = xrealloc(flow->claims, (flow->claim_count + 1) * sizeof *flow->claims);
    flow->claims[flow->claim_count++] = (struct flow_claim){
        .key = flow->wanted, .token = token, .number = ++flow->flows->last_claim};
    return true;
}

bool flow_unclaim(struct flow *flow, uint32_t place)
{
    bool had = claim_give(flow->claims[place].key, flow->claims[place].token);
    flow->claims[place] = flow->claims[--flow->claim_count];
    return had;
}

/* ---- its request ---- */

static bool flow_refuses(const struct flows *flows, struct request *request, action_send *send)
{
    const char *name = request->query.command->name;
    if (send)
        request_fail(request, FAILURE_LOCAL,
                     "ERR '%s' needs one host here, but the router has a flow for it", name);
    else if (request->query.flows >= FLOW_DEPTH)
        request_fail(request, FAILURE_LOCAL, "ERR router: flows lead to flows without end");
    else if (flows->count >= FLOWS_MOST || state_is_full(flows->state))
        request_fail(request, FAILURE_REFUSED, "ERR router: too many flows are open (%u)", flows->count);
    else
        return false;
    return true;
}

/* They are only borrowed, and it has to wait. */
static void keep_bytes(struct flow *flow, struct request *request)
{
    if (request->memory || request->query.size > FLOW_SMALL) {
        request_keep_bytes(request);
        return;
    }
    memcpy(flow->small, request->query.bytes, request->query.size);
    request->query.bytes = flow->small;
}

static struct flow *flow_begin(const struct program *program, struct request *request)
{
    struct flow *flow = flow_create(program->flows);
    keep_bytes(flow, request);
    request->query.flows++;
    flow->whole.request = request;
    flow->target = request->query.target;
    flow->cluster = request->cluster;
    generation_ref(flow->cluster->generation);
    flow->query = request->query;
    flow->multiple = request->multiple;
    flow->arrived = request->arrived;
    struct client *client = request_client(request);
    if (client) {
        bool reads = request->query.command->flags & COMMAND_READONLY;
        flow->hold.left = on_left;
        bool holds = program->rules.reads || !reads;
        hold_begin(&flow->hold, client, holds ? program->rules.order : ORDER_NONE, request);
    }
    lua_rawgeti(flow->L, LUA_REGISTRYINDEX, program->function);
    return flow;
}

static void flow_run(struct request *request, action_send *send)
{
    const struct program *program = request->query.target->action.state;
    struct flows *flows = program->flows;
    if (flow_refuses(flows, request, send))
        return;
    quarantine_asked(program->owner, 1, clock_ns());
    struct flow *flow = flow_begin(program, request);
    if (flows->busy) {
        flow_queue(flow);
        return;
    }
    flows->busy = true; /* at once: what it sends keeps its place before what its client sends next */
    flow_resume(flow);
    flows->busy = false;
    if (flows->ready)
        proxy_run_errand(flows->proxy, &flows->errand);
}

static void describe(const struct target *target, char *text, size_t size)
{
    const struct program *program = target->action.state;
    snprintf(text, size, ", %s, order %s", program->name, order_name(program->rules.order));
}

static void program_destroy(void *state)
{
    struct program *program = state;
    free(program->name);
    free(program);
}

struct target *flow_target(struct flows *flows, int function, const char *name, struct flow_rules rules)
{
    static const struct action action = {.name = "flow",
                                         .language = "flow",
                                         .run = flow_run,
                                         .describe = describe,
                                         .destroy = program_destroy};
    struct program *program = xmalloc(sizeof *program);
    *program = (struct program){.flows = flows,
                                .function = function,
                                .name = xstrdup(name),
                                .rules = rules,
                                .owner = flows->decider->owner};
    return target_action(flows->decider->set, &action, NULL, 0, program);
}

/* ---- tasks ---- */

void flow_task(struct flows *flows, lua_State *L, struct cluster *cluster)
{
    struct flow *flow = flow_create(flows);
    flow->cluster = cluster;
    flow->query.resp = 2;
    lua_xmove(L, flow->L, 1);
    if (flows->begun) {
        flow_queue(flow);
        return;
    }
    flow->ready_next = flows->tasks;
    flows->tasks = flow;
}

void flows_begin(struct flows *flows)
{
    struct flow *first = NULL;
    if (!flows->proxy)
        return;
    flows->begun = true;
    while (flows->tasks) { /* they were put in front */
        struct flow *flow = flows->tasks;
        flows->tasks = flow->ready_next;
        flow->ready_next = first;
        first = flow;
    }
    while (first) {
        struct flow *flow = first;
        first = flow->ready_next;
        flow_queue(flow);
    }
}

void flows_leave(struct flows *flows)
{
    flows->begun = false;
    for (struct flow *flow = flows->open, *next; flow; flow = next) {
        next = flow->next;
        if (!flow->target)
            flow_end(flow, "");
    }
}

void flows_end_all(void)
{
    for (struct flows *flows = all_flows; flows; flows = flows->next)
        while (flows->open)
            flow_end(flows->open, "ERR the worker leaves");
}

/* ---- all of a state ---- */

void flows_init(struct flows *flows, struct decider *decider)
{
    flows->decider = decider;
    flows->state = decider->state;
    flows->ready_last = &flows->ready;
    flows->unsent_last = &flows->unsent;
    flows->errand.run = on_errand;
    flows->next = all_flows;
    flows->place = &all_flows;
    if (flows->next)
        flows->next->place = &flows->next;
    all_flows = flows;
}

void flows_deinit(struct flows *flows)
{
    if (!flows->place)
        return;
    *flows->place = flows->next;
    if (flows->next)
        flows->next->place = flows->place;
    if (flows->proxy)
        proxy_drop_errand(flows->proxy, &flows->errand);
    while (flows->open) { /* tasks that never began: others keep the generation */
        struct flow *flow = flows->open;
        flows->open = flow->next;
        free(flow);
    }
    while (flows->spare) {
        struct flow *flow = flows->spare;
        flows->spare = flow->next;
        free(flow);
    }
}
