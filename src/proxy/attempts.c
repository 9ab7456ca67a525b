/* Attempts; see attempts.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/attempts.h"

#include "base/memory.h"
#include "base/stats.h"
#include "net/alarm.h"
#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "proxy/host.h"
#include "proxy/proxy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One command on its way through the targets. */
struct attempts {
    struct whole whole; /* first: see request.h */
    const struct target *target;
    struct ev_loop *loop;
    struct alarm alarm;
    uint32_t next;    /* the item to be tried next */
    uint32_t open;    /* parts that have not been answered, */
    uint32_t sending; /* and how many are being sent at this moment: they may be answered inside */
    bool only_reads;
};

static const struct attempts_options *options_of(const struct attempts *attempts)
{
    return attempts->target->action.state;
}

static void attempts_settle(struct attempts *attempts)
{
    if (attempts->whole.request || attempts->open || attempts->sending)
        return;
    free(attempts);
}

static void attempts_answer(struct attempts *attempts, const struct reply *reply)
{
    struct request *request = attempts->whole.request;
    attempts->whole.request = NULL;
    alarm_stop(attempts->loop, &attempts->alarm);
    request->done(request, reply);
}

/* ---- what leads on to the next ---- */

/* Errors by which a host says that it cannot serve for now; the command has not run. */
static bool says_unable(const struct reply *reply)
{
    static const char *const words[] = {"-LOADING ", "-MASTERDOWN ", "-CLUSTERDOWN ", "-TRYAGAIN ", "-BUSY ",
                                        "-READONLY ", "-NOREPLICAS ", "-OOM ", "-MISCONF "};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t size = strlen(words[i]);
        if (reply->size > size && memcmp(reply->bytes, words[i], size) == 0)
            return true;
    }
    return false;
}

static bool leads_on(const struct attempts *attempts, const struct reply *reply)
{
    const struct attempts_options *options = options_of(attempts);
    switch (reply->failure) {
    case FAILURE_REFUSED:
        return options->on_down;
    case FAILURE_LOST:
        return options->on_down && attempts->only_reads;
    case FAILURE_TIMEOUT:
        return options->on_timeout && attempts->only_reads;
    case FAILURE_NONE:
    case FAILURE_LOCAL:
    default:
        return options->on_error && says_unable(reply);
    }
}

/* ---- trying ---- */

static void attempts_try(struct attempts *attempts);

static void part_done(struct request *part, const struct reply *reply)
{
    struct attempts *attempts = (struct attempts *)part->whole;
    attempts->open--;
    bool last = !attempts->open && attempts->next == attempts->target->action.count;
    if (attempts->whole.request && (last || !leads_on(attempts, reply)))
        attempts_answer(attempts, reply);
    else if (attempts->whole.request && !attempts->open)
        attempts_try(attempts);
    request_put(part);
    attempts_settle(attempts);
}

static bool is_down(const struct target *leaf)
{
    return leaf && leaf->kind == TARGET_HOST && leaf->host.host->down;
}

/* Routes it to a leaf, unless its keys are routed one by one. */
static void route(struct request *request, const struct target *item)
{
    struct query *query = &request->query;
    query->target = item;
    query->router = NULL;
    query->error = NULL;
    if (!request->multiple)
        dispatch_route(&query, 1);
}

static void attempts_wait(struct attempts *attempts)
{
    double seconds = options_of(attempts)->seconds;
    if (!isfinite(seconds) || attempts->next == attempts->target->action.count)
        return;
    alarm_set(attempts->loop, &attempts->alarm, seconds);
}

static void attempts_send(struct attempts *attempts, struct request *part)
{
    const struct target *target = attempts->target;
    const struct query *whole = &attempts->whole.request->query;
    while (!part->multiple && is_down(part->query.target) && attempts->next < target->action.count) {
        part->query.watcher = whole->watcher; /* those on the way to the one that is down have no say */
        part->query.otherwise = whole->otherwise;
        route(part, target->action.items[attempts->next++]);
    }
    alarm_stop(attempts->loop, &attempts->alarm);
    if (attempts->only_reads)
        attempts_wait(attempts);
    if (attempts->next > 1)
        stats->retries++;
    attempts->open++;
    attempts->sending++;
    if (part->multiple)
        dispatch_on(part);
    else
        dispatch_inside(part);
    attempts->sending--;
}

static void attempts_try(struct attempts *attempts)
{
    struct request *part = request_copy(&attempts->whole, attempts->next, part_done);
    route(part, attempts->target->action.items[attempts->next++]);
    attempts_send(attempts, part);
}

static void on_time(void *owner)
{
    struct attempts *attempts = owner;
    attempts_try(attempts);
    attempts_settle(attempts);
}

/* The request has been at `target`. */
static struct attempts *attempts_create(struct request *request, const struct target *target)
{
    struct attempts *attempts = xcalloc(1, sizeof *attempts);
    request_keep_bytes(request);
    attempts->whole.request = request;
    attempts->target = target;
    attempts->loop = cluster_proxy(request->cluster)->loop;
    attempts->only_reads = request->query.command->flags & COMMAND_READONLY;
    alarm_init(&attempts->alarm, on_time, attempts);
    return attempts;
}

/* The request, which has been routed from the first item, becomes what is to be answered; that goes on as its
 * first part. */
static struct request *attempts_part(struct request *request, const struct target *target)
{
    struct attempts *attempts = attempts_create(request, target);
    struct request *part = request_copy(&attempts->whole, 0, part_done);
    part->query.router = request->query.router;
    request->query.target = target;
    request->query.router = NULL;
    request->query.watcher = 0;
    request->query.error = NULL;
    attempts->next = 1;
    return part;
}

/* Something has happened to the request at its host: that was the first attempt. */
static struct request *attempts_divide(const struct target *target, struct request *request)
{
    struct request *part = attempts_part(request, target);
    ((struct attempts *)part->whole)->open = 1;
    part->query.watcher = 0;
    part->link = request->link;
    part->mended = request->mended;
    request->link = NULL;
    return part;
}

/* May the first attempt be the request itself? Where no time is waited for and no other action looks on.
 * Mostly nothing comes after it: a GET through routers/read_write.lua takes 290 instructions over a ring's;
 * with a copy for each it was 1,456. */
static bool may_stand_in(const struct target *target, const struct request *request)
{
    const struct attempts_options *options = target->action.state;
    bool waits = isfinite(options->seconds) && (request->query.command->flags & COMMAND_READONLY);
    return target->place && !request->query.watcher && !request->multiple && !waits;
}

/* Sends the request itself, if it leads to a host that is up. */
static void attempts_stand_in(struct request *request, const struct target *target)
{
    struct query *query = &request->query;
    uint16_t otherwise = query->otherwise;
    route(request, target->action.items[0]);
    const struct target *leaf = query->target;
    if (leaf && leaf->kind == TARGET_HOST && !is_down(leaf) && !query->watcher &&
        query->otherwise == otherwise) {
        query->watcher = target->place;
        host_send(leaf->host.host, request);
        return;
    }
    struct request *part = attempts_part(request, target);
    struct attempts *attempts = (struct attempts *)part->whole;
    request->query.otherwise = otherwise;
    attempts_send(attempts, part);
    attempts_settle(attempts);
}

static void attempts_run(struct request *request, action_send *send)
{
    (void)send; /* it is transparent */
    const struct target *target = request->query.target;
    if (may_stand_in(target, request)) {
        attempts_stand_in(request, target);
        return;
    }
    struct attempts *attempts = attempts_create(request, target);
    attempts_try(attempts);
    attempts_settle(attempts);
}

/* ---- the targets ---- */

static void describe_failover(const struct target *target, char *text, size_t size)
{
    const struct attempts_options *options = target->action.state;
    int used = snprintf(text, size, ", on%s%s%s", options->on_down ? " down" : "",
                        options->on_timeout ? " timeout" : "", options->on_error ? " error" : "");
    if (isfinite(options->seconds))
        snprintf(text + used, size - (size_t)used, ", timeout %g s", options->seconds);
}

static void describe_hedge(const struct target *target, char *text, size_t size)
{
    const struct attempts_options *options = target->action.state;
    snprintf(text, size, ", after %g s, what writes goes to the first", options->seconds);
}

static struct target *make(struct target_set *set, const struct action *action, struct target **items,
                           uint32_t count, const struct attempts_options *options)
{
    struct attempts_options *own = xmalloc(sizeof *own);
    *own = *options;
    return target_action(set, action, items, count, own);
}

struct target *attempts_failover(struct target_set *set, struct target **items, uint32_t count,
                                 const struct attempts_options *options)
{
    static const struct action failover = {.name = "failover",
                                           .language = "C",
                                           .run = attempts_run,
                                           .divide = attempts_divide,
                                           .transparent = true,
                                           .describe = describe_failover};
    return make(set, &failover, items, count, options);
}

struct target *attempts_hedge(struct target_set *set, struct target **items, uint32_t count, double after)
{
    static const struct action hedge = {.name = "hedge",
                                        .language = "C",
                                        .run = attempts_run,
                                        .divide = attempts_divide,
                                        .transparent = true,
                                        .describe = describe_hedge};
    const struct attempts_options options = {
        .on_down = true, .on_timeout = true, .on_error = true, .seconds = after};
    return make(set, &hedge, items, count, &options);
}
