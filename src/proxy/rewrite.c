/* Rewrites; see rewrite.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/rewrite.h"

#include "base/memory.h"
#include "proxy/dispatch.h"
#include "proxy/sort.h"
#include "proxy/tree.h"
#include "proxy/undo.h"
#include "resp/keys.h"
#include "resp/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- what commands have beside their keys ---- */

struct edits;

/* Finds the patterns of keys among the arguments. */
typedef void find_patterns(struct edits *edits, const struct request *request,
                           const struct resp_request *scan);
static find_patterns find_keys_pattern, find_scan_pattern, find_sort_patterns;

struct form {
    const char *name;
    enum undo_kind undo;
    find_patterns *patterns;
    bool deletes_all;
};

static const struct form forms[] = {
    {.name = "(any other)"},
    {.name = "keys", .undo = UNDO_LIST, .patterns = find_keys_pattern},
    {.name = "scan", .undo = UNDO_PAGE, .patterns = find_scan_pattern},
    {.name = "randomkey", .undo = UNDO_KEY},
    {.name = "sort", .patterns = find_sort_patterns},
    {.name = "sort_ro", .patterns = find_sort_patterns},
    {.name = "flushall", .deletes_all = true},
    {.name = "flushdb", .deletes_all = true},
    {.name = "blpop", .undo = UNDO_FIRST},
    {.name = "brpop", .undo = UNDO_FIRST},
    {.name = "blmpop", .undo = UNDO_FIRST},
    {.name = "lmpop", .undo = UNDO_FIRST},
    {.name = "bzpopmin", .undo = UNDO_FIRST},
    {.name = "bzpopmax", .undo = UNDO_FIRST},
    {.name = "bzmpop", .undo = UNDO_FIRST},
    {.name = "zmpop", .undo = UNDO_FIRST},
    {.name = "xread", .undo = UNDO_STREAMS},
    {.name = "xreadgroup", .undo = UNDO_STREAMS},
    {.name = "xpending", .undo = UNDO_ERROR},
    {.name = "xclaim", .undo = UNDO_ERROR},
    {.name = "xautoclaim", .undo = UNDO_ERROR},
    {.name = "xgroup|setid", .undo = UNDO_ERROR},
    {.name = "xgroup|createconsumer", .undo = UNDO_ERROR},
    {.name = "xgroup|delconsumer", .undo = UNDO_ERROR},
    {.name = "xinfo|consumers", .undo = UNDO_ERROR},
};
enum { FORMS = sizeof forms / sizeof *forms };

static uint8_t form_index[COMMAND_IDS]; /* by the row of the command; 0 for most */

/* Before main. Asks for rows by number, for their hash may not be set up yet. */
__attribute__((constructor)) static void rewrite_setup(void)
{
    for (uint16_t id = 0; id < command_count(); id++)
        for (uint8_t i = 1; i < FORMS; i++)
            if (strcmp(forms[i].name, command_row(id)->name) == 0)
                form_index[id] = i;
}

/* ---- what is changed ---- */

/* An argument that gets another beginning: `head` instead of its first `cut` bytes. */
struct edit {
    struct resp_arg arg;
    const struct rewrite_text *head;
    uint32_t cut;
};

struct edits {
    const struct rewrite *rewrite;
    struct edit *at;
    uint32_t count, room;
    uint32_t keys, kept; /* so many keys are changed, so many are not */
    uint32_t match_at;   /* "MATCH …" is put there; 0: nowhere */
    struct resp_arg pattern; /* the keys of the reply have to fit it; size 0: none */
};

static void edits_add(struct edits *edits, struct resp_arg arg, const struct rewrite_text *head, uint32_t cut)
{
    if (edits->count == edits->room) {
        edits->room = edits->room ? 2 * edits->room : 16;
        edits->at = xrealloc(edits->at, edits->room * sizeof *edits->at);
    }
    edits->at[edits->count++] = (struct edit){.arg = arg, .head = head, .cut = cut};
}

static bool begins_with(const char *bytes, struct resp_arg arg, const struct rewrite_text *text)
{
    return arg.size >= text->size && memcmp(bytes + arg.at, text->bytes, text->size) == 0;
}

static void edits_add_key(struct edits *edits, const char *bytes, struct resp_arg key)
{
    const struct rewrite *rewrite = edits->rewrite;
    if (!begins_with(bytes, key, &rewrite->strip)) {
        edits->kept++;
        return;
    }
    edits->keys++;
    edits_add(edits, key, &rewrite->add, rewrite->strip.size);
}

/* ---- patterns ---- */

/* One that may fit anything goes out as all that begins with `add`; then the reply is sorted out here. */
static void edits_add_pattern(struct edits *edits, const char *bytes, struct resp_arg arg)
{
    const struct rewrite *rewrite = edits->rewrite;
    edits->pattern.size = 0;
    if (arg.size == 0 && rewrite->strip.size)
        return; /* it fits nothing */
    if (begins_with(bytes, arg, &rewrite->strip_pattern)) {
        edits_add(edits, arg, &rewrite->add_pattern, rewrite->strip_pattern.size);
        return;
    }
    edits_add(edits, arg, &rewrite->add_any, arg.size);
    edits->pattern = arg;
}

static void find_keys_pattern(struct edits *edits, const struct request *request,
                              const struct resp_request *scan)
{
    edits_add_pattern(edits, request->query.bytes, scan->args[1]);
}

static bool arg_is(const char *bytes, struct resp_arg arg, const char *word)
{
    return strlen(word) == arg.size && strncasecmp(bytes + arg.at, word, arg.size) == 0;
}

static void find_scan_pattern(struct edits *edits, const struct request *request,
                              const struct resp_request *scan)
{
    const char *bytes = request->query.bytes;
    struct resp_arg word = scan->args[1], value;
    struct resp_cursor cursor = {bytes, word.at + word.size + 2, scan->argc - 2};
    uint32_t behind = cursor.pos;
    bool matched = false;
    while (resp_cursor_next(&cursor, &word) && resp_cursor_next(&cursor, &value)) {
        if (!arg_is(bytes, word, "match"))
            continue;
        edits_add_pattern(edits, bytes, value);
        matched = true;
    }
    if (!matched && edits->rewrite->add.size)
        edits->match_at = behind;
}

/* BY and GET name keys when they have a star; the pattern is no glob. */
static void find_sort_patterns(struct edits *edits, const struct request *request,
                               const struct resp_request *scan)
{
    const char *bytes = request->query.bytes;
    struct resp_arg word = scan->args[1], pattern;
    struct resp_cursor cursor = {bytes, word.at + word.size + 2, scan->argc - 2};
    while (sort_next_pattern(bytes, &cursor, &word, &pattern))
        if (memchr(bytes + pattern.at, '*', pattern.size))
            edits_add_key(edits, bytes, pattern);
}

/* ---- finding ---- */

static int by_place(const void *a, const void *b)
{
    const struct edit *one = a, *two = b;
    return one->arg.at < two->arg.at ? -1 : one->arg.at > two->arg.at;
}

static bool has_keys(const struct command *command)
{
    bool channels = command->spec_count && (command->specs[0].flags & KEY_NOT_KEY);
    return command_has_keys(command) && !channels;
}

static void edits_find(struct edits *edits, const struct request *request, const struct form *form)
{
    static struct key_list keys; /* reused: one thread */
    const struct query *query = &request->query;
    bool known = query->nkeys == 1 && keys_fixed_single(query->command) && !form->patterns;
    struct resp_request scan = {0};
    if (known && has_keys(query->command)) {
        edits_add_key(edits, query->bytes, query->key);
        return;
    }
    if (known || (!form->patterns && !has_keys(query->command)))
        return;
    resp_scan_request(&scan, query->bytes, query->size, UINT32_MAX);
    if (has_keys(query->command) && keys_find(query->command, query->bytes, &scan, &keys) == KEYS_FOUND)
        for (uint32_t i = 0; i < keys.count; i++)
            edits_add_key(edits, query->bytes, keys.at[i]);
    if (form->patterns) {
        form->patterns(edits, request, &scan);
        qsort(edits->at, edits->count, sizeof *edits->at, by_place);
    }
}

/* ---- writing ---- */

/* The request while it is written anew. */
struct copy {
    const char *from;
    uint32_t taken; /* bytes of it that are done */
    char *out;
    size_t size;
};

static void copy_to(struct copy *copy, uint32_t end)
{
    memcpy(copy->out + copy->size, copy->from + copy->taken, end - copy->taken);
    copy->size += end - copy->taken;
    copy->taken = end;
}

static void copy_text(struct copy *copy, const struct rewrite_text *text)
{
    memcpy(copy->out + copy->size, text->bytes, text->size);
    copy->size += text->size;
}

/* Where the header of an argument begins: "$n\r\n" has one digit at least. */
static uint32_t header_of(const char *bytes, struct resp_arg arg)
{
    uint32_t at = arg.at - 3;
    while (bytes[at] != '$')
        at--;
    return at;
}

static struct resp_arg copy_edit(struct copy *copy, const struct edit *edit)
{
    struct resp_arg made = {.size = edit->arg.size - edit->cut + edit->head->size};
    copy_to(copy, header_of(copy->from, edit->arg));
    copy->size += resp_write_header(copy->out + copy->size, '$', made.size);
    made.at = (uint32_t)copy->size;
    copy_text(copy, edit->head);
    copy->taken = edit->arg.at + edit->cut;
    return made;
}

/* "*n" in front of all arguments. */
static void copy_argc(struct copy *copy, uint32_t argc)
{
    const char *line = memchr(copy->from, '\n', RESP_HEADER_SIZE);
    copy->size = resp_write_header(copy->out, '*', argc);
    copy->taken = (uint32_t)(line + 1 - copy->from);
}

/* MATCH is put in where no key is; edits are in order. */
static struct copy edits_write(const struct edits *edits, struct query *query)
{
    struct copy copy = {.from = query->bytes};
    struct resp_arg key = query->key;
    size_t room = query->size + edits->rewrite->match.size + 2 * RESP_HEADER_SIZE;
    for (uint32_t i = 0; i < edits->count; i++)
        room += edits->at[i].head->size + 11;
    copy.out = xmalloc(room);
    if (edits->match_at) {
        query->argc += 2;
        copy_argc(&copy, query->argc);
        copy_to(&copy, edits->match_at);
        copy_text(&copy, &edits->rewrite->match);
    }
    for (uint32_t i = 0; i < edits->count; i++) {
        struct resp_arg made = copy_edit(&copy, &edits->at[i]);
        if (edits->at[i].arg.at == query->key.at)
            key = made;
        else if (edits->at[i].arg.at < query->key.at)
            key.at = (uint32_t)(query->key.at + copy.size - copy.taken);
    }
    copy_to(&copy, query->size);
    query->key = key;
    return copy;
}

static void edits_apply(const struct edits *edits, struct request *request)
{
    struct query *query = &request->query;
    struct copy copy = edits_write(edits, query);
    free(request->memory);
    request->memory = copy.out;
    query->bytes = copy.out;
    query->size = (uint32_t)copy.size;
    query->router = NULL; /* one above must not pick again, by the new key, */
    query->watcher = 0;   /* nor name a target that changes it once more */
}

/* ---- what becomes of a command ---- */

/* May it pass? false: it has been failed. */
static bool edits_admit(const struct edits *edits, struct request *request, const struct form *form)
{
    const char *name = request->query.command->name;
    if (form->deletes_all && !edits->rewrite->all) {
        request_fail(request, FAILURE_LOCAL,
                     "ERR '%s' would delete what is not seen here; nydus.rewrite{ all = true } allows it",
                     name);
        return false;
    }
    if (form->undo != UNDO_NOTHING && edits->keys && edits->kept) {
        const struct rewrite_text *strip = &edits->rewrite->strip;
        request_fail(request, FAILURE_LOCAL,
                     "ERR '%s' has keys of which some begin with '%.*s' and some do not", name,
                     (int)(strip->size < 64 ? strip->size : 64), strip->bytes);
        return false;
    }
    return true;
}

static void note_undo(const struct edits *edits, struct request *request, const struct form *form,
                      const struct target *target)
{
    if (form->undo != UNDO_NOTHING && (edits->keys || !has_keys(request->query.command)))
        undo_push(request, form->undo, target, request->query.bytes + edits->pattern.at, edits->pattern.size);
}

static bool rewrite_pass(struct request *request)
{
    static struct edits edits; /* reused: one thread */
    const struct target *target = request->query.target;
    const struct form *form = &forms[form_index[request->query.command->id]];
    struct edit *at = edits.at;
    uint32_t room = edits.room;
    edits = (struct edits){.rewrite = target->action.state, .at = at, .room = room};
    edits_find(&edits, request, form);
    if (!edits_admit(&edits, request, form))
        return false;
    note_undo(&edits, request, form, target);
    if (edits.count || edits.match_at)
        edits_apply(&edits, request);
    request->query.target = target->action.items[0];
    return true;
}

static void rewrite_run(struct request *request, action_send *send)
{
    const struct undo *before = request->undo;
    if (!rewrite_pass(request))
        return;
    if (request->undo != before)
        undo_wrap(request);
    dispatch_to(request, send);
}

/* ---- the target ---- */

static void describe(const struct target *target, char *text, size_t size)
{
    const struct rewrite *rewrite = target->action.state;
    char add[64], strip[64];
    tree_quote(rewrite->add.bytes, rewrite->add.size, add, sizeof add);
    tree_quote(rewrite->strip.bytes, rewrite->strip.size, strip, sizeof strip);
    int used = 0;
    if (rewrite->strip.size)
        used = snprintf(text, size, ", strip %s", strip);
    if (rewrite->add.size)
        used += snprintf(text + used, size - (size_t)used, ", add %s", add);
    if (rewrite->all)
        snprintf(text + used, size - (size_t)used, ", all");
}

static struct rewrite_text text_of(const char *bytes, size_t size)
{
    return (struct rewrite_text){.bytes = xstrndup(bytes, size), .size = (uint32_t)size};
}

/* The writer's bytes; it ends. */
static struct rewrite_text text_take(struct writer *writer)
{
    struct rewrite_text text = text_of(writer->data ? writer->data : "", writer->size);
    writer_deinit(writer);
    return text;
}

/* The pattern that fits exactly these bytes. */
static void write_escaped(struct writer *out, const struct rewrite_text *text)
{
    for (uint32_t i = 0; i < text->size; i++) {
        if (text->bytes[i] && strchr("*?[]\\", text->bytes[i]))
            writer_raw(out, "\\", 1);
        writer_raw(out, text->bytes + i, 1);
    }
}

static void rewrite_set_patterns(struct rewrite *rewrite)
{
    struct writer text = {0};
    write_escaped(&text, &rewrite->strip);
    rewrite->strip_pattern = text_take(&text);
    text = (struct writer){0};
    write_escaped(&text, &rewrite->add);
    rewrite->add_pattern = text_take(&text);
    text = (struct writer){0};
    write_escaped(&text, &rewrite->add);
    writer_raw(&text, "*", 1);
    rewrite->add_any = text_take(&text);
    text = (struct writer){0};
    writer_text(&text, "MATCH");
    writer_bulk(&text, rewrite->add_any.bytes, rewrite->add_any.size);
    rewrite->match = text_take(&text);
}

static void rewrite_destroy(void *state)
{
    struct rewrite *rewrite = state;
    free(rewrite->add.bytes);
    free(rewrite->strip.bytes);
    free(rewrite->add_pattern.bytes);
    free(rewrite->strip_pattern.bytes);
    free(rewrite->add_any.bytes);
    free(rewrite->match.bytes);
    free(rewrite);
}

struct target *rewrite_target(struct target_set *set, struct target *next, const char *add, size_t add_size,
                              const char *strip, size_t strip_size, bool all)
{
    static const char *const labels[] = {"next"};
    static const struct action action = {.name = "rewrite",
                                         .language = "C",
                                         .labels = labels,
                                         .run = rewrite_run,
                                         .pass = rewrite_pass,
                                         .pure = true,
                                         .transparent = true,
                                         .describe = describe,
                                         .destroy = rewrite_destroy};
    struct rewrite *rewrite = xcalloc(1, sizeof *rewrite);
    rewrite->add = text_of(add, add_size);
    rewrite->strip = text_of(strip, strip_size);
    rewrite->all = all;
    rewrite_set_patterns(rewrite);
    return target_action(set, &action, &next, 1, rewrite);
}
