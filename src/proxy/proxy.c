/* The data path's loop turns; see proxy.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/proxy.h"

#include "base/block.h"
#include "base/chain.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/peak.h"
#include "base/stats.h"
#include "base/tile.h"
#include "proxy/client.h"
#include "proxy/cluster.h"
#include "proxy/host.h"
#include "proxy/lesson.h"
#include "proxy/link.h"
#include "proxy/listener.h"
#include "proxy/login.h"
#include "proxy/pause.h"
#include "proxy/measure.h"
#include "proxy/nydus_command.h"
#include "proxy/request.h"
#include "proxy/subscription.h"
#include "proxy/turnout.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* The janitor looks at deadlines of hosts with every step of the clock. What is
 * done once in JANITOR_SLOW of them is spread over these, as far as it grows with
 * the load: a walk along 10,000 clients takes a millisecond. */
enum { JANITOR_SLOW = 20 };

/* Hosts whose links are opened, and closed, in one turn: each takes 20 to 40 µs, so that 300 hosts at once
 * would hold up everybody for 6 ms and more. */
enum { SETTLE_HOSTS = 8 };

/* A turn ends when so much has been written, for the others to get theirs and for the heartbeat. */
enum { TURN_BYTES = 16 * 1024 * 1024 };

/* ---- the turn's end ---- */

/* Those that had to wait first. */
static struct client *take_dirty_clients(struct proxy *proxy)
{
    struct client *list = proxy->dirty_clients, *late = proxy->late_clients, *last = late;
    proxy->dirty_clients = proxy->late_clients = NULL;
    while (last && last->dirty_next)
        last = last->dirty_next;
    if (last)
        last->dirty_next = list;
    return late ? late : list;
}

void proxy_run_errand(struct proxy *proxy, struct errand *errand)
{
    if (errand->waits)
        return;
    errand->waits = true;
    errand->next = proxy->errands;
    proxy->errands = errand;
}

void proxy_drop_errand(struct proxy *proxy, struct errand *errand)
{
    struct errand **place = &proxy->errands;
    while (*place && *place != errand)
        place = &(*place)->next;
    if (*place)
        *place = errand->next;
    errand->waits = false;
}

/* Those that come meanwhile wait for the next turn. */
static void run_errands(struct proxy *proxy)
{
    struct errand *errands = proxy->errands;
    proxy->errands = NULL;
    while (errands) {
        struct errand *errand = errands;
        errands = errand->next;
        errand->waits = false;
        errand->run(errand);
    }
}

static void resume_clients(struct proxy *proxy)
{
    for (struct client *client = proxy->dirty_clients, *next; client; client = next) {
        next = client->dirty_next;
        client_resume(client); /* may put others in front: they are looked at next time */
    }
}

static void flush_links(struct proxy *proxy)
{
    while (proxy->dirty_links) {
        struct link *link = proxy->dirty_links;
        proxy->dirty_links = link->dirty_next;
        link_turn_end(link);
    }
}

/* Returns whether there are some left for the next turn. */
static bool flush_clients(struct proxy *proxy)
{
    bool waiting = false;
    uint64_t enough = stats->output_bytes + TURN_BYTES;
    for (struct client *client = take_dirty_clients(proxy), *next; client; client = next) {
        next = client->dirty_next;
        if (stats->output_bytes >= enough) {
            proxy->late_clients = client;
            return true;
        }
        client->dirty = client_turn_end(client); /* true until here: a close leaves it to us */
        if (client->dirty) {
            waiting = true;
            client->dirty_next = proxy->dirty_clients;
            proxy->dirty_clients = client;
        } else if (client->dead) {
            client->dirty_next = proxy->dead_clients;
            proxy->dead_clients = client;
        }
    }
    return waiting;
}

static void bury_dead(struct proxy *proxy)
{
    while (proxy->dead_clients) {
        struct client *client = proxy->dead_clients;
        proxy->dead_clients = client->dirty_next;
        client_destroy(client);
    }
    while (proxy->dead_links) {
        struct link *link = proxy->dead_links;
        proxy->dead_links = link->next;
        link_destroy(link);
    }
}

static void check_drained(struct proxy *proxy)
{
    if (!proxy->draining || proxy->client_count || !proxy->drained)
        return;
    void (*drained)(struct proxy *) = proxy->drained;
    proxy->drained = NULL;
    drained(proxy);
}

/* Before anything else that the loop has woken for. */
static void turn_begin(struct ev_loop *loop, ev_check *watcher, int events)
{
    (void)watcher;
    (void)events;
    measure_turn(ev_now(loop));
}

/* Before the loop sleeps: what this turn has gathered goes out, links first. */
static void turn_end(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    (void)events;
    struct proxy *proxy = watcher->data;
    hub_turn_end(proxy);
    run_errands(proxy);
    resume_clients(proxy);
    flush_links(proxy);
    turnout_turn_end(proxy);
    bool waiting = flush_clients(proxy);
    turnout_turn_end(proxy); /* a SUBSCRIBE that had waited for its turn */
    flush_links(proxy); /* what closing clients and retries have left */
    waiting |= generation_bury(1); /* it retires links */
    bury_dead(proxy);
    check_drained(proxy);
    if (waiting || proxy->dirty_clients || proxy->errands)
        ev_idle_start(loop, &proxy->spin);
    else
        ev_idle_stop(loop, &proxy->spin);
}

/* Exists only so that the loop does not sleep. */
static void spin(struct ev_loop *loop, ev_idle *watcher, int events)
{
    (void)loop;
    (void)watcher;
    (void)events;
}

/* ---- the janitor ---- */

/* A share of the clients; all of them once in JANITOR_SLOW. */
static void tick_clients(struct proxy *proxy, double now)
{
    for (uint64_t i = 0; i < proxy->tick_share && proxy->tick_next; i++) {
        struct client *client = proxy->tick_next;
        proxy->tick_next = client->next;
        client_tick(client, now);
    }
}

void proxy_purge(void)
{
    malloc_trim(0);
    tile_trim();
}

/* What is no longer needed goes back to malloc, and after a peak from there to the system. */
static void settle_memory(void)
{
    chain_pool_shrink();
    block_shrink();
    request_shrink();
    client_shrink();
    if (peak_is_over())
        proxy_purge();
}

/* While the process does not run (a stopped or overloaded machine), replies
 * pile up unread: hosts must not be blamed for that time. */
static void advance_clock(struct proxy *proxy, double now)
{
    double passed = now > proxy->ticked ? now - proxy->ticked : 0; /* the system's clock may be set back */
    proxy->ticked = now;
    proxy->clock += passed < 2 * PROXY_CLOCK_STEP ? passed : 2 * PROXY_CLOCK_STEP;
}

static void tick_hosts(struct proxy *proxy)
{
    for (struct host *host = proxy->hosts, *next; host; host = next) {
        next = host->next;
        host_tick(host);
    }
    hub_tick(proxy);
}

static void janitor(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct proxy *proxy = timer->data;
    double now = ev_now(loop);
    advance_clock(proxy, now);
    tick_hosts(proxy);
    bool slow = ++proxy->ticks % JANITOR_SLOW == 0;
    if (slow) {
        proxy->tick_next = proxy->clients;
        proxy->tick_share = proxy->client_count / JANITOR_SLOW + 1;
    }
    tick_clients(proxy, now);
    if (slow)
        settle_memory();
}

void proxy_skip(struct proxy *proxy, double seconds)
{
    while (seconds > 0) {
        double step = seconds < PROXY_CLOCK_STEP ? seconds : PROXY_CLOCK_STEP;
        proxy->clock += step;
        seconds -= step;
        tick_hosts(proxy);
    }
}

/* ---- settling ---- */

/* The next host of the generation, or NULL behind the last. */
static struct host *next_host(struct settling *settling)
{
    const struct generation *generation = settling->proxy->generation;
    for (; settling->cluster < generation->count; settling->cluster++, settling->host = 0) {
        const struct cluster *cluster = generation->clusters[settling->cluster];
        if (settling->host < cluster->count)
            return cluster->hosts[settling->host++];
    }
    return NULL;
}

static void settle_some(struct errand *errand)
{
    struct settling *settling = (struct settling *)errand;
    struct host *host = NULL;
    for (uint32_t opened = 0; opened < SETTLE_HOSTS && (host = next_host(settling));)
        opened += host_connect(host);
    if (host_bury(settling->proxy, SETTLE_HOSTS) || host)
        proxy_settle(settling->proxy);
}

void proxy_settle(struct proxy *proxy)
{
    proxy_run_errand(proxy, &proxy->settling.errand);
}

/* ---- life ---- */

/* Big requests and replies are mapped, so that their memory goes back with
 * them; glibc would raise the bound by itself to what is freed. Free memory at
 * the heap's end goes back at once from a bound that ordinary traffic does not
 * reach: with 2 MB, 50 clients with values of 64 KB cost 150 system calls a second. */
enum { MAP_FROM = 256 * 1024, TRIM_FROM = 16 * 1024 * 1024 };

char *proxy_scratch_memory(const struct proxy *proxy)
{
    return proxy->scratch - REST_SHORT;
}

void proxy_make_scratch(struct proxy *proxy)
{
    proxy->scratch = (char *)xmalloc(REST_SHORT + PROXY_READ_SIZE) + REST_SHORT;
}

struct proxy *proxy_create(struct ev_loop *loop)
{
    mallopt(M_MMAP_THRESHOLD, MAP_FROM);
    mallopt(M_TRIM_THRESHOLD, TRIM_FROM);
    struct proxy *proxy = xcalloc(1, sizeof *proxy);
    proxy->loop = loop;
    proxy->next_client_id = proxy->client_id_step = 1;
    proxy_make_scratch(proxy);
    proxy->settling = (struct settling){.errand.run = settle_some, .proxy = proxy};
    ev_check_init(&proxy->check, turn_begin);
    ev_set_priority(&proxy->check, EV_MAXPRI);
    ev_check_start(loop, &proxy->check);
    ev_prepare_init(&proxy->prepare, turn_end);
    proxy->prepare.data = proxy;
    ev_prepare_start(loop, &proxy->prepare);
    company_init(&proxy->company);
    ev_idle_init(&proxy->spin, spin);
    ev_timer_init(&proxy->janitor, janitor, PROXY_CLOCK_STEP, PROXY_CLOCK_STEP);
    ev_set_priority(&proxy->janitor, EV_MINPRI); /* what has arrived is read before anybody is late */
    proxy->ticked = ev_now(loop);
    proxy->janitor.data = proxy;
    ev_timer_start(loop, &proxy->janitor);
    return proxy;
}

void proxy_destroy(struct proxy *proxy)
{
    nydus_command_reloaded(proxy, UINT32_MAX, "the worker leaves");
    while (proxy->clients)
        client_close(proxy->clients, "the worker leaves");
    for (struct listener *listener = proxy->listeners, *next; listener; listener = next) {
        next = listener->next;
        listener_close(listener);
    }
    neighbours_deinit(proxy);
    pause_deinit(proxy);
    lesson_end_all(proxy);
    flush_clients(proxy);
    hub_close_all(proxy);
    if (proxy->generation)
        generation_unref(proxy->generation);
    generation_bury(UINT32_MAX);
    host_bury(proxy, UINT32_MAX);
    generation_bury(UINT32_MAX); /* the last requests have left them */
    bury_dead(proxy);
    hub_destroy_all(proxy);
    ev_check_stop(proxy->loop, &proxy->check);
    ev_prepare_stop(proxy->loop, &proxy->prepare);
    ev_idle_stop(proxy->loop, &proxy->spin);
    company_deinit(&proxy->company, proxy->loop);
    ev_timer_stop(proxy->loop, &proxy->janitor);
    free(proxy_scratch_memory(proxy));
    free(proxy);
}

/* While the accounts of the old generation are still there. */
static void renew_logins(struct proxy *proxy)
{
    for (struct client *client = proxy->clients, *next; client; client = next) {
        next = client->next;
        login_renew(client);
    }
}

void proxy_adopt(struct proxy *proxy, struct generation *generation)
{
    struct generation *old = proxy->generation;
    proxy->generation = generation;
    for (struct listener *listener = proxy->listeners; listener; listener = listener->next)
        listener->cluster = generation_find(generation, listener->cluster_name);
    proxy->settling.cluster = proxy->settling.host = 0;
    proxy_settle(proxy);
    renew_logins(proxy);
    hub_adopt(proxy);
    pause_adopt(proxy);
    if (old)
        generation_leave(old);
}

void proxy_listen(struct proxy *proxy, int fd, const char *text, const char *cluster)
{
    struct listener *listener = listener_create(proxy, fd, text, cluster);
    listener->cluster = proxy->generation ? generation_find(proxy->generation, cluster) : NULL;
    listener->next = proxy->listeners;
    proxy->listeners = listener;
}

void proxy_unlisten(struct proxy *proxy, const char *text)
{
    for (struct listener *listener = proxy->listeners, *next; listener; listener = next) {
        next = listener->next;
        if (!listener->closed && !strcmp(listener->text, text))
            listener_close(listener);
    }
}

/* The drain's deadline is over: whoever is left is closed. */
static void drain_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct proxy *proxy = timer->data;
    if (proxy->client_count)
        log_warn("%llu clients were still owed replies when the drain's time was over",
                 (unsigned long long)proxy->client_count);
    while (proxy->clients)
        client_close(proxy->clients, "the drain's time is over");
}

void proxy_drain(struct proxy *proxy, double deadline, void (*drained)(struct proxy *proxy))
{
    proxy->draining = true;
    proxy->drained = drained;
    for (struct listener *listener = proxy->listeners, *next; listener; listener = next) {
        next = listener->next;
        listener_accept_waiting(listener);
        listener_close(listener);
    }
    for (struct client *client = proxy->clients, *next; client; client = next) {
        next = client->next;
        client_drain(client);
    }
    ev_timer_init(&proxy->drain, drain_over, deadline, 0.);
    proxy->drain.data = proxy;
    ev_timer_start(proxy->loop, &proxy->drain);
}
