/* Reads rows of COMMAND's reply, of Redis 2.8 (six values) to 7 (ten). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "resp/lexicon.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { NAME_MAX_SIZE = 64, FULL_NAME_SIZE = 2 * NAME_MAX_SIZE + 2 };
enum { KEYWORD_SIZE = 32, TIPS_SIZE = 256, SPECS_MAX = 8 };
/* No command has its keys further back, and sums of these stay far from the end of 32 bits. */
enum { PLACE_MAX = 1024 };

/* The values of a row, in their order. */
enum {
    ROW_NAME, ROW_ARITY, ROW_FLAGS, ROW_FIRST, ROW_LAST, ROW_STEP,
    ROW_CATEGORIES, ROW_TIPS, ROW_SPECS, ROW_SUBS
};

/* A row while it is read, with room for what it points to. */
struct draft {
    struct command row;
    struct key_spec specs[SPECS_MAX];
    char keywords[SPECS_MAX][KEYWORD_SIZE];
    char name[FULL_NAME_SIZE];
    char tips[TIPS_SIZE];
};

/* ---- values ---- */

static bool is_text(const redisReply *value)
{
    return value && (value->type == REDIS_REPLY_STRING || value->type == REDIS_REPLY_STATUS);
}

static bool is_array(const redisReply *value)
{
    return value && value->type == REDIS_REPLY_ARRAY;
}

/* Value `at` of an array; NULL: there are not so many. */
static const redisReply *item(const redisReply *array, size_t at)
{
    return is_array(array) && at < array->elements ? array->element[at] : NULL;
}

static size_t items(const redisReply *array)
{
    return is_array(array) ? array->elements : 0;
}

static bool text_is(const redisReply *value, const char *word)
{
    size_t size = strlen(word);
    return is_text(value) && (size_t)value->len == size && memcmp(value->str, word, size) == 0;
}

static bool number_in(const redisReply *value, int64_t min, int64_t max, int32_t *number)
{
    if (!value || value->type != REDIS_REPLY_INTEGER || value->integer < min || value->integer > max) {
        return false;
    }
    *number = (int32_t)value->integer;
    return true;
}

/* What a map, in RESP2 a flat list, says of a name; NULL: nothing. */
static const redisReply *entry(const redisReply *map, const char *name)
{
    for (size_t i = 0; i + 1 < items(map); i += 2) {
        if (text_is(map->element[i], name)) {
            return map->element[i + 1];
        }
    }
    return NULL;
}

static bool entry_in(const redisReply *map, const char *name, int64_t min, int64_t max, int32_t *number)
{
    return number_in(entry(map, name), min, max, number);
}

/* ---- names ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

/* Copies a word in lower case; false: it is none that a command could be called. */
static bool word_copy(char *out, size_t room, const char *text, size_t size)
{
    if (size == 0 || size >= room) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] <= ' ' || text[i] > '~' || strchr("|\"'\\", text[i])) {
            return false;
        }
        out[i] = lower(text[i]);
    }
    out[size] = '\0';
    return true;
}

/* "config|get", of which a reply may give the last word only. */
static bool name_copy(struct draft *draft, const redisReply *value, const struct command *container)
{
    size_t at = 0;
    if (!is_text(value)) {
        return false;
    }
    const char *text = value->str;
    size_t size = (size_t)value->len;
    if (container) {
        at = strlen(container->name);
        memcpy(draft->name, container->name, at);
        draft->name[at++] = '|';
        const char *bar = memchr(text, '|', size);
        if (bar) {
            size -= (size_t)(bar + 1 - text);
            text = bar + 1;
        }
    }
    return word_copy(draft->name + at, NAME_MAX_SIZE + 1, text, size);
}

/* ---- key specifications ---- */

static bool begin_read(struct draft *draft, struct key_spec *spec, const redisReply *begin)
{
    const redisReply *type = entry(begin, "type"), *facts = entry(begin, "spec");
    if (text_is(type, "index")) {
        spec->begin = KEY_BEGIN_INDEX;
        return entry_in(facts, "index", 1, PLACE_MAX, &spec->index);
    }
    if (text_is(type, "keyword")) {
        const redisReply *keyword = entry(facts, "keyword");
        char *copy = draft->keywords[spec - draft->specs];
        spec->begin = KEY_BEGIN_KEYWORD;
        spec->keyword = copy;
        return is_text(keyword) && word_copy(copy, KEYWORD_SIZE, keyword->str, (size_t)keyword->len) &&
               entry_in(facts, "startfrom", -PLACE_MAX, PLACE_MAX, &spec->index) && spec->index != 0;
    }
    spec->begin = KEY_BEGIN_UNKNOWN;
    return text_is(type, "unknown");
}

static bool find_read(struct key_spec *spec, const redisReply *find)
{
    const redisReply *type = entry(find, "type"), *facts = entry(find, "spec");
    if (text_is(type, "range")) {
        spec->find = KEY_FIND_RANGE;
        return entry_in(facts, "lastkey", -PLACE_MAX, PLACE_MAX, &spec->last) &&
               entry_in(facts, "keystep", 1, PLACE_MAX, &spec->step) &&
               entry_in(facts, "limit", 0, PLACE_MAX, &spec->limit);
    }
    if (text_is(type, "keynum")) {
        spec->find = KEY_FIND_KEYNUM;
        return entry_in(facts, "keynumidx", 0, PLACE_MAX, &spec->keynum_index) &&
               entry_in(facts, "firstkey", 0, PLACE_MAX, &spec->first) &&
               entry_in(facts, "keystep", 1, PLACE_MAX, &spec->keystep);
    }
    spec->find = KEY_FIND_UNKNOWN;
    return text_is(type, "unknown");
}

static uint32_t key_flags_read(const redisReply *words)
{
    uint32_t flags = 0;
    for (size_t i = 0; i < items(words); i++) {
        const redisReply *word = words->element[i];
        flags |= is_text(word) ? command_key_flag(word->str, (size_t)word->len) : 0;
    }
    return flags;
}

static bool specs_read(struct draft *draft, const redisReply *specs)
{
    size_t count = items(specs);
    if (count > SPECS_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct key_spec *spec = &draft->specs[i];
        spec->flags = key_flags_read(entry(specs->element[i], "flags"));
        spec->notes = "";
        if (!begin_read(draft, spec, entry(specs->element[i], "begin_search")) ||
            !find_read(spec, entry(specs->element[i], "find_keys"))) {
            return false;
        }
    }
    draft->row.specs = draft->specs;
    draft->row.spec_count = (uint8_t)count;
    return true;
}

/* ---- rows ---- */

static bool first_last_step_read(struct command *row, const redisReply *reply)
{
    if (!number_in(item(reply, ROW_FIRST), 0, PLACE_MAX, &row->first_key) ||
        !number_in(item(reply, ROW_LAST), -PLACE_MAX, PLACE_MAX, &row->last_key) ||
        !number_in(item(reply, ROW_STEP), 0, PLACE_MAX, &row->key_step)) {
        return false;
    }
    if (row->key_step == 0) { /* EVAL and the like */
        row->first_key = row->last_key = 0;
    }
    return true;
}

static void words_read(struct command *row, const redisReply *flags, const redisReply *categories)
{
    for (size_t i = 0; i < items(flags); i++) {
        const redisReply *word = flags->element[i];
        row->flags |= is_text(word) ? command_flag(word->str, (size_t)word->len) : 0;
    }
    for (size_t i = 0; i < items(categories); i++) {
        const redisReply *word = categories->element[i];
        if (is_text(word) && word->len > 1 && word->str[0] == '@') {
            row->categories |= command_category(word->str + 1, (size_t)word->len - 1);
        }
    }
}

/* What stands behind "request_policy:" in a tip that begins so, or NULL. */
static const char *tip_of(const redisReply *tip, const char *kind)
{
    size_t size = strlen(kind);
    return is_text(tip) && strncmp(tip->str, kind, size) == 0 ? tip->str + size : NULL;
}

/* Those that are words; Redis has sentences of its own for some of its tips. */
static void tips_keep(struct draft *draft, const redisReply *tips)
{
    size_t at = 0;
    for (size_t i = 0; i < items(tips); i++) {
        const redisReply *tip = tips->element[i];
        size_t room = TIPS_SIZE - at - 1; /* less one for the space */
        if (at + 1 < TIPS_SIZE && is_text(tip) &&
            word_copy(draft->tips + at + (at > 0), room, tip->str, (size_t)tip->len)) {
            draft->tips[at] = at > 0 ? ' ' : draft->tips[at];
            at += strlen(draft->tips + at);
        }
    }
}

static void tips_read(struct draft *draft, const redisReply *tips)
{
    struct command *row = &draft->row;
    tips_keep(draft, tips);
    for (size_t i = 0; i < items(tips); i++) {
        const char *request = tip_of(tips->element[i], "request_policy:");
        const char *response = tip_of(tips->element[i], "response_policy:");
        for (int p = REQUEST_ALL_NODES; request && p <= REQUEST_SPECIAL; p++) {
            if (strcmp(request, command_request_name((enum request_policy)p)) == 0) {
                row->request_policy = (enum request_policy)p;
            }
        }
        for (int p = RESPONSE_ONE_SUCCEEDED; response && p <= RESPONSE_SPECIAL; p++) {
            if (strcmp(response, command_response_name((enum response_policy)p)) == 0) {
                row->response_policy = (enum response_policy)p;
            }
        }
    }
}

/* false: it is no row. */
static bool draft_read(struct draft *draft, const redisReply *reply, const struct command *container)
{
    struct command *row = &draft->row;
    *draft = (struct draft){.row.name = draft->name, .row.tips = draft->tips};
    if (!name_copy(draft, item(reply, ROW_NAME), container) ||
        !number_in(item(reply, ROW_ARITY), -PLACE_MAX, PLACE_MAX, &row->arity) || row->arity == 0 ||
        !first_last_step_read(row, reply) || !specs_read(draft, item(reply, ROW_SPECS))) {
        return false;
    }
    words_read(row, item(reply, ROW_FLAGS), item(reply, ROW_CATEGORIES));
    tips_read(draft, item(reply, ROW_TIPS));
    row->flags &= ~(uint32_t)(COMMAND_SUBCOMMAND | COMMAND_CONTAINER);
    row->flags |= container ? COMMAND_SUBCOMMAND : items(item(reply, ROW_SUBS)) > 0 ? COMMAND_CONTAINER : 0;
    row->simple_keys = !(row->flags & COMMAND_MOVABLEKEYS) || row->spec_count == 0;
    return true;
}

/* ---- the lexicon ---- */

void lexicon_deinit(struct lexicon *lexicon)
{
    free(lexicon->rows);
    *lexicon = (struct lexicon){0};
}

/* The first row that is not before the name (in lower case). */
static size_t place_of(const struct lexicon *lexicon, const char *name)
{
    size_t low = 0, high = lexicon->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(lexicon->rows[middle]->name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static const struct command *find_lower(const struct lexicon *lexicon, const char *name)
{
    size_t place = place_of(lexicon, name);
    bool there = place < lexicon->count && strcmp(lexicon->rows[place]->name, name) == 0;
    return there ? lexicon->rows[place] : NULL;
}

/* Returns whether that changes anything. */
static bool put(struct lexicon *lexicon, const struct command *row)
{
    size_t place = place_of(lexicon, row->name);
    if (place < lexicon->count && strcmp(lexicon->rows[place]->name, row->name) == 0) {
        bool other = lexicon->rows[place] != row;
        lexicon->rows[place] = row;
        return other;
    }
    if (lexicon->count == lexicon->room) {
        lexicon->room = lexicon->room > 0 ? lexicon->room * 2 : 16;
        lexicon->rows = xrealloc(lexicon->rows, lexicon->room * sizeof *lexicon->rows);
    }
    size_t behind = (lexicon->count - place) * sizeof *lexicon->rows;
    memmove(lexicon->rows + place + 1, lexicon->rows + place, behind);
    lexicon->rows[place] = row;
    lexicon->count++;
    return true;
}

/* A row of the table is told of; its subcommands are, too, by a host that tells of none (before Redis 7). */
static void tell(struct lexicon *lexicon, const struct command *row, bool with_subs)
{
    lexicon->told[row->id / 64] |= (uint64_t)1 << row->id % 64;
    lexicon->told_any = true;
    for (size_t id = row->id + 1u; with_subs && id < command_count(); id++) {
        if (!(command_row(id)->flags & COMMAND_SUBCOMMAND)) {
            break;
        }
        lexicon->told[id / 64] |= (uint64_t)1 << id % 64;
    }
}

bool lexicon_has(const struct lexicon *lexicon, const struct command *command)
{
    return command_is_learned(command) || !lexicon->told_any ||
           (lexicon->told[command->id / 64] >> command->id % 64 & 1);
}

static size_t learn_draft(struct lexicon *lexicon, const struct draft *draft)
{
    const struct command *row = command_learn(&draft->row);
    lexicon->full |= row == NULL;
    return row && put(lexicon, row);
}

static size_t learn_subcommands(struct lexicon *lexicon, const struct command *container,
                                const redisReply *subs)
{
    struct draft draft;
    size_t changes = 0;
    for (size_t i = 0; i < items(subs); i++) {
        if (!draft_read(&draft, subs->element[i], container)) {
            continue;
        }
        const char *word = draft.name + strlen(container->name) + 1;
        const struct command *row = command_find_sub(container, word, strlen(word));
        if (row) {
            tell(lexicon, row, false);
        } else {
            changes += learn_draft(lexicon, &draft);
        }
    }
    return changes;
}

size_t lexicon_learn(struct lexicon *lexicon, const struct redisReply *reply)
{
    struct draft draft;
    size_t changes = 0;
    for (size_t i = 0; i < items(reply); i++) {
        const redisReply *row = reply->element[i];
        if (!draft_read(&draft, row, NULL)) {
            continue;
        }
        const struct command *container = command_find(draft.name, strlen(draft.name));
        if (container) {
            tell(lexicon, container, items(item(row, ROW_SUBS)) == 0);
        } else {
            changes += learn_draft(lexicon, &draft);
            container = find_lower(lexicon, draft.name);
        }
        if (container && (container->flags & COMMAND_CONTAINER)) {
            changes += learn_subcommands(lexicon, container, item(row, ROW_SUBS));
        }
    }
    return changes;
}

const struct command *lexicon_find(const struct lexicon *lexicon, const char *name, size_t size)
{
    char word[NAME_MAX_SIZE + 1];
    return word_copy(word, sizeof word, name, size) ? find_lower(lexicon, word) : NULL;
}

const struct command *lexicon_find_sub(const struct lexicon *lexicon, const struct command *container,
                                       const char *sub, size_t size)
{
    char name[FULL_NAME_SIZE];
    size_t at = strlen(container->name);
    memcpy(name, container->name, at);
    name[at++] = '|';
    return word_copy(name + at, NAME_MAX_SIZE + 1, sub, size) ? find_lower(lexicon, name) : NULL;
}
