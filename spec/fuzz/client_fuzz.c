/* Fuzzes the client side: the input's bytes, cut anywhere, go through a socket
 * into a client of a whole data path, with two hosts played here and one that
 * is away. Checked: one valid reply per command and in its place; the hosts
 * get nothing but valid requests, and none that would change a shared link.
 *
 * byte 0: router and faults (enum mode)   byte 1: where it is cut
 * byte 2: after how many requests a host closes its link   then: the client's bytes */
/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

#include "base/log.h"
#include "base/memory.h"
#include "proxy/account.h"
#include "proxy/client.h"
#include "proxy/cluster.h"
#include "proxy/listener.h"
#include "proxy/local.h"
#include "proxy/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum mode {
    MODE_ROUTER = 3,   /* ketama, modulus, all hosts, one host */
    MODE_AWAY = 4,     /* a third host is not there */
    MODE_CLOSES = 8,   /* hosts close links in the middle of work */
    MODE_GARBLED = 16, /* hosts send what is certainly no reply */
    MODE_OLD = 32,     /* hosts do not speak RESP3 */
    MODE_LOCKED = 64   /* clients have to log in, and cannot: the password is the digest of nothing known */
};
enum { HOSTS = 2, PEERS = 64, MAX_REQUEST = 64 * 1024, MAX_SECONDS = 5 };

/* Bytes that grow. */
struct text {
    char *data;
    size_t size, room;
};

static void text_add(struct text *text, const char *bytes, size_t size)
{
    if (!size)
        return;
    if (text->room - text->size < size) {
        text->room = (text->room + size) * 2;
        text->data = xrealloc(text->data, text->room);
    }
    memcpy(text->data + text->size, bytes, size);
    text->size += size;
}

static void text_cut(struct text *text, size_t size)
{
    if (!size)
        return;
    text->size -= size;
    memmove(text->data, text->data + size, text->size);
}

/* A link as the host sees it. */
struct peer {
    struct world *world;
    ev_io watcher;
    struct text in;
    unsigned asked; /* requests it has sent */
    bool open;
    bool resp3;  /* it has said HELLO 3 */
    bool shared; /* it has sent commands of clients */
};

/* A host played here. */
struct fake {
    struct world *world;
    ev_io accept;
    char path[108];
};

struct world {
    struct ev_loop *loop;
    struct proxy *proxy;
    struct fake fakes[HOSTS];
    struct peer peers[PEERS];
    unsigned mode, patience, asked;
};

/* ---- hosts ---- */

static bool name_is(const char *start, const struct resp_request *scan, const char *name)
{
    return scan->args[0].size == strlen(name) && !strncasecmp(start + scan->args[0].at, name, strlen(name));
}

/* What Nydus itself says on a new link. */
static bool is_greeting(const char *start, const struct resp_request *scan)
{
    return name_is(start, scan, "ping") || (name_is(start, scan, "hello") && scan->argc == 2);
}

static bool name_is_among(const char *start, const struct resp_request *scan, const char *const *names)
{
    while (*names && !name_is(start, scan, *names))
        names++;
    return *names != NULL;
}

static bool subscribes(const char *start, const struct resp_request *scan)
{
    static const char *const names[] = {"subscribe",    "psubscribe",   "ssubscribe", "unsubscribe",
                                        "punsubscribe", "sunsubscribe", NULL};
    return name_is_among(start, scan, names);
}

/* HELLO is the first word of a link, or never; one that subscribes does nothing else. */
static void check_harmless(struct peer *peer, const char *start, const struct resp_request *scan)
{
    static const char *const harmful[] = {"monitor", "sync",  "psync",  "client",   "debug",  "shutdown",
                                          "quit",    "reset", "config", "readonly", "swapdb", NULL};
    CHECK(!name_is_among(start, scan, harmful));
    bool hello = name_is(start, scan, "hello"), feed = subscribes(start, scan);
    CHECK(!hello || (peer->asked == 0 && scan->argc == 2));
    CHECK(!feed || !peer->shared);
    peer->shared |= !feed && !hello && !name_is(start, scan, "ping") && !name_is(start, scan, "select");
    peer->resp3 |= hello && !(peer->world->mode & MODE_OLD);
    peer->asked++;
}

static void add_bulk(struct text *out, const char *bytes, size_t size)
{
    char *bulk = xmalloc(RESP_HEADER_SIZE + size);
    text_add(out, bulk, resp_write_bulk(bulk, bytes, size));
    free(bulk);
}

enum { REPLIES = 10 };
static const char *const replies2[REPLIES] = {":1\r\n",           "+OK\r\n",
                                              "-ERR no\r\n",      "$-1\r\n",
                                              "$0\r\n\r\n",       "*2\r\n$1\r\na\r\n*1\r\n:2\r\n",
                                              "*0\r\n",           "*1\r\n:0\r\n",
                                              "-NOSCRIPT no\r\n", "*2\r\n$2\r\n17\r\n*0\r\n"};
static const char *const replies3[REPLIES] = {":1\r\n",
                                              "+OK\r\n",
                                              "!6\r\nERR no\r\n",
                                              "_\r\n",
                                              "|1\r\n+a\r\n#t\r\n%1\r\n,1.5\r\n(12\r\n",
                                              "*2\r\n~1\r\n=5\r\ntxt:a\r\n*1\r\n:2\r\n",
                                              "%0\r\n",
                                              "~1\r\n:0\r\n",
                                              "-NOSCRIPT no\r\n",
                                              "*2\r\n$2\r\n17\r\n*0\r\n"};

/* GET and MGET answer with their keys, so that a reply in a wrong place is seen. */
/* Something is published on each channel at once, and right behind on one that may be another's. */
static void add_message(const char *channel, size_t size, struct text *out)
{
    static const char shared[] = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n";
    static const char pattern[] = "*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$1\r\na\r\n$1\r\nx\r\n";
    text_add(out, "*3\r\n", 4);
    add_bulk(out, "message", 7);
    add_bulk(out, channel, size);
    add_bulk(out, channel, size);
    text_add(out, shared, sizeof shared - 1);
    text_add(out, pattern, sizeof pattern - 1);
}

static void fake_answer(const char *start, const struct resp_request *scan, bool resp3, struct text *out)
{
    bool many = name_is(start, scan, "mget");
    if (many || name_is(start, scan, "get")) {
        char header[RESP_HEADER_SIZE];
        struct resp_cursor cursor;
        struct resp_arg arg;
        if (many)
            text_add(out, header, resp_write_header(header, '*', scan->argc - 1));
        resp_cursor_init(&cursor, start);
        resp_cursor_next(&cursor, &arg);
        while (resp_cursor_next(&cursor, &arg))
            add_bulk(out, start + arg.at, arg.size);
    } else if (subscribes(start, scan)) {
        char kind[16] = "";
        for (uint32_t i = 0; i < scan->args[0].size; i++)
            kind[i] = (char)tolower((unsigned char)start[scan->args[0].at + i]);
        text_add(out, "*3\r\n", 4);
        add_bulk(out, kind, strlen(kind));
        add_bulk(out, start + scan->args[1].at, scan->argc > 1 ? scan->args[1].size : 0);
        text_add(out, ":1\r\n", 4);
        if (scan->argc > 1)
            add_message(start + scan->args[1].at, scan->args[1].size, out);
    } else if (name_is(start, scan, "hello")) {
        const char *line = resp3 ? "%1\r\n+proto\r\n:3\r\n" : "-ERR unknown command `HELLO`\r\n";
        text_add(out, line, strlen(line));
    } else if (name_is(start, scan, "ping")) {
        text_add(out, "+PONG\r\n", 7);
    } else if (name_is(start, scan, "select")) {
        bool far = scan->args[1].size > 1;
        const char *line = far ? "-ERR DB index is out of range\r\n" : "+OK\r\n";
        text_add(out, line, strlen(line));
    } else {
        unsigned number = ((unsigned char)start[scan->args[0].at] + scan->size) % REPLIES;
        const char *reply = (resp3 ? replies3 : replies2)[number];
        text_add(out, reply, strlen(reply));
    }
}

static void peer_close(struct peer *peer)
{
    ev_io_stop(peer->world->loop, &peer->watcher);
    close(peer->watcher.fd);
    free(peer->in.data);
    peer->in = (struct text){0};
    peer->open = false;
}

/* Is it time for the fault that the mode asks for? */
static bool fault_due(struct world *world, unsigned fault)
{
    return (world->mode & fault) && world->asked % (world->patience + 2) == world->patience + 1;
}

/* Answers the whole requests. false: the link is closed. */
static bool peer_answer(struct peer *peer, struct text *out)
{
    struct world *world = peer->world;
    size_t at = 0;
    while (at < peer->in.size) {
        struct resp_request scan = {0};
        const char *start = peer->in.data + at;
        enum resp_status status = resp_scan_request(&scan, start, peer->in.size - at, UINT32_MAX);
        if (status == RESP_MORE)
            break;
        CHECK(status == RESP_DONE && scan.argc > 0);
        check_harmless(peer, start, &scan);
        CHECK(!(world->mode & MODE_LOCKED) || is_greeting(start, &scan));
        at += scan.size;
        world->asked++;
        if (fault_due(world, MODE_CLOSES))
            return false;
        fake_answer(start, &scan, peer->resp3, out);
        if (fault_due(world, MODE_GARBLED))
            text_add(out, world->asked & 1 ? ">1\r\n:1\r\n" : "garble\r\n", 8);
    }
    text_cut(&peer->in, at);
    return true;
}

static void peer_event(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct peer *peer = watcher->data;
    char bytes[16 * 1024];
    ssize_t got = recv(watcher->fd, bytes, sizeof bytes, 0);
    if (got <= 0) {
        peer_close(peer);
        return;
    }
    text_add(&peer->in, bytes, (size_t)got);
    struct text out = {0};
    bool open = peer_answer(peer, &out);
    for (size_t at = 0; at < out.size;) { /* in pieces: replies are cut, too */
        size_t piece = out.size - at < 1000 ? out.size - at : 1000;
        ssize_t put = send(watcher->fd, out.data + at, piece, MSG_NOSIGNAL);
        if (put <= 0)
            break;
        at += (size_t)put;
    }
    free(out.data);
    if (!open)
        peer_close(peer);
}

static void fake_accept(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct fake *fake = watcher->data;
    int fd = accept(watcher->fd, NULL, NULL);
    struct peer *peer = fake->world->peers;
    while (peer < fake->world->peers + PEERS && peer->open)
        peer++;
    if (fd < 0)
        return;
    if (peer == fake->world->peers + PEERS) {
        close(fd);
        return;
    }
    int size = 1024 * 1024; /* what is sent blocks: nothing else runs meanwhile */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    *peer = (struct peer){.world = fake->world, .open = true};
    ev_io_init(&peer->watcher, peer_event, fd, EV_READ);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    peer->watcher.data = peer;
    ev_io_start(loop, &peer->watcher);
}

static void fake_listen(struct world *world, int index)
{
    struct fake *fake = &world->fakes[index];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(fake->path, sizeof fake->path, "/tmp/nydus-fuzz-%d-%d.sock", (int)getpid(), index);
    memcpy(address.sun_path, fake->path, sizeof fake->path);
    unlink(fake->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 64) == 0);
    fake->world = world;
    ev_io_init(&fake->accept, fake_accept, fd, EV_READ);
    fake->accept.data = fake;
    ev_io_start(world->loop, &fake->accept);
}

/* ---- the data path ---- */

static bool generation_end(struct generation *generation)
{
    for (uint32_t i = 0; i < generation->count; i++)
        cluster_destroy(generation->clusters[i]);
    free(generation->clusters);
    target_set_destroy(generation->set);
    free(generation);
    return true;
}

static void add_host(struct world *world, struct cluster *cluster, const char *path)
{
    struct host_options options = {.cluster = "main",
                                   .identifier = path,
                                   .unix_socket_path = path,
                                   .address = path,
                                   .weight = 1,
                                   .connections = 1,
                                   .timeout = 1,
                                   .connect_timeout = 1,
                                   .retry_timeout = 0.01,
                                   .failure_limit = 3,
                                   .named = true};
    struct host *host = host_acquire(world->proxy, &options);
    cluster_add_host(cluster, host);
}

static void add_root(struct world *world, struct cluster *cluster)
{
    static const uint32_t indexes[] = {0, 1, 2};
    unsigned router = world->mode & MODE_ROUTER;
    struct router_options options = {.kind = router == 0 ? ROUTER_KETAMA : ROUTER_MODULUS};
    options.hash = router_default_hash(options.kind, COMPAT_NYDUS);
    char error[200];
    if (router == 2)
        cluster->root = cluster_all(cluster);
    else if (router == 3)
        cluster->root = cluster->host_targets[0];
    else
        cluster->root =
            cluster_router(cluster, &options, router == 0, indexes, cluster->count, error, sizeof error);
    CHECK(cluster->root);
}

static struct generation *generation_make(struct world *world)
{
    struct generation *generation = xcalloc(1, sizeof *generation);
    generation->refs = 1;
    generation->set = target_set_create();
    generation->destroy = generation_end;
    struct cluster *cluster = cluster_create(generation, "main");
    for (int i = 0; i < HOSTS; i++)
        add_host(world, cluster, world->fakes[i].path);
    if (world->mode & MODE_AWAY)
        add_host(world, cluster, "/tmp/nydus-fuzz-is-not-there.sock");
    cluster->max_connection_retries = 3;
    cluster->max_request = MAX_REQUEST;
    cluster->max_reply_buffer = 64 * 1024 * 1024;
    if (world->mode & MODE_LOCKED) {
        static const uint8_t digest[ACCOUNT_DIGEST];
        cluster->accounts = accounts_create();
        command_set_apply(&accounts_add(cluster->accounts, "default", digest)->commands, "+@all");
    }
    add_root(world, cluster);
    return generation;
}

static void world_begin(struct world *world, unsigned mode, unsigned patience)
{
    *world = (struct world){.mode = mode, .patience = patience};
    world->loop = ev_loop_new(EVFLAG_AUTO);
    CHECK(world->loop);
    for (int i = 0; i < HOSTS; i++)
        fake_listen(world, i);
    world->proxy = proxy_create(world->loop);
    proxy_adopt(world->proxy, generation_make(world));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(fd >= 0);
    proxy_listen(world->proxy, fd, "fuzz", "main");
    ev_io_stop(world->loop, &world->proxy->listeners->accept); /* nobody connects */
}

static void world_end(struct world *world)
{
    proxy_destroy(world->proxy);
    for (int i = 0; i < PEERS; i++)
        if (world->peers[i].open)
            peer_close(&world->peers[i]);
    for (int i = 0; i < HOSTS; i++) {
        ev_io_stop(world->loop, &world->fakes[i].accept);
        close(world->fakes[i].accept.fd);
        unlink(world->fakes[i].path);
    }
    ev_loop_destroy(world->loop);
}

/* ---- what must come back ---- */

/* The replies owed, where they can be foretold: {0} for any. */
struct owed {
    struct text *replies;
    size_t count, room;
    bool dropped;     /* HTTP, or a command that blocks when the client leaves: replies may be missing */
    bool transaction; /* there is one: what would be the reply may be "+QUEUED" */
    bool loose;       /* it subscribes or wants no replies: their number is not foretold */
};

static struct text *owed_add(struct owed *owed)
{
    if (owed->count == owed->room) {
        owed->room = owed->room * 2 + 16;
        owed->replies = xrealloc(owed->replies, owed->room * sizeof *owed->replies);
    }
    owed->replies[owed->count] = (struct text){0};
    return &owed->replies[owed->count++];
}

static bool by_key(const struct world *world)
{
    return (world->mode & MODE_ROUTER) != 2;
}

/* One whole command. false: nothing behind it is answered. */
static bool owed_command(struct owed *owed, const struct world *world, const char *start,
                         const struct resp_request *scan)
{
    const struct command *command = command_find(start + scan->args[0].at, scan->args[0].size);
    if (!command && local_is_http(start + scan->args[0].at, scan->args[0].size)) {
        owed->dropped = true;
        return false;
    }
    struct text *reply = owed_add(owed);
    if (!command || !command_arity_fits(command, scan->argc))
        return true;
    owed->dropped |= (command->flags & COMMAND_BLOCKING) || !strncmp(command->name, "wait", 4);
    owed->transaction |= name_is(start, scan, "multi");
    owed->loose |= subscribes(start, scan) || name_is(start, scan, "client");
    if (owed->transaction)
        return !name_is(start, scan, "quit");
    if (name_is(start, scan, "echo"))
        add_bulk(reply, start + scan->args[1].at, scan->args[1].size);
    else if (by_key(world) && (name_is(start, scan, "get") || name_is(start, scan, "mget")))
        fake_answer(start, scan, false, reply); /* the same in RESP3 */
    return !name_is(start, scan, "quit");
}

/* Walks over everything the client sends. */
static void owed_find(struct owed *owed, const struct world *world, const char *bytes, size_t size)
{
    bool on = true, locked = world->mode & MODE_LOCKED;
    owed->dropped = locked; /* for those who have not logged in, requests are wrong earlier */
    while (on && size) {
        struct resp_request scan = {0};
        enum resp_status status = resp_scan_request(&scan, bytes, size, MAX_REQUEST);
        if (status == RESP_MORE && !locked)
            return;
        if (status == RESP_MORE || status == RESP_ERROR) {
            owed_add(owed);
            return;
        }
        size_t whole = scan.size;
        if (status == RESP_DONE && scan.argc)
            on = owed_command(owed, world, bytes, &scan);
        if (status == RESP_INLINE) {
            char *out;
            size_t out_size;
            struct resp_request words = {0};
            if (!resp_inline(bytes, whole, &out, &out_size)) {
                owed_add(owed);
                on = false;
            } else if (out_size && resp_scan_request(&words, out, out_size, UINT32_MAX) == RESP_DONE) {
                on = owed_command(owed, world, out, &words);
            }
            free(out);
        }
        bytes += whole;
        size -= whole;
    }
}

static void owed_free(struct owed *owed)
{
    for (size_t i = 0; i < owed->count; i++)
        free(owed->replies[i].data);
    free(owed->replies);
}

/* ---- the client ---- */

struct caller {
    int fd;
    struct text in;
    size_t replies;
    bool ended;
    bool locked; /* it cannot log in */
};

static void caller_check(struct caller *caller, const struct owed *owed)
{
    size_t at = 0;
    while (at < caller->in.size) {
        struct resp_reply scan = {0};
        const char *start = caller->in.data + at;
        enum resp_status status = resp_scan_reply(&scan, start, caller->in.size - at);
        if (status == RESP_MORE)
            break;
        CHECK(status == RESP_DONE);
        at += scan.size;
        if (owed->loose)
            continue;
        CHECK(!scan.push && caller->replies < owed->count);
        const struct text *reply = &owed->replies[caller->replies++];
        CHECK(!caller->locked || *start == '-' || !memcmp(start, "+OK", 3) || !memcmp(start, "+RESET", 6));
        if (reply->size && *start != '-')
            CHECK(scan.size == reply->size && !memcmp(start, reply->data, reply->size));
    }
    text_cut(&caller->in, at);
}

static void caller_read(struct caller *caller, const struct owed *owed)
{
    char bytes[64 * 1024];
    ssize_t got;
    while (!caller->ended && (got = recv(caller->fd, bytes, sizeof bytes, MSG_DONTWAIT)) >= 0) {
        if (got == 0)
            caller->ended = true;
        text_add(&caller->in, bytes, (size_t)got);
    }
    if (caller->in.size)
        caller_check(caller, owed);
}

/* Sends all, in pieces of changing size; the server may end the connection before. */
static void caller_send(struct caller *caller, struct world *world, const struct owed *owed,
                        const char *bytes, size_t size, unsigned cut)
{
    unsigned piece = cut;
    for (size_t at = 0; at < size && !caller->ended;) {
        piece = piece * 5 + cut + 1;
        size_t here = cut == 255 ? size : piece % 97 + 1;
        ssize_t put =
            send(caller->fd, bytes + at, size - at < here ? size - at : here, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put > 0)
            at += (size_t)put;
        else if (errno == EPIPE || errno == ECONNRESET)
            break;
        if (put <= 0 || piece & 4)
            ev_run(world->loop, EVRUN_NOWAIT);
        caller_read(caller, owed);
    }
    shutdown(caller->fd, SHUT_WR);
}

static void fuzz_client(struct world *world, const char *bytes, size_t size, unsigned cut)
{
    int pair[2];
    struct owed owed = {0};
    owed_find(&owed, world, bytes, size);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    struct caller caller = {.fd = pair[0], .locked = world->mode & MODE_LOCKED};
    client_create(world->proxy->listeners, pair[1]);
    caller_send(&caller, world, &owed, bytes, size, cut);
    /* requests of a dropped client are still answered, to nobody */
    for (double begin = ev_time(); !caller.ended || world->proxy->generation->refs > 1;
         caller_read(&caller, &owed)) {
        CHECK(ev_time() - begin < MAX_SECONDS);
        ev_run(world->loop, EVRUN_NOWAIT);
    }
    CHECK(caller.in.size == 0 || owed.dropped);
    CHECK(caller.replies == owed.count || owed.dropped || owed.loose);
    CHECK(world->proxy->client_count == 0);
    close(caller.fd);
    free(caller.in.data);
    owed_free(&owed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    if (size < 4)
        return 0;
    log_set_level(LOG_ERROR);
    signal(SIGPIPE, SIG_IGN);
    world_begin(&world, data[0], data[2] % 16);
    fuzz_client(&world, (const char *)data + 3, size - 3, data[1]);
    world_end(&world);
    return 0;
}
