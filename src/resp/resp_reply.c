/* Replies, RESP2 and RESP3: where one ends.
 *
 * A value is a line (+OK), a bulk ($3 and three bytes) or an aggregate (*2 and
 * two values), which is complete with the last of its values: so it is enough to
 * count those that are not. An attribute (|1 and a pair) belongs to the value
 * behind it, so it is counted as an aggregate of its pairs and that value. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "resp/alike.h"
#include "resp/number.h"
#include "resp/resp.h"

enum { MAX_LINE = 1024 * 1024 };
/* So many values in a row are worth comparing. */
enum { SOME_VALUES = 4 };
#define MAX_BULK ((int64_t)UINT32_MAX) /* Redis's own limit can be raised: beyond 512 MB is no garbage */
#define MAX_COUNT ((int64_t)INT32_MAX)

static enum resp_status reply_fail(struct resp_reply *scan, const char *error)
{
    scan->error = error;
    return RESP_ERROR;
}

static enum resp_status reply_more(struct resp_reply *scan, uint64_t missing)
{
    scan->want = missing;
    return RESP_MORE;
}

/* One value less is missing. */
static inline enum resp_status reply_counted(struct resp_reply *scan, uint64_t pos)
{
    scan->pos = pos;
    scan->bulk = 0;
    scan->left--;
    return RESP_DONE;
}

static bool is_number(const char *text, const char *end)
{
    if (text < end && (*text == '-' || *text == '+')) {
        text++;
    }
    const char *digits = text;
    while (text < end && *text >= '0' && *text <= '9') {
        text++;
    }
    return text == end && text > digits;
}

/* text..end is the line without its type byte and \r\n. */
static bool line_valid(char type, const char *text, const char *end)
{
    switch (type) {
    case ':':
        return is_number(text, end) && end - text <= 20;
    case '(':
        return is_number(text, end);
    case ',':
        return text < end && text[strspn(text, "0123456789+-.eEinfaINFA")] == '\r';
    case '#':
        return end - text == 1 && (*text == 't' || *text == 'f');
    case '_':
        return text == end;
    default:
        return true;
    }
}

/* The line that began at `line`; its bytes before `pos` hold no newline. */
static enum resp_status reply_line(struct resp_reply *scan, const char *start, size_t size, uint64_t line,
                                   uint64_t pos)
{
    uint64_t limit = line + MAX_LINE;
    uint64_t seen = size < limit ? size : limit;
    const char *newline = pos < seen ? memchr(start + pos, '\n', seen - pos) : NULL;
    if (!newline) {
        if (seen == limit) {
            return reply_fail(scan, "Protocol error: too big line in reply");
        }
        scan->pos = seen;
        scan->bulk = -1 - (int64_t)line;
        return reply_more(scan, 1);
    }
    if (newline[-1] != '\r' || newline == start + line + 1 ||
        !line_valid(start[line], start + line + 1, newline - 1)) {
        return reply_fail(scan, "Protocol error: invalid line in reply");
    }
    return reply_counted(scan, (uint64_t)(newline - start) + 1);
}

/* The rest of a bulk: scan->bulk bytes from scan->pos, with the \r\n. */
static enum resp_status reply_body(struct resp_reply *scan, const char *start, size_t size)
{
    uint64_t end = scan->pos + (uint64_t)scan->bulk;
    if (end > size) {
        return reply_more(scan, end - size);
    }
    if (memcmp(start + end - 2, "\r\n", 2) != 0) {
        return reply_fail(scan, "Protocol error: bulk in reply does not end in a newline");
    }
    return reply_counted(scan, end);
}

/* The number behind the type byte at scan->pos. */
static inline enum resp_status reply_number(struct resp_reply *scan, const char *start, size_t size,
                                            int64_t *number, uint64_t *next)
{
    const char *at = start + scan->pos + 1;
    uint32_t few;
    const char *behind = number_short(at, start + size, &few);
    if (behind) {
        *number = few;
        *next = (uint64_t)(behind - start);
        return RESP_DONE;
    }
    size_t room = size - (size_t)scan->pos - 1, used;
    if (room > 0 && *at == '?') {
        return reply_fail(scan, "Protocol error: streamed types are not supported");
    }
    switch (number_read(at, room, number, &used)) {
    case NUMBER_DONE:
        *next = scan->pos + 1 + used;
        return RESP_DONE;
    case NUMBER_MORE:
        return reply_more(scan, 1);
    default:
        return reply_fail(scan, "Protocol error: invalid length in reply");
    }
}

static enum resp_status reply_bulk(struct resp_reply *scan, const char *start, size_t size)
{
    int64_t number;
    uint64_t next;
    enum resp_status status = reply_number(scan, start, size, &number, &next);
    if (status != RESP_DONE) {
        return status;
    }
    if (number == -1 && start[scan->pos] == '$') {
        return reply_counted(scan, next);
    }
    if (number < 0 || number > MAX_BULK) {
        return reply_fail(scan, "Protocol error: invalid bulk length in reply");
    }
    scan->pos = next;
    scan->bulk = number + 2;
    return reply_body(scan, start, size);
}

/* An array, set, push, map or attribute: its values are missing, too, now. */
static enum resp_status reply_aggregate(struct resp_reply *scan, const char *start, size_t size)
{
    int64_t number;
    uint64_t next;
    char type = start[scan->pos];
    enum resp_status status = reply_number(scan, start, size, &number, &next);
    if (status != RESP_DONE) {
        return status;
    }
    if (number == -1 && type == '*') {
        return reply_counted(scan, next);
    }
    if (number < 0 || number > MAX_COUNT - 1) {
        return reply_fail(scan, "Protocol error: invalid multibulk length in reply");
    }
    if (type == '>') {
        if (scan->nested) {
            return reply_fail(scan, "Protocol error: push inside a reply");
        }
        scan->push = true;
    }
    uint64_t values = type == '%' || type == '|' ? (uint64_t)number * 2 : (uint64_t)number;
    values += type == '|' ? 1 : 0;
    scan->left += values;
    scan->nested = true;
    return reply_counted(scan, next);
}

/* The next value, or of an aggregate its header. */
static inline enum resp_status reply_value(struct resp_reply *scan, const char *start, size_t size)
{
    if (scan->bulk > 0) {
        return reply_body(scan, start, size);
    }
    if (scan->bulk < 0) {
        return reply_line(scan, start, size, (uint64_t)(-1 - scan->bulk), scan->pos);
    }
    if (scan->pos >= size) {
        return reply_more(scan, 1);
    }
    switch (start[scan->pos]) {
    case '$': case '=': case '!':
        return reply_bulk(scan, start, size);
    case '*': case '~': case '>': case '%': case '|':
        return reply_aggregate(scan, start, size);
    case '+': case '-': case ':': case ',': case '(': case '#': case '_':
        return reply_line(scan, start, size, scan->pos, scan->pos + 1);
    default:
        return reply_fail(scan, "Protocol error: unknown type in reply");
    }
}

/* The usual values when they are all there: bulks, nulls, small integers, +OK.
 * Moves *at behind as many of `left` values as it can, returns the others. */
static inline uint64_t skip_whole_values(const char **at, const char *end, uint64_t left)
{
    if (left > SOME_VALUES) {
        left = alike_skip(at, end, left, true);
    }
    const char *value = *at;
    for (; left > 0 && end - value >= 4; left--) {
        uint32_t number;
        const char *next;
        if (*value == '$') {
            next = number_short(value + 1, end, &number);
            if (next && end - next >= (ptrdiff_t)number + 2 && memcmp(next + number, "\r\n", 2) == 0) {
                next += number + 2;
            } else if (end - value >= 5 && memcmp(value, "$-1\r\n", 5) == 0) {
                next = value + 5;
            } else {
                break;
            }
        } else if (*value == ':') {
            next = number_short(value + 1, end, &number);
        } else {
            next = end - value >= 5 && memcmp(value, "+OK\r\n", 5) == 0 ? value + 5 : NULL;
        }
        if (!next) {
            break;
        }
        value = next;
    }
    *at = value;
    return left;
}

/* Goes as far as skip_whole_values can. true: the reply is complete. */
static inline bool reply_hurry(struct resp_reply *scan, const char *start, size_t size)
{
    if (scan->bulk != 0) {
        return false;
    }
    const char *at = start + scan->pos;
    scan->left = skip_whole_values(&at, start + size, scan->left);
    scan->pos = (uint64_t)(at - start);
    return scan->left == 0;
}

enum resp_status resp_scan_reply(struct resp_reply *scan, const char *start, size_t size)
{
    if (scan->left == 0) {
        scan->left = 1;
    }
    while (!reply_hurry(scan, start, size)) {
        enum resp_status status = reply_value(scan, start, size);
        if (status != RESP_DONE) {
            return status;
        }
        if (scan->left == 0) {
            break;
        }
    }
    scan->size = scan->pos;
    return RESP_DONE;
}

size_t resp_attributes(const char *start, size_t size)
{
    size_t at = 0;
    while (at < size && start[at] == '|') {
        struct resp_reply scan = {.pos = at};
        int64_t pairs;
        uint64_t next;
        if (reply_number(&scan, start, size, &pairs, &next) != RESP_DONE) {
            return 0; /* not a whole reply */
        }
        at = next;
        for (int64_t left = 2 * pairs; left > 0; left--) {
            resp_reply_reset(&scan);
            if (resp_scan_reply(&scan, start + at, size - at) != RESP_DONE) {
                return 0;
            }
            at += scan.size;
        }
    }
    return at;
}

void resp_reply_reset(struct resp_reply *scan)
{
    scan->pos = 0;
    scan->size = 0;
    scan->want = 0;
    scan->bulk = 0;
    scan->error = NULL;
    scan->left = 0;
    scan->nested = false;
    scan->push = false;
}
