/* Arguments and answers of the commands that never leave Nydus. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/call.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { ERROR_SIZE = 512 };

struct call call_again(struct request *request, struct resp_request *scan)
{
    *scan = (struct resp_request){0};
    resp_scan_request(scan, request->query.bytes, request->query.size, UINT32_MAX);
    return (struct call){.client = request->client, .request = request, .scan = scan};
}

const char *call_arg(const struct call *call, uint32_t number, size_t *size)
{
    const struct query *query = &call->request->query;
    struct resp_arg arg;
    assert(number < call->scan->argc);
    if (number < RESP_ARGS) {
        arg = call->scan->args[number];
    } else {
        resp_args(query->bytes, query->size, number, 1, &arg);
    }
    *size = arg.size;
    return query->bytes + arg.at;
}

struct resp_cursor call_args(const struct call *call, uint32_t first)
{
    struct resp_cursor cursor;
    struct resp_arg skipped;
    resp_cursor_init(&cursor, call->request->query.bytes);
    for (uint32_t i = 0; i < first; i++) {
        resp_cursor_next(&cursor, &skipped);
    }
    return cursor;
}

bool call_word_is(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && strncasecmp(text, word, size) == 0;
}

/* It has the same bulks, from that of argument 2 on. */
void call_write_inner(const struct call *call, struct writer *out)
{
    const struct query *query = &call->request->query;
    const struct resp_arg *word = &call->scan->args[1];
    size_t from = word->at + word->size + 2;
    writer_array(out, call_argc(call) - 2);
    writer_raw(out, query->bytes + from, query->size - from);
}

bool call_arg_is(const struct call *call, uint32_t number, const char *word)
{
    size_t size;
    const char *text = call_arg(call, number, &size);
    return call_word_is(text, size, word);
}

bool call_integer(const char *text, size_t size, int64_t *value)
{
    bool negative = size > 0 && text[0] == '-';
    size_t first = negative ? 1 : 0;
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX, number = 0;
    if (size == first || (text[first] == '0' && size > 1)) {
        return false;
    }
    for (size_t i = first; i < size; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text[i] - '0';
        if (digit > 9 || number > (limit - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *value = negative ? (int64_t)(0 - number) : (int64_t)number;
    return true;
}

void call_ok(const struct call *call)
{
    request_answer(call->request, "+OK\r\n", 5);
}

void call_reply(const struct call *call, struct writer *writer)
{
    request_answer(call->request, writer->data, writer->size);
    writer_deinit(writer);
}

void call_bulk(const struct call *call, struct writer *text)
{
    struct writer reply = call_writer(call);
    writer_bulk(&reply, text->size > 0 ? text->data : "", text->size);
    writer_deinit(text);
    call_reply(call, &reply);
}

void call_verbatim(const struct call *call, struct writer *text)
{
    struct writer reply = call_writer(call);
    writer_verbatim(&reply, text->size > 0 ? text->data : "", text->size);
    writer_deinit(text);
    call_reply(call, &reply);
}

void call_fail(const struct call *call, const char *format, ...)
{
    char text[ERROR_SIZE];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    request_fail(call->request, FAILURE_LOCAL, "%s", text);
}

void call_syntax_error(const struct call *call)
{
    call_fail(call, "ERR syntax error");
}

void call_arity_error(const struct call *call, const char *name)
{
    call_fail(call, "ERR wrong number of arguments for '%s' command", name);
}
