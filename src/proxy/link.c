/* A link to a host; see link.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/link.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/stats.h"
#include "net/address.h"
#include "net/resolve.h"
#include "proxy/dispatch.h"
#include "proxy/host.h"
#include "proxy/measure.h"
#include "proxy/proxy.h"
#include "resp/alike.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reconnects wait 50 ms, 100 ms, … up to this, give or take a quarter, so that
 * workers do not knock at a host that comes back all at once. */
static const double REST_FIRST = 0.05, REST_MAX = 1.0;
/* A quiet link is asked for a sign of life, so that a host that has lost its
 * power is known before a client needs it. Each has its own patience, so that
 * those of 300 hosts, up since one moment, are not asked in one turn: 2 ms. */
static const double QUIET_PING = 5.0, QUIET_PING_LEAST = 4.0;
/* Links that do not reconnect by themselves are closed when nobody has used them for so long. */
static const double QUIET_CLOSE = 60.0;
/* More than this waiting for one host is refused, but for a single command. */
enum { LINK_MAX_WAITING = 512 * 1024 * 1024 };
/* A host has this much longer for its reply to a command: it has to read it first. */
static const double SECONDS_PER_BYTE = 1.0 / (32 * 1024 * 1024);

static void link_event(struct ev_loop *loop, ev_io *watcher, int events);
static void link_fail(struct link *link, const char *reason);

enum link_end {
    END_QUIET, /* the host closed a link that had nothing to do */
    END_OURS,  /* something is missing on our side: the host is not to blame */
    END_FAULT
};
static void link_end(struct link *link, const char *reason, enum link_end end);
static void link_lost(struct link *link, const char *reason);

struct link *link_create(struct host *host, uint64_t lane)
{
    struct link *link = xcalloc(1, sizeof *link);
    link->proxy = host->proxy;
    link->host = host;
    link->lane = lane;
    link->db = (int32_t)(lane >> 32);
    link->slot = (uint32_t)lane >> 1;
    link->resp = lane & 1 ? 3 : 2;
    link->keep = link->db == host->options.db && link->slot < LINK_FEED && link->resp == 2;
    link->patience = QUIET_PING_LEAST + (QUIET_PING - QUIET_PING_LEAST) * random_below(1000) / 1000.0;
    stream_init(&link->stream, host->proxy->loop);
    return link;
}

static double link_now(const struct link *link)
{
    return link->proxy->clock;
}

static void link_mark_dirty(struct link *link)
{
    if (link->dirty)
        return;
    link->dirty = true;
    link->dirty_next = link->proxy->dirty_links;
    link->proxy->dirty_links = link;
}

/* ---- connecting ---- */

static bool link_open(struct link *link, const struct address *address)
{
    int fd = address_connect(address);
    if (fd < 0) {
        bool ours = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        link_end(link, strerror(errno), ours ? END_OURS : END_FAULT);
        return false;
    }
    stream_open(&link->stream, fd, link_event, link);
    link->state = LINK_CONNECTING;
    stream_watch(&link->stream, EV_WRITE);
    return true;
}

static void link_resolved(void *owner, const struct address *addresses, size_t count, const char *error)
{
    struct link *link = owner;
    link->resolve = NULL;
    if (error)
        link_fail(link, error);
    else /* another address of the name with every try */
        link_open(link, &addresses[link->tries % count]);
}

void link_connect(struct link *link)
{
    const struct host_options *options = &link->host->options;
    struct address address;
    free(link->refusal);
    link->refusal = NULL;
    link->since = link_now(link);
    if (options->unix_socket_path) {
        if (address_unix(&address, options->unix_socket_path))
            link_open(link, &address);
        else
            link_fail(link, "the socket's path is too long");
    } else if (address_numeric(&address, options->host, options->port)) {
        link_open(link, &address);
    } else {
        link->state = LINK_RESOLVING;
        link->resolve = resolve_start(link->proxy->loop, options->host, options->port, link_resolved, link);
    }
}

/* What has to be said before the first command. Returns the words (enum greeting). */
static uint8_t greeting_build(const struct link *link, struct chain *out)
{
    const struct host_options *options = &link->host->options;
    uint8_t words_said = GREETING_PING;
    if (options->password) {
        resp_say_auth(out, options->user, options->password);
        words_said |= GREETING_AUTH;
    }
    if (link->resp == 3) {
        resp_say(out, (const char *[]){"HELLO", "3"}, 2);
        words_said |= GREETING_HELLO;
    }
    if (link->db) {
        char db[16];
        snprintf(db, sizeof db, "%d", link->db);
        resp_say(out, (const char *[]){"SELECT", db}, 2);
        words_said |= GREETING_SELECT;
    }
    resp_say(out, (const char *[]){"PING"}, 1);
    return words_said;
}

/* The greeting has a chain of its own: commands wait in the link's. */
static void link_greet(struct link *link)
{
    struct stream greeting = {.watcher.fd = stream_fd(&link->stream)};
    size_t written = 0;
    link->greetings = greeting_build(link, &greeting.out);
    enum stream_status status = stream_flush(&greeting, &written);
    int why = errno;
    chain_clear(&greeting.out);
    if (status != STREAM_OK) {
        link_fail(link, status == STREAM_BROKEN ? strerror(why) : "the socket takes no greeting");
        return;
    }
    link->state = LINK_GREETING;
    stream_watch(&link->stream, EV_READ);
}

static void link_connected(struct link *link)
{
    int error = address_connect_result(stream_fd(&link->stream));
    if (error)
        link_fail(link, strerror(error));
    else
        link_greet(link);
}

static void link_ready(struct link *link)
{
    link->state = LINK_READY;
    link->tries = 0;
    link->heard = link->used = link_now(link);
    link->begun = measure_clock;
    stats->links_opened++;
    host_succeeded(link->host, link->keep);
    link_mark_dirty(link);
    if (link->receiver)
        link->receiver->connected(link->owner);
}

static void link_refused(struct link *link, enum greeting word, const char *bytes, size_t size)
{
    static const char *const names[] = {[GREETING_AUTH] = "AUTH",
                                        [GREETING_HELLO] = "HELLO 3",
                                        [GREETING_SELECT] = "SELECT",
                                        [GREETING_PING] = "PING"};
    int length = (int)(size > 3 ? size - 3 : 0);
    char reason[300];
    snprintf(reason, sizeof reason, "%s refused: %.*s", names[word], length, bytes + 1);
    link->refused = word;
    free(link->refusal);
    link->refusal = xstrndup(bytes + 1, (size_t)length);
    link_fail(link, reason);
}

/* One reply of the greeting. Errors of PING (LOADING, MASTERDOWN …) are the
 * host's business with its clients, unless it wants a password first. */
static void link_greeted(struct link *link, const char *bytes, size_t size)
{
    uint8_t next = link->greetings & (link->greetings - 1);
    enum greeting word = link->greetings - next;
    if (bytes[0] == '-' && (word != GREETING_PING || !strncmp(bytes, "-NOAUTH", 7))) {
        link_refused(link, word, bytes, size);
        return;
    }
    link->greetings = next;
    if (!next)
        link_ready(link);
}

/* ---- sending ---- */

static void link_queue(struct link *link, struct request *request)
{
    double now = link_now(link);
    if (!link->queue.count) {
        link->heard = now;
        link->begun = measure_clock;
    }
    request->queued_at = now + request->query.size * SECONDS_PER_BYTE;
    fifo_push(&link->queue, request);
}

/* Puts the bytes into the chain; they stay there until the reply is in. */
static void link_carry(struct link *link, struct request *request)
{
    struct chain *out = &link->stream.out;
    if (request->memory && request->query.size >= REST_GIVE) {
        size_t start = (size_t)(request->query.bytes - request->memory);
        request->chunk =
            chain_give(out, request->memory, start, start + request->query.size, start + request->query.size);
        request->memory = NULL;
    } else {
        request->query.bytes = chain_append(out, request->query.bytes, request->query.size);
        request->chunk = out->last;
        free(request->memory);
        request->memory = NULL;
    }
    request->chunk->users++;
}

/* Why the host is known to be away, or NULL. Once a connect has failed, nobody
 * waits for the next to fail; a link that does not reconnect by itself has to
 * try, unless those that do have failed. */
static const char *link_away(const struct link *link)
{
    if (link->keep)
        return link->tries ? link->reason : NULL;
    if (link->state == LINK_RESTING && link_now(link) < link->retry_at)
        return link->reason;
    return link->state == LINK_RESTING || link->state == LINK_IDLE ? host_away(link->host) : NULL;
}

void link_send(struct link *link, struct request *request)
{
    request->link = link;
    const char *away = link->state == LINK_READY ? NULL : link_away(link);
    if (away) {
        dispatch_failed(request, FAILURE_REFUSED, away);
        return;
    }
    if (link->queue.count && link->stream.out.size + request->query.size > LINK_MAX_WAITING) {
        request_fail(dispatch_attempt(request), FAILURE_REFUSED, "ERR host %s is busy: its queue is full",
                     link->host->options.identifier);
        return;
    }
    stats->parts++;
    link_carry(link, request);
    link_queue(link, request);
    if (link->state == LINK_READY)
        link_mark_dirty(link);
    else if (link->state == LINK_IDLE || link->state == LINK_RESTING)
        link_connect(link);
}

void link_turn_end(struct link *link)
{
    link->dirty = false;
    if (link->state != LINK_READY)
        return;
    size_t written = 0;
    bool was_full = link->stream.watcher.events & EV_WRITE;
    switch (stream_flush(&link->stream, &written)) {
    case STREAM_OK:
        stream_watch(&link->stream, EV_READ);
        break;
    case STREAM_AGAIN:
        stream_watch(&link->stream, EV_READ | EV_WRITE);
        break;
    case STREAM_END:
    case STREAM_BROKEN:
        link_fail(link, strerror(errno));
        return;
    }
    /* The kernel takes bytes for a host that is dead; that it takes more after
     * it was full shows that the host reads. */
    if (written && was_full)
        link->heard = link_now(link);
}

/* ---- replies ---- */

/* Was the last byte of the request handed to the kernel? If not, it cannot have run. */
static bool has_been_sent(const struct request *request)
{
    const struct chunk *chunk = request->chunk;
    return request->query.bytes + request->query.size <= chunk->data + chunk->start;
}

/* Was the first byte? If not, no reply can be meant for it. */
static bool has_begun(const struct request *request)
{
    return request->query.bytes < request->chunk->data + request->chunk->start;
}

static void link_pop(struct link *link)
{
    struct request *request = fifo_pop(&link->queue);
    link->begun = measure_clock;
    request->chunk->users--;
    request->chunk = NULL;
}

static void link_reply(struct link *link, const struct reply *reply)
{
    if (link->state == LINK_GREETING) {
        link_greeted(link, reply->bytes, reply->size);
        return;
    }
    if (link->receiver && link->receiver->takes(link->owner, reply))
        return;
    bool all_sent = !link->stream.out.size;
    struct request *request = fifo_head(&link->queue);
    if (!request || link->scan.push || (!all_sent && !has_begun(request))) {
        link_fail(link, "it sent a reply that nobody asked for");
        return;
    }
    if (request->before) {
        request->before--;
        return;
    }
    measure_reply(link, request);
    link_pop(link);
    if (reply->bytes[0] != '-' || !dispatch_mends(request, reply))
        request->done(request, reply);
    if (link->state == LINK_READY)
        chain_trim(&link->stream.out);
}

/* Replies to reads are mostly bulks, and mostly alike. */
static inline enum resp_status link_scan(struct link *link, struct alike *last, const char *start,
                                         size_t size)
{
    struct resp_reply *scan = &link->scan;
    if (*start == '$' && !scan->left) {
        scan->size = alike_bulk(last, start, start + size);
        if (scan->size)
            return RESP_DONE;
    }
    return resp_scan_reply(scan, start, size);
}

/* Hands out the whole replies in data[0..size); returns the bytes they took.
 * `give`: data is this allocation. The link may have failed on return. */
static size_t link_consume(struct link *link, const char *data, size_t size, char **give, size_t room)
{
    size_t at = 0;
    struct alike last = ALIKE_NONE;
    while (at < size) {
        enum resp_status status = link_scan(link, &last, data + at, size - at);
        if (status == RESP_MORE)
            break;
        if (status == RESP_ERROR) {
            char reason[128];
            snprintf(reason, sizeof reason, "it sent a garbled reply: %s", link->scan.error);
            link_fail(link, reason);
            break;
        }
        size_t whole = link->scan.size;
        struct reply reply = {.bytes = data + at, .size = whole, .give_room = room};
        if (give && at == 0 && whole == size && whole >= REST_GIVE) /* nothing behind it is needed here */
            reply.give = give;
        link_reply(link, &reply);
        resp_reply_reset(&link->scan);
        at += whole;
        if (!stream_is_open(&link->stream) || link->dead)
            break;
    }
    return at;
}

static void link_drop_input(struct link *link)
{
    rest_drop(&link->in);
    resp_reply_reset(&link->scan);
}

/* Is all that is missing the end of one bulk, of a reply big enough to be given away? */
static bool link_lacks_bulk(const struct link *link)
{
    const struct resp_reply *scan = &link->scan;
    return scan->bulk > 0 && scan->left == 1 && link->in.size + scan->want >= REST_GIVE;
}

/* Replies that begin with the rest of an earlier read. The rest is out of the
 * link's hands meanwhile: a reply may leave with its memory. */
static void link_consume_input(struct link *link)
{
    struct rest in = link->in;
    char *give = in.data;
    link->in = (struct rest){0};
    size_t used = link_consume(link, in.data, in.size, &give, in.room);
    if (!used && stream_is_open(&link->stream)) {
        link->in = in;
        return;
    }
    if (used < in.size && stream_is_open(&link->stream))
        rest_keep(&link->in, in.data + used, in.size - used, link->scan.want);
    in.data = give;
    rest_drop(&in);
}

static void link_readable(struct link *link)
{
    size_t got, room = PROXY_READ_SIZE;
    char *into = link->proxy->scratch;
    bool stays = link->in.size > REST_SHORT || link_lacks_bulk(link);
    if (stays) {
        room = rest_make_room(&link->in, link->scan.want, link_lacks_bulk(link), PROXY_READ_SIZE);
        into = link->in.data + link->in.size;
    }
    switch (stream_read(&link->stream, into, room, &got)) {
    case STREAM_AGAIN:
        return;
    case STREAM_END:
        link_lost(link, "it closed the connection");
        return;
    case STREAM_BROKEN:
        link_lost(link, strerror(errno));
        return;
    case STREAM_OK:
        break;
    }
    link->heard = link_now(link);
    if (stays) {
        link->in.size += got;
        link_consume_input(link);
        return;
    }
    if (link->in.size) {
        size_t before = rest_take(&link->in, into);
        into -= before;
        got += before;
    }
    size_t used = link_consume(link, into, got, NULL, 0);
    if (used < got && stream_is_open(&link->stream))
        rest_keep(&link->in, into + used, got - used, link->scan.want);
}

static void link_event(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    struct link *link = watcher->data;
    if (link->state == LINK_CONNECTING) {
        link_connected(link);
        return;
    }
    if (events & EV_READ)
        link_readable(link);
    if ((events & EV_WRITE) && stream_is_open(&link->stream))
        link_mark_dirty(link);
}

/* ---- failing ---- */

static void link_rest(struct link *link, const char *reason)
{
    double rest = REST_FIRST * (double)(1u << (link->tries < 10 ? link->tries : 10));
    if (rest > REST_MAX)
        rest = REST_MAX;
    rest *= 0.75 + random_below(1000) / 2000.0;
    if (link->tries < 255)
        link->tries++;
    free(link->reason);
    link->reason = xstrdup(reason);
    link->retry_at = link_now(link) + rest;
    link->state = LINK_RESTING;
}

static void swallow(struct request *request, const struct reply *reply)
{
    (void)reply;
    request->link->idle = request->link->heard;
    request_put(request);
}

static bool is_tombstone(const struct request *request)
{
    return request->done == swallow;
}

/* Gives back the requests of a link that broke; `chain` still holds their bytes. */
static void link_return(struct fifo *requests, struct chain *chain, const char *reason)
{
    while (requests->count) {
        struct request *request = fifo_pop(requests);
        enum failure failure = has_been_sent(request) ? FAILURE_LOST : FAILURE_REFUSED;
        request->chunk = NULL;
        if (is_tombstone(request))
            request_put(request);
        else
            dispatch_failed(request, failure, reason);
    }
    fifo_deinit(requests);
    chain_clear(chain);
}

/* A link that was quiet when the host closed it is no sign of trouble. */
static bool link_was_quiet(const struct link *link)
{
    return link->state == LINK_READY && !link->queue.count && !link->in.size;
}

static void link_end(struct link *link, const char *reason, enum link_end end)
{
    static struct log_limit limit;
    struct fifo requests = link->queue;
    struct chain chain = link->stream.out;
    char *words = xstrdup(reason); /* it may be the link's own, or errno's */
    bool news = !link->tries || !link->reason || strcmp(link->reason, words) != 0;

    link->epoch++;
    link->queue = (struct fifo){0};
    link->stream.out = (struct chain){0};
    stream_close(&link->stream);
    link_drop_input(link);
    if (link->resolve)
        resolve_cancel(link->resolve);
    link->resolve = NULL;
    stats->links_lost++;
    if (end == END_QUIET) {
        link->retry_at = 0;
        link->state = LINK_IDLE;
    } else {
        link_rest(link, words);
        if (news && !link->dead && log_limit_pass(&limit, 10))
            log_warn("link to host %s of cluster %s: %s", link->host->options.identifier,
                     link->host->options.cluster, words);
        if (end == END_FAULT && !link->dead && (!link->refusal || link->keep))
            host_failed(link->host, words);
        host_changed(link->host);
    }
    if (link->receiver)
        link->receiver->lost(link->owner, words);
    link_return(&requests, &chain, words);
    free(words);
}

static void link_fail(struct link *link, const char *reason)
{
    link_end(link, reason, END_FAULT);
}

void link_break(struct link *link, const char *reason)
{
    link_fail(link, reason);
}

/* The host has ended the connection. */
static void link_lost(struct link *link, const char *reason)
{
    link_end(link, reason, link_was_quiet(link) ? END_QUIET : END_FAULT);
}

/* ---- deadlines ---- */

/* Takes the place of a request that has waited too long: its reply will be
 * swallowed, and the others on the link do not notice. */
static struct request *link_bury(struct request *request)
{
    struct request *tombstone = request_get();
    tombstone->query = (struct query){.bytes = request->query.bytes, .size = request->query.size};
    tombstone->link = request->link;
    tombstone->chunk = request->chunk;
    tombstone->queued_at = request->queued_at;
    tombstone->before = request->before;
    tombstone->done = swallow;
    request->chunk = NULL;
    return tombstone;
}

static void link_expire(struct link *link, double before)
{
    char reason[64];
    snprintf(reason, sizeof reason, "no reply within %g s", link->host->options.timeout);
    for (uint32_t i = 0; i < link->queue.count; i++) {
        struct request *request = *fifo_at(&link->queue, i);
        if (request->queued_at >= before)
            return;
        if (is_tombstone(request))
            continue;
        if (i == 0)
            measure_reply(link, request);
        *fifo_at(&link->queue, i) = link_bury(request);
        stats->timeouts++;
        dispatch_failed(request, FAILURE_TIMEOUT, reason);
        if (link->state != LINK_READY)
            return;
    }
}

static void link_check_replies(struct link *link, double now)
{
    /* the clock moves in steps: nobody is called late too early */
    double timeout = link->host->options.timeout + link->allowance + PROXY_CLOCK_STEP;
    double silent = now - link->heard;
    bool moving = link->in.size || link->stream.out.size;
    const struct request *oldest = fifo_head(&link->queue);
    if (oldest->queued_at >= now - timeout || (moving && silent < timeout))
        return;
    if (silent >= 2 * timeout && oldest->queued_at < now - 2 * timeout) {
        link_fail(link, "it has been silent for too long");
        return;
    }
    bool news = !is_tombstone(oldest);
    link_expire(link, now - timeout);
    if (news && silent >= timeout)
        host_failed(link->host, "it does not answer in time");
}

void link_say(struct link *link, const char *bytes, uint32_t size)
{
    struct request *request = request_get();
    request->query.bytes = bytes;
    request->query.size = size;
    request->done = swallow;
    link_send(link, request);
}

/* Has no client used it for a while? Replies to our own PINGs are no use. */
static bool link_is_unused(struct link *link, double now)
{
    if (link->heard != link->idle)
        link->used = link->heard;
    return now - link->used > QUIET_CLOSE;
}

void link_tick(struct link *link)
{
    double now = link_now(link);
    const struct host_options *options = &link->host->options;
    fifo_shrink(&link->queue);
    switch (link->state) {
    case LINK_RESOLVING:
    case LINK_CONNECTING:
    case LINK_GREETING:
        if (now - link->since > options->connect_timeout + PROXY_CLOCK_STEP)
            link_fail(link, link->state == LINK_GREETING    ? "no answer to the greeting in time"
                            : link->state == LINK_RESOLVING ? "its name was not resolved in time"
                                                            : "connect timed out");
        break;
    case LINK_READY:
        if (link->queue.count && link->allowance > 0 && link->host->down && !host_is_connected(link->host))
            link_fail(link, "its host is marked down"); /* without power it closes nothing */
        else if (link->queue.count)
            link_check_replies(link, now);
        else if (!link->keep && !link->leased && link_is_unused(link, now))
            link_retire(link, "nobody uses it");
        else if (now - link->heard > link->patience)
            link_say(link, "*1\r\n$4\r\nPING\r\n", 14);
        break;
    case LINK_IDLE:
    case LINK_RESTING:
        if (link->keep && now >= link->retry_at)
            link_connect(link);
        break;
    }
}

void link_retire(struct link *link, const char *reason)
{
    struct link **place = &link->host->links;
    while (*place != link)
        place = &(*place)->next;
    *place = link->next;
    link->keep = link->leased = false;
    link->dead = true;
    if (link->receiver)
        link->receiver->ended(link->owner);
    link->receiver = NULL;
    if (link->state != LINK_IDLE || link->queue.count)
        link_fail(link, reason);
    link->next = link->proxy->dead_links; /* it may stay in the dirty list, too, until the turn's end */
    link->proxy->dead_links = link;
}

void link_destroy(struct link *link)
{
    fifo_deinit(&link->queue);
    chain_clear(&link->stream.out);
    stream_close(&link->stream);
    link_drop_input(link);
    free(link->refusal);
    free(link->reason);
    free(link);
}
