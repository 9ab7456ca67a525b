/* PUBSUB; see pubsub_command.h. Every host is asked, in its own counting of
 * databases; CHANNELS are united, NUMSUB is added up and corrected by what
 * hosts cannot see. Patterns are at every host, so that the most is all. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/pubsub_command.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/set.h"
#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/join.h"
#include "proxy/keyspace.h"
#include "proxy/turnout.h"

/* The command, with databases in names of channels as the host counts them. */
static struct writer words_for(const struct call *call, const struct host *host)
{
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 0);
    struct resp_arg arg;
    struct writer out = {0};
    writer_array(&out, call_argc(call));
    while (resp_cursor_next(&cursor, &arg)) {
        char *name;
        size_t size;
        keyspace_shift(bytes + arg.at, arg.size, host->options.db, &name, &size);
        writer_bulk(&out, name ? name : bytes + arg.at, name ? size : arg.size);
        free(name);
    }
    return out;
}

static void ask_all(struct call *call, join_finish *finish)
{
    const struct cluster *cluster = call->request->cluster;
    struct join *join = join_create_asking(call->request, NULL, cluster->count, finish);
    struct writer *words = xcalloc(cluster->count, sizeof *words);
    for (uint32_t i = 0; i < cluster->count; i++)
        words[i] = words_for(call, cluster->hosts[i]);
    for (uint32_t i = 0; i < cluster->count; i++) /* the call's bytes may be gone with the last answer */
        join_ask(join, i, cluster->host_targets[i], words[i].data, words[i].size);
    free(words);
}

/* Was any reply an error, or not of this type? Then the client gets that. */
static bool answer_odd(struct join *join, char type)
{
    for (uint32_t i = 0; i < join->count; i++) {
        if (join->parts[i].bytes[0] != type) {
            join_answer_part(join, i);
            return true;
        }
    }
    return false;
}

static enum subscription_kind kind_of(const struct join *join)
{
    const char *name = join->whole.request->query.command->name;
    return strstr(name, "|shard") ? SUBSCRIPTION_SHARD : SUBSCRIPTION_CHANNEL;
}

/* ---- CHANNELS, SHARDCHANNELS ---- */

struct name {
    struct set_node node; /* first */
    const char *text;     /* in a part's reply, or own */
    size_t size;
    char *own;
};

static bool is_known(const struct set *set, uint64_t hash, const struct name *name)
{
    for (struct set_node *node = set_find(set, hash); node; node = set_next(node)) {
        const struct name *other = (const struct name *)node;
        if (other->size == name->size && memcmp(other->text, name->text, name->size) == 0)
            return true;
    }
    return false;
}

/* The names in one host's reply that are new; a database that clients do not know has none. */
static size_t unite(struct set *set, struct name *names, size_t count, const struct join_part *part,
                    int32_t offset)
{
    struct resp_cursor cursor;
    struct resp_arg arg;
    resp_cursor_init(&cursor, part->bytes);
    while (resp_cursor_next(&cursor, &arg)) {
        struct name *name = &names[count];
        *name = (struct name){.text = part->bytes + arg.at, .size = arg.size};
        bool exists = keyspace_shift(name->text, name->size, offset, &name->own, &name->size);
        if (name->own)
            name->text = name->own;
        uint64_t hash = set_hash(name->text, name->size, 0);
        if (!exists || is_known(set, hash, name)) {
            free(name->own);
            continue;
        }
        set_add(set, &name->node, hash);
        count++;
    }
    return count;
}

/* An array of bulks, and so like a request? Then its elements can be walked. */
static bool is_walkable(const struct join_part *part, uint32_t *count)
{
    struct resp_request scan = {0};
    if (resp_scan_request(&scan, part->bytes, part->size, UINT32_MAX) != RESP_DONE)
        return false;
    *count = scan.argc;
    return true;
}

static void finish_channels(struct join *join)
{
    struct cluster *cluster = join->whole.request->cluster;
    size_t room = 1, count = 0;
    uint32_t here;
    if (answer_odd(join, '*'))
        return;
    for (uint32_t i = 0; i < join->count; i++)
        room += is_walkable(&join->parts[i], &here) ? here : 0;
    struct name *names = xcalloc(room, sizeof *names);
    struct set set = {0};
    for (uint32_t i = 0; i < join->count; i++)
        if (is_walkable(&join->parts[i], &here) && here > 0)
            count = unite(&set, names, count, &join->parts[i], -cluster->hosts[i]->options.db);
    struct writer out = {0};
    writer_array(&out, count);
    for (size_t i = 0; i < count; i++) {
        writer_bulk(&out, names[i].text, names[i].size);
        free(names[i].own);
    }
    set_deinit(&set);
    free(names);
    join_answer_given(join, out.data, out.size);
}

void pubsub_command_channels(struct call *call)
{
    size_t size;
    const char *word = call_arg(call, 1, &size);
    if (call_argc(call) > 3)
        call_fail(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try PUBSUB HELP.",
                  call_quote(size), word);
    else
        ask_all(call, finish_channels);
}

/* ---- NUMSUB, SHARDNUMSUB ---- */

/* The number behind the bulk at *at, which it is moved behind; false: there is none. */
static bool read_pair(const char **at, const char *end, const char **name, size_t *size, int64_t *number)
{
    struct resp_reply scan = {0};
    if (*at >= end || **at != '$' || resp_scan_reply(&scan, *at, (size_t)(end - *at)) != RESP_DONE)
        return false;
    const char *line = memchr(*at, '\n', (size_t)(end - *at));
    *name = line + 1;
    *size = (size_t)(*at + scan.size - 2 - *name);
    *at += scan.size;
    resp_reply_reset(&scan);
    if (*at >= end || **at != ':' || resp_scan_reply(&scan, *at, (size_t)(end - *at)) != RESP_DONE)
        return false;
    *number = strtoll(*at + 1, NULL, 10);
    *at += scan.size;
    return true;
}

static const char *elements(const struct join_part *part)
{
    return (const char *)memchr(part->bytes, '\n', part->size) + 1;
}

/* Adds the numbers of host `index` to `sums`, and for the first writes the
 * names, as clients know them. false: it does not answer as Redis does. */
static bool add_counts(const struct join *join, uint32_t index, int64_t *sums, struct writer *names,
                       int64_t count)
{
    const struct join_part *part = &join->parts[index];
    const struct host *host = join->whole.request->cluster->hosts[index];
    const char *at = elements(part), *name;
    size_t size, own_size;
    int64_t number;
    for (int64_t i = 0; i < count; i++) {
        char *own;
        if (!read_pair(&at, part->bytes + part->size, &name, &size, &number))
            return false;
        keyspace_shift(name, size, -host->options.db, &own, &own_size);
        name = own ? own : name;
        size = own ? own_size : size;
        sums[i] += number + turnout_subscribers(host, kind_of(join), name, size);
        if (index == 0) {
            sums[i] += turnout_overlap(join->whole.request->cluster->name, kind_of(join), name, size);
            writer_bulk(&names[i], name, size);
        }
        free(own);
    }
    return true;
}

static void answer_counts(struct join *join, const int64_t *sums, const struct writer *names, int64_t count)
{
    struct writer out = {0};
    writer_array(&out, (size_t)count * 2);
    for (int64_t i = 0; i < count; i++) {
        writer_raw(&out, names[i].data, names[i].size);
        writer_integer(&out, sums[i] > 0 ? sums[i] : 0);
    }
    join_answer_given(join, out.data, out.size);
}

static void finish_numsub(struct join *join)
{
    if (answer_odd(join, '*'))
        return;
    int64_t count = strtoll(join->parts[0].bytes + 1, NULL, 10) / 2;
    int64_t *sums = xcalloc((size_t)count + 1, sizeof *sums);
    struct writer *names = xcalloc((size_t)count + 1, sizeof *names);
    bool good = true;
    for (uint32_t i = 0; i < join->count; i++)
        good = good && add_counts(join, i, sums, names, count);
    if (good)
        answer_counts(join, sums, names, count);
    else
        join_answer_part(join, 0);
    for (int64_t i = 0; i < count; i++)
        writer_deinit(&names[i]);
    free(names);
    free(sums);
}

void pubsub_command_numsub(struct call *call)
{
    ask_all(call, finish_numsub);
}

/* ---- NUMPAT ---- */

static void finish_numpat(struct join *join)
{
    int64_t most = 0;
    char line[RESP_HEADER_SIZE];
    if (answer_odd(join, ':'))
        return;
    for (uint32_t i = 0; i < join->count; i++) {
        int64_t number = strtoll(join->parts[i].bytes + 1, NULL, 10);
        most = number > most ? number : most;
    }
    request_answer(join->whole.request, line, resp_write_header(line, ':', most));
}

void pubsub_command_numpat(struct call *call)
{
    ask_all(call, finish_numpat);
}
