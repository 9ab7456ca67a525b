/* Replies that Nydus makes itself, value by value into one growing buffer. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Zero it to begin; writer_deinit when done. */
struct writer {
    char *data;
    size_t size, room;
};

void writer_deinit(struct writer *writer);

/* The bytes as they are, or as printf makes them: for texts that become one
 * bulk at the end, and for values that are RESP already. */
void writer_raw(struct writer *writer, const char *data, size_t size);
void writer_format(struct writer *writer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One value. An array is followed by its `count` values. */
void writer_status(struct writer *writer, const char *text);
void writer_integer(struct writer *writer, int64_t number);
void writer_bulk(struct writer *writer, const char *data, size_t size);
void writer_text(struct writer *writer, const char *text); /* a bulk, up to its NUL */
void writer_null(struct writer *writer);                   /* the null bulk */
void writer_null_array(struct writer *writer);
void writer_array(struct writer *writer, size_t count);
