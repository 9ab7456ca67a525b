/* Names, order and shares of servers as in twemproxy. Its notes say that the
 * weight is part of the name; its code leaves it out. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "route/twemproxy.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMCACHED_PORT 11211

char *twemproxy_name(const struct member *member)
{
    if (member->named || !member->address) {
        return xstrdup(member->identifier);
    }
    if (member->port == 0) {
        return xformat("%s:", member->address);
    }
    const char *colon = strrchr(member->address, ':');
    if (member->port == MEMCACHED_PORT && colon) {
        return xstrndup(member->address, (size_t)(colon - member->address));
    }
    return xstrdup(member->address);
}

struct named {
    char *name;
    uint32_t host;
};

static int order_by_name(const void *a, const void *b)
{
    const struct named *left = a, *right = b;
    size_t left_size = strlen(left->name), right_size = strlen(right->name);
    if (left_size != right_size) {
        return left_size < right_size ? -1 : 1;
    }
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : (left->host > right->host) - (left->host < right->host);
}

static struct named *names_create(const struct member *members, uint32_t count)
{
    struct named *names = xcalloc(count, sizeof *names);
    for (uint32_t i = 0; i < count; i++) {
        names[i] = (struct named){.name = twemproxy_name(&members[i]), .host = i};
    }
    qsort(names, count, sizeof *names, order_by_name);
    return names;
}

static void names_destroy(struct named *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free(names[i].name);
    }
    free(names);
}

void twemproxy_sort(const struct member *members, uint32_t count, uint32_t *order)
{
    struct named *names = names_create(members, count);
    for (uint32_t i = 0; i < count; i++) {
        order[i] = names[i].host;
    }
    names_destroy(names, count);
}

/* The type and the order of the operations matter: in float, 25 equal servers
 * get 156 points each, not 160. */
uint32_t twemproxy_points(uint32_t live, uint32_t weight, uint32_t weights)
{
    float share = (float)weight / (float)weights;
    float digests = share * 160 / 4 * (float)live;
    return (uint32_t)floorf((float)(digests + 0.0000000001)) * 4;
}

bool twemproxy_names_check(const struct member *members, uint32_t count, char *error, size_t error_size)
{
    struct named *names = names_create(members, count);
    bool unique = true;
    for (uint32_t i = 1; i < count && unique; i++) {
        if (strcmp(names[i - 1].name, names[i].name) == 0) {
            unique = false;
            snprintf(error, error_size,
                     "hosts %u and %u are both \"%s\" to compat \"twemproxy\"; give them identifiers",
                     names[i - 1].host, names[i].host, names[i].name);
        }
    }
    names_destroy(names, count);
    return unique;
}
