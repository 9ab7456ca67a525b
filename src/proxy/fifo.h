/* Requests in a row, first in, first out: those that a link carries.
 *
 * A ring of pointers instead of a list through the requests: replies come in
 * bulk, thousands of requests are more than the cache holds, and a list does
 * not say which is the one after the next before the next is there. Here some
 * are fetched ahead. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/request.h"

#include <stdint.h>

/* Zero it to begin. */
struct fifo {
    struct request **ring; /* owned; NULL: none yet */
    uint32_t first;        /* counts those that have left; the oldest is at first modulo room */
    uint32_t count;
    uint32_t room; /* a power of two, or 0 */
};

/* How many requests ahead of the oldest one is fetched into the cache. */
enum { FIFO_AHEAD = 4 };

/* Makes room for one more. */
void fifo_grow(struct fifo *fifo);
/* Frees the ring of an empty one, when it has been long. */
void fifo_shrink(struct fifo *fifo);
void fifo_deinit(struct fifo *fifo);

/* Number i, from the oldest at 0, below count. */
static inline struct request **fifo_at(const struct fifo *fifo, uint32_t i)
{
    return &fifo->ring[(fifo->first + i) & (fifo->room - 1)];
}

/* The oldest; NULL: there is none. */
static inline struct request *fifo_head(const struct fifo *fifo)
{
    return fifo->count ? *fifo_at(fifo, 0) : NULL;
}

static inline void fifo_push(struct fifo *fifo, struct request *request)
{
    if (__builtin_expect(fifo->count == fifo->room, 0))
        fifo_grow(fifo);
    *fifo_at(fifo, fifo->count++) = request;
}

/* Takes the oldest; there is one. */
static inline struct request *fifo_pop(struct fifo *fifo)
{
    struct request *request = *fifo_at(fifo, 0);
    request_prefetch(*fifo_at(fifo, FIFO_AHEAD)); /* whatever lies there: to fetch it is no harm */
    fifo->first++;
    fifo->count--;
    return request;
}
