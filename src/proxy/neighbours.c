/* Questions to other workers; see neighbours.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/neighbours.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/board.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "proxy/call.h"
#include "proxy/client_command.h"
#include "proxy/listener.h"
#include "proxy/pause.h"
#include "proxy/proxy.h"

/* What every worker does at a question, and what the one that asked makes of it. */
static const struct {
    question_part *part;
    question_finish *finish;
} kinds[] = {
    [QUESTION_LIST] = {client_list_part, client_list_finish},
    [QUESTION_KILL] = {client_kill_part, client_kill_finish},
    [QUESTION_UNBLOCK] = {client_unblock_part, client_unblock_finish},
    [QUESTION_PAUSE] = {pause_begin_part, pause_finish},
    [QUESTION_UNPAUSE] = {pause_end_part, pause_finish},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* Goes ahead of the command's bytes. Only processes of one program exchange it. */
struct question_head {
    struct asker asker;
    uint32_t kind;
};

struct question {
    struct question *next;
    struct request *request; /* without a client when that has left */
    struct question_head head;
    struct writer parts;
    uint64_t asked, heard; /* neighbours */
};

struct neighbours {
    struct question *first, *last; /* the first is under way */
    uint32_t ticket;               /* of that */
    bool counted;                  /* it is known how many have been asked */
    ev_timer patience;
};

static void do_part(struct proxy *proxy, const struct question_head *head, struct request *request,
                    struct writer *part)
{
    struct resp_request scan = {0};
    const struct call call = {.request = request, .scan = &scan};
    resp_scan_request(&scan, request->query.bytes, request->query.size, UINT32_MAX);
    kinds[head->kind].part(&call, proxy, &head->asker, part);
}

void neighbours_answer(struct proxy *proxy, const char *bytes, size_t size, struct writer *part)
{
    struct question_head head;
    if (size < sizeof head) {
        return;
    }
    memcpy(&head, bytes, sizeof head);
    struct request request = {
        .query = {.bytes = bytes + sizeof head, .size = (uint32_t)(size - sizeof head)}};
    if (head.kind < KINDS) {
        do_part(proxy, &head, &request, part);
    }
}

int64_t neighbours_sum(const struct writer *parts)
{
    int64_t sum = 0;
    for (size_t at = 0; at < parts->size;) {
        sum += strtoll(parts->data + at, NULL, 10);
        at = (size_t)((const char *)memchr(parts->data + at, '\n', parts->size - at) - parts->data) + 1;
    }
    return sum;
}

/* ---- the one under way ---- */

static void finish(struct question *question)
{
    struct request *request = question->request;
    struct client *client = request->client;
    if (client) {
        struct resp_request scan;
        struct call call = call_again(request, &scan);
        kinds[question->head.kind].finish(&call, &question->parts);
        if (!client->dead) {
            client_release(client);
        }
    } else {
        request_answer(request, "", 0);
    }
    writer_deinit(&question->parts);
    free(question);
}

static void send_question(struct proxy *proxy, const struct question *question)
{
    const struct query *query = &question->request->query;
    struct neighbours *neighbours = proxy->neighbours;
    size_t size = sizeof question->head + query->size;
    char *bytes = xmalloc(size);
    memcpy(bytes, &question->head, sizeof question->head);
    memcpy(bytes + sizeof question->head, query->bytes, query->size);
    neighbours->ticket++;
    neighbours->counted = !proxy->ask(proxy, neighbours->ticket, bytes, size);
    free(bytes);
    ev_timer_set(&neighbours->patience, NEIGHBOURS_PATIENCE, 0.);
    ev_timer_start(proxy->loop, &neighbours->patience);
}

/* Begins the first one that needs an answer from elsewhere. */
static void begin(struct proxy *proxy)
{
    struct question *question = proxy->neighbours->first;
    do_part(proxy, &question->head, question->request, &question->parts);
    send_question(proxy, question);
}

static void end(struct proxy *proxy)
{
    struct neighbours *neighbours = proxy->neighbours;
    struct question *question = neighbours->first;
    ev_timer_stop(proxy->loop, &neighbours->patience);
    neighbours->first = question->next;
    if (!neighbours->first) {
        neighbours->last = NULL;
    }
    finish(question);
}

/* Ends the first one when all is known, and goes on to the next. */
static void go_on(struct proxy *proxy)
{
    struct neighbours *neighbours = proxy->neighbours;
    while (neighbours->first && neighbours->counted && neighbours->first->heard >= neighbours->first->asked) {
        end(proxy);
        if (neighbours->first) {
            begin(proxy);
        }
    }
}

static void patience_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    static struct log_limit limit;
    struct proxy *proxy = timer->data;
    (void)loop;
    (void)events;
    if (log_limit_pass(&limit, 1)) {
        log_warn("a worker does not answer a question about its clients: it is left out");
    }
    struct neighbours *neighbours = proxy->neighbours;
    neighbours->counted = true;
    neighbours->first->heard = neighbours->first->asked;
    go_on(proxy);
}

void neighbours_asked(struct proxy *proxy, uint32_t ticket, uint64_t count)
{
    struct neighbours *neighbours = proxy->neighbours;
    if (neighbours && neighbours->first && ticket == neighbours->ticket) {
        neighbours->counted = true;
        neighbours->first->asked = count;
        go_on(proxy);
    }
}

void neighbours_heard(struct proxy *proxy, uint32_t ticket, const char *bytes, size_t size)
{
    struct neighbours *neighbours = proxy->neighbours;
    if (neighbours && neighbours->first && ticket == neighbours->ticket) {
        writer_raw(&neighbours->first->parts, bytes, size);
        neighbours->first->heard++;
        go_on(proxy);
    }
}

/* ---- the queue ---- */

static struct neighbours *neighbours_of(struct proxy *proxy)
{
    if (!proxy->neighbours) {
        struct neighbours *neighbours = xcalloc(1, sizeof *neighbours);
        neighbours->ticket =
            (uint32_t)random_below(UINT16_MAX); /* a late part may be for the one before us */
        ev_timer_init(&neighbours->patience, patience_over, NEIGHBOURS_PATIENCE, 0.);
        neighbours->patience.data = proxy;
        proxy->neighbours = neighbours;
    }
    return proxy->neighbours;
}

void neighbours_ask(struct call *call, enum question_kind kind)
{
    struct client *client = call->client;
    struct proxy *proxy = client->proxy;
    struct asker asker = {.id = client->id};
    snprintf(asker.cluster, sizeof asker.cluster, "%s", client->listener->cluster_name);
    if (!proxy->ask || board->workers < 2) {
        struct writer part = {0};
        kinds[kind].part(call, proxy, &asker, &part);
        kinds[kind].finish(call, &part);
        writer_deinit(&part);
        return;
    }
    struct neighbours *neighbours = neighbours_of(proxy);
    struct question *question = xcalloc(1, sizeof *question);
    *question = (struct question){.request = call->request, .head = {.asker = asker, .kind = kind}};
    client_hold(client);
    request_keep_bytes(call->request);
    if (neighbours->last) {
        neighbours->last->next = question;
    } else {
        neighbours->first = question;
    }
    neighbours->last = question;
    if (neighbours->first == question) {
        begin(proxy);
        go_on(proxy);
    }
}

void neighbours_deinit(struct proxy *proxy)
{
    while (proxy->neighbours && proxy->neighbours->first) {
        end(proxy);
    }
    free(proxy->neighbours);
    proxy->neighbours = NULL;
}
