/* Undoing; see undo.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/undo.h"

#include "base/memory.h"
#include "proxy/dispatch.h"
#include "proxy/glob.h"
#include "proxy/rewrite.h"
#include "resp/writer.h"

#include <stdlib.h>
#include <string.h>

/* How often RANDOMKEY asks for another key when it gets one of somebody else. */
enum { UNDO_TRIES = 100 };

/* Values of a reply, one after the other. */
struct span {
    const char *at, *end;
};

/* ---- reading ---- */

/* The next value; the span goes on behind it. */
static struct span span_take(struct span *span)
{
    struct resp_reply scan = {0};
    struct span value = {span->at, span->end};
    if (resp_scan_reply(&scan, span->at, (size_t)(span->end - span->at)) == RESP_DONE)
        value.end = span->at + scan.size;
    span->at = value.end;
    return value;
}

/* Goes into an aggregate or a bulk: the number in its header. */
static int64_t span_enter(struct span *span)
{
    int64_t number = strtoll(span->at + 1, NULL, 10);
    const char *line = memchr(span->at, '\n', (size_t)(span->end - span->at));
    span->at = line ? line + 1 : span->end;
    return number;
}

static bool span_is(const struct span *span, const char *types)
{
    return span->at < span->end && strchr(types, *span->at) && span->at[1] != '-';
}

static size_t span_size(const struct span *span)
{
    return (size_t)(span->end - span->at);
}

static void write_span(struct writer *out, struct span span)
{
    writer_raw(out, span.at, span_size(&span));
}

static void write_header(struct writer *out, char type, int64_t number)
{
    char line[RESP_HEADER_SIZE];
    writer_raw(out, line, resp_write_header(line, type, number));
}

/* ---- keys ---- */

static const struct rewrite *rewrite_of(const struct undo *undo)
{
    return undo->target->action.state;
}

static bool begins_with(const struct span *span, const struct rewrite_text *text)
{
    return span_size(span) >= text->size && memcmp(span->at, text->bytes, text->size) == 0;
}

/* Does the key, as its client knows it, fit the pattern? */
static bool key_fits(const struct undo *undo, const struct span *rest)
{
    const struct rewrite_text *strip = &rewrite_of(undo)->strip;
    if (!undo->pattern_size)
        return true;
    struct writer key = {0};
    writer_raw(&key, strip->bytes, strip->size);
    writer_raw(&key, rest->at, span_size(rest));
    bool fits = glob_fits_key(undo->pattern, undo->pattern_size, key.data ? key.data : "", key.size);
    writer_deinit(&key);
    return fits;
}

/* Is the value a key that is to be seen? Then it has been written as its client knows it. */
static bool write_key(struct writer *out, const struct undo *undo, struct span value)
{
    const struct rewrite *rewrite = rewrite_of(undo);
    if (!span_is(&value, "$"))
        return false;
    int64_t size = span_enter(&value);
    struct span key = {value.at, value.at + size};
    if (!begins_with(&key, &rewrite->add))
        return false;
    key.at += rewrite->add.size;
    if (!key_fits(undo, &key))
        return false;
    write_header(out, '$', (int64_t)(rewrite->strip.size + span_size(&key)));
    writer_raw(out, rewrite->strip.bytes, rewrite->strip.size);
    write_span(out, key);
    writer_raw(out, "\r\n", 2);
    return true;
}

/* A key, or whatever it is. */
static void write_value(struct writer *out, const struct undo *undo, struct span value)
{
    if (!write_key(out, undo, value))
        write_span(out, value);
}

/* ---- replies ---- */

/* "-NOGROUP No such key 'p:k' or …", "… for key name 'p:k'". */
static void write_error(struct writer *out, const struct undo *undo, struct span error)
{
    static const char *const words[] = {"key '", "key name '"};
    const struct rewrite *rewrite = rewrite_of(undo);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct span rest = error;
        size_t size = strlen(words[i]);
        rest.at = memmem(error.at, span_size(&error), words[i], size);
        if (!rest.at)
            continue;
        rest.at += size;
        if (!begins_with(&rest, &rewrite->add))
            continue;
        writer_raw(out, error.at, (size_t)(rest.at - error.at));
        writer_raw(out, rewrite->strip.bytes, rewrite->strip.size);
        rest.at += rewrite->add.size;
        write_span(out, rest);
        return;
    }
    write_span(out, error);
}

/* [key, …] */
static void write_first(struct writer *out, const struct undo *undo, struct span value)
{
    if (!span_is(&value, "*")) {
        write_span(out, value);
        return;
    }
    struct span header = value;
    if (span_enter(&value) > 0) {
        header.end = value.at;
        write_span(out, header);
        write_value(out, undo, span_take(&value));
        header = value;
    }
    write_span(out, header);
}

/* [[key, entries], …] or {key: entries, …} */
static void write_streams(struct writer *out, const struct undo *undo, struct span value)
{
    if (!span_is(&value, "*%")) {
        write_span(out, value);
        return;
    }
    bool is_map = *value.at == '%';
    struct span header = value;
    int64_t count = span_enter(&value);
    header.end = value.at;
    write_span(out, header);
    for (; count > 0; count--) {
        if (is_map) {
            write_value(out, undo, span_take(&value));
            write_span(out, span_take(&value));
        } else {
            write_first(out, undo, span_take(&value));
        }
    }
}

static void write_keys(struct writer *out, const struct undo *undo, struct span value)
{
    if (!span_is(&value, "*~")) {
        write_span(out, value);
        return;
    }
    struct writer keys = {0};
    char type = *value.at;
    int64_t count = span_enter(&value), seen = 0;
    for (; count > 0; count--)
        seen += write_key(&keys, undo, span_take(&value));
    write_header(out, type, seen);
    writer_raw(out, keys.data ? keys.data : "", keys.size);
    writer_deinit(&keys);
}

/* [cursor, [key, …]] */
static void write_page(struct writer *out, const struct undo *undo, struct span value)
{
    struct span whole = value;
    if (!span_is(&value, "*") || span_enter(&value) != 2) {
        write_span(out, whole);
        return;
    }
    write_header(out, '*', 2);
    write_span(out, span_take(&value));
    write_keys(out, undo, span_take(&value));
}

static void write_random(struct writer *out, const struct undo *undo, struct span value)
{
    if (!span_is(&value, "$"))
        write_span(out, value);
    else if (!write_key(out, undo, value))
        writer_null(out);
}

static void write_chain(struct writer *out, const struct undo *undo, struct span value);

/* [reply, …] */
static void write_parts(struct writer *out, const struct undo *undo, struct span value)
{
    const struct undo *part = undo->parts;
    if (!span_is(&value, "*")) {
        write_span(out, value);
        return;
    }
    int64_t count = span_enter(&value);
    write_header(out, '*', count);
    for (uint32_t i = 0; i < count; i++) {
        struct span reply = span_take(&value);
        if (part && part->place == i) {
            write_chain(out, part, reply);
            part = part->later;
        } else {
            write_span(out, reply);
        }
    }
}

static void write_undone(struct writer *out, const struct undo *undo, struct span value)
{
    typedef void write_form(struct writer *out, const struct undo *undo, struct span value);
    static write_form *const forms[] = {
        [UNDO_FIRST] = write_first, [UNDO_STREAMS] = write_streams, [UNDO_KEY] = write_random,
        [UNDO_LIST] = write_keys,   [UNDO_PAGE] = write_page,       [UNDO_PARTS] = write_parts,
    };
    size_t attributes = resp_attributes(value.at, span_size(&value));
    writer_raw(out, value.at, attributes);
    value.at += attributes;
    bool is_error = *value.at == '-' || *value.at == '!';
    if (is_error && (undo->kind == UNDO_ERROR || undo->kind == UNDO_STREAMS))
        write_error(out, undo, value);
    else if (is_error || !forms[undo->kind])
        write_span(out, value);
    else
        forms[undo->kind](out, undo, value);
}

/* One rewrite behind the other. */
static void write_chain(struct writer *out, const struct undo *undo, struct span value)
{
    if (!undo->next) {
        write_undone(out, undo, value);
        return;
    }
    struct writer inner = {.resp = out->resp};
    write_undone(&inner, undo, value);
    write_chain(out, undo->next, (struct span){inner.data, inner.data + inner.size});
    writer_deinit(&inner);
}

/* ---- requests ---- */

struct undo *undo_push(struct request *request, enum undo_kind kind, const struct target *target,
                       const char *pattern, size_t pattern_size)
{
    struct undo *undo = xcalloc(1, sizeof *undo + pattern_size);
    undo->kind = kind;
    undo->target = target;
    undo->tries = UNDO_TRIES;
    undo->pattern_size = pattern_size;
    if (pattern_size)
        memcpy(undo->pattern, pattern, pattern_size);
    undo->next = request->undo;
    request->undo = undo;
    return undo;
}

void undo_drop(struct undo *undo)
{
    while (undo) {
        struct undo *next = undo->next, *part = undo->parts;
        while (part) {
            struct undo *later = part->later;
            undo_drop(part);
            part = later;
        }
        free(undo);
        undo = next;
    }
}

/* Somebody else's key has come: asks for another. */
static bool asks_again(struct request *request, struct undo *undo, const struct reply *reply)
{
    static const char words[] = "*1\r\n$9\r\nRANDOMKEY\r\n";
    struct writer out = {0};
    struct span value = {reply->bytes, reply->bytes + reply->size};
    bool foreign = undo->kind == UNDO_KEY && span_is(&value, "$") && !write_key(&out, undo, value);
    writer_deinit(&out);
    if (!foreign || !request_client(request) || undo->tries == 0)
        return false;
    undo->tries--;
    request->query.bytes = words;
    request->query.size = sizeof words - 1;
    request->query.router = NULL;
    request->query.target = undo->target->action.items[0];
    dispatch_on(request);
    return true;
}

/* Undoes the first of a request's; what is left is done by those after it. */
static void undo_first(struct request *request, struct undo *undo, struct reply *reply, struct writer *out)
{
    request->undo = undo->next;
    undo->next = NULL;
    out->resp = request->query.resp;
    write_undone(out, undo, (struct span){reply->bytes, reply->bytes + reply->size});
    undo_drop(undo);
    reply->bytes = out->data;
    reply->size = out->size;
    reply->give = &out->data;
    reply->give_room = out->room;
}

static void undo_done(struct request *request, const struct reply *reply)
{
    struct undo *undo = request->undo;
    struct reply undone = *reply;
    struct writer out = {0};
    if (asks_again(request, undo, reply))
        return;
    request->done = undo->done;
    undo_first(request, undo, &undone, &out);
    request->done(request, &undone);
    writer_deinit(&out);
}

void undo_wrap(struct request *request)
{
    request->undo->done = request->done;
    request->done = undo_done;
}

void undo_reply(struct request *request, struct reply *reply, struct writer *out)
{
    while (request->undo) {
        struct writer next = {0};
        undo_first(request, request->undo, reply, &next);
        writer_deinit(out);
        *out = next;
        reply->give = &out->data;
    }
}

void undo_keep(struct undo **parts, uint32_t place, struct undo *undo)
{
    if (!*parts) {
        *parts = xcalloc(1, sizeof **parts);
        (*parts)->kind = UNDO_PARTS;
        (*parts)->last = &(*parts)->parts;
    }
    undo->place = place;
    *(*parts)->last = undo;
    (*parts)->last = &undo->later;
}
