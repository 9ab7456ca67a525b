/* A socket with its output chain and one watcher, whose interest the owner
 * derives from its own state after every change. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/chain.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct stream {
    ev_io watcher;    /* data: the owner */
    struct chain out; /* bytes to be written */
    struct ev_loop *loop;
};

enum stream_status {
    STREAM_OK,
    STREAM_AGAIN, /* the socket has nothing to give, or takes no more, for now */
    STREAM_END,   /* the peer has closed its side */
    STREAM_BROKEN /* errno says why */
};

/* No socket yet; output may be gathered already. */
void stream_init(struct stream *stream, struct ev_loop *loop);
/* Takes over the descriptor (non-blocking). Nothing is watched until stream_watch. */
void stream_open(struct stream *stream, int fd, void (*callback)(struct ev_loop *, ev_io *, int),
                 void *owner);
static inline int stream_fd(const struct stream *stream)
{
    return stream->watcher.fd;
}
static inline bool stream_is_open(const struct stream *stream)
{
    return stream->watcher.fd >= 0;
}
/* Watches for exactly these events (EV_READ, EV_WRITE, both, 0). Cheap when nothing changes. */
void stream_watch(struct stream *stream, int events);
/* Reads once; *got bytes with STREAM_OK. */
enum stream_status stream_read(struct stream *stream, char *out, size_t size, size_t *got);
/* Writes what it can of the chain, a megabyte or so at a time: STREAM_OK when all is out.
 * Adds the bytes written to *written. */
enum stream_status stream_flush(struct stream *stream, size_t *written);
/* Stops watching and closes; the output stays with the owner. Safe to call twice. */
void stream_close(struct stream *stream);
