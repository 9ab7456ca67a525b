/* Memos: replies that are kept by the whole command, and fall with its key.
 *
 *   command ─► memo ─► reply      one look
 *   key ─► its memos              all that was asked about it
 *
 * A memo is made before there is a reply: until then it waits, and whoever asks
 * the same finds it. Memory is bounded, tables included; when it is full, what has
 * not been asked for goes first. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MEMOS_LEAST = 64 * 1024 }; /* bytes */

/* What a memo is kept by. */
struct memo_name {
    const char *bytes; /* the command */
    uint32_t size;
    int32_t db;
    uint8_t resp;
    uint64_t hash; /* set by memos_find */
};

/* A key, while it has memos or is held. */
struct memo_key {
    struct memo_key *next; /* in its bucket */
    struct memo *memos;
    uint64_t hash;
    uint32_t holds; /* writes on their way */
    uint32_t size;
    char bytes[];
};

struct memo {
    struct memo *next;          /* in its bucket */
    struct memo *newer, *older; /* of those that are kept */
    struct memo *key_next, **key_place;
    struct memo_key *key; /* NULL: dropped while it waited. Nobody finds it; its owner frees it */
    char *reply;          /* NULL: it waits */
    void *owner;          /* while it waits: who will have the reply */
    uint64_t hash;
    uint64_t expires;    /* nanoseconds of clock_ns */
    const uint32_t *era; /* it is good while this is `made_in` */
    uint32_t made_in;
    uint32_t reply_size;
    uint32_t size; /* of the command */
    int32_t db;
    uint8_t resp;
    bool used; /* since it was last looked at for eviction */
    char bytes[];
};

struct memos;

/* limit: bytes, MEMOS_LEAST or more. */
struct memos *memos_create(size_t limit);
/* No memo waits any more. NULL is fine. */
void memos_destroy(struct memos *memos);
size_t memos_bytes(const struct memos *memos);

/* One that waits or is kept, good or not; NULL: there is none. */
struct memo *memos_find(struct memos *memos, struct memo_name *name);
/* The key, if anything is known of it; NULL: nothing is. */
struct memo_key *memos_key(struct memos *memos, const char *bytes, size_t size);
/* The key, which stays until memos_release. */
struct memo_key *memos_hold(struct memos *memos, const char *bytes, size_t size);
void memos_release(struct memos *memos, struct memo_key *key);

/* A memo that waits; memos_find has just not found it. era: what it is good in. */
struct memo *memos_add(struct memos *memos, const struct memo_name *name, const char *key, size_t key_size,
                       const uint32_t *era);
/* The reply is there. `now` is clock_ns: older ones whose time is over may go. false: it is too large
 * (more than an eighth of all), and the memo is gone. */
bool memos_keep(struct memos *memos, struct memo *memo, const char *reply, size_t size, uint64_t now);
/* Forgets a memo; one that waits is its owner's from now on. */
void memos_drop(struct memos *memos, struct memo *memo);
/* Forgets all memos of a key; returns how many were kept. The key may be gone. */
uint32_t memos_drop_key(struct memos *memos, struct memo_key *key);
/* Frees one that was dropped while it waited. */
void memo_free(struct memo *memo);

static inline bool memo_is_good(const struct memo *memo, uint64_t now)
{
    return *memo->era == memo->made_in && (!memo->reply || memo->expires > now);
}
