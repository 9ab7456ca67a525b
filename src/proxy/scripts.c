/* The scripts a worker has seen; see scripts.h. Found by body, for those that
 * come again, and by SHA1. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/scripts.h"

#include "base/hash.h"
#include "base/memory.h"
#include "base/stats.h"
#include "proxy/call.h"
#include "proxy/link.h"

#include <nettle/sha1.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 32768 }; /* as many as there is room for small scripts, by and large */

struct script {
    struct script *newer, *older;        /* by last use */
    struct script *next_sha, *next_body; /* in their buckets */
    uint64_t hash;                       /* of the body */
    uint8_t sha[SHA1_DIGEST_SIZE];
    uint32_t size;
    char body[];
};

static struct script *by_sha[BUCKETS], *by_body[BUCKETS];
static struct script *newest, *oldest;
static size_t memory;

static struct script **sha_bucket(const uint8_t *sha)
{
    return &by_sha[(sha[0] | sha[1] << 8) % BUCKETS];
}

static struct script **body_bucket(uint64_t hash)
{
    return &by_body[hash % BUCKETS];
}

/* ---- by last use ---- */

static void use_remove(struct script *script)
{
    *(script->newer ? &script->newer->older : &newest) = script->older;
    *(script->older ? &script->older->newer : &oldest) = script->newer;
}

static void use_add(struct script *script)
{
    script->newer = NULL;
    script->older = newest;
    *(newest ? &newest->newer : &oldest) = script;
    newest = script;
}

static void use_again(struct script *script)
{
    if (script == newest)
        return;
    use_remove(script);
    use_add(script);
}

/* ---- the tables ---- */

static void script_drop(struct script *script)
{
    struct script **place = sha_bucket(script->sha);
    while (*place != script)
        place = &(*place)->next_sha;
    *place = script->next_sha;
    place = body_bucket(script->hash);
    while (*place != script)
        place = &(*place)->next_body;
    *place = script->next_body;
    use_remove(script);
    memory -= sizeof *script + script->size;
    free(script);
}

static void script_add(uint64_t hash, const char *body, size_t size)
{
    struct script *script = xmalloc(sizeof *script + size);
    struct sha1_ctx context;
    script->hash = hash;
    script->size = (uint32_t)size;
    memcpy(script->body, body, size);
    sha1_init(&context);
    sha1_update(&context, size, (const uint8_t *)body);
    sha1_digest(&context, sizeof script->sha, script->sha);
    struct script **sha = sha_bucket(script->sha), **first = body_bucket(hash);
    script->next_sha = *sha;
    *sha = script;
    script->next_body = *first;
    *first = script;
    use_add(script);
    memory += sizeof *script + size;
}

static struct script *script_of_body(uint64_t hash, const char *body, size_t size)
{
    struct script *script = *body_bucket(hash);
    while (script && (script->hash != hash || script->size != size || memcmp(script->body, body, size) != 0))
        script = script->next_body;
    return script;
}

void scripts_learn(const char *body, size_t size)
{
    static hash_function *hash_body;
    if (!hash_body)
        hash_body = hash_function_find(HASH_XXH64, HASH_PLAIN);
    if (size > SCRIPTS_BIGGEST)
        return;
    uint64_t hash = hash_body(body, size);
    struct script *known = script_of_body(hash, body, size);
    if (known) {
        use_again(known);
        return;
    }
    while (memory + sizeof *known + size > SCRIPTS_MEMORY)
        script_drop(oldest);
    script_add(hash, body, size);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool sha_read(const char *text, uint8_t *sha)
{
    for (size_t i = 0; i < SHA1_DIGEST_SIZE; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        sha[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

const char *scripts_find(const char *text, size_t *size)
{
    uint8_t sha[SHA1_DIGEST_SIZE];
    if (!sha_read(text, sha))
        return NULL;
    struct script *script = *sha_bucket(sha);
    while (script && memcmp(script->sha, sha, sizeof sha) != 0)
        script = script->next_sha;
    if (!script)
        return NULL;
    use_again(script);
    *size = script->size;
    return script->body;
}

void scripts_forget(void)
{
    while (oldest)
        script_drop(oldest);
}

size_t scripts_memory(void)
{
    return memory;
}

/* ---- what clients send ---- */

void scripts_see_eval(const struct call *call)
{
    size_t size;
    const char *body = call_arg(call, 1, &size);
    scripts_learn(body, size);
}

void scripts_see_load(const struct call *call)
{
    size_t size;
    const char *body = call_arg(call, 2, &size);
    scripts_learn(body, size);
}

void scripts_see_flush(const struct call *call)
{
    (void)call;
    scripts_forget();
}

/* ---- hosts that lack one ---- */

static void load_done(struct request *load, const struct reply *reply)
{
    (void)reply; /* when it failed, the script is missing again, and the client hears that */
    request_put(load);
}

static const char load_words[] = "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n";

/* SCRIPT LOAD, ahead of the request on its link. */
static void load_send(const struct request *request, const char *body, size_t size)
{
    struct request *load = request_get();
    load->memory = xmalloc(sizeof load_words + RESP_HEADER_SIZE + size);
    memcpy(load->memory, load_words, sizeof load_words - 1);
    size_t end = sizeof load_words - 1 + resp_write_bulk(load->memory + sizeof load_words - 1, body, size);
    load->query = (struct query){.command = command_find_sub(command_find("script", 6), "load", 4),
                                 .bytes = load->memory,
                                 .size = (uint32_t)end,
                                 .argc = 3};
    load->done = load_done;
    load->query.db = request->query.db;
    request_join_cluster(load, request->cluster);
    stats->scripts_loaded++;
    link_send(request->link, load);
}

/* Is that script's SCRIPT LOAD one of those ahead? */
static bool has_load(const struct writer *ahead, const char *body, size_t size)
{
    const char *at = ahead->data, *end = at + ahead->size;
    while (at < end) {
        at += sizeof load_words - 1;
        size_t length = strtoul(at + 1, NULL, 10); /* behind '$' */
        at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
        if (length == size && memcmp(at, body, size) == 0) {
            return true;
        }
        at += length + 2;
    }
    return false;
}

uint32_t scripts_keep_eval(const struct call *call, struct writer *ahead)
{
    (void)ahead;
    scripts_see_eval(call);
    return 0;
}

uint32_t scripts_keep_evalsha(const struct call *call, struct writer *ahead)
{
    size_t size;
    const char *sha = call_arg(call, 1, &size);
    const char *body = size == SCRIPTS_SHA ? scripts_find(sha, &size) : NULL;
    if (!body || has_load(ahead, body, size)) {
        return 0;
    }
    stats->scripts_loaded++;
    writer_raw(ahead, load_words, sizeof load_words - 1);
    writer_bulk(ahead, body, size);
    return 1;
}

bool scripts_mend(struct request *request, const struct reply *reply)
{
    struct query *query = &request->query;
    struct resp_arg sha;
    size_t size;
    if (request->mended || reply->size < 9 || memcmp(reply->bytes, "-NOSCRIPT", 9) != 0)
        return false;
    resp_args(query->bytes, query->size, 1, 1, &sha);
    const char *body = sha.size == SCRIPTS_SHA ? scripts_find(query->bytes + sha.at, &size) : NULL;
    if (!body)
        return false;
    request->mended = true;
    request_keep_bytes(request);
    struct link *link = request->link;
    load_send(request, body, size);
    link_send(link, request);
    return true;
}
