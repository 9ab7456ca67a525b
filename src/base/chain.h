/* A chain of chunks: bytes on their way out of a connection.
 *
 * Small chunks are borrowed from a pool while they hold bytes and go back when
 * these are gone, so an idle connection owns none. What is appended in one
 * piece lies in one piece: a link keeps pointers into its chain until the
 * replies are in. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

struct chunk {
    struct chunk *next;
    char *data;        /* its bytes; after the header, or memory it was given */
    size_t start, end; /* data[start..end) is still to be written */
    size_t room;       /* data[0..room) may be used */
    uint32_t users;    /* requests whose bytes lie here (links only) */
    uint8_t kind;      /* which pool it came from */
};

struct chain {
    struct chunk *first, *last;
    struct chunk *unsent; /* the first with something to write, NULL: none */
    size_t size;          /* bytes still to be written */
};

/* Part of chain_reserve: the last chunk has no room. */
struct chunk *chain_grow(struct chain *chain, size_t size);

/* Room for `size` bytes in one piece at the end; chain_commit says how many
 * were used. The pointer is good until the next call on the chain. */
static inline char *chain_reserve(struct chain *chain, size_t size)
{
    struct chunk *last = chain->last;
    if (__builtin_expect(!last || last->room - last->end < size, 0))
        last = chain_grow(chain, size);
    return last->data + last->end;
}
static inline void chain_commit(struct chain *chain, size_t size)
{
    struct chunk *last = chain->last;
    last->end += size;
    chain->size += size;
    if (!chain->unsent && size)
        chain->unsent = last;
}

/* Copies bytes to the end; returns where they lie now. */
static inline char *chain_append(struct chain *chain, const char *bytes, size_t size)
{
    char *out = chain_reserve(chain, size);
    memcpy(out, bytes, size);
    chain_commit(chain, size);
    return out;
}

/* Takes memory from malloc (data[start..end) is content) as the new end, without a copy. */
struct chunk *chain_give(struct chain *chain, char *data, size_t start, size_t end, size_t room);

/* Bytes that several chains send, made once: freed when the last has sent them. */
struct shared {
    size_t users; /* chains, and its maker */
    size_t size;
    char bytes[];
};
struct shared *shared_create(const char *bytes, size_t size);
/* The maker needs it no more. NULL is fine. */
void shared_release(struct shared *shared);
void chain_share(struct chain *chain, struct shared *shared);

/* The first bytes as an iovec; returns how many entries were filled. */
int chain_iovec(const struct chain *chain, struct iovec *iov, int max);

/* `size` bytes of the front were written; empty chunks go back to the pool,
 * but those with users stay in the chain until chain_trim. */
void chain_written(struct chain *chain, size_t size);

/* Part of chain_trim: there is something to free. */
void chain_drop(struct chain *chain);
/* Frees leading chunks that are written and have no users any more. */
static inline void chain_trim(struct chain *chain)
{
    if (chain->first && chain->first != chain->unsent && !chain->first->users)
        chain_drop(chain);
}

/* Frees all. */
void chain_clear(struct chain *chain);

/* To be called about once a second: frees pooled chunks that nobody has needed
 * since the last time, but for a few. */
void chain_pool_shrink(void);
