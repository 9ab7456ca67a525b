/* Remarks; see remarks.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/remarks.h"

#include "proxy/cluster.h"
#include "proxy/tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { REMARK = 512, REMARK_PREFIX = 64, REMARKS_MADE = 20, REMARKS_VISITS = 10000 };

/* Which commands can come to a target. */
struct inflow {
    bool reads, writes;
    bool keyless;
    char prefix[REMARK_PREFIX]; /* what their keys begin with, so much of it as fits */
    size_t prefix_size;
};

struct remarks {
    remarks_say *say;
    void *context;
    uint32_t made, visits; /* both are bounded: targets may share what is below them */
};

/* One target and what comes to it, for the visit of those below. */
struct place {
    struct remarks *remarks;
    const struct target *target;
    struct inflow inflow;
    bool keyless_left; /* commands without a key have not found a way yet */
};

static void look_at(struct remarks *remarks, const struct target *target, const struct inflow *inflow);

static __attribute__((format(printf, 2, 3))) void remark(struct remarks *remarks, const char *format, ...)
{
    if (++remarks->made > REMARKS_MADE)
        return;
    char text[REMARK];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    remarks->say(remarks->context, text);
}

static bool is_word(const struct target_way *way, const char *word)
{
    return !way->is_prefix && way->size == strlen(word) && memcmp(way->text, word, way->size) == 0;
}

/* ---- prefix ---- */

/* Can a key begin with both? */
static bool fits(const struct inflow *inflow, const struct target_way *way)
{
    size_t common = way->size < inflow->prefix_size ? way->size : inflow->prefix_size;
    return memcmp(way->text, inflow->prefix, common) == 0;
}

static void enter_prefix(struct place *place, const struct target *below, const struct target_way *way)
{
    struct inflow inflow = place->inflow;
    char here[4 * REMARK_PREFIX + 8], there[4 * REMARK_PREFIX + 8];
    if (!way->is_prefix) { /* default */
        place->keyless_left = false;
        look_at(place->remarks, below, &inflow);
        return;
    }
    if (!fits(&inflow, way)) {
        tree_quote(way->text, way->size < REMARK_PREFIX ? way->size : REMARK_PREFIX, here, sizeof here);
        tree_quote(inflow.prefix, inflow.prefix_size, there, sizeof there);
        remark(place->remarks, "the prefix %s is never met: only keys that begin with %s come there", here,
               there);
        return;
    }
    inflow.keyless = false;
    if (way->size > inflow.prefix_size) {
        inflow.prefix_size = way->size < REMARK_PREFIX ? way->size : REMARK_PREFIX;
        memcpy(inflow.prefix, way->text, inflow.prefix_size);
    }
    look_at(place->remarks, below, &inflow);
}

/* ---- command ---- */

static bool reads_only(const struct target_way *way)
{
    const struct command *command = command_find(way->text, strcspn(way->text, "|"));
    return command && (command->flags & COMMAND_READONLY);
}

static void enter_command(struct place *place, const struct target *below, const struct target_way *way)
{
    const struct target *at = place->target;
    struct inflow inflow = place->inflow;
    bool otherwise = is_word(way, "default"), reads = is_word(way, "read"), writes = is_word(way, "write");
    if (otherwise) {
        reads = !at->command.read;
        writes = !at->command.write;
    } else if (!reads && !writes) {
        reads = reads_only(way);
        writes = !reads;
    }
    inflow.reads = inflow.reads && reads;
    inflow.writes = inflow.writes && writes;
    if (inflow.reads || inflow.writes)
        look_at(place->remarks, below, &inflow);
    else if (otherwise)
        remark(place->remarks,
               "`default` of nydus.command is never met: `read` and `write` are all there is");
    else
        remark(place->remarks, "'%s' of nydus.command is never met: only commands that %s come there",
               way->text, place->inflow.reads ? "read" : "write");
}

/* ---- the walk ---- */

static bool enter(void *context, const struct target *below, const struct target_way *way)
{
    struct place *place = context;
    if (place->target->kind == TARGET_PREFIX)
        enter_prefix(place, below, way);
    else if (place->target->kind == TARGET_COMMAND)
        enter_command(place, below, way);
    else
        look_at(place->remarks, below, &place->inflow);
    return false;
}

static void look_at_split(struct remarks *remarks, const struct target *split)
{
    for (uint32_t i = 0; i < split->split.count; i++)
        if (split->split.ends[i] - (i ? split->split.ends[i - 1] : 0) <= 0)
            remark(remarks, "target %u of a split gets nothing: its weight is 0", i + 1);
}

static void look_at_action(struct remarks *remarks, const struct target *action)
{
    for (uint32_t i = 1; i < action->action.count; i++)
        if (action->action.items[i] == action->action.items[i - 1])
            remark(remarks, "targets %u and %u of a %s are the same", i, i + 1, action->action.action->name);
}

static void look_at(struct remarks *remarks, const struct target *target, const struct inflow *inflow)
{
    struct place place = {
        .remarks = remarks, .target = target, .inflow = *inflow, .keyless_left = inflow->keyless};
    if (++remarks->visits > REMARKS_VISITS || target->kind == TARGET_CLUSTER)
        return;
    if (target->kind == TARGET_SPLIT)
        look_at_split(remarks, target);
    if (target->kind == TARGET_ACTION)
        look_at_action(remarks, target);
    target_each(target, enter, &place);
    if (target->kind == TARGET_PREFIX && place.keyless_left)
        remark(remarks, "commands without a key (DBSIZE, SCAN, FLUSHALL …) have no route: "
                        "give nydus.prefix a `default`");
}

void remarks_make(const struct cluster *cluster, remarks_say *say, void *context)
{
    struct remarks remarks = {.say = say, .context = context};
    const struct inflow all = {.reads = true, .writes = true, .keyless = true};
    look_at(&remarks, cluster->root, &all);
}
