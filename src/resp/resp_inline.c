/* Inline command lines, as people type them into telnet: split by Redis's
 * quoting rules and written as a request, so that nothing behind this sees
 * the difference. Rare and at most 64 KB, hence plain rather than fast. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "resp/resp.h"

static bool is_blank(char byte)
{
    return isspace((unsigned char)byte) != 0;
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    char lower = (char)(digit | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that \n, \t … stand for; any other stands for itself. */
static char escape_value(char letter)
{
    switch (letter) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return letter;
    }
}

/* What is behind an opening double quote, into *word. Returns the closing
 * quote, or NULL when there is none. */
static const char *double_quoted(const char *at, const char *end, char **word)
{
    for (; at < end && *at != '"'; at++) {
        if (*at != '\\' || at + 1 == end) {
            *(*word)++ = *at;
        } else if (at[1] == 'x' && end - at > 3 && hex_value(at[2]) >= 0 && hex_value(at[3]) >= 0) {
            *(*word)++ = (char)(hex_value(at[2]) * 16 + hex_value(at[3]));
            at += 3;
        } else {
            *(*word)++ = escape_value(*++at);
        }
    }
    return at < end ? at : NULL;
}

/* The same for single quotes, in which only \' is special. */
static const char *single_quoted(const char *at, const char *end, char **word)
{
    for (; at < end && *at != '\''; at++) {
        if (*at == '\\' && at + 1 < end && at[1] == '\'') {
            at++;
        }
        *(*word)++ = *at;
    }
    return at < end ? at : NULL;
}

/* One argument from at (no blank), into *word. Returns the byte behind it, or
 * NULL when its quotes are unbalanced: a closing quote must end the argument. */
static const char *word_read(const char *at, const char *end, char **word)
{
    while (at < end && *at != ' ' && *at != '\n' && *at != '\r' && *at != '\t') {
        if (*at != '"' && *at != '\'') {
            *(*word)++ = *at++;
            continue;
        }
        at = *at == '"' ? double_quoted(at + 1, end, word) : single_quoted(at + 1, end, word);
        if (!at || (at + 1 < end && !is_blank(at[1]))) {
            return NULL;
        }
        return at + 1;
    }
    return at;
}

/* All arguments of line..end as bulks at out, with `word` as scratch space as
 * large as the line. Returns the end of the bulks, or NULL (unbalanced). */
static char *line_write(const char *at, const char *end, char *word, char *out, int64_t *argc)
{
    for (;;) {
        while (at < end && is_blank(*at)) {
            at++;
        }
        if (at == end) {
            return out;
        }
        char *word_end = word;
        at = word_read(at, end, &word_end);
        if (!at) {
            return NULL;
        }
        out += resp_write_bulk(out, word, (size_t)(word_end - word));
        ++*argc;
    }
}

bool resp_inline(const char *line, size_t size, char **out, size_t *out_size)
{
    *out = NULL;
    *out_size = 0;
    size -= size > 0 && line[size - 1] == '\n' ? 1 : 0;
    size -= size > 0 && line[size - 1] == '\r' ? 1 : 0;
    /* n bytes of line make at most 4 n of bulks: "a " becomes "$1\r\na\r\n". */
    char *request = xmalloc(RESP_HEADER_SIZE * 2 + size * 4);
    char *word = xmalloc(size + 1);
    int64_t argc = 0;
    char *end = line_write(line, line + size, word, request + RESP_HEADER_SIZE, &argc);
    free(word);
    if (!end || argc == 0) {
        free(request);
        return end != NULL;
    }
    size_t header = resp_write_header(request, '*', argc);
    size_t bulks = (size_t)(end - request) - RESP_HEADER_SIZE;
    memmove(request + header, request + RESP_HEADER_SIZE, bulks);
    *out = request;
    *out_size = header + bulks;
    return true;
}
