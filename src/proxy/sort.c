/* The patterns of SORT; see sort.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/sort.h"

#include <string.h>

#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "route/target.h"

/* Where the command goes if this is its key. */
static struct query sort_route(const struct call *call, struct resp_arg key)
{
    struct query query = call->request->query, *pointer = &query;
    query.target = call->request->cluster->root;
    query.nkeys = 1;
    query.key = key;
    dispatch_settle(&pointer, 1, false);
    return query;
}

/* Without a star the pattern stands for no key: "nosort", "#". */
static bool pattern_scatters(const struct call *call, struct resp_arg pattern)
{
    const char *text = call->request->query.bytes + pattern.at;
    if (!memchr(text, '*', pattern.size)) {
        return false;
    }
    struct query own = sort_route(call, call->scan->args[1]), other = sort_route(call, pattern);
    const struct target *router = other.router;
    if (router && !router_kind_hashes(router_options_of(router->router.router)->kind)) {
        return false; /* its hosts all have all keys, or the operator knows better */
    }
    return own.target != other.target ||
           (router && !router_pattern_is_fixed(router->router.router, text, pattern.size));
}

bool sort_next_pattern(const char *bytes, struct resp_cursor *cursor, struct resp_arg *word,
                       struct resp_arg *pattern)
{
    while (resp_cursor_next(cursor, word)) {
        const char *text = bytes + word->at;
        if (call_word_is(text, word->size, "by") || call_word_is(text, word->size, "get")) {
            return resp_cursor_next(cursor, pattern); /* if there is none the host will say what is wrong */
        }
        int values = call_word_is(text, word->size, "limit") ? 2 : call_word_is(text, word->size, "store");
        while (values-- > 0) {
            resp_cursor_next(cursor, pattern);
        }
    }
    return false;
}

bool sort_scatters(const struct call *call)
{
    struct resp_cursor cursor = call_args(call, 2);
    struct resp_arg word, pattern;
    if (call->request->cluster->count < 2) {
        return false;
    }
    while (sort_next_pattern(call->request->query.bytes, &cursor, &word, &pattern)) {
        if (pattern_scatters(call, pattern)) {
            return true;
        }
    }
    return false;
}

bool sort_is(const struct command *command)
{
    return strcmp(command->name, "sort") == 0 || strcmp(command->name, "sort_ro") == 0;
}

const char *sort_reads_pattern(const struct call *call)
{
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 2);
    struct resp_arg word, pattern;
    while (sort_next_pattern(call->request->query.bytes, &cursor, &word, &pattern)) {
        bool get = call_word_is(bytes + word.at, word.size, "get");
        if (get || memchr(bytes + pattern.at, '*', pattern.size)) {
            return get ? "GET" : "BY";
        }
    }
    return NULL;
}
