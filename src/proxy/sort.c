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
    query.target = client_cluster(call->client)->root;
    query.nkeys = 1;
    query.key = key;
    dispatch_route(&pointer, 1);
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

bool sort_scatters(const struct call *call)
{
    const struct cluster *cluster = client_cluster(call->client);
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 2);
    struct resp_arg word, value;
    if (!cluster || cluster->count < 2) {
        return false;
    }
    while (resp_cursor_next(&cursor, &word)) {
        const char *text = bytes + word.at;
        bool pattern = call_word_is(text, word.size, "by") || call_word_is(text, word.size, "get");
        bool limit = call_word_is(text, word.size, "limit");
        if (!pattern && !limit && !call_word_is(text, word.size, "store")) {
            continue;
        }
        if (!resp_cursor_next(&cursor, &value)) {
            return false; /* the host will say what is wrong */
        }
        if (pattern && pattern_scatters(call, value)) {
            return true;
        }
        if (limit) {
            resp_cursor_next(&cursor, &value);
        }
    }
    return false;
}
