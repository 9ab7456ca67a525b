/* The buffer behind writer.h: it doubles, so that a reply of any length costs
 * few moves. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "resp/writer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "resp/resp.h"

enum { FIRST_ROOM = 256 };

/* Where the next `size` bytes go. */
static char *writer_room(struct writer *writer, size_t size)
{
    if (writer->room - writer->size < size) {
        size_t room = writer->room * 2 > FIRST_ROOM ? writer->room * 2 : FIRST_ROOM;
        while (room - writer->size < size) {
            room *= 2;
        }
        writer->data = xrealloc(writer->data, room);
        writer->room = room;
    }
    return writer->data + writer->size;
}

void writer_deinit(struct writer *writer)
{
    free(writer->data);
    *writer = (struct writer){.resp = writer->resp};
}

void writer_raw(struct writer *writer, const char *data, size_t size)
{
    if (size > 0) {
        memcpy(writer_room(writer, size), data, size);
        writer->size += size;
    }
}

void writer_format(struct writer *writer, const char *format, ...)
{
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    int size = vsnprintf(NULL, 0, format, list);
    if (size > 0) {
        vsnprintf(writer_room(writer, (size_t)size + 1), (size_t)size + 1, format, again);
        writer->size += (size_t)size;
    }
    va_end(again);
    va_end(list);
}

static void writer_header(struct writer *writer, char type, int64_t number)
{
    writer->size += resp_write_header(writer_room(writer, RESP_HEADER_SIZE), type, number);
}

void writer_status(struct writer *writer, const char *text)
{
    writer_raw(writer, "+", 1);
    writer_raw(writer, text, strlen(text));
    writer_raw(writer, "\r\n", 2);
}

void writer_integer(struct writer *writer, int64_t number)
{
    writer_header(writer, ':', number);
}

void writer_bulk(struct writer *writer, const char *data, size_t size)
{
    writer->size += resp_write_bulk(writer_room(writer, size + RESP_HEADER_SIZE), data, size);
}

void writer_text(struct writer *writer, const char *text)
{
    writer_bulk(writer, text, strlen(text));
}

void writer_array(struct writer *writer, size_t count)
{
    writer_header(writer, '*', (int64_t)count);
}

/* ---- what the versions write differently ---- */

static bool is_resp3(const struct writer *writer)
{
    return writer->resp == 3;
}

/* A line of RESP3, or in RESP2 a bulk of the same text. */
static void writer_line(struct writer *writer, char type, const char *text)
{
    if (!is_resp3(writer)) {
        writer_text(writer, text);
        return;
    }
    writer_raw(writer, &type, 1);
    writer_raw(writer, text, strlen(text));
    writer_raw(writer, "\r\n", 2);
}

void writer_null(struct writer *writer)
{
    writer_format(writer, "%s\r\n", is_resp3(writer) ? "_" : "$-1");
}

void writer_null_array(struct writer *writer)
{
    writer_format(writer, "%s\r\n", is_resp3(writer) ? "_" : "*-1");
}

void writer_values(struct writer *writer, const char *bytes, size_t size)
{
    const char *end = bytes + size;
    while (bytes < end) {
        const char *line = memchr(bytes, '\n', (size_t)(end - bytes));
        const char *next = line ? line + 1 : end;
        bool counted = (*bytes == '$' || *bytes == '*') && next - bytes >= 4;
        if (counted && bytes[1] == '-') {
            writer_null(writer);
        } else {
            long length = counted && *bytes == '$' ? strtol(bytes + 1, NULL, 10) + 2 : 0;
            next = length < end - next ? next + length : end;
            writer_raw(writer, bytes, (size_t)(next - bytes));
        }
        bytes = next;
    }
}

void writer_boolean(struct writer *writer, bool value)
{
    if (is_resp3(writer)) {
        writer_raw(writer, value ? "#t\r\n" : "#f\r\n", 4);
    } else {
        writer_integer(writer, value);
    }
}

void writer_double(struct writer *writer, double value)
{
    char text[32]; /* "-1.2345678901234567e-308" is the longest */
    if (isnan(value)) {
        writer_line(writer, ',', "nan"); /* and not "-nan" */
        return;
    }
    snprintf(text, sizeof text, "%.17g", value);
    writer_line(writer, ',', text);
}

void writer_big_number(struct writer *writer, const char *digits)
{
    writer_line(writer, '(', digits);
}

void writer_verbatim(struct writer *writer, const char *text, size_t size)
{
    static const char format[] = "txt:";
    if (!is_resp3(writer)) {
        writer_bulk(writer, text, size);
        return;
    }
    writer_header(writer, '=', (int64_t)(size + sizeof format - 1));
    writer_raw(writer, format, sizeof format - 1);
    writer_raw(writer, text, size);
    writer_raw(writer, "\r\n", 2);
}

void writer_map(struct writer *writer, size_t pairs)
{
    writer_header(writer, is_resp3(writer) ? '%' : '*', (int64_t)(is_resp3(writer) ? pairs : 2 * pairs));
}

void writer_set(struct writer *writer, size_t count)
{
    writer_header(writer, is_resp3(writer) ? '~' : '*', (int64_t)count);
}

void writer_push(struct writer *writer, size_t count)
{
    writer_header(writer, is_resp3(writer) ? '>' : '*', (int64_t)count);
}
