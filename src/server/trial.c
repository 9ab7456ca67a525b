/* Trials; see trial.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/trial.h"

#include "base/area.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/rest.h"
#include "net/address.h"
#include "net/alarm.h"
#include "net/stream.h"
#include "proxy/dispatch.h"
#include "proxy/explanation.h"
#include "proxy/proxy.h"
#include "resp/resp.h"
#include "resp/writer.h"
#include "server/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRIAL_READ = 64 * 1024, TRIAL_BACKLOG = 64 };

/* A connection that Nydus has opened to one of the hosts. */
struct wire {
    struct wire *next;
    struct trial *trial;
    struct stream stream;
    struct rest in;
    int host;
    int db;
    bool silent; /* one request is never answered, so none behind it is */
    bool dead;
};

struct trial_host {
    struct trial *trial;
    int number;
    ev_io accept;
    char *path;
    bool down;
};

/* A request that waits for the test's answer. */
struct asked {
    struct asked *next;
    struct wire *wire;
    char *bytes;
    size_t size;
    int db;
};

struct trial_client {
    struct trial *trial;
    struct stream stream;
    struct rest in;
    size_t taken; /* bytes of `in` that the last reply had */
    bool closed;
};

struct trial {
    struct ev_loop *loop;
    struct area *area; /* what its scripts share, entered by whatever may run them; NULL: no memory */
    struct proxy *proxy;
    struct trial_host **hosts;
    int host_count;
    struct wire *wires;
    struct asked *first, *last;
    struct trial_client **clients;
    int client_count;
    bool moved;
    char scratch[TRIAL_READ];
};

/* ---- sockets ---- */

static int listen_at(const char *path)
{
    struct address address;
    if (!address_unix(&address, path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    unlink(path);
    if (bind(fd, (struct sockaddr *)&address.storage, address.size) == 0 && listen(fd, TRIAL_BACKLOG) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Reads all that has come. false: the other side has gone. */
static bool read_all(struct trial *trial, struct stream *stream, struct rest *in)
{
    size_t got;
    enum stream_status status;
    while ((status = stream_read(stream, trial->scratch, TRIAL_READ, &got)) == STREAM_OK) {
        trial->moved = true;
        rest_append(in, trial->scratch, got);
    }
    return status == STREAM_AGAIN;
}

static void write_all(struct trial *trial, struct stream *stream, const char *bytes, size_t size)
{
    size_t written = 0;
    chain_append(&stream->out, bytes, size);
    bool all = stream_flush(stream, &written) == STREAM_OK;
    stream_watch(stream, all ? EV_READ : EV_READ | EV_WRITE);
    trial->moved = true;
}

/* ---- hosts ---- */

static void wire_close(struct wire *wire)
{
    stream_close(&wire->stream);
    chain_clear(&wire->stream.out);
    rest_drop(&wire->in);
    wire->dead = true;
    wire->trial->moved = true;
}

static bool is_word(const char *bytes, struct resp_arg arg, const char *word)
{
    return strlen(word) == arg.size && strncasecmp(bytes + arg.at, word, arg.size) == 0;
}

/* What Nydus says to a host before the first command, and asks to see whether it lives. */
static bool greeted(struct wire *wire, const char *bytes, const struct resp_request *scan)
{
    static const char *const hello = "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n";
    const char *answer = NULL;
    if (is_word(bytes, scan->args[0], "ping") && scan->argc == 1)
        answer = "+PONG\r\n";
    else if (is_word(bytes, scan->args[0], "hello"))
        answer = hello;
    else if (is_word(bytes, scan->args[0], "auth") || is_word(bytes, scan->args[0], "select"))
        answer = "+OK\r\n";
    if (is_word(bytes, scan->args[0], "select") && scan->argc == 2)
        wire->db = atoi(bytes + scan->args[1].at);
    if (answer && !wire->silent)
        write_all(wire->trial, &wire->stream, answer, strlen(answer));
    return answer;
}

static void ask(struct wire *wire, const char *bytes, size_t size)
{
    struct trial *trial = wire->trial;
    struct asked *asked = xcalloc(1, sizeof *asked);
    *asked = (struct asked){.wire = wire, .bytes = xstrndup(bytes, size), .size = size, .db = wire->db};
    if (trial->last)
        trial->last->next = asked;
    else
        trial->first = asked;
    trial->last = asked;
}

static void wire_consume(struct wire *wire)
{
    struct rest *in = &wire->in;
    size_t at = 0;
    while (at < in->size) {
        struct resp_request scan = {0};
        if (resp_scan_request(&scan, in->data + at, in->size - at, UINT32_MAX) != RESP_DONE)
            break;
        if (!greeted(wire, in->data + at, &scan))
            ask(wire, in->data + at, scan.size);
        at += scan.size;
    }
    in->size -= at;
    if (in->size)
        memmove(in->data, in->data + at, in->size);
    else
        rest_drop(in);
}

static void wire_event(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    struct wire *wire = watcher->data;
    if (events & EV_WRITE)
        write_all(wire->trial, &wire->stream, "", 0);
    if (!(events & EV_READ))
        return;
    bool open = read_all(wire->trial, &wire->stream, &wire->in);
    wire_consume(wire);
    if (!open)
        wire_close(wire);
}

static void host_accept(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct trial_host *host = watcher->data;
    int fd = accept4(watcher->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct wire *wire = xcalloc(1, sizeof *wire);
    wire->trial = host->trial;
    wire->host = host->number;
    wire->next = host->trial->wires;
    host->trial->wires = wire;
    host->trial->moved = true;
    stream_init(&wire->stream, loop);
    stream_open(&wire->stream, fd, wire_event, wire);
    stream_watch(&wire->stream, EV_READ);
}

static bool host_listen(struct trial_host *host)
{
    int fd = listen_at(host->path);
    if (fd < 0)
        return false;
    ev_io_init(&host->accept, host_accept, fd, EV_READ);
    host->accept.data = host;
    ev_io_start(host->trial->loop, &host->accept);
    return true;
}

static void host_close(struct trial_host *host)
{
    ev_io_stop(host->trial->loop, &host->accept);
    close(host->accept.fd);
    unlink(host->path);
    for (struct wire *wire = host->trial->wires; wire; wire = wire->next)
        if (wire->host == host->number && !wire->dead)
            wire_close(wire);
}

int trial_host(struct trial *trial, const char *path)
{
    struct trial_host *host = xcalloc(1, sizeof *host);
    host->trial = trial;
    host->number = trial->host_count;
    host->path = xstrdup(path);
    if (!host_listen(host)) {
        free(host->path);
        free(host);
        return -1;
    }
    trial->hosts = xrealloc(trial->hosts, (size_t)(trial->host_count + 1) * sizeof(struct trial_host *));
    trial->hosts[trial->host_count] = host;
    return trial->host_count++;
}

void trial_host_down(struct trial *trial, int number, bool down)
{
    struct trial_host *host = trial->hosts[number];
    if (host->down == down)
        return;
    host->down = down;
    if (down)
        host_close(host);
    else
        host->down = !host_listen(host);
}

/* ---- what hosts are asked ---- */

static void asked_pop(struct trial *trial)
{
    struct asked *asked = trial->first;
    trial->first = asked->next;
    if (!trial->first)
        trial->last = NULL;
    free(asked->bytes);
    free(asked);
}

bool trial_asked(struct trial *trial, struct trial_question *question)
{
    while (trial->first && (trial->first->wire->dead || trial->first->wire->silent))
        asked_pop(trial);
    const struct asked *asked = trial->first;
    if (!asked)
        return false;
    *question = (struct trial_question){
        .host = asked->wire->host, .db = asked->db, .bytes = asked->bytes, .size = asked->size};
    return true;
}

void trial_answer(struct trial *trial, const char *bytes, size_t size)
{
    struct wire *wire = trial->first->wire;
    if (bytes)
        write_all(trial, &wire->stream, bytes, size);
    else
        wire->silent = true;
    asked_pop(trial);
}

/* ---- clients ---- */

static void client_event(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    struct trial_client *client = watcher->data;
    if (events & EV_WRITE)
        write_all(client->trial, &client->stream, "", 0);
    if ((events & EV_READ) && !read_all(client->trial, &client->stream, &client->in)) {
        stream_close(&client->stream);
        client->closed = true;
    }
}


int trial_client(struct trial *trial, const char *path)
{
    struct address address;
    if (!address_unix(&address, path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = address_connect(&address);
    if (fd < 0)
        return -1;
    struct trial_client *client = xcalloc(1, sizeof *client);
    client->trial = trial;
    stream_init(&client->stream, trial->loop);
    stream_open(&client->stream, fd, client_event, client);
    stream_watch(&client->stream, EV_READ);
    trial->clients =
        xrealloc(trial->clients, (size_t)(trial->client_count + 1) * sizeof(struct trial_client *));
    trial->clients[trial->client_count] = client;
    return trial->client_count++;
}

void trial_client_close(struct trial *trial, int number)
{
    struct trial_client *client = trial->clients[number];
    stream_close(&client->stream);
    chain_clear(&client->stream.out);
    client->closed = true;
}

void trial_send(struct trial *trial, int number, const char *bytes, size_t size)
{
    struct trial_client *client = trial->clients[number];
    if (!client->closed)
        write_all(trial, &client->stream, bytes, size);
}

const char *trial_reply(struct trial *trial, int number, size_t *size, bool *closed)
{
    struct trial_client *client = trial->clients[number];
    struct rest *in = &client->in;
    if (client->taken) {
        in->size -= client->taken;
        memmove(in->data, in->data + client->taken, in->size);
        client->taken = 0;
    }
    struct resp_reply scan = {0};
    *closed = client->closed;
    if (!in->size || resp_scan_reply(&scan, in->data, in->size) != RESP_DONE)
        return NULL;
    *size = client->taken = scan.size;
    return in->data;
}

/* ---- life ---- */

/* While there are trials, only errors are logged: a test has its own ways to see the rest. */
static uint32_t trials;
static enum log_level level_before;

static void log_quietly(void)
{
    if (trials++)
        return;
    level_before = LOG_DEBUG;
    while (level_before < LOG_ERROR && !log_enabled(level_before))
        level_before++;
    log_set_level(LOG_ERROR);
}

struct trial *trial_create(void)
{
    struct trial *trial = xcalloc(1, sizeof *trial);
    log_quietly();
    trial->area = area_create();
    trial->loop = ev_loop_new(EVFLAG_AUTO);
    trial->proxy = proxy_create(trial->loop);
    return trial;
}

static bool serve(struct trial *trial, const char *folder, const struct generation *generation)
{
    bool fine = true;
    for (uint32_t i = 0; i < generation->count; i++) {
        const char *name = generation->clusters[i]->name;
        char *path = xformat("%s/%s", folder, name);
        proxy_unlisten(trial->proxy, path);
        int fd = listen_at(path);
        fine = fine && fd >= 0;
        if (fd >= 0)
            proxy_listen(trial->proxy, fd, path, name);
        free(path);
    }
    return fine;
}

/* As the loader does, in a state that serves nobody: that is where the hooks check run. */
static bool check(const char *config, char **problems)
{
    struct generation *generation = generation_build(NULL, config, NULL, problems);
    if (!generation)
        return false;
    generation_unref(generation);
    return true;
}

bool trial_load(struct trial *trial, const char *config, const char *folder, char **problems)
{
    static const struct packed from_disk;
    area_enter(trial->area);
    if (!check(config, problems))
        return false;
    struct generation *generation = generation_build(trial->proxy, config, &from_disk, problems);
    if (!generation)
        return false;
    generation_adopt(trial->proxy, generation);
    if (serve(trial, folder, generation))
        return true;
    *problems = xformat("%s: %s", folder, strerror(errno));
    return false;
}

bool trial_turn(struct trial *trial)
{
    trial->moved = false;
    area_enter(trial->area);
    ev_run(trial->loop, EVRUN_NOWAIT);
    return trial->moved;
}

double trial_skip(struct trial *trial, double most)
{
    area_enter(trial->area);
    double passed = alarm_skip(trial->loop, most);
    proxy_skip(trial->proxy, passed);
    return passed;
}

static void free_wires(struct trial *trial)
{
    for (struct wire *wire = trial->wires, *next; wire; wire = next) {
        next = wire->next;
        if (!wire->dead)
            wire_close(wire);
        free(wire);
    }
}

void trial_destroy(struct trial *trial)
{
    area_enter(trial->area);
    generation_retire(trial->proxy);
    proxy_destroy(trial->proxy);
    while (trial->first)
        asked_pop(trial);
    for (int i = 0; i < trial->host_count; i++) {
        trial_host_down(trial, i, true);
        free(trial->hosts[i]->path);
        free(trial->hosts[i]);
    }
    free_wires(trial);
    for (int i = 0; i < trial->client_count; i++) {
        trial_client_close(trial, i);
        rest_drop(&trial->clients[i]->in);
        free(trial->clients[i]);
    }
    free(trial->hosts);
    free(trial->clients);
    ev_loop_destroy(trial->loop);
    area_destroy(trial->area);
    free(trial);
    if (!--trials)
        log_set_level(level_before);
}

/* ---- routes ---- */

/* Explains into `out`, or only counts. */
static void explain(struct trial *trial, const char *name, struct writer *out, struct question *question)
{
    const struct cluster *cluster = generation_find(trial->proxy->generation, name);
    question->clusters = &cluster;
    question->cluster_count = 1;
    if (cluster)
        explanation_write(out, question);
}

char *trial_explain(struct trial *trial, const char *name, const char *bytes, size_t size)
{
    struct writer out = {.resp = 2};
    struct question question = {.bytes = bytes, .size = size};
    explain(trial, name, &out, &question);
    char *text = xstrndup(out.data ? out.data : "", out.size);
    writer_deinit(&out);
    return text;
}

int trial_route(struct trial *trial, const char *name, const char *bytes, size_t size, int *hosts,
                int room)
{
    struct writer out = {.resp = 2};
    struct destinations found = {0};
    struct question question = {.bytes = bytes, .size = size, .destinations = &found};
    explain(trial, name, &out, &question);
    const struct cluster *cluster = generation_find(trial->proxy->generation, name);
    int count = 0;
    for (uint32_t i = 0; cluster && i < found.count; i++)
        for (uint32_t h = 0; h < cluster->count && count < room; h++)
            if (cluster->host_targets[h] == found.hosts[i])
                hosts[count++] = (int)h;
    free(found.hosts);
    writer_deinit(&out);
    return count;
}
