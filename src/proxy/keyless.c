/* SCAN over hosts and the like; see keyless.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/keyless.h"

#include "base/memory.h"
#include "base/random.h"
#include "proxy/dispatch.h"
#include "proxy/host.h"
#include "proxy/join.h"
#include "route/target.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- one host ---- */

static const struct target *first_up(const struct target *router)
{
    for (uint32_t i = 0; i < router->router.count; i++) {
        const struct host *host = router->router.hosts[i]->host.host;
        if (!host->down && host->failures == 0)
            return router->router.hosts[i];
    }
    return router->router.hosts[0];
}

void keyless_first(struct request *request, const struct target *router)
{
    request->query.target = first_up(router);
    dispatch_leaf(request);
}

/* ---- SCAN ---- */

enum { SCAN_RADIX = 1024, CURSOR_SIZE = 24 };

static uint64_t scan_radix(const struct target *router)
{
    uint64_t radix = SCAN_RADIX;
    while (radix < router->router.count)
        radix *= 2;
    return radix;
}

/* Digits and nothing else; leading zeros are fine, as for Redis. */
static bool cursor_read(const char *text, size_t size, uint64_t *cursor)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text[i] - '0';
        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *cursor = number;
    return size > 0;
}

/* The bulk of a cursor; returns its size. */
static size_t cursor_write(char *out, uint64_t cursor)
{
    char digits[CURSOR_SIZE];
    int size = snprintf(digits, sizeof digits, "%" PRIu64, cursor);
    return resp_write_bulk(out, digits, (size_t)size);
}

/* The request with another cursor. */
static char *scan_rewrite(const struct query *query, struct resp_arg cursor, uint64_t number, size_t *size)
{
    uint32_t rest = cursor.at + cursor.size + 2, head = cursor.at - 3;
    while (query->bytes[head] != '$')
        head--;
    char *out = xmalloc(query->size + RESP_HEADER_SIZE + CURSOR_SIZE);
    memcpy(out, query->bytes, head);
    size_t end = head + cursor_write(out + head, number);
    memcpy(out + end, query->bytes + rest, query->size - rest);
    *size = end + query->size - rest;
    return out;
}

/* Where the cursor of a host's reply "*2 $n cursor page" lies. false: it is no such reply. */
static bool scan_find_cursor(const struct join_part *part, const char **digits, size_t *size)
{
    struct resp_reply scan = {0};
    if (part->size < 4 || memcmp(part->bytes, "*2\r\n$", 5) != 0)
        return false;
    if (resp_scan_reply(&scan, part->bytes + 4, part->size - 4) != RESP_DONE)
        return false;
    const char *line = memchr(part->bytes + 4, '\n', part->size - 4), *end = part->bytes + 4 + scan.size;
    if (!line || line + 1 > end - 2)
        return false;
    *digits = line + 1;
    *size = (size_t)(end - 2 - *digits);
    return true;
}

/* What the client asks next: the same host, the next one, or 0 for nothing more. */
static bool scan_next_cursor(const struct join *join, uint64_t cursor, uint64_t *next)
{
    uint64_t radix = scan_radix(join->router), place = join->place;
    if (cursor == 0 && ++place == join->router->router.count)
        place = 0;
    if (cursor > (UINT64_MAX - place) / radix)
        return false;
    *next = cursor * radix + place;
    return true;
}

static void scan_finish(struct join *join)
{
    const struct join_part *part = &join->parts[0];
    const char *digits;
    size_t size;
    uint64_t cursor, next;
    if (!scan_find_cursor(part, &digits, &size) || !cursor_read(digits, size, &cursor)) {
        join_answer_part(join, 0); /* its error */
        return;
    }
    if (!scan_next_cursor(join, cursor, &next)) {
        request_fail(join->whole.request, FAILURE_LOCAL,
                     "ERR the cursor of host %s leaves no room for the number of the host",
                     join->router->router.hosts[join->place]->host.name);
        return;
    }
    const char *page = digits + size + 2;
    size_t page_size = (size_t)(part->bytes + part->size - page);
    char *out = xmalloc(page_size + 2 * RESP_HEADER_SIZE + CURSOR_SIZE);
    size_t end = resp_write_header(out, '*', 2);
    end += cursor_write(out + end, next);
    memcpy(out + end, page, page_size);
    join_answer_given(join, out, end + page_size);
}

void keyless_scan(struct request *request, const struct target *router)
{
    const struct query *query = &request->query;
    uint64_t cursor, radix = scan_radix(router);
    struct resp_arg arg;
    resp_args(query->bytes, query->size, 1, 1, &arg);
    if (!cursor_read(query->bytes + arg.at, arg.size, &cursor) || cursor % radix >= router->router.count) {
        request_fail(request, FAILURE_LOCAL, "ERR invalid cursor");
        return;
    }
    struct join *join = join_create_asking(request, router, 1, scan_finish);
    join->place = (uint32_t)(cursor % radix);
    size_t size;
    char *bytes = scan_rewrite(query, arg, cursor / radix, &size);
    join_ask(join, 0, router->router.hosts[join->place], bytes, size);
}

/* ---- RANDOMKEY ---- */

static bool is_null(const struct join_part *part)
{
    return part->bytes[0] == '_' || (part->size >= 3 && memcmp(part->bytes, "$-1", 3) == 0);
}

/* One of the keys that came, each as likely as any other. */
static void randomkey_finish(struct join *join)
{
    uint32_t keys = 0, chosen = 0, error = 0;
    for (uint32_t i = 0; i < join->count; i++) {
        const struct join_part *part = &join->parts[i];
        if (part->bytes[0] == '-')
            error = i;
        else if (!is_null(part) && random_below(++keys) == 0)
            chosen = i;
    }
    join_answer_part(join, keys ? chosen : error); /* without an error, part 0 is a null */
}

void keyless_randomkey(struct request *request, const struct target *router)
{
    static const char words[] = "*1\r\n$9\r\nRANDOMKEY\r\n";
    uint32_t count = router->router.count;
    struct join *join = join_create_asking(request, router, count, randomkey_finish);
    for (uint32_t i = 0; i < count; i++)
        join_ask(join, i, router->router.hosts[i], xstrndup(words, sizeof words - 1), sizeof words - 1);
}
