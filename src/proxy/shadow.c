/* Shadows; see shadow.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/shadow.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/stats.h"
#include "proxy/dispatch.h"

#include <stdio.h>
#include <string.h>

struct shadow {
    struct shadow_options options;
    uint32_t pending; /* copies on their way, */
    size_t bytes;     /* and their size together */
};

static void copy_done(struct request *copy, const struct reply *reply)
{
    (void)reply;
    struct shadow *shadow = copy->context;
    shadow->pending--;
    shadow->bytes -= copy->part;
    request_put(copy);
}

static bool is_chosen(struct shadow *shadow, size_t size)
{
    const struct shadow_options *options = &shadow->options;
    if (options->sample < 1 && (double)(random_next() >> 11) * 0x1p-53 >= options->sample)
        return false;
    if (shadow->pending < options->pending && shadow->bytes + size <= options->bytes)
        return true;
    stats->shadows_dropped++;
    return false;
}

/* A request of nobody's, with bytes of its own. */
static struct request *copy_of(const struct request *request, struct shadow *shadow)
{
    struct request *copy = request_get();
    copy->query = request->query;
    copy->query.client = NULL;
    copy->query.router = NULL;
    copy->query.watcher = 0;
    copy->query.target = request->query.target->action.items[1];
    copy->multiple = request->multiple;
    copy->done = copy_done;
    copy->context = shadow;
    copy->part = request->query.size;
    request_join_cluster(copy, request->cluster);
    request_keep_bytes(copy);
    shadow->pending++;
    shadow->bytes += copy->part;
    stats->shadows++;
    return copy;
}

static void shadow_run(struct request *request, action_send *send)
{
    (void)send; /* it is transparent */
    const struct target *target = request->query.target;
    struct shadow *shadow = target->action.state;
    struct request *copy = is_chosen(shadow, request->query.size) ? copy_of(request, shadow) : NULL;
    request->query.target = target->action.items[0];
    dispatch_on(request);
    if (copy)
        dispatch_on(copy);
}

static void describe(const struct target *target, char *text, size_t size)
{
    const struct shadow *shadow = target->action.state;
    snprintf(text, size, ", sample %g, at most %u pending", shadow->options.sample, shadow->options.pending);
}

struct target *shadow_target(struct target_set *set, struct target *next, struct target *copy,
                             const struct shadow_options *options)
{
    static const char *const labels[] = {"next", "copy"};
    static const struct action action = {.name = "shadow",
                                         .language = "C",
                                         .labels = labels,
                                         .run = shadow_run,
                                         .transparent = true,
                                         .describe = describe};
    struct shadow *shadow = xcalloc(1, sizeof *shadow);
    shadow->options = *options;
    return target_action(set, &action, (struct target *[]){next, copy}, 2, shadow);
}
