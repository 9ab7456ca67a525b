/* RESP without parsing: where a request or a reply ends, and where its
 * arguments lie. Nothing is built, nothing is copied; a scan that ran out of
 * bytes goes on where it stopped; only a header line that was cut is read again. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum resp_status {
    RESP_DONE,  /* one whole request or reply; size says how long */
    RESP_MORE,  /* not all there yet: call again with the same start and more bytes */
    RESP_ERROR, /* can never become valid; error says why in Redis's words */
    RESP_INLINE /* requests only: an inline command line of `size` bytes, see resp_inline */
};

/* Where an argument lies, counted from the first byte of its request. */
struct resp_arg {
    uint32_t at, size;
};

enum { RESP_ARGS = 4 };              /* kept while scanning; resp_args finds the others */
enum { RESP_MAX_ARGC = 1024 * 1024 }; /* Redis's limit of arguments */
enum { RESP_MAX_INLINE = 64 * 1024 };
#define RESP_MAX_BULK (512u * 1024 * 1024)

/* The scan of one request. Zero it to begin. */
struct resp_request {
    uint32_t argc;      /* arguments announced (0: an empty request to be skipped) */
    uint32_t seen;      /* arguments scanned so far */
    uint32_t pos;       /* the next byte to look at */
    uint32_t size;      /* RESP_DONE: bytes of the whole request */
    uint32_t want;      /* RESP_MORE: a lower bound of the bytes still missing (at least 1) */
    int64_t bulk;       /* internal: bytes of the bulk being read, -1 none */
    const char *error;  /* RESP_ERROR: "Protocol error: invalid bulk length" … */
    struct resp_arg args[RESP_ARGS];
};

/* Looks at start[0..size). max_request bounds the whole request in bytes. */
enum resp_status resp_scan_request(struct resp_request *scan, const char *start, size_t size,
                                   uint32_t max_request);

/* Finds arguments from .. from+count-1 of a scanned request into out; returns
 * how many there were. Walks headers only. `start` is the request's first byte. */
size_t resp_args(const char *start, uint32_t size, uint32_t from, uint32_t count, struct resp_arg *out);

/* Calls back-to-back cheaply: a cursor over all arguments in order. */
struct resp_cursor {
    const char *start;
    uint32_t pos, left;
};
void resp_cursor_init(struct resp_cursor *cursor, const char *start);
bool resp_cursor_next(struct resp_cursor *cursor, struct resp_arg *out);

#define RESP_UNBALANCED "Protocol error: unbalanced quotes in request"

/* Rewrites one inline command line (with or without its newline; Redis's
 * quoting rules) as a RESP request into fresh memory (*out, *out_size, for the
 * caller to free). An empty line gives *out NULL and *out_size 0. false: RESP_UNBALANCED. */
bool resp_inline(const char *line, size_t size, char **out, size_t *out_size)
    __attribute__((warn_unused_result));

/* The scan of one reply, RESP2 or RESP3, nested as deeply as it may be: a script
 * in Redis can make thousands of levels. Zero it to begin. An attribute is part
 * of the value behind it. Refused: streamed types, a push inside of a reply, a
 * line above 1 MB, a bulk of 4 GB. */
struct resp_reply {
    uint64_t pos;      /* the next byte to look at */
    uint64_t size;     /* RESP_DONE: bytes of the whole reply */
    uint64_t want;     /* RESP_MORE: a lower bound of the bytes still missing */
    int64_t bulk;      /* internal */
    const char *error; /* RESP_ERROR */
    uint64_t left;     /* values that are not complete yet, of all levels; 0: it has not begun */
    bool nested;       /* they are inside of an aggregate */
    bool push;         /* the reply is a RESP3 push frame */
};
enum resp_status resp_scan_reply(struct resp_reply *scan, const char *start, size_t size);
/* How many bytes the attributes take in front of the value of a whole reply; mostly 0. */
size_t resp_attributes(const char *start, size_t size);
/* Makes it ready for the next reply. */
void resp_reply_reset(struct resp_reply *scan);

/* Writing. Each returns the number of bytes put at `out`, which must have
 * RESP_HEADER_SIZE bytes of room (resp_write_bulk: plus size). */
enum { RESP_HEADER_SIZE = 32 };
size_t resp_write_header(char *out, char type, int64_t number); /* "*3\r\n", ":7\r\n" */
size_t resp_write_bulk(char *out, const char *data, size_t size);

/* A command of Nydus's own, at the end of what will be sent. */
struct chain;
void resp_say(struct chain *out, const char *const *words, size_t count);
/* AUTH; user NULL: the password alone. */
void resp_say_auth(struct chain *out, const char *user, const char *password);
