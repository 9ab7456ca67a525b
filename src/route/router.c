/* The frame around the built-in routers: options, members, hash tag and who
 * is up. The choice itself is the strategy's, one file per kind.
 *
 *   key ─► hash tag ─► hash ─► strategy ─► index of a host */
/* SPDX-License-Identifier: Apache-2.0 */
#include "route/router.h"
#include "base/memory.h"
#include "route/strategy.h"
#include "route/twemproxy.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct strategy *const strategies[ROUTER_KINDS] = {
    [ROUTER_MODULUS] = &strategy_modulus,
    [ROUTER_KETAMA] = &strategy_ketama,
    [ROUTER_ROUND_ROBIN] = &strategy_round_robin,
    [ROUTER_RANDOM] = &strategy_random,
    [ROUTER_JUMP] = &strategy_jump,
    [ROUTER_RENDEZVOUS] = &strategy_rendezvous,
    [ROUTER_SLOTS] = &strategy_slots,
    [ROUTER_FIRST] = &strategy_first,
    [ROUTER_LEAST_PENDING] = &strategy_least_pending,
};

static const char *const compat_names[] = {
    [COMPAT_NYDUS] = "nydus",
    [COMPAT_TWEMPROXY] = "twemproxy",
    [COMPAT_REDIS] = "redis",
};

bool router_kind_parse(const char *name, enum router_kind *kind)
{
    for (int i = 0; i < ROUTER_KINDS; i++) {
        if (strcmp(strategies[i]->name, name) == 0) {
            *kind = (enum router_kind)i;
            return true;
        }
    }
    return false;
}

bool router_compat_parse(const char *name, enum router_compat *compat)
{
    for (size_t i = 0; i < sizeof compat_names / sizeof *compat_names; i++) {
        if (strcmp(compat_names[i], name) == 0) {
            *compat = (enum router_compat)i;
            return true;
        }
    }
    return false;
}

const char *router_kind_name(enum router_kind kind)
{
    return strategies[kind]->name;
}

bool router_kind_hashes(enum router_kind kind)
{
    return strategies[kind]->key_use != KEY_IGNORED;
}

enum hash_kind router_default_hash(enum router_kind kind, enum router_compat compat)
{
    switch (kind) {
    case ROUTER_SLOTS:
        return HASH_CRC16;
    case ROUTER_JUMP:
    case ROUTER_RENDEZVOUS:
        return HASH_XXH64;
    case ROUTER_KETAMA:
        return compat == COMPAT_TWEMPROXY ? HASH_FNV1A_64 : HASH_MD5;
    default:
        return compat == COMPAT_TWEMPROXY ? HASH_FNV1A_64 : HASH_CRC32;
    }
}

static unsigned variant_of(const struct router_options *options)
{
    unsigned variant = options->compat == COMPAT_TWEMPROXY ? HASH_TWEMPROXY : HASH_PLAIN;
    /* "redis" is the plain variant of everything. */
    if (options->compat != COMPAT_REDIS && !options->unsigned_bytes) {
        variant |= HASH_SIGNED_BYTES;
    }
    return variant;
}

static bool options_check(const struct router_options *options, char *error, size_t error_size)
{
    if ((options->hash_tag[0] == 0) != (options->hash_tag[1] == 0)) {
        snprintf(error, error_size, "hash_tag is two characters");
        return false;
    }
    return true;
}

static bool members_check(const struct member *members, size_t count, char *error, size_t error_size)
{
    uint64_t weights = 0;
    if (count < 1 || count > STRATEGY_TABLE_MAX) {
        snprintf(error, error_size, "a router needs 1 to %u hosts", STRATEGY_TABLE_MAX);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!members[i].identifier) {
            snprintf(error, error_size, "host %zu has no identifier", i);
            return false;
        }
        if (members[i].weight < 1) {
            snprintf(error, error_size, "host %zu has weight 0; a weight is 1 or more", i);
            return false;
        }
        weights += members[i].weight;
    }
    if (weights > STRATEGY_TABLE_MAX) {
        snprintf(error, error_size, "the weights add up to %" PRIu64 "; %u is the most",
                 weights, STRATEGY_TABLE_MAX);
        return false;
    }
    return true;
}

static struct member *members_copy(const struct member *members, size_t count)
{
    struct member *copy = xcalloc(count, sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i] = members[i];
        copy[i].identifier = xstrdup(members[i].identifier);
        copy[i].address = members[i].address ? xstrdup(members[i].address) : NULL;
    }
    return copy;
}

static int order_by_identifier(const void *a, const void *b, void *members)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    const struct member *list = members;
    int order = strcmp(list[left].identifier, list[right].identifier);
    return order != 0 ? order : (left > right) - (left < right);
}

/* Sorts the hosts by identifier, so that a group is a run of the list. */
static void groups_find(struct router *router)
{
    uint32_t *hosts = router->group_hosts, count = router->count;
    bool share = router->strategy->by_identifier && router->options.compat != COMPAT_TWEMPROXY;
    for (uint32_t i = 0; i < count; i++) {
        hosts[i] = i;
    }
    if (share) {
        qsort_r(hosts, count, sizeof *hosts, order_by_identifier, router->members);
    }
    for (uint32_t first = 0, end; first < count; first = end) {
        const char *identifier = router->members[hosts[first]].identifier;
        end = first + 1;
        while (share && end < count && strcmp(router->members[hosts[end]].identifier, identifier) == 0) {
            end++;
        }
        for (uint32_t i = first; i < end; i++) {
            router->groups[hosts[i]] = (struct group){.first = first, .count = end - first};
        }
    }
}

static void live_find(struct router *router)
{
    router->live_count = 0;
    for (uint32_t i = 0; i < router->count; i++) {
        if (router->up[i]) {
            router->live[router->live_count++] = i;
        }
    }
}

static void router_rebuild(struct router *router)
{
    router->stale = false;
    live_find(router);
    if (router->strategy->rebuild && router->live_count > 0) {
        router->strategy->rebuild(router);
    }
}

static struct router *router_allocate(const struct router_options *options, const struct member *members,
                                      size_t count)
{
    struct router *router = xcalloc(1, sizeof *router);
    router->options = *options;
    router->strategy = strategies[options->kind];
    router->hash = hash_function_find(options->hash, variant_of(options));
    router->empty_is_zero = options->compat == COMPAT_TWEMPROXY;
    router->side_by_side = count > 1 && options->hash == HASH_MD5 && router_kind_hashes(options->kind);
    router->count = (uint32_t)count;
    router->members = members_copy(members, count);
    router->group_hosts = xcalloc(count, sizeof *router->group_hosts);
    router->groups = xcalloc(count, sizeof *router->groups);
    router->live = xcalloc(count, sizeof *router->live);
    router->up = xcalloc(count, sizeof *router->up);
    memset(router->up, true, count);
    return router;
}

struct router *router_create(const struct router_options *options, const struct member *members,
                             size_t count, char *error, size_t error_size)
{
    if (!options_check(options, error, error_size) || !members_check(members, count, error, error_size)) {
        return NULL;
    }
    struct router *router = router_allocate(options, members, count);
    const struct strategy *strategy = router->strategy;
    groups_find(router);

    if (options->compat == COMPAT_TWEMPROXY && strategy->key_use != KEY_IGNORED &&
        !twemproxy_names_check(router->members, router->count, error, error_size)) {
        goto refuse;
    }
    if (strategy->create && !strategy->create(router, error, error_size)) {
        goto refuse;
    }
    router_rebuild(router);
    return router;

refuse:
    router_destroy(router);
    return NULL;
}

void router_destroy(struct router *router)
{
    if (!router) {
        return;
    }
    if (router->strategy->destroy && router->state) {
        router->strategy->destroy(router);
    }
    for (uint32_t i = 0; i < router->count; i++) {
        free((char *)router->members[i].identifier);
        free((char *)router->members[i].address);
    }
    free(router->members);
    free(router->group_hosts);
    free(router->groups);
    free(router->live);
    free(router->up);
    free(router);
}

void router_cut_key(const char tag[2], const char **key, size_t *size)
{
    const char *end = *key + *size;
    const char *open = memchr(*key, tag[0], *size);
    if (!open) {
        return;
    }
    open++;
    const char *close = memchr(open, tag[1], (size_t)(end - open));
    if (close && close > open) {
        *key = open;
        *size = (size_t)(close - open);
    }
}

bool router_pattern_is_fixed(const struct router *router, const char *pattern, size_t size)
{
    const char *tag = pattern;
    size_t tag_size = size;
    if (router->count == 1 || router->strategy->key_use == KEY_IGNORED) {
        return true;
    }
    if (router->options.hash_tag[0] && size > 0) {
        router_cut_key(router->options.hash_tag, &tag, &tag_size);
    }
    return tag != pattern && !memchr(pattern, '*', (size_t)(tag - pattern) + tag_size);
}

static inline uint64_t key_hash(const struct router *router, const char *key, size_t size)
{
    if (size == 0) {
        if (router->empty_is_zero) {
            return 0;
        }
        key = ""; /* hash functions take no NULL */
    }
    uint64_t hash = router->hash(key, size);
    return router->strategy->key_use == KEY_HASH_32 ? (uint32_t)hash : hash;
}

/* No host is up, or some were marked since the last pick. */
static __attribute__((noinline)) bool router_revive(struct router *router)
{
    if (router->stale) {
        router_rebuild(router);
    }
    return router->live_count > 0;
}

int router_pick(struct router *router, const char *key, size_t size)
{
    if (__builtin_expect(router->live_count == 0, false) && !router_revive(router)) {
        return ROUTER_NONE;
    }
    if (router->count == 1) {
        return 0;
    }
    if (router->strategy->key_use == KEY_IGNORED) {
        return router->strategy->pick(router, 0);
    }
    if (router->options.hash_tag[0] && size > 0) {
        router_cut_key(router->options.hash_tag, &key, &size);
    }
    return router->strategy->pick(router, key_hash(router, key, size));
}

bool router_text(const struct router *router, const char *key, size_t size, struct hash_text *text)
{
    if (!router->side_by_side || router->live_count == 0 || (size == 0 && router->empty_is_zero)) {
        return false;
    }
    if (router->options.hash_tag[0] && size > 0) {
        router_cut_key(router->options.hash_tag, &key, &size);
    }
    *text = (struct hash_text){.data = size > 0 ? key : "", .size = size};
    return true;
}

int router_pick_hash(struct router *router, uint32_t hash)
{
    return router->strategy->pick(router, hash);
}

bool router_texts(const struct router *router, const char *bytes, const struct resp_arg *keys, size_t count,
                  struct hash_text *texts)
{
    if (!router->side_by_side || router->live_count == 0) {
        return false;
    }
    bool tags = router->options.hash_tag[0];
    size_t shortest = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        struct hash_text *text = &texts[i];
        *text = (struct hash_text){.data = bytes + keys[i].at, .size = keys[i].size};
        shortest = text->size < shortest ? text->size : shortest;
        if (tags && text->size > 0) {
            router_cut_key(router->options.hash_tag, &text->data, &text->size);
        }
    }
    return shortest > 0 || !router->empty_is_zero;
}

void router_pick_hashes(struct router *router, const uint32_t *hashes, size_t count, int *hosts)
{
    const struct strategy *strategy = router->strategy;
    if (strategy->pick_many) {
        strategy->pick_many(router, hashes, count, hosts);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        hosts[i] = strategy->pick(router, hashes[i]);
    }
}

size_t router_group(const struct router *router, int index, const uint32_t **group)
{
    assert(index >= 0 && (uint32_t)index < router->count);
    *group = router->group_hosts + router->groups[index].first;
    return router->groups[index].count;
}

void router_mark(struct router *router, int index, bool up)
{
    assert(index >= 0 && (uint32_t)index < router->count);
    if (router->up[index] != up) {
        router->up[index] = up;
        router->stale = true;
        router->live_count = 0;
    }
}

bool router_is_up(const struct router *router, int index)
{
    assert(index >= 0 && (uint32_t)index < router->count);
    return router->up[index];
}

const struct router_options *router_options_of(const struct router *router)
{
    return &router->options;
}

size_t router_size(const struct router *router)
{
    return router->count;
}

/* Writes `tag "…", ` when only a part of the key is hashed; escapes what is
 * not plain text. Returns the bytes written. */
static size_t explain_tag(const char *tag, size_t size, char *text, size_t text_size)
{
    size_t used = (size_t)snprintf(text, text_size, "tag \"");
    for (size_t i = 0; i < size && used + 16 < text_size; i++) {
        unsigned char byte = (unsigned char)tag[i];
        bool plain = byte >= ' ' && byte < 0x7f && byte != '"' && byte != '\\';
        used += (size_t)snprintf(text + used, text_size - used, plain ? "%c" : "\\x%02x", byte);
    }
    return used + (size_t)snprintf(text + used, text_size - used, "\", ");
}

void router_explain(struct router *router, const char *key, size_t size, char *text, size_t text_size)
{
    const struct strategy *strategy = router->strategy;
    size_t used = 0;
    uint64_t hash = 0;

    if (text_size < 64) { /* no line fits */
        snprintf(text, text_size, "%s", strategy->name);
        return;
    }
    if (router->live_count == 0 && !router_revive(router)) {
        snprintf(text, text_size, "every host is down");
        return;
    }
    if (router->count == 1) {
        snprintf(text, text_size, "the only host, no hash");
        return;
    }
    if (strategy->key_use != KEY_IGNORED) {
        size_t whole = size;
        if (router->options.hash_tag[0] && size > 0) {
            router_cut_key(router->options.hash_tag, &key, &size);
        }
        if (size < whole) {
            used = explain_tag(key, size, text, text_size / 2);
        }
        hash = key_hash(router, key, size);
        used += (size_t)snprintf(text + used, text_size - used, "%s %" PRIu64 ", ",
                                 hash_kind_name(router->options.hash), hash);
    }
    if (used < text_size) {
        strategy->explain(router, hash, text + used, text_size - used);
    }
}

int strategy_stand_in(const struct router *router, uint64_t hash)
{
    return (int)router->live[hash_mix(hash) % router->live_count];
}

uint32_t strategy_weight(const struct router *router, uint32_t host)
{
    const struct group *group = &router->groups[host];
    uint32_t weight = 0;
    for (uint32_t i = 0; i < group->count; i++) {
        uint32_t other = router->group_hosts[group->first + i];
        if (!router->up[other]) {
            continue;
        }
        if (weight == 0 && other != host) {
            return 0;
        }
        if (router->members[other].weight > weight) {
            weight = router->members[other].weight;
        }
    }
    return weight;
}
