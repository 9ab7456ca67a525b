/* Sendings; see sending.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/sending.h"

#include "base/memory.h"
#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "proxy/lesson.h"
#include "proxy/policy.h"
#include "resp/keys.h"
#include "script/flow.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

/* Unused ones kept for the next. */
enum { SENDINGS_SPARE = 4096 };

static struct sending *spare; /* by next; one thread */
static uint32_t spare_count;

static struct sending *memory_take(void)
{
    struct sending *sending = spare;
    if (!sending)
        return xmalloc(sizeof *sending);
    spare = sending->next;
    spare_count--;
    return sending;
}

static void memory_give(struct sending *sending)
{
    if (spare_count >= SENDINGS_SPARE) {
        free(sending);
        return;
    }
    sending->next = spare;
    spare = sending;
    spare_count++;
}

/* ---- answered ---- */

static void sending_free(struct sending *sending)
{
    struct flow *flow = sending->flow;
    flow->sending_count--;
    *sending->place = sending->next;
    if (sending->next)
        sending->next->place = sending->place;
    if (sending->seconds < INFINITY)
        alarm_stop(flow->flows->proxy->loop, &sending->alarm);
    free(sending->memory);
    memory_give(sending);
}

void sending_forget(struct sending *sending)
{
    if (sending->part) { /* its reply is swallowed */
        sending->part->context = NULL;
        sending->part->whole = NULL;
    }
    if (sending->object)
        sending->object->sending = NULL;
    sending_free(sending);
}

static void sending_keep(struct sending *sending, const struct reply *reply)
{
    sending->reply = (struct reply){.size = reply->size};
    if (reply->give && *reply->give) {
        sending->memory = *reply->give;
        *reply->give = NULL;
    } else {
        sending->memory = reply->size > SENDING_SMALL ? xmalloc(reply->size) : NULL;
        memcpy(sending->memory ? sending->memory : sending->small, reply->bytes, reply->size);
    }
    sending->reply.bytes = sending->memory ? sending->memory : sending->small;
    sending->reply.give = sending->memory ? &sending->memory : NULL;
    sending->reply.give_room = reply->size;
}

/* Its flow hears of it; that is the end of a sending whose answer Lua has already. */
static void sending_take(struct sending *sending, const struct reply *reply)
{
    struct flow *flow = sending->flow;
    if (sending->seconds < INFINITY)
        alarm_stop(flow->flows->proxy->loop, &sending->alarm);
    if (!sending->object)
        sending_keep(sending, reply);
    else
        answer_fill(sending->object, reply, &flow->large);
    flow_answered(flow, sending);
    if (sending->object)
        sending_free(sending);
}

static void sending_done(struct request *part, const struct reply *reply)
{
    struct sending *sending = part->context;
    if (sending) {
        sending->part = NULL;
        sending_take(sending, reply);
    }
    request_put(part);
}

static void sending_late(void *owner)
{
    char line[256];
    struct sending *sending = owner;
    int size = snprintf(line, sizeof line, "-ERR '%s' timed out after %g s; it may still run\r\n",
                        sending->part->query.command ? sending->part->query.command->name : "?",
                        sending->seconds);
    sending->part->context = NULL;
    sending->part->whole = NULL;
    sending->part = NULL;
    sending_take(sending, &(struct reply){.bytes = line, .size = (size_t)size, .failure = FAILURE_TIMEOUT});
}

/* ---- made ---- */

static struct request *part_make(struct cluster *cluster, const struct target *target, request_done *done)
{
    struct request *part = request_get();
    part->done = done;
    part->query.target = target;
    part->query.resp = 2;
    request_join_cluster(part, cluster);
    return part;
}

static struct sending *sending_add(struct flow *flow, struct request *part, double seconds)
{
    struct flows *flows = flow->flows;
    struct sending *sending = memory_take();
    memset(sending, 0, offsetof(struct sending, small));
    sending->flow = flow;
    sending->part = part;
    sending->seconds = seconds;
    sending->next = flow->sendings;
    sending->place = &flow->sendings;
    flow->sending_count++;
    if (sending->next)
        sending->next->place = &sending->next;
    flow->sendings = sending;
    part->context = sending;
    part->whole = &flow->whole;
    if (seconds < INFINITY) {
        struct ev_loop *loop = flows->proxy->loop;
        alarm_init(&sending->alarm, sending_late, sending);
        alarm_set(loop, &sending->alarm, seconds + (ev_time() - ev_now(loop))); /* this turn may be long */
    }
    flows_send_later(flows, part);
    return sending;
}

struct sending *sending_copy(struct flow *flow, const struct target *target, double seconds)
{
    struct request *part = part_make(flow->cluster, target, sending_done);
    part->query = flow->query;
    part->query.target = target;
    part->query.router = NULL;
    part->multiple = flow->multiple;
    part->arrived = flow->arrived;
    return sending_add(flow, part, seconds);
}

static struct request *part_of_bytes(struct flow *flow, struct cluster *cluster, const struct target *target,
                                     char *bytes, size_t size, request_done *done)
{
    struct request *part = part_make(cluster, target, done);
    part->memory = bytes;
    part->query.bytes = bytes;
    part->query.size = (uint32_t)size;
    if (flow && flow->target) {
        part->query.db = flow->query.db;
        part->query.resp = flow->query.resp;
        part->query.flows = flow->query.flows;
    }
    return part;
}

struct sending *sending_make(struct flow *flow, const struct target *target, char *bytes, size_t size,
                             double seconds)
{
    struct request *part = part_of_bytes(flow, flow->cluster, target, bytes, size, sending_done);
    return sending_add(flow, part, seconds);
}

static void cast_done(struct request *part, const struct reply *reply)
{
    struct flows *flows = part->context;
    (void)reply;
    flows->casts--;
    request_put(part);
}

void sending_cast(struct flows *flows, struct flow *flow, struct cluster *cluster,
                  const struct target *target, char *bytes, size_t size)
{
    struct request *part = part_of_bytes(flow, cluster, target, bytes, size, cast_done);
    part->context = flows;
    flows->casts++;
    flows_send_later(flows, part);
}

/* ---- on its way ---- */

/* A shared link must not get what blocks it or changes what it is. */
static bool is_possible(const struct call *call)
{
    const struct command *command = call->request->query.command;
    const struct policy *policy = policy_of(command);
    if (policy_routes(command) || (!policy->answer && !policy->refusal))
        return true;
    if (policy->when)
        return !policy->when(call);
    return policy->answer && policy->inside == INSIDE_SENT && !(command->flags & COMMAND_BLOCKING);
}

/* false: it has been failed. */
static bool find_command(struct request *part, const struct resp_request *scan)
{
    struct query *query = &part->query;
    const char *bytes = query->bytes;
    struct cluster *cluster = part->cluster;
    struct resp_arg name = scan->args[0], sub = scan->args[1];
    const struct command *command = lesson_lookup(cluster, bytes + name.at, name.size);
    if (command && (command->flags & COMMAND_CONTAINER) && scan->argc > 1)
        command = lesson_lookup_sub(cluster, command, bytes + sub.at, sub.size);
    query->command = command;
    if (!command)
        request_fail(part, FAILURE_LOCAL, "ERR unknown command '%.*s'", call_quote(name.size),
                     bytes + name.at);
    else if (!command_arity_fits(command, scan->argc))
        request_fail(part, FAILURE_LOCAL, "ERR wrong number of arguments for '%s' command", command->name);
    return command && command_arity_fits(command, scan->argc);
}

/* One that a script has written; the others have been looked at when their client sent them. */
static bool prepare(struct request *part)
{
    struct query *query = &part->query;
    struct resp_request scan = {0};
    if (resp_scan_request(&scan, query->bytes, query->size, part->cluster->max_request) != RESP_DONE) {
        request_fail(part, FAILURE_LOCAL, "ERR the command is larger than max_request (%u bytes)",
                     part->cluster->max_request);
        return false;
    }
    query->argc = scan.argc;
    if (!find_command(part, &scan))
        return false;
    struct call call = {.request = part, .scan = &scan};
    if (!is_possible(&call)) {
        request_fail(part, FAILURE_LOCAL, "ERR '%s' is not possible in a flow", query->command->name);
        return false;
    }
    request_done *done = part->done;
    const struct policy *policy = policy_of(query->command);
    if (policy->seen)
        policy->seen(&call);
    part->done = done;
    return dispatch_find_keys(part, &scan);
}

void sending_go(struct request *part)
{
    struct request *request = part->whole ? part->whole->request : NULL;
    part->query.client = request ? request_client(request) : NULL;
    if (part->query.command || prepare(part))
        dispatch_on(part);
}
