/* Clients; see client.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/client.h"

#include "base/block.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/slab.h"
#include "base/stats.h"
#include "net/address.h"
#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "proxy/intake.h"
#include "proxy/login.h"
#include "proxy/measure.h"
#include "proxy/order.h"
#include "proxy/pause.h"
#include "proxy/proxy.h"
#include "proxy/session.h"
#include "proxy/subscriber.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A client that has this many commands in flight is not read until some are answered. */
enum { CLIENT_MAX_PENDING = 4096 };
/* Replies to commands that came together wait for each other up to this many bytes or microseconds, twice as
 * many at most: one write instead of two saves a fifth of all CPU at depth 16. */
enum { COMPANY_BYTES = 16 * 1024, COMPANY_USEC = 500 };
/* Nobody asked for messages: less of them may be unread than of replies (Redis has the same limit). */
enum { PUSH_UNREAD = 32 * 1024 * 1024 };
/* A reply of this size changes hands without a copy, if it may. */
enum { CLIENT_TAKE = 32 * 1024 };

_Static_assert(sizeof(struct client) == 4 * SLAB_LINE, "a client is four cache lines");

static struct slab clients = SLAB_OF(struct client);

static double client_now(const struct client *client)
{
    return ev_now(client->proxy->loop);
}

void client_stir(struct client *client)
{
    if (client->dirty || client->dead)
        return;
    client->dirty = true;
    client->dirty_next = client->proxy->dirty_clients;
    client->proxy->dirty_clients = client;
}

/* ---- the watcher's interest, derived ---- */

/* Reading pauses at a quarter of what may wait unread: what is in flight then still fits. */
static bool client_has_room(const struct client *client)
{
    const struct cluster *cluster = client_cluster(client);
    size_t limit = cluster ? cluster->max_reply_buffer / 4 : 0;
    return client->pending < CLIENT_MAX_PENDING && client->stream.out.size + client->kept <= limit;
}

/* Does it wait for something that may take for ever? Then its leaving must be noticed. */
static bool client_is_stuck(const struct client *client)
{
    return session_blocks(client) || client->paused;
}

/* Are there flows of its own, which would go on without it? */
static bool client_has_flows(const struct client *client)
{
    return client->order && order_is_open(client);
}

static bool client_may_read(const struct client *client)
{
    if (client->eof || client->closing)
        return false;
    if (client->hold)
        return (client_is_stuck(client) || client_has_flows(client)) && intake_has_room(client);
    return !client->resume && client_has_room(client);
}

static void client_watch(struct client *client)
{
    int events = 0;
    if (client_may_read(client))
        events |= EV_READ;
    if (client->blocked)
        events |= EV_WRITE;
    stream_watch(&client->stream, events);
}

/* ---- the queue ---- */

void client_queue(struct client *client, struct request *request)
{
    if (client->tail)
        client->tail->next = request;
    else
        client->head = request;
    client->tail = request;
    client->pending++;
    request->client = client;
    request->query.client = client;
    request->query.db = client->db;
    request->query.resp = client->resp;
    request->read = client->reads;
    measure_begin(request);
    request->done = client_done;
    if (client->mute) {
        request->muted = true;
        client->mute = client->mute == MUTE_NEXT ? MUTE_NONE : client->mute;
    }
}

static void client_pop(struct client *client)
{
    struct request *request = client->head;
    client->head = request->next;
    client->amid = client->head && client->head->read == request->read;
    if (client->head)
        request_prefetch(client->head->next);
    else
        client->tail = NULL;
    client->pending--;
    request_put(request);
}

/* Lets a reply wait inside its request until those before it are answered. */
static void client_keep(struct client *client, struct request *request, const struct reply *reply)
{
    request->answered = true;
    request->reply.size = reply->size;
    client->kept += reply->size;
    if (reply->size <= REQUEST_SMALL_REPLY) {
        memcpy(request->reply.small, reply->bytes, reply->size);
    } else if (reply->size >= CLIENT_TAKE && reply->give && *reply->give) {
        request->reply.large = *reply->give;
        *reply->give = NULL;
    } else {
        request->reply.large = block_get(reply->size);
        memcpy(request->reply.large, reply->bytes, reply->size);
    }
}

/* Sends the kept replies that are next in turn. */
static void client_deliver_kept(struct client *client)
{
    struct request *request;
    while ((request = client->head) && request->answered) {
        struct chain *out = &client->stream.out;
        size_t size = request->reply.size;
        client->kept -= size;
        if (size >= CLIENT_TAKE) {
            chain_give(out, request->reply.large, 0, size, size);
            request->answered = false; /* it is no longer the request's */
        } else if (size) {
            chain_append(out, size > REQUEST_SMALL_REPLY ? request->reply.large : request->reply.small, size);
        }
        client_pop(client);
    }
}

static void client_check_unread(struct client *client, size_t newest)
{
    const struct cluster *cluster = client_cluster(client);
    if (cluster && client->stream.out.size + client->kept - newest > cluster->max_reply_buffer)
        client_close(client, "its unread replies exceed max_reply_buffer");
}

char *client_room(struct request *request, size_t size)
{
    struct client *client = request->client;
    if (!client || request->done != client_done || request != client->head || request->muted)
        return NULL;
    return size < CLIENT_TAKE ? chain_reserve(&client->stream.out, size) : NULL;
}

/* Without a copy; false: it has to be copied. */
static bool client_takes(struct client *client, const struct reply *reply)
{
    struct chain *out = &client->stream.out;
    if (reply->placed)
        chain_commit(out, reply->size);
    else if (reply->size >= CLIENT_TAKE && *reply->give)
        chain_give(out, *reply->give, 0, reply->size, reply->give_room);
    else
        return false;
    *reply->give = NULL;
    return true;
}

void client_done(struct request *request, const struct reply *reply)
{
    struct client *client = request->client;
    measure_end(request, reply);
    if (!client) {
        stats->orphaned++;
        request_put(request);
        return;
    }
    static const struct reply nothing = {.bytes = ""};
    stats->replies++;
    if (request->muted)
        reply = &nothing;
    if (request != client->head) {
        client_keep(client, request, reply);
        client_check_unread(client, reply->size);
        return;
    }
    bool taken = reply->give && client_takes(client, reply);
    if (!taken && reply->size)
        chain_append(&client->stream.out, reply->bytes, reply->size);
    client_pop(client);
    client_deliver_kept(client);
    client_stir(client);
    client_check_unread(client, reply->size);
}

/* Does it get messages? One that leaves too many unread does not any more. */
static bool client_hears(struct client *client)
{
    const struct cluster *cluster = client_cluster(client);
    size_t limit = PUSH_UNREAD;
    if (cluster && cluster->max_reply_buffer < limit)
        limit = cluster->max_reply_buffer;
    if (client->dead || client->closing)
        return false;
    if (client->stream.out.size + client->kept > limit) {
        stats->subscribers_dropped++;
        client_close(client, "its unread messages exceed max_reply_buffer, or 32 MB");
        return false;
    }
    client_stir(client);
    return true;
}

bool client_push(struct client *client, const char *bytes, size_t size)
{
    if (!client_hears(client))
        return false;
    chain_append(&client->stream.out, bytes, size);
    return true;
}

bool client_push_shared(struct client *client, struct shared *shared)
{
    if (!client_hears(client))
        return false;
    chain_share(&client->stream.out, shared);
    return true;
}

/* ---- events ---- */

static void client_readable(struct client *client)
{
    client->active = client_now(client);
    enum intake_status status = client->hold ? intake_gather(client) : intake_read(client);
    if (client->dead)
        return;
    if (status == INTAKE_BROKEN) {
        client_close(client, strerror(errno));
        return;
    }
    if (status == INTAKE_END && client->hold && client_is_stuck(client)) {
        client_close(client, "it closed the connection while a command waited");
        return;
    }
    if (status == INTAKE_END) {
        client->eof = true;
        client_stir(client);
        if (client_has_flows(client))
            order_eof(client);
    }
    client_watch(client);
}

static void client_event(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    struct client *client = watcher->data;
    if (events & EV_WRITE) {
        client->blocked = false;
        client_stir(client);
    }
    if ((events & EV_READ) && client_may_read(client))
        client_readable(client);
}

void client_hold(struct client *client)
{
    client->hold |= HOLD_COMMAND;
}

void client_release(struct client *client)
{
    client->hold &= (uint8_t)~HOLD_COMMAND;
    client_stir(client);
}

void client_hold_back(struct client *client)
{
    client->hold |= HOLD_ORDER;
}

void client_let_go(struct client *client)
{
    client->hold &= (uint8_t)~HOLD_ORDER;
    client_stir(client);
}

void client_resume(struct client *client)
{
    if (client->order && !client->dead)
        order_go_on(client);
    if (client->dead || client->hold || !client->resume)
        return;
    client->resume = false;
    intake_resume(client);
}

void client_finish(struct client *client)
{
    client->closing = true;
    intake_drop(client);
    client_stir(client);
}

void client_drain(struct client *client)
{
    if (client_is_stuck(client)) {
        client_close(client, "its command would go on waiting");
        return;
    }
    if (client_may_read(client))
        client_readable(client);
    if (client->dead)
        return;
    if (client->hold & HOLD_ORDER) /* what has arrived waits for a flow */
        client->eof = true;
    else
        client_finish(client);
}

/* ---- the turn's end ---- */

static uint16_t company_clock(void)
{
    return (uint16_t)(measure_clock / COMPANY_USEC);
}

/* What came together leaves together, unless that takes too long. */
static bool client_waits_for_company(const struct client *client)
{
    return client->amid && !client->late && !client->blocked && client->stream.out.size &&
           client->stream.out.size < COMPANY_BYTES;
}

static void client_hold_replies(struct client *client)
{
    if (!client->held) {
        client->held = true;
        client->held_at = company_clock();
    }
    if (!client->listed)
        company_add(&client->proxy->company, client->proxy->loop, client);
    client->listed = true;
}

bool client_stays_held(struct client *client)
{
    /* two steps of this clock: between one and two times COMPANY_USEC */
    client->late = client->held && (uint16_t)(company_clock() - client->held_at) >= 2;
    if (client->late)
        client_stir(client);
    client->listed = client->held && !client->late;
    return client->listed;
}

static void client_flush(struct client *client)
{
    size_t written = 0;
    enum stream_status status = stream_flush(&client->stream, &written);
    stats->output_bytes += written;
    client->blocked = status == STREAM_AGAIN;
    if (written)
        client->active = client_now(client);
    if (status == STREAM_BROKEN)
        client_close(client, strerror(errno));
}

static void client_send_replies(struct client *client)
{
    if (client_waits_for_company(client)) {
        client_hold_replies(client);
        return;
    }
    client->held = client->late = false;
    if (!client->blocked && client->stream.out.size)
        client_flush(client);
}

bool client_turn_end(struct client *client)
{
    if (client->session)
        session_go_on(client);
    if (client->dead)
        return false;
    client_send_replies(client);
    if (client->dead)
        return false;
    if ((client->eof || client->closing) && !client->pending && !client->stream.out.size && !client->resume)
        client_close(client, client->eof ? "it closed the connection" : "QUIT or protocol error");
    else
        client_watch(client);
    return (client->resume && !client->hold && !client->dead) || /* released just now */
           (client->order && order_is_stirred(client));
}

/* A client that blocks and has sent more than is read ahead: has it gone? */
static bool client_has_hung_up(const struct client *client)
{
    struct pollfd poller = {.fd = stream_fd(&client->stream), .events = POLLRDHUP};
    return poll(&poller, 1, 0) == 1;
}

void client_tick(struct client *client, double now)
{
    const struct cluster *cluster = client_cluster(client);
    if (client_is_stuck(client) && client_has_hung_up(client)) {
        client_close(client, "it closed the connection while a command waited");
        return;
    }
    if (!cluster || !cluster->client_timeout || client->pending || client->subscriber)
        return;
    if (now - client->active > cluster->client_timeout)
        client_close(client, "idle for longer than client_timeout");
}

/* ---- life ---- */

static void client_enlist(struct client *client)
{
    struct proxy *proxy = client->proxy;
    client->next = proxy->clients;
    if (client->next)
        client->next->previous = client;
    proxy->clients = client;
    proxy->client_count++;
    client->listener->clients++;
}

static void client_delist(struct client *client)
{
    struct proxy *proxy = client->proxy;
    if (client->previous)
        client->previous->next = client->next;
    else
        proxy->clients = client->next;
    if (client->next)
        client->next->previous = client->previous;
    if (proxy->tick_next == client)
        proxy->tick_next = client->next;
    proxy->client_count--;
}

struct client *client_create(struct listener *listener, int fd)
{
    struct client *client = slab_get(&clients);
    *client = (struct client){0};
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
               sizeof on); /* fails on a unix socket, and need not be there */
    client->proxy = listener->proxy;
    client->listener = listener;
    client->resp = 2;
    login_reset(client);
    /* unique among all workers: the worker's number is in the low bits */
    client->id = client->proxy->next_client_id;
    client->proxy->next_client_id += client->proxy->client_id_step;
    client->active = client_now(client);
    client->created = (uint32_t)client->active;
    stream_init(&client->stream, client->proxy->loop);
    stream_open(&client->stream, fd, client_event, client);
    client_enlist(client);
    client_watch(client);
    stats->clients_accepted++;
    return client;
}

/* What is in flight goes on without a client: the replies are swallowed. */
static void client_orphan_requests(struct client *client)
{
    for (struct request *request = client->head, *next; request; request = next) {
        next = request->next;
        request->client = NULL;
        request->query.client = NULL;
        if (request->answered)
            request_put(request);
    }
    client->head = client->tail = NULL;
    client->pending = 0;
}

void client_forsake(struct request *request)
{
    stats->orphaned++;
    request_put(request);
}

void client_close(struct client *client, const char *reason)
{
    if (client->dead)
        return;
    client->dead = true;
    log_debug("client %llu leaves: %s", (unsigned long long)client->id, reason);
    client_orphan_requests(client);
    session_leave(client);
    pause_leave(client);
    order_leave(client);
    subscriber_drop(client);
    if (client->slotted && client->proxy->generation)
        target_set_leave(client->proxy->generation->set, client->id);
    stream_close(&client->stream);
    chain_clear(&client->stream.out);
    client_delist(client);
    stats->clients_closed++;
    /* in the dirty list it is found dead and moved over at the turn's end */
    if (!client->dirty) {
        client->dirty_next = client->proxy->dead_clients;
        client->proxy->dead_clients = client;
    }
}

void client_destroy(struct client *client)
{
    if (client->listed)
        company_remove(&client->proxy->company, client);
    intake_drop(client);
    order_destroy(client->order);
    listener_release(client->listener);
    free(client->profile);
    slab_put(&clients, client);
}

void client_shrink(void)
{
    slab_shrink(&clients);
}

const char *client_address(const struct client *client, char *text, size_t size)
{
    struct address address = {.size = sizeof address.storage};
    if (getpeername(stream_fd(&client->stream), (struct sockaddr *)&address.storage, &address.size))
        return memcpy(text, "?", 2);
    if (address.storage.ss_family == AF_UNIX) /* the peer has no name: say where it came in */
        getsockname(stream_fd(&client->stream), (struct sockaddr *)&address.storage, &address.size);
    return address_text(&address, text, size);
}
