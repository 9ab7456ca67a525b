/* Hosts; see host.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/host.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/stats.h"
#include "net/alarm.h"
#include "proxy/client.h"
#include "proxy/join.h"
#include "proxy/link.h"
#include "proxy/proxy.h"

#include <stdlib.h>
#include <string.h>

/* HOST_PROMPT: those who watch hosts are told so often in one step of the clock, then what changes gathers:
 * they may be the cause of it. */
enum { HOST_LOG_BURST = 10, HOST_PROMPT = 8 };

static const char no_longer[] = "the host is no longer configured";

static const char *text_or_nothing(const char *text)
{
    return text ? text : "";
}

/* Every option in one piece: what differs in anything is another host. Not by printf: with that, and a
 * list to look for it in, finding 300 hosts again took a worker 1.1 ms, now 0.2. */
static struct fingerprint fingerprint_make(const struct host_options *o)
{
    const int64_t numbers[] = {o->named, o->key,    o->port,        o->db,
                               o->weight, o->connections, o->failure_limit};
    const double times[] = {o->timeout, o->connect_timeout, o->retry_timeout};
    const char *const texts[] = {o->cluster, o->identifier, o->host, o->unix_socket_path,
                                 o->user,    o->password};
    enum { TEXTS = sizeof texts / sizeof *texts };
    size_t sizes[TEXTS], size = sizeof numbers + sizeof times;
    for (int i = 0; i < TEXTS; i++)
        size += sizes[i] = strlen(text_or_nothing(texts[i])) + 1;
    char *bytes = xmalloc(size), *at = bytes;
    memcpy(at, numbers, sizeof numbers);
    memcpy(at + sizeof numbers, times, sizeof times);
    at += sizeof numbers + sizeof times;
    for (int i = 0; i < TEXTS; at += sizes[i++])
        memcpy(at, text_or_nothing(texts[i]), sizes[i]);
    return (struct fingerprint){.bytes = bytes, .size = size};
}

static const char *copy_text(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

static void host_copy_options(struct host *host, const struct host_options *options)
{
    struct host_options *own = &host->options;
    *own = *options;
    own->cluster = copy_text(options->cluster);
    own->identifier = copy_text(options->identifier);
    own->host = copy_text(options->host);
    own->unix_socket_path = copy_text(options->unix_socket_path);
    own->address = copy_text(options->address);
    own->user = copy_text(options->user);
    own->password = copy_text(options->password);
}

static void host_free(struct host *host)
{
    const struct host_options *own = &host->options;
    const char *const texts[] = {own->cluster, own->identifier, own->host,    own->unix_socket_path,
                                 own->address, own->user,       own->password};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free((char *)(uintptr_t)texts[i]);
    free(host->fingerprint.bytes);
    free(host->reason);
    free(host);
}

/* Takes the fingerprint over; registered with its proxy, if it has one. */
static struct host *host_create(struct proxy *proxy, const struct host_options *options,
                                struct fingerprint fingerprint, uint64_t hash)
{
    struct host *host = xcalloc(1, sizeof *host);
    host_copy_options(host, options);
    host->fingerprint = fingerprint;
    host->proxy = proxy;
    host->refs = 1;
    if (!proxy)
        return host;
    set_add(&proxy->host_set, &host->node, hash);
    host->next = proxy->hosts;
    host->place = &proxy->hosts;
    if (host->next)
        host->next->place = &host->next;
    proxy->hosts = host;
    return host;
}

struct host *host_acquire(struct proxy *proxy, const struct host_options *options)
{
    struct fingerprint wanted = fingerprint_make(options);
    uint64_t hash = set_hash(wanted.bytes, wanted.size, 0);
    struct set_node *node = proxy ? set_find(&proxy->host_set, hash) : NULL;
    for (; node; node = set_next(node)) {
        struct host *host = (struct host *)node;
        const struct fingerprint *its = &host->fingerprint;
        if (its->size == wanted.size && !memcmp(its->bytes, wanted.bytes, wanted.size)) {
            free(wanted.bytes);
            host->refs++;
            return host;
        }
    }
    return host_create(proxy, options, wanted, hash);
}

static void host_unregister(struct host *host)
{
    set_remove(&host->proxy->host_set, &host->node);
    *host->place = host->next;
    if (host->next)
        host->next->place = host->place;
}

/* Links with an owner end with the host's last generation, of which the owner is. */
static void retire_owned(struct host *host)
{
    for (struct link *link = host->links, *next; link; link = next) {
        next = link->next;
        if (!link->keep || link->receiver)
            link_retire(link, no_longer);
    }
}

void host_release(struct host *host)
{
    struct proxy *proxy = host->proxy;
    if (--host->refs)
        return;
    if (proxy) {
        host_unregister(host);
        retire_owned(host);
    }
    if (!host->links) {
        host_free(host);
        return;
    }
    host->next = proxy->leaving_hosts;
    proxy->leaving_hosts = host;
    proxy_settle(proxy);
}

bool host_bury(struct proxy *proxy, uint32_t most)
{
    for (; most && proxy->leaving_hosts; most--) {
        struct host *host = proxy->leaving_hosts;
        proxy->leaving_hosts = host->next;
        while (host->links)
            link_retire(host->links, no_longer);
        host_free(host);
    }
    return proxy->leaving_hosts;
}

/* A link that nobody had is put behind the other shared ones: those of the
 * configured database, which most commands are for, are found first. */
static struct link *host_add_link(struct host *host, uint64_t lane)
{
    struct link **place = &host->links;
    while (*place && (*place)->slot < LINK_FEED)
        place = &(*place)->next;
    struct link *link = link_create(host, lane);
    link->next = *place;
    *place = link;
    return link;
}

static struct link *host_link(struct host *host, uint64_t lane)
{
    for (struct link *link = host->links; link; link = link->next)
        if (link->lane == lane)
            return link;
    return host_add_link(host, lane);
}

struct link *host_own_link(struct host *host, uint64_t lane)
{
    struct link **place = &host->links;
    while (*place)
        place = &(*place)->next;
    *place = link_create(host, lane);
    return *place;
}

bool host_connect(struct host *host)
{
    bool opened = false;
    for (uint32_t slot = 0; slot < host->options.connections; slot++) {
        struct link *link = host_link(host, link_lane(host->options.db, slot, 2));
        if (link->state != LINK_IDLE)
            continue;
        link_connect(link);
        opened = true;
    }
    return opened;
}

bool host_is_connected(const struct host *host)
{
    for (const struct link *link = host->links; link; link = link->next)
        if (link->keep && link->state == LINK_READY)
            return true;
    return false;
}

const char *host_away(const struct host *host)
{
    const char *reason = NULL;
    for (const struct link *link = host->links; link; link = link->next) {
        if (link->keep && link->state == LINK_READY)
            return NULL;
        if (link->keep && link->tries)
            reason = link->reason;
    }
    return reason;
}

enum host_state host_state(const struct host *host)
{
    if (host->down)
        return HOST_DOWN;
    if (host_is_connected(host))
        return HOST_UP;
    if (!host->links)
        return HOST_IDLE;
    return host_away(host) ? HOST_AWAY : HOST_CONNECTING;
}

const char *host_state_name(enum host_state state)
{
    static const char *const names[HOST_STATES] = {[HOST_IDLE] = "idle",
                                                   [HOST_CONNECTING] = "connecting",
                                                   [HOST_UP] = "up",
                                                   [HOST_AWAY] = "away",
                                                   [HOST_DOWN] = "down"};
    return names[state];
}

/* With several links, one client keeps to one of them: what it writes, it can read. */
static uint32_t host_slot(const struct host *host, const struct request *request)
{
    uint32_t connections = host->options.connections;
    if (connections == 1)
        return 0;
    const struct client *client = request_client(request);
    return client ? (uint32_t)(client->id % connections) : 0;
}

void host_send(struct host *host, struct request *request)
{
    const struct query *query = &request->query;
    uint64_t lane = link_lane(host->options.db + query->db, host_slot(host, request), query->resp);
    struct link *link = host->links; /* mostly it is the first */
    link_send(link && link->lane == lane ? link : host_link(host, lane), request);
}

void host_changed(const struct host *host)
{
    struct proxy *proxy = host->proxy;
    if (!proxy || !proxy->host_watch || alarm_is_set(proxy->host_watch))
        return;
    if (proxy->host_news != proxy->clock)
        proxy->host_news_count = 0;
    proxy->host_news = proxy->clock;
    bool prompt = proxy->host_news_count++ < HOST_PROMPT;
    alarm_set(proxy->loop, proxy->host_watch, prompt ? 0 : PROXY_CLOCK_STEP);
}

static void host_mark(struct host *host, bool down)
{
    host->down = down;
    if (host->proxy) {
        host->proxy->hubs_stale = true; /* channels may have moved, */
        host->proxy->moves++;           /* and keys */
    }
    host_changed(host);
    for (struct seat *seat = host->seats; seat; seat = seat->next)
        router_mark(seat->router, seat->index, !down);
}

void host_failed(struct host *host, const char *reason)
{
    const struct host_options *options = &host->options;
    host->failures++;
    free(host->reason);
    host->reason = xstrdup(reason);
    host->failed_at = host->proxy->clock;
    if (host->down || host->failures < options->failure_limit)
        return;
    host->down_until = host->failed_at + options->retry_timeout;
    stats->hosts_marked_down++;
    log_warn("host %s of cluster %s is marked down for %g s: %s", options->identifier, options->cluster,
             options->retry_timeout, reason);
    host_mark(host, true);
}

void host_put_down(struct host *host, double seconds, const char *reason)
{
    static struct log_limit limit;
    const struct host_options *options = &host->options;
    free(host->reason);
    host->reason = xstrdup(reason);
    host->failed_at = host->proxy ? host->proxy->clock : 0;
    host->down_until = host->failed_at + seconds + PROXY_CLOCK_STEP; /* a step may end at once */
    if (host->down)
        return;
    stats->hosts_marked_down++;
    if (host->proxy && log_limit_pass(&limit, HOST_LOG_BURST))
        log_warn("host %s of cluster %s is marked down for %g s: %s", options->identifier, options->cluster,
                 seconds, reason);
    host_mark(host, true);
}

void host_take_back(struct host *host)
{
    static struct log_limit limit;
    host->failures = 0;
    if (!host->down)
        return;
    if (host->proxy && log_limit_pass(&limit, HOST_LOG_BURST))
        log_info("host %s of cluster %s is taken back", host->options.identifier, host->options.cluster);
    host_mark(host, false);
}

void host_succeeded(struct host *host, bool back)
{
    host->failures = 0;
    if (back)
        host_changed(host);
    for (struct link *link = back ? host->links : NULL; link; link = link->next)
        if (!link->refusal)
            link->retry_at = 0;
}

void host_seat_add(struct host *host, struct router *router, int index)
{
    struct seat *seat = xmalloc(sizeof *seat);
    *seat = (struct seat){.next = host->seats, .router = router, .index = index};
    host->seats = seat;
    if (host->down)
        router_mark(router, index, false);
}

void host_seat_remove(struct host *host, struct router *router)
{
    for (struct seat **place = &host->seats; *place;) {
        struct seat *seat = *place;
        if (seat->router == router) {
            *place = seat->next;
            free(seat);
        } else {
            place = &seat->next;
        }
    }
}

/* A host is taken back when its time is over and a link has shown that it is there. */
static bool host_may_return(const struct host *host)
{
    if (!host->down || host->proxy->clock < host->down_until)
        return false;
    for (const struct link *link = host->links; link; link = link->next)
        if (link->keep && link->state == LINK_READY && (!link->queue.count || link->heard > host->failed_at))
            return true;
    return false;
}

void host_tick(struct host *host)
{
    for (struct link *link = host->links, *next; link; link = next) {
        next = link->next;
        link_tick(link);
    }
    if (host_may_return(host))
        host_take_back(host);
}

uint32_t host_pending(const struct host *host)
{
    uint32_t pending = 0;
    for (const struct link *link = host->links; link; link = link->next)
        pending += link->queue.count;
    return pending;
}

/* ---- for people ---- */

static const char *const state_names[] = {
    [LINK_IDLE] = "idle", [LINK_RESOLVING] = "resolving", [LINK_CONNECTING] = "connecting",
    [LINK_GREETING] = "greeting", [LINK_READY] = "up", [LINK_RESTING] = "away",
};

/* Of the configured database: one that is up, if there is one. */
static const struct link *best_link(const struct host *host)
{
    const struct link *best = NULL;
    for (const struct link *link = host->links; link; link = link->next) {
        bool better = !best || (best->state != LINK_READY && link->state == LINK_READY);
        if (link->db == host->options.db && better)
            best = link;
    }
    return best;
}

struct host_report host_report(const struct host *host)
{
    const struct link *best = best_link(host);
    struct host_report report = {
        .state = host->down ? "down" : state_names[best ? best->state : LINK_IDLE],
        .reason = "",
        .failures = host->failures,
    };
    for (const struct link *link = host->links; link; link = link->next)
        report.links += link->state == LINK_READY;
    report.pending = host_pending(host);
    if (host->down)
        report.reason = text_or_nothing(host->reason);
    else if (best && best->state == LINK_RESTING)
        report.reason = text_or_nothing(best->reason);
    return report;
}
