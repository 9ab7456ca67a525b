/* Writes rows of the command table, and of what hosts have taught, as COMMAND
 * INFO shows them. Lists have what can be done here; a name that is asked for is
 * told of in any case. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/command_command.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "proxy/call.h"
#include "proxy/cluster.h"
#include "proxy/command_keys.h"
#include "proxy/glob.h"
#include "proxy/host.h"
#include "proxy/lesson.h"
#include "proxy/local.h"

enum { INFO_MAX = 4096 }; /* names in one COMMAND INFO: some answers are kilobytes */

/* ---- one row ---- */

static void write_flags(struct writer *out, uint32_t flags)
{
    size_t count = 0;
    uint32_t flag;
    for (unsigned i = 0; command_flag_name(i, &flag); i++) {
        count += (flags & flag) != 0;
    }
    writer_set(out, count);
    for (unsigned i = 0; command_flag_name(i, &flag); i++) {
        if (flags & flag) {
            writer_status(out, command_flag_name(i, &flag));
        }
    }
}

static void write_categories(struct writer *out, uint32_t categories)
{
    writer_set(out, (size_t)__builtin_popcount(categories));
    for (unsigned bit = 0; bit < 32; bit++) {
        if (categories >> bit & 1) {
            writer_format(out, "+@%s\r\n", command_category_name(bit));
        }
    }
}

static void write_tips(struct writer *out, const struct command *command)
{
    size_t count = *command->tips != '\0';
    for (const char *c = command->tips; *c; c++) {
        count += *c == ' ';
    }
    writer_set(out, count);
    for (const char *tip = command->tips; count > 0; count--) {
        size_t size = strcspn(tip, " ");
        writer_bulk(out, tip, size);
        tip += size + 1;
    }
}

static void write_pair(struct writer *out, const char *name, int32_t number)
{
    writer_text(out, name);
    writer_integer(out, number);
}

/* "type", its name, "spec", and the map that the caller goes on with. */
static void write_type(struct writer *out, const char *type, size_t pairs)
{
    writer_map(out, 2);
    writer_text(out, "type");
    writer_text(out, type);
    writer_text(out, "spec");
    writer_map(out, pairs);
}

static void write_begin(struct writer *out, const struct key_spec *spec)
{
    switch (spec->begin) {
    case KEY_BEGIN_INDEX:
        write_type(out, "index", 1);
        write_pair(out, "index", spec->index);
        break;
    case KEY_BEGIN_KEYWORD:
        write_type(out, "keyword", 2);
        writer_text(out, "keyword");
        writer_text(out, spec->keyword);
        write_pair(out, "startfrom", spec->index);
        break;
    case KEY_BEGIN_UNKNOWN:
        write_type(out, "unknown", 0);
        break;
    }
}

static void write_find(struct writer *out, const struct key_spec *spec)
{
    switch (spec->find) {
    case KEY_FIND_RANGE:
        write_type(out, "range", 3);
        write_pair(out, "lastkey", spec->last);
        write_pair(out, "keystep", spec->step);
        write_pair(out, "limit", spec->limit);
        break;
    case KEY_FIND_KEYNUM:
        write_type(out, "keynum", 3);
        write_pair(out, "keynumidx", spec->keynum_index);
        write_pair(out, "firstkey", spec->first);
        write_pair(out, "keystep", spec->keystep);
        break;
    case KEY_FIND_UNKNOWN:
        write_type(out, "unknown", 0);
        break;
    }
}

static void write_spec(struct writer *out, const struct key_spec *spec)
{
    bool notes = *spec->notes != '\0';
    writer_map(out, notes ? 4 : 3);
    if (notes) {
        writer_text(out, "notes");
        writer_text(out, spec->notes);
    }
    writer_text(out, "flags");
    command_keys_write_flags(out, spec->flags);
    writer_text(out, "begin_search");
    write_begin(out, spec);
    writer_text(out, "find_keys");
    write_find(out, spec);
}

/* ---- which rows ---- */

/* Rows in the order of their names, those that hosts have taught among them. */
struct roster {
    const struct command **rows;
    size_t count;
    const struct lexicon *lexicon;
};

static bool is_sub(const struct command *row)
{
    return row->flags & COMMAND_SUBCOMMAND;
}

/* Is it a subcommand of this container? */
static bool is_below(const struct command *row, const struct command *container)
{
    size_t size = strlen(container->name);
    return strncmp(row->name, container->name, size) == 0 && row->name[size] == '|';
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct command *const *)a)->name, (*(const struct command *const *)b)->name);
}

/* All that are known. The caller frees the rows. */
static struct roster roster_all(struct cluster *cluster)
{
    const struct lexicon *lexicon = lesson_lexicon(cluster);
    struct roster roster = {.rows = xcalloc(command_count() + lexicon->count, sizeof *roster.rows),
                            .lexicon = lexicon};
    for (size_t id = 0; id < command_count(); id++) {
        roster.rows[roster.count++] = command_row(id);
    }
    for (size_t i = 0; i < lexicon->count; i++) {
        roster.rows[roster.count++] = lexicon->rows[i];
    }
    qsort(roster.rows, roster.count, sizeof *roster.rows, by_name);
    return roster;
}

/* Nydus may refuse it, or the hosts may be too old for it. */
static bool is_served_itself(const struct roster *roster, const struct command *row)
{
    return !local_refusal(row) && (local_answers(row) || lexicon_has(roster->lexicon, row));
}

/* Can it be done here? A container can when one of its subcommands can. */
static bool is_served(const struct roster *roster, const struct command *row)
{
    bool served = is_served_itself(roster, row);
    for (size_t i = 0; !served && (row->flags & COMMAND_CONTAINER) && i < roster->count; i++) {
        served = is_below(roster->rows[i], row) && is_served_itself(roster, roster->rows[i]);
    }
    return served;
}

/* Those that can be done. */
static struct roster roster_served(struct cluster *cluster)
{
    struct roster all = roster_all(cluster);
    struct roster served = {.rows = xcalloc(all.count, sizeof *served.rows), .lexicon = all.lexicon};
    for (size_t i = 0; i < all.count; i++) {
        if (is_served(&all, all.rows[i])) {
            served.rows[served.count++] = all.rows[i];
        }
    }
    free(all.rows);
    return served;
}

static size_t own_count(const struct roster *roster)
{
    size_t count = 0;
    for (size_t i = 0; i < roster->count; i++) {
        count += !is_sub(roster->rows[i]);
    }
    return count;
}

/* All but the subcommands, which may have none themselves. */
static void write_row(struct writer *out, const struct command *command)
{
    writer_array(out, 10);
    writer_text(out, command->name);
    writer_integer(out, command->arity);
    write_flags(out, command->flags);
    writer_integer(out, command->first_key);
    writer_integer(out, command->last_key);
    writer_integer(out, command->key_step);
    write_categories(out, command->categories);
    write_tips(out, command);
    writer_set(out, command->spec_count);
    for (size_t i = 0; i < command->spec_count; i++) {
        write_spec(out, &command->specs[i]);
    }
}

static void write_command(struct writer *out, const struct roster *roster, const struct command *command)
{
    size_t subs = 0;
    for (size_t i = 0; (command->flags & COMMAND_CONTAINER) && i < roster->count; i++) {
        subs += is_below(roster->rows[i], command);
    }
    write_row(out, command);
    if (subs == 0) {
        writer_set(out, 0); /* Redis's empty list of them is a set, the others are arrays */
        return;
    }
    writer_array(out, subs);
    for (size_t i = 0; i < roster->count; i++) {
        if (is_below(roster->rows[i], command)) {
            write_row(out, roster->rows[i]);
            writer_set(out, 0);
        }
    }
}

/* ---- COMMAND, COUNT, INFO, LIST ---- */

/* What hosts teach belongs to the answer: they are asked, if that has never been done. */
static bool waits(struct call *call)
{
    return lesson_keeps(call->request->cluster, call->request, true);
}

static void write_served(struct writer *out, struct cluster *cluster)
{
    struct roster roster = roster_served(cluster);
    writer_array(out, own_count(&roster));
    for (size_t i = 0; i < roster.count; i++) {
        if (!is_sub(roster.rows[i])) {
            write_command(out, &roster, roster.rows[i]);
        }
    }
    free(roster.rows);
}

void command_command_all(struct call *call)
{
    if (waits(call)) {
        return;
    }
    struct writer reply = call_writer(call);
    write_served(&reply, call->request->cluster);
    call_reply(call, &reply);
}

void command_command_count(struct call *call)
{
    if (waits(call)) {
        return;
    }
    struct writer reply = call_writer(call);
    struct roster roster = roster_served(call->request->cluster);
    writer_integer(&reply, (int64_t)own_count(&roster));
    free(roster.rows);
    call_reply(call, &reply);
}

static void write_named(struct call *call, struct writer *reply)
{
    struct cluster *cluster = call->request->cluster;
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 2);
    struct resp_arg arg;
    struct roster roster = roster_all(cluster);
    writer_array(reply, cursor.left);
    while (resp_cursor_next(&cursor, &arg)) {
        const struct command *command = lesson_lookup(cluster, bytes + arg.at, arg.size);
        if (command) {
            write_command(reply, &roster, command);
        } else {
            writer_null(reply);
        }
    }
    free(roster.rows);
}

void command_command_info(struct call *call)
{
    if (call_argc(call) - 2 > INFO_MAX) {
        call_fail(call, "ERR COMMAND INFO takes no more than %d names", INFO_MAX);
        return;
    }
    if (waits(call)) {
        return;
    }
    struct writer reply = call_writer(call);
    if (call_argc(call) == 2) {
        write_served(&reply, call->request->cluster);
    } else {
        write_named(call, &reply);
    }
    call_reply(call, &reply);
}

/* Sends the command as it is to a host that is up. */
static void ask_host(struct call *call, request_done *done)
{
    struct host *host = cluster_first_up(call->request->cluster);
    if (!host) {
        call_fail(call, "ERR there is no host to ask");
        return;
    }
    call->request->done = done;
    host_send(host, call->request);
}

/* COMMAND LIST FILTERBY kind value: the fitting rows. */
struct filter {
    bool (*fits)(const struct filter *filter, const struct command *command);
    const char *value;
    size_t size;
};

static bool fits_always(const struct filter *filter, const struct command *command)
{
    (void)filter;
    (void)command;
    return true;
}

static bool fits_category(const struct filter *filter, const struct command *command)
{
    return (command->categories & command_category(filter->value, filter->size)) != 0;
}

static bool fits_pattern(const struct filter *filter, const struct command *command)
{
    return glob_fits(filter->value, filter->size, command->name, strlen(command->name));
}

/* false: the arguments are none of a filter. */
static bool filter_read(struct call *call, struct filter *filter)
{
    *filter = (struct filter){.fits = fits_always};
    if (call_argc(call) == 2) {
        return true;
    }
    if (call_argc(call) != 5 || !call_arg_is(call, 2, "filterby")) {
        return false;
    }
    filter->value = call_arg(call, 4, &filter->size);
    if (call_arg_is(call, 3, "aclcat")) {
        filter->fits = fits_category;
    } else if (call_arg_is(call, 3, "pattern")) {
        filter->fits = fits_pattern;
    } else if (call_arg_is(call, 3, "module")) {
        filter->fits = NULL;
    } else {
        return false;
    }
    return true;
}

void command_command_list(struct call *call)
{
    struct filter filter;
    if (!filter_read(call, &filter)) {
        call_syntax_error(call);
    } else if (!filter.fits) {
        ask_host(call, call->request->done); /* it alone knows which module brings which command */
    } else if (!waits(call)) {
        struct writer names = call_writer(call), reply = call_writer(call);
        struct roster roster = roster_served(call->request->cluster);
        size_t count = 0;
        for (size_t i = 0; i < roster.count; i++) {
            if (filter.fits(&filter, roster.rows[i])) {
                writer_text(&names, roster.rows[i]->name);
                count++;
            }
        }
        free(roster.rows);
        writer_array(&reply, count);
        writer_raw(&reply, names.data, names.size);
        writer_deinit(&names);
        call_reply(call, &reply);
    }
}

/* ---- DOCS ---- */

/* One value of a reply, and the one behind it. */
struct docs_entry {
    const char *name; /* its bulk */
    size_t size;      /* of both */
};

/* false: it does not look like that. */
static bool docs_next(const char *at, size_t size, struct docs_entry *entry)
{
    struct resp_reply scan = {0};
    *entry = (struct docs_entry){.name = at};
    for (int value = 0; value < 2; value++) {
        resp_reply_reset(&scan);
        if (resp_scan_reply(&scan, at + entry->size, size - entry->size) != RESP_DONE) {
            return false;
        }
        entry->size += scan.size;
    }
    return true;
}

/* Is it refused here for good? */
static bool docs_refused(const struct request *request, const struct roster *all,
                         const struct docs_entry *entry)
{
    const char *line = memchr(entry->name, '\n', entry->size);
    const char *end = line ? memchr(line, '\r', entry->size - (size_t)(line - entry->name)) : NULL;
    const struct command *command =
        end ? lesson_lookup(request->cluster, line + 1, (size_t)(end - line - 1)) : NULL;
    return command && !is_served(all, command);
}

/* The host's docs, less what is refused here. Its reply is a map, in RESP2 a flat list. */
static void docs_answered(struct request *request, const struct reply *reply)
{
    const char *bytes = reply->bytes, *end = bytes + reply->size;
    const char *line = memchr(bytes, '\n', reply->size);
    struct writer kept = {.resp = request->query.resp}, map = {.resp = request->query.resp};
    struct docs_entry entry;
    size_t count = 0;
    if ((bytes[0] != '*' && bytes[0] != '%') || !line) {
        client_done(request, reply);
        return;
    }
    struct roster all = roster_all(request->cluster);
    for (const char *at = line + 1; at < end; at += entry.size) {
        if (!docs_next(at, (size_t)(end - at), &entry) || *entry.name != '$') {
            break;
        }
        if (!docs_refused(request, &all, &entry)) {
            writer_raw(&kept, entry.name, entry.size);
            count++;
        }
    }
    free(all.rows);
    writer_map(&map, count);
    writer_raw(&map, kept.data, kept.size);
    const struct reply filtered = {.bytes = map.data, .size = map.size};
    client_done(request, &filtered);
    writer_deinit(&kept);
    writer_deinit(&map);
}

void command_command_docs(struct call *call)
{
    bool all = call_argc(call) == 2;
    ask_host(call, all ? docs_answered : call->request->done);
}
