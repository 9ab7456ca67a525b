/* Listeners; see listener.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/listener.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/stats.h"
#include "proxy/client.h"
#include "proxy/cluster.h"
#include "proxy/proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections taken per event, so that a storm of them does not starve the others. */
enum { ACCEPT_AT_ONCE = 64 };
/* Without descriptors the listener looks again after this many seconds. */
static const double ACCEPT_PAUSE = 0.1;

/* Kept open so that there is one descriptor left to say no with. */
static int reserve = -1;

static void reserve_open(void)
{
    if (reserve < 0)
        reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void refuse(int fd, const char *line)
{
    stats->clients_refused++;
    if (send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("a refused client was not told: %s", strerror(errno));
    close(fd);
}

/* Takes the waiting connection with the reserve and tells it; then pauses. */
static void listener_out_of_descriptors(struct listener *listener)
{
    static struct log_limit limit;
    if (log_limit_pass(&limit, 1))
        log_warn("no file descriptors left for clients on %s: raise LimitNOFILE or `ulimit -n`",
                 listener->text);
    close(reserve);
    reserve = -1;
    int fd = accept4(listener->accept.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        refuse(fd, "-ERR max number of clients reached\r\n");
    reserve_open();
    ev_io_stop(listener->proxy->loop, &listener->accept);
    ev_timer_again(listener->proxy->loop, &listener->pause);
}

static void listener_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct listener *listener = timer->data;
    ev_timer_stop(loop, timer);
    if (!listener->closed)
        ev_io_start(loop, &listener->accept);
}

static bool listener_is_full(const struct listener *listener)
{
    return listener->cluster && listener->cluster->max_clients &&
           stats_clients() >= listener->cluster->max_clients;
}

static void listener_take(struct listener *listener, int most)
{
    for (int i = 0; i < most && !listener->closed; i++) {
        int fd = accept4(listener->accept.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                listener_out_of_descriptors(listener);
            if (errno == ECONNABORTED || errno == EINTR)
                continue;
            return;
        }
        if (listener_is_full(listener))
            refuse(fd, "-ERR max number of clients reached\r\n");
        else
            client_create(listener, fd);
    }
}

static void listener_acceptable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    listener_take(watcher->data, ACCEPT_AT_ONCE);
}

void listener_accept_waiting(struct listener *listener)
{
    listener_take(listener, INT_MAX);
}

struct listener *listener_create(struct proxy *proxy, int fd, const char *text, const char *cluster_name)
{
    struct listener *listener = xcalloc(1, sizeof *listener);
    listener->proxy = proxy;
    listener->text = xstrdup(text);
    listener->cluster_name = xstrdup(cluster_name);
    ev_io_init(&listener->accept, listener_acceptable, fd, EV_READ);
    listener->accept.data = listener;
    ev_timer_init(&listener->pause, listener_pause_over, 0., ACCEPT_PAUSE);
    listener->pause.data = listener;
    ev_io_start(proxy->loop, &listener->accept);
    reserve_open();
    return listener;
}

static void listener_destroy(struct listener *listener)
{
    struct listener **place = &listener->proxy->listeners;
    while (*place && *place != listener)
        place = &(*place)->next;
    if (*place)
        *place = listener->next;
    free(listener->text);
    free(listener->cluster_name);
    free(listener);
}

void listener_close(struct listener *listener)
{
    if (listener->closed)
        return;
    listener->closed = true;
    ev_io_stop(listener->proxy->loop, &listener->accept);
    ev_timer_stop(listener->proxy->loop, &listener->pause);
    close(listener->accept.fd);
    if (!listener->clients)
        listener_destroy(listener);
}

void listener_release(struct listener *listener)
{
    if (--listener->clients == 0 && listener->closed)
        listener_destroy(listener);
}
