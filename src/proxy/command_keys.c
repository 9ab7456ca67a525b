/* Keys and what a command does with them, by its key specifications; see command_keys.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/command_keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "proxy/call.h"
#include "proxy/lesson.h"
#include "resp/keys.h"

/* A key by its place in the list of keys, and what the command does with it. */
struct inner_key {
    uint32_t place, flags;
};

/* A command that is an argument of another one. */
struct inner {
    struct writer bytes; /* as a request of its own */
    struct resp_request scan;
    const struct command *command;
    struct key_list keys;
    struct inner_key *order; /* as they are told: by specification */
    uint32_t told;
};

void command_keys_write_flags(struct writer *out, uint32_t flags)
{
    size_t count = 0;
    uint32_t flag;
    for (unsigned i = 0; command_key_flag_name(i, &flag); i++) {
        count += (flags & flag) != 0;
    }
    writer_set(out, count);
    for (unsigned i = 0; command_key_flag_name(i, &flag); i++) {
        if (flags & flag) {
            writer_status(out, command_key_flag_name(i, &flag));
        }
    }
}

/* ---- flags ---- */

static bool is_told(const struct inner *inner, uint32_t place)
{
    for (uint32_t i = 0; i < inner->told; i++) {
        if (inner->order[i].place == place) {
            return true;
        }
    }
    return false;
}

static void tell(struct inner *inner, uint32_t place, uint32_t flags)
{
    inner->order[inner->told++] = (struct inner_key){.place = place, .flags = flags};
}

/* The command with one of its specifications only, and none of the rest that its name stands for. */
static void tell_spec(struct inner *inner, const struct key_spec *spec)
{
    struct key_list found = {0};
    struct command one = *inner->command;
    one.name = "";
    one.specs = spec;
    one.spec_count = 1;
    one.simple_keys = false;
    if (keys_find(&one, inner->bytes.data, &inner->scan, &found) == KEYS_FOUND) {
        for (uint32_t i = 0, k = 0; i < found.count && k < inner->keys.count; k++) {
            if (inner->keys.arg[k] != found.arg[i]) {
                continue;
            }
            if (inner->told == k || !is_told(inner, k)) {
                tell(inner, k, spec->flags);
            }
            i++;
        }
    }
    key_list_deinit(&found);
}

static bool has_word(const struct inner *inner, uint32_t from, const char *word)
{
    struct resp_cursor cursor;
    struct resp_arg arg;
    resp_cursor_init(&cursor, inner->bytes.data);
    for (uint32_t i = 0; resp_cursor_next(&cursor, &arg); i++) {
        if (i >= from && call_word_is(inner->bytes.data + arg.at, arg.size, word)) {
            return true;
        }
    }
    return false;
}

/* Where the flags depend on the arguments: SET without GET only overwrites,
 * BITFIELD without a word that writes only reads. */
static uint32_t vary(const struct inner *inner, uint32_t flags)
{
    if (strcmp(inner->command->name, "set") == 0 && !has_word(inner, 3, "get")) {
        return KEY_OW | KEY_UPDATE;
    }
    if (strcmp(inner->command->name, "bitfield") == 0 && !has_word(inner, 2, "set") &&
        !has_word(inner, 2, "incrby")) {
        return KEY_RO | KEY_ACCESS;
    }
    return flags;
}

/* A key that no specification leads to (SORT … STORE) is what the last one is for, which cannot say where. */
static void tell_all(struct inner *inner)
{
    const struct command *command = inner->command;
    uint32_t last = command->spec_count > 0 ? command->specs[command->spec_count - 1].flags : 0;
    inner->order = xcalloc(inner->keys.count + 1, sizeof *inner->order);
    for (uint8_t i = 0; i < command->spec_count; i++) {
        tell_spec(inner, &command->specs[i]);
    }
    for (uint32_t k = 0; k < inner->keys.count && inner->told < inner->keys.count; k++) {
        if (!is_told(inner, k)) {
            tell(inner, k, last);
        }
    }
    for (uint32_t i = 0; i < inner->told; i++) {
        uint32_t *flags = &inner->order[i].flags;
        if (*flags & KEY_VARIABLE_FLAGS) {
            *flags = vary(inner, *flags);
        }
        *flags &= ~(uint32_t)(KEY_VARIABLE_FLAGS | KEY_INCOMPLETE);
    }
}

/* ---- the answer ---- */

static void write_keys(struct call *call, const struct inner *inner, bool with_flags)
{
    struct writer reply = call_writer(call);
    const char *bytes = inner->bytes.data;
    writer_array(&reply, inner->told);
    for (uint32_t i = 0; i < inner->told; i++) {
        struct resp_arg key = inner->keys.at[inner->order[i].place];
        if (with_flags) {
            writer_array(&reply, 2);
        }
        writer_bulk(&reply, bytes + key.at, key.size);
        if (with_flags) {
            command_keys_write_flags(&reply, inner->order[i].flags);
        }
    }
    call_reply(call, &reply);
}

static bool has_keys(const struct command *command)
{
    bool any = command->first_key > 0 && command->spec_count == 0; /* of a host before Redis 7 */
    for (uint8_t i = 0; i < command->spec_count; i++) {
        any |= !(command->specs[i].flags & KEY_NOT_KEY);
    }
    return any;
}

static void answer(struct call *call, struct inner *inner, bool with_flags)
{
    const struct command *command = inner->command;
    struct command plain = *command; /* by its specifications alone, as in Redis: MSET a 1 b has two keys */
    plain.simple_keys = command->spec_count == 0;
    if (!has_keys(command)) {
        call_fail(call, "ERR The command has no key arguments");
        return;
    }
    if (!command_arity_fits(command, inner->scan.argc)) {
        call_fail(call, "ERR Invalid number of arguments specified for command");
        return;
    }
    if (keys_find(&plain, inner->bytes.data, &inner->scan, &inner->keys) == KEYS_INVALID) {
        inner->keys.count = 0;
    }
    bool optional = command->flags & COMMAND_NO_MANDATORY_KEYS;
    if (inner->keys.count == 0 && !optional) {
        call_fail(call, inner->keys.error ? "ERR Invalid arguments specified for command"
                                          : "ERR The command has no key arguments");
        return;
    }
    tell_all(inner);
    write_keys(call, inner, with_flags);
}

/* ---- the command ---- */

static bool read_inner(const struct call *call, struct inner *inner)
{
    call_write_inner(call, &inner->bytes);
    return resp_scan_request(&inner->scan, inner->bytes.data, inner->bytes.size, UINT32_MAX) == RESP_DONE;
}

/* Its row, its subcommand's if it has one; NULL: nobody knows it. */
static const struct command *find_inner(struct cluster *cluster, const struct inner *inner)
{
    const struct resp_arg *args = inner->scan.args;
    const char *bytes = inner->bytes.data;
    const struct command *command = lesson_lookup(cluster, bytes + args[0].at, args[0].size);
    if (!command || !(command->flags & COMMAND_CONTAINER) || inner->scan.argc < 2) {
        return command;
    }
    return lesson_lookup_sub(cluster, command, bytes + args[1].at, args[1].size);
}

static void keys_of(struct call *call, bool with_flags)
{
    struct inner inner = {0};
    struct cluster *cluster = call->request->cluster;
    if (read_inner(call, &inner)) {
        inner.command = find_inner(cluster, &inner);
    }
    if (inner.command) {
        answer(call, &inner, with_flags);
    } else if (!lesson_keeps(cluster, call->request, false)) {
        call_fail(call, "ERR Invalid command specified");
    }
    writer_deinit(&inner.bytes);
    key_list_deinit(&inner.keys);
    free(inner.order);
}

void command_keys_get(struct call *call)
{
    keys_of(call, false);
}

void command_keys_get_flags(struct call *call)
{
    keys_of(call, true);
}
