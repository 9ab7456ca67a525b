/* Requests: the free list and the one way they end; see request.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/request.h"

#include "base/memory.h"
#include "base/stats.h"
#include "proxy/cluster.h"
#include "proxy/undo.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Unused requests kept for the next ones, and over a request_shrink. */
enum { REQUEST_KEEP = 4096, REQUEST_FEW = 64 };

_Static_assert(sizeof(struct request) == 256, "a request is four cache lines");

static struct request *free_list;
static uint32_t free_count;

struct request *request_get(void)
{
    struct request *request = free_list;
    if (request) {
        free_list = request->next;
        free_count--;
        request_prefetch(free_list);
    } else {
        request = xmalloc_line(sizeof *request);
    }
    memset(request, 0, offsetof(struct request, small));
    return request;
}

void request_put(struct request *request)
{
    if (request->reply != request->small)
        free(request->reply);
    free(request->memory);
    if (request->undo)
        undo_drop(request->undo);
    if (request->cluster)
        generation_leave(request->cluster->generation);
    if (free_count >= REQUEST_KEEP) {
        free(request);
        return;
    }
    request->next = free_list;
    free_list = request;
    free_count++;
}

bool request_shrink(void)
{
    bool any = free_count > REQUEST_FEW;
    while (free_count > REQUEST_FEW) {
        struct request *request = free_list;
        free_list = request->next;
        free_count--;
        free(request);
    }
    return any;
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
    request->memory_room = request->query.size;
    request->memory = xmalloc(request->memory_room);
    memcpy(request->memory, request->query.bytes, request->query.size);
    request->query.bytes = request->memory;
}

struct request *request_part(struct whole *whole, uint32_t number, request_done *done)
{
    const struct request *request = whole->request;
    struct request *part = request_get();
    part->query.command = request->query.command;
    part->query.argc = request->query.argc;
    part->query.client = request->query.client;
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
    part->query = whole->request->query;
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
