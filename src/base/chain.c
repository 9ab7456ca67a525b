/* A chain of chunks; see chain.h.
 *
 *   first ─► … ─► unsent ─► … ─► last
 *   written, kept     to be written   grows here
 *   for its users
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/chain.h"

#include "base/memory.h"
#include "base/peak.h"
#include "base/slab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum chunk_kind {
    CHUNK_SMALL, /* pooled: what a client with little to say borrows */
    CHUNK_LARGE, /* pooled */
    CHUNK_EXACT, /* one big piece, header and bytes in one allocation */
    CHUNK_GIVEN, /* somebody's malloc, taken over */
    CHUNK_SHARED, /* in other chains, too */
};

/* In slabs, so that they share no page with what lives longer: else what 10,000
 * clients leave behind while they are busy keeps 200 bytes more for each. */
struct chunk_small {
    struct chunk chunk;
    char bytes[31 * SLAB_LINE - sizeof(struct chunk)]; /* eight fit into a slab's block */
};
static struct slab small_chunks = SLAB_OF(struct chunk_small);

/* Header included, so that the allocator sees round numbers. */
enum { LARGE_SIZE = 16 * 1024 };
/* Unused ones that are always kept: a few turns' worth. */
enum { LARGE_KEEP = 8 };

/* One per process: a worker has one thread. */
static struct {
    struct chunk *free;
    unsigned count;
    unsigned least; /* of count, since the last chain_pool_shrink: so many nobody has needed */
} large_chunks;

static struct chunk *small_get(void)
{
    struct chunk_small *small = slab_get(&small_chunks);
    small->chunk = (struct chunk){.data = small->bytes, .room = sizeof small->bytes, .kind = CHUNK_SMALL};
    return &small->chunk;
}

static struct chunk *large_get(void)
{
    struct chunk *chunk = large_chunks.free;
    if (chunk) {
        large_chunks.free = chunk->next;
        if (--large_chunks.count < large_chunks.least)
            large_chunks.least = large_chunks.count;
    } else {
        chunk = xmalloc(LARGE_SIZE);
        peak_took(LARGE_SIZE);
    }
    *chunk = (struct chunk){
        .data = (char *)(chunk + 1), .room = LARGE_SIZE - sizeof *chunk, .kind = CHUNK_LARGE};
    return chunk;
}

static void large_put(struct chunk *chunk)
{
    chunk->next = large_chunks.free;
    large_chunks.free = chunk;
    large_chunks.count++;
}

struct shared *shared_create(const char *bytes, size_t size)
{
    struct shared *shared = xmalloc(sizeof *shared + size);
    shared->users = 1;
    shared->size = size;
    memcpy(shared->bytes, bytes, size);
    return shared;
}

void shared_release(struct shared *shared)
{
    if (shared && --shared->users == 0)
        free(shared);
}

static void chunk_free(struct chunk *chunk)
{
    if (chunk->kind == CHUNK_SMALL) {
        slab_put(&small_chunks, chunk);
    } else if (chunk->kind == CHUNK_LARGE) {
        large_put(chunk);
    } else {
        if (chunk->kind == CHUNK_GIVEN)
            free(chunk->data);
        if (chunk->kind == CHUNK_SHARED)
            shared_release((struct shared *)(void *)(chunk->data - offsetof(struct shared, bytes)));
        peak_gave(chunk->room);
        free(chunk);
    }
}

static struct chunk *chunk_exact(size_t size)
{
    struct chunk *chunk = xmalloc(sizeof *chunk + size);
    *chunk = (struct chunk){.data = (char *)(chunk + 1), .room = size, .kind = CHUNK_EXACT};
    peak_took(size);
    return chunk;
}

static struct chunk *chain_push(struct chain *chain, struct chunk *chunk)
{
    if (chain->last)
        chain->last->next = chunk;
    else
        chain->first = chunk;
    chain->last = chunk;
    return chunk;
}

struct chunk *chain_grow(struct chain *chain, size_t size)
{
    if (!chain->first && size <= sizeof((struct chunk_small){0}.bytes))
        return chain_push(chain, small_get());
    if (size <= LARGE_SIZE - sizeof(struct chunk))
        return chain_push(chain, large_get());
    return chain_push(chain, chunk_exact(size));
}

static struct chunk *chain_add(struct chain *chain, struct chunk content)
{
    struct chunk *chunk = xmalloc(sizeof *chunk);
    *chunk = content;
    peak_took(chunk->room);
    chain_push(chain, chunk);
    chain->size += chunk->end - chunk->start;
    if (!chain->unsent && chunk->end > chunk->start)
        chain->unsent = chunk;
    return chunk;
}

struct chunk *chain_give(struct chain *chain, char *data, size_t start, size_t end, size_t room)
{
    return chain_add(
        chain, (struct chunk){.data = data, .start = start, .end = end, .room = room, .kind = CHUNK_GIVEN});
}

/* It has no room: nobody writes behind the bytes of others. */
void chain_share(struct chain *chain, struct shared *shared)
{
    shared->users++;
    chain_add(chain, (struct chunk){.data = shared->bytes,
                                    .end = shared->size,
                                    .room = shared->size,
                                    .kind = CHUNK_SHARED});
}

int chain_iovec(const struct chain *chain, struct iovec *iov, int max)
{
    int count = 0;
    for (struct chunk *chunk = chain->unsent; chunk && count < max; chunk = chunk->next) {
        if (chunk->start == chunk->end)
            continue;
        iov[count].iov_base = chunk->data + chunk->start;
        iov[count].iov_len = chunk->end - chunk->start;
        count++;
    }
    return count;
}

void chain_written(struct chain *chain, size_t size)
{
    assert(size <= chain->size);
    chain->size -= size;
    while (size) {
        struct chunk *chunk = chain->unsent;
        size_t here = chunk->end - chunk->start;
        if (size < here) {
            chunk->start += size;
            return;
        }
        chunk->start = chunk->end;
        size -= here;
        chain->unsent = chunk->next;
    }
    while (chain->unsent && chain->unsent->start == chain->unsent->end)
        chain->unsent = chain->unsent->next;
    chain_trim(chain);
}

void chain_drop(struct chain *chain)
{
    struct chunk *chunk;
    while ((chunk = chain->first) && chunk != chain->unsent && !chunk->users) {
        chain->first = chunk->next;
        if (!chain->first)
            chain->last = NULL;
        chunk_free(chunk);
    }
}

void chain_clear(struct chain *chain)
{
    while (chain->first) {
        struct chunk *next = chain->first->next;
        chunk_free(chain->first);
        chain->first = next;
    }
    *chain = (struct chain){0};
}

void chain_pool_shrink(void)
{
    slab_shrink(&small_chunks);
    for (; large_chunks.least > LARGE_KEEP; large_chunks.least--) {
        struct chunk *chunk = large_chunks.free;
        large_chunks.free = chunk->next;
        large_chunks.count--;
        peak_gave(LARGE_SIZE);
        free(chunk);
    }
    large_chunks.least = large_chunks.count;
}
