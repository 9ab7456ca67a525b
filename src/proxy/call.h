/* A call: one command that Nydus answers itself, as its handler sees it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "proxy/client.h"
#include "resp/writer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Good while its handler runs; one that answers later keeps the request only. */
struct call {
    struct client *client;
    struct request *request;
    const struct resp_request *scan;
};

/* The call of a request that has waited, with its bytes kept; `scan` is filled. */
struct call call_again(struct request *request, struct resp_request *scan);

/* A writer for the answer, in the protocol version that the client spoke when it asked. */
static inline struct writer call_writer(const struct call *call)
{
    return (struct writer){.resp = call->request->query.resp};
}

static inline uint32_t call_argc(const struct call *call)
{
    return call->scan->argc;
}

/* Argument `number` (0 is the command), which must be there: its first byte,
 * inside the request, and its size. Walks the request for those beyond the
 * fourth; loop over many with call_args. */
const char *call_arg(const struct call *call, uint32_t number, size_t *size);
/* A cursor that yields the arguments from `first` on. */
struct resp_cursor call_args(const struct call *call, uint32_t first);

/* Writes the command that stands in the arguments behind the subcommand, as a request of its own. */
void call_write_inner(const struct call *call, struct writer *out);

/* Is the argument this word, in any case? */
bool call_arg_is(const struct call *call, uint32_t number, const char *word);
/* The same for bytes at hand. */
bool call_word_is(const char *text, size_t size, const char *word);

/* An integer as Redis reads one in an argument: no spaces, no plus, no leading
 * zeros, 64 bits. false: it is none. */
bool call_integer(const char *text, size_t size, int64_t *value);

/* The answer. call_reply gives away what the writer holds and ends the writer;
 * call_bulk sends it as one bulk, call_verbatim as a text for people (INFO): a
 * verbatim string in RESP3. */
void call_ok(const struct call *call);
void call_reply(const struct call *call, struct writer *writer);
void call_bulk(const struct call *call, struct writer *text);
void call_verbatim(const struct call *call, struct writer *text);
/* An error line, "ERR …". Bytes of the client's in it must be cut by "%.*s". */
void call_fail(const struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Redis's words for the usual ones. */
void call_syntax_error(const struct call *call);
void call_arity_error(const struct call *call, const char *name);

/* How much of a client's word is repeated in an error. */
enum { CALL_QUOTE = 128 };
static inline int call_quote(size_t size)
{
    return (int)(size < CALL_QUOTE ? size : CALL_QUOTE);
}
