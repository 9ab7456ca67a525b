/* Replies that Nydus makes itself, value by value into one growing buffer, in
 * the protocol version of whoever gets them: say what a value is (a map, a
 * null), and the writer finds the bytes for it.
 *
 *   struct writer reply = call_writer(call);   (proxy/call.h; elsewhere {.resp = query.resp})
 *   writer_map(&reply, 1);                     %1 in RESP3, *2 in RESP2
 *   writer_text(&reply, "flags");
 *   writer_set(&reply, 1);
 *   writer_text(&reply, "off");
 *   call_reply(call, &reply); */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero it to begin, but for `resp`; writer_deinit when done. */
struct writer {
    char *data;
    size_t size, room;
    uint8_t resp; /* 3: RESP3; anything else: RESP2 */
};

void writer_deinit(struct writer *writer);

/* The bytes as they are, or as printf makes them: for texts that become one
 * bulk at the end, and for values that are RESP already. */
void writer_raw(struct writer *writer, const char *data, size_t size);
void writer_format(struct writer *writer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whole values of RESP2, but with the nulls of the writer's version. */
void writer_values(struct writer *writer, const char *bytes, size_t size);

/* One value, the same in both versions. An array is followed by its `count` values. */
void writer_status(struct writer *writer, const char *text);
void writer_integer(struct writer *writer, int64_t number);
void writer_bulk(struct writer *writer, const char *data, size_t size);
void writer_text(struct writer *writer, const char *text); /* a bulk, up to its NUL */
void writer_array(struct writer *writer, size_t count);

/* One value that RESP3 has a type for; in RESP2 what Redis makes of it. */
void writer_null(struct writer *writer);                   /* RESP2: the null bulk */
void writer_null_array(struct writer *writer);             /* the null in the place of an array */
void writer_boolean(struct writer *writer, bool value);    /* RESP2: 1 or 0 */
void writer_double(struct writer *writer, double value);   /* RESP2: a bulk, "inf" and "nan" too */
void writer_big_number(struct writer *writer, const char *digits);               /* RESP2: a bulk */
void writer_verbatim(struct writer *writer, const char *text, size_t size);      /* RESP2: a bulk */
/* Followed by `pairs` keys and values in turn, or by `count` values. RESP2: arrays. */
void writer_map(struct writer *writer, size_t pairs);
void writer_set(struct writer *writer, size_t count);
void writer_push(struct writer *writer, size_t count);
