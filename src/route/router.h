/* A built-in router: picks a host for a key, in C.
 *
 * A router knows its hosts by index, in routing order, and nothing of
 * sockets. Placement is exactly that of Nydus, twemproxy or plain Redis,
 * as `compat` says. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/hash.h"
#include "resp/resp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum router_kind {
    ROUTER_MODULUS, ROUTER_KETAMA, ROUTER_ROUND_ROBIN, ROUTER_RANDOM,
    ROUTER_JUMP, ROUTER_RENDEZVOUS, ROUTER_SLOTS, ROUTER_FIRST,
    ROUTER_LEAST_PENDING,
    ROUTER_KINDS
};

enum router_compat { COMPAT_NYDUS, COMPAT_TWEMPROXY, COMPAT_REDIS };

#define ROUTER_NONE (-1) /* every host is marked down (HostListExhausted) */

/* One host as a router sees it. */
struct member {
    const char *identifier; /* what the ring hashes; copied by router_create */
    const char *address;    /* "host:port" or a path, as twemproxy writes it; may be NULL */
    uint16_t port;          /* 0 for a unix socket */
    bool named;             /* the operator gave the identifier (twemproxy: a server name) */
    uint32_t weight;        /* 1 and up */
    /* How many replies it owes; NULL: nobody knows. For least_pending. */
    uint32_t (*pending)(const void *host);
    const void *host;
};

struct router_options {
    enum router_kind kind;
    enum router_compat compat;
    enum hash_kind hash;
    bool unsigned_bytes;    /* hash bytes >= 0x80 as unsigned char; compat redis always does */
    char hash_tag[2];       /* both 0: none */
};

struct router;

/* The kind, compat or hash of a name in config.lua ("ketama"); false if unknown. */
bool router_kind_parse(const char *name, enum router_kind *kind);
bool router_compat_parse(const char *name, enum router_compat *compat);
const char *router_kind_name(enum router_kind kind);
/* Default hash of a kind: crc32 for modulus, md5 for ketama, but fnv1a_64 for
 * both in twemproxy's mode, as there; xxh64 for jump and rendezvous. */
enum hash_kind router_default_hash(enum router_kind kind, enum router_compat compat);
/* Does the kind look at the key? (not round_robin, random, first, least_pending) */
bool router_kind_hashes(enum router_kind kind);

/* All hosts are up at first. Weights count for every kind but first (and
 * random in twemproxy's mode). Slots take the hash crc16 and no other, and cut
 * keys at `{}` whether asked or not. NULL with a sentence in `error` when the
 * options make no sense. */
struct router *router_create(const struct router_options *options, const struct member *members,
                             size_t count, char *error, size_t error_size)
    __attribute__((warn_unused_result));
void router_destroy(struct router *router);

/* The index of the host for a key, or ROUTER_NONE; a host that is up, always.
 * Routers that do not hash ignore the key (NULL, 0 is fine). No allocation,
 * no system call. */
int router_pick(struct router *router, const char *key, size_t size);

/* The same in two steps, for many keys at once. true: `text` is what hash_md5_many has to hash; with that
 * hash router_pick_hash gives the host, if no host is marked in between. false: router_pick is as quick. */
bool router_text(const struct router *router, const char *key, size_t size, struct hash_text *text);
int router_pick_hash(struct router *router, uint32_t hash);

/* The same two steps for many keys of one request, whose bytes begin at `bytes`: 33 instructions less for a
 * key of MGET. false: one of them is better given to router_pick. */
bool router_texts(const struct router *router, const char *bytes, const struct resp_arg *keys, size_t count,
                  struct hash_text *texts);
void router_pick_hashes(struct router *router, const uint32_t *hashes, size_t count, int *hosts);

/* Do all keys that come of a pattern, whatever stands for its '*', lie where the
 * pattern itself would as a key? So it is
 * when a hash tag ahead of the star says all, and when keys do not matter. */
bool router_pattern_is_fixed(const struct router *router, const char *pattern, size_t size);

/* All hosts that share the identifier of `index`, itself included, in routing
 * order: Nydus sends the key to each of them. Returns how many; the array is
 * the router's own. Nearly always 1. Hosts that are down are in it, too;
 * router_pick gives the first that is up. Only ketama and rendezvous place
 * keys by identifier: with other kinds, and with twemproxy, a host is alone. */
size_t router_group(const struct router *router, int index, const uint32_t **group);

/* Takes a host out of the choice or puts it back; keys of other hosts stay
 * where the compat mode keeps them, and once it is back every key is where it
 * was. What was marked since the last pick counts from the next one on, all at once: then a ring is gone
 * through for its parts (some µs for 300 hosts), seldom made anew (0.5 ms). */
void router_mark(struct router *router, int index, bool up);
bool router_is_up(const struct router *router, int index);

const struct router_options *router_options_of(const struct router *router);
size_t router_size(const struct router *router);
/* For --route: the 32-bit hash and, for rings, the point that was hit. One
 * line of words into `text`. */
void router_explain(struct router *router, const char *key, size_t size, char *text, size_t text_size);

/* Cuts a key down to what stands in its hash tag. Redis and twemproxy agree:
 * from the first opening character to the first closing one after it, and
 * the whole key when there is nothing between them. */
void router_cut_key(const char tag[2], const char **key, size_t *size);
