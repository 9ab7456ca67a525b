/* Writes rows of the command table as COMMAND INFO shows them; of the tips and
 * of the key specifications, what the table keeps. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/command_command.h"

#include <stdio.h>
#include <string.h>

#include "proxy/call.h"
#include "proxy/glob.h"
#include "resp/keys.h"

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
    const char *request = command_request_name(command->request_policy);
    const char *response = command_response_name(command->response_policy);
    char tip[64];
    writer_set(out, (request != NULL) + (response != NULL));
    if (request) {
        snprintf(tip, sizeof tip, "request_policy:%s", request);
        writer_text(out, tip);
    }
    if (response) {
        snprintf(tip, sizeof tip, "response_policy:%s", response);
        writer_text(out, tip);
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

/* The flags of a key are those of its command: read, or read and write. */
static void write_spec(struct writer *out, const struct command *command, const struct key_spec *spec)
{
    writer_map(out, 3);
    writer_text(out, "flags");
    writer_set(out, 1);
    writer_status(out, command->flags & COMMAND_READONLY ? "RO" : "RW");
    writer_text(out, "begin_search");
    write_begin(out, spec);
    writer_text(out, "find_keys");
    write_find(out, spec);
}

/* Is the row a command that stands for itself? */
static bool is_own(const struct command *row)
{
    return !(row->flags & COMMAND_SUBCOMMAND);
}

/* A container's subcommands are the rows behind it. */
static size_t subcommand_count(const struct command *command)
{
    size_t first = command->id + 1u, id = first;
    while (id < command_count() && !is_own(command_row(id))) {
        id++;
    }
    return command->flags & COMMAND_CONTAINER ? id - first : 0;
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
        write_spec(out, command, &command->specs[i]);
    }
}

static void write_command(struct writer *out, const struct command *command)
{
    size_t subcommands = subcommand_count(command);
    write_row(out, command);
    if (subcommands == 0) {
        writer_set(out, 0); /* Redis's empty list of them is a set, the others are arrays */
        return;
    }
    writer_array(out, subcommands);
    for (size_t i = 0; i < subcommands; i++) {
        write_row(out, command_row(command->id + 1 + i));
        writer_set(out, 0);
    }
}

/* ---- COMMAND, COUNT, INFO, LIST, DOCS ---- */

static size_t own_count(void)
{
    size_t count = 0;
    for (size_t id = 0; id < command_count(); id++) {
        count += is_own(command_row(id));
    }
    return count;
}

static void write_all(struct writer *out)
{
    writer_array(out, own_count());
    for (size_t id = 0; id < command_count(); id++) {
        if (is_own(command_row(id))) {
            write_command(out, command_row(id));
        }
    }
}

void command_command_all(struct call *call)
{
    struct writer reply = call_writer(call);
    write_all(&reply);
    call_reply(call, &reply);
}

void command_command_count(struct call *call)
{
    struct writer reply = call_writer(call);
    writer_integer(&reply, (int64_t)own_count());
    call_reply(call, &reply);
}

/* "get", or "config|get". */
static const struct command *find_named(const char *name, size_t size)
{
    const char *bar = memchr(name, '|', size);
    size_t first = bar ? (size_t)(bar - name) : size;
    const struct command *command = command_find(name, first);
    return command && bar ? command_find_sub(command, bar + 1, size - first - 1) : command;
}

void command_command_info(struct call *call)
{
    const char *bytes = call->request->query.bytes;
    struct resp_cursor cursor = call_args(call, 2);
    struct resp_arg arg;
    struct writer reply = call_writer(call);
    if (cursor.left > INFO_MAX) {
        call_fail(call, "ERR COMMAND INFO takes no more than %d names", INFO_MAX);
        return;
    }
    if (cursor.left == 0) {
        write_all(&reply);
    } else {
        writer_array(&reply, cursor.left);
    }
    while (resp_cursor_next(&cursor, &arg)) {
        const struct command *command = find_named(bytes + arg.at, arg.size);
        if (command) {
            write_command(&reply, command);
        } else {
            writer_null_array(&reply);
        }
    }
    call_reply(call, &reply);
}

/* As a Redis without DOCS: redis-cli then helps from the texts it has itself,
 * where an empty list would leave it without hints. */
void command_command_docs(struct call *call)
{
    call_fail(call, "ERR Unknown subcommand or wrong number of arguments for 'DOCS'. Try COMMAND HELP.");
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
    return is_own(command);
}

static bool fits_never(const struct filter *filter, const struct command *command)
{
    (void)filter;
    (void)command;
    return false;
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
        filter->fits = fits_never;
    } else {
        return false;
    }
    return true;
}

void command_command_list(struct call *call)
{
    struct filter filter;
    struct writer names = call_writer(call), reply = call_writer(call);
    size_t count = 0;
    if (!filter_read(call, &filter)) {
        call_syntax_error(call);
        return;
    }
    for (size_t id = 0; id < command_count(); id++) {
        const struct command *command = command_row(id);
        if (filter.fits(&filter, command)) {
            writer_text(&names, command->name);
            count++;
        }
    }
    writer_array(&reply, count);
    writer_raw(&reply, names.data, names.size);
    writer_deinit(&names);
    call_reply(call, &reply);
}

/* ---- GETKEYS ---- */

/* The command behind COMMAND GETKEYS as a request of its own: it has the same
 * bulks, from that of argument 2 on. */
static void inner_request(const struct call *call, struct writer *out)
{
    const struct query *query = &call->request->query;
    const struct resp_arg *word = &call->scan->args[1];
    size_t from = word->at + word->size + 2;
    writer_array(out, call_argc(call) - 2);
    writer_raw(out, query->bytes + from, query->size - from);
}

static void answer_keys(struct call *call, const struct command *command, const char *bytes,
                        const struct resp_request *scan)
{
    struct key_list keys = {0};
    bool optional = command->flags & COMMAND_NO_MANDATORY_KEYS;
    if (keys_find(command, bytes, scan, &keys) == KEYS_INVALID) {
        keys.count = 0;
    }
    if (keys.count == 0 && !optional && keys.error) {
        call_fail(call, "ERR Invalid arguments specified for command");
    } else if (keys.count == 0 && !optional) {
        call_fail(call, "ERR The command has no key arguments");
    } else {
        struct writer reply = call_writer(call);
        writer_array(&reply, keys.count);
        for (uint32_t i = 0; i < keys.count; i++) {
            writer_bulk(&reply, bytes + keys.at[i].at, keys.at[i].size);
        }
        call_reply(call, &reply);
    }
    key_list_deinit(&keys);
}

/* The row of the command in a request, its subcommand's if it has one. */
static const struct command *find_in(const char *bytes, const struct resp_request *scan)
{
    const struct resp_arg *args = scan->args;
    const struct command *command = command_find(bytes + args[0].at, args[0].size);
    if (!command || !(command->flags & COMMAND_CONTAINER) || scan->argc < 2) {
        return command;
    }
    return command_find_sub(command, bytes + args[1].at, args[1].size);
}

void command_command_getkeys(struct call *call)
{
    struct writer inner = {0};
    struct resp_request scan = {0};
    inner_request(call, &inner);
    bool whole = resp_scan_request(&scan, inner.data, inner.size, UINT32_MAX) == RESP_DONE;
    const struct command *command = whole ? find_in(inner.data, &scan) : NULL;
    if (!command) {
        call_fail(call, "ERR Invalid command specified");
    } else if (command->spec_count == 0) {
        call_fail(call, "ERR The command has no key arguments");
    } else if (!command_arity_fits(command, scan.argc)) {
        call_fail(call, "ERR Invalid number of arguments specified for command");
    } else {
        answer_keys(call, command, inner.data, &scan);
    }
    writer_deinit(&inner);
}
