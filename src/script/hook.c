/* Hooks; see hook.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/hook.h"

#include "base/memory.h"
#include "proxy/dispatch.h"
#include "proxy/quarantine.h"
#include "script/bindings.h"
#include "script/received.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hook {
    struct script *script;
    const struct target *function;
};

/* A request whose hook has to wait. */
struct hook_later {
    struct hook_later *next;
    const struct target *target;
    struct request *request;
    const struct host *host; /* that failed, for retry */
    enum failure failure;
    char *bytes; /* the reply, or the reason of the failure; owned */
    size_t size;
    bool failed;
};

static const struct hook *hook_of(const struct target *target)
{
    return target->action.state;
}

/* One decision about this request; the query is a copy. */
static struct query hook_ask(const struct hook *hook, struct request *request)
{
    struct query query = request->query, *pointer = &query;
    query.client = request->query.client = request_client(request); /* it may have left */
    query.target = NULL;
    query.error = NULL;
    decide(&hook->script->decider, hook->function, &pointer, 1);
    return query;
}

static void hook_wait(const struct target *target, struct hook_later *later)
{
    struct script *script = hook_of(target)->script;
    struct hooks *hooks = &script->hooks;
    later->target = target;
    request_keep_bytes(later->request);
    *hooks->last = later;
    hooks->last = &later->next;
    ev_timer_start(script->decider.loop, &hooks->wake);
}

/* ---- retry ---- */

static bool retry_ask(const struct target *target, struct request *request, const struct mishap *mishap)
{
    const struct hook *hook = hook_of(target);
    struct nydus_batch *batch = hook->script->decider.batch;
    request->query.attempt++;
    batch->failed = mishap->host ? (int32_t)request->query.target->id : -1;
    batch->said = (struct nydus_text){mishap->reason, strlen(mishap->reason)};
    struct query query = hook_ask(hook, request);
    batch->said = (struct nydus_text){0};
    if (!query.target && !query.error)
        return false;
    request->query.target = query.target;
    request->query.error = query.error;
    if (query.error)
        dispatch_leaf(request);
    else
        dispatch_elsewhere(request);
    return true;
}

static bool retry_failed(const struct target *target, struct request *request, const struct mishap *mishap)
{
    if (!hook_of(target)->script->state.running)
        return retry_ask(target, request, mishap);
    struct hook_later *later = xcalloc(1, sizeof *later);
    later->request = request;
    later->host = mishap->host;
    later->failure = mishap->failure;
    later->failed = true;
    later->bytes = xstrdup(mishap->reason);
    hook_wait(target, later);
    return true;
}

static void retry_later(const struct hook_later *later)
{
    const struct mishap mishap = {later->host, later->failure, later->bytes};
    if (!retry_ask(later->target, later->request, &mishap))
        dispatch_give_up(later->request, &mishap);
}

/* ---- on_reply ---- */

/* A request on its way. */
struct watched {
    struct whole whole; /* first: see request.h */
    const struct target *target;
};

static void reply_ask(const struct target *target, struct request *request, const struct reply *reply)
{
    const struct hook *hook = hook_of(target);
    struct nydus_batch *batch = hook->script->decider.batch;
    if (quarantine_retired(hook->function)) {
        request->done(request, reply);
        return;
    }
    batch->said = (struct nydus_text){reply->bytes, reply->size};
    batch->reply_number = received_number();
    struct query query = hook_ask(hook, request);
    batch->reply_number = 0;
    batch->said = (struct nydus_text){0};
    const struct target *answer = query.target;
    if (query.error)
        request_fail(request, FAILURE_LOCAL, "%s", query.error);
    else if (!answer)
        request->done(request, reply);
    else if (batch->as_is)
        request_answer(request, answer->reply.bytes, answer->reply.size);
    else
        dispatch_reply(request, answer->reply.bytes, answer->reply.size);
}

static void part_done(struct request *part, const struct reply *reply)
{
    struct watched *watched = (struct watched *)part->whole;
    struct request *request = watched->whole.request;
    const struct target *target = watched->target;
    free(watched);
    part->whole = NULL;
    if (!hook_of(target)->script->state.running) {
        reply_ask(target, request, reply);
    } else {
        struct hook_later *later = xcalloc(1, sizeof *later);
        later->request = request;
        later->failure = reply->failure;
        later->size = reply->size;
        later->bytes = xmalloc(reply->size + 1);
        memcpy(later->bytes, reply->bytes, reply->size);
        hook_wait(target, later);
    }
    request_put(part);
}

static void reply_later(const struct hook_later *later)
{
    const struct reply reply = {.bytes = later->bytes, .size = later->size, .failure = later->failure};
    reply_ask(later->target, later->request, &reply);
}

static void reply_run(struct request *request, action_send *send)
{
    (void)send; /* it is transparent */
    struct watched *watched = xmalloc(sizeof *watched);
    *watched = (struct watched){.whole.request = request, .target = request->query.target};
    request_keep_bytes(request);
    struct request *part = request_copy(&watched->whole, 0, part_done);
    part->query.target = watched->target->action.items[0];
    dispatch_on(part);
}

/* ---- both ---- */

static void on_wake(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct hooks *hooks = &((struct script *)watcher->data)->hooks;
    struct hook_later *later = hooks->first, *next;
    hooks->first = NULL;
    hooks->last = &hooks->first;
    for (; later; later = next) {
        next = later->next;
        if (later->failed)
            retry_later(later);
        else
            reply_later(later);
        free(later->bytes);
        free(later);
    }
}

void hooks_init(struct script *script)
{
    struct hooks *hooks = &script->hooks;
    hooks->last = &hooks->first;
    ev_timer_init(&hooks->wake, on_wake, 0., 0.);
    hooks->wake.data = script;
}

static void describe(const struct target *target, char *text, size_t size)
{
    snprintf(text, size, " by %s", hook_of(target)->function->function.name);
}

static struct target *make(struct script *script, const struct action *action, struct target *next,
                           const struct target *function)
{
    struct hook *hook = xmalloc(sizeof *hook);
    *hook = (struct hook){.script = script, .function = function};
    return target_action(script->decider.set, action, &next, 1, hook);
}

static const char *const labels[] = {"next"};

struct target *hook_retry(struct script *script, struct target *next, struct target *function)
{
    static const struct action retry = {.name = "retry",
                                        .language = "Lua",
                                        .labels = labels,
                                        .transparent = true,
                                        .failed = retry_failed,
                                        .describe = describe};
    if (script->decider.set->watcher_count == UINT16_MAX)
        return NULL;
    return make(script, &retry, next, function);
}

struct target *hook_on_reply(struct script *script, struct target *next, struct target *function)
{
    static const struct action on_reply = {.name = "on_reply",
                                           .language = "Lua",
                                           .labels = labels,
                                           .run = reply_run,
                                           .transparent = true,
                                           .describe = describe};
    return make(script, &on_reply, next, function);
}
