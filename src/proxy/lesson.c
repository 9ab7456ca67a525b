/* Lessons; see lesson.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/lesson.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "net/control.h"
#include "proxy/client.h"
#include "proxy/cluster.h"
#include "proxy/intake.h"
#include "proxy/policy.h"
#include "proxy/proxy.h"

/* How long one host may take, and how long requests wait for all of them. */
static const double HOST_SECONDS = 1.0, PATIENCE = 1.0;
/* From the end of a round to the next: twice as long after each that taught nothing. */
static const double PAUSE_FIRST = 2.0, PAUSE_MAX = 60.0;

struct lesson {
    struct lesson *next; /* the proxy's */
    struct proxy *proxy;
    char *name; /* the cluster's */
    struct lexicon lexicon;
    bool answered; /* a host has told what it knows, at some time */
    double pause, next_at; /* proxy clock: no round begins before */

    /* While a round is under way */
    struct cluster *cluster;      /* whose hosts are asked; keeps that generation alive; NULL: no round */
    uint32_t place;               /* the host that is asked, */
    struct control *control;      /* by this */
    size_t changes;               /* rows learned so far */
    uint32_t asked, answers;      /* hosts, and those that told */
    ev_timer patience;            /* while requests wait */
    struct request *first, *last; /* those that wait, by link_next */
};

/* ---- the requests that wait ---- */

static void wait_for_it(struct lesson *lesson, struct request *request)
{
    client_hold(request->client);
    request_keep_bytes(request);
    request->link_next = NULL;
    if (lesson->last) {
        lesson->last->link_next = request;
    } else {
        lesson->first = request;
    }
    lesson->last = request;
}

static void go_on_with(struct request *request)
{
    if (request->client) {
        intake_again(request->client, request);
    } else {
        request_fail(request, FAILURE_LOCAL, "ERR its client has gone");
    }
}

/* They may come back at once, to wait for the next host. */
static void go_on(struct lesson *lesson)
{
    struct request *request = lesson->first;
    lesson->first = lesson->last = NULL;
    while (request) {
        struct request *next = request->link_next;
        request->link_next = NULL;
        go_on_with(request);
        request = next;
    }
}

static void impatient(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    go_on(timer->data);
}

/* ---- a round ---- */

static void ask_next(struct lesson *lesson);

static void round_end(struct lesson *lesson)
{
    struct cluster *cluster = lesson->cluster;
    double pause = lesson->pause * 2 < PAUSE_MAX ? lesson->pause * 2 : PAUSE_MAX;
    bool doubles = lesson->pause > 0 && lesson->changes == 0 && lesson->answers == lesson->asked;
    lesson->pause = lesson->asked == 0 ? 0 : doubles ? pause : PAUSE_FIRST;
    lesson->next_at = lesson->proxy->clock + lesson->pause;
    lesson->cluster = NULL;
    ev_timer_stop(lesson->proxy->loop, &lesson->patience);
    go_on(lesson);
    generation_leave(cluster->generation);
}

static void learn(struct lesson *lesson, const struct host *host, const redisReply *reply)
{
    size_t changes = lexicon_learn(&lesson->lexicon, reply);
    lesson->answered = true;
    lesson->answers++;
    lesson->changes += changes;
    if (changes == 0) {
        return;
    }
    for (size_t i = 0; i < lesson->lexicon.count; i++) {
        policy_learn(lesson->lexicon.rows[i]);
    }
    log_info("host %s of cluster %s has taught %zu commands", host->options.identifier, lesson->name,
             changes);
    if (lesson->lexicon.full) {
        log_warn("cluster %s: there are more commands than can be learned", lesson->name);
    }
}

static void answered(void *owner, const redisReply *reply, const char *error)
{
    static struct log_limit limit;
    struct lesson *lesson = owner;
    const struct host *host = lesson->cluster->hosts[lesson->place];
    size_t before = lesson->changes;
    lesson->control = NULL;
    if (reply && reply->type == REDIS_REPLY_ARRAY) {
        learn(lesson, host, reply);
    } else if (log_limit_pass(&limit, 10)) {
        const char *why = error                                   ? error
                          : reply->type == REDIS_REPLY_ERROR ? reply->str
                                                             : "that is no list";
        log_info("host %s of cluster %s does not say which commands it knows: %s", host->options.identifier,
                 lesson->name, why);
    }
    lesson->place++;
    ask_next(lesson);
    if (lesson->changes > before) {
        go_on(lesson);
    }
}

/* Of the next host that is not marked down, or of none. */
static void ask_next(struct lesson *lesson)
{
    static const char *const words[] = {"COMMAND"};
    const struct cluster *cluster = lesson->cluster;
    while (lesson->place < cluster->count && cluster->hosts[lesson->place]->down) {
        lesson->place++;
    }
    if (lesson->place == cluster->count) {
        round_end(lesson);
        return;
    }
    const struct host_options *host = &cluster->hosts[lesson->place]->options;
    const struct control_question question = {.host = host->host,
                                              .unix_socket_path = host->unix_socket_path,
                                              .port = host->port,
                                              .user = host->user,
                                              .password = host->password,
                                              .words = words,
                                              .count = 1,
                                              .seconds = HOST_SECONDS};
    lesson->asked++;
    lesson->control = control_ask(lesson->proxy->loop, &question, answered, lesson);
}

static void round_begin(struct lesson *lesson, struct cluster *cluster)
{
    lesson->cluster = cluster;
    generation_ref(cluster->generation);
    lesson->place = 0;
    lesson->changes = 0;
    lesson->asked = lesson->answers = 0;
    ev_timer_set(&lesson->patience, PATIENCE, 0);
    ev_timer_start(lesson->proxy->loop, &lesson->patience);
    ask_next(lesson);
}

/* ---- the lesson of a cluster ---- */

static struct lesson *lesson_create(struct proxy *proxy, const char *name)
{
    struct lesson *lesson = xcalloc(1, sizeof *lesson);
    lesson->proxy = proxy;
    lesson->name = xstrdup(name);
    ev_timer_init(&lesson->patience, impatient, 0, 0);
    lesson->patience.data = lesson;
    lesson->next = proxy->lessons;
    proxy->lessons = lesson;
    return lesson;
}

/* NULL: it has no hosts, whom one could ask. A new generation may ask at once. */
static struct lesson *lesson_of(struct cluster *cluster)
{
    if (cluster->lesson || cluster->count == 0) {
        return cluster->lesson;
    }
    struct proxy *proxy = cluster->hosts[0]->proxy;
    struct lesson *lesson = proxy->lessons;
    while (lesson && strcmp(lesson->name, cluster->name) != 0) {
        lesson = lesson->next;
    }
    if (!lesson) {
        lesson = lesson_create(proxy, cluster->name);
    }
    lesson->pause = lesson->next_at = 0;
    cluster->lesson = lesson;
    return lesson;
}

const struct lexicon *lesson_lexicon(struct cluster *cluster)
{
    static const struct lexicon empty;
    const struct lesson *lesson = lesson_of(cluster);
    return lesson ? &lesson->lexicon : &empty;
}

const struct command *lesson_find(struct cluster *cluster, const char *name, size_t size)
{
    return lexicon_find(lesson_lexicon(cluster), name, size);
}

const struct command *lesson_find_sub(struct cluster *cluster, const struct command *container,
                                      const char *sub, size_t size)
{
    return lexicon_find_sub(lesson_lexicon(cluster), container, sub, size);
}

const struct command *lesson_lookup_sub(struct cluster *cluster, const struct command *container,
                                        const char *sub, size_t size)
{
    const struct command *row = command_find_sub(container, sub, size);
    return row ? row : lesson_find_sub(cluster, container, sub, size);
}

const struct command *lesson_lookup(struct cluster *cluster, const char *name, size_t size)
{
    const char *bar = memchr(name, '|', size);
    size_t first = bar ? (size_t)(bar - name) : size;
    const struct command *row = command_find(name, first);
    if (!row) {
        row = lesson_find(cluster, name, first);
    }
    return row && bar ? lesson_lookup_sub(cluster, row, bar + 1, size - first - 1) : row;
}

bool lesson_keeps(struct cluster *cluster, struct request *request, bool once)
{
    struct lesson *lesson = lesson_of(cluster);
    if (!lesson || (once && lesson->answered)) {
        return false;
    }
    if (!lesson->cluster && lesson->proxy->clock >= lesson->next_at) {
        round_begin(lesson, cluster);
    }
    if (!lesson->cluster || !ev_is_active(&lesson->patience)) {
        return false;
    }
    wait_for_it(lesson, request);
    return true;
}

void lesson_end_all(struct proxy *proxy)
{
    while (proxy->lessons) {
        struct lesson *lesson = proxy->lessons;
        proxy->lessons = lesson->next;
        ev_timer_stop(proxy->loop, &lesson->patience);
        control_cancel(lesson->control);
        struct cluster *cluster = lesson->cluster;
        for (struct request *request = lesson->first, *next; request; request = next) {
            next = request->link_next;
            request_fail(request, FAILURE_LOCAL, "ERR the worker leaves");
        }
        if (cluster) {
            generation_leave(cluster->generation);
        }
        lexicon_deinit(&lesson->lexicon);
        free(lesson->name);
        free(lesson);
    }
}
