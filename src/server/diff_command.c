/* nydus --diff; see diff_command.h.
 *
 * Where both routers are C's and choose by one hash, every hash value is
 * counted (route/overlap); all others are asked about sampled keys. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/diff_command.h"

#include "base/log.h"
#include "base/memory.h"
#include "proxy/tree.h"
#include "route/overlap.h"
#include "server/diff_report.h"
#include "server/generation.h"
#include "server/prefixes.h"
#include "server/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys that are sampled, alone, per prefix and per database. */
enum { DIFF_KEYS = 100000, DIFF_PREFIX_KEYS = 10000, DIFF_DATABASE_KEYS = 1000 };
/* So many of both are looked at. */
enum { DIFF_PREFIXES = 16, DIFF_DATABASES = 16, DIFF_ACTIONS = 16 };

/* Keys that are in no table: their name says nothing. */
static const char any_prefix[] = "key:";

/* ---- exactly ---- */

/* A router that is reached without Lua, and the places of its hosts. */
struct plain {
    const struct router *router; /* NULL: all keys have places[0] */
    uint32_t *places;            /* owned */
};

struct counting {
    const struct plain *sides[SIDES];
    struct moves *moves;
};

/* Where requests like this lead: the last router on their way, or what they have without one. */
static const struct target *plain_find(const struct cluster *cluster, const struct sample_plan *plan)
{
    struct sample_request request;
    struct query *query = &request.query;
    const struct target *at = cluster->root;
    sample_request_write(&request, plan);
    for (int i = 0; i < DIFF_ACTIONS && at; i++) {
        query->target = at;
        query->router = NULL;
        target_walk(query);
        at = query->target;
        if (!at || at->kind != TARGET_ACTION || !at->action.action->transparent)
            return query->router ? query->router : at;
        at = at->action.items[0];
    }
    return NULL;
}

/* Does it lead every such key to one place? */
static bool is_fixed(const struct target *target)
{
    bool fixed = target->kind == TARGET_HOST || target->kind == TARGET_LIST;
    for (uint32_t i = 0; target->kind == TARGET_LIST && i < target->list.count; i++)
        fixed = fixed && target->list.items[i]->kind == TARGET_HOST;
    return fixed;
}

/* A split by key would go other ways with other keys. */
static bool has_split(const struct target_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (set->targets[i]->kind == TARGET_SPLIT)
            return true;
    return false;
}

/* false: keys have to be asked about. */
static bool plain_read(struct plain *plain, const struct sample_plan *plan, enum side side)
{
    const struct query nobody = {.nkeys = 1};
    const struct target *root = plain_find(plan->sides[side], plan);
    if (!root || (root->kind != TARGET_ROUTER && !is_fixed(root)) || has_split(root->set))
        return false;
    uint32_t count = root->kind == TARGET_ROUTER ? root->router.count : 1;
    plain->places = xcalloc(count, sizeof *plain->places);
    plain->router = root->kind == TARGET_ROUTER ? root->router.router : NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct target *leaf = root;
        if (plain->router)
            leaf = root->router.groups[i] ? root->router.groups[i] : root->router.hosts[i];
        plain->places[i] = places_find(plan->places, side, leaf, &nobody);
    }
    return true;
}

static void add_values(void *context, uint32_t old, uint32_t new, uint64_t values)
{
    const struct counting *counting = context;
    moves_add(counting->moves, counting->sides[SIDE_OLD]->places[old],
              counting->sides[SIDE_NEW]->places[new], values);
}

/* false: it cannot be counted. */
static bool count_exactly(const struct sample_plan *plan, struct sample *sample)
{
    struct plain plain[SIDES] = {0};
    bool fine = true;
    for (int side = 0; side < SIDES; side++)
        fine = fine && plain_read(&plain[side], plan, (enum side)side);
    if (fine) {
        struct counting counting = {.sides = {&plain[SIDE_OLD], &plain[SIDE_NEW]}, .moves = &sample->moves};
        sample->keys = overlap_count(plain[SIDE_OLD].router, plain[SIDE_NEW].router, add_values, &counting);
        sample->exact = fine = sample->keys > 0;
        moves_seal(&sample->moves);
    }
    for (int side = 0; side < SIDES; side++)
        free(plain[side].places);
    return fine;
}

/* ---- or by samples ---- */

static struct sample take(const struct diff *diff, const char *command, const char *prefix, int32_t db,
                          uint32_t keys)
{
    struct sample sample = {0};
    const struct sample_plan plan = {
        .places = diff->places,
        .sides = {diff->sides[SIDE_OLD], diff->sides[SIDE_NEW]},
        .command = command,
        .prefix = prefix,
        .db = db,
        .keys = keys,
    };
    return count_exactly(&plan, &sample) ? sample : sample_take(&plan);
}

static bool any_moves(const struct sample *reads, const struct sample *writes)
{
    return reads->moves.moved || writes->moves.moved;
}

/* Some of the prefixes, when there are too many: evenly over all. Where everything is counted, those whose
 * keys go the way of all others need no line. true: keys of one move. */
static bool diff_prefixes(const struct diff *diff, const struct prefixes *prefixes,
                          const struct sample *all_reads, const struct sample *all_writes)
{
    bool moved = false;
    size_t shown = prefixes->count < DIFF_PREFIXES ? prefixes->count : DIFF_PREFIXES;
    for (size_t i = 0; i < shown; i++) {
        const char *prefix = prefixes->list[i * prefixes->count / shown];
        if (!strcmp(prefix, any_prefix))
            continue;
        struct sample reads = take(diff, "get", prefix, 0, DIFF_PREFIX_KEYS);
        struct sample writes = take(diff, "set", prefix, 0, DIFF_PREFIX_KEYS);
        bool same = sample_equal(&reads, all_reads) && sample_equal(&writes, all_writes);
        if (!same || !reads.exact)
            report_prefix(prefix, &reads, &writes);
        moved = moved || any_moves(&reads, &writes);
        sample_deinit(&reads);
        sample_deinit(&writes);
    }
    if (shown < prefixes->count)
        report_more_prefixes(prefixes->count - shown);
    return moved;
}

/* A router script may look at the client's database. true: keys of one move. */
static bool diff_databases(const struct diff *diff)
{
    bool moved = false;
    struct sample first = take(diff, "get", any_prefix, 0, DIFF_DATABASE_KEYS);
    for (int32_t db = 1; db < DIFF_DATABASES; db++) {
        struct sample reads = take(diff, "get", any_prefix, db, DIFF_DATABASE_KEYS);
        if (!sample_equal(&first, &reads))
            report_database(db, &reads);
        moved = moved || reads.moves.moved;
        sample_deinit(&reads);
    }
    sample_deinit(&first);
    return moved;
}

/* true: keys move. */
static bool diff_cluster(const struct diff *diff, const struct prefixes *prefixes)
{
    struct sample reads = take(diff, "get", any_prefix, 0, DIFF_KEYS);
    struct sample writes = take(diff, "set", any_prefix, 0, DIFF_KEYS);
    report_cluster(diff, &reads, &writes);
    report_quarantine(diff);
    bool moved = any_moves(&reads, &writes);
    moved = diff_prefixes(diff, prefixes, &reads, &writes) || moved;
    moved = (!reads.exact && diff_databases(diff)) || moved;
    sample_deinit(&reads);
    sample_deinit(&writes);
    return moved;
}

/* ---- clusters ---- */

/* All clusters of both, by name. */
static void diff_clusters(const struct generation *const sides[SIDES], struct places *places,
                          const struct prefixes *prefixes)
{
    uint32_t at[SIDES] = {0}, both = 0, moving = 0;
    while (at[SIDE_OLD] < sides[SIDE_OLD]->count || at[SIDE_NEW] < sides[SIDE_NEW]->count) {
        struct diff diff = {.places = places};
        for (int side = 0; side < SIDES; side++)
            if (at[side] < sides[side]->count)
                diff.sides[side] = sides[side]->clusters[at[side]];
        int order = !diff.sides[SIDE_OLD]   ? 1
                    : !diff.sides[SIDE_NEW] ? -1
                                            : strcmp(diff.sides[SIDE_OLD]->name, diff.sides[SIDE_NEW]->name);
        at[SIDE_OLD] += order <= 0;
        at[SIDE_NEW] += order >= 0;
        diff.name = diff.sides[order > 0]->name;
        if (order) {
            report_lone(order < 0 ? "goes" : "comes", diff.sides[order > 0]);
            continue;
        }
        for (int side = 0; side < SIDES; side++)
            diff.roots[side] = diff.sides[side]->root;
        both++;
        moving += diff_cluster(&diff, prefixes);
    }
    report_end(both, moving);
}

/* Each line tells which of the files it is about. */
static void print_problems(const char *side, const char *problems)
{
    for (const char *line = problems; *line;) {
        size_t length = strcspn(line, "\n");
        fprintf(stderr, "%s: %.*s\n", side, (int)length, line);
        line += length + (line[length] == '\n');
    }
}

int diff_command(const char *old_path, const char *new_path)
{
    const char *const paths[SIDES] = {old_path, new_path};
    const char *const names[SIDES] = {"old", "new"};
    struct generation *built[SIDES] = {NULL};
    log_set_level(LOG_ERROR); /* the errors of decisions are counted and told */
    for (int side = 0; side < SIDES; side++) {
        char *problems = NULL;
        built[side] = generation_build(NULL, paths[side], NULL, &problems);
        if (!built[side])
            print_problems(names[side], problems);
        free(problems);
    }
    bool fine = built[SIDE_OLD] && built[SIDE_NEW];
    if (fine) {
        const struct generation *const sides[SIDES] = {built[SIDE_OLD], built[SIDE_NEW]};
        struct prefixes prefixes = {0};
        struct places *places = places_create(sides);
        for (int side = 0; side < SIDES; side++)
            prefixes_add(&prefixes, sides[side]);
        diff_clusters(sides, places, &prefixes);
        prefixes_deinit(&prefixes);
        places_destroy(places);
    }
    for (int side = 0; side < SIDES; side++)
        if (built[side])
            generation_unref(built[side]);
    return fine ? 0 : 1;
}
