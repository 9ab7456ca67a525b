/* Tracking; see tracking.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/tracking.h"

#include "base/log.h"
#include "base/memory.h"
#include "proxy/host.h"
#include "proxy/link.h"
#include "proxy/proxy.h"
#include "resp/writer.h"

#include <stdlib.h>
#include <string.h>

/* A host that could not be asked is asked again after so many seconds, one that has refused later. */
static const double AGAIN = 0.25, AGAIN_REFUSED = 30.0;

/* One host that tells, or is to. */
struct tracker {
    struct tracker *next;
    struct tracking *tracking;
    struct host *host;
    struct link *link; /* NULL: none yet */
    bool asked;        /* the command is on its way */
    bool tells;
    double again_at; /* proxy clock */
};

/* What a leaf leads to. */
struct source {
    uint32_t era;
    bool possible;
    uint32_t count;
    struct tracker *trackers[];
};

struct tracking {
    struct tracking_options options;
    struct writer command;
    struct tracker *trackers;
    struct source **sources; /* by the target's id, NULL: not asked for yet */
    uint32_t room;
};

/* ---- what is below a target ---- */

struct survey {
    bool asks;
    bool possible;       /* every reply could be told of */
    const char *why;     /* never, whatever the other targets are */
    struct host **hosts; /* owned */
    uint32_t count, room;
    uint8_t *seen; /* by id, owned */
};

/* Actions that are no place for replies to be kept above. */
static const struct {
    const char *name;
    bool only_asking;
    const char *why;
} obstacles[] = {
    {"cache", false, "there is another cache below it"},
    {"rewrite", true, "there is a rewrite below it, and hosts tell of keys by their own names; put the cache "
                      "below the rewrite (or tracking = false)"},
};

static void survey_add(struct survey *survey, struct host *host)
{
    for (uint32_t i = 0; i < survey->count; i++)
        if (survey->hosts[i] == host)
            return;
    if (survey->count == survey->room) {
        survey->room = survey->room ? survey->room * 2 : 16;
        survey->hosts = xrealloc(survey->hosts, survey->room * sizeof *survey->hosts);
    }
    survey->hosts[survey->count++] = host;
}

/* What runs in Lua may answer as it likes: no host would tell of that. */
static void survey_action(struct survey *survey, const struct action *action)
{
    if (survey->asks && strcmp(action->language, "C") != 0)
        survey->possible = false;
    for (size_t i = 0; i < sizeof obstacles / sizeof *obstacles; i++)
        if (!strcmp(obstacles[i].name, action->name) && (survey->asks || !obstacles[i].only_asking))
            survey->why = obstacles[i].why;
}

/* Hosts that share an identifier are asked together, as a list. */
static void survey_router(struct survey *survey, const struct target *at)
{
    for (uint32_t i = 0; i < at->router.count; i++) {
        survey_add(survey, at->router.hosts[i]->host.host);
        survey->possible &= !at->router.groups[i];
    }
}

static bool survey_visit(void *context, const struct target *at, const struct target_way *way)
{
    (void)way;
    struct survey *survey = context;
    if (survey->seen[at->id])
        return false;
    survey->seen[at->id] = true;
    if (at->kind == TARGET_HOST)
        survey_add(survey, at->host.host);
    else if (at->kind == TARGET_ROUTER)
        survey_router(survey, at);
    else if (at->kind == TARGET_ACTION)
        survey_action(survey, at->action.action);
    else if (at->kind == TARGET_SPLIT && at->split.by == SPLIT_CLIENT)
        survey->why = "there is a split by client below it, and what it keeps is for all clients; put the "
                      "cache below the split";
    else if (at->kind == TARGET_LIST || at->kind == TARGET_FUNCTION || at->kind == TARGET_REPLY)
        survey->possible = false; /* a list's reply may hold errors; nobody knows where a function leads; what
                                   * is said in a host's place is for the moment */
    return target_each(at, survey_visit, survey);
}

static struct survey survey_begin(const struct target *target, bool asks)
{
    struct survey survey = {.asks = asks, .possible = true, .seen = xcalloc(target->set->count, 1)};
    survey_visit(&survey, target, NULL);
    free(survey.seen);
    return survey;
}

const char *tracking_obstacle(const struct target *target, bool asks)
{
    struct survey survey = survey_begin(target, asks);
    free(survey.hosts);
    return survey.why;
}

/* ---- hosts ---- */

static struct tracker *tracker_of(struct tracking *tracking, struct host *host)
{
    struct tracker *tracker = tracking->trackers;
    while (tracker && tracker->host != host)
        tracker = tracker->next;
    if (tracker)
        return tracker;
    tracker = xcalloc(1, sizeof *tracker);
    tracker->next = tracking->trackers;
    tracker->tracking = tracking;
    tracker->host = host;
    tracking->trackers = tracker;
    return tracker;
}

/* Nothing that came by way of the host is good any more. */
static void tracker_end_eras(const struct tracker *tracker)
{
    const struct tracking *tracking = tracker->tracking;
    for (uint32_t id = 0; id < tracking->room; id++) {
        struct source *source = tracking->sources[id];
        for (uint32_t i = 0; source && i < source->count; i++)
            source->era += source->trackers[i] == tracker;
    }
}

static void tracker_refused(struct tracker *tracker, const struct reply *reply)
{
    static struct log_limit limit;
    const struct host_options *host = &tracker->host->options;
    bool refused = reply->failure == FAILURE_NONE || (tracker->link && tracker->link->refusal);
    tracker->again_at = tracker->host->proxy->clock + (refused ? AGAIN_REFUSED : AGAIN);
    if (refused && log_limit_pass(&limit, 10))
        log_warn("host %s of cluster %s does not tell what changes, so nothing of it is cached: %.*s",
                 host->identifier, host->cluster, (int)(reply->size - 3), reply->bytes + 1);
}

static void tracker_answered(struct request *request, const struct reply *reply)
{
    struct tracker *tracker = request->context;
    request_put(request);
    tracker->asked = false;
    if (reply->failure == FAILURE_NONE && reply->bytes[0] != '-')
        tracker->tells = true;
    else
        tracker_refused(tracker, reply);
}

static const struct receiver tracker_receiver;

static void tracker_ask(struct tracker *tracker)
{
    if (tracker->asked || tracker->host->proxy->clock < tracker->again_at)
        return;
    if (!tracker->link) {
        tracker->link = host_own_link(tracker->host, link_lane(0, LINK_FEED, 3));
        tracker->link->receiver = &tracker_receiver;
        tracker->link->owner = tracker;
        tracker->link->leased = true;
    }
    struct request *request = request_get();
    request->query.bytes = tracker->tracking->command.data;
    request->query.size = (uint32_t)tracker->tracking->command.size;
    request->done = tracker_answered;
    request->context = tracker;
    tracker->asked = true;
    link_send(tracker->link, request);
}

/* ---- its link ---- */

static void tracker_connected(void *owner)
{
    (void)owner; /* the command that it connected for is in its queue */
}

static void tracker_lost(void *owner, const char *reason)
{
    struct tracker *tracker = owner;
    if (tracker->tells)
        log_info("host %s of cluster %s: what was cached of it is dropped: %s",
                 tracker->host->options.identifier, tracker->host->options.cluster, reason);
    tracker->tells = false;
    tracker_end_eras(tracker);
}

static void tracker_ended(void *owner)
{
    struct tracker *tracker = owner;
    tracker->tells = false;
    tracker->link = NULL;
    tracker_end_eras(tracker);
}

static void tell_keys(const struct tracker *tracker, const char *array)
{
    const struct tracking_options *options = &tracker->tracking->options;
    struct resp_cursor cursor;
    struct resp_arg key;
    resp_cursor_init(&cursor, array);
    while (resp_cursor_next(&cursor, &key))
        options->changed(options->owner, array + key.at, key.size);
}

/* A list of keys, or a null: all of them. */
static bool tracker_takes(void *owner, const struct reply *reply)
{
    static const char head[] = ">2\r\n$10\r\ninvalidate\r\n";
    enum { HEAD = sizeof head - 1 };
    struct tracker *tracker = owner;
    if (reply->size <= HEAD || memcmp(reply->bytes, head, HEAD) != 0)
        return false;
    const char *keys = reply->bytes + HEAD;
    if (keys[0] == '*' && reply->size <= UINT32_MAX)
        tell_keys(tracker, keys);
    else
        tracker_end_eras(tracker);
    return true;
}

static const struct receiver tracker_receiver = {.connected = tracker_connected,
                                                 .lost = tracker_lost,
                                                 .ended = tracker_ended,
                                                 .takes = tracker_takes};

/* ---- sources ---- */

static struct source *source_make(struct tracking *tracking, const struct target *leaf)
{
    struct survey survey = survey_begin(leaf, tracking->options.asks);
    uint32_t count = tracking->options.asks ? survey.count : 0;
    struct source *source = xcalloc(1, sizeof *source + count * sizeof *source->trackers);
    source->possible = survey.possible && !survey.why;
    source->count = count;
    for (uint32_t i = 0; i < count; i++)
        source->trackers[i] = tracker_of(tracking, survey.hosts[i]);
    free(survey.hosts);
    return source;
}

/* Decisions may add to the set. */
static void tracking_make_room(struct tracking *tracking, uint32_t room)
{
    tracking->sources = xrealloc(tracking->sources, room * sizeof *tracking->sources);
    memset(tracking->sources + tracking->room, 0, (room - tracking->room) * sizeof *tracking->sources);
    tracking->room = room;
}

const uint32_t *tracking_era(struct tracking *tracking, const struct target *leaf)
{
    if (!leaf->set) /* a reply that a decision has made up */
        return NULL;
    if (leaf->id >= tracking->room)
        tracking_make_room(tracking, leaf->set->count);
    struct source **place = &tracking->sources[leaf->id];
    if (!*place)
        *place = source_make(tracking, leaf);
    struct source *source = *place;
    bool told = source->possible;
    for (uint32_t i = 0; source->possible && i < source->count; i++) {
        struct tracker *tracker = source->trackers[i];
        if (!tracker->tells)
            tracker_ask(tracker);
        told &= tracker->tells;
    }
    return told ? &source->era : NULL;
}

void tracking_forget(struct tracking *tracking)
{
    for (uint32_t id = 0; id < tracking->room; id++)
        if (tracking->sources[id])
            tracking->sources[id]->era++;
}

/* ---- life ---- */

static void command_write(struct tracking *tracking)
{
    const struct tracking_options *options = &tracking->options;
    static const char *const words[] = {"CLIENT", "TRACKING", "ON", "BCAST"};
    writer_array(&tracking->command, 4 + 2 * (size_t)options->prefix_count);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        writer_text(&tracking->command, words[i]);
    for (uint32_t i = 0; i < options->prefix_count; i++) {
        writer_text(&tracking->command, "PREFIX");
        writer_bulk(&tracking->command, options->prefix_bytes + options->prefixes[i].at,
                    options->prefixes[i].size);
    }
}

struct tracking *tracking_create(const struct tracking_options *options)
{
    struct tracking *tracking = xcalloc(1, sizeof *tracking);
    tracking->options = *options;
    command_write(tracking);
    return tracking;
}

void tracking_destroy(struct tracking *tracking)
{
    if (!tracking)
        return;
    for (struct tracker *tracker = tracking->trackers, *next; tracker; tracker = next) {
        next = tracker->next;
        if (tracker->link)
            link_retire(tracker->link, "its cache is gone");
    }
    for (uint32_t id = 0; id < tracking->room; id++)
        free(tracking->sources[id]);
    free(tracking->sources);
    while (tracking->trackers) {
        struct tracker *tracker = tracking->trackers;
        tracking->trackers = tracker->next;
        free(tracker);
    }
    writer_deinit(&tracking->command);
    free(tracking);
}
