/* Requests: where one ends, where its arguments lie, and how one is written.
 *
 *   *3\r\n  $3\r\n SET \r\n  $1\r\n k \r\n  $1\r\n v \r\n
 *   count   bulk header, body …
 *
 * Whole arguments with short headers are walked by one small loop; whatever
 * stops that loop (cut, wrong, huge) goes through the careful one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "resp/resp.h"

#include <stdio.h>
#include <string.h>

#include "base/chain.h"
#include "resp/alike.h"
#include "resp/number.h"

enum { SMALLEST_BULK = sizeof "$0\r\n\r\n" - 1 };

/* The errors of a header line: of a request's count and of a bulk. */
struct header_errors {
    const char *invalid, *too_big;
};
static const struct header_errors count_errors = {
    .invalid = "Protocol error: invalid multibulk length",
    .too_big = "Protocol error: too big mbulk count string",
};
static const struct header_errors bulk_errors = {
    .invalid = "Protocol error: invalid bulk length",
    .too_big = "Protocol error: too big bulk count string",
};
static const char too_large[] = "Protocol error: request is larger than max_request";

static enum resp_status request_fail(struct resp_request *scan, const char *error)
{
    scan->error = error;
    return RESP_ERROR;
}

static enum resp_status request_more(struct resp_request *scan, uint64_t missing)
{
    scan->want = (uint32_t)missing;
    return RESP_MORE;
}

/* The text outlives the scan: one line of memory for each byte value, always
 * written with the same content. Redis shows line ends as spaces, too. */
static const char *unexpected_byte(unsigned char byte)
{
    static char text[256][40];
    char shown = byte == '\r' || byte == '\n' || byte == '\0' ? ' ' : (char)byte;
    snprintf(text[byte], sizeof text[byte], "Protocol error: expected '$', got '%c'", shown);
    return text[byte];
}

/* Too many digits can only become an error, but which one depends on where
 * they end. scan->size remembers how far they were followed. */
static enum resp_status header_too_long(struct resp_request *scan, const char *start, size_t size,
                                        const struct header_errors *errors)
{
    size_t line = scan->pos, limit = line + RESP_MAX_INLINE;
    size_t at = scan->size;
    if (at <= line) {
        at = start[line + 1] == '-' ? line + 2 : line + 1;
    }
    while (at < size && at <= limit && start[at] >= '0' && start[at] <= '9') {
        at++;
    }
    if (at > limit) {
        return request_fail(scan, errors->too_big);
    }
    if (at < size) {
        return request_fail(scan, errors->invalid);
    }
    scan->size = (uint32_t)at;
    return request_more(scan, 1);
}

/* The number of the header line at scan->pos, in all its variety. */
static enum resp_status header_read(struct resp_request *scan, const char *start, size_t size,
                                    const struct header_errors *errors, int64_t *number, size_t *used)
{
    size_t at = (size_t)scan->pos + 1;
    if (scan->size > scan->pos) {
        return header_too_long(scan, start, size, errors);
    }
    switch (number_read(start + at, size - at, number, used)) {
    case NUMBER_DONE:
        *used += 1;
        return RESP_DONE;
    case NUMBER_MORE:
        return request_more(scan, 1);
    case NUMBER_LONG:
        return header_too_long(scan, start, size, errors);
    default:
        return request_fail(scan, errors->invalid);
    }
}

static enum resp_status count_check(struct resp_request *scan, int64_t count, uint64_t used,
                                    uint32_t max_request)
{
    if (count > RESP_MAX_ARGC) {
        return request_fail(scan, count_errors.invalid);
    }
    scan->argc = count > 0 ? (uint32_t)count : 0;
    if (used + (uint64_t)scan->argc * SMALLEST_BULK > max_request) {
        return request_fail(scan, too_large);
    }
    scan->seen = 0;
    scan->bulk = -1;
    scan->pos = (uint32_t)used;
    return RESP_DONE;
}

/* "*3\r\n". DONE: argc and pos are set. */
static enum resp_status scan_count(struct resp_request *scan, const char *start, size_t size,
                                   uint32_t max_request)
{
    int64_t count;
    size_t used;
    enum resp_status status = header_read(scan, start, size, &count_errors, &count, &used);
    return status == RESP_DONE ? count_check(scan, count, used, max_request) : status;
}

/* "$3\r\n". DONE: bulk is set and pos at its first byte. */
static enum resp_status scan_bulk_header(struct resp_request *scan, const char *start, size_t size,
                                         uint32_t max_request)
{
    if (scan->pos >= size) {
        return request_more(scan, SMALLEST_BULK);
    }
    if (start[scan->pos] != '$') {
        return request_fail(scan, unexpected_byte((unsigned char)start[scan->pos]));
    }
    int64_t number;
    size_t used;
    enum resp_status status = header_read(scan, start, size, &bulk_errors, &number, &used);
    if (status != RESP_DONE) {
        return status;
    }
    if (number < 0 || number > (int64_t)RESP_MAX_BULK) {
        return request_fail(scan, bulk_errors.invalid);
    }
    if (scan->pos + used + (uint64_t)number + 2 > max_request) {
        return request_fail(scan, too_large);
    }
    scan->bulk = number;
    scan->pos += (uint32_t)used;
    return RESP_DONE;
}

/* One argument by the careful way. */
static enum resp_status scan_bulk(struct resp_request *scan, const char *start, size_t size,
                                  uint32_t max_request)
{
    if (scan->bulk < 0) {
        enum resp_status status = scan_bulk_header(scan, start, size, max_request);
        if (status != RESP_DONE) {
            return status;
        }
    }
    uint64_t end = scan->pos + (uint64_t)scan->bulk;
    if (end + 2 > size) {
        return request_more(scan, end + 2 - size);
    }
    if (memcmp(start + end, "\r\n", 2) != 0) {
        return request_fail(scan, bulk_errors.invalid); /* Redis would skip the two bytes unseen */
    }
    if (scan->seen < RESP_ARGS) {
        scan->args[scan->seen] = (struct resp_arg){.at = scan->pos, .size = (uint32_t)scan->bulk};
    }
    scan->seen++;
    scan->pos = (uint32_t)end + 2;
    scan->bulk = -1;
    return RESP_DONE;
}

static enum resp_status scan_inline(struct resp_request *scan, const char *start, size_t size,
                                    uint32_t max_request)
{
    size_t limit = max_request <= RESP_MAX_INLINE ? max_request : RESP_MAX_INLINE + 1;
    size_t seen = size < limit ? size : limit;
    const char *newline = memchr(start + scan->pos, '\n', seen - scan->pos);
    if (newline) {
        scan->size = (uint32_t)(newline - start) + 1;
        return RESP_INLINE;
    }
    scan->pos = (uint32_t)seen;
    if (seen == limit) {
        return request_fail(scan, limit <= RESP_MAX_INLINE ? too_large
                                                           : "Protocol error: too big inline request");
    }
    return request_more(scan, 1);
}

/* Arguments that are all there: the usual case. Stops before the first one
 * that is not, or is not right. true: that was the last. */
static inline bool scan_whole_bulks(struct resp_request *scan, const char *start, const char *at,
                                    const char *end)
{
    uint32_t seen = scan->seen, argc = scan->argc, few = argc < RESP_ARGS ? argc : RESP_ARGS;
    while (seen < few && end - at >= SMALLEST_BULK && *at == '$') {
        uint32_t bulk;
        const char *body = number_short(at + 1, end, &bulk);
        if (!body || end - body < (ptrdiff_t)bulk + 2 || memcmp(body + bulk, "\r\n", 2) != 0) {
            break;
        }
        scan->args[seen] = (struct resp_arg){.at = (uint32_t)(body - start), .size = bulk};
        seen++;
        at = body + bulk + 2;
    }
    if (seen >= RESP_ARGS && seen < argc) {
        seen = argc - (uint32_t)alike_skip(&at, end, argc - seen, false);
    }
    scan->seen = seen;
    scan->pos = (uint32_t)(at - start);
    scan->size = scan->pos;
    return seen == argc;
}

/* All that is not usual: inline, cut, huge, wrong. */
static __attribute__((noinline)) enum resp_status scan_carefully(struct resp_request *scan, const char *start,
                                                                 size_t size, uint32_t max_request)
{
    if (size == 0) {
        return request_more(scan, 1);
    }
    if (*start != '*') {
        return scan_inline(scan, start, size, max_request);
    }
    if (scan->pos == 0) {
        enum resp_status status = scan_count(scan, start, size, max_request);
        if (status != RESP_DONE) {
            return status;
        }
    }
    const char *end = start + (size < max_request ? size : max_request);
    while (scan->bulk >= 0 || !scan_whole_bulks(scan, start, start + scan->pos, end)) {
        enum resp_status status = scan_bulk(scan, start, size, max_request);
        if (status != RESP_DONE) {
            return status;
        }
    }
    return RESP_DONE;
}

enum resp_status resp_scan_request(struct resp_request *scan, const char *start, size_t size,
                                   uint32_t max_request)
{
    const char *end = start + (size < max_request ? size : max_request);
    uint32_t count;
    if (scan->pos > 0 || size < 4 || *start != '*') {
        return scan_carefully(scan, start, size, max_request);
    }
    const char *at = number_short(start + 1, end, &count);
    if (!at || count_check(scan, count, (uint64_t)(at - start), max_request) != RESP_DONE ||
        !scan_whole_bulks(scan, start, at, end)) {
        return scan_carefully(scan, start, size, max_request);
    }
    return RESP_DONE;
}

/* A header line of a request that was scanned: nothing can be wrong with it. */
static inline uint32_t header_trusted(const char *start, uint32_t *pos)
{
    uint32_t number = 0, at = *pos + 1;
    for (; start[at] != '\r'; at++) {
        number = number * 10 + (uint32_t)(start[at] - '0');
    }
    *pos = at + 2;
    return number;
}

void resp_cursor_init(struct resp_cursor *cursor, const char *start)
{
    cursor->start = start;
    cursor->pos = 0;
    cursor->left = 0;
    if (start[1] != '-') {
        cursor->left = header_trusted(start, &cursor->pos);
    }
}

bool resp_cursor_next(struct resp_cursor *cursor, struct resp_arg *out)
{
    if (cursor->left == 0) {
        return false;
    }
    uint32_t pos = cursor->pos;
    out->size = header_trusted(cursor->start, &pos);
    out->at = pos;
    cursor->pos = pos + out->size + 2;
    cursor->left--;
    return true;
}

size_t resp_args(const char *start, uint32_t size, uint32_t from, uint32_t count, struct resp_arg *out)
{
    struct resp_cursor cursor;
    struct resp_arg arg;
    size_t found = 0;
    if (size == 0) {
        return 0;
    }
    resp_cursor_init(&cursor, start);
    for (uint32_t i = 0; i < from && resp_cursor_next(&cursor, &arg); i++) {
    }
    while (found < count && resp_cursor_next(&cursor, &out[found])) {
        found++;
    }
    return found;
}

size_t resp_write_header(char *out, char type, int64_t number)
{
    char digits[24];
    size_t count = 0, size = 0;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    out[size++] = type;
    if (number < 0) {
        out[size++] = '-';
    }
    while (count > 0) {
        out[size++] = digits[--count];
    }
    out[size++] = '\r';
    out[size++] = '\n';
    return size;
}

size_t resp_write_bulk(char *out, const char *data, size_t size)
{
    size_t header = resp_write_header(out, '$', (int64_t)size);
    memcpy(out + header, data, size);
    memcpy(out + header + size, "\r\n", 2);
    return header + size + 2;
}

void resp_say(struct chain *out, const char *const *words, size_t count)
{
    char *at = chain_reserve(out, RESP_HEADER_SIZE);
    chain_commit(out, resp_write_header(at, '*', (int64_t)count));
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(words[i]);
        at = chain_reserve(out, size + RESP_HEADER_SIZE);
        chain_commit(out, resp_write_bulk(at, words[i], size));
    }
}

void resp_say_auth(struct chain *out, const char *user, const char *password)
{
    if (user) {
        resp_say(out, (const char *[]){"AUTH", user, password}, 3);
    } else {
        resp_say(out, (const char *[]){"AUTH", password}, 2);
    }
}
