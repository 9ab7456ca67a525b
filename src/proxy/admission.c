/* Admissions; see admission.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/admission.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/stats.h"
#include "proxy/client.h"
#include "proxy/cluster.h"
#include "proxy/pubsub.h"
#include "proxy/session.h"
#include "proxy/subscriber.h"

struct admission {
    struct request *request;
    uint32_t count;
    uint32_t left; /* items that wait */
    struct admission_item items[];
};

static void item_begin(struct admission_item *item, struct client *client, enum subscription_kind kind,
                       const char *name, size_t size)
{
    const char *error = NULL;
    item->subscription = subscription_get(hub_of(client), client, kind, name, size, &error);
    if (item->subscription)
        return;
    item->error = xstrdup(error);
    for (char *c = item->error; *c; c++)
        if (*c == '\r' || *c == '\n') /* it may be a script's */
            *c = ' ';
}

static void item_wait(struct admission_item *item)
{
    item->next = item->subscription->waiting;
    item->subscription->waiting = item;
    item->admission->left++;
}

/* Waits for those whose hosts have not decided; false: none has to be waited for. */
static bool admission_waits(struct admission *admission)
{
    for (uint32_t i = 0; i < admission->count; i++) {
        struct admission_item *item = &admission->items[i];
        if (item->subscription && subscription_state(item->subscription, NULL) == SUBSCRIPTION_WAITS)
            item_wait(item);
    }
    return admission->left > 0;
}

static void item_admit(struct admission_item *item, struct client *client, struct writer *out)
{
    struct subscription *subscription = item->subscription;
    const char *error = item->error;
    if (subscription && subscription_state(subscription, &error) == SUBSCRIPTION_READY) {
        subscriber_add(client, subscription);
        pubsub_confirm(out, client, PUBSUB_SUBSCRIBED, subscription->kind, subscription->name,
                       subscription->size);
        return;
    }
    stats->errors++;
    writer_format(out, "-%s\r\n", error);
}

static void admission_end(struct admission *admission)
{
    struct request *request = admission->request;
    struct client *client = request->client;
    struct writer out = {.resp = request->query.resp};
    for (uint32_t i = 0; client && i < admission->count; i++)
        item_admit(&admission->items[i], client, &out);
    for (uint32_t i = 0; i < admission->count; i++) {
        struct admission_item *item = &admission->items[i];
        if (item->subscription)
            subscription_unpin(item->subscription);
        free(item->error);
    }
    free(admission);
    request_answer(request, out.size ? out.data : "", out.size); /* nothing, when the client has gone */
    writer_deinit(&out);
}

void admission_wake(struct admission_item **waiting)
{
    struct admission_item *item = *waiting;
    *waiting = NULL;
    while (item) {
        struct admission_item *next = item->next;
        struct admission *admission = item->admission;
        if (--admission->left == 0 && !admission_waits(admission))
            admission_end(admission);
        item = next;
    }
}

void admission_begin(struct client *client, struct request *request, enum subscription_kind kind)
{
    uint32_t count = request->query.argc - 1;
    struct admission *admission = xcalloc(1, sizeof *admission + count * sizeof *admission->items);
    struct resp_cursor cursor;
    struct resp_arg arg;
    resp_cursor_init(&cursor, request->query.bytes);
    resp_cursor_next(&cursor, &arg);
    admission->request = request;
    admission->count = count;
    for (uint32_t i = 0; i < count && resp_cursor_next(&cursor, &arg); i++) {
        struct admission_item *item = &admission->items[i];
        item->admission = admission;
        item_begin(item, client, kind, request->query.bytes + arg.at, arg.size);
    }
    request->done = session_answered;
    if (!admission_waits(admission))
        admission_end(admission);
}
