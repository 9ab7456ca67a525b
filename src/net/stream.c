/* A socket with its output; see stream.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stream.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* A peer that reads as fast as we write must not keep us from the others. */
enum { STREAM_IOV = 64, STREAM_TURN = 1024 * 1024 };

void stream_init(struct stream *stream, struct ev_loop *loop)
{
    stream->loop = loop;
    stream->out = (struct chain){0};
    stream->watcher.fd = -1;
}

void stream_open(struct stream *stream, int fd, void (*callback)(struct ev_loop *, ev_io *, int), void *owner)
{
    ev_io_init(&stream->watcher, callback, fd, 0);
    stream->watcher.data = owner;
}

void stream_watch(struct stream *stream, int events)
{
    ev_io *watcher = &stream->watcher;
    if ((watcher->events & (EV_READ | EV_WRITE)) == events && ev_is_active(watcher) == (events != 0))
        return;
    /* libev asks the kernel only once a turn, and only for what really changed. */
    ev_io_stop(stream->loop, watcher);
    ev_io_set(watcher, watcher->fd, events);
    if (events)
        ev_io_start(stream->loop, watcher);
}

enum stream_status stream_read(struct stream *stream, char *out, size_t size, size_t *got)
{
    ssize_t result;
    do
        result = recv(stream_fd(stream), out, size, 0);
    while (result < 0 && errno == EINTR);
    if (result > 0) {
        *got = (size_t)result;
        return STREAM_OK;
    }
    *got = 0;
    if (result == 0)
        return STREAM_END;
    return errno == EAGAIN || errno == EWOULDBLOCK ? STREAM_AGAIN : STREAM_BROKEN;
}

/* One send for the usual single chunk, sendmsg for more. */
static ssize_t stream_send(const struct stream *stream)
{
    struct iovec iov[STREAM_IOV];
    int count = chain_iovec(&stream->out, iov, STREAM_IOV);
    if (count == 1)
        return send(stream_fd(stream), iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL);
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    return sendmsg(stream_fd(stream), &message, MSG_NOSIGNAL);
}

enum stream_status stream_flush(struct stream *stream, size_t *written)
{
    size_t before = *written;
    while (stream->out.size) {
        if (*written - before >= STREAM_TURN)
            return STREAM_AGAIN;
        ssize_t result = stream_send(stream);
        if (result >= 0) {
            chain_written(&stream->out, (size_t)result);
            *written += (size_t)result;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return STREAM_AGAIN;
        } else if (errno != EINTR) {
            return STREAM_BROKEN;
        }
    }
    return STREAM_OK;
}

void stream_close(struct stream *stream)
{
    if (!stream_is_open(stream))
        return;
    ev_io_stop(stream->loop, &stream->watcher);
    close(stream_fd(stream));
    ev_io_set(&stream->watcher, -1, 0);
}
