/* Joining the replies of several hosts; see join.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/join.h"

#include "base/block.h"
#include "base/copy.h"
#include "base/memory.h"
#include "base/stats.h"
#include "proxy/client.h"
#include "proxy/dispatch.h"
#include "proxy/policy.h"
#include "resp/alike.h"

#include <stdlib.h>
#include <string.h>

static size_t join_size(uint32_t count)
{
    return sizeof(struct join) + count * sizeof(struct join_part);
}

/* `more` bytes behind the parts. */
static struct join *join_make(struct request *request, enum join_kind kind, uint32_t count, size_t more)
{
    size_t size = join_size(count);
    struct join *join = block_get(size + more);
    memset(join, 0, size);
    join->whole.request = request;
    join->kind = kind;
    join->count = join->left = count;
    return join;
}

struct join *join_create(struct request *request, enum join_kind kind, uint32_t count)
{
    return join_make(request, kind, count, 0);
}

struct join *join_create_scatter(struct request *request, uint32_t count, const uint32_t *owner,
                                 uint32_t keys)
{
    struct join *join = join_make(request, JOIN_SCATTER, count, keys * sizeof *owner);
    join->owner = (uint32_t *)&join->parts[count];
    memcpy(join->owner, owner, keys * sizeof *owner);
    return join;
}

struct join *join_create_asking(struct request *request, const struct target *router, uint32_t count,
                                join_finish *finish)
{
    struct join *join = join_create(request, JOIN_ARRAY, count);
    join->router = router;
    join->finish = finish;
    return join;
}

static void part_free(struct join_part *part)
{
    if (part->room)
        block_put(part->bytes, part->room);
    else if (!part->borrowed)
        free(part->bytes);
}

static void join_destroy(struct join *join)
{
    for (uint32_t i = 0; i < join->count; i++)
        part_free(&join->parts[i]);
    block_put(join, join_size(join->count) + (join->owner ? join->keys * sizeof *join->owner : 0));
}

enum join_kind join_kind_of(const struct command *command)
{
    switch (command->response_policy) {
    case RESPONSE_ONE_SUCCEEDED:
        return JOIN_ONE;
    case RESPONSE_ALL_SUCCEEDED:
        return JOIN_ALL;
    case RESPONSE_AGG_LOGICAL_AND:
        return JOIN_AND;
    case RESPONSE_AGG_LOGICAL_OR:
        return JOIN_OR;
    case RESPONSE_AGG_MIN:
        return JOIN_MIN;
    case RESPONSE_AGG_MAX:
        return JOIN_MAX;
    case RESPONSE_AGG_SUM:
        return JOIN_SUM;
    case RESPONSE_DEFAULT:
    case RESPONSE_SPECIAL:
    default:
        return JOIN_CONCAT;
    }
}

/* ---- making one reply ---- */

/* An error line, or RESP3's error of any bytes. */
static bool is_error(const struct join_part *part)
{
    return part->bytes[0] == '-' || part->bytes[0] == '!';
}

/* The number in "<type>123\r\n". */
static int64_t header_number(const char *bytes)
{
    return strtoll(bytes + 1, NULL, 10);
}

/* Where the content behind a header line begins. */
static size_t header_size(const struct join_part *part)
{
    const char *end = memchr(part->bytes, '\n', part->size);
    return end ? (size_t)(end - part->bytes) + 1 : part->size;
}

static struct join_part *join_first(struct join *join, bool error)
{
    for (uint32_t i = 0; i < join->count; i++)
        if (is_error(&join->parts[i]) == error)
            return &join->parts[i];
    return NULL;
}

/* Did all hosts say the same? Then it is about the command and not about a host. */
static bool is_unanimous(const struct join *join)
{
    const struct join_part *first = &join->parts[0];
    for (uint32_t i = 1; i < join->count; i++) {
        const struct join_part *part = &join->parts[i];
        if (part->size != first->size || memcmp(part->bytes, first->bytes, first->size) != 0)
            return false;
    }
    return true;
}

/* The words of an error; their first line, if they have several. */
static const char *error_words(const struct join_part *error, int *size)
{
    const char *words = error->bytes + (error->bytes[0] == '!' ? header_size(error) : 1);
    *size = (int)strcspn(words, "\r\n");
    return words;
}

/* May the whole be tried elsewhere? As its parts, when none of them can have run. */
static enum failure join_failure(const struct join *join)
{
    enum failure failure = join->parts[0].failure;
    for (uint32_t i = 1; i < join->count; i++)
        if (join->parts[i].failure != failure)
            failure = failure == FAILURE_LOCAL ? FAILURE_LOCAL : FAILURE_LOST;
    return failure;
}

static void join_fail(struct join *join, const char *bytes, size_t size)
{
    const struct reply reply = {.bytes = bytes, .size = size, .failure = join_failure(join)};
    join->whole.request->done(join->whole.request, &reply);
}

/* One error for the whole command: the first one's words, and how far it came. */
static void join_answer_error(struct join *join, const struct join_part *error)
{
    if (is_unanimous(join)) {
        join_fail(join, error->bytes, error->size);
        return;
    }
    const char *name = join->whole.request->query.command->name;
    uint32_t parts = 0, keys = 0;
    for (uint32_t i = 0; i < join->count; i++) {
        parts += !is_error(&join->parts[i]);
        keys += is_error(&join->parts[i]) ? 0 : join->parts[i].keys;
    }
    int size;
    const char *words = error_words(error, &size);
    char *line = join->keys ? xformat("-%.*s ('%s' was done for %u of %u keys)\r\n", size, words, name, keys,
                                      join->keys)
                            : xformat("-%.*s ('%s' was done on %u of %u hosts)\r\n", size, words, name,
                                      parts, join->count);
    join_fail(join, line, strlen(line));
    free(line);
}

static int64_t join_number(enum join_kind kind, int64_t so_far, int64_t next)
{
    switch (kind) {
    case JOIN_SUM:
        return so_far + next;
    case JOIN_MIN:
        return next < so_far ? next : so_far;
    case JOIN_MAX:
        return next > so_far ? next : so_far;
    case JOIN_AND:
        return so_far && next;
    case JOIN_OR:
        return so_far || next;
    case JOIN_ARRAY:
    case JOIN_CONCAT:
    case JOIN_SCATTER:
    case JOIN_ALL:
    case JOIN_ONE:
    case JOIN_FIRST:
    case JOIN_QUORUM:
    default:
        return so_far;
    }
}

static void join_answer_number(struct join *join)
{
    char line[RESP_HEADER_SIZE];
    int64_t number = header_number(join->parts[0].bytes);
    for (uint32_t i = 1; i < join->count; i++)
        number = join_number(join->kind, number, header_number(join->parts[i].bytes));
    request_answer(join->whole.request, line, resp_write_header(line, ':', number));
}

/* SCRIPT EXISTS and the like: arrays of numbers, joined place by place. */
static void join_answer_numbers(struct join *join)
{
    const struct join_part *first = &join->parts[0];
    int64_t count = header_number(first->bytes);
    char *out = xmalloc(((size_t)count + 1) * RESP_HEADER_SIZE);
    size_t size = resp_write_header(out, '*', count);
    const char **at = xcalloc(join->count, sizeof *at);
    for (uint32_t i = 0; i < join->count; i++)
        at[i] = join->parts[i].bytes + header_size(&join->parts[i]);
    for (int64_t k = 0; k < count; k++) {
        int64_t number = 0;
        for (uint32_t i = 0; i < join->count; i++) {
            int64_t next = header_number(at[i]);
            number = i ? join_number(join->kind, number, next) : next;
            at[i] = strchr(at[i], '\n') + 1;
        }
        size += resp_write_header(out + size, ':', number);
    }
    request_answer(join->whole.request, out, size);
    free(at);
    free(out);
}

void join_answer_given(struct join *join, char *out, size_t size)
{
    const struct reply reply = {.bytes = out, .size = size, .give = &out, .give_room = size};
    join->whole.request->done(join->whole.request, &reply);
    free(out);
}

/* An array of all replies (whole); or all their elements (headers cut off) in
 * one aggregate of the same type: an array, a set or a map. */
static void join_answer_array(struct join *join, bool whole)
{
    size_t size = RESP_HEADER_SIZE;
    int64_t count = 0;
    for (uint32_t i = 0; i < join->count; i++) {
        size += join->parts[i].size;
        count += whole ? 1 : header_number(join->parts[i].bytes);
    }
    char *out = xmalloc(size);
    size = resp_write_header(out, whole ? '*' : join->parts[0].bytes[0], count);
    for (uint32_t i = 0; i < join->count; i++) {
        size_t cut = whole ? 0 : header_size(&join->parts[i]);
        memcpy(out + size, join->parts[i].bytes + cut, join->parts[i].size - cut);
        size += join->parts[i].size - cut;
    }
    join_answer_given(join, out, size);
}

/* The next element of a reply that was scanned. */
static inline size_t element_size(struct alike *last, const char *at, const char *end)
{
    uint32_t whole = alike_scanned(last, at, end);
    if (whole)
        return whole;
    struct resp_reply scan = {0};
    resp_scan_reply(&scan, at, (size_t)(end - at));
    return scan.size;
}

/* What is still to be taken of a part. */
struct place {
    const char *at, *end;
};

/* Puts the elements in the order of the keys; returns where they end. */
static char *scatter(const struct join *join, struct place *places, char *out)
{
    struct alike last = ALIKE_NONE;
    const uint32_t *owner = join->owner;
    for (uint32_t k = 0, keys = join->keys; k < keys; k++) {
        struct place *place = &places[owner[k]];
        size_t element = element_size(&last, place->at, place->end);
        copy_short(out, place->at, element);
        out += element;
        place->at += element;
    }
    return out;
}

/* MGET: each part's elements are in the order of its keys. Where the client waits for just this reply, it is
 * made in its output. */
static void join_answer_scatter(struct join *join)
{
    struct request *request = join->whole.request;
    size_t room = RESP_HEADER_SIZE, places_size = join->count * sizeof(struct place);
    struct place *places = block_get(places_size);
    for (uint32_t i = 0; i < join->count; i++) {
        const struct join_part *part = &join->parts[i];
        room += part->size;
        places[i] = (struct place){.at = part->bytes + header_size(part), .end = part->bytes + part->size};
    }
    char *placed = client_room(request, room), *block = placed ? NULL : block_get(room);
    char *out = placed ? placed : block;
    char *end = scatter(join, places, out + resp_write_header(out, '*', join->keys));
    const struct reply reply = {
        .bytes = out, .size = (size_t)(end - out), .give = &block, .give_room = room, .placed = placed};
    block_put(places, places_size);
    request->done(request, &reply);
    block_put(block, room);
}

/* The types of reply that a kind of joining can take. */
static const char *joined_types(enum join_kind kind)
{
    return kind >= JOIN_SUM ? ":*" : kind == JOIN_CONCAT ? "*~%" : "*";
}

/* Are the elements of an array integers? */
static bool has_numbers(const struct join_part *part, int64_t count)
{
    const char *at = part->bytes + header_size(part);
    for (int64_t k = 0; k < count; k++) {
        if (*at != ':')
            return false;
        at = strchr(at, '\n') + 1;
    }
    return true;
}

/* Do all replies have the form that the joining needs? A host of another
 * version may answer in its own way; then the client gets all the replies. */
static bool join_fits(const struct join *join)
{
    char type = join->parts[0].bytes[0];
    int64_t count = header_number(join->parts[0].bytes);
    if (!strchr(joined_types(join->kind), type))
        return false;
    for (uint32_t i = 0; i < join->count; i++) {
        const struct join_part *part = &join->parts[i];
        int64_t number = header_number(part->bytes);
        if (part->bytes[0] != type || (type != ':' && number < 0))
            return false;
        if (join->kind == JOIN_SCATTER && number != part->keys)
            return false;
        if (join->kind >= JOIN_SUM && type == '*' && (number != count || !has_numbers(part, count)))
            return false;
    }
    return true;
}

/* How many have said the same as this one? */
static uint32_t join_votes(const struct join *join, const struct join_part *one)
{
    uint32_t votes = 0;
    for (uint32_t i = 0; i < join->count; i++) {
        const struct join_part *part = &join->parts[i];
        votes += part->bytes && part->size == one->size && memcmp(part->bytes, one->bytes, one->size) == 0;
    }
    return votes;
}

static void join_answer_no_quorum(const struct join *join)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < join->count; i++) {
        uint32_t votes = join_votes(join, &join->parts[i]);
        most = votes > most ? votes : most;
    }
    bool reads = join->whole.request->query.command->flags & COMMAND_READONLY;
    request_fail(join->whole.request, FAILURE_NONE,
                 "ERR no quorum: only %u of %u targets gave the same reply%s", most, join->count,
                 reads ? "" : "; the command has run where it could");
}

static void join_answer(struct join *join)
{
    struct join_part *error = join_first(join, true), *success = join_first(join, false);
    if (join->kind == JOIN_ARRAY)
        join_answer_array(join, true);
    else if (join->kind == JOIN_QUORUM)
        join_answer_no_quorum(join);
    else if (join->kind == JOIN_ONE && success)
        request_answer(join->whole.request, success->bytes, success->size);
    else if (error)
        join_answer_error(join, error);
    else if (join->kind == JOIN_ALL)
        request_answer(join->whole.request, success->bytes, success->size);
    else if (!join_fits(join))
        join_answer_array(join, true);
    else if (join->kind == JOIN_SCATTER)
        join_answer_scatter(join);
    else if (join->kind == JOIN_CONCAT)
        join_answer_array(join, false);
    else if (join->parts[0].bytes[0] == ':')
        join_answer_number(join);
    else
        join_answer_numbers(join);
}

/* ---- parts ---- */

/* An attribute is about the reply of one host: it has no place in a joint one. */
static void drop_attributes(struct join_part *part)
{
    size_t size = resp_attributes(part->bytes, part->size);
    if (size) {
        part->size -= size;
        memmove(part->bytes, part->bytes + size, part->size);
    }
}

/* Nobody needs the last reply for longer than this call, unless it has to be changed. */
static bool join_may_borrow(const struct join *join, const struct reply *reply)
{
    return join->left == 1 && !join->finish && reply->bytes[0] != '|';
}

static void join_keep(struct join *join, struct join_part *part, const struct reply *reply)
{
    part->failure = reply->failure;
    part->size = reply->size;
    if (reply->give && *reply->give) {
        part->bytes = *reply->give;
        *reply->give = NULL;
    } else if (join_may_borrow(join, reply)) {
        part->bytes = (char *)reply->bytes;
        part->borrowed = true;
    } else {
        part->room = reply->size + 1;
        part->bytes = block_get(part->room);
        memcpy(part->bytes, reply->bytes, reply->size);
        part->bytes[reply->size] = '\0';
    }
}

/* Some kinds do not wait for the rest. */
static void join_answer_early(struct join *join, const struct join_part *newest)
{
    struct request *request = join->whole.request;
    if (!request || join->kind < JOIN_FIRST)
        return;
    bool enough = join->kind == JOIN_FIRST ? !is_error(newest)
                                           : join_votes(join, newest) > join->count / 2;
    if (!enough)
        return;
    join->whole.request = NULL;
    request_answer(request, newest->bytes, newest->size);
}

/* One less is waited for. */
static void join_count(struct join *join)
{
    if (--join->left)
        return;
    if (join->finish)
        join->finish(join);
    else if (join->whole.request)
        join_answer(join);
    join_destroy(join);
}

static void join_part_done(struct request *request, const struct reply *reply)
{
    struct join *join = (struct join *)request->whole; /* it stands first there */
    struct join_part *part = &join->parts[request->part];
    policy_amend *amend = policy_of(request->query.command)->amend;
    struct reply amended = *reply;
    char line[RESP_HEADER_SIZE];
    if (amend)
        amend(request, &amended, line);
    join_keep(join, part, &amended);
    if (join->kind != JOIN_ARRAY || join->finish)
        drop_attributes(part);
    request_put(request);
    if (!join->held)
        join_answer_early(join, part);
    join_count(join);
}

void join_hold(struct join *join)
{
    join->held = true;
    join->left++;
}

void join_release(struct join *join)
{
    join->held = false;
    for (uint32_t i = 0; i < join->count; i++)
        if (join->parts[i].bytes)
            join_answer_early(join, &join->parts[i]);
    join_count(join);
}

struct request *join_part(struct join *join, uint32_t index)
{
    return request_part(&join->whole, index, join_part_done);
}

void join_ask(struct join *join, uint32_t index, const struct target *host, char *memory, size_t size)
{
    struct request *part = join_part(join, index);
    part->memory = memory;
    part->query.bytes = memory;
    part->query.size = (uint32_t)size;
    part->query.target = host;
    dispatch_leaf(part);
}

void join_answer_part(struct join *join, uint32_t index)
{
    struct join_part *part = &join->parts[index];
    struct reply reply = {.bytes = part->bytes,
                          .size = part->size,
                          .failure = part->failure,
                          .give = part->borrowed ? NULL : &part->bytes,
                          .give_room = part->size};
    join->whole.request->done(join->whole.request, &reply);
}
