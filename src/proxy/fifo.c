/* Requests in a row; see fifo.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/fifo.h"

#include "base/memory.h"

#include <stdlib.h>

/* FIFO_FEW: pointers that an idle link keeps. */
enum { FIFO_FEW = 16 };

void fifo_grow(struct fifo *fifo)
{
    uint32_t room = fifo->room ? fifo->room * 2 : FIFO_FEW;
    struct request **ring = xcalloc(room, sizeof *ring);
    for (uint32_t i = 0; i < fifo->count; i++)
        ring[i] = *fifo_at(fifo, i);
    free(fifo->ring);
    *fifo = (struct fifo){.ring = ring, .count = fifo->count, .room = room};
}

void fifo_shrink(struct fifo *fifo)
{
    if (!fifo->count && fifo->room > FIFO_FEW)
        fifo_deinit(fifo);
}

void fifo_deinit(struct fifo *fifo)
{
    free(fifo->ring);
    *fifo = (struct fifo){0};
}
