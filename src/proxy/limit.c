/* Limits; see limit.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/limit.h"

#include "base/hash.h"
#include "base/memory.h"
#include "base/stats.h"
#include "proxy/client.h"
#include "proxy/dispatch.h"
#include "proxy/login.h"
#include "proxy/profile.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [LIMIT_ALL] = "",       [LIMIT_CLIENT] = "client", [LIMIT_USER] = "user",       [LIMIT_ADDR] = "addr",
    [LIMIT_KEY] = "key",    [LIMIT_TAG] = "tag",       [LIMIT_COMMAND] = "command",
};

/* ---- whose bucket ---- */

struct bucket {
    const char *key;
    size_t size;
};

/* Where a client comes from, without the port: asked once, it takes a system call. */
static uint64_t *origin_of(struct client *client)
{
    char text[160];
    struct profile *profile = profile_get(client);
    if (profile->origin)
        return &profile->origin;
    client_address(client, text, sizeof text);
    const char *port = text[0] == '/' ? NULL : strrchr(text, ':');
    size_t size = port ? (size_t)(port - text) : strlen(text);
    profile->origin = hash_function_find(HASH_XXH64, HASH_PLAIN)(text, size) | 1;
    return &profile->origin;
}

static struct bucket bucket_of_client(enum limit_by by, struct client *client)
{
    if (by == LIMIT_CLIENT)
        return (struct bucket){(const char *)&client->id, sizeof client->id};
    if (by == LIMIT_ADDR)
        return (struct bucket){(const char *)origin_of(client), sizeof client->profile->origin};
    const char *name = login_name(client);
    return (struct bucket){name, strlen(name)};
}

/* What has no key, or no client any more, shares one bucket. */
static struct bucket bucket_of(const struct request *request, enum limit_by by)
{
    static const char tag[2] = {'{', '}'};
    const struct query *query = &request->query;
    struct bucket key = {query_key(query), query->key.size};
    struct client *client;
    switch (by) {
    case LIMIT_ALL:
        return (struct bucket){NULL, 0};
    case LIMIT_TAG:
        router_cut_key(tag, &key.key, &key.size);
        return key;
    case LIMIT_KEY:
        return key;
    case LIMIT_COMMAND:
        return (struct bucket){query->command->name, strlen(query->command->name)};
    case LIMIT_CLIENT:
    case LIMIT_USER:
    case LIMIT_ADDR:
    default:
        client = request_client(request);
        return client ? bucket_of_client(by, client) : (struct bucket){"", 0};
    }
}

/* ---- what becomes of a command ---- */

static bool limit_pass(struct request *request)
{
    const struct target *target = request->query.target;
    const struct limit_options *options = target->action.state;
    struct bucket bucket = bucket_of(request, options->by);
    double wait = limiter_allow(&options->limiter, bucket.key, bucket.size, 1, limiter_now());
    request->query.target = target->action.items[0];
    if (wait <= 0)
        return true;
    stats->limited++;
    if (target->action.count > 1) {
        request->query.target = target->action.items[1];
        return true;
    }
    request_fail(request, FAILURE_LOCAL, "ERR rate limit of %g a second%s%s is exceeded: try again in %g s",
                 options->rate, options->by ? " per " : "", names[options->by], ceil(wait * 1000) / 1000);
    return false;
}

static void limit_run(struct request *request, action_send *send)
{
    if (limit_pass(request))
        dispatch_to(request, send);
}

static void describe(const struct target *target, char *text, size_t size)
{
    const struct limit_options *options = target->action.state;
    snprintf(text, size, ", %g a second%s%s, burst %g", options->rate, options->by ? " per " : "",
             names[options->by], options->burst);
}

struct target *limit_target(struct target_set *set, struct target *next, struct target *over,
                            const struct limit_options *options)
{
    static const char *const labels[] = {"next", "over"};
    static const struct action action = {.name = "limit",
                                         .language = "C",
                                         .labels = labels,
                                         .run = limit_run,
                                         .pass = limit_pass,
                                         .transparent = true,
                                         .describe = describe};
    struct limit_options *own = xmalloc(sizeof *own);
    *own = *options;
    return target_action(set, &action, (struct target *[]){next, over}, over ? 2 : 1, own);
}
