/* Places; see places.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/places.h"

#include "base/memory.h"
#include "proxy/dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    PLACES_GROUPS = 1 << 14, /* sets of places that are told apart */
    PLACES_PARTS = 1 << 10,  /* in one of them */
    PLACES_DEPTH = 8,        /* lists and actions in each other */
    PLACES_ITEMS = 64,       /* that are asked for one key: more are taken for a circle */
    PLACES_CIRCLES = 1000    /* keys with such a circle; then none is asked for its items any more */
};

/* A host of one side and where it is. */
struct seated {
    const struct host *host;
    uint32_t place;
};

/* Several places that have a key together. */
struct group {
    uint32_t *parts; /* owned */
    uint32_t count;
    uint32_t place; /* 0: free */
};

struct places {
    struct seated *hosts[SIDES]; /* in the order of clusters and hosts; owned */
    struct seated *sorted[SIDES]; /* by the host's address in memory; owned */
    uint32_t counts[SIDES];
    uint32_t next;         /* the next place's number */
    struct group *groups;  /* a hash table; owned */
    uint32_t group_count;
    uint32_t items;   /* asked for the present key */
    uint32_t circles; /* keys for which they were too many */
};

/* ---- hosts ---- */

static bool same_server(const struct host *a, const struct host *b)
{
    return a->options.db == b->options.db && !strcmp(a->options.address, b->options.address);
}

static bool same_name(const struct host *a, const struct host *b)
{
    return !strcmp(a->options.identifier, b->options.identifier) &&
           !strcmp(a->options.cluster, b->options.cluster);
}

static bool side_has_server(const struct generation *side, const struct host *host)
{
    for (uint32_t c = 0; c < side->count; c++)
        for (uint32_t i = 0; i < side->clusters[c]->count; i++)
            if (same_server(side->clusters[c]->hosts[i], host))
                return true;
    return false;
}

static uint32_t find_seated(const struct places *places, enum side side, const struct host *host)
{
    for (uint32_t i = 0; i < places->counts[side]; i++)
        if (same_server(places->hosts[side][i].host, host))
            return places->hosts[side][i].place;
    return 0;
}

static bool is_taken(const struct places *places, uint32_t place)
{
    for (uint32_t i = 0; i < places->counts[SIDE_NEW]; i++)
        if (places->hosts[SIDE_NEW][i].place == place)
            return true;
    return false;
}

/* The old host of the same name whose server the new side does not have any more. */
static uint32_t find_renumbered(const struct places *places, const struct generation *new,
                                const struct host *host)
{
    for (uint32_t i = 0; i < places->counts[SIDE_OLD]; i++) {
        const struct seated *old = &places->hosts[SIDE_OLD][i];
        if (same_name(old->host, host) && !side_has_server(new, old->host) && !is_taken(places, old->place))
            return old->place;
    }
    return 0;
}

static uint32_t seat_of(struct places *places, enum side side, const struct generation *generation,
                        const struct host *host)
{
    uint32_t place = find_seated(places, SIDE_OLD, host);
    if (!place && side == SIDE_NEW)
        place = find_seated(places, SIDE_NEW, host);
    if (!place && side == SIDE_NEW)
        place = find_renumbered(places, generation, host);
    return place ? place : places->next++;
}

static int order_by_host(const void *a, const void *b)
{
    const struct host *left = ((const struct seated *)a)->host, *right = ((const struct seated *)b)->host;
    return (left > right) - (left < right);
}

static void places_add_side(struct places *places, enum side side, const struct generation *generation)
{
    uint32_t room = 0;
    for (uint32_t c = 0; c < generation->count; c++)
        room += generation->clusters[c]->count;
    places->hosts[side] = xcalloc(room + 1, sizeof *places->hosts[side]);
    for (uint32_t c = 0; c < generation->count; c++) {
        const struct cluster *cluster = generation->clusters[c];
        for (uint32_t i = 0; i < cluster->count; i++) {
            uint32_t place = seat_of(places, side, generation, cluster->hosts[i]);
            places->hosts[side][places->counts[side]++] =
                (struct seated){.host = cluster->hosts[i], .place = place};
        }
    }
    places->sorted[side] = xcalloc(room + 1, sizeof *places->sorted[side]);
    memcpy(places->sorted[side], places->hosts[side], room * sizeof *places->hosts[side]);
    qsort(places->sorted[side], room, sizeof *places->sorted[side], order_by_host);
}

struct places *places_create(const struct generation *const sides[SIDES])
{
    struct places *places = xcalloc(1, sizeof *places);
    places->next = PLACE_FIRST;
    places->groups = xcalloc((size_t)2 * PLACES_GROUPS, sizeof *places->groups);
    places_add_side(places, SIDE_OLD, sides[SIDE_OLD]);
    places_add_side(places, SIDE_NEW, sides[SIDE_NEW]);
    return places;
}

void places_destroy(struct places *places)
{
    for (uint32_t i = 0; i < 2 * PLACES_GROUPS; i++)
        free(places->groups[i].parts);
    free(places->groups);
    for (int side = 0; side < SIDES; side++) {
        free(places->hosts[side]);
        free(places->sorted[side]);
    }
    free(places);
}

uint32_t places_of_host(const struct places *places, enum side side, const struct host *host)
{
    const struct seated wanted = {.host = host};
    const struct seated *found = bsearch(&wanted, places->sorted[side], places->counts[side], sizeof wanted,
                                         order_by_host);
    return found ? found->place : PLACE_OTHER;
}

const struct host *places_host(const struct places *places, enum side side, const char *cluster,
                               uint32_t place)
{
    for (uint32_t i = 0; i < places->counts[side]; i++) {
        const struct seated *seated = &places->hosts[side][i];
        if (seated->place == place && !strcmp(seated->host->options.cluster, cluster))
            return seated->host;
    }
    return NULL;
}

/* ---- several together ---- */

static int order_by_number(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* Sorted, each once. */
static uint32_t unite(uint32_t *parts, uint32_t count)
{
    uint32_t kept = 0;
    qsort(parts, count, sizeof *parts, order_by_number);
    for (uint32_t i = 1; i < count; i++)
        if (parts[i] != parts[kept])
            parts[++kept] = parts[i];
    return kept + 1;
}

static uint32_t places_group(struct places *places, uint32_t *parts, uint32_t count)
{
    count = unite(parts, count);
    if (count == 1)
        return parts[0];
    size_t size = count * sizeof *parts;
    uint32_t mask = 2 * PLACES_GROUPS - 1, at = (uint32_t)XXH64(parts, size, 0) & mask;
    for (; places->groups[at].place; at = (at + 1) & mask)
        if (places->groups[at].count == count && !memcmp(places->groups[at].parts, parts, size))
            return places->groups[at].place;
    if (places->group_count == PLACES_GROUPS)
        return PLACE_OTHER;
    places->group_count++;
    struct group *group = &places->groups[at];
    group->parts = xmalloc(size);
    memcpy(group->parts, parts, size);
    group->count = count;
    return group->place = places->next++;
}

static uint32_t find(struct places *places, enum side side, const struct target *leaf,
                     const struct query *query, unsigned depth);

/* An item may be another router: it is asked as the server does. */
static uint32_t find_item(struct places *places, enum side side, const struct target *item,
                          const struct query *query, unsigned depth)
{
    struct query part = *query, *asked = &part;
    if (item->kind == TARGET_HOST)
        return places_of_host(places, side, item->host.host);
    if (places->circles >= PLACES_CIRCLES)
        places->items = PLACES_ITEMS;
    if (places->items >= PLACES_ITEMS || ++places->items == PLACES_ITEMS)
        return PLACE_OTHER;
    part.target = item;
    part.router = NULL;
    dispatch_settle(&asked, 1, false);
    return find(places, side, part.target, &part, depth);
}

static uint32_t find_list(struct places *places, enum side side, const struct target *list,
                          const struct query *query, unsigned depth)
{
    uint32_t *parts, count = list->list.count, place;
    if (count == 0 || count > PLACES_PARTS || depth > PLACES_DEPTH)
        return PLACE_OTHER;
    parts = xmalloc(count * sizeof *parts);
    for (uint32_t i = 0; i < count; i++)
        parts[i] = find_item(places, side, list->list.items[i], query, depth + 1);
    place = places_group(places, parts, count);
    free(parts);
    return place;
}

/* One that is not transparent: what it does may depend on more than the key. */
static uint32_t find_action(struct places *places, enum side side, const struct target *leaf,
                            const struct query *query, unsigned depth)
{
    if (!leaf->action.count || depth > PLACES_DEPTH)
        return PLACE_FLOW;
    return find_item(places, side, leaf->action.items[0], query, depth + 1);
}

static uint32_t find(struct places *places, enum side side, const struct target *leaf,
                     const struct query *query, unsigned depth)
{
    if (!leaf)
        return query->error ? PLACE_ERROR : PLACE_NO_ROUTE;
    if (leaf->kind == TARGET_HOST)
        return places_of_host(places, side, leaf->host.host);
    if (leaf->kind == TARGET_LIST)
        return find_list(places, side, leaf, query, depth);
    if (leaf->kind == TARGET_ACTION)
        return find_action(places, side, leaf, query, depth);
    if (leaf->kind == TARGET_REPLY)
        return *leaf->reply.bytes == '-' ? PLACE_ERROR : PLACE_REPLY;
    return PLACE_OTHER;
}

uint32_t places_find(struct places *places, enum side side, const struct target *leaf,
                     const struct query *query)
{
    places->items = 0;
    uint32_t place = find(places, side, leaf, query, 0);
    if (places->items < PLACES_ITEMS)
        return place;
    places->circles++;
    return PLACE_OTHER;
}

/* ---- in words ---- */

static const char *const plain_names[PLACE_FIRST] = {
    [PLACE_ERROR] = "an error",
    [PLACE_NO_ROUTE] = "no route",
    [PLACE_REPLY] = "a reply of the router",
    [PLACE_FLOW] = "a flow",
    [PLACE_OTHER] = "elsewhere",
};

static const struct group *find_group(const struct places *places, uint32_t place)
{
    for (uint32_t i = 0; i < 2 * PLACES_GROUPS; i++)
        if (places->groups[i].place == place)
            return &places->groups[i];
    return NULL;
}

/* Of its own cluster if there is one. */
static void name_host(const struct places *places, enum side side, const char *cluster, uint32_t place,
                      char *text, size_t size)
{
    const struct host *host = places_host(places, side, cluster, place);
    if (host) {
        snprintf(text, size, "%s", host->options.identifier);
        return;
    }
    for (uint32_t i = 0; i < places->counts[side]; i++) {
        const struct seated *seated = &places->hosts[side][i];
        if (seated->place != place)
            continue;
        snprintf(text, size, "%s/%s", seated->host->options.cluster, seated->host->options.identifier);
        return;
    }
    snprintf(text, size, "?");
}

const char *places_name(const struct places *places, enum side side, const char *cluster, uint32_t place,
                        char *text, size_t size)
{
    const struct group *group = place < PLACE_FIRST ? NULL : find_group(places, place);
    if (place < PLACE_FIRST)
        snprintf(text, size, "%s", plain_names[place]);
    else if (!group)
        name_host(places, side, cluster, place, text, size);
    for (uint32_t i = 0, used = 0; group && i < group->count && used + 16 < size; i++) {
        used += (uint32_t)snprintf(text + used, size - used, "%s", i ? " + " : "");
        if (used + 16 < size)
            places_name(places, side, cluster, group->parts[i], text + used, size - used);
        used += (uint32_t)strlen(text + used);
    }
    return text;
}
