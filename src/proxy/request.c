/* Requests: the free list and the one way they end; see request.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/request.h"

#include "base/block.h"
#include "base/memory.h"
#include "base/slab.h"
#include "base/stats.h"
#include "proxy/cluster.h"
#include "proxy/undo.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct request) == 3 * SLAB_LINE, "a request is three cache lines");
_Static_assert(offsetof(struct query, command) == SLAB_LINE, "a kept reply leaves the command alone");

static struct slab requests = SLAB_OF(struct request);

/* By lines: for all at once, the compiler takes a string instruction, which is slow to begin. */
static inline void request_clear(struct request *request)
{
    typedef uint64_t line __attribute__((vector_size(SLAB_LINE), may_alias));
    line *lines = (line *)request;
    lines[0] = lines[1] = lines[2] = (line){0};
}

struct request *request_get(void)
{
    struct request *request = slab_get(&requests);
    request_prefetch(slab_next(&requests));
    request_clear(request);
    return request;
}

void request_put(struct request *request)
{
    if (request->answered && request->reply.size > REQUEST_SMALL_REPLY)
        block_put(request->reply.large, request->reply.size);
    if (request->memory)
        free(request->memory);
    if (request->undo)
        undo_drop(request->undo);
    if (request->cluster)
        generation_leave(request->cluster->generation);
    slab_put(&requests, request);
}

void request_shrink(void)
{
    slab_shrink(&requests);
}

void request_join_cluster(struct request *request, struct cluster *cluster)
{
    request->cluster = cluster;
    generation_ref(cluster->generation);
}

void request_keep_bytes(struct request *request)
{
    if (request->memory)
        return;
    request->memory = xmalloc(request->query.size);
    memcpy(request->memory, request->query.bytes, request->query.size);
    request->query.bytes = request->memory;
}

struct request *request_part(struct whole *whole, uint32_t number, request_done *done)
{
    const struct request *request = whole->request;
    struct request *part = request_get();
    part->query.command = request->query.command;
    part->query.argc = request->query.argc;
    part->query.client = request_client(request); /* that of a part in flight may have left */
    part->query.db = request->query.db;
    part->query.resp = request->query.resp;
    part->query.flows = request->query.flows;
    part->arrived = request->arrived;
    part->done = done;
    part->whole = whole;
    part->part = number;
    request_join_cluster(part, request->cluster);
    return part;
}

struct request *request_copy(struct whole *whole, uint32_t number, request_done *done)
{
    struct request *part = request_part(whole, number, done);
    struct client *client = part->query.client;
    part->query = whole->request->query;
    part->query.client = client;
    part->query.router = NULL;
    part->multiple = whole->request->multiple;
    return part;
}

struct client *request_client(const struct request *request)
{
    while (request->whole) {
        request = request->whole->request;
        if (!request)
            return NULL;
    }
    return request->client;
}

void request_answer(struct request *request, const char *bytes, size_t size)
{
    const struct reply reply = {.bytes = bytes, .size = size};
    request->done(request, &reply);
}

void request_fail(struct request *request, enum failure failure, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    line[0] = '-';
    vsnprintf(line + 1, sizeof line - 3, format, args);
    va_end(args);
    for (char *c = line; *c; c++)
        if (*c == '\r' || *c == '\n')
            *c = ' ';
    size_t size = strlen(line);
    memcpy(line + size, "\r\n", 2);
    stats->errors++;
    const struct reply reply = {.bytes = line, .size = size + 2, .failure = failure};
    request->done(request, &reply);
}
